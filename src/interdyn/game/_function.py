"""The value function of one sample as a callable on Boolean masks, as shapiq's approximators take it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import NonFiniteError, ShapeError
from interdyn.game._baselines import baseline_tensors
from interdyn.game._batches import Batches, WidestArray, estimated_rows, given_rows
from interdyn.game._forward import Forward, at_home, checked_arguments, checked_inputs, checked_targets
from interdyn.game._guard import undisturbed
from interdyn.game._masking import Masking, feature_ids
from interdyn.game._outputs import Output, check_output
from interdyn.game._players import Players


def game_function(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    *,
    target: int | Sequence[int] | Tensor | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    output: Output = "log-odds",
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
    check_output(output)
    tensors = checked_inputs(inputs)
    if len(tensors[0]) != 1:
        raise ShapeError(f"a game is that of one sample; got {len(tensors[0])}. Pass `inputs[i : i + 1]`.")
    tensors = at_home(model, tensors)
    device = tensors[0].device
    rows = given_rows(batch_size, None)
    ids, n = feature_ids(players, feature_mask, tensors, [sample_id])
    masking = Masking(tensors, baseline_tensors(baselines, tensors), ids, n)
    arguments = checked_arguments(additional_forward_args, device)
    forward = Forward(model, arguments, checked_targets(target, 1, device), output, 1)
    with undisturbed(model, tensors), WidestArray() as widest:
        forward.try_out(tensors)
    batches = Batches(rows or estimated_rows(max(masking.bytes_per_row(), widest.bytes // 2), device))

    def game(masks: Bool[np.ndarray, "masks players"]) -> Float64[np.ndarray, " masks"]:
        present = torch.from_numpy(np.array(masks, dtype=bool))
        if present.ndim != 2 or present.shape[1] != n:
            raise ShapeError(
                f"masks must be Boolean of shape (m, {n}); got {tuple(present.shape)}. Give one column a player."
            )

        def work(start: int, stop: int) -> Tensor:
            sample = torch.zeros(stop - start, dtype=torch.long, device=device)
            return forward(masking.block(0, 1, present[start:stop].to(device)), sample)

        with undisturbed(model, tensors):
            parts = batches.run(work, len(present))
        values = np.concatenate([part.cpu().numpy() for part in parts]) if parts else np.zeros(0)
        _refuse_non_finite(values, masks)
        return values

    return game


def _refuse_non_finite(values: np.ndarray, masks: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        present = np.flatnonzero(np.asarray(masks)[bad[0]]).tolist()
        raise NonFiniteError(
            f"the model's output must be finite; got {values[bad[0]]} with players {present} present, and "
            f"{len(bad) - 1} more. Check the baseline, and whether training has diverged."
        )
