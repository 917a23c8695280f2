"""The measurements of a training, combined: its trajectory, its verdicts, its samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from interdyn import store
from interdyn._arguments import choice, number, told
from interdyn.dynamics import Onset, Verdict, online_verdict, whole_verdict
from interdyn.errors import IncompleteRunError, InputError
from interdyn.measurement._predicted import predictable
from interdyn.measurement._reading import Reading, reading
from interdyn.measurement._result import RESAMPLES, Course, chosen_options, left_open, of_the_whole, so_far
from interdyn.measurement._samples import MISLABELLED, is_training, sample_table
from interdyn.measurement._seen import Seen
from interdyn.measurement._stored import belonging, interactions, not_measured
from interdyn.measurement._windows import Recent, of_windows, pattern_of, repeatability
from interdyn.schedules import checked_window, up_to_whole, windows_of
from interdyn.spectra import SalienceRule
from interdyn.store import Measurement
from interdyn.values import Interactions, RunResult, SampleTable, Trajectory, WindowResult

LOSSES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")  # of a step, besides its measurements


@dataclass(frozen=True)
class _Kept:
    """What stays in memory of a group at a step."""

    seen: Seen
    reading: Reading
    forward_passes: int
    seconds: Mapping[str, float]
    tables: np.ndarray | None  # for predictions; of the first group, if no folder contains them


class History:
    """The measurements of one training.

    A step counts once every group of samples is measured there. Steps **belong together** if their groups have the same
    samples and numbers of players as the last step: an interrupted training may resume with others, and earlier
    measurements are then kept but not used.

    Parameters
    ----------
    groups
        Names of the groups of samples; verdicts are about the first.
    salience, salience_rule
        As in `interdyn.spectra.order_spectrum`.
    window
        How many nearby steps a measurement takes; which steps belong to one measurement follows from the steps alone
        (`interdyn.schedules.windows_of`). What is judged are the values of the single steps.

    Examples
    --------
    >>> History(["test"]).steps
    ()
    """

    def __init__(
        self,
        groups: Sequence[str],
        *,
        salience: float | None = None,
        salience_rule: SalienceRule = "mean-effect",
        window: int = 1,
    ) -> None:
        self._run: store.Run | None = None
        self._reader: store.Reader | None = None
        listed = isinstance(groups, Iterable) and not isinstance(groups, str)
        if not listed or not all(isinstance(name, str) for name in groups):
            raise InputError(f'`groups` must be the names of groups; got {told(groups)}. Pass a list, as ["test"].')
        choice(salience_rule, "salience_rule", get_args(SalienceRule))
        if salience is not None:
            salience = number(salience, "salience", least=0, do="Leave it out for the default.")
        self._begin(groups, checked_window(window), salience=salience, salience_rule=salience_rule)

    def _begin(self, groups: Sequence[str], window: int, **salience: Any) -> None:
        self.groups, self.window = tuple(groups), window
        self.salience = {key: value for key, value in salience.items() if value is not None}
        self._kept: dict[int, dict[str, _Kept]] = {}
        self._entries: dict[int, Mapping[str, Any]] = {}
        self._verdicts: dict[tuple[tuple[int, ...], bool], Verdict] = {}
        self.over = False
        """Whether the training has ended, so that its verdict judges all of it once; adding a step resumes it."""
        self._recent = Recent(window)

    @classmethod
    def read(cls, run: store.Run | str | Path, **salience: Any) -> "History":
        """Return what a run has measured so far, finished or not; salience as in its recipe unless given.

        Raises
        ------
        NotARunError, SchemaError, StorageError
            As in `interdyn.store.open_run`.
        """
        opened = store.as_run(run)
        window = store.read_window(opened)
        history = cls(opened.groups, window=window, **{**store.read_salience(opened), **salience})
        history._run, history._reader = opened, store.Reader(opened)
        history.update()
        history.over = (opened.path / "summary.json").is_file()
        return history

    def update(self) -> bool:
        """Read what is new on disk since `read`; return whether there was anything.

        Raises
        ------
        NotARunError, SchemaError
            As in `interdyn.store.open_run`.
        """
        if self._run is None or self._reader is None:
            return False
        run = store.open_run(self._run.path)
        if (run.config_hash, run.id) != (self._run.config_hash, self._run.id):  # another run in the same folder
            self._begin(run.groups, store.read_window(run), **store.read_salience(run))
            self._reader = store.Reader(run)
        self._run = self._reader.run = run
        known = len(self._kept)
        for entry, measured in self._reader.steps(known=self._kept):
            self.add(measured, entry)
        return len(self._kept) > known

    @property
    def damage(self) -> str:
        """A sentence on what cannot be read of a run on disk; empty if everything is intact."""
        return "" if self._reader is None else self._reader.damage

    def add(self, measured: Sequence[Measurement], entry: Mapping[str, Any] | None = None) -> None:
        """Add the measurements of all groups at one step.

        Parameters
        ----------
        measured
            One measurement for each group.
        entry
            What else is known about the step: ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy``,
            ``seconds``.
        """
        step, kept = measured[0].step, {}
        for m in measured:
            found = interactions(m)
            seen = Seen.of(found, **self.salience)
            read = reading(
                found, labels=m.targets, group=m.group, step=step, sample_ids=m.sample_ids, spectrum=seen.spectrum
            )
            tables = predictable(m.v) if m.group == self.groups[0] and self._reader is None else None
            kept[m.group] = _Kept(seen, read, m.forward_passes, m.seconds, tables)
            if m.group == self.groups[0] and step >= max(self._kept, default=step):
                self._recent.add(step, found)
        self._kept[step], self._entries[step], self.over = kept, dict(entry or {}), False

    @property
    def steps(self) -> tuple[int, ...]:
        """All steps that are measured."""
        return tuple(sorted(self._kept))

    @property
    def count(self) -> int:
        """How many measurements there are: steps, or windows of steps."""
        return len(set(windows_of(self.steps, self.window)))

    @property
    def together(self) -> tuple[int, ...]:
        """The steps that belong together."""
        return belonging({step: tuple(self._kept[step][g].reading.mark for g in self.groups) for step in self._kept})

    def column(self, name: str, steps: Sequence[int] | None = None) -> np.ndarray | None:
        """Return a quantity recorded with the measurements, NaN where missing; None if never recorded."""
        at = self.together if steps is None else steps
        values = [self._entries[step].get(name) for step in at]
        column = np.array([np.nan if value is None else value for value in values], dtype=float)
        return None if np.isnan(column).all() else column

    def trajectory(self, *, group: str | None = None) -> Trajectory:
        """Return strength per order of a group at the steps that belong together, with the losses.

        Parameters
        ----------
        group
            One of the groups of samples; by default the first.

        Returns
        -------
        Trajectory
            Salient strength, shape ``(steps, samples, orders)``, in the unit of the tables.

        Raises
        ------
        InputError
            If there is no such group.
        IncompleteRunError
            If nothing is measured yet.
        """
        name = self.groups[0] if group is None else group
        if name not in self.groups:
            raise InputError(f"`group` must be one of {', '.join(self.groups)}; got {name!r}. Choose one.")
        self._refuse_nothing("verdicts need", name)
        at = self.together
        seen = [self._kept[step][name].seen for step in at]
        return Trajectory(
            np.array(at, dtype=float),
            np.stack([one.spectrum.strength for one in seen]),
            self.column("train_loss"),
            self.column("test_loss"),
            seen[-1].unit,
            self._numbers(),
            self.column("test_accuracy"),
        )

    def _numbers(self) -> np.ndarray | None:
        """Return which measurement each step belongs to; None if each step is a measurement."""
        return None if self.window == 1 else np.array(windows_of(self.together, self.window))

    def verdict(self, step: int | None = None) -> Verdict | None:
        """Return the three statements, by default on all measurements; None before the first. Cached.

        During training, a measurement counts once all of its nearby steps are measured, or the next one has started.

        Parameters
        ----------
        step
            The last step that counts: the verdict is what was known then. Without it, a finished training is judged
            once as a whole (`interdyn.dynamics.whole_verdict`), a running one by what is known now.
        """
        at = tuple(s for s in self.together if step is None or s <= step)
        over = self.over and step is None
        return self._judged(at if over else self._whole(at), over=over) if at else None

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return what was known after each measurement: `verdict` at all steps that belong together, each cached.

        Raises
        ------
        IncompleteRunError
            If nothing is measured yet.
        """
        self._refuse_nothing("verdicts need", self.groups[0])
        at = self.together
        known = dict.fromkeys(self._whole(at[: i + 1]) for i in range(len(at)))
        return tuple(self._judged(one, over=False) for one in known)

    def _whole(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """Return the steps of complete measurements, for which rates are known; all if there is none yet."""
        return at[: up_to_whole(at, self.window)] or at

    def _judged(self, at: tuple[int, ...], *, over: bool) -> Verdict:
        if (at, over) not in self._verdicts:
            seen, pattern = self.trajectory().first(len(at)), self._pattern(at)
            numbers = windows_of(at, self.window)
            before = self._verdicts.get((at[: numbers.index(numbers[-1])], False))  # of the previous measurement
            judged = whole_verdict(seen, pattern=pattern) if over else None
            self._verdicts[at, over] = judged or online_verdict(seen, before=before, pattern=pattern)
        return self._verdicts[at, over]

    @property
    def sees_harm(self) -> bool:
        """Whether a test loss or accuracy is known at any step."""
        return any(self.column(name) is not None for name in ("test_loss", "test_accuracy"))

    def _pattern(self, at: Sequence[int]) -> Onset | None:
        """Return `find_pattern` of the first group of training samples with trusted labels; None without one."""
        group = next((name for name in self.groups if is_training(name) and name != MISLABELLED), None)
        return None if group is None else pattern_of(at, [self.seen(step, group) for step in at], self.window)

    def samples(self, step: int | None = None, *, training: Sequence[str] | None = None) -> SampleTable:
        """Return profile and score of each sample at a step, by default the last; see `sample_table`.

        Measurements after ``step`` are never used.

        Raises
        ------
        InputError
            If the step is not measured.
        IncompleteRunError
            If nothing is measured yet.
        """
        if step is not None and step not in self._kept:
            raise InputError(f"`step` must be one of the measured steps, {list(self.steps)}; got {step}. Choose one.")
        self._refuse_nothing("the table of samples needs", self.groups[0])
        return sample_table(self.readings(step), training=training)

    def result(self, *, options: Mapping[str, Any] | None = None) -> RunResult:
        """Return the result of a finished training.

        Parameters
        ----------
        options
            As in `analyse`, with the history's salience. ``ranges`` (True): also what sparsity leaves open.

        Raises
        ------
        IncompleteRunError
            If a group was not measured at every step of the run's plan; a tracked training has no plan, and its
            damaged files are left out and reported.
        """
        if self._run is not None and not self._run.open_ended:
            missing = [step for step in self._run.steps if step not in self._kept]
            if missing:
                raise not_measured(self._run, missing[0])
        self._refuse_nothing("a summary needs", self.groups[0])
        at, courses = self._courses()
        losses = dict.fromkeys(LOSSES[:2]) | self._losses()
        chosen = chosen_options(options) | self.salience
        known = (at, courses, self.last, losses, chosen)
        pattern, window = self._pattern(self.together), self._numbers()
        result = of_the_whole(*known, pattern=pattern, window=window, tables=self.tables())
        more: dict[str, Any] = {"identified": left_open(self.last, step=at[-1])} if chosen["ranges"] else {}
        if windows := self._windows(courses, n_bootstrap=chosen["bootstrap"], seed=chosen["seed"]):
            repeated = repeatability(self.together, self.window, self._recent, **self.salience)
            more["windows"] = windows.model_copy(update={"repeatability": repeated})
        return self._signed(result, **more)

    def tables(self) -> list[np.ndarray]:
        """Return tables of the first group at the steps that belong together; fewer if one is damaged."""
        name, reader = self.groups[0], self._reader
        if reader is None:
            return [kept for step in self.together if (kept := self._kept[step][name].tables) is not None]
        read = (reader.measurement(step, group=name) for step in self.together)
        return [predictable(one.v) for one in read if one is not None]

    def result_so_far(self) -> RunResult:
        """Return the result of a running training, as far as it is known; without the theory.

        Raises
        ------
        IncompleteRunError
            If nothing is measured yet.
        """
        self._refuse_nothing("a summary needs", self.groups[0])
        at, courses = self._courses()
        verdict = self.verdict(at[-1])
        assert verdict is not None
        windows = self._windows(courses, n_bootstrap=RESAMPLES, seed=0)
        more = {} if windows is None else {"windows": windows}
        return self._signed(so_far(at, courses, self._losses(), verdict), **more)

    def _windows(self, courses: Mapping[str, Course], *, n_bootstrap: int, seed: int) -> WindowResult | None:
        """Return the curves of the measurements; None if each step is a measurement."""
        if self.window == 1:
            return None
        return of_windows(self.together, self.window, courses, self._recent, n_bootstrap=n_bootstrap, seed=seed)

    def _losses(self) -> dict[str, np.ndarray]:
        """Return the losses and accuracies that were recorded."""
        return {name: column for name in LOSSES if (column := self.column(name)) is not None}

    def _courses(self) -> tuple[np.ndarray, dict[str, Course]]:
        """Return the steps that belong together, and each group over them."""
        at = self.together
        ids = {reading.group: reading.sample_ids.tolist() for reading in self.readings(together=True)}
        courses = {name: Course([self.seen(step, name) for step in at], ids[name]) for name in self.groups}
        return np.array(at, dtype=float), courses

    def _signed(self, result: RunResult, **more: Any) -> RunResult:
        """Return a result with what else the history knows: accuracies, samples, cost, the run's name."""
        told = {"samples": sample_table(self.readings(together=True))} | self.cost() | more
        if self.damage:
            told["verdict"] = (*result.verdict, self.damage)
        return result.model_copy(update=told | ({} if self._run is None else store.identity(self._run)))

    @property
    def last(self) -> Interactions:
        """The interactions of the first group at the last step."""
        return self._recent.last

    def seen(self, step: int, group: str) -> Seen:
        """Return what is kept of the interactions of a group at a step."""
        return self._kept[step][group].seen

    def readings(self, step: int | None = None, *, together: bool = False) -> list[Reading]:
        """Return the readings of each measurement up to ``step``; of all, or those that belong together."""
        at = self.together if together else self.steps
        return [self._kept[s][g].reading for s in at if step is None or s <= step for g in self.groups]

    def cost(self) -> dict[str, Any]:
        """Return forward passes and seconds by part, over all interruptions, of the steps that belong together."""
        kept = [self._kept[step][group] for group in self.groups for step in self.together]
        spent = [self._entries[step].get("seconds", {}) for step in self.together]
        rest = sum(one.get("evaluation", 0.0) for one in spent) + sum(one.seconds["split"] for one in kept)
        return {
            "forward_passes": sum(one.forward_passes for one in kept),
            "seconds": {
                "training": sum(one.get("training", 0.0) for one in spent),
                "forward_passes": sum(one.seconds["forward"] for one in kept),
                "everything_else": rest,
            },
        }

    def _refuse_nothing(self, what: str, group: str) -> None:
        if self._kept:
            return
        where, do = ("memory", "Measure a step first.")
        if self._run is not None:
            where, do = str(self._run.path), store.to_measure(self._run)
        raise IncompleteRunError(f"{what} a measured step; got no complete files of group `{group}` in {where}. {do}")
