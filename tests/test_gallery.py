"""The gallery of figures, docs/gallery.md: every picture in it is drawn, from a small run of its recipe."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from interdyn.recipes import load_recipe, run_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "benchmarks" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawings(pictures, tmp_path_factory):
    changes = ["training.epochs=2", "checkpoints.count=6", "measure.test_samples=6", "measure.mislabelled_samples=3"]
    recipe = load_recipe("digits-cnn", overrides=[*changes, "players.n=6", "data.n_train=64"])
    folder = tmp_path_factory.mktemp("gallery") / "run"
    return pictures.drawings(run_recipe(recipe, folder).path)


def test_every_picture_of_the_gallery_is_drawn(drawings):
    for name, (size, draw) in drawings.items():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        figure.canvas.draw()
        drawn = sum(len(ax.lines) + len(ax.patches) + len(ax.collections) + len(ax.images) for ax in figure.axes)
        texts = [text.get_text() for ax in figure.axes for text in ax.texts]
        assert drawn or any("Record" in text or "salient" in text or "found" in text for text in texts), name


def test_the_gallery_shows_what_is_drawn_and_no_more(drawings):
    shown = set(re.findall(r"\]\(pictures/(\w+)\.png\)", (ROOT / "docs" / "gallery.md").read_text()))
    assert shown == set(drawings) | {"shapiq_waterfall", "shapiq_network"}
    for name in shown:
        assert (ROOT / "docs" / "pictures" / f"{name}.png").exists(), name


def test_figures_of_shapiq_take_our_results(pictures):
    pytest.importorskip("shapiq")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of theirs
        theirs = pictures.of_shapiq()
        words = " ".join(text.get_text() for text in theirs["shapiq_network"].findobj(lambda a: hasattr(a, "get_text")))
    assert set(theirs) == {"shapiq_waterfall", "shapiq_network"}
    assert "dull" in words
    plt.close("all")
