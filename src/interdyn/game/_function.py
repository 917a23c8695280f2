"""The value function of one sample as a callable on Boolean masks, as shapiq's approximators take it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import ShapeError
from interdyn.game._baselines import baseline_tensors
from interdyn.game._guard import undisturbed
from interdyn.game._masking import Masking, feature_ids
from interdyn.game._outputs import Output, check_output, scalar_outputs
from interdyn.game._players import Players
from interdyn.game._table import _checked_inputs, _checked_targets, _home


def game_function(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    *,
    target: int | Sequence[int] | Tensor | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    output: Output = "log-odds",
) -> Callable[[Bool[np.ndarray, "masks players"]], Float64[np.ndarray, " masks"]]:
    """Return the game of one sample: Boolean masks ``(m, n)``, ``True`` = present, to outputs ``(m,)``.

    Any sampling approximator, shapiq's for instance, takes it as a game. Arguments as in `value_table`, one sample.

    Raises
    ------
    ShapeError
        If ``inputs`` hold more than one sample, or the masks are not ``(m, n)``.

    Examples
    --------
    >>> from interdyn.game import columns
    >>> game = game_function(lambda x: x.sum(1), torch.tensor([[1.0, 2.0]]), output="regression", players=columns())
    >>> game(np.array([[True, False], [True, True]]))
    array([1., 3.])
    """
    check_output(output)
    tensors = _checked_inputs(inputs)
    if len(tensors[0]) != 1:
        raise ShapeError(f"a game is that of one sample; got {len(tensors[0])}. Pass `inputs[i : i + 1]`.")
    device, dtype = _home(model, tensors[0])
    tensors = tuple(x.to(device, dtype if x.is_floating_point() else None) for x in tensors)
    ids, n = feature_ids(players, feature_mask, tensors, [0])
    targets = _checked_targets(target, 1)
    off = baseline_tensors(baselines, tensors)

    def game(masks: Bool[np.ndarray, "masks players"]) -> Float64[np.ndarray, " masks"]:
        present = torch.from_numpy(np.ascontiguousarray(masks, dtype=bool))
        if present.ndim != 2 or present.shape[1] != n:
            raise ShapeError(f"masks must be Boolean of shape (m, {n}); got {tuple(present.shape)}.")
        table = torch.cat([present, torch.tensor([[False, True]]).expand(len(present), 2)], dim=1).to(device)
        rows = torch.zeros(len(present), dtype=torch.long, device=device)
        with undisturbed(model):
            outputs = model(*Masking(tensors, off, ids, table).masked(rows, table))
            values = scalar_outputs(outputs, None if targets is None else targets.to(device)[rows], output=output)
        return np.asarray(values.cpu().numpy())

    return game
