"""What the analysis keeps of the interactions of a group of samples at one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from interdyn.spectra import SalienceRule, order_spectrum
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions, OrderSpectrum


@dataclass(frozen=True)
class Seen:
    """One group at one step.

    Attributes
    ----------
    spectrum
        Strength per order of each sample.
    gap
        Certified gap of each sample.
    residual
        Largest residual of all samples, in the unit of the tables.
    relative_residual
        Largest residual of each sample relative to ``max|v|`` of its table.
    effect
        Mean over samples of ``|v(N) - v({})|``.
    unit, settings
        As in the interactions.
    """

    spectrum: OrderSpectrum
    gap: Float[np.ndarray, " samples"]
    residual: float
    relative_residual: Float[np.ndarray, " samples"]
    effect: float
    unit: str
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, found: Interactions, *, salience: float | None = None, salience_rule: SalienceRule = "mean-effect"
    ) -> "Seen":
        """Return what is kept of the interactions of a batch."""
        v = values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual
        worst = found.residual.abs().amax(-1)
        relative = worst / v.abs().amax(-1).clamp_min(torch.finfo(v.dtype).tiny)
        return cls(
            order_spectrum(found, salience=salience, salience_rule=salience_rule),
            found.gap.cpu().numpy(),
            float(worst.max()),
            relative.cpu().numpy(),
            float((v[..., -1] - v[..., 0]).abs().mean()),
            found.unit,
            found.settings,
        )
