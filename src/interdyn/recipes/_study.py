"""A study: one question, the runs of a recipe that answer it, and claims to compare the answer with."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from interdyn.errors import RecipeError
from interdyn.recipes._load import load_recipe, sentence
from interdyn.recipes._quantities import QUANTITIES
from interdyn.recipes._schema import Recipe, Section, Seed

_Values = Annotated[list[Any], Field(min_length=1)]
_Settings = Annotated[dict[str, Any], Field(default_factory=dict)]
_REPORTED = (
    "start_mean_order",
    "least_mean_order",
    "end_mean_order",
    "rise_starts",
    "test_accuracy",
    "least_test_loss",
)
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class VariantSection(Section):
    """Settings under a name: dotted keys of the recipe to values."""

    name: str
    set: _Settings


class ClaimSection(Section):
    """What the runs are expected to show.

    ``quantity`` is one of `quantities`; its mean over the runs that ``of`` selects, by settings or ``variant``, minus
    that over those of ``against`` if given, must be at least ``min`` and at most ``max``. With
    ``statistic = "spread"``, this applies to the standard deviation between seeds.
    """

    text: str
    quantity: str
    of: _Settings
    against: dict[str, Any] | None = None
    min: float | None = None
    max: float | None = None
    statistic: Literal["mean", "spread"] = "mean"

    @model_validator(mode="after")
    def _says_something(self) -> "ClaimSection":
        if self.quantity not in QUANTITIES:
            raise ValueError(f"there is no quantity {self.quantity!r}; there are {', '.join(QUANTITIES)}")
        if self.min is None and self.max is None:
            raise ValueError("a claim needs `min` or `max`")
        return self


class Study(Section):
    """A study, as in its file: every variant with every combination of the grid is run with every seed.

    ``recipe`` is one of the library or a TOML file next to that of the study; ``report`` names the quantities that are
    tabulated, ``spread`` those whose variation between seeds is, with the number of seeds for a mean within 10 %.
    """

    name: _Name
    question: str
    recipe: str
    scale: str | None = None
    seeds: Annotated[list[Seed], Field(min_length=1)]
    set: _Settings
    grid: Annotated[dict[str, _Values], Field(default_factory=dict)]
    variant: Annotated[list[VariantSection], Field(default_factory=list)]
    claim: Annotated[list[ClaimSection], Field(default_factory=list)]
    report: Annotated[list[str], Field(default_factory=lambda: list(_REPORTED))]
    spread: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> "Study":
        names = [one.name for one in self.variant]
        if len(set(names)) < len(names):
            raise ValueError(f"variants need distinct names; got {names}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ; got {self.seeds}")
        if unknown := [name for name in self.report if name not in QUANTITIES]:
            raise ValueError(f"there is no quantity {unknown[0]!r}; there are {', '.join(QUANTITIES)}")
        return self


@dataclass(frozen=True)
class Planned:
    """One run of a study.

    Attributes
    ----------
    variant
        Name of its settings.
    seed
        Seed of its training.
    settings
        Dotted keys to values, all but the seed.
    """

    variant: str
    seed: int
    settings: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Name of its folder in the study's folder."""
        text = "".join(c if c.isalnum() or c in "._=+-" else "-" for c in self.variant)
        return f"{text}--seed-{self.seed}"

    def recipe(self, study: Study, *, smoke: bool = False) -> Recipe:
        """Return its recipe, resolved.

        Raises
        ------
        RecipeError
            If a setting cannot be used.
        """
        changes = {**self.settings, "training.seed": self.seed}
        return load_recipe(study.recipe, scale=study.scale, changes=changes, smoke=smoke)


def load_study(file: str | Path) -> Study:
    """Return the study in a TOML file; every recipe of it is resolved, so that none fails later.

    Raises
    ------
    RecipeError
        If it cannot be read, or contains something that is not part of a study.
    """
    if not Path(file).is_file():
        raise RecipeError(f"a study is a TOML file; got {str(file)!r}, which is no file. See docs/howto/studies.md.")
    try:
        tree = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"a study must be a readable TOML file; got {str(file)!r}: {error}. Correct it.") from None
    if isinstance(told := tree.get("recipe"), str) and (Path(file).parent / told).is_file():
        tree["recipe"] = str(Path(file).parent / told)
    try:
        study = Study.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(sentence(error)) from None
    plan = planned(study)
    for run in plan:
        run.recipe(study)
    folders = [run.folder for run in plan]
    if len(set(folders)) < len(folders):
        twice = next(name for name in folders if folders.count(name) > 1)
        raise RecipeError(f"the runs of a study need distinct names; got `{twice}` twice. Rename a variant.")
    for claim in study.claim:
        for chosen in (claim.of, claim.against):
            if chosen is not None and not selected(plan, chosen):
                raise RecipeError(f"a claim must be about runs of its study; got {chosen}, which none has. Correct it.")
    return study


def planned(study: Study) -> list[Planned]:
    """Return the runs of a study, grouped by variant.

    Examples
    --------
    >>> told = {"name": "a", "question": "Does it?", "recipe": "digits-mlp", "seeds": [0, 1]}
    >>> study = Study.model_validate(told | {"grid": {"training.epochs": [5, 9]}})
    >>> [(run.variant, run.seed) for run in planned(study)]
    [('epochs=5', 0), ('epochs=5', 1), ('epochs=9', 0), ('epochs=9', 1)]
    """
    out = []
    for variant in study.variant or [VariantSection(name="", set={})]:
        for values in product(*study.grid.values()):
            point = dict(zip(study.grid, values, strict=True))
            told = [f"{key.rpartition('.')[2]}={_text(value)}" for key, value in point.items()]
            name = " ".join([*([variant.name] if variant.name else []), *told]) or study.recipe
            settings = {**study.set, **variant.set, **point}
            out += [Planned(name, seed, settings) for seed in study.seeds]
    return out


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def selected(runs: Sequence[Planned], chosen: Mapping[str, Any]) -> list[Planned]:
    """Return the runs that have all of the chosen settings; ``variant`` is the name of one."""
    return [run for run in runs if all(_has(run, key, value) for key, value in chosen.items())]


def _has(run: Planned, key: str, value: Any) -> bool:
    if key == "variant":
        return bool(run.variant == value)
    return key in run.settings and bool(run.settings[key] == value)
