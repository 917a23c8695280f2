"""Interactions as shapiq's `InteractionValues`."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from interdyn.errors import InputError, missing_extra
from interdyn.exports._dividends import dividends
from interdyn.values import Selection, members, orders

if TYPE_CHECKING:
    from shapiq import InteractionValues


def to_shapiq(found: Selection, *, kind: Literal["total", "and", "or"] = "total") -> "InteractionValues":
    r"""Return the interactions of one sample for shapiq: its indices, its plots, its converters.

    Parameters
    ----------
    found
        Interactions of a single table, as ``found[0]``.
    kind
        ``"total"``: dividends of the whole output as index ``"Moebius"``, from which shapiq's `MoebiusConverter`
        computes Shapley values, k-SII, FSII and the like, exactly. ``"and"``: the AND interactions, ``"Moebius"`` as
        well. ``"or"``: the OR interactions as index ``"Co-Moebius"``, with the sign $(-1)^{|S|+1}$ by which they
        differ.

    Returns
    -------
    `shapiq.InteractionValues` of all non-zero interactions; player ``i`` is shapiq's player ``i``.

    Raises
    ------
    InputError
        If this holds more than one table, or the kind is unknown.
    MissingExtraError
        If shapiq is not installed.
    """
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
