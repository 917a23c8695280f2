"""The charts of the report, one function per question, each from a `RunResult` to a `Chart`."""

from typing import Any

import numpy as np

from interdyn.plot import StepAxis, group_name, has_numbers
from interdyn.report._chart import (
    STEP,
    Chart,
    layout_over_time,
    line_with_band,
    numbers,
    place_of,
    stripe,
    vertical,
)
from interdyn.values import Band, RunResult

_COLOURS = {"test": "reality", "mislabelled": "mislabelled"}


def heat_map(view: RunResult, name: str, *, top: float) -> Chart:
    """Return the heat map order x step of one group; ``top`` is the share at the end of the colour scale."""
    place = list(view.groups).index(name) if name in view.groups else 0
    chart_id, title = f"heat-{place}", f"Orders over training: {name}"
    group = view.group(name)
    band = group.order_distribution if group is not None else None
    if band is None or not has_numbers(band.value):
        return Chart(chart_id, title, "", missing=f"Record `order_distribution` of {group_name(name)}.")
    axis = StepAxis.of(view.steps)
    share = band.value
    peak = view.orders[np.nan_to_num(share).argmax(axis=1)]
    trace = {
        "type": "heatmap",
        "x": numbers(axis.edges(view.steps)),
        "y": numbers(np.concatenate([view.orders - 0.5, view.orders[-1:] + 0.5])),
        "z": numbers(share.T),
        "zmin": 0,
        "zmax": top,
        "colorscale": "Cividis",
        "colorbar": {"title": {"text": "share", "side": "top"}, "thickness": 10, "outlinewidth": 0, "len": 1},
        "customdata": [[[step, order] for step in numbers(view.steps)] for order in numbers(view.orders)],
        "hovertemplate": STEP + "order %{customdata[1]}: share %{z:.3f}<extra></extra>",
    }
    layout = layout_over_time(view, "order", y={"showgrid": False, "dtick": 1 if len(view.orders) <= 12 else 5})
    for shape in layout["shapes"]:
        shape["line"] = {**shape["line"], **({"color": "#ffffff"} if shape["line"]["width"] else {})}
    layout["shapes"] = [s for s in layout["shapes"] if s["type"] == "line"]
    for note in layout["annotations"]:
        note |= {"font": {"size": 11, "color": "#ffffff"}, "bgcolor": "rgba(0,0,0,0.45)"}
    caption = "Each column is a checkpoint; bright means that much of the network's strength has that order."
    alt = f"Heat map of {group_name(name)}: strongest order {peak[0]:.0f} at first, {peak[-1]:.0f} at last."
    return Chart(chart_id, title, caption, alt, data=[trace], layout=layout)


def mean_order(view: RunResult) -> Chart:
    """Return the mean order of every group with its interval."""
    chart_id, title = "mean-order", "Mean order"
    traces: list[dict[str, Any]] = []
    spoken: list[str] = []
    for name, group in view.groups.items():
        band = group.mean_order
        if band is None or not has_numbers(band.value):
            continue
        symbol = "circle" if name == "test" else "square"
        colour = _COLOURS.get(name, "muted")
        traces += line_with_band(
            view, band, name=group_name(name), colour=colour, unit=" players", marker={"symbol": symbol}
        )
        finite = band.value[np.isfinite(band.value)]
        spoken.append(f"{group_name(name)} from {finite[0]:.2f} over a low of {finite.min():.2f} to {finite[-1]:.2f}")
    if not traces:
        return Chart(chart_id, title, "", missing="Record `mean_order` of at least one group of samples.")
    caption = "How many input parts an interaction joins, on average; the pale band is the 90 % interval."
    layout = layout_over_time(view, "mean order (players)")
    return Chart(chart_id, title, caption, f"Mean order: {'; '.join(spoken)}.", data=traces, layout=layout)


def loss_gap(view: RunResult) -> Chart:
    """Return test loss minus training loss."""
    chart_id, title = "loss-gap", "Loss gap"
    gap = view.loss_gap
    if gap is None or not has_numbers(gap):
        return Chart(chart_id, title, "", missing="Record `train_loss` and `test_loss` at every checkpoint.")
    traces = line_with_band(view, Band(gap), name="test loss minus training loss", colour="theory", unit="")
    layout = layout_over_time(view, "loss gap (unit of the loss)", y={"zeroline": True})
    phases = view.phases
    if phases is not None and phases.gap_onset_step is not None:
        place = place_of(view, phases.gap_onset_step)
        onset = vertical(place, place, line={"color": "var:theory", "width": 1.5, "dash": "dot"})
        layout["shapes"].insert(0, onset)
        if phases.gap_interval is not None:
            layout["shapes"].insert(0, stripe(view, phases.gap_interval, colour="theory-band"))
    finite = gap[np.isfinite(gap)]
    alt = f"Loss gap: {finite[0]:.3g} at the start, {finite[-1]:.3g} at the end."
    caption = "Test loss minus training loss. Where it starts to grow (dotted) the network starts to over-fit."
    return Chart(chart_id, title, caption, alt, data=traces, layout=layout)


def orders(view: RunResult) -> Chart:
    """Return the order distribution of one checkpoint at a time beside the theory's, as frames."""
    chart_id, title = "orders", "Orders at the chosen checkpoint"
    group = view.group("test")
    band = group.order_distribution if group is not None else None
    if band is None or not has_numbers(band.value):
        return Chart(chart_id, title, "", missing="Record `order_distribution` of test samples.")
    x = numbers(view.orders)
    hover = "order %{x}: %{y:.3f}<extra>"
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": "measured, test samples",
            "x": x,
            "marker": {"color": "var:reality"},
            "error_y": {"type": "data", "symmetric": False, "color": "var:ink", "thickness": 1, "width": 0},
            "hovertemplate": hover + "measured</extra>",
        }
    ]
    series = [band.value]
    wrong = view.group("mislabelled")
    if view.theory is not None and has_numbers(view.theory.order_distribution):
        series.append(np.asarray(view.theory.order_distribution))
        traces.append(_points(x, "theory", "theory", "diamond", hover))
    if wrong is not None and wrong.order_distribution is not None:
        series.append(wrong.order_distribution.value)
        traces.append(_points(x, "measured, mislabelled samples", "mislabelled", "square", hover))
        traces[-1]["visible"] = "legendonly"
    frames = [[{"y": numbers(array[i])} for array in series] for i in range(len(view.steps))]
    interval = band.interval()
    if interval is not None:
        for i, frame in enumerate(frames):
            up, down = (np.maximum(e, 0) for e in (interval[1][i] - band.value[i], band.value[i] - interval[0][i]))
            frame[0]["error_y"] = {"array": numbers(up), "arrayminus": numbers(down)}
    top = max(float(np.nanmax(array)) for array in [*series, *(interval or ())] if has_numbers(array))
    layout = {
        "xaxis": {
            "title": {"text": "order (number of players)", "standoff": 6},
            "showgrid": False,
            "dtick": 1 if len(x) <= 12 else 5,
            "fixedrange": True,
        },
        "yaxis": {"title": {"text": "share of strength"}, "range": [0, 1.05 * top], "fixedrange": True},
    }
    caption = "Bars: measured, with 90 % intervals. Diamonds: what the theory expects at the same checkpoint."
    alt = "Bars: the share of each order at the checkpoint chosen with the slider, described in words above."
    return Chart(chart_id, title, caption, alt, height=320, data=traces, layout=layout, frames=frames)


def _points(x: list[float], name: str, colour: str, symbol: str, hover: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "line": {"color": f"var:{colour}", "width": 2},
        "marker": {"color": f"var:{colour}", "size": 8, "symbol": symbol},
        "hovertemplate": f"{hover}{name}</extra>",
    }


def courses(view: RunResult) -> Chart:
    """Return the empty chart in which the page draws the interactions of the chosen sample over training."""
    caption = "The interactions that are strongest at the end, over the whole training, in the unit of the output."
    alt = "Strongest interactions of the chosen sample over training; the table of tiles above says them in words."
    layout = layout_over_time(view, "interaction", y={"zeroline": True})
    return Chart("courses", "How they came about", caption, alt, layout=layout)


def distance(view: RunResult) -> Chart:
    """Return the distance between theory and reality beside the two nulls."""
    chart_id, title = "distance", "Distance between theory and reality"
    theory = view.theory
    if theory is None or not has_numbers(theory.tv.value):
        return Chart(chart_id, title, "", missing=_no_theory(view))
    nulls = (
        (
            "null: no noise",
            theory.tv_null_sigma0,
            "null-a",
            {"line": {"dash": "dot"}, "marker": {"symbol": "triangle-up"}},
        ),
        (
            "null: tilt",
            theory.tv_null_tilt,
            "null-b",
            {"line": {"dash": "dash"}, "marker": {"symbol": "triangle-down"}},
        ),
    )
    traces: list[dict[str, Any]] = []
    for name, value, colour, style in nulls:
        traces += line_with_band(view, Band(value), name=name, colour=colour, unit="", **style)
    traces += line_with_band(view, theory.tv, name="theory", colour="theory", unit="", marker={"symbol": "diamond"})
    layout = layout_over_time(view, "total variation distance", y={"rangemode": "tozero"})
    if theory.bound is not None:
        rule = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": theory.bound, "y1": theory.bound}
        layout["shapes"].insert(0, {**rule, "line": {"color": "var:muted", "width": 1}})
    inside = theory.tv.value[theory.in_phase_2]
    alt = "Total variation distance between the theory's and the measured distribution over orders"
    alt += f"; in phase 2 at most {np.nanmax(inside):.3f}." if has_numbers(inside) else "."
    caption = (
        "0 means that the theory's distribution over orders is the measured one, 1 that they share nothing. "
        "A theory worth having lies below both simpler explanations after the boundary."
    )
    if theory.bound is not None:
        caption += f" It describes a checkpoint where it is below the grey line, {theory.bound:g}."
    return Chart(chart_id, title, caption, alt, data=traces, layout=layout)


def _no_theory(view: RunResult) -> str:
    if view.stage is not None:
        return "This comes when the run has ended: the theory starts from the final network."
    return "Fit the theory: `interdyn.theory.fit_noise`."


def noise(view: RunResult) -> Chart:
    """Return the fitted noise variance on a logarithmic axis."""
    chart_id, title = "noise", "Noise level"
    theory = view.theory
    level = np.empty(0) if theory is None else np.where(theory.noise_var.value > 0, theory.noise_var.value, np.nan)
    if theory is None or not has_numbers(level):
        return Chart(chart_id, title, "", missing=_no_theory(view))
    interval = theory.noise_var.interval()
    edges = () if interval is None else tuple(np.where(edge > 0, edge, np.nan) for edge in interval)
    all_steps = Band(level, *edges)
    described = Band(np.where(theory.described, level, np.nan))
    outside = "where the theory does not describe the network"
    traces = line_with_band(view, all_steps, name=outside, colour="muted", unit="", line={"width": 1})
    traces += line_with_band(
        view, described, name="fitted noise variance", colour="theory", unit="", marker={"symbol": "diamond"}
    )
    layout = layout_over_time(view, "noise variance σ²", y=_decades(np.concatenate([level, *edges])))
    finite = level[np.isfinite(level)]
    alt = f"Fitted noise variance: {finite[0]:.1e} at the first fitted step, {finite[-1]:.1e} at the last."
    caption = "The theory explains phase 2 by noise that fades: the level that fits best should fall."
    return Chart(chart_id, title, caption, alt, data=traces, layout=layout)


def _decades(values: np.ndarray) -> dict[str, Any]:
    """Return a logarithmic axis over whole decades around the values, with about five labels."""
    logs = np.log10(values[np.isfinite(values)])
    low, high = int(np.floor(logs.min() - 0.01)), int(np.ceil(logs.max() + 0.01))
    ticks = {"exponentformat": "power", "dtick": max(1, round((high - low) / 5)), "tick0": low}
    return {"type": "log", "range": [low, high], **ticks}
