"""The samples of a training one by one: order profile, cancellation, over-fitting score, who measured memorised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from interdyn.errors import InputError
from interdyn.measurement._reading import Reading
from interdyn.spectra import Estimate, costliest, mean_over_players, ranks
from interdyn.values import SampleRow, SampleTable

_LEVEL = 0.9
_CARRIERS = 3  # players that are named
_HALF, _LEARNED = 0.5, 0.9  # of the labels that the network gives at its best: since when scores count, when flags
MISLABELLED = "mislabelled"  # recipes' group of training samples whose label is known to be wrong


def sample_table(
    readings: Iterable[Reading],
    *,
    history: bool = True,
    training: Sequence[str] | None = None,
) -> SampleTable:
    r"""Return the table of all samples at the last step of some readings.

    $$\mathrm{score} = -\frac{1}{n} \sum_i \overline{v(N \setminus \{i\})}$$

    with ``v`` the log-odds of the label and the bar a mean over measurements. It is high where the network speaks
    against the label, or for it only with every part of the input in place: what is memorised for one sample does not
    survive.

    Parameters
    ----------
    readings
        Of one or more groups at one or more steps, from `reading`; a group's samples are the same at all steps.
    history
        Whether to use earlier measurements: the score is then a mean over all since the network first gave half of the
        labels that it gives at its best, of samples it was not trained on (of all, where there are no others). Without
        it, of the last measurement alone.
    training
        Names of the groups that were trained on; by default those that begin with ``train``, and ``mislabelled``.

    Raises
    ------
    InputError
        If there is no reading, or ``training`` names a group that there is not.

    Notes
    -----
    A training sample is flagged when the network, once it had learned, spoke against its label with one player left
    out, with the whole interval (one-sided level 95 %). It had learned at the first measurement at which it gave nine
    tenths of the labels that it gives at its best, when little is memorised yet. None is flagged while the network
    gives fewer labels than halfway between chance and all. Samples that were not trained on show how often a right
    label would be flagged; `SampleTable.sentence` says so. Scores need outputs that are ``"log-odds"``. Why this score,
    and how well it finds wrong labels beside others: ``docs/samples.md``, ``benchmarks/bench_mislabelled.py``.

    Examples
    --------
    >>> import torch
    >>> from interdyn.measurement import reading
    >>> from interdyn.values import Interactions
    >>> zeros, one = torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    >>> i_and = torch.tensor([[0.0, -2.0, -2.5, 6.0]], dtype=torch.float64)  # only both players together say "3"
    >>> found = Interactions(
    ...     i_and, zeros, "log-odds", residual=zeros, objective=one, gap=one, status="", noise_bound=one
    ... )
    >>> row = sample_table([reading(found, labels=[3])])[0]
    >>> row.output, row.score  # without player 0: -2.5; without player 1: -2
    (1.5, 2.25)
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
    whole = _whole(kept, now) if history else {step: list(now.values())}
    shares = {at: _learned(readings_then, trained).share for at, readings_then in whole.items()}
    since = _since(shares, _HALF)
    measured = [at for at in whole if at >= since]
    first = whole[_since(shares, _LEARNED)]
    learned = _learned(first, trained)
    scored = {r.unit for r in now.values()} == {"log-odds"}
    rows: list[SampleRow] = []
    for side in (trained, [n for n in now if n not in trained]):
        chosen = [[r for at in measured for r in whole[at] if r.group == name] for name in side]
        then = [r for name in side for r in first if r.group == name]
        rows += _rows(chosen, then, scored=scored, flags=side is trained and learned.enough)
    sentence = _summary(rows, first, measured, trained=trained, learned=learned, scored=scored)
    return SampleTable.of(rows, step=step, scored_at=measured, learned_at=first[0].step, sentence=sentence)


def is_training(group: str) -> bool:
    """Return whether a group of that name holds training samples."""
    return group.startswith("train") or group == MISLABELLED


class _Learned(NamedTuple):
    """How many of its labels the network gives."""

    share: float
    needed: float

    @property
    def enough(self) -> bool:
        return self.share > self.needed


def _learned(readings: Sequence[Reading], trained: Sequence[str]) -> _Learned:
    """Return the share of samples that get their label, and what is halfway between chance and all of them.

    Of samples that were not trained on, where there are any; else of all but those known to be mislabelled.
    """
    counted = [r for r in readings if r.group not in trained]
    counted = counted or [r for r in readings if r.group != MISLABELLED] or list(readings)
    right = np.concatenate([r.output for r in counted]) > 0
    labels = [r.labels for r in readings if r.labels is not None]
    classes = max(len(np.unique(np.concatenate(labels))) if labels else 0, 2)
    return _Learned(float(right.mean()), (1 + 1 / classes) / 2)


def _whole(kept: Sequence[Reading], now: Mapping[str, Reading]) -> dict[int, list[Reading]]:
    """Return the measurements of the same samples and players as the last, by ascending step."""
    by_step: dict[int, list[Reading]] = {}
    for r in kept:
        if r.group in now and r.mark == now[r.group].mark:
            by_step.setdefault(r.step, []).append(r)
    return {step: rs for step, rs in sorted(by_step.items()) if len(rs) == len(now)}


def _since(shares: Mapping[int, float], part: float) -> int:
    """Return the first measurement at which the network gave that part of the labels that it gives at its best."""
    enough = part * max(shares.values())
    return min(step for step, share in shares.items() if share >= enough)


def _against(course: Sequence[Reading]) -> Estimate:
    """Return minus the mean over players of the means over measurements: evidence against the label."""
    without = np.stack([r.without for r in course])
    there = ~np.isnan(without)
    count = there.sum(axis=0)
    total = np.where(there, without, 0.0).sum(axis=0)
    mean, low, high = mean_over_players(
        np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0), level=_LEVEL
    )
    alone = np.isnan(mean)  # no player changes anything: what is left is the output
    output = np.mean([r.output for r in course], axis=0)
    return Estimate(*(-np.where(alone, output, x) for x in (mean, high, low)))


def _rows(
    groups: Sequence[Sequence[Reading]], then: Sequence[Reading], *, scored: bool, flags: bool
) -> list[SampleRow]:
    """Return the rows of groups that are ranked together, by rank; each group's readings by step, and when learned."""
    scores = [_against(course) for course in groups] if scored else []
    places = ranks(Estimate(*(np.concatenate(x) for x in zip(*scores, strict=True)))) if scores else None
    rows: list[SampleRow] = []
    for g, course in enumerate(groups):
        first = _against(then[g : g + 1])
        for i in range(len(course[-1].output)):
            row = _plain_row(course[-1], i)
            if places is not None:
                value, low, high = (float(x[i]) for x in scores[g])
                rank, rank_low, rank_high = (int(x[len(rows)]) for x in places)
                row = replace(row, score=value, score_low=low, score_high=high)
                row = replace(row, rank=rank, rank_low=rank_low, rank_high=rank_high)
                if flags and first.low[i] > 0:
                    numbers = tuple(-float(x[i]) for x in first)
                    row = replace(row, flagged=True, sentence=_why(row, numbers, then[g].step, course[-1].step))
            rows.append(row)
    return sorted(rows, key=lambda row: (row.rank or 0, row.group, row.sample_id))


def _plain_row(r: Reading, i: int) -> SampleRow:
    """Return what one measurement tells of one sample, without score and rank."""
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
        score_low=np.nan,
        score_high=np.nan,
        rank=None,
        rank_low=None,
        rank_high=None,
        carriers=costliest(loss, _CARRIERS),
        flagged=False,
        sentence="",
    )


def _why(row: SampleRow, first: Sequence[float], since: int, step: int) -> str:
    """Return why a sample is flagged; ``first`` is the evidence when it had learned, with its interval, high to low."""
    name = "its label" if row.label is None else f"its label {row.label}"
    evidence = f"{first[0]:+.2f} with one player left out, {_LEVEL:.0%} interval {first[2]:+.2f} to {first[1]:+.2f}"
    then = f"; at step {since}, when it had learned, {evidence}" if since < step else f"; {evidence}"
    if row.output <= 0:
        return f"Looks mislabelled: the network contradicts {name} (log-odds {row.output:+.1f}{then})."
    rest = f" It rests on players {', '.join(map(str, row.carriers))}." if row.carriers else ""
    return f"Looks memorised: the network gives {name} now (log-odds {row.output:+.1f}{then}).{rest}"


def _summary(
    rows: Sequence[SampleRow],
    first: Sequence[Reading],
    scored_at: Sequence[int],
    *,
    trained: Sequence[str],
    learned: _Learned,
    scored: bool,
) -> str:
    if not scored:
        return 'No score: it needs log-odds of a label; measure with output="log-odds".'
    since, many = first[0].step, len(scored_at)
    over = f"step {scored_at[-1]} alone"
    if many > 1:
        over = f"{many} measurements from step {scored_at[0]} to {scored_at[-1]}"
    if not trained:
        return f"Scores from {over}. No sample can look memorised: there is no group of training samples."
    if not learned.enough:
        return (
            f"Scores from {over}. No verdict on memorised samples yet: at step {since} the network gives "
            f"{learned.share:.0%} of the samples their label, and more than {learned.needed:.0%} are needed, halfway "
            "between chance and all."
        )
    of_training = [row for row in rows if row.group in trained]
    count = sum(row.flagged for row in of_training)
    others = [_against([r]).low > 0 for r in first if r.group not in trained]
    rate = (
        f" Of {sum(map(len, others))} samples that were not trained on, the same rule would flag "
        f"{np.mean(np.concatenate(others)):.0%}: about that share of right labels is flagged too."
        if others
        else " How many right labels are flagged too is not known without samples that were not trained on."
    )
    flagged = f"{count} of {len(of_training)} training samples look memorised or mislabelled"
    by = "" if many == 1 else f", by their scores at step {since} and not by the rank"
    return f"Scores from {over}. {flagged}{by}.{rate}"
