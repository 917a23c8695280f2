"""What a recipe may contain: one frozen record for each section of the file; unknown keys are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from interdyn._typing import Solver
from interdyn.schedules import MOST_NEAR

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Options = Annotated[dict[str, Any], Field(default_factory=dict)]


class Section(BaseModel):
    """Base of all sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(Section):
    """The network: a registered name or ``module:factory``, and the factory's options."""

    name: str
    options: Options


class DataSection(Section):
    """The samples: a registered name or ``module:factory``, their split, the share of flipped labels."""

    name: str
    options: Options
    seed: Seed = 0
    test_fraction: Fraction = 0.3
    n_train: Count | None = None
    n_test: Count | None = None
    label_noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    standardise: bool = False


class AugmentationSection(Section):
    """Random changes of images in training: shifts by up to ``shift`` pixels, mirroring left to right."""

    shift: Annotated[int, Field(ge=0)] = 0
    flip: bool = False


class TrainingSection(Section):
    """The optimiser, how long it runs, and where: ``"cpu"``, ``"cuda"`` or ``"auto"``; by default the CPU."""

    optimiser: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    learning_rate: Positive
    schedule: Literal["constant", "step", "cosine"] = "constant"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: NonNegative = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: AugmentationSection = AugmentationSection()
    batch_size: Count = 32
    epochs: Count
    seed: Seed = 0
    device: str | None = None


class CheckpointsSection(Section):
    """When the network is saved: step 0, then log-spaced steps from ``first`` to the end of training.

    ``window``: how many nearby steps a measurement takes, spread over the following tenth of the training.
    """

    count: Annotated[int, Field(ge=2)] = 16
    first: Count = 1
    window: Annotated[int, Field(ge=1, le=MOST_NEAR)] = 1


_NEEDED: dict[str, tuple[str, ...]] = {"patches": ("rows", "cols"), "clusters": ("count",), "steps": ("count",)}
_ALLOWED: dict[str, tuple[str, ...]] = {
    "patches": ("rows", "cols", "central"),
    "columns": ("groups",),
    "clusters": ("count",),
    "steps": ("count",),
    "parts": (),
}


class PlayersSection(Section):
    """The players: which parts of an input are masked together, and which of them are drawn."""

    kind: Literal["patches", "columns", "steps", "parts", "clusters"]
    rows: Count | None = None
    cols: Count | None = None
    central: list[Count] | None = None
    groups: list[list[Annotated[int, Field(ge=0)]]] | None = None
    count: Count | None = None
    n: Count | None = None
    seed: Seed = 0
    others: Literal["keep", "mask"] = "keep"
    fewer: Literal["measure"] | None = None

    @model_validator(mode="after")
    def _fits_kind(self) -> "PlayersSection":
        for key in _NEEDED.get(self.kind, ()):
            if getattr(self, key) is None:
                raise ValueError(f"{self.kind} need `{key}`")
        for key in ("rows", "cols", "central", "groups", "count"):
            if getattr(self, key) is not None and key not in _ALLOWED[self.kind]:
                raise ValueError(f"{self.kind} have no `{key}`")
        if self.fewer and self.kind != "parts":
            raise ValueError(f"{self.kind} have no `fewer`, as all samples have the same number")
        if self.central is not None and len(self.central) != 2:
            raise ValueError("`central` needs two numbers, rows and columns")
        return self


class MeasureSection(Section):
    """Which samples are measured, and how; see `interdyn.measurement.MeasurementConfig`."""

    test_samples: Count = 24
    mislabelled_samples: Annotated[int, Field(ge=0)] = 0
    train_samples: Count | None = None
    seed: Seed = 0
    layer: str | None = None
    baseline: Literal["mean", "mask", "part-mean", "mean-embedding"] | float = "mean"
    output: Literal["log-odds", "logit", "log-probability", "loss", "regression"] = "log-odds"
    noise_bound: NonNegative = 0.02
    solver: Solver = "admm"
    order_weight: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.02
    tol: Positive | Literal["auto"] = "auto"
    max_iter: Count | None = None
    merge_order_one: bool = True
    rates: list[Positive] | None = None
    batch_size: Count | Literal["auto"] = "auto"
    device: str | None = None
    calibrate_batch_norm: Literal[0] | Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _fits_order_weight(self) -> "MeasureSection":
        if isinstance(self.tol, float) and self.solver == "admm" and 0 < self.order_weight < self.tol:
            raise ValueError('`tol` must be at most `order_weight`, or ties are not broken at all; leave it "auto"')
        return self

    @model_validator(mode="after")
    def _fits_layer(self) -> "MeasureSection":
        of_a_layer = not isinstance(self.baseline, str) or self.baseline == "mean-embedding"
        if self.layer is not None and not of_a_layer:
            raise ValueError(
                "with a `layer`, `baseline` must be a number, since it applies to the layer's output, or "
                '"mean-embedding" of a layer that embeds tokens'
            )
        if self.layer is None and self.baseline == "mean-embedding":
            raise ValueError("the baseline mean-embedding needs the `layer` that embeds the tokens")
        return self


class UnitsSection(Section):
    """How work is divided into units, each a checkpoint and a block of samples, and what determines their bits.

    ``samples``: per unit; by default all of a group. ``batch_size``: rows per forward pass. ``threads``: of PyTorch and
    of the split in a process. ``dtype``: of the network's weights while it is measured. Keys left out are filled in
    when the run starts. Without the section, a run is measured in one process, unless workers are requested.
    """

    samples: Count | None = None
    batch_size: Count | None = None
    threads: Count | None = None
    dtype: Literal["float16", "bfloat16", "float32", "float64"] | None = None


class AnalysisSection(Section):
    """How interactions become phases and a fit."""

    salience: Positive = 0.03
    salience_rule: Literal["mean-effect", "max"] = "mean-effect"
    bootstrap: Annotated[int, Field(ge=100)] = 500
    seed: Seed = 0
    ranges: bool = True


class ExpectedSection(Section):
    """What `verify` checks in the finished run; a key that is absent is not checked.

    ``phase_2_distance_max`` is from earlier versions: it is still read, but not checked any more.
    """

    spindle: bool | None = None
    start_mean_order_min: float | None = None
    mean_order_fall_min: float | None = None
    mean_order_rise_min: float | None = None
    boundary: bool | None = None
    theory_correlation_min: float | None = None
    theory_gain_min: float | None = None
    phase_2_distance_max: float | None = None
    noise_rank_correlation_max: float | None = None
    loss_gap_growth_min: float | None = None
    train_accuracy_min: float | None = None
    solver_gap_max: float | None = None
    planted_error_max: float | None = None


_LATER: dict[str, tuple[str, ...]] = {
    "training": ("schedule", "warmup_ratio", "label_smoothing", "augmentation"),
    "checkpoints": ("window",),
    "analysis": ("ranges",),
}  # keys that older recipes do not have: at their defaults they are left out, so that a recipe keeps its hash


class Recipe(Section):
    """A complete recipe, resolved: every key has its value."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    description: str = ""
    scale: str = ""
    protocol: Literal["own", "paper"] = "own"
    model: ModelSection
    data: DataSection
    training: TrainingSection
    checkpoints: CheckpointsSection = CheckpointsSection()
    players: PlayersSection
    measure: MeasureSection = MeasureSection()
    units: UnitsSection | None = None
    analysis: AnalysisSection = AnalysisSection()
    expected: ExpectedSection = ExpectedSection()
    _provider: str = PrivateAttr("")  # package of the provider whose library it is in, whose code it may name

    def plain(self) -> dict[str, Any]:
        """Return the recipe as plain data for TOML; without absent keys, and newer ones at their default."""
        out = self.model_dump(mode="json", exclude_none=True)
        for name, keys in _LATER.items():
            section = getattr(self, name)
            for key in keys:
                if getattr(section, key) == type(section).model_fields[key].default:
                    del out[name][key]
        return out

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of samples that are measured."""
        wrong = ("mislabelled",) if self.measure.mislabelled_samples else ()
        return ("test", *wrong, "train") if self.measure.train_samples else ("test", *wrong)
