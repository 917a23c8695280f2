"""Is the noise of the theory that of real networks? Interactions of networks whose weights are disturbed at random.

The theory rests on triggers whose noise has the variance ``2^|S| sigma^2`` and is independent of one set of players to
another (paper, section 5, Assumption 1). Here the weights of the final network of a finished run are disturbed: to each
tensor normal noise is added whose standard deviation is a part of its own root mean square. Of the exact AND
interactions over many draws (no split, so that no sparsity interferes) this gives the variance by order, and how far
two interactions of a sample go together.

Run: ./run assumption RUN [RUN ...]        (needs the weights, which a recipe keeps, and the data)
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from _tables import lines, put
from interdyn import store
from interdyn.measurement import Group, recorded
from interdyn.recipes import build_model, load_recipe, load_samples, load_weights
from interdyn.recipes._measuring import choose_groups
from interdyn.transforms import and_from_values
from interdyn.values import orders

PAGE = Path(__file__).parents[1] / "docs" / "results" / "assumption.md"
SIZES = (0.003, 0.01, 0.03, 0.1)
LEAST, MOST = 0.8, 1.2  # powers of two by which the variance grows with each order that count as doubling
TOGETHER = 1.5  # times the correlation that draws of independent interactions have by chance
COLUMNS = ("disturbed by", "variance grows with each order by", "orders 1, 2, 3 ... n", "correlation", "by chance")
HEAD = f"""# The noise of the theory, measured

Written by `./run assumption RUN ...` from the final networks of finished runs. Assumption 1 of the paper: the variance
of an interaction among `k` players is `2^k sigma^2`, and two interactions are independent.

- **disturbed by**: standard deviation of the noise on each tensor of weights, as a part of its root mean square.
- **variance grows with each order by**: least squares over orders 1 to n of its logarithm; the assumption says 2.00.
  Between {2**LEAST:.2f} and {2**MOST:.2f} it is said to hold.
- **orders 1, 2, 3 ... n**: mean variance over the sets of each order and the samples, over that of order 1.
- **correlation**, **by chance**: mean absolute correlation, over the draws, of two interactions of a sample; what
  independent ones would have with as many draws. Up to {TOGETHER} times as much it is said to hold.

"""


def disturbed(group: Group, network: torch.nn.Module, *, size: float, draws: int, seed: int = 0) -> np.ndarray:
    """Return the AND interactions of each draw, shape ``(draws, samples, 2**n)``; the network ends as it was."""
    generator = torch.Generator().manual_seed(seed)
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}
    tables = []
    with torch.no_grad():
        for _ in range(draws):
            for name, p in network.named_parameters():
                own = weights[name]
                noise = torch.randn(own.shape, generator=generator, dtype=own.dtype)
                p.copy_(own + size * own.pow(2).mean().sqrt() * noise)
            tables.append(recorded(network, group, step=0).v)
        for name, p in network.named_parameters():
            p.copy_(weights[name])
    return np.asarray(and_from_values(np.stack(tables)))


def variances(found: np.ndarray) -> np.ndarray:
    """Return the mean variance over draws of the interactions of each order ``1..n``.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((4000, 2, 4)) * np.array([1, 1, 1, 2.0])
    >>> variances(draws).round(1)
    array([1., 4.])
    """
    spread = found.var(axis=0, ddof=1).mean(axis=0)
    k = orders(len(spread).bit_length() - 1)
    return np.array([spread[k == order].mean() for order in range(1, k.max() + 1)])


def together(found: np.ndarray, *, pairs: int = 4000, seed: int = 0) -> tuple[float, float]:
    """Return the mean absolute correlation of two interactions of a sample over the draws; that of independent ones."""
    rng, (draws, samples, size) = np.random.default_rng(seed), found.shape
    unit = found - found.mean(axis=0)
    length = np.linalg.norm(unit, axis=0)
    unit = np.divide(unit, length, out=np.zeros_like(unit), where=length > 0)
    at, a = rng.integers(samples, size=pairs), rng.integers(1, size, size=pairs)
    b = 1 + (a - 1 + rng.integers(1, size - 1, size=pairs)) % (size - 1)  # another set
    r = np.abs((unit[:, at, a] * unit[:, at, b]).sum(axis=0))
    chance = rng.standard_normal((2, draws, pairs))
    chance -= chance.mean(axis=1, keepdims=True)
    chance /= np.linalg.norm(chance, axis=1, keepdims=True)
    return float(r.mean()), float(np.abs((chance[0] * chance[1]).sum(axis=0)).mean())


def verdict(growth: list[float], ratio: list[float]) -> str:
    """Return in a sentence whether the assumption holds at all disturbances, and what fails where it does not."""
    fails = []
    if not all(LEAST <= g <= MOST for g in growth):
        fails.append(f"the variance does not double with each order (it grows by {2 ** growth[0]:.2f})")
    if not all(r <= TOGETHER for r in ratio):
        fails.append(f"interactions go together ({ratio[0]:.1f} times as much as by chance)")
    return f"Assumption 1 fails: {' and '.join(fails)}." if fails else "Assumption 1 holds at all disturbances."


def section(folder: Path, *, samples: int, draws: int) -> tuple[str, str, dict[float, np.ndarray]]:
    """Return the name of a run, its part of the page, and the variances by order for each disturbance."""
    run, recipe = store.open_run(folder), load_recipe(folder / "recipe.toml")
    data = load_samples(recipe.data)
    network = build_model(recipe.model, shape=data.shape, n_outputs=data.n_outputs, seed=recipe.training.seed)
    checkpoint = store.read_checkpoint(run, run.steps[-1])
    assert checkpoint is not None
    load_weights(network, checkpoint.weights)
    group = choose_groups(recipe, data)[0]
    group = group.first(min(samples, len(group)))
    group = replace(group, config=replace(group.config, tol=0.5, order_weight=0.0))  # of a split that is not used
    rows, growth, ratio, drawn = [], [], [], {}
    for size in SIZES:
        found = disturbed(group, network, size=size, draws=draws)
        drawn[size] = by_order = variances(found)
        r, chance = together(found)
        growth.append(float(np.polyfit(np.arange(len(by_order)), np.log2(by_order), 1)[0]))
        ratio.append(r / chance)
        relative = " ".join(f"{x:.3g}" for x in by_order / by_order[0])
        rows.append([f"{size:.1%}", f"{2 ** growth[-1]:.2f}", relative, f"{r:.3f}", f"{chance:.3f}"])
        print(run.recipe_name, " | ".join(rows[-1]), flush=True)
    told = f"{len(group)} samples, {draws} draws. {verdict(growth, ratio)}"
    return run.recipe_name, "\n".join([f"## {run.recipe_name}", "", told, "", *lines(COLUMNS, rows)]), drawn


def draw(name: str, drawn: dict[float, np.ndarray]) -> None:
    """Write the figure of a run: variance by order, and what the assumption says."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained", facecolor="white")
    canvas, ax = FigureCanvasAgg(figure), figure.add_subplot()
    for size, by_order in drawn.items():
        k = np.arange(1, len(by_order) + 1)
        ax.semilogy(k, by_order / by_order[0], marker="o", label=f"weights disturbed by {size:.1%}", base=2)
    ax.semilogy(k, 2.0 ** (k - 1), "k--", label="Assumption 1: doubles", base=2)
    ax.set(xlabel="order (players)", ylabel="variance over that of order 1", title=name)
    ax.legend(frameon=False)
    canvas.print_figure(PAGE.with_name(f"assumption-{name}.png"), dpi=110)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folder of a finished run")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    for folder in options.runs:
        name, text, drawn = section(folder, samples=options.samples, draws=options.draws)
        put(PAGE, HEAD, f"{text}\n\n![Variance by order](assumption-{name}.png)")
        draw(name, drawn)


if __name__ == "__main__":
    main()
