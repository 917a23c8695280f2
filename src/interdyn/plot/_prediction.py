"""Which mechanism predicts the checkpoints from the final network: panels, and their figures."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from interdyn.plot._draw import draw
from interdyn.plot._marks import boundary, head
from interdyn.plot._panel import Panel, Series
from interdyn.plot._view import Drawable, as_view, has_numbers
from interdyn.values import Band, RunResult
from interdyn.values._table_prediction import DISTANCES, THEORY

_LOOKS = {  # mechanism to name in the legend, colour, symbol and dash
    "theory": ("theory", "theory", "D", "-"),
    "joint theory": ("joint theory", "mislabelled", "D", "-"),
    "noise operator": ("noise operator", "reality", "s", "-"),
    "tilt": ("tilt", "green", "v", "-"),
    "nothing": ("final network", "muted", "^", ":"),
}


def prediction(view: RunResult) -> Panel:
    """Return the correlation of predicted and measured tables over training by mechanism, and of nearby steps."""
    words = ("Each checkpoint predicted from the final network", "correlation (at most 1)")
    caption = (
        "Correlation between predicted and measured value table of a sample, with the parameter fitted on the other "
        "samples. Joint theory: one regression over AND and OR. Pale bands: 90 % intervals. Dashed: correlation with "
        "the next measurement, an upper limit for any mechanism."
    )
    top, found = head(view, "prediction", *words, caption), view.prediction
    if found is None or not found.mechanisms:
        return Panel(**top, missing=_missing(view))
    series = [
        Series(name, found.mechanisms[key].correlation, colour, symbol=symbol, dash=dash, interval="")
        for key, (name, colour, symbol, dash) in _LOOKS.items()
        if key in found.mechanisms
    ]
    if has_numbers(found.ceiling):
        assert found.ceiling is not None
        series.append(Series("nearby step", Band(found.ceiling), "ink", dash="--"))
    overall = found.overall
    spoken = "" if overall is None else f": {overall.sentence}"
    return Panel(**top, series=tuple(series), moments=boundary(view), alt=f"{words[0]}{spoken}")


def prediction_distance(view: RunResult) -> Panel:
    """Return the distance of each mechanism's predicted order distribution, to which nothing is fitted."""
    words = ("Order distributions of the predictions", "total variation (0 to 1)")
    caption = (
        "Distance between the order distribution of the predicted tables, split like the measured ones, and the "
        f"measured distribution; nothing is fitted to it. {DISTANCES}"
    )
    top, found = head(view, "prediction-distance", *words, caption), view.prediction
    if found is None or not any(has_numbers(one.distance) for one in found.mechanisms.values()):
        return Panel(**top, missing=_missing(view))
    series = tuple(
        Series(name, Band(found.mechanisms[key].distance), colour, symbol=symbol, dash=dash)
        for key, (name, colour, symbol, dash) in _LOOKS.items()
        if key in found.mechanisms
    )
    means = ", ".join(f"{s.name} {np.nanmean(s.band.value):.3f}" for s in series if has_numbers(s.band.value))
    alt = f"Mean distance of order distributions by mechanism: {means}."
    return Panel(**top, series=series, moments=boundary(view), scale="from zero", alt=alt)


def theory_gain(view: RunResult) -> Float[np.ndarray, " steps"] | None:
    """Return how much better the theory predicts each step than its best rival; None where that is not known."""
    found = None if view.prediction is None else view.prediction.mechanisms
    if not found or not set(found) & set(THEORY):
        return None
    ours, others = (
        np.stack([one.correlation.value for key, one in found.items() if (key in THEORY) is own])
        for own in (True, False)
    )
    return np.asarray(ours.max(axis=0) - others.max(axis=0))


def _missing(view: RunResult) -> str:
    if view.stage is not None:
        return "Available when the run has ended: predictions start from the final network."
    if view.prediction is not None and view.prediction.reason:
        return f"Nothing was predicted.\n{view.prediction.reason}"
    return "Nothing was predicted.\nAnalyse the run again with this version: remove summary.json and run it."


def plot_prediction(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw how well each mechanism predicts the value tables of every checkpoint from the final network.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes: mean correlation over samples, with 90 % intervals over samples; dashed: the ceiling, a nearby step.

    Notes
    -----
    Requires the block ``prediction`` of ``summary.json``. Source: this project, `interdyn.theory.predict_tables`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_prediction({"summary": {"steps": [0]}}, ax=Figure().subplots()).texts[0].get_text()[:22]
    'Nothing was predicted.'
    """
    return draw(prediction(as_view(data)), ax)


def plot_prediction_distance(data: Drawable, *, ax: Axes | None = None) -> Axes:
    """Draw how far the order distribution of each mechanism's prediction is from the measured one.

    Parameters
    ----------
    data, ax
        As in `plot_order_distribution`.

    Returns
    -------
    Axes
        The axes: total variation distance in [0, 1]. It is a secondary figure: wrong mechanisms can be as close.

    Notes
    -----
    Requires the block ``prediction`` of ``summary.json``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_prediction_distance({"summary": {"steps": [0]}}, ax=Figure().subplots()).texts[0].get_text()[:22]
    'Nothing was predicted.'
    """
    return draw(prediction_distance(as_view(data)), ax)
