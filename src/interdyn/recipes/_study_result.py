"""What the runs of a study have found, and whether its claims hold."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interdyn.errors import InterdynError, RunError
from interdyn.recipes._over_seeds import LEVEL, Estimate, mean_over, share_of, spread_of
from interdyn.recipes._quantities import QUANTITIES, SHARES
from interdyn.recipes._study import ClaimSection, Planned, Study, load_study, planned, selected
from interdyn.recipes._study_claims import ClaimResult, judged
from interdyn.store import has_result, holds_a_run, open_run, read_result
from interdyn.values import RunResult

STUDY_SCHEMA = 1
_COLUMNS = ("steps", "train_loss", "test_loss", "train_accuracy", "test_accuracy")


@dataclass(frozen=True)
class StudyRun:
    """The findings of one finished run of a study.

    Attributes
    ----------
    planned
        The planned run.
    values
        Each of the quantities; None if the run does not have it.
    course
        ``steps``, and at each ``mean_order``, losses and accuracies as far as the run has them.
    """

    planned: Planned
    values: Mapping[str, float | None]
    course: Mapping[str, list[float | None]]

    @classmethod
    def of(cls, planned: Planned, result: RunResult) -> "StudyRun":
        """Return what is kept of a result, to six digits."""
        values = {name: quantity(result) for name, quantity in QUANTITIES.items()}
        columns = {name: getattr(result, name) for name in _COLUMNS}
        if result.first is not None and result.first.mean_order is not None:
            columns["mean_order"] = result.first.mean_order.value
        course = {name: _short(column) for name, column in columns.items() if column is not None}
        return cls(planned, {name: _short([value])[0] for name, value in values.items()}, course)


def _mean(one: Estimate, runs: int) -> str:
    """Return an estimate, with its own number of runs where not all of them have the quantity."""
    own = f"; n = {one.n}" if one.count is None and 0 < one.n < runs else ""
    return f"{one}{own}"


def _spread(one: Estimate, runs: int) -> str:
    if one.spread is None:
        return "-"
    needed = [] if one.seeds_needed is None else [f"{one.seeds_needed} seeds"]
    own = [f"n = {one.n}"] if one.n < runs else []
    return f"{one.spread:.3g}" + (f" ({'; '.join(needed + own)})" if needed + own else "")


def _short(column: Iterable[float | None]) -> list[float | None]:
    return [None if x is None or not math.isfinite(x) else float(f"{x:.6g}") for x in column]


@dataclass(frozen=True)
class StudyResult:
    """What the runs of a study have found so far.

    Attributes
    ----------
    study
        The study.
    runs
        Its runs, in the order of `planned`; None for those that are not finished.
    failed
        Folders that cannot be read, with the reason.
    """

    study: Study
    runs: tuple[StudyRun | None, ...]
    failed: Mapping[str, str]

    @property
    def finished(self) -> list[StudyRun]:
        """Runs that are finished."""
        return [run for run in self.runs if run is not None]

    @property
    def by_variant(self) -> dict[str, list[StudyRun]]:
        """Finished runs by the name of their settings."""
        out: dict[str, list[StudyRun]] = {}
        for run in self.finished:
            out.setdefault(run.planned.variant, []).append(run)
        return out

    def table(self) -> dict[str, dict[str, Estimate]]:
        """Return the reported quantities of each variant: means over its seeds, or shares of them."""
        return {
            name: {
                key: (share_of if key in SHARES else mean_over)([run.values.get(key) for run in runs])
                for key in self.study.report
            }
            for name, runs in self.by_variant.items()
        }

    def claims(self) -> list[ClaimResult]:
        """Return each claim with the result of the finished runs; without finished runs it has no number."""
        return [self._claim(claim) for claim in self.study.claim]

    def tables(self) -> list[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]]:
        """Return heading, columns and rows of every table: means, spread if requested, claims."""
        columns = ("variant", "runs", *(name.replace("_", " ") for name in self.study.report))
        kinds: dict[str, Callable[[Estimate, int], str]] = {"Means over seeds, with 95 % intervals": _mean}
        if self.study.spread:
            kinds["Standard deviation between seeds, and how many seeds a mean within 10 % needs"] = _spread
        table, runs = self.table(), self.by_variant
        out = []
        for heading, told in kinds.items():
            cells = {name: [told(one, len(runs[name])) for one in row.values()] for name, row in table.items()}
            out.append((heading, columns, tuple((name, str(len(runs[name])), *row) for name, row in cells.items())))
        claims = [(one.text, one.needed, str(one.got), str(one.got.n), one.outcome) for one in self.claims()]
        if claims:
            out.append(("Claims", ("claim", "needed", "got", "seeds", "result"), tuple(claims)))
        return out

    def _claim(self, claim: ClaimSection) -> ClaimResult:
        of, against = (self._by_seed(chosen, claim.quantity) for chosen in (claim.of, claim.against))
        if claim.against is None:
            values = list(of.values())
        else:
            values = [of[seed] - against[seed] for seed in of if seed in against]
        return judged(claim, self._estimate(claim, values))

    def _estimate(self, claim: ClaimSection, values: list[float]) -> Estimate:
        """Return the estimate that a claim is about; its interval is not that of a mean where runs are 0 or 1."""
        found = (spread_of if claim.statistic == "spread" else mean_over)(values)
        if claim.quantity not in SHARES:
            return found
        settings = [run for run in selected(planned(self.study), claim.of) if run.seed == self.study.seeds[0]]
        if claim.statistic == "mean" and claim.against is None and len(settings) == 1:
            return share_of(values)
        return Estimate(found.value, None, None, found.n)

    def _by_seed(self, chosen: Mapping[str, Any] | None, quantity: str) -> dict[int, float]:
        """Return the mean of a quantity over the chosen runs of each seed: only the seed varies by chance."""
        out: dict[int, list[float]] = {}
        for run in self.finished if chosen is not None else ():
            value = run.values.get(quantity) if selected([run.planned], chosen or {}) else None
            if value is not None:
                out.setdefault(run.planned.seed, []).append(float(value))
        return {seed: float(np.mean(values)) for seed, values in out.items()}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data: the study, its runs, its table and every claim; no path of this machine."""
        table = {name: {key: asdict(one) for key, one in row.items()} for name, row in self.table().items()}
        return {
            "schema": STUDY_SCHEMA,
            "study": self.study.model_dump(mode="json", exclude_none=True) | {"recipe": Path(self.study.recipe).name},
            "level": LEVEL,
            "runs": {run.planned.folder: {"values": run.values, "course": run.course} for run in self.finished},
            "variants": table,
            "claims": [asdict(claim) for claim in self.claims()],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "StudyResult":
        """Return the result that `to_json` made, without loading recipes again.

        Raises
        ------
        RunError
            If it is not one.
        """
        try:
            study = Study.model_validate(told["study"])
            kept = {name: (dict(run["values"]), dict(run["course"])) for name, run in told["runs"].items()}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise RunError(
                f"the result of a study must be as `interdyn study` writes it; got {type(error).__name__}: {error}. "
                "Run the command again."
            ) from None
        runs = [StudyRun(plan, *kept[plan.folder]) if plan.folder in kept else None for plan in planned(study)]
        return cls(study, tuple(runs), {})


def read_study(study: Study, out: Path) -> StudyResult:
    """Return what the runs of a study in its folder have found so far; no run is started."""
    runs: list[StudyRun | None] = []
    failed = {}
    for run in planned(study):
        found, folder = None, out / run.folder
        try:
            if holds_a_run(folder) and has_result(open_run(folder)):
                found = StudyRun.of(run, read_result(open_run(folder)))
        except RunError as error:
            failed[run.folder] = str(error)
        runs.append(found)
    return StudyResult(study, tuple(runs), failed)


def run_of_study(file: str, index: int, out: str, smoke: bool, allow_code: bool) -> str:
    """Run one planned run of a study, in any process; return why it failed, or an empty string."""
    from interdyn.recipes._run import run_recipe

    study = load_study(file)
    run = planned(study)[index]
    try:
        run_recipe(run.recipe(study, smoke=smoke), Path(out) / run.folder, allow_code=allow_code)
    except InterdynError as error:  # others continue
        return f"{run.folder}: {error}"
    return ""
