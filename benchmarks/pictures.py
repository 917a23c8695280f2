"""Draw every figure of `interdyn.plot` from a finished run of the demo, for the documentation.

Run: ./run pictures
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from _drawings import RULES, explained, interaction
from interdyn import measure, plot, store
from interdyn.measurement import History, interactions
from interdyn.recipes import load_recipe, load_samples
from interdyn.recipes._measuring import choose_groups
from interdyn.values import Interactions

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def drawings(folder: Path) -> dict[str, tuple[tuple[float, float], Callable[[Axes], object]]]:
    """Return size and drawing of each picture."""
    run = store.open_run(folder)
    recipe = load_recipe(folder / "recipe.toml")
    group = choose_groups(recipe, load_samples(recipe.data))[0]
    measured = store.read_measurement(run, run.steps[-1], group="test")
    assert measured is not None
    assert group.config.players is not None
    found = interactions(measured)
    cells = group.config.players.feature_mask(tuple(group.inputs[0].shape[1:]), group.sample_ids).numpy()
    i = int(found.objective.argmax())
    wide, plain = (9.0, 3.4), (7.0, 3.6)
    return {
        "overview": ((8.0, 5.6), lambda ax: plot.plot_overview(folder, ax=ax)),
        "order_distribution": (wide, lambda ax: plot.plot_order_distribution(folder, ax=ax)),
        "strengths": (wide, lambda ax: plot.plot_strengths(folder, ax=ax)),
        "dynamics": (plain, lambda ax: plot.plot_dynamics(folder, ax=ax)),
        "mean_order": (plain, lambda ax: plot.plot_mean_order(folder, ax=ax)),
        "losses": (plain, lambda ax: plot.plot_losses(folder, ax=ax)),
        "loss_gap": (plain, lambda ax: plot.plot_loss_gap(folder, ax=ax)),
        "prediction": (plain, lambda ax: plot.plot_prediction(folder, ax=ax)),
        "prediction_distance": (plain, lambda ax: plot.plot_prediction_distance(folder, ax=ax)),
        "theory": (wide, lambda ax: plot.plot_theory(folder, ax=ax)),
        "theory_distance": (plain, lambda ax: plot.plot_theory_distance(folder, ax=ax)),
        "noise": (plain, lambda ax: plot.plot_noise(folder, ax=ax)),
        "row_norms": (plain, lambda ax: plot.plot_row_norms(folder, ax=ax)),
        "waterfall": ((8.0, 4.2), lambda ax: plot.plot_waterfall(folder, i, ax=ax)),
        "waterfall_words": ((8.0, 2.6), lambda ax: sentence().plot.waterfall(ax=ax)),
        "top": ((8.0, 5.4), lambda ax: plot.plot_top(folder, ax=ax)),
        "network": ((5.4, 5.0), lambda ax: plot.plot_network(folder, ax=ax)),
        "top_over_training": (plain, lambda ax: plot.plot_top_over_training(folder, ax=ax)),
        "sparsity": (plain, lambda ax: plot.plot_sparsity(folder, ax=ax)),
        "solver": (plain, lambda ax: plot.plot_solver(folder, ax=ax)),
        "samples": (wide, lambda ax: plot.plot_samples(History.read(folder).samples(), ax=ax)),
        "comparison": (plain, lambda ax: plot.plot_comparison({"the demo": folder}, quantity="loss_gap", ax=ax)),
        "sample_picture": (
            (9.0, 2.2),
            lambda ax: plot.plot_sample(found[i], group.inputs[0][i, 0], players=cells[i, 0], ax=ax),
        ),
        "sample_words": ((9.0, 2.4), lambda ax: plot.plot_sample(sentence(), ax=ax)),
        "sample_cloud": ((9.0, 2.2), cloud),
    }


WORDS = ("not", "a", "single", "dull", "moment", "in", "it")


def sentence() -> Interactions:
    """Return the interactions of a rule on words: "not" and "dull" together say yes, "dull" alone says no."""

    def says(x: torch.Tensor) -> torch.Tensor:
        return 4 * x[:, 0] * x[:, 3] - 2 * x[:, 3] + 1.5 * torch.maximum(x[:, 2], x[:, 4])

    one = {"output": "regression", "feature_mask": torch.arange(7)[None], "names": WORDS}
    return measure(says, torch.ones(1, 7), **one)[0]


def of_shapiq() -> dict[str, Figure]:
    """Return shapiq's own figures of the sentence, each with the name of its picture; shapiq must be installed."""
    found = sentence().to_shapiq()
    drawn = found.plot_waterfall(feature_names=np.array(WORDS), show=False)
    drawn.figure.set_size_inches(9.0, 4.0)
    network = found.plot_network(feature_names=list(WORDS), show=False)
    return {"shapiq_waterfall": drawn.figure, "shapiq_network": network[0]}


def cloud(ax: Axes) -> Axes:
    """Draw a rule on a cloud of six clusters: two of them together, or one of two others."""
    rng = np.random.default_rng(0)
    of = np.repeat(np.arange(6), 90)
    angle = 2 * np.pi * of / 6
    points = np.stack([np.cos(angle), np.sin(angle), 0.4 * np.sin(2 * angle)], axis=1) + 0.16 * rng.standard_normal(
        (540, 3)
    )

    def says(x: torch.Tensor) -> torch.Tensor:
        return 3 * x[:, 0] * x[:, 3] - 2 * torch.maximum(x[:, 1], x[:, 5])

    found = measure(says, torch.ones(1, 6), output="regression", feature_mask=torch.arange(6)[None])[0]
    return plot.plot_sample(found, points, players=of, ax=ax)


def save(figure: Figure, name: str) -> None:
    """Write a picture, the same bytes each time."""
    FigureCanvasAgg(figure)
    figure.savefig(PICTURES / f"{name}.png", dpi=100, facecolor="white", metadata={"Software": None})
    print(PICTURES / f"{name}.png")


def main() -> None:
    """Draw and write; without a run only what needs none."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a finished run of digits-cnn")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    for kind in RULES:
        save(interaction(kind), f"interaction_{kind}")
    save(explained(), "interaction_sum")
    for name, (size, draw) in (drawings(options.run) if options.run else {}).items():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        save(figure, name)
    for name, theirs in of_shapiq().items():
        theirs.savefig(
            PICTURES / f"{name}.png", dpi=60, facecolor="white", bbox_inches="tight", metadata={"Software": None}
        )
        print(PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
