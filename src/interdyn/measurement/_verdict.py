"""The verdict on a run in a few plain sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from interdyn.dynamics import Phases


def verdict(
    phases: Phases, theory_summary: Mapping[str, Any], strengths: Mapping[str, np.ndarray], steps: np.ndarray
) -> list[str]:
    """Return short sentences for a newcomer: phases, over-fitting, theory, mislabelled samples.

    Parameters
    ----------
    phases
        Phases of the first group.
    theory_summary
        As in the summary of a run.
    strengths
        Salient strength of each group, shape ``(steps, samples, orders)``.
    steps
        Optimiser steps.
    """
    orders = {name: _mean_order(strength) for name, strength in strengths.items()}
    sentences = [_phase_sentence(phases, next(iter(orders.values())), steps)]
    if phases.gap is not None:
        sentences.append(phases.gap.sentence)
    if phases.found and phases.gap is not None and phases.gap.found:
        sentences.append(phases.agreement)
    sentences.append(theory_summary["sentence"])
    if "mislabelled" in orders and "test" in orders:
        wrong, right = orders["mislabelled"][-1], orders["test"][-1]
        if np.isfinite(wrong) and np.isfinite(right):
            side = "higher" if wrong > right else "not higher"
            sentences.append(
                f"At the end mislabelled training samples have mean order {wrong:.2f}, {side} than test samples "
                f"({right:.2f})."
            )
    return sentences


def _mean_order(strength: np.ndarray) -> np.ndarray:
    mean = strength.mean(axis=1)
    total = mean.sum(axis=-1)
    k = np.arange(1, mean.shape[-1] + 1)
    return np.asarray(np.divide(mean @ k, total, out=np.full(len(total), np.nan), where=total > 0))


def _phase_sentence(phases: Phases, order: np.ndarray, steps: np.ndarray) -> str:
    if not phases.found or phases.interval is None or phases.boundary_step is None or np.isnan(order).all():
        return phases.sentence
    lowest = int(np.nanargmin(order))
    low, high = phases.interval
    return (
        f"Two phases: the mean order of the interactions fell from {order[0]:.2f} to {order[lowest]:.2f}, then rose to "
        f"{order[-1]:.2f}. Phase 2 begins at step {phases.boundary_step:.0f} ({phases.level:.0%} interval {low:.0f} to "
        f"{high:.0f}, of {steps[-1]:.0f} steps)."
    )
