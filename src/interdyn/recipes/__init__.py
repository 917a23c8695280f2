"""Recipes: a model, data, a training and a measurement as one TOML file, and the function that runs it.

Loading this package does not load torch; `run_recipe` and its dependencies are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from interdyn.recipes._load import code_of, load_recipe, recipes, resolve
from interdyn.recipes._registry import dataset, find_dataset, imported as imported, model
from interdyn.recipes._schema import ExpectedSection, Recipe
from interdyn.recipes._study import Study, load_study, planned as planned
from interdyn.recipes._study_claims import CLAIM_LEGEND as CLAIM_LEGEND, tally as tally
from interdyn.recipes._study_result import StudyResult, StudyRun, read_study
from interdyn.recipes._verify import NOT_CHECKED as NOT_CHECKED, Check, check_prediction, checks

if TYPE_CHECKING:
    from interdyn.recipes._dataset import Dataset, Samples, load_samples
    from interdyn.recipes._run import run_recipe
    from interdyn.recipes._training import Trainer, build_model, log_spaced
    from interdyn.recipes._trust import Trust, trust, trust_json, trust_rows as trust_rows
    from interdyn.tracking import load_weights as load_weights

_LAZY = {
    "Dataset": "_dataset",
    "Samples": "_dataset",
    "Trainer": "_training",
    "Trust": "_trust",
    "build_model": "_training",
    "load_samples": "_dataset",
    "load_weights": "_training",
    "log_spaced": "_training",
    "run_recipe": "_run",
    "trust": "_trust",
    "trust_json": "_trust",
    "trust_rows": "_trust",
}

__all__ = [
    "Check",
    "Dataset",
    "ExpectedSection",
    "Recipe",
    "Samples",
    "Study",
    "StudyResult",
    "StudyRun",
    "Trainer",
    "Trust",
    "build_model",
    "check_prediction",
    "checks",
    "code_of",
    "dataset",
    "find_dataset",
    "load_recipe",
    "load_samples",
    "load_study",
    "log_spaced",
    "model",
    "read_study",
    "recipes",
    "resolve",
    "run_recipe",
    "trust",
    "trust_json",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"interdyn.recipes.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'interdyn.recipes' has no attribute {name!r}")
