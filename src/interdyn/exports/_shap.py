"""Shapley values, from dividends."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from interdyn.errors import ShapeError, missing_extra
from interdyn.exports._dividends import dividends
from interdyn.values import Selection, orders, subset_masks

if TYPE_CHECKING:
    from shap import Explanation


def shapley_values(found: Selection) -> Float[np.ndarray, "*batch players"]:
    r"""Return the Shapley value of each player: every dividend shared equally among its players.

    $$\phi_i = \sum_{S \ni i} d(S) / |S|$$

    Their sum is ``v(N) - v({})``, exactly, in the unit of the outputs. Source: Harsanyi (1963); paper, section 2.

    Examples
    --------
    >>> zero = torch.zeros(4, dtype=torch.float64)
    >>> shapley_values(Selection(torch.tensor([1.0, 0.0, 3.0, 2.0], dtype=torch.float64), zero)).tolist()
    [1.0, 4.0]
    """
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
        What SHAP's plots show beside the names: a value for each player, shape ``(*batch, n)``.
    names
        Name of each player.

    Returns
    -------
    ``values`` of shape ``(*batch, n)``, ``base_values`` ``v({})``.

    Raises
    ------
    MissingExtraError
        If SHAP is not installed.
    ShapeError
        If names or data are not one for each player.
    """
    try:
        from shap import Explanation
    except ImportError as error:
        raise missing_extra("shap", "shap", "an explanation for SHAP") from error
    values = shapley_values(found)
    shown = None if data is None else np.asarray(data)
    if names is not None and len(names) != found.n_players:
        raise ShapeError(f"`names` must name each of the {found.n_players} players; got {len(names)} names.")
    if shown is not None and shown.shape != values.shape:
        raise ShapeError(f"`data` must have one value for each player, shape {values.shape}; got {shown.shape}.")
    base = dividends(found)[..., 0].cpu().numpy()
    return Explanation(
        values=values,
        base_values=base if base.ndim else float(base),
        data=shown,
        feature_names=None if names is None else list(names),
    )
