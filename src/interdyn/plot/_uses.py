"""What a network uses: over all samples, over training, and how the output of one sample adds up."""

import re
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from interdyn._arguments import whole
from interdyn.errors import InputError
from interdyn.plot._draw import draw
from interdyn.plot._panel import Panel, Series, Step, Used, Waterfall
from interdyn.plot._tables import Tables, tables_of, without_constant
from interdyn.spectra import Matched, Usage
from interdyn.store import as_run
from interdyn.values import Band, decimals_of, members, signed

_PLACE = re.compile(r"row (\d+) column (\d+)")
_COLOURS = ("reality", "theory", "green", "mislabelled", "or", "muted")


def plot_waterfall(
    data: Any, sample: int = 0, *, k: int = 10, step: int | None = None, group: str = "test", ax: Axes | None = None
) -> Axes:
    r"""Draw how the interactions of one sample add up, from the base value to the output.

    $$v(N) = v(\emptyset) + \sum_{j \le k} I(S_j) + \text{all others}$$

    Parameters
    ----------
    data
        Result of `interdyn.measure` (also of one sample), `interdyn.spectra.WindowMean`, or run directory.
    sample
        Number of the sample, from 0.
    k
        Most interactions to list; those below the salience threshold are not listed.
    step, group
        For a run: an optimiser step, by default the last, and a group of samples.
    ax
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        The axes: a bar for each interaction, strongest first; one bar for all others, which are weaker interactions
        and the residual; and lines at the base value (all players masked) and at the output (all present). Bars to the
        right raise the output; the mark at the end of a bar is a circle for AND and a diamond for OR.

    Raises
    ------
    InputError
        If ``data`` is none of these, or there is no such sample, step or group.
    IncompleteRunError
        If the run has not measured it.

    Notes
    -----
    The bars add up to the output within rounding. The salience threshold of a result is 0.03 of the mean effect of its
    samples (paper, section 4), so the threshold of ``found[0]`` may differ from that of ``found``.

    Examples
    --------
    >>> plot_waterfall({})
    Traceback (most recent call last):
    interdyn.errors.InputError: `data` must be a result of `interdyn.measure` or a run directory; got dict. Pass ...
    """
    return draw(waterfall(data, sample, k=k, step=step, group=group), ax)


def plot_top(
    data: Any,
    *,
    k: int = 12,
    by: Literal["strength", "share"] = "strength",
    label: int | None = None,
    step: int | None = None,
    group: str = "test",
    ax: Axes | None = None,
) -> Axes:
    """Draw the interactions that a network uses over all samples, above a matrix of their players.

    Parameters
    ----------
    data, step, group, ax
        As in `plot_waterfall`; for a batch of samples.
    k
        Number of interactions.
    by
        Sort by mean ``|I|``, or by the share of samples in which the interaction is salient.
    label
        For a run: only samples of this class.

    Returns
    -------
    Axes
        The axes: bars above zero raise the output on average, bars below zero lower it; above each bar, the number of
        samples in which the interaction is salient. Below, a mark for each player of the interaction, a circle for AND
        and a diamond for OR.

    Raises
    ------
    InputError
        As `plot_waterfall`; also where players have no names that mean the same in every sample.

    Notes
    -----
    Means and matching: `interdyn.spectra.Usage`. At least three samples, or all if there are fewer, must have the
    players.

    Examples
    --------
    >>> plot_top({})
    Traceback (most recent call last):
    interdyn.errors.InputError: `data` must be a result of `interdyn.measure` or a run directory; got dict. Pass ...
    """
    return draw(top(data, k=k, by=by, label=label, step=step, group=group), ax)


def plot_network(
    data: Any, *, k: int = 30, step: int | None = None, group: str = "test", ax: Axes | None = None
) -> Axes:
    """Draw which players the network uses together: a line joins two players that share an interaction.

    Parameters
    ----------
    data, k, step, group, ax
        As in `plot_top`.

    Returns
    -------
    Axes
        The axes: players on a circle, or at their places on the grid. The area of a player is its effect alone, the
        width of a line the mean ``|I|`` of the interactions of both players, its colour the sign of their sum; a dashed
        line is mostly OR.

    Raises
    ------
    InputError
        As `plot_top`.

    Examples
    --------
    >>> plot_network({})
    Traceback (most recent call last):
    interdyn.errors.InputError: `data` must be a result of `interdyn.measure` or a run directory; got dict. Pass ...
    """
    return draw(top(data, k=k, as_network=True, step=step, group=group), ax)


def plot_top_over_training(run: Any, *, k: int = 6, group: str = "test", ax: Axes | None = None) -> Axes:
    """Draw the mean strength over training of the interactions that a network uses most at the end.

    Parameters
    ----------
    run
        Run directory.
    k, group, ax
        As in `plot_top`.

    Returns
    -------
    Axes
        The axes: a line for each interaction, mean ``|I|`` over samples, in the unit of the output.

    Raises
    ------
    InputError
        As `plot_top`.
    IncompleteRunError
        If the run has not measured the group at one of its steps.

    Examples
    --------
    >>> plot_top_over_training("nowhere")
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """
    return draw(top_over_training(run, k=k, group=group), ax)


def waterfall(data: Any, sample: int = 0, *, k: int = 10, **of_a_run: Any) -> Waterfall:
    """Return how the interactions of one sample add up; see `plot_waterfall`."""
    tables = tables_of(data, **of_a_run)
    sample, k = whole(sample, "sample"), whole(k, "k")
    if sample >= len(tables.base):
        raise InputError(f"`sample` must be below {len(tables.base)}, the number of samples; got {sample}.")
    both, size = without_constant(tables.i_and[[sample]], tables.i_or[[sample]])[0], tables.i_and.shape[1]
    base, output, least = (float(x[sample]) for x in (tables.base, tables.output, tables.threshold))
    salient = np.flatnonzero((np.abs(both) >= least) & (both != 0))
    listed = salient[np.argsort(-np.abs(both[salient]), kind="stable")[:k]]
    names, at = tables.naming.rows[sample], base
    bars = [Step("base value (all players masked)", "base", 0.0, base)]
    for place in listed.tolist():
        kind, subset = divmod(place, size)
        after = at + float(both[place])
        who = ", ".join(names[i] or str(i) for i in members(subset))
        bars.append(Step(who, "or" if kind else "and", at, after))
        at = after
    left = len(salient) - len(listed)
    bars += [Step(f"all others ({left} salient)", "rest", at, output), Step("output", "output", 0.0, output)]
    who = f"sample {sample if tables.ids is None else int(tables.ids[sample])}"
    if tables.labels is not None:
        who += f", class {_class(tables, int(tables.labels[sample]))}"
    places = decimals_of(max(abs(bar.end) for bar in bars))
    return Waterfall(
        id="waterfall",
        title=f"How the output adds up, {who}",
        x=tables.unit or "unit of the output",
        bars=tuple(bars),
        stamp=tables.stamp,
        caption="Interactions add up from the base value to the output. Circles: AND; diamonds: OR.",
        alt=f"From {signed(base, places)} to {signed(output, places)} by {len(listed)} interactions and all others.",
    )


def _class(tables: Tables, label: int) -> str:
    return tables.classes[label] if label < len(tables.classes) else str(label)


def top(
    data: Any,
    *,
    k: int = 12,
    by: str = "strength",
    label: int | None = None,
    as_network: bool = False,
    **of_a_run: Any,
) -> Used:
    """Return what a network uses over all samples; see `plot_top` and `plot_network`."""
    tables = tables_of(data, **of_a_run)
    if by not in ("strength", "share"):
        raise InputError(f"`by` must be 'strength' or 'share'; got {by!r}. Choose one.")
    k, tables = whole(k, "k", least=1), tables if label is None else _of_class(tables, label)
    usage, samples = _usage(tables, 200 if by == "share" else k), len(tables.base)
    usage = usage.by_share().first(k) if by == "share" else usage
    named = {name: match for who in usage.players for name in who if (match := _PLACE.fullmatch(name))}
    whose = f"{samples} sample{'' if samples == 1 else 's'}"
    about: dict[str, Any] = {"title": f"What the network uses, {whose}", "id": "top", "stamp": tables.stamp}
    if not len(usage):
        return Used(
            **about, missing=tables.naming.sentence if tables.naming.keys is None else "No interaction is salient."
        )
    return Used(
        **about,
        usage=usage,
        places={name: (int(match[1]), int(match[2])) for name, match in named.items()},
        as_network=as_network,
        y=f"mean over samples ({tables.unit or 'unit of the output'})",
        caption=tables.naming.sentence,
        alt="; ".join(
            f"{kind.upper()} {', '.join(who)} {mean:.2g}"
            for kind, who, mean in zip(usage.kinds[:5], usage.players, usage.mean.tolist(), strict=False)
        ),
    )


def _of_class(tables: Tables, label: int) -> Tables:
    """Return the tables of the samples of one class."""
    label = whole(label, "label")
    rows = np.zeros(0, dtype=int) if tables.labels is None else np.flatnonzero(tables.labels == label)
    if not len(rows):
        known = "no classes" if tables.labels is None else f"the classes {np.unique(tables.labels).tolist()}"
        raise InputError(f"`label` must be a class of the samples; got {label}, and the samples have {known}.")
    own = {name: getattr(tables, name)[rows] for name in ("i_and", "i_or", "effect", "base", "output", "threshold")}
    naming = tables.naming
    cut: dict[str, Any] = {
        name: tuple(part[i] for i in rows) for name in ("rows", "keys", "others") if (part := getattr(naming, name))
    }
    return replace(tables, **own, naming=replace(naming, **cut))


def matched(tables: Tables) -> Matched:
    """Return the subsets of all samples matched by names.

    Raises
    ------
    InputError
        If no name means the same in every sample.
    """
    naming = tables.naming
    if naming.keys is None:
        raise InputError(f"samples are compared by the names of their players. {naming.sentence}")
    return Matched(naming.keys, others=naming.others)


def _usage(tables: Tables, k: int) -> Usage:
    return matched(tables).usage(tables.i_and, tables.i_or, threshold=tables.threshold, k=k, unit=tables.unit)


def top_over_training(run: Any, *, k: int = 6, group: str = "test") -> Panel:
    """Return the mean strength over training of what is used most at the end; see `plot_top_over_training`."""
    steps = as_run(run).steps
    tables = [tables_of(run, step=step, group=group) for step in steps]
    last = tables[-1]
    alike = [i for i, one in enumerate(tables) if one.i_and.shape == last.i_and.shape]
    used = matched(last)
    codes = used.strongest(last.i_and, last.i_or, threshold=last.threshold, k=whole(k, "k", least=1))
    means = np.stack(
        [
            Usage((), (), used.values(one.i_and, one.i_or, threshold=one.threshold, codes=codes)).mean
            for one in (tables[i] for i in alike)
        ]
    )
    places, lines = used.places(codes), []
    for at in range(len(codes)):
        kind, who = used.players(places[:, at])
        look: dict[str, Any] = {"symbol": "D" if kind == "or" else "o", "dash": "--" if kind == "or" else "-"}
        name = f"{kind.upper()} {', '.join(who)}"
        lines.append(Series(name, Band(means[:, at]), _COLOURS[at % len(_COLOURS)], **look))
    missing = "" if lines else "No interaction is salient at the last step."
    return Panel(
        id="top-over-training",
        title="Strongest interactions at the end, over training",
        y=f"mean |I| ({last.unit or 'unit of the output'})",
        steps=np.array([float(steps[i]) for i in alike]),
        series=tuple(lines),
        scale="from zero",
        missing=missing,
        stamp=last.stamp,
        caption=last.naming.sentence,
        alt=f"Mean strength of {len(lines)} interactions over training.",
    )
