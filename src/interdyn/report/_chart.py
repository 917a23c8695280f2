"""A `Panel` as plain data for plotly's JavaScript.

Colours are written as ``"var:name"`` and read from the page's CSS variables when drawn, so that one chart serves light,
dark and print. Steps are positions on `StepAxis`; hover texts show the steps themselves.
"""

from html import escape
from typing import Any

import numpy as np

from interdyn.plot import Panel, Rule, Series, StepAxis, has_numbers, step_label

_STEP = "<b>step %{customdata[0]:,}</b><br>"
_SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down"}
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}


def chart(panel: Panel, *, slider: bool = True) -> dict[str, Any]:
    """Return traces and layout of a panel, with its texts.

    ``frames`` holds, for every step, what changes in each trace of a panel over orders; ``slider`` says whether the
    page has one, whose step is marked in the charts over training.

    Examples
    --------
    >>> chart(Panel("id", "A title", missing="Record something."))["missing"]
    'Record something.'
    """
    out: dict[str, Any] = {key: getattr(panel, key) for key in ("id", "title", "missing", "alt")}
    out |= {"caption": f"{panel.caption} {panel.remark}".strip(), "height": 320 if panel.over_orders else 300}
    if panel.missing:
        return {**out, "data": [], "layout": {}, "frames": []}
    if panel.over_orders:
        return {**out, **_over_orders(panel)}
    if panel.strip:
        return {**out, **_stack(panel)}
    cells = panel.cells
    data = [_heat(panel, cells)] if cells is not None else [t for s in panel.series for t in _line(panel, s)]
    return {**out, "data": data, "layout": _layout(panel, slider), "frames": []}


_PLOT, _ROW, _AROUND = 156, 26, 80  # height of a plot, of a row of the strip, and of legend and axis, in pixels
_WORDS, _BAR = 0.64, 0.24  # of a row: where its bar begins, and how high it is


def _stack(panel: Panel) -> dict[str, Any]:
    """Return a panel, those below it on the same axis of steps, and the strip under them."""
    panels, rows = (panel, *panel.below), len(panel.strip)
    inside = _PLOT * len(panels) + _ROW * rows
    foot = _ROW * rows / inside
    layout, data = _layout(panel, slider=False), []
    for place, one in enumerate(panels):
        number = "" if place == 0 else str(place + 1)
        data += [{**trace, "yaxis": f"y{number}"} for series in one.series for trace in _line(panel, series)]
        share = _PLOT / inside
        top = 1 - place * share
        y = {"title": _title(one.y), "fixedrange": True, "zeroline": False, "nticks": 5}
        layout[f"yaxis{number}"] = {**y, "domain": [top - share + 0.03, top]}
    layout["xaxis"] |= {"anchor": "free", "position": 0}
    more = [_in_strip(panel, moment, foot * (1 - row / rows), foot / rows) for row, moment in enumerate(panel.strip)]
    layout["shapes"] += [shape for shapes, _ in more for shape in shapes]
    layout["annotations"] += [note for _, note in more]
    return {"data": data, "layout": layout, "frames": [], "height": inside + _AROUND}


def _in_strip(panel: Panel, moment: Rule, top: float, high: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the bar of a moment, its line through all curves, and its text; heights are shares of the chart."""
    shapes, colour = list[dict[str, Any]](), f"var:{moment.colour}"
    inside = {"y0": top - (_WORDS + _BAR) * high, "y1": top - _WORDS * high}
    if moment.interval is not None:
        low, far = numbers(StepAxis.of(panel.steps).position(np.array(moment.interval)))
        bar = {"type": "rect", "fillcolor": colour, "opacity": 0.4, "line": {"width": 0}}
        shapes.append({**_across(low, far), **inside, **bar})
    if np.isfinite(moment.at):
        at = float(StepAxis.of(panel.steps).position(np.array(moment.at)))
        shapes.append({**_across(at, at), "y0": inside["y1"], "line": _stroke(moment, 1.2)})
        shapes.append({**_across(at, at), **inside, "line": {"color": colour, "width": 4}})
    place = {"xref": "paper", "x": 0, "xanchor": "left", "yref": "paper", "y": top - _WORDS * high / 2}
    place["yanchor"] = "middle"
    look = {
        "showarrow": False,
        "xshift": 2,
        "borderpad": 0,
        "bgcolor": "var:veil",
        "font": {"size": 12, "color": colour},
    }
    return shapes, {**place, **look, "text": _text(moment.name)}


def numbers(array: np.ndarray) -> Any:
    """Turn an array into nested lists for JSON: nine digits, ``None`` for what is not a number.

    Examples
    --------
    >>> numbers(np.array([[1 / 3, np.nan]]))
    [[0.333333333, None]]
    """
    if array.ndim > 0:
        return [numbers(row) for row in array]
    value = float(array)
    return float(f"{value:.9g}") if np.isfinite(value) else None


def _line(panel: Panel, series: Series) -> list[dict[str, Any]]:
    """Return the traces of a line with its interval as a band under it."""
    steps = panel.steps if series.steps is None else series.steps
    x, colour, edges = numbers(StepAxis.of(panel.steps).position(steps)), f"var:{series.colour}", series.edges()
    hover = _STEP + f"{_text(series.name)}: %{{y:.3~g}}{_text(series.unit)}"
    columns, traces = [numbers(steps)], []
    if edges is not None:
        columns += [numbers(edge) for edge in edges]
        hover += "<br>interval %{customdata[1]:.3~g} to %{customdata[2]:.3~g}"
        edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces += [
            {**edge, "y": columns[1]},
            {**edge, "y": columns[2], "fill": "tonexty", "fillcolor": f"{colour}-band"},
        ]
    line = {
        "x": x,
        "y": numbers(series.band.value),
        "mode": "lines+markers" if series.dash else "markers",
        "name": _text(series.name),
        "line": {"color": colour, "width": 2, "dash": _DASHES.get(series.dash, "solid")},
        "marker": {"color": colour, "size": 6, "symbol": _SYMBOLS[series.symbol]},
        "opacity": 0.5 if series.faint else 1,
        **({} if series.dash else {"showlegend": False}),
        "customdata": [list(row) for row in zip(*columns, strict=True)],
        "hovertemplate": hover + "<extra></extra>",
    }
    return [*traces, line]


def _heat(panel: Panel, cells: Series) -> dict[str, Any]:
    steps, orders = panel.steps, panel.orders
    return {
        "type": "heatmap",
        "x": numbers(StepAxis.of(steps).edges(steps)),
        "y": numbers(np.concatenate([orders - 0.5, orders[-1:] + 0.5])),
        "z": numbers(cells.band.value.T),
        "zmin": 0,
        "zmax": float(np.nanmax(cells.band.value)) if cells.top is None else cells.top,
        "colorscale": "Cividis",
        "colorbar": {"title": {"text": "share", "side": "top"}, "thickness": 10, "outlinewidth": 0, "len": 1},
        "customdata": [[[step, order] for step in numbers(steps)] for order in numbers(orders)],
        "hovertemplate": _STEP + "order %{customdata[1]}: share %{z:.3f}<extra></extra>",
    }


def _layout(panel: Panel, slider: bool) -> dict[str, Any]:
    """Return the layout of a chart over training: marked steps and values, and the cursor that the slider moves."""
    axis = StepAxis.of(panel.steps)
    ticks, labels = axis.ticks()
    edges = axis.edges(panel.steps)
    shapes = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level.at, "y1": level.at, "line": _stroke(level, 1)}
        for level in panel.levels
    ]
    notes: list[dict[str, Any]] = []
    for place, moment in enumerate(panel.moments):
        more, note = _moment(axis, moment, place, white=panel.cells is not None)
        if note["x"] > (edges[0] + edges[-1]) / 2:  # the name stands on the side that has more room
            note |= {"xanchor": "right", "xshift": -3}
        shapes += more
        notes.append(note)
    if slider and len(panel.steps) > 1:
        cursor = "#ffffff" if panel.cells is not None else "var:cursor"
        shapes.append({**_across(0, 0), "line": {"color": cursor, "width": 1.5}, "name": "cursor"})
    y: dict[str, Any] = {"title": _title(panel.y), "fixedrange": True, "zeroline": False}
    if panel.cells is not None:
        y |= {"showgrid": False, "dtick": _every(panel)}
    elif panel.scale == "log":
        y |= _decades(panel)
    elif panel.scale == "from zero":
        y["rangemode"] = "tozero"
    x = {
        "title": _title(panel.x),
        "tickvals": numbers(axis.position(np.array(ticks))),
        "ticktext": labels,
        "range": [float(edges[0]), float(edges[-1])],
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
    }
    return {"xaxis": x, "yaxis": y, "shapes": shapes, "annotations": notes}


def _moment(axis: StepAxis, moment: Rule, place: int, *, white: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the shapes of a marked step, its interval as a stripe (on colours as dotted edges), and its name."""
    at, *edges = (float(axis.position(np.array(step))) for step in (moment.at, *(moment.interval or ())))
    line = {"color": "#ffffff", "width": 1.2, "dash": _DASHES[moment.dash]} if white else _stroke(moment, 1.2)
    shapes = [{**_across(at, at), "line": line}]
    if edges and white:
        shapes += [{**_across(edge, edge), "line": {**line, "width": 1, "dash": "dot"}} for edge in edges]
    elif edges:
        fill = "var:stripe" if moment.colour == "ink" else f"var:{moment.colour}-band"
        shapes.insert(0, {**_across(*edges), "fillcolor": fill, "line": {"width": 0}, "layer": "below"})
    note = {
        "x": at,
        "y": 1 - 0.09 * place,
        "yref": "paper",
        "text": _text(f"{moment.name} {step_label(moment.at)}"),
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 3,
        "font": {"size": 11, "color": "#ffffff" if white else f"var:{moment.colour}"},
        "bgcolor": "rgba(0,0,0,0.45)" if white else "var:paper",
    }
    return shapes, note


def _title(text: str) -> dict[str, Any]:
    return {"text": _text(text), "standoff": 6, "font": {"size": 13}}


def _text(text: str) -> str:
    """Return a text as plotly shows it, which reads some tags as HTML does and knows few names of characters."""
    return escape(text, quote=False)


def _stroke(rule: Rule, width: float) -> dict[str, Any]:
    return {"color": f"var:{rule.colour}", "width": width, "dash": _DASHES[rule.dash]}


def _across(low: float, high: float) -> dict[str, Any]:
    """Return a line or stripe over the whole height of a chart."""
    return {"type": "line" if low == high else "rect", "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper"}


def _every(panel: Panel) -> int:
    return 1 if len(panel.orders) <= 12 else 5


def _decades(panel: Panel) -> dict[str, Any]:
    """Return a logarithmic axis over whole decades around the values, with about five labels."""
    values = np.concatenate([edge for series in panel.series for edge in (series.band.value, *(series.edges() or ()))])
    logs = np.log10(values[np.isfinite(values) & (values > 0)])
    low, high = int(np.floor(logs.min() - 0.01)), int(np.ceil(logs.max() + 0.01))
    ticks = {"exponentformat": "power", "dtick": max(1, round((high - low) / 5)), "tick0": low}
    return {"type": "log", "range": [low, high], **ticks}


def _over_orders(panel: Panel) -> dict[str, Any]:
    """Return bars and lines over orders, one step at a time."""
    traces, frames = [], [[] for _ in panel.steps]  # type: list[dict[str, Any]], list[list[dict[str, Any]]]
    for series in panel.series:
        trace: dict[str, Any] = {"name": _text(series.name), "x": numbers(panel.orders)}
        trace["hovertemplate"] = f"order %{{x}}: %{{y:.3f}}<extra>{_text(series.name)}</extra>"
        colour, edges = f"var:{series.colour}", series.edges() if series.mark == "bars" else None
        if series.mark == "bars":
            error = {"type": "data", "symmetric": False, "color": "var:ink", "thickness": 1, "width": 0}
            trace |= {"type": "bar", "marker": {"color": colour}, "error_y": error}
        else:
            marker = {"color": colour, "size": 8, "symbol": _SYMBOLS[series.symbol]}
            trace |= {
                "type": "scatter",
                "mode": "lines+markers",
                "line": {"color": colour, "width": 2},
                "marker": marker,
            }
        traces.append({**trace, **({"visible": "legendonly"} if series.optional else {})})
        for i, (frame, value) in enumerate(zip(frames, series.band.value, strict=True)):
            frame.append({"y": numbers(value)})
            if edges is not None:
                down, up = np.maximum([value - edges[0][i], edges[1][i] - value], 0)
                frame[-1]["error_y"] = {"array": numbers(up), "arrayminus": numbers(down)}
    seen = [edge for series in panel.series for edge in (series.band.value, *(series.edges() or ()))]
    top = max(float(np.nanmax(array)) for array in seen if has_numbers(array))
    x = {"title": _title(panel.x), "showgrid": False, "dtick": _every(panel), "fixedrange": True}
    y = {"title": _title(panel.y), "range": [0, 1.05 * top], "fixedrange": True}
    return {"data": traces, "layout": {"xaxis": x, "yaxis": y}, "frames": frames}
