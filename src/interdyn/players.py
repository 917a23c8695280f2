"""What is masked: functions that make players and feature masks, and the values that replace masked features.

A partition that is the same for all samples, or drawn per sample, is passed as ``players=``: `patches`, `columns`,
`steps`, `segments`. A part index for each feature of each sample (`words`, `clusters`, or your own) becomes a
``feature_mask=`` with `choose_parts`. Baselines are `mean_baseline`, `blur_baseline` and, for points, `part_means`.
"""

from interdyn.game import (
    STOP_WORDS,
    Players,
    Words,
    blur_baseline,
    choose_parts,
    clusters,
    columns,
    mean_baseline,
    n_parts,
    part_means,
    patches,
    segments,
    steps,
    words,
)

__all__ = [
    "STOP_WORDS",
    "Players",
    "Words",
    "blur_baseline",
    "choose_parts",
    "clusters",
    "columns",
    "mean_baseline",
    "n_parts",
    "part_means",
    "patches",
    "segments",
    "steps",
    "words",
]
