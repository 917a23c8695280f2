"""What the nearby steps of a measurement share, for arrays and tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from interdyn.measurement import interactions
from interdyn.schedules import groups_of, windows_of
from interdyn.spectra import window_mean
from interdyn.store import Measurement

KINDS = ("and", "or")


def of_windows(rows: Sequence[Measurement], window: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return columns and coordinates of measurements that take several nearby steps; none if each takes one.

    Columns ``mean_and``, ``se_and``, ``kept_and``, and of OR, with the axes ``measurement, sample, subset``
    (`interdyn.spectra.WindowMean`); coordinates ``measurement`` of each step, and of each measurement its first step
    and how many it has.
    """
    if window == 1:
        return {}, {}
    steps = [m.step for m in rows]
    groups = [[rows[i] for i in places] for places in groups_of(steps, window)]
    means = [window_mean([interactions(m) for m in group]) for group in groups]
    axes = ("measurement", "sample", "subset")
    columns = {
        f"{short}_{kind}": (axes, np.stack([getattr(getattr(mean, name), f"i_{kind}").cpu().numpy() for mean in means]))
        for short, name in (("mean", "mean"), ("se", "standard_error"), ("kept", "kept"))
        for kind in KINDS
    }
    coords = {
        "measurement": np.arange(len(groups)),
        "measurement_of_step": ("step", windows_of(steps, window)),
        "first_step": ("measurement", [group[0].step for group in groups]),
        "n_steps": ("measurement", [len(group) for group in groups]),
    }
    return columns, coords
