"""The samples of a training one by one: order profile, cancellation, score, and which look mislabelled."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import lgamma

import numpy as np
from jaxtyping import Float

from interdyn.errors import InputError
from interdyn.measurement._reading import Reading
from interdyn.spectra import costliest
from interdyn.values import SampleFlags, SampleRow, SampleTable

_LEVEL = 0.9
_CARRIERS = 3  # players that are named
_DIGITS = 9  # of scores
_HALF, _LEARNED = 0.5, 0.9  # shares of the best accuracy between which scores are averaged
_RATE = 0.02  # share of held-out samples that may be flagged
_RIGHT = 0.5  # estimated share of correct flags below which nothing is flagged
MISLABELLED = "mislabelled"  # recipes' group of training samples whose label is known to be wrong


def sample_table(readings: Iterable[Reading], *, training: Sequence[str] | None = None) -> SampleTable:
    r"""Return the table of all samples at the last step of some readings.

    $$\mathrm{score} = -\frac{1}{m} \sum_{j=1}^{m} v_j(N)$$

    with ``v_j(N)`` the log-odds of the label, with all players present, at the ``j``-th of the ``m`` measurements from
    the first with half of the best accuracy to the first with nine tenths of it; the accuracy is that on samples that
    were not trained on (on all, if there are no others). The score is therefore high where a network that is learning
    contradicts the label, whatever it memorises later. Interactions show what a label rests on; they do not determine
    the rank.

    Parameters
    ----------
    readings
        Of one or more groups at one or more steps, from `reading`; a group's samples are the same at all steps.
    training
        Names of the groups that were trained on; by default those that start with ``train``, and ``mislabelled``.

    Raises
    ------
    InputError
        If there is no reading, or ``training`` names an unknown group.

    Notes
    -----
    A training sample is flagged when it scores above the ``k``-th highest of ``h`` samples that were not trained on,
    ``k = floor(0.02 (h + 1))``. If ``t`` training samples with a correct label were like those, the number flagged
    would be beta-binomial with parameters ``(t, k, h + 1 - k)``, ``t k / (h + 1)`` on average; its 90 % interval gives
    that of the flags' precision (`interdyn.values.SampleFlags`). Correct labels that were trained on score slightly
    lower than held-out ones, so the precision is rather too low than too high. Nothing is flagged if less than half of
    the flags would be correct, or the interval reaches 0; with fewer than 49 held-out samples there is no estimate.
    Scores need outputs that are ``"log-odds"`` of classes.

    Source: area under the margin, Pleiss et al., 2020, of which this is a smooth form that ends before labels are
    memorised; conformal outlier tests, Bates et al., 2023. How well it finds wrong labels compared with other scores:
    ``docs/results/mislabelled.md``.

    Examples
    --------
    >>> import torch
    >>> from interdyn.measurement import reading
    >>> from interdyn.values import Interactions
    >>> zeros, one = torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> def said(step, *i_and):
    ...     i_and = torch.tensor(i_and, dtype=torch.float64)
    ...     found = Interactions(
    ...         i_and, zeros, "log-odds", residual=zeros, objective=one, gap=one, status="", noise_bound=one
    ...     )
    ...     return reading(found, labels=[3, 5], step=step)
    >>> easy, against, learned = (0, 1, 2, 0), (0, -2, -2.5, 0), (0, -2, -2.5, 6)
    >>> row = sample_table([said(10, easy, against), said(90, easy, learned)])[0]
    >>> row.label, row.output, row.score  # -4.5 at step 10; now only both players together say "5"
    (5, 1.5, 1.5)
    """
    kept = list(readings)
    if not kept:
        raise InputError("a table needs at least one reading; got none. Make one with `reading(found, labels=...)`.")
    names = list(dict.fromkeys(r.group for r in kept))
    if training is not None and (unknown := sorted(set(training) - set(names))):
        raise InputError(f"`training` must name groups of the readings, {names}; got {unknown}. Correct the name.")
    step = max(r.step for r in kept)
    now = {r.group: r for r in kept if r.step == step}
    trained = [n for n in now if (is_training(n) if training is None else n in training)]
    courses = _while_learning(_courses(kept, now), trained)
    measured = [r.step for r in next(iter(courses.values()))]
    scored = {(r.unit, r.of_classes) for r in now.values()} == {("log-odds", True)}
    scores = {name: _score(course) for name, course in courses.items()} if scored else {}
    sides = [trained, [n for n in now if n not in trained]]
    flags = None
    if scored:
        own, others = (np.concatenate([np.empty(0), *(scores[n] for n in side)]) for side in sides)
        flags = flags_of(own, others)
    rows: list[SampleRow] = []
    for side in sides:
        rows += _rows({n: now[n] for n in side}, scores)
    if flags is not None and flags.threshold is not None:
        limit = flags.threshold
        chosen = [row.group in trained and row.score > limit for row in rows]
        rows = [_flagged(row, measured, step) if hit else row for row, hit in zip(rows, chosen, strict=True)]
    sentence = _summary(measured, flags, trained=bool(trained))
    return SampleTable.of(rows, step=step, scored_at=measured if scored else (), flags=flags, sentence=sentence)


def is_training(group: str) -> bool:
    """Return whether a group of that name contains training samples."""
    return group.startswith("train") or group == MISLABELLED


def _courses(kept: Sequence[Reading], now: Mapping[str, Reading]) -> dict[str, list[Reading]]:
    """Return each group at the steps where all have the samples and numbers of players of the last, ascending."""
    by_step: dict[int, dict[str, Reading]] = {}
    for r in kept:
        if r.group in now and r.mark == now[r.group].mark:
            by_step.setdefault(r.step, {})[r.group] = r
    whole = [rs for _, rs in sorted(by_step.items()) if len(rs) == len(now)]
    return {name: [rs[name] for rs in whole] for name in now}


def _while_learning(courses: dict[str, list[Reading]], trained: Sequence[str]) -> dict[str, list[Reading]]:
    """Return the readings from half of the best accuracy to most of it.

    The accuracy is that on samples that were not trained on, if any; otherwise on all but known mislabelled ones.
    """
    counted = [n for n in courses if n not in trained] or [n for n in courses if n != MISLABELLED] or list(courses)
    right = np.mean(np.concatenate([np.array([r.output for r in courses[n]]) > 0 for n in counted], axis=1), axis=1)
    begin, end = (int(np.argmax(right >= part * right.max())) for part in (_HALF, _LEARNED))
    return {name: course[begin : end + 1] if right.any() else course for name, course in courses.items()}


def _score(course: Sequence[Reading]) -> Float[np.ndarray, " samples"]:
    """Return minus the mean output of each sample, without the rounding that would decide ties."""
    mean = np.stack([r.output for r in course]).mean(axis=0)
    return 0.0 - np.asarray(np.round(mean, _DIGITS))


def flags_of(own: Float[np.ndarray, " training"], others: Float[np.ndarray, " others"]) -> SampleFlags:
    """Return the score above which training samples are flagged, and how many of the flags should be correct.

    Parameters
    ----------
    own, others
        Scores of the samples that were trained on, and of those that were not.
    """
    held, total, k = len(others), len(own), int(_RATE * (len(others) + 1))
    if not k or not total:
        return SampleFlags(held_out=held, of=total, needed=round(1 / _RATE) - 1)
    limit = float(np.sort(others)[-k])
    count = int((own > limit).sum())
    found = SampleFlags(held_out=held, of=total, above=count, allowed=k, expected=total * k / (held + 1))
    if not count:
        return found
    chance = _beta_binomial(total, k, held + 1 - k).cumsum()
    few, many = (int(np.searchsorted(chance, p)) for p in ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    right, low, high = (max(1 - false / count, 0.0) for false in (found.expected, many, few))
    threshold = limit if right >= _RIGHT and low > 0 else None
    return replace(found, threshold=threshold, precision=right, precision_low=low, precision_high=high)


def _beta_binomial(count: int, a: float, b: float) -> Float[np.ndarray, " outcomes"]:
    """Return the probabilities of 0, 1, ..., ``count`` successes whose probability has a beta distribution."""
    const = lgamma(count + 1) + lgamma(a + b) - lgamma(a) - lgamma(b) - lgamma(count + a + b)
    logs = [lgamma(x + a) + lgamma(count - x + b) - lgamma(x + 1) - lgamma(count - x + 1) for x in range(count + 1)]
    return np.exp(np.array(logs) + const)


def _rows(groups: Mapping[str, Reading], scores: Mapping[str, np.ndarray]) -> list[SampleRow]:
    """Return the rows of groups that are ranked together, by rank."""
    rows = [_plain_row(r, i) for r in groups.values() for i in range(len(r.output))]
    if scores and rows:
        every = np.concatenate([scores[name] for name in groups])
        places = 1 + (every[:, None] < every).sum(axis=1)
        scored = zip(rows, every.tolist(), places.tolist(), strict=True)
        rows = [replace(row, score=score, rank=place) for row, score, place in scored]
    return sorted(rows, key=lambda row: (row.rank or 0, row.group, row.sample_id))


def _plain_row(r: Reading, i: int) -> SampleRow:
    """Return what one measurement shows about one sample, without score and rank."""
    loss = np.nan_to_num(r.output[i] - r.without[i], nan=-np.inf)
    return SampleRow(
        group=r.group,
        sample_id=int(r.sample_ids[i]),
        label=None if r.labels is None else int(r.labels[i]),
        output=float(r.output[i]),
        mean_order=float(r.profile.mean_order[i]),
        profile=tuple(r.profile.share[i].tolist()),
        cancelling=float(r.profile.cancelling[i]),
        cancelling_by_order=tuple(r.profile.cancelling_by_order[i].tolist()),
        score=np.nan,
        rank=None,
        carriers=costliest(loss, _CARRIERS),
        flagged=False,
        sentence="",
    )


def _flagged(row: SampleRow, measured: Sequence[int], step: int) -> SampleRow:
    """Return a flagged row with the reason: how the network judged the label, and what that rests on now."""
    name = "its label" if row.label is None else f"its label {row.label}"
    over = "" if list(measured) == [step] else f"; {0.0 - row.score:+.1f} on average while it learned"
    if row.output <= 0:
        said = f"Looks mislabelled: the network contradicts {name} (log-odds {row.output:+.1f}{over})."
    else:
        said = f"Looks memorised: the network gives {name} now (log-odds {row.output:+.1f}{over})."
        said += f" It rests on players {', '.join(map(str, row.carriers))}" if row.carriers else ""
        said += f", with interactions of mean order {row.mean_order:.1f}." if row.carriers else ""
    return replace(row, flagged=True, sentence=said)


def _summary(measured: Sequence[int], flags: SampleFlags | None, *, trained: bool) -> str:
    if flags is None:
        return 'No score: it needs log-odds of a label; measure with output="log-odds".'
    over = f"step {measured[-1]} alone"
    if len(measured) > 1:
        over = f"{len(measured)} measurements from step {measured[0]} to {measured[-1]}, while it learned"
    if not trained:
        return f"Scores from {over}. Record a group of training samples to find mislabelled ones."
    return f"Scores from {over}. {flags}"
