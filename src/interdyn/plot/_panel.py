"""What a figure shows, as plain arrays and words: for matplotlib (`draw`) and for the pages of `interdyn.report`."""

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
        For the legend; of cells the label of the colour bar.
    band
        Values ``(steps,)``; over orders, and of cells, ``(steps, orders)``.
    colour
        Its role, as in ``interdyn.plot._style.COLOURS`` and the variables of ``report/page.css``.
    mark
        ``"line"``, ``"bars"``, or ``"cells"`` of a heat map.
    symbol, dash
        Of a line, as matplotlib calls them; an empty dash is of points alone, without a legend.
    steps
        Steps of the values, where they are not those of the panel.
    interval
        What the interval is, for the legend; empty where it is not said.
    unit
        Of the values, after a number.
    side
        Bars left (-1) or right (1) of the middle of an order, or over all of it (0).
    faint
        Whether it is pale.
    optional
        Whether a page shows it only when it is asked for; a picture leaves it out.
    top
        Value at the end of the colours of cells; None: the largest.
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
    panel the name says all there is to say, and a moment that is not established has NaN for its step.
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
        What to see, and the same for those who do not see it.
    remark
        A warning that belongs to the figure.
    stamp
        Recipe and version, for the corner of a picture.
    below
        Panels over the same steps that are drawn under this one, on axes of their own.
    strip
        Moments that are drawn as one row each, under all curves: a bar for the interval, and a line up through them.
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
        """Whether the x axis holds orders, one distribution for each step, and not the steps."""
        return self.orders.size > 0 and self.cells is None


@dataclass(frozen=True)
class Step:
    """One bar of a waterfall.

    Attributes
    ----------
    name
        What it is: the names of the players of an interaction, or words.
    kind
        ``"base"`` and ``"output"``, the two ends; ``"and"`` or ``"or"``; ``"rest"`` for all that is not listed.
    start, end
        Where it begins and ends, in the unit of the output; of both ends the value itself, from 0.
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
    """Return a name of at most so many characters.

    Examples
    --------
    >>> shortened("income"), shortened("x" * 300, 5)
    ('income', 'xxxx…')
    """
    return name if len(name) <= most else name[: most - 1] + "…"


def credit(recipe: str, version: str) -> str:
    """Return recipe and version as they stand in the corner of a figure.

    Examples
    --------
    >>> credit("digits-cnn", "0.1.0"), credit("", "0.1.0")
    ('digits-cnn · interdyn 0.1.0', 'interdyn 0.1.0')
    """
    return " · ".join(part for part in (shortened(recipe, 48), f"interdyn {version}".rstrip()) if part)
