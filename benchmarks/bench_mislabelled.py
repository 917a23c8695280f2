"""Who finds mislabelled training samples: the score of `sample_table` compared with loss, area under margin and orders.

Networks are trained on data with some labels wrong; the true ones are known. Scores rank all training samples at the
end of training; flags are made with held-out groups of several sizes. Both are kept in
``docs/results/mislabelled.json`` and ``mislabelled.md``.

Run: ./run bench mislabelled           (MNIST, needs INTERDYN_DATA; some minutes)
     cd benchmarks && ../.venv/bin/python bench_mislabelled.py --data digits          (no data folder; prints only)
"""

import argparse
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from _tables import lines, wrapped
from interdyn.game import mean_baseline, patches, scalar_outputs, value_table
from interdyn.measurement import Reading, reading, sample_table
from interdyn.recipes import Trainer, load_recipe, load_samples
from interdyn.sparsify import split
from interdyn.spectra import OrderProfile

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "mislabelled.json"
PAGE = RESULTS.with_suffix(".md")
NETWORKS = {
    "mnist": {"MLP": ("lenet-mnist", "mlp"), "CNN": ("lenet-mnist", "lenet")},
    "digits": {"MLP": ("digits-mlp", "mlp"), "CNN": ("digits-cnn", "cnn")},
}
LAST_LOSS = "loss, last measurement"
MEAN_LOSS = "loss, mean over all measurements"
OURS = "**the score**: log-odds, mean over the measurements while it learned"
HELD_OUT = (50, 100, 200)
DRAWS = 50  # of each size, from the test samples
COLUMNS = {
    "some flagged": "share of the draws in which any sample is flagged",
    "of the wrong": "share of the wrong labels that are then flagged",
    "of the right": "share of the right labels that are then flagged",
    "estimated": "precision as the table estimates it",
    "true": "share of the flags that are wrong labels",
    "low end holds": "share of the draws in which the true precision is at least the low end of the interval",
    "high end holds": "share of the draws in which it is at most the high end",
}


@dataclass
class Course:
    """One training: what its measurements say of the training samples, and of those held out."""

    wrong: np.ndarray
    scores: dict[str, np.ndarray] = field(default_factory=dict)  # high for a wrong label
    train: list[Reading] = field(default_factory=list)
    test: list[Reading] = field(default_factory=list)
    fitted: float = 0.0  # share of the wrong labels that the network gives at the end
    accuracy: float = 0.0


def auc(score: np.ndarray, wrong: np.ndarray) -> float:
    """Return the chance that a wrong label scores above a right one; ties count half, NaN as the median."""
    filled = np.where(np.isnan(score), np.nanmedian(score), score)
    a, b = filled[wrong][:, None], filled[~wrong][None, :]
    return float(np.mean((a > b) + 0.5 * (a == b)))


def precision(score: np.ndarray, wrong: np.ndarray) -> float:
    """Return the share of wrong labels among as many of the first ranks as there are wrong labels in all."""
    filled = np.where(np.isnan(score), np.nanmedian(score), score)
    return float(wrong[np.argsort(-filled, kind="stable")[: wrong.sum()]].mean())


@torch.no_grad()
def logits(network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    network.eval()
    return torch.cat([network(part) for part in torch.split(inputs, 512)]).double()


def log_odds(z: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    return scalar_outputs(z, target, output="log-odds").numpy()


def margins(z: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    """Return the logit of the given label minus the largest of the others (Pleiss et al., 2020)."""
    return (z.gather(1, target[:, None])[:, 0] - z.scatter(1, target[:, None], -torch.inf).amax(1)).numpy()


def outputs_without(
    network: torch.nn.Module, inputs: torch.Tensor, target: torch.Tensor, players: torch.Tensor, baseline: torch.Tensor
) -> np.ndarray:
    """Return the log-odds of the given label with each player left out, shape ``(samples, players)``."""
    masked = (torch.where(players == i, baseline, inputs) for i in range(int(players.max()) + 1))
    return np.stack([log_odds(logits(network, x), target) for x in masked], axis=1)


def train(kind: tuple[str, str], seed: int, options: argparse.Namespace) -> Course:
    """Train one network, measure it at the steps, and score its training samples at the end."""
    name, model = kind
    changes = [f"model.name={model}", f"data.label_noise={options.noise}", f"data.n_train={options.train}"]
    changes += [f"data.seed={seed}", f"training.seed={seed}", f"training.epochs={options.epochs}"]
    recipe = load_recipe(name, overrides=changes)
    samples = load_samples(recipe.data)
    sides = {"train": (samples.train_ids, samples.given), "test": (samples.test_ids[: options.test], samples.targets)}
    groups = {g: (ids, *(z[torch.from_numpy(ids)] for z in (samples.inputs, y))) for g, (ids, y) in sides.items()}
    ids, x, y = groups["train"]
    cut, baseline = patches(4, 4).choose(options.players, seed=seed), mean_baseline(x)
    course, trainer, every = Course(np.isin(ids, samples.flipped_ids)), Trainer(recipe, samples), []
    per_epoch = -(-len(ids) // recipe.training.batch_size)
    looks = sorted({round(e) for e in np.geomspace(1, options.epochs, options.looks)})
    for epoch in range(1, options.epochs + 1):
        trainer.advance(epoch * per_epoch)
        for group, (of, inputs, target) in groups.items():
            z = logits(trainer.network, inputs)
            every.append((margins(z, target), log_odds(z, target)))
            if epoch in looks:
                mask = cut.feature_mask(samples.shape, of.tolist())
                without = outputs_without(trainer.network, inputs, target, mask, baseline)
                none = np.full(without.shape, np.nan)
                profile = OrderProfile(none, none[:, 0], none[:, 0], none)
                read = Reading(epoch, group, of, target.numpy(), every[-1][1], without, profile, "log-odds")
                getattr(course, group).append(read)
    table = value_table(trainer.network, x, target=y, players=cut, baselines=baseline, sample_ids=ids.tolist())
    found = split(table.values, unit=table.unit, noise_bound=0.02, tol=3e-3)
    course.train[-1] = reading(found, labels=y.numpy(), step=options.epochs, sample_ids=ids)
    course.scores = scores(course, every[::2], held_out=every[1::2])
    course.fitted, course.accuracy = float((every[-2][0] > 0)[course.wrong].mean()), float((every[-1][0] > 0).mean())
    return course


def scores(course: Course, every: Sequence[tuple], *, held_out: Sequence[tuple]) -> dict[str, np.ndarray]:
    """Return what each score says at the end, from the measurements, and margins and log-odds of every epoch."""
    looks = course.train
    outputs, surviving = (np.stack(x) for x in zip(*((r.output, r.without.mean(1)) for r in looks), strict=True))
    margin, odds = (np.stack(x) for x in zip(*every, strict=True))
    learning, looking = (
        while_learning(np.stack(x)) for x in ([z for _, z in held_out], [r.output for r in course.test])
    )
    return {
        OURS: ours(looks, course.test)[0],
        "log-odds, mean over all measurements": -outputs.mean(0),
        MEAN_LOSS: np.logaddexp(0, -outputs).mean(0),
        "area under margin: every epoch": -margin.mean(0),
        "the score from every epoch": -odds[learning].mean(0),
        "log-odds, mean over every epoch": -odds.mean(0),
        "log-odds with one player left out, mean over all measurements": -surviving.mean(0),
        "loss, the measurement where it had learned": -outputs[looking][-1],
        "loss, last measurement": -outputs[-1],
        "log-odds with one player left out, last measurement": -surviving[-1],
        "mean order, last measurement": looks[-1].profile.mean_order,
        "cancelling, last measurement": looks[-1].profile.cancelling,
    }


def while_learning(output: np.ndarray) -> slice:
    """Return the rows from the first in which half of the most labels are given, to that in which nine tenths are."""
    share = (output > 0).mean(1)
    half, most = (int(np.argmax(share >= part * share.max())) for part in (0.5, 0.9))
    return slice(half, most + 1)


def ours(looks: Sequence[Reading], held_out: Sequence[Reading]) -> tuple[np.ndarray, np.ndarray, object]:
    """Return the score of each training sample in their order, whether it is flagged, and how sure that is."""
    table = sample_table([*looks, *held_out])
    place = {sample: i for i, sample in enumerate(looks[-1].sample_ids.tolist())}
    rows = sorted((row for row in table if row.group == "train"), key=lambda row: place[row.sample_id])
    return np.array([row.score for row in rows]), np.array([row.flagged for row in rows]), table.flags


def flags(course: Course, size: int) -> list[float]:
    """Return `COLUMNS` over draws of so many held-out samples, means over those draws in which some are flagged."""
    rng, rows = np.random.default_rng(size), []
    for _ in range(DRAWS):
        some = rng.permutation(len(course.test[0].output))[:size]
        held_out = [
            replace(r, sample_ids=r.sample_ids[some], labels=r.labels[some], output=r.output[some],
                    without=r.without[some], profile=OrderProfile(*(x[some] for x in vars(r.profile).values())))
            for r in course.test
        ]  # fmt: skip
        _, hit, sure = ours(course.train, held_out)
        if hit.any():
            true = course.wrong[hit].mean()
            ends = (true >= sure.precision_low, true <= sure.precision_high)
            rows.append([hit[course.wrong].mean(), hit[~course.wrong].mean(), sure.precision, true, *ends])
    return [len(rows) / DRAWS, *np.mean(rows, axis=0).tolist()] if rows else [0.0]


def answer(courses: Collection[dict]) -> str:
    """Return the answer to the question of the page: the score, simpler ones, and whether flags are estimated well."""
    areas = {name: [c["scores"][name][0] for c in courses] for name in (OURS, LAST_LOSS, MEAN_LOSS)}
    told = {name: f"{min(found):.3f} to {max(found):.3f}" for name, found in areas.items()}
    said = (
        f"The score of `sample_table` has an area under the ROC curve of {told[OURS]}, the loss at the last "
        f"measurement {told[LAST_LOSS]}, and its mean over all measurements {told[MEAN_LOSS]}."
    )
    if min(areas[MEAN_LOSS]) > max(areas[LAST_LOSS]) and max(areas[MEAN_LOSS]) > min(areas[OURS]):
        said += " What helps is to measure before the wrong labels are fitted, not the kind of score."
    rows = [row for c in courses for row in c["flags"].values() if len(row) > 1]
    estimated, true = (f"{min(row[i] for row in rows):.2f} to {max(row[i] for row in rows):.2f}" for i in (3, 4))
    return f"{said} Of the flagged samples, a share of {true} is wrong; the table estimates {estimated}."


def page(kept: dict) -> str:
    """Return the page made of what is kept."""
    heads, courses = list(kept["courses"]), list(kept["courses"].values())
    said = "; ".join(f"{h}: {c['fitted']:.2f} and {c['accuracy']:.2f}" for h, c in kept["courses"].items())
    names = list(courses[0]["scores"])
    ranked = [[n, *(f"{c['scores'][n][0]:.3f}, {c['scores'][n][1]:.2f}" for c in courses)] for n in names]
    empty = "-" * (len(COLUMNS) - 1)
    flagged = [
        [head, size, f"{row[0]:.2f}", *([f"{x:.3f}" if i == 1 else f"{x:.2f}" for i, x in enumerate(row[1:])] or empty)]
        for head, c in kept["courses"].items()
        for size, row in c["flags"].items()
    ]
    return "\n".join([
        "# Which score finds mislabelled samples?", "",
        *wrapped(answer(kept["courses"].values())), "",
        f"Data: {kept['options']}. Share of the wrong labels that are fitted at the end, and test accuracy:",
        f"{said}. This page is written by `./run bench mislabelled`.", "",
        "## Ranking", "",
        "Area under the ROC curve (0.5: chance); and the share of wrong labels in the first ranks, as many as there",
        "are wrong labels. *While it learned*: from the first measurement at which the network predicts half as many",
        "held-out labels as at its best, to the first at which it predicts nine tenths as many.", "",
        *lines(["score", *heads], ranked), "",
        "## Flags", "",
        f"With held-out groups of three sizes, {DRAWS} draws each; means over the draws with flags.", "",
        *(f"- *{key}*: {what}." for key, what in COLUMNS.items()), "",
        *lines(["network", "held out", *COLUMNS], flagged), "",
    ])  # fmt: skip


def main() -> None:
    """Train, score, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(NETWORKS), default="mnist")
    parser.add_argument("--noise", type=float, default=0.1, help="share of wrong labels")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train", type=int, default=800, help="training samples, all of which are scored")
    parser.add_argument("--test", type=int, default=400, help="samples from which those held out are drawn")
    parser.add_argument("--players", type=int, default=8, help="of 16 cells")
    parser.add_argument("--looks", type=int, default=12, help="measurements, evenly spaced in the logarithm")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--page", action="store_true", help="write the page again from the numbers that are kept")
    options = parser.parse_args()
    if options.page:
        PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    torch.set_num_threads(1)
    about = f"{options.data.upper()}, {options.train} training samples, {options.noise:.0%} of their labels wrong, "
    about += f"{options.epochs} epochs, {options.looks} measurements"
    kept = {"options": about, "columns": COLUMNS, "courses": {}}
    for name, kind in NETWORKS[options.data].items():
        for seed in range(options.seeds):
            course = train(kind, seed, options)
            kept["courses"][f"{name}, seed {seed}"] = {
                "fitted": course.fitted,
                "accuracy": course.accuracy,
                "scores": {n: [auc(s, course.wrong), precision(s, course.wrong)] for n, s in course.scores.items()},
                "flags": {str(size): flags(course, size) for size in HELD_OUT},
            }
            print(f"{name}, seed {seed}: done", flush=True)
    print(page(kept))
    if options == parser.parse_args([]):
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(page(kept), encoding="utf-8")


if __name__ == "__main__":
    main()
