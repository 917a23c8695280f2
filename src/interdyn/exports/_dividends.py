"""Exports based on dividends, the pure AND form of an explanation: Shapley values, SHAP, shapiq."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import instance
from interdyn.errors import InputError, ShapeError, missing_extra
from interdyn.transforms import and_from_values, values_from_and, values_from_or
from interdyn.values import Interactions, Selection, checked_names, members, orders, subset_masks

if TYPE_CHECKING:
    from shap import Explanation
    from shapiq import InteractionValues


def dividends(found: Selection) -> Float[Tensor, "*batch subsets"]:
    r"""Return the Harsanyi dividends of the outputs, whose sums they are: ``v(T) = sum_{S in T} d(S)``.

    For `Interactions`, those of the complete output, including the residual, so that nothing is lost; for a selection,
    those of what is selected. An OR interaction is distributed over AND sets: ``sum_{S meets T} I(S)`` has a dividend
    at every ``L`` inside ``S``, of sign ``(-1)^(|L|+1)``.

    Examples
    --------
    >>> import torch
    >>> i_or = torch.tensor([0.0, 0.0, 0.0, 2.0], dtype=torch.float64)  # player 0 or player 1
    >>> dividends(Selection(torch.zeros_like(i_or), i_or)).tolist()
    [0.0, 2.0, 2.0, -2.0]
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    values = values_from_and(found.i_and) + values_from_or(found.i_or)
    if isinstance(found, Interactions):
        values = values + found.residual
    return and_from_values(values)


def shapley_values(found: Selection) -> Float[np.ndarray, "*batch players"]:
    r"""Return the Shapley value of each player: every dividend is divided equally among its players.

    $$\phi_i = \sum_{S \ni i} d(S) / |S|$$

    Their sum is ``v(N) - v({})``, exactly, in the unit of the outputs. Source: Harsanyi (1963); paper, section 2.

    Examples
    --------
    >>> zero = torch.zeros(4, dtype=torch.float64)
    >>> shapley_values(Selection(torch.tensor([1.0, 0.0, 3.0, 2.0], dtype=torch.float64), zero)).tolist()
    [1.0, 4.0]
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    n = found.n_players
    share = torch.from_numpy(subset_masks(n) / np.maximum(orders(n), 1)[:, None])
    return np.asarray((dividends(found) @ share.to(found.i_and)).cpu().numpy())


def to_shap(found: Selection, *, data: Any = None, names: Sequence[str] | None = None) -> "Explanation":
    """Return a `shap.Explanation` of first-order Shapley values, for SHAP's plots.

    Parameters
    ----------
    found
        Interactions of one sample or of a batch.
    data
        What SHAP's plots show next to the names: a value for each player, shape ``(*batch, n)``.
    names
        Name of each player, instead of those of ``found``.

    Returns
    -------
    Explanation
        ``values`` of shape ``(*batch, n)``, ``base_values`` ``v({})``.

    Raises
    ------
    MissingExtraError
        If SHAP is not installed.
    ShapeError
        If there is not one name, or one value of data, for each player.
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    try:
        from shap import Explanation
    except ImportError as error:
        raise missing_extra("shap", "shap", "an explanation for SHAP") from error
    values = shapley_values(found)
    shown = None if data is None else np.asarray(data)
    named = found.names if names is None else checked_names(names, found.n_players, found.batch_shape)
    if shown is not None and shown.shape != values.shape:
        raise ShapeError(f"`data` must have one value for each player, shape {values.shape}; got {shown.shape}.")
    base = dividends(found)[..., 0].cpu().numpy()
    return Explanation(
        values=values,
        base_values=base if base.ndim else float(base),
        data=shown,
        feature_names=[list(n) if isinstance(n, tuple) else n for n in named] or None,
    )


def to_shapiq(found: Selection, *, kind: Literal["total", "and", "or"] = "total") -> "InteractionValues":
    r"""Return the interactions of one sample for shapiq: its indices, its plots, its converters.

    Parameters
    ----------
    found
        Interactions of a single table, such as ``found[0]``.
    kind
        ``"total"``: dividends of the complete output as index ``"Moebius"``, from which shapiq's `MoebiusConverter`
        computes Shapley values, k-SII, FSII and the like, exactly. ``"and"``: the AND interactions, also as
        ``"Moebius"``. ``"or"``: the OR interactions as index ``"Co-Moebius"``, with the sign $(-1)^{|S|+1}$ by which
        they differ.

    Returns
    -------
    InteractionValues
        `shapiq.InteractionValues` of all non-zero interactions; player ``i`` is shapiq's player ``i``.

    Raises
    ------
    InputError
        If there is more than one table, or the kind is unknown.
    MissingExtraError
        If shapiq is not installed.
    """
    instance(found, "found", Selection, do="Pass the result of `measure`.")
    try:
        from shapiq import InteractionValues
    except ImportError as error:
        raise missing_extra("shapiq", "shapiq", "an export to shapiq") from error
    if found.batch_shape:
        raise InputError(
            f"`to_shapiq` takes the interactions of one sample; got a batch of shape {found.batch_shape}. "
            "Take one sample first, for example `found[0]`."
        )
    n, baseline = found.n_players, 0.0
    if kind == "total":
        table = dividends(found).cpu().numpy()
        baseline = float(table[0])
    elif kind == "and":
        table = found.i_and.cpu().numpy()
        baseline = float(table[0])
    elif kind == "or":
        table = found.i_or.cpu().numpy() * np.where(orders(n) % 2, 1.0, -1.0)
    else:
        raise InputError(f'`kind` must be "total", "and" or "or"; got {kind!r}.')
    scores = {members(int(s)): float(table[s]) for s in np.flatnonzero(table)} | {(): float(table[0])}
    index = "Co-Moebius" if kind == "or" else "Moebius"
    return InteractionValues(
        scores, index=index, max_order=n, n_players=n, min_order=0, estimated=False, baseline_value=baseline
    )
