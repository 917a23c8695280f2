"""What all charts of the report share: the record, the axis of training time, lines with bands.

Charts are plain data for plotly's JavaScript. Colours are written as ``"var:name"`` and looked up among the page's
CSS variables when drawn, so that one chart serves light, dark and print. Times are places on `StepAxis`; hover texts
show the steps themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from interdyn.plot import StepAxis, has_numbers, step_label
from interdyn.values import Band, RunResult

STEP = "<b>step %{customdata[0]:,}</b><br>"


@dataclass(frozen=True)
class Chart:
    """One chart: traces and layout for plotly, words for those who do not see it.

    ``frames`` holds, for every checkpoint, what changes in each trace; empty for charts that show all
    checkpoints at once. ``missing`` says what to record when there is nothing to draw.
    """

    id: str
    title: str
    caption: str
    alt: str = ""
    height: int = 300
    data: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)
    frames: list[list[dict[str, Any]]] = field(default_factory=list)
    missing: str = ""

    def payload(self) -> dict[str, Any]:
        """Return what the page's JavaScript needs."""
        return {
            "id": self.id,
            "data": self.data,
            "layout": self.layout,
            "frames": self.frames,
            "height": self.height,
        }


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


def layout_over_time(view: RunResult, y_title: str, *, y: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the layout of a chart over training time, boundary marked, with the cursor the slider moves."""
    axis = StepAxis.of(view.steps)
    ticks, labels = axis.ticks()
    edges = axis.edges(view.steps)
    shapes, notes = _boundary(view)
    cursor = vertical(0, 0, line={"color": "var:cursor", "width": 1.5})
    return {
        "xaxis": {
            "title": {"text": "optimiser step", "standoff": 6},
            "tickvals": [float(p) for p in axis.position(np.array(ticks))],
            "ticktext": labels,
            "range": [float(edges[0]), float(edges[-1])],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        },
        "yaxis": {"title": {"text": y_title}, "fixedrange": True, "zeroline": False, **(y or {})},
        "shapes": [*shapes, {**cursor, "name": "cursor"}] if len(view.steps) > 1 else shapes,
        "annotations": notes,
    }


def _boundary(view: RunResult) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the shapes and the label of the phase boundary, its interval as a stripe; empty without one."""
    phases = view.phases
    if phases is None or not phases.found or phases.boundary_step is None:
        return [], []
    place = place_of(view, phases.boundary_step)
    shapes = [] if phases.interval is None else [stripe(view, phases.interval, colour="stripe")]
    shapes.append(vertical(place, place, line={"color": "var:ink", "width": 1.2, "dash": "dash"}))
    edges = StepAxis.of(view.steps).edges(view.steps)
    right = place > (edges[0] + edges[-1]) / 2
    label = {
        "x": place,
        "y": 1,
        "yref": "paper",
        "text": f"boundary {step_label(phases.boundary_step)}",
        "showarrow": False,
        "xanchor": "right" if right else "left",
        "yanchor": "top",
        "xshift": -3 if right else 3,
        "font": {"size": 11, "color": "var:ink"},
    }
    return shapes, [label]


def place_of(view: RunResult, step: float) -> float:
    """Return where a step stands on the axis of training time."""
    return float(StepAxis.of(view.steps).position(np.array(step)))


def stripe(view: RunResult, interval: tuple[float, float], *, colour: str) -> dict[str, Any]:
    """Return the shape that shades an interval of steps."""
    low, high = (place_of(view, edge) for edge in interval)
    return {
        **vertical(low, high, fillcolor=f"var:{colour}", line={"width": 0}, layer="below"),
        "type": "rect",
    }


def vertical(low: float, high: float, **style: Any) -> dict[str, Any]:
    """Return a line or stripe over the whole height of a chart."""
    kind = "line" if low == high else "rect"
    return {"type": kind, "x0": low, "x1": high, "y0": 0, "y1": 1, "yref": "paper", **style}


def line_with_band(
    view: RunResult, band: Band, *, name: str, colour: str, unit: str, **style: Any
) -> list[dict[str, Any]]:
    """Return the traces of a line with its interval as a band under it."""
    x = numbers(StepAxis.of(view.steps).position(view.steps))
    interval = band.interval()
    traces: list[dict[str, Any]] = []
    custom = [numbers(view.steps)]
    hover = STEP + f"{escape(name)}: %{{y:.3~g}}{unit}"
    if interval is not None and has_numbers(interval[0]):
        edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces.append({**edge, "y": numbers(interval[0])})
        traces.append({**edge, "y": numbers(interval[1]), "fill": "tonexty", "fillcolor": f"var:{colour}-band"})
        custom += [numbers(interval[0]), numbers(interval[1])]
        hover += "<br>interval %{customdata[1]:.3~g} to %{customdata[2]:.3~g}"
    line = {"color": f"var:{colour}", "width": 2, **style.pop("line", {})}
    marker = {"color": f"var:{colour}", "size": 6, **style.pop("marker", {})}
    traces.append(
        {
            "x": x,
            "y": numbers(band.value),
            "mode": "lines+markers",
            "name": escape(name),
            "line": line,
            "marker": marker,
            "customdata": [list(row) for row in zip(*custom, strict=True)],
            "hovertemplate": hover + "<extra></extra>",
            **style,
        }
    )
    return traces
