"""Is the noise of the theory that of real networks? Interactions of networks whose weights are disturbed at random.

The theory rests on triggers whose noise has the variance ``2^|S| sigma^2`` and is independent of one set of players to
another (paper, section 5, Assumption 1). Here the weights of the final network of a finished run are disturbed: to each
tensor normal noise is added whose standard deviation is a part of its own root mean square. Of the exact AND
interactions over many draws (no split, so that no sparsity interferes) this gives the variance by order, and how far
two interactions of a sample go together. Then the theory is compared with its rivals at some checkpoints of the run,
and where it does not predict the tables better, the conditions of it that fail are named.

Run: ./run assumption RUN [RUN ...]        (needs the weights, which a recipe keeps, and the data)
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from _tables import lines, wrapped
from interdyn import store
from interdyn.game import value_table
from interdyn.measurement import Group, interactions as interactions_of
from interdyn.recipes import Recipe, build_model, load_recipe, load_samples, load_weights, recipes
from interdyn.recipes._measuring import choose_groups
from interdyn.theory import TablePrediction, predict_tables, target_weights
from interdyn.transforms import and_from_values
from interdyn.values import RunResult, orders

PAGE = Path(__file__).parents[1] / "docs" / "results" / "assumption.md"
SIZES = (0.003, 0.01, 0.03, 0.1)
LEAST, MOST = 0.8, 1.2  # powers of two by which the variance grows with each order that count as doubling
TOGETHER = 1.5  # times the correlation that draws of independent interactions have by chance
SETTLED = 0.95  # correlation of the tables of the last two checkpoints from which on the last counts as converged
TOO_LOW = 0.7  # correlation of nearby tables below which mechanisms cannot be separated
CHECKPOINTS = 6  # at most, at which the theory is compared with its rivals
COLUMNS = ("noise on weights", "variance grows with each order by", "orders 1, 2, 3 ... n", "correlation", "by chance")
LOOKS = ("step", "ceiling", "theory", "best rival", "what does not hold")
THEORY, RIVALS = ("theory", "joint theory"), ("tilt", "noise operator", "nothing")
TITLE = "# Is the noise that the theory assumes that of real networks?"
HEAD = f"""**Assumption 1** of the paper: the variance of an interaction of `k` players is `2^k sigma^2`, and two
interactions are independent. To test it, noise is added to the weights of the final network. This page is written by
`./run assumption RUN ...` from finished runs.

- **noise on weights**: its standard deviation, as a part of the root mean square of each tensor of weights.
- **variance grows with each order by**: by least squares of its logarithm over orders 1 to n; the assumption says 2.00
  and counts as met from {2**LEAST:.2f} to {2**MOST:.2f}.
- **orders 1, 2, 3 ... n**: mean variance over the sets of each order and the samples, divided by that of order 1.
- **correlation**, **by chance**: mean absolute correlation, over the draws, of two interactions of a sample; the same
  for independent ones with as many draws. The assumption counts as met up to {TOGETHER} times the latter.

**Prediction.** The theory predicts the value tables of checkpoints from the final network's interactions
(`interdyn.theory.predict_tables`), in one regression over AND and OR or in two. Its rivals are a tilt, a noise operator
and the final network itself.

- **ceiling**: mean correlation of the tables with those of the previous checkpoint (for the first: of the next).
- **theory**, **best rival**: mean correlation of prediction and tables, of samples that the parameter was not fitted
  on.
- **what does not hold**: where the theory does not predict better (90 % interval over samples), which of its
  conditions fail: a checkpoint after the start of the rise (if none was established when the run was measured: after
  the minimum of the mean order); a ceiling of {TOO_LOW} or more; a converged final network (its tables correlate with
  those of the previous checkpoint at {SETTLED} or more); if these hold, Assumption 1. A failed condition is no proof of
  the cause.

![Variance by order](assumption.svg)

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
            tables.append(_table(network, group))
        for name, p in network.named_parameters():
            p.copy_(weights[name])
    return np.asarray(and_from_values(torch.stack(tables)))


def _table(network: torch.nn.Module, group: Group) -> torch.Tensor:
    """Return the values of a group, as a run measures it."""
    names = ("players", "feature_mask", "baselines", "layer", "output_key", "batch_size", "allow_fewer")
    game: dict[str, Any] = {name: getattr(group.config, name) for name in (*names, "calibrate_batch_norm")}
    output = group.config.output or ("regression" if group.target is None else "log-odds")
    found = value_table(network, group.samples, target=group.target, output=output, sample_ids=group.sample_ids, **game)
    return found.values


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


def growth_of(by_order: Sequence[float]) -> float:
    """Return by what factor the variance grows with each order, by least squares.

    Examples
    --------
    >>> growth_of([3.0, 6.0, 12.0])
    2.0
    """
    return round(float(2 ** np.polyfit(np.arange(len(by_order)), np.log2(by_order), 1)[0]), 12)


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


def failed_assumption(growth: Sequence[float], ratio: Sequence[float]) -> list[str]:
    """Return which halves of Assumption 1 fail at some disturbance, as clauses.

    Parameters
    ----------
    growth
        Factor by which the variance grows with each order, for each size of disturbance.
    ratio
        Correlation of two interactions over that by chance, for each size.
    """
    out = []
    if not all(2**LEAST <= g <= 2**MOST for g in growth):
        out.append(f"the variance does not double with each order (it grows by {_range(growth, 2)})")
    if not all(r <= TOGETHER for r in ratio):
        out.append(f"interactions are correlated ({_range(ratio, 1)} times as much as by chance)")
    return out


TURNS = {
    "rise": "it is before the start of the rise (step {:.0f})",
    "minimum": "it is before the minimum of the mean order (step {:.0f})",
    "no rise": "there is no rise: the mean order has its minimum at the last step ({:.0f})",
}


def failed_at(*, step: float, turn: Mapping[str, Any], final: float | None, ceiling: float) -> list[str]:
    """Return which further conditions of the regression view fail at a checkpoint, as clauses.

    Parameters
    ----------
    step
        The checkpoint.
    turn
        ``step`` from which the mean order may rise, and its ``kind``, a key of `TURNS`.
    final
        Correlation of the tables of the last two checkpoints; None: high enough, and not kept.
    ceiling
        That of the tables of this checkpoint and one near by; NaN: not known.
    """
    out = []
    if final is not None and not final >= SETTLED:
        out.append(f"the final network has not converged (correlation {final:.2f} with the previous checkpoint)")
    if step < turn["step"]:
        out.append(TURNS[turn["kind"]].format(turn["step"]))
    if ceiling < TOO_LOW:
        out.append(f"the ceiling is too low to compare ({ceiling:.2f})")
    return out


def verdict(failed: Sequence[str]) -> str:
    """Return in a sentence whether Assumption 1 holds at all disturbances, and what fails where it does not."""
    return f"Assumption 1 fails: {' and '.join(failed)}." if failed else "Assumption 1 holds at all disturbances."


def regression_view(looks: Sequence[Mapping[str, Any]], failed: Sequence[str]) -> str:
    """Return in a sentence at how many checkpoints the theory predicts better, and by what it fails at the others."""
    won = sum(look["wins"] for look in looks)
    if not looks:
        return "There is no checkpoint before the last to predict."
    head = f"The theory predicts the tables better than its rivals at {won} of {len(looks)} checkpoints."
    if won == len(looks):
        return head
    causes = list(dict.fromkeys([*failed, *(cause for look in looks if not look["wins"] for cause in look["failed"])]))
    if not causes:
        return f"{head} At the others no failed condition was found."
    return f"{head} At the others these conditions fail: {'; '.join(causes)}."


def _range(values: Sequence[float], digits: int) -> str:
    low, high = (f"{x:.{digits}f}" for x in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def turn_of(result: RunResult) -> dict[str, Any]:
    """Return the step from which the mean order may rise: an established start of the rise, else its minimum."""
    if result.phases is not None and result.phases.rise_starts is not None:
        return {"step": result.phases.rise_starts, "kind": "rise"}
    lowest = int(np.nanargmin(result.first.mean_order.value))
    last = lowest == len(result.steps) - 1
    return {"step": int(result.steps[lowest]), "kind": "no rise" if last else "minimum"}


def predicted(run: store.Run) -> dict[str, Any]:
    """Return how theory and rivals predict some checkpoints, evenly spread over those before the last."""
    measured = [store.read_measurement(run, step, group=run.groups[0]) for step in run.steps]
    tables = torch.stack([torch.from_numpy(m.v) for m in measured])
    out: dict[str, Any] = {"turn": turn_of(store.read_result(run)), "final": None, "looks": []}
    if len(run.steps) < 2:
        return out
    chosen = np.unique(np.linspace(0, len(run.steps) - 2, CHECKPOINTS).round().astype(int))
    near = [i - 1 if i else 1 for i in chosen]
    w_star = target_weights(interactions_of(measured[-1]), **store.read_salience(run))
    found = predict_tables(w_star, tables[chosen], near=tables[near])
    out["final"] = float(predict_tables(w_star, tables[-1:], near=tables[-2:-1]).ceiling.mean())
    out["looks"] = [_look(found, at, run.steps[i]) for at, i in enumerate(chosen)]
    return out


def _look(found: TablePrediction, at: int, step: int) -> dict[str, Any]:
    """Return the theory and its best rival at a checkpoint."""
    mean = dict(zip(found.mechanisms, found.mean[:, at].tolist(), strict=True))
    ours, rival = (max(names, key=lambda name: mean[name]) for names in (THEORY, RIVALS))
    return {
        "step": int(step),
        "ceiling": float(np.nanmean(found.ceiling[at])),
        "theory": mean[ours],
        "rival": mean[rival],
        "named": rival,
        "wins": bool(found.gain(ours, rival)[1, at] > 0),
    }


def measured_of(folder: Path, *, samples: int, draws: int) -> tuple[str, dict[str, Any]]:
    """Return the name of a run and all that the page says of it, as plain data."""
    run, recipe = store.open_run(folder), load_recipe(folder / "recipe.toml")
    data = load_samples(recipe.data)
    network = build_model(recipe.model, shape=data.shape, n_outputs=data.n_outputs, seed=recipe.training.seed)
    checkpoint = store.read_checkpoint(run, run.steps[-1])
    if checkpoint is None:
        raise SystemExit(f"the weights of the last step are needed; got none in {folder}. Run it again: interdyn run")
    load_weights(network, checkpoint.weights)
    group = choose_groups(recipe, data)[0]
    group = group.first(min(samples, len(group)))
    sizes = []
    for size in SIZES:
        found = disturbed(group, network, size=size, draws=draws)
        by_order, (r, chance) = variances(found), together(found)
        sizes.append({"size": size, "variances": by_order.tolist(), "correlation": r, "chance": chance})
        print(run.recipe_name, f"{size:.1%}: grows by {growth_of(by_order):.2f}, {r:.3f} ({chance:.3f})", flush=True)
    return run.recipe_name, {
        "samples": len(group),
        "draws": draws,
        "changed": changed(recipe),
        "sizes": sizes,
        **predicted(run),
    }


def changed(recipe: Recipe) -> dict[str, Any]:
    """Return what the recipe of a run changes from that of its name in the library, by dotted key."""
    if recipe.name not in recipes():
        return {}

    def flat(one: Recipe) -> dict[str, Any]:
        sections = one.model_dump(mode="json", exclude={"expected", "description"})
        return {
            f"{name}.{key}": value
            for name, section in sections.items()
            for key, value in (section.items() if isinstance(section, dict) else ())
        }

    own, library = flat(recipe), flat(load_recipe(recipe.name))
    return {key: value for key, value in own.items() if value != library[key]}


def answer(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the answer to the question of the page: for how many runs Assumption 1 holds, and what that explains."""
    holds = sum(not failed_of(kept)[1] for kept in runs.values())
    wins = {name: [look["wins"] for look in kept["looks"]] for name, kept in runs.items()}
    every = [won for some in wins.values() for won in some]
    ahead = ", ".join(f"{name} {sum(won)} of {len(won)}" for name, won in wins.items() if any(won))
    said = f"Assumption 1 holds in {holds} of {len(runs)} runs. The theory predicts the value tables better than its "
    said += f"rivals at {sum(every)} of {len(every)} checkpoints{f' ({ahead})' if ahead else ''}."
    if not ahead or holds:
        return said
    return f"{said} It does so although the assumption fails, so that failure alone does not explain the others."


def failed_of(kept: Mapping[str, Any]) -> tuple[list[float], list[str]]:
    """Return by how much the variance of a run grows with each order, and what of Assumption 1 fails."""
    growth = [growth_of(one["variances"]) for one in kept["sizes"]]
    return growth, failed_assumption(growth, [one["correlation"] / one["chance"] for one in kept["sizes"]])


def section(name: str, kept: Mapping[str, Any]) -> str:
    """Return the part of the page about one run."""
    whole = {"turn": kept["turn"], "final": kept["final"]}
    known = [
        {**look, "failed": failed_at(step=look["step"], ceiling=look["ceiling"], **whole)} for look in kept["looks"]
    ]
    growth, failed = failed_of(kept)
    rows = []
    for one, factor in zip(kept["sizes"], growth, strict=True):
        relative = " ".join(f"{x / one['variances'][0]:.3g}" for x in one["variances"])
        rows.append(
            [f"{one['size']:.1%}", f"{factor:.2f}", relative, f"{one['correlation']:.3f}", f"{one['chance']:.3f}"]
        )
    looks = [
        [
            str(look["step"]),
            f"{look['ceiling']:.2f}",
            f"{look['theory']:.2f}",
            f"{look['rival']:.2f} ({look['named']})",
            "(it predicts better)"
            if look["wins"]
            else "; ".join(look["failed"] or (["Assumption 1"] if failed else ["none found"])),
        ]
        for look in known
    ]
    other = ", ".join(f"`{key} = {value}`" for key, value in kept["changed"].items())
    other = f" The recipe of this run is not that of the library: {other}." if other else ""
    told = f"{kept['samples']} samples, {kept['draws']} draws.{other} {verdict(failed)}"
    parts = [f"## {name}", "", told, "", *lines(COLUMNS, rows), ""]
    return "\n".join([*parts, regression_view(known, failed), "", *lines(LOOKS, looks)])


def draw(runs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the figure: variance by order of each run, and what the assumption says."""
    columns, rows = min(len(runs), 2), -(-len(runs) // 2)
    figure = Figure(figsize=(4.2 * columns, 0.4 + 3.0 * rows), layout="constrained", facecolor="white")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for ax, (name, kept) in zip(axes, sorted(runs.items()), strict=False):
        for one in kept["sizes"]:
            by_order = np.asarray(one["variances"])
            k = np.arange(1, len(by_order) + 1)
            ax.semilogy(
                k, by_order / by_order[0], marker="o", ms=3, label=f"noise on weights {one['size']:.1%}", base=2
            )
        ax.semilogy(k, 2.0 ** (k - 1), "k--", label="Assumption 1: doubles", base=2)
        ax.set_title(name, loc="left", fontsize=10)
        ax.set(xlabel="order (players)", ylabel="variance over that of order 1")
    for ax in axes[len(runs) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    with mpl.rc_context({"svg.hashsalt": "assumption", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def write(runs: Mapping[str, Mapping[str, Any]], page: Path) -> None:
    """Write page, figure and numbers from all runs."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.with_suffix(".json").write_text(json.dumps(dict(sorted(runs.items())), indent=1) + "\n")
    page.write_text(
        "\n".join([TITLE, "", *wrapped(answer(runs)), "", HEAD])
        + "\n\n".join(section(name, runs[name]) for name in sorted(runs))
        + "\n"
    )
    draw(runs, page.with_suffix(".svg"))


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, help="folder of a finished run; none: page and figure again")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    numbers = PAGE.with_suffix(".json")
    runs = json.loads(numbers.read_text()) if numbers.exists() else {}
    for folder in options.runs:
        name, runs[name] = measured_of(folder, samples=options.samples, draws=options.draws)
        write(runs, PAGE)
    if runs:
        write(runs, PAGE)


if __name__ == "__main__":
    main()
