"""A network's outputs on chosen masked inputs: the game of one sample, for any number of players."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import NonFiniteError, ShapeError
from interdyn.game._batches import Batches, estimated_rows, given_rows
from interdyn.game._forward import Forward
from interdyn.game._isolation import isolated
from interdyn.game._masking import masked_inputs
from interdyn.game._missing import refuse_odd_samples
from interdyn.game._outputs import Output, OutputKey
from interdyn.game._players import Players
from interdyn.game._samples import Inputs
from interdyn.game._tryout import try_out


def game_function(
    model: Model,
    inputs: Inputs,
    *,
    target: Any = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    output: Output = "log-odds",
    output_key: OutputKey | None = None,
    additional_forward_args: Any = None,
    sample_id: int = 0,
) -> Callable[[Bool[np.ndarray, "masks players"]], Float64[np.ndarray, " masks"]]:
    """Return the game of one sample: Boolean masks ``(m, n)``, ``True`` = present, to outputs ``(m,)``.

    Any sampling approximator, shapiq's for instance, takes it as a game; the number of players is not limited.
    Arguments as in `value_table`, one sample; ``sample_id`` fixes its random players as ``sample_ids`` does there.

    Raises
    ------
    ShapeError
        If ``inputs`` hold more than one sample, or the masks are not ``(m, n)``.
    NonFiniteError
        If an output is NaN or infinite; and all that `value_table` raises.

    Examples
    --------
    >>> from interdyn.game import columns
    >>> game = game_function(lambda x: x.sum(1), torch.tensor([[1.0, 2.0]]), output="regression", players=columns())
    >>> game(np.array([[True, False], [True, True]]))
    array([1., 3.])
    """
    forward, tensors = Forward.of(
        model, inputs, target, output, additional_forward_args, output_key=output_key, masked=feature_mask
    )
    if forward.samples != 1:
        raise ShapeError(f"a game has one sample; got {forward.samples}. Pass `inputs[i : i + 1]`.")
    rows, device = given_rows(batch_size, None), tensors[0].device
    masking = masked_inputs(forward, tensors, [sample_id], players, feature_mask, baselines)
    n = masking.n
    own = forward.model
    with isolated(own) as network:
        trial = try_out(replace(forward, model=network), tensors, masking.half, alone=rows == 1)
        if not masking.always_masks:
            refuse_odd_samples(replace(trial.forward, model=network), tensors, [sample_id], alone=rows == 1)
    batches = Batches(rows or estimated_rows(trial.row_bytes, device))

    def game(masks: Bool[np.ndarray, "masks players"]) -> Float64[np.ndarray, " masks"]:
        present = torch.from_numpy(np.array(masks, dtype=bool))
        if present.ndim != 2 or present.shape[1] != n:
            raise ShapeError(
                f"masks must be Boolean of shape (m, {n}); got {tuple(present.shape)}. Pass one column per player."
            )

        def work(start: int, stop: int) -> Tensor:
            sample = torch.zeros(stop - start, dtype=torch.long, device=device)
            return run(masking.block(0, 1, present[start:stop].to(device)), sample)

        with isolated(own) as network:
            run = replace(trial.forward, model=network)
            parts = batches.run(work, len(present))
        values = np.concatenate([part.cpu().numpy() for part in parts]) if parts else np.zeros(0)
        _refuse_non_finite_masks(values, masks)
        return values

    return game


def _refuse_non_finite_masks(values: np.ndarray, masks: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        present = np.flatnonzero(np.asarray(masks)[bad[0]]).tolist()
        raise NonFiniteError(
            f"the model's output must be finite; got {values[bad[0]]} with players {present} present, and "
            f"{len(bad) - 1} more. Check the baseline, and whether training has diverged."
        )
