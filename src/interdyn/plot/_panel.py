"""What a figure shows, as plain arrays and text: for matplotlib (`draw`) and for the pages of `interdyn.report`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

from interdyn.plot._steps import STEP_LABEL
from interdyn.plot._view import has_numbers
from interdyn.spectra import Usage
from interdyn.values import Band


@dataclass(frozen=True)
class Series:
    """One quantity of a panel, with its interval where it has one.

    Attributes
    ----------
    name
        Text of the legend; for cells the label of the colour bar.
    band
        Values ``(steps,)``; over orders, and of cells, ``(steps, orders)``.
    colour
        Its role, as in ``interdyn.plot._style.COLOURS`` and the variables of ``report/page.css``.
    mark
        ``"line"``, ``"bars"``, or ``"cells"`` of a heat map.
    symbol, dash
        Marker and line style, as in matplotlib; an empty dash draws only points, without a legend.
    steps
        Steps of the values, where they differ from those of the panel.
    interval
        Name of the interval, for the legend; empty for none.
    unit
        Unit of the values, appended to a number.
    side
        Bars left (-1) or right (1) of the middle of an order, or over all of it (0).
    faint
        Whether it is pale.
    optional
        Whether a page hides it until it is selected in the legend; static figures leave it out.
    top
        Value at the upper end of the colour scale of cells; None: the largest value.
    """

    name: str
    band: Band
    colour: str
    mark: Literal["line", "bars", "cells"] = "line"
    symbol: str = "o"
    dash: str = "-"
    steps: Float[np.ndarray, " steps"] | None = None
    interval: str = "90 % interval"
    unit: str = ""
    side: Literal[-1, 0, 1] = 0
    faint: bool = False
    optional: bool = False
    top: float | None = None

    def edges(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return low and high edge of the interval, or None where there are no numbers."""
        edges = self.band.interval()
        return edges if edges is not None and has_numbers(edges[0]) else None


@dataclass(frozen=True)
class Rule:
    """A line across a panel: a moment of training with its interval, or a level of the quantity.

    ``name`` is what it marks, without the step of a moment; a level without a name has no legend. In the strip of a
    panel the name is the full text, and a moment that is not established has NaN for its step.
    """

    at: float
    name: str = ""
    colour: str = "ink"
    dash: str = "-"
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One figure.

    Attributes
    ----------
    id
        Name of the chart on a page.
    title, x, y
        Title and labels of the axes, with units.
    steps, orders
        Steps of the run; orders along the x axis, or of cells, and empty for curves over training.
    series, moments, levels
        What is drawn: quantities, marked steps, marked values.
    scale
        Of the y axis: as the values fall, from zero, or logarithmic.
    missing
        What was not recorded and how to record it, where there is nothing to draw.
    caption, alt
        Caption, and text alternative.
    remark
        A warning that belongs to the figure.
    stamp
        Recipe and version, for the corner of a static figure.
    below
        Panels over the same steps that are drawn under this one, on their own axes.
    strip
        Moments that are drawn as one row each, under all curves: a bar for the interval, and a line through the curves.
    """

    id: str
    title: str
    x: str = STEP_LABEL
    y: str = ""
    steps: Float[np.ndarray, " steps"] = field(default_factory=lambda: np.zeros(0))
    orders: Float[np.ndarray, " orders"] = field(default_factory=lambda: np.zeros(0))
    series: tuple[Series, ...] = ()
    moments: tuple[Rule, ...] = ()
    levels: tuple[Rule, ...] = ()
    scale: Literal["linear", "from zero", "log"] = "linear"
    missing: str = ""
    caption: str = ""
    alt: str = ""
    remark: str = ""
    stamp: str = ""
    below: tuple["Panel", ...] = ()
    strip: tuple[Rule, ...] = ()

    @property
    def cells(self) -> Series | None:
        """The heat map of the panel, if it is one."""
        return next((series for series in self.series if series.mark == "cells"), None)

    @property
    def over_orders(self) -> bool:
        """Whether the x axis is the order, with one distribution for each step, instead of the step."""
        return self.orders.size > 0 and self.cells is None


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall.

    Attributes
    ----------
    name
        Label: the names of the players of an interaction, or text.
    kind
        ``"base"`` and ``"output"``, the two ends; ``"and"`` or ``"or"``; ``"rest"`` for everything that is not listed.
    start, end
        Where the bar begins and ends, in the unit of the output; for both ends from 0 to the value.
    """

    name: str
    kind: Literal["base", "and", "or", "rest", "output"]
    start: float
    end: float

    @property
    def value(self) -> float:
        """What it adds."""
        return self.end - self.start


@dataclass(frozen=True)
class Waterfall(Panel):
    """How the strongest interactions of a sample, and all others, add up from the base value to the output."""

    bars: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Used(Panel):
    """What a network uses over many samples, as bars over a matrix of players, or as a network of players.

    Attributes
    ----------
    usage
        The interactions, strongest first.
    places
        Row and column of each player on a grid, by name, where players are places.
    as_network
        Whether players are drawn as a network.
    """

    usage: Usage = field(default_factory=lambda: Usage((), (), np.zeros((0, 0))))
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    as_network: bool = False


def shortened(name: str, most: int = 24) -> str:
    """Return a name, shortened to ``most`` characters.

    Examples
    --------
    >>> shortened("income"), shortened("x" * 300, 5)
    ('income', 'xxxx…')
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def credit(recipe: str, version: str) -> str:
    """Return recipe and version as shown in the corner of a figure.

    Examples
    --------
    >>> credit("digits-cnn", "0.1.0"), credit("", "0.1.0")
    ('digits-cnn · interdyn 0.1.0', 'interdyn 0.1.0')
    """
    return " · ".join(part for part in (shortened(recipe, 48), f"interdyn {version}".rstrip()) if part)
