"""Addition modulo a number: a task on which networks grok, generalising long after they have memorised the rows."""

import random

import numpy as np

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset

_MOST_CODES = 1 << 26  # numbers in the one-hot codes of all rows


@dataset("modular-addition")
def modular_addition(*, seed: int, modulus: int = 7, summands: int = 10, counted: int = 2, rows: int = 4000) -> Dataset:
    r"""Return rows of summands, of which only the first few count: the class is their sum modulo ``modulus``.

    $$y = \sum_{i=1}^{\mathrm{counted}} x_i \bmod \mathrm{modulus}, \qquad x_i \in \{0, \dots, \mathrm{modulus} - 1\}$$

    Parameters
    ----------
    seed
        Draws the rows, without repetition.
    modulus
        Number of values of a summand, and of classes; 2 gives sparse parity.
    summands
        Numbers in a row: the parts, and therefore the players of the kind ``parts``.
    counted
        How many of them count. Without any one of them, nothing is known about the class; the others are irrelevant.
    rows
        Number of samples, at most ``modulus**summands``.

    Returns
    -------
    Dataset
        Shape ``(rows, summands * modulus)``: the one-hot code of each summand, which is a part.

    Raises
    ------
    RecipeError
        If there are no such rows, or not that many.

    Notes
    -----
    Power et al. (2022) add two numbers, which are two players. Numbers that do not count add more players, and a
    network that has memorised the rows uses those too; it generalises once it has dropped them, as in sparse parity
    (Barak et al., 2022; Merrill et al., 2023).

    Examples
    --------
    >>> data = modular_addition(seed=0, modulus=3, summands=4, counted=2, rows=5)
    >>> numbers = data.inputs.reshape(5, 4, 3).argmax(axis=2)
    >>> bool((data.targets == (numbers[:, 0] + numbers[:, 1]) % 3).all())
    True
    """
    fits = 2 <= modulus <= 1 << 20 and 1 <= counted <= summands <= 64 and modulus**summands < 1 << 62
    if not fits or not 1 <= rows <= min(modulus**summands, _MOST_CODES // (summands * modulus)):
        raise RecipeError(
            "`data.options` of `modular-addition` must have a `modulus` of 2 or more, `counted` from 1 to `summands`, "
            "modulus**summands below 2**62, and `rows` of at least 1, no more than exist and fit into memory; got "
            f"{modulus}, {counted}, {summands} and {rows}. Correct them."
        )
    codes = np.array(random.Random(seed).sample(range(modulus**summands), rows), dtype=np.int64)
    numbers = codes[:, None] // modulus ** np.arange(summands, dtype=np.int64) % modulus
    return Dataset(
        inputs=np.eye(modulus, dtype=np.float32)[numbers].reshape(rows, summands * modulus),
        targets=numbers[:, :counted].sum(axis=1) % modulus,
        n_classes=modulus,
        parts=np.broadcast_to(np.repeat(np.arange(summands), modulus), (rows, summands * modulus)),
        names=tuple(f"summand {i + 1}" for i in range(summands)),
    )
