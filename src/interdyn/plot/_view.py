"""A run as figures see it: frozen arrays made from the plain JSON of a run, every block optional."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from interdyn.errors import IncompleteRunError, InputError, RunError, SchemaError
from interdyn.store import SCHEMA, open_run, read_results
from interdyn.values import accessor

KINDS = ("and_positive", "and_negative", "or_positive", "or_negative")


@dataclass(frozen=True)
class Band:
    """A measured quantity and its interval; ``low`` and ``high`` are ``None`` where none was recorded."""

    value: Float[np.ndarray, "*shape"]
    low: Float[np.ndarray, "*shape"] | None = None
    high: Float[np.ndarray, "*shape"] | None = None

    def interval(self) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]] | None:
        """Return ``(low, high)``, or ``None`` when either was not recorded."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class GroupView:
    """What was measured on one group of samples (``"test"`` or ``"mislabelled"``).

    ``order_distribution`` is ``(steps, orders)``, ``mean_order`` and ``n_salient`` are ``(steps,)``,
    ``strength`` maps each name of `KINDS` to ``(steps, orders)`` magnitudes in ``unit``; ``gap`` and ``residual`` are
    the largest of each step, ``(steps,)``.
    """

    n_samples: int | None
    order_distribution: Band | None
    mean_order: Band | None
    n_salient: Float[np.ndarray, " steps"] | None
    strength: Mapping[str, Float[np.ndarray, "steps orders"]] | None
    unit: str
    gap: Float[np.ndarray, " steps"] | None = None
    residual: Float[np.ndarray, " steps"] | None = None


@dataclass(frozen=True)
class RowNorms:
    """Norm of the theory's rows of order ``k`` over that of order ``k + 1``, ``k = 0..n-1``: ``(levels, n)``."""

    noise_var: Float[np.ndarray, " levels"]
    ratios: Float[np.ndarray, "levels orders"]


@dataclass(frozen=True)
class PhaseView:
    """The verdict on the two phases; steps are optimiser steps, ``None`` where there is no answer."""

    found: bool
    boundary: float | None
    interval: tuple[float, float] | None
    gap_onset: float | None
    gap_interval: tuple[float, float] | None
    status: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class TheoryView:
    """The theory's fit, one entry per step of the run (NaN where the step was not fitted).

    ``noise_var`` is the paper's sigma squared; ``tv`` the total variation distance between the measured and
    the theoretical distribution over orders, in [0, 1]; the nulls are the same distance for ``sigma = 0`` and
    for an exponential tilt of the final distribution.
    """

    noise_var: Band
    tv: Band
    tv_null_sigma0: Float[np.ndarray, " steps"]
    tv_null_tilt: Float[np.ndarray, " steps"]
    in_phase_2: Bool[np.ndarray, " steps"]
    described: Bool[np.ndarray, " steps"]
    sentences: tuple[str, ...]
    order_distribution: Float[np.ndarray, "steps orders"] | None
    bound: float | None
    overall: Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class RunView:
    """Everything the figures and the report draw; made by `load_run` or `run_view`.

    Attributes
    ----------
    recipe, version
        Name of the recipe and version of the package that made the run; both stand in the corner of figures.
    steps
        Optimiser steps, ascending, shape ``(steps,)``; 0 is the network before training.
    orders
        Orders ``1..n``.
    train_loss, test_loss, train_accuracy, test_accuracy
        Shape ``(steps,)`` or ``None``.
    groups
        Measurements per group of samples; the first is the one the verdict is about.
    phases, theory, row_norms
        ``None`` when not computed.
    solver, seconds
        Numbers about the quality and the cost of the measurement, as recorded.
    split, identified
        By which rule tables were split (empty: that of version 0.1), and what sparsity alone leaves open at the last
        step, as recorded.
    verdict
        Short plain sentences.
    stage
        Where a run is that still grows; None once it has ended.
    """

    recipe: str
    version: str
    steps: Float[np.ndarray, " steps"]
    orders: Float[np.ndarray, " orders"]
    n_samples: int | None
    train_loss: Float[np.ndarray, " steps"] | None
    test_loss: Float[np.ndarray, " steps"] | None
    train_accuracy: Float[np.ndarray, " steps"] | None
    test_accuracy: Float[np.ndarray, " steps"] | None
    groups: Mapping[str, GroupView]
    phases: PhaseView | None
    theory: TheoryView | None
    solver: Mapping[str, Any]
    seconds: Mapping[str, Any]
    forward_passes: int | None
    verdict: tuple[str, ...]
    split: Mapping[str, Any] = field(default_factory=dict)
    identified: Mapping[str, Any] = field(default_factory=dict)
    row_norms: RowNorms | None = None
    stage: str | None = None

    @property
    def loss_gap(self) -> Float[np.ndarray, " steps"] | None:
        """Test loss minus training loss, or ``None`` when either was not recorded."""
        if self.train_loss is None or self.test_loss is None:
            return None
        return np.asarray(self.test_loss - self.train_loss)

    def __repr__(self) -> str:
        return f"RunView({self.recipe!r}, {len(self.steps)} checkpoints, {len(self.orders)} players)"

    def _repr_html_(self) -> str:
        html: str = accessor("run_html")(self)
        return html

    def group(self, name: str) -> GroupView | None:
        """Return the group of that name, or ``None`` when it was not measured."""
        return self.groups.get(name)


Drawable = RunView | Mapping[str, Any] | Path | str


def has_numbers(array: np.ndarray | None) -> bool:
    """Say whether there is anything to draw: an array with at least one finite number."""
    return array is not None and bool(np.isfinite(array).any())


def _array(block: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Read one array of a JSON block; ``None`` when absent, an error when it does not fit the run."""
    raw = block.get(key)
    if raw is None:
        return None
    try:
        array = np.array(raw, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != shape:
        raise RunError(
            f"`{key}` must be numbers of shape {shape} (steps first, then orders); got "
            f"{array.shape if array.size else 'something else'}. Run it again: `interdyn run RECIPE`."
        )
    return array


def _band(block: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Band | None:
    value = _array(block, key, shape)
    if value is None:
        return None
    return Band(value, _array(block, f"{key}_low", shape), _array(block, f"{key}_high", shape))


def _pair(raw: Any) -> tuple[float, float] | None:
    return None if raw is None or None in raw else (float(raw[0]), float(raw[1]))


def _number(raw: Any) -> float | None:
    return None if raw is None else float(raw)


def _group(block: Mapping[str, Any], t: int, n: int) -> GroupView:
    raw = block.get("strength") or {}
    parts = {kind: _array(raw, kind, (t, n)) for kind in KINDS}
    strength = {kind: part for kind, part in parts.items() if part is not None}
    return GroupView(
        n_samples=block.get("n_samples"),
        order_distribution=_band(block, "order_distribution", (t, n)),
        mean_order=_band(block, "mean_order", (t,)),
        n_salient=_array(block, "n_salient", (t,)),
        strength=strength if len(strength) == len(KINDS) else None,
        unit=str(block.get("unit") or "unit of the output"),
        gap=_array(block, "gap", (t,)),
        residual=_array(block, "residual", (t,)),
    )


def _row_norms(block: Mapping[str, Any] | None, n: int) -> RowNorms | None:
    levels = (block or {}).get("noise_var")
    if not block or not levels:
        return None
    ratios = _array(block, "ratios", (len(levels), n))
    return None if ratios is None else RowNorms(np.array(levels, dtype=np.float64), ratios)


def _phases(block: Mapping[str, Any] | None) -> PhaseView | None:
    if not block:
        return None
    return PhaseView(
        found=bool(block.get("found")),
        boundary=_number(block.get("boundary_step")),
        interval=_pair(block.get("interval")),
        gap_onset=_number(block.get("gap_onset_step")),
        gap_interval=_pair(block.get("gap_interval")),
        status=str(block.get("status") or ""),
        sentences=tuple(str(s) for s in block.get("sentences") or ()),
    )


def _theory(
    rows: Sequence[Mapping[str, Any]],
    overall: Mapping[str, Any],
    block: Mapping[str, Any],
    *,
    steps: np.ndarray,
    n: int,
) -> TheoryView | None:
    if not rows:
        return None
    by_step = {float(row["step"]): row for row in rows}
    aligned = [by_step.get(float(step), {}) for step in steps]

    def column(key: str) -> np.ndarray:
        return np.array([row.get(key) for row in aligned], dtype=np.float64)

    return TheoryView(
        noise_var=Band(column("noise_var"), column("noise_var_low"), column("noise_var_high")),
        tv=Band(column("tv_distance"), column("tv_low"), column("tv_high")),
        tv_null_sigma0=column("tv_null_sigma0"),
        tv_null_tilt=column("tv_null_tilt"),
        in_phase_2=np.array([bool(row.get("in_phase_2")) for row in aligned]),
        described=np.array([bool(row.get("described")) for row in aligned]),
        sentences=tuple(str(row.get("sentence") or "") for row in aligned),
        order_distribution=_array(block, "order_distribution", (len(steps), n)),
        bound=_number(block.get("bound")),
        overall=dict(overall),
    )


def _groups(summary: Mapping[str, Any], analysis: Mapping[str, Any], t: int, n: int) -> dict[str, GroupView]:
    """Read the groups; the summary, which has no intervals, stands in for test samples without analysis."""
    blocks = sorted((analysis.get("groups") or {}).items(), key=lambda item: str(item[0]) != "test")
    groups = {str(name): _group(block, t, n) for name, block in blocks if block}
    if "test" not in groups and ("order_distribution" in summary or "mean_order" in summary):
        groups = {"test": _group(summary, t, n), **groups}
    return groups


def run_view(summary: Mapping[str, Any], analysis: Mapping[str, Any] | None = None) -> RunView:
    """Turn the two JSON objects of a run into arrays.

    Parameters
    ----------
    summary
        Content of ``summary.json``. Only ``steps`` is required.
    analysis
        Content of ``analysis.json``; without it there are no intervals, no signed strengths and no
        mislabelled samples to draw.

    Raises
    ------
    SchemaError
        When a newer version wrote the run.
    IncompleteRunError
        When no checkpoint has been measured yet.
    RunError
        When an array does not fit the steps and orders of the run.

    Examples
    --------
    >>> view = run_view({"steps": [0, 10], "mean_order": [3.5, None]})
    >>> view.steps.tolist(), view.theory
    ([0.0, 10.0], None)
    """
    analysis = analysis or {}
    for name, block in (("summary.json", summary), ("analysis.json", analysis)):
        if int(block.get("schema") or SCHEMA) > SCHEMA:
            raise SchemaError(
                f"`{name}` must have schema {SCHEMA} or older; got {block['schema']}. "
                "Upgrade: pip install --upgrade interdyn"
            )
    steps = np.array(summary.get("steps") or [], dtype=np.float64)
    if steps.size == 0 or bool((np.diff(steps) <= 0).any()):
        raise IncompleteRunError(
            f"a run to draw needs at least one checkpoint, steps ascending; got steps {steps.tolist()}. "
            "Let the run go on: `interdyn run RECIPE --out DIR`."
        )
    orders = np.array(summary.get("orders") or range(1, int(summary.get("n_players") or 0) + 1), dtype=np.float64)
    t, n = len(steps), len(orders)
    return RunView(
        recipe=str(summary.get("recipe") or "unnamed recipe"),
        version=str(summary.get("version") or ""),
        steps=steps,
        orders=orders,
        n_samples=summary.get("n_samples"),
        train_loss=_array(summary, "train_loss", (t,)),
        test_loss=_array(summary, "test_loss", (t,)),
        train_accuracy=_array(summary, "train_accuracy", (t,)),
        test_accuracy=_array(summary, "test_accuracy", (t,)),
        groups=_groups(summary, analysis, t, n),
        phases=_phases(summary.get("phases")),
        theory=_theory(
            summary.get("theory") or (),
            summary.get("theory_summary") or {},
            analysis.get("theory") or {},
            steps=steps,
            n=n,
        ),
        solver=summary.get("solver") or {},
        split=summary.get("split") or {},
        identified=summary.get("identified") or {},
        seconds=summary.get("seconds") or {},
        forward_passes=summary.get("forward_passes"),
        verdict=tuple(str(s) for s in summary.get("verdict") or ()),
        row_norms=_row_norms(analysis.get("row_norms"), n),
        stage=None if summary.get("stage") is None else str(summary["stage"]),
    )


def load_run(path: Path | str) -> RunView:
    """Read a run directory for drawing.

    Parameters
    ----------
    path
        Folder with ``run.json`` and ``summary.json``, and ``analysis.json`` once the run was analysed.

    Raises
    ------
    NotARunError
        When the folder has no ``run.json``.
    IncompleteRunError
        When ``summary.json`` is missing, half written or holds no checkpoint.
    SchemaError
        When a newer version wrote the run.

    Examples
    --------
    >>> load_run("nowhere")
    Traceback (most recent call last):
    interdyn.errors.NotARunError: a run directory was needed; got nowhere: ...
    """
    return run_view(*read_results(open_run(Path(path))))


def as_view(data: Drawable) -> RunView:
    """Accept a `RunView`, a run directory, or ``{"summary": ..., "analysis": ...}``."""
    if isinstance(data, RunView):
        return data
    if isinstance(data, str | Path):
        return load_run(data)
    if not isinstance(data, Mapping) or "summary" not in data:
        raise InputError(
            "`data` must be a run directory, a RunView or a mapping with the key 'summary'; "
            f"got {type(data).__name__}. Pass the folder of the run."
        )
    return run_view(data["summary"], data.get("analysis"))
