"""The result of a run, as one frozen record with one codec: the JSON of ``summary.json`` and ``analysis.json``."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, ValidationError

from interdyn.errors import IncompleteRunError, RunError, SchemaError
from interdyn.values._game_rule import GameRule
from interdyn.values._record import Band, MeasurementCount, Numbers, OverSteps, Record, numbers_of
from interdyn.values._registry import accessor
from interdyn.values._run_parts import (
    KINDS,
    GroupResult,
    HarmResult,
    LeftOpen,
    PhaseResult,
    RowNorms,
    SplitQuality,
    SplitRule,
    TheoryResult,
)
from interdyn.values._sample_table import SampleTable
from interdyn.values._table_prediction import PredictionResult
from interdyn.values._window_result import WindowResult

RESULT_SCHEMA = 1
_THEORY_COLUMNS = {  # attribute to the names of value, low and high in a row of summary.json
    "noise_var": ("noise_var", "noise_var_low", "noise_var_high"),
    "tv": ("tv_distance", "tv_low", "tv_high"),
}
_THEORY_NUMBERS = ("tv_null_sigma0", "tv_null_tilt", "tilt")
_OF_THE_ANALYSIS = ("groups", "row_norms", "samples")
_Samples = Annotated[SampleTable, BeforeValidator(SampleTable.from_json), PlainSerializer(SampleTable.to_json)]


class RunResult(Record):
    """Everything that figures, report, exports and commands take from a run; see `from_json`, `interdyn.plot.load_run`.

    Attributes
    ----------
    recipe, config_hash, version
        Name and hash of the recipe, and version of this package.
    steps
        Optimiser steps, ascending, shape ``(steps,)``; 0 is the network before training.
    n_players, n_samples
        Number of players; of samples in the first group.
    train_loss, test_loss, train_accuracy, test_accuracy
        Shape ``(steps,)`` or ``None``.
    groups
        Measurements per group of samples; the first is the one the verdict is about.
    phases, harm, theory, row_norms, identified, samples
        ``None`` when not computed.
    windows
        What the nearby steps of each measurement have in common; None if each step is a measurement.
    prediction
        Which mechanism predicts the earlier checkpoints from the final network. None in older runs.
    solver, split
        The quality of the splits, and the options with which they were made.
    game
        How many parts there are, and how they are masked; mean orders of different games cannot be compared.
    forward_passes, seconds
        Cost: masked inputs given to the network; wall time by part.
    measurements
        For a tracked training: how many measurements were planned, taken and missed. None if not recorded.
    verdict
        First the verdict, in at most two sentences; then short sentences on the rest.
    stage
        The phase that a running training is in, one of `interdyn.dynamics.Stage` (older runs also have
        "over-fitting has begun"); None once it has ended.
    planted, left_out, players_of_samples
        For a recipe: how far the measurement is from known interactions; samples that could not be drawn; the number
        of players of each sample if they differ. None otherwise.
    """

    recipe: str = "unnamed recipe"
    config_hash: str = ""
    version: str = ""
    steps: Numbers
    n_players: int = 0
    n_samples: int | None = None
    train_loss: OverSteps | None = None
    test_loss: OverSteps | None = None
    train_accuracy: OverSteps | None = None
    test_accuracy: OverSteps | None = None
    groups: Mapping[str, GroupResult] = {}
    phases: PhaseResult | None = None
    harm: HarmResult | None = None
    theory: TheoryResult | None = None
    prediction: PredictionResult | None = None
    row_norms: RowNorms | None = None
    solver: SplitQuality = SplitQuality()
    split: SplitRule = SplitRule()
    game: GameRule = GameRule()
    identified: LeftOpen | None = None
    samples: _Samples | None = None
    windows: WindowResult | None = None
    forward_passes: int | None = None
    seconds: Mapping[str, float] = {}
    measurements: MeasurementCount | None = None
    verdict: tuple[str, ...] = ()
    stage: str | None = None
    planted: Mapping[str, float] | None = None
    left_out: Mapping[str, int] | None = None
    players_of_samples: Mapping[str, tuple[int, ...]] | None = None

    @property
    def orders(self) -> np.ndarray:
        """Orders ``1..n``."""
        return np.arange(1.0, self.n_players + 1)

    @property
    def first(self) -> GroupResult | None:
        """The group the verdict is about."""
        return next(iter(self.groups.values()), None)

    @property
    def mean_order(self) -> Band | None:
        """Mean order of that group, of windows if measurements are windows; None if not recorded."""
        own = None if self.first is None else self.first.mean_order
        return own if self.windows is None else self.windows.mean_order.get(next(iter(self.groups), ""), own)

    @property
    def loss_gap(self) -> np.ndarray | None:
        """Test loss minus training loss, or ``None`` if either was not recorded."""
        if self.train_loss is None or self.test_loss is None:
            return None
        return np.asarray(self.test_loss - self.train_loss)

    @property
    def plot(self) -> Any:
        """Figures of this run: ``run.plot.mean_order()`` and others; see `interdyn.plot.RunPlots`."""
        return accessor("RunPlots")(self)

    def group(self, name: str) -> GroupResult | None:
        """Return the group of that name, or ``None`` if it was not measured."""
        return self.groups.get(name)

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"RunResult({self.recipe!r}, {len(self.steps)} checkpoints, {self.n_players} players)"

    def _repr_html_(self) -> str:
        html: str = accessor("run_html")(self)
        return html

    @classmethod
    def from_json(cls, summary: Mapping[str, Any], analysis: Mapping[str, Any] | None = None) -> "RunResult":
        """Return the result in the two JSON objects of a run.

        Parameters
        ----------
        summary
            Content of ``summary.json``. Only ``steps`` is required.
        analysis
            Content of ``analysis.json``; without it there are no intervals, no signed strengths and no other groups.

        Raises
        ------
        SchemaError
            If a newer version wrote it.
        IncompleteRunError
            If no checkpoint has been measured yet.
        RunError
            If an entry is missing or does not fit the steps and orders of the run.

        Examples
        --------
        >>> result = RunResult.from_json({"steps": [0, 10], "mean_order": [3.5, None]})
        >>> result.steps.tolist(), result.theory
        ([0.0, 10.0], None)
        """
        analysis = analysis or {}
        for name, block in (("summary.json", summary), ("analysis.json", analysis)):
            if int(block.get("schema") or RESULT_SCHEMA) > RESULT_SCHEMA:
                raise SchemaError(
                    f"`{name}` must have schema {RESULT_SCHEMA} or older; got {block['schema']}. "
                    "Upgrade: pip install --upgrade interdyn"
                )
        steps = numbers_of(summary.get("steps") or [])
        if steps.ndim != 1 or steps.size == 0 or bool((np.diff(steps) <= 0).any()):
            raise IncompleteRunError(
                f"a result needs at least one checkpoint, steps ascending; got steps {steps.tolist()}. "
                "Resume the run: `interdyn run RECIPE --out DIR`."
            )
        n = int(summary.get("n_players") or len(summary.get("orders") or ()))
        data = {key: value for key, value in summary.items() if value is not None and key not in ("theory", "steps")}
        data |= {"steps": steps, "n_players": n, "groups": _groups(summary, analysis.get("groups") or {})}
        data |= {key: analysis[key] for key in ("row_norms", "samples") if analysis.get(key)}
        if rows := summary.get("theory"):
            overall = summary.get("theory_summary") or {}
            data["theory"] = {**_theory(rows, steps), **(analysis.get("theory") or {}), "overall": overall}
        if isinstance(data.get("verdict"), str):
            data["verdict"] = [data["verdict"]]
        told = data.get("game", {})
        if isinstance(told, Mapping):
            unit = next((group.get("unit") for group in data["groups"].values()), None)
            data["game"] = {"n_players": n, "unit": unit, **told}
        try:
            return cls.model_validate(data, context={"steps": len(steps), "orders": n})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise RunError(
                f"the results of a run must contain `{place}` in the form this version reads; got "
                f"{first['input']!r:.80}. Analyse the run again: remove summary.json and repeat the run's command."
            ) from None

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return ``{"summary": ..., "analysis": ...}``, plain data as ``docs/reference/run-directory.md`` describes."""
        data = self.model_dump(mode="json", exclude_unset=True)
        analysis = {key: data.pop(key) for key in _OF_THE_ANALYSIS if key in data}
        analysis["groups"] = {name: _flat(group) for name, group in analysis.get("groups", {}).items()}
        summary = {"orders": self.orders.astype(int).tolist(), **data}
        first: dict[str, Any] = next(iter(analysis["groups"].values()), {})
        summary |= {key: first[key] for key in ("order_distribution", "mean_order") if key in first}
        if self.theory is not None:
            data["theory"].pop("overall", None)
            summary["theory_summary"] = self.theory.overall.model_dump(mode="json")
            summary["theory"] = _rows(self.theory, self.steps)
            columns = {*_THEORY_COLUMNS, *_THEORY_NUMBERS, "in_phase_2", "sentences"}
            analysis["theory"] = {key: value for key, value in data["theory"].items() if key not in columns}
        schema: dict[str, Any] = {"schema": RESULT_SCHEMA}
        identity = {key: summary[key] for key in ("recipe", "config_hash", "version") if key in summary}
        return {"summary": schema | summary, "analysis": schema | identity | analysis}


def _groups(summary: Mapping[str, Any], blocks: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups; without an analysis, the summary, which has no intervals, is used for the first."""
    groups = {str(name): _folded(block) for name, block in blocks.items() if block}
    groups = dict(sorted(groups.items(), key=lambda item: item[0] != "test"))
    if "test" not in groups and ("order_distribution" in summary or "mean_order" in summary):
        keys = ("order_distribution", "mean_order", "n_samples")
        groups = {"test": _folded({key: summary.get(key) for key in keys}), **groups}
    return groups


def _folded(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's block with each quantity and its interval combined, as `Band` has them."""
    out = {key: value for key, value in block.items() if value is not None}
    for name in ("order_distribution", "mean_order"):
        if name in out:
            out[name] = {"value": out[name], "low": out.pop(f"{name}_low", None), "high": out.pop(f"{name}_high", None)}
    if set(out.get("strength") or ()) < set(KINDS):
        out.pop("strength", None)
    return out


def _flat(block: dict[str, Any]) -> dict[str, Any]:
    """Undo `_folded`."""
    out: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, dict) and "value" in value:
            out[key] = value["value"]
            out |= {f"{key}_{end}": value[end] for end in ("low", "high") if value.get(end) is not None}
        else:
            out[key] = value
    return out


def _theory(rows: list[Mapping[str, Any]], steps: np.ndarray) -> dict[str, Any]:
    """Return the columns of the theory's rows, aligned to the steps; NaN where a step has none."""
    by_step = {float(row["step"]): row for row in rows}
    aligned = [by_step.get(float(step), {}) for step in steps]

    def column(key: str) -> list[Any]:
        return [row.get(key) for row in aligned]

    bands = {
        name: dict(zip(("value", "low", "high"), map(column, keys), strict=True))
        for name, keys in _THEORY_COLUMNS.items()
    }
    numbers = {name: column(name) for name in _THEORY_NUMBERS}
    inside = [bool(value) for value in column("in_phase_2")]
    return {**bands, **numbers, "in_phase_2": inside, "sentences": [str(text or "") for text in column("sentence")]}


def _rows(theory: TheoryResult, steps: np.ndarray) -> list[dict[str, Any]]:
    """Undo `_theory`."""
    columns: dict[str, Any] = {}
    for name, keys in _THEORY_COLUMNS.items():
        band: Band = getattr(theory, name)
        columns |= {
            key: part for key, part in zip(keys, (band.value, band.low, band.high), strict=True) if part is not None
        }
    columns |= {name: getattr(theory, name) for name in (*_THEORY_NUMBERS, "in_phase_2")}
    rows = [{"step": float(step)} | {k: v[i].item() for k, v in columns.items()} for i, step in enumerate(steps)]
    return [{**row, "sentence": sentence} for row, sentence in zip(rows, theory.sentences, strict=True)]
