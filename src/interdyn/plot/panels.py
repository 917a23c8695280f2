"""What each figure of a run shows: one function per question, from a run to a `Panel`, without a drawing library.

Required data, units and intervals are those of the figure of the same name in `interdyn.plot`. `top`, `waterfall` and
`top_over_training` take a result of `interdyn.measure` or a run directory, since they show single interactions.

Examples
--------
>>> from interdyn.plot import panels
>>> from interdyn.values import RunResult
>>> panel = panels.mean_order(RunResult.from_json({"steps": [0, 10], "mean_order": [3.5, 1.6]}))
>>> panel.y, panel.series[0].name, panel.series[0].band.value.tolist()
('mean order (N not recorded)', 'test samples', [3.5, 1.6])
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from interdyn.errors import InputError
from interdyn.plot._marks import all_moments as _moments, boundary as _boundary, head as _head
from interdyn.plot._overview import overview as overview
from interdyn.plot._panel import Panel, Rule, Series, credit
from interdyn.plot._prediction import prediction, prediction_distance, theory_gain
from interdyn.plot._steps import StepAxis
from interdyn.plot._uses import top, top_over_training, waterfall
from interdyn.plot._view import has_numbers
from interdyn.plot._windows import of_windows, repeatability as repeatability
from interdyn.values import Band, RunResult, different_games
from interdyn.values._table_prediction import DISTANCES

__all__ = [
    "QUANTITIES",
    "accuracies",
    "comparison",
    "courses",
    "distance",
    "heat_map",
    "loss_gap",
    "losses",
    "mean_order",
    "noise",
    "orders",
    "overview",
    "phase_2",
    "prediction",
    "prediction_distance",
    "strengths",
    "theory",
    "top",
    "top_over_training",
    "waterfall",
]

GROUP_NAMES = {"test": "test samples", "train": "training samples", "mislabelled": "mislabelled training samples"}
GROUP_COLOURS = {"test": "reality", "mislabelled": "mislabelled"}
COMPARED = ("reality", "theory", "green", "mislabelled", "or", "muted")
"""Colours of compared runs; where there are more, lines are dashed."""

QUANTITIES = {  # what can be compared: title, label of the axis, caption
    "mean_order": (
        "Mean order of the interactions",
        "mean order (players)",
        "Average number of players in an interaction, weighted by strength.",
    ),
    "loss_gap": ("Loss gap", "loss gap (unit of the loss)", "Test loss minus training loss."),
    "theory_gain": (
        "Gain of the theory over its best rival",
        "gain in correlation",
        "Above 0, the theory predicts the value tables of a checkpoint better than its best rival.",
    ),
    "noise_var": (
        "Noise level that matches each checkpoint",
        "noise variance σ² (no unit)",
        "The noise level at which the theory matches each checkpoint best.",
    ),
    "tv_distance": (
        "Distance between theory and measurement",
        "total variation distance (0 to 1)",
        "0: the theory's distribution over orders is equal to the measured one; 1: they share nothing.",
    ),
}
_ORDER = "order of the interaction (number of players)"
_SHARE = "share of interaction strength"
_DIAMONDS = " Diamonds: the theory's distribution at the same checkpoint."


def group_name(name: str) -> str:
    """Return the display name of a group of samples."""
    return GROUP_NAMES.get(name, f"{name} samples")


def phase_2(view: RunResult) -> Int[np.ndarray, " some"]:
    """Return the indices of phase 2 without the last step, whose network is the theory's input."""
    inside = np.flatnonzero(view.theory.in_phase_2) if view.theory is not None else np.empty(0, dtype=np.intp)
    return np.asarray(inside[inside < len(view.steps) - 1])


def heat_map(view: RunResult, group: str = "test", *, top: float | None = None) -> Panel:
    """Return the share of each order at each step of one group; ``top`` is the upper end of the colour scale."""
    place = list(view.groups).index(group) if group in view.groups else 0
    head = _head(view, f"heat-{place}", f"Orders of {group_name(group)}")
    share = _distribution(view, group)
    if share is None:
        return Panel(**head, missing=_no_orders(group))
    column = "a checkpoint"
    if view.windows is not None and group in view.windows.order_distribution:
        head["steps"], share = view.windows.steps, Band(view.windows.order_distribution[group])
        column = "a measurement, the mean of its nearby steps"
    peak = view.orders[np.nan_to_num(share.value).argmax(axis=1)]
    return Panel(
        **head,
        y="order of the interaction",
        orders=view.orders,
        series=(Series(_SHARE, share, "ink", mark="cells", top=top),),
        moments=_boundary(view),
        caption=f"Each column is {column}. Bright: a large share of the interaction strength has that order.",
        alt=f"Heat map of {group_name(group)}: strongest order {peak[0]:.0f} at the start, {peak[-1]:.0f} at the end.",
    )


def orders(view: RunResult, group: str = "test", *, theory: bool = False, others: Sequence[str] = ()) -> Panel:
    """Return the order distribution of a group at every step, with those of the theory and of other groups."""
    head = _head(view, "orders", f"Order distribution over training, {group_name(group)}")
    measured = _distribution(view, group)
    if measured is None:
        return Panel(**head, missing=_no_orders(group))
    series = [Series(f"measured, {group_name(group)}", measured, GROUP_COLOURS.get(group, "muted"), mark="bars")]
    drawn = theory and view.theory is not None and has_numbers(view.theory.order_distribution)
    if drawn:
        assert view.theory is not None
        assert view.theory.order_distribution is not None
        series.append(Series("theory", Band(view.theory.order_distribution), "theory", symbol="D"))
    for name in others:
        if (other := _distribution(view, name)) is not None:
            words, colour = f"measured, {group_name(name)}", GROUP_COLOURS.get(name, "muted")
            series.append(Series(words, Band(other.value), colour, symbol="s", optional=True))
    return Panel(
        **head,
        x=_ORDER,
        y=_SHARE,
        orders=view.orders,
        series=tuple(series),
        scale="from zero",
        caption="Bars: measured, with 90 % intervals." + (_DIAMONDS if drawn else ""),
        alt="Bars: the share of each order at the selected checkpoint; the text next to the slider describes it.",
    )


def theory(view: RunResult) -> Panel:
    """Return the order distribution of test samples, measured and by the theory."""
    panel, title = orders(view, theory=True), "Theory and measurement, test samples"
    if len(panel.series) < 2:
        return Panel(**_head(view, "orders", title), missing=_no_theory(view))
    return replace(panel, title=title if phase_2(view).size else f"{title}; phase 2 was not found")


def strengths(view: RunResult, group: str = "test") -> Panel:
    """Return the strength of each order at every step by kind and sign; bars that lower the output point down."""
    head = _head(view, "strengths", f"Strength by kind and sign, {group_name(group)}")
    measured = view.group(group)
    if measured is None or measured.strength is None:
        return Panel(**head, missing="No signed strengths were recorded.\nRecord `strength` of this group.")
    series = tuple(
        Series(
            f"{kind.upper()}, {verb} the output",
            Band(sign * np.abs(measured.strength[f"{kind}_{name}"])),
            kind,
            mark="bars",
            side=-1 if kind == "and" else 1,
            faint=sign < 0,
        )
        for kind in ("and", "or")
        for sign, name, verb in ((1, "positive", "raises"), (-1, "negative", "lowers"))
    )
    y = f"mean strength per sample ({measured.unit})"
    return Panel(**head, x=_ORDER, y=y, orders=view.orders, series=series, levels=(Rule(0.0),))


def mean_order(view: RunResult) -> Panel:
    """Return the mean order of every group over training."""
    head = _head(view, "mean-order", *QUANTITIES["mean_order"]) | {"y": f"mean order ({view.game})"}
    bands = {name: group.mean_order for name, group in view.groups.items() if group.mean_order is not None}
    drawn = {name: band for name, band in bands.items() if has_numbers(band.value)}
    if not drawn:
        needs = "No mean order was recorded.\nRecord `mean_order` of at least one group of samples."
        return Panel(**head, missing=needs)
    series, spoken = list[tuple[str, Series]](), []
    for name, band in drawn.items():
        symbol, colour = "o" if name == "test" else "s", GROUP_COLOURS.get(name, "muted")
        series.append((name, Series(group_name(name), band, colour, symbol=symbol, unit=" players")))
        finite = band.value[np.isfinite(band.value)]
        ends = f"{finite[0]:.2f} at the start, minimum {finite.min():.2f}, {finite[-1]:.2f} at the end"
        spoken.append(f"{group_name(name)} {ends}")
    head["caption"] += " The pale band is the 90 % interval."
    shown = [line for _, line in series]
    if view.windows is not None:
        shown = of_windows(view, series)
        head["caption"] += (
            " Each point of a line is the mean of the spectra of nearby steps, drawn at the first of them. The verdict "
            "uses the single steps (pale). Second measure, without a split: Walsh degree of what nearby steps share."
        )
    return Panel(**head, series=tuple(shown), moments=_boundary(view), alt=f"Mean order: {'; '.join(spoken)}.")


def loss_gap(view: RunResult) -> Panel:
    """Return test loss minus training loss over training, with the step where it begins to widen."""
    head = _head(view, "loss-gap", *QUANTITIES["loss_gap"])
    gap = view.loss_gap
    if gap is None or not has_numbers(gap):
        needs = "No loss was recorded.\nRecord `train_loss` and `test_loss` at every checkpoint."
        return Panel(**head, missing=needs)
    head["caption"] += " It often begins to widen (dotted) while the test loss still falls, which is not harm."
    finite = gap[np.isfinite(gap)]
    return Panel(
        **head,
        series=(Series("test loss minus training loss", Band(gap), "theory"),),
        moments=_moments(view),
        levels=(Rule(0.0),),
        alt=f"Loss gap: {finite[0]:.3g} at the start, {finite[-1]:.3g} at the end.",
        remark="" if np.isfinite(gap).all() else "Gaps in the line: the loss is not a number.",
    )


def losses(view: RunResult) -> Panel:
    """Return training and test loss over training, with the boundary, the onset of the gap and that of harm."""
    return _evaluated(view, "losses", "Loss", "loss (unit of the loss)", (view.train_loss, view.test_loss))


def accuracies(view: RunResult) -> Panel:
    """Return training and test accuracy over training, with the same marks as the losses."""
    return _evaluated(view, "accuracies", "Accuracy", "accuracy (0 to 1)", (view.train_accuracy, view.test_accuracy))


def _evaluated(
    view: RunResult, name: str, title: str, y: str, both: tuple[Float[np.ndarray, " steps"] | None, ...]
) -> Panel:
    head = _head(view, name, title, y, "Training harms where the test loss rises above its minimum.")
    groups = zip(("training samples", "test samples"), both, ("muted", "reality"), strict=True)
    drawn = [(group, values, colour) for group, values, colour in groups if values is not None and has_numbers(values)]
    if not drawn:
        return Panel(**head, missing=f"No {title.lower()} was recorded.\nRecord `{name}` at every checkpoint.")
    known = {group: values[np.isfinite(values)] for group, values, _ in drawn}
    ends = (f"{group} {values[0]:.3g} at the start, {values[-1]:.3g} at the end" for group, values in known.items())
    return Panel(
        **head,
        series=tuple(Series(group, Band(values), colour) for group, values, colour in drawn),
        moments=_moments(view),
        alt=f"{title}: {'; '.join(ends)}.",
    )


def distance(view: RunResult) -> Panel:
    """Return the distance between theory and measurement over training, and of two simpler explanations."""
    head = _head(view, "distance", *QUANTITIES["tv_distance"])
    theory = view.theory
    if theory is None or not has_numbers(theory.tv.value):
        return Panel(**head, missing=_no_theory(view))
    inside = phase_2(view)
    in_phase = np.full(len(view.steps), np.nan)
    in_phase[inside] = theory.tv.value[inside]
    series = [Series("theory", theory.tv, "theory", symbol="D", faint=True)]
    series += [Series("theory, in phase 2", Band(in_phase), "theory", symbol="D")] if inside.size else []
    series += [
        Series("rival: no noise", Band(theory.tv_null_sigma0), "null-a", symbol="^", dash=":"),
        Series("rival: tilt", Band(theory.tv_null_tilt), "null-b", symbol="v", dash="--"),
    ]
    head["caption"] += f" The theory and the tilt are fitted to the distribution. {DISTANCES}"
    phase = theory.tv.value[theory.in_phase_2]
    alt = "Total variation distance between the theory's and the measured distribution over orders"
    alt += f"; in phase 2 at most {np.nanmax(phase):.3f}." if has_numbers(phase) else "."
    return Panel(**head, series=tuple(series), moments=_boundary(view), scale="from zero", alt=alt)


def noise(view: RunResult) -> Panel:
    """Return the noise variance that fits each step best; a level of 0 is left out of the logarithmic axis."""
    head = _head(view, "noise", *QUANTITIES["noise_var"])
    level = _quantity(view, "noise_var")
    if view.theory is None or level is None:
        return Panel(**head, missing=_no_theory(view))
    inside = Band(np.where(view.theory.in_phase_2, level.value, np.nan))
    finite = level.value[np.isfinite(level.value)]
    head["caption"] += " The theory explains phase 2 by decreasing noise, so the level should fall."
    return Panel(
        **head,
        series=(
            Series("best-fitting level", level, "muted", faint=True),
            Series("best-fitting level, in phase 2", inside, "theory", symbol="D"),
        ),
        moments=_boundary(view),
        scale="log",
        alt=f"Fitted noise variance: {finite[0]:.1e} at the first fitted step, {finite[-1]:.1e} at the last.",
    )


def courses(view: RunResult) -> Panel:
    """Return the frame in which a page draws the interactions of the selected sample over training."""
    return Panel(
        **_head(view, "courses", "Strongest interactions over training"),
        y="interaction (unit of the output)",
        moments=_boundary(view),
        levels=(Rule(0.0),),
        caption="The selected sample: the interactions that are strongest at the last checkpoint, over the training.",
        alt="Strongest interactions of the selected sample over training; the table above names them.",
    )


def comparison(named: Mapping[str, Sequence[RunResult]], quantity: str) -> Panel:
    """Return one of `QUANTITIES` for several runs, or for groups of seeds, without boundaries.

    Raises
    ------
    InputError
        If seeds that are to be averaged were measured in different games.
    """
    views = [view for members in named.values() for view in members]
    of_games = quantity != "loss_gap"
    for name, members in named.items() if of_games else ():
        if differ := different_games([view.game for view in members]):
            raise InputError(
                f"seeds can only be averaged within one game; got runs of {name!r} that differ in {_listed(differ)}. "
                "Compare them one by one."
            )
    differ = different_games([view.game for view in views]) if of_games else {}
    widest = max(views, key=lambda view: view.steps[-1])
    versions = ", ".join(sorted({view.version for view in views if view.version}))
    names = " and ".join(dict.fromkeys(view.recipe for view in views))
    head = {**_head(widest, quantity, *QUANTITIES[quantity]), "stamp": credit(names, versions)}
    found = {name: course for name, members in named.items() if (course := _course(members, quantity)) is not None}
    if not found:
        return Panel(**head, missing=f"No run has this quantity.\nRecord `{quantity}` in at least one run.")
    series, spoken = [], []
    for place, (name, (steps, band)) in enumerate(found.items()):
        words = f"{name} ({len(named[name])} seeds, band: range)" if len(named[name]) > 1 else name
        words += f", {named[name][0].game}" if differ else ""
        dash = ("-", "--", ":", "-.")[place // len(COMPARED) % 4]
        colour = COMPARED[place % len(COMPARED)]
        series.append(Series(words, band, colour, dash=dash, steps=steps, interval=""))
        spoken.append(f"{name} ends at {band.value[-1]:.3g}")
    if quantity == "mean_order" and not differ:
        head["y"] = f"mean order ({widest.game})"
    return Panel(
        **head,
        series=tuple(series),
        scale="log" if quantity == "noise_var" else "linear",
        alt=f"{head['title']} of several runs: {'; '.join(spoken)}.",
        remark=f"Measured in different games, which cannot be compared: {_listed(differ)}." if differ else "",
    )


def _listed(differ: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{what}: {' and '.join(dict.fromkeys(values))}" for what, values in differ.items())


def _course(views: Sequence[RunResult], quantity: str) -> tuple[Float[np.ndarray, " steps"], Band] | None:
    """Return steps and band of one run, or mean and range of seeds at the steps that all have reached."""
    bands = [(view, band) for view in views if (band := _quantity(view, quantity)) is not None]
    if len(bands) < 2:
        return (bands[0][0].steps, bands[0][1]) if bands else None
    axis = StepAxis.of(bands[0][0].steps)
    end = min(float(view.steps[-1]) for view, _ in bands)
    steps = bands[0][0].steps[bands[0][0].steps <= end]
    at = axis.position(steps)
    values = np.stack([np.interp(at, axis.position(view.steps), band.value) for view, band in bands])
    return steps, Band(values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _quantity(view: RunResult, quantity: str) -> Band | None:
    band: Band | None = None
    if quantity == "mean_order" and view.groups:
        band = next(iter(view.groups.values())).mean_order
    elif quantity == "loss_gap" and view.loss_gap is not None:
        band = Band(view.loss_gap)
    elif quantity == "theory_gain" and (gain := theory_gain(view)) is not None:
        band = Band(gain)
    elif quantity == "noise_var" and view.theory is not None:
        noise = view.theory.noise_var
        band = Band(np.where(noise.value > 0, noise.value, np.nan), noise.low, noise.high)
    elif quantity == "tv_distance" and view.theory is not None:
        band = view.theory.tv
    return band if band is not None and has_numbers(band.value) else None


def _distribution(view: RunResult, group: str) -> Band | None:
    measured = view.group(group)
    band = measured.order_distribution if measured is not None else None
    return band if band is not None and has_numbers(band.value) else None


def _no_orders(group: str) -> str:
    return f"Nothing was measured on {group_name(group)}.\nRecord `order_distribution` of this group."


def _no_theory(view: RunResult) -> str:
    if view.stage is not None:
        return "Available when the run has ended: the theory starts from the final network."
    return "The theory was not fitted.\nFit it with `interdyn.theory.fit_noise`. Record the result as `theory`."
