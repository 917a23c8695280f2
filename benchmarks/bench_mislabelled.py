"""Who finds mislabelled training samples: scores of interactions beside loss, area under margin, forgetting, cleanlab.

Networks are trained on data of which some labels are wrong; the true ones are known. At several times in training each
score ranks training samples, wrong and right ones; the figure is the area under the ROC curve (0.5: chance).

Run: ./run bench mislabelled                                                            (digits: no data folder)
     cd benchmarks && ../.venv/bin/python bench_mislabelled.py --data mnist --wrong 100 (others: INTERDYN_DATA)
     cd benchmarks && ../.venv/bin/python bench_mislabelled.py --data cifar10n --labels worse --no-record
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from cleanlab.rank import get_label_quality_scores

from _record import Record
from _tables import and_alone
from interdyn.game import Players, mean_baseline, patches, value_table
from interdyn.measurement import Reading, reading, sample_table
from interdyn.recipes import Samples, Trainer, load_recipe, load_samples
from interdyn.sparsify import split
from interdyn.spectra import mean_over_players, order_profile, order_spectrum, output_range

RECIPES = {"digits": ("digits-cnn", "digits-mlp"), "mnist": ("lenet-mnist",), "cifar10n": ("vgg-small-cifar10",)}
OURS = ("surviving evidence, one look", "surviving evidence, all looks")


@dataclass
class Course:
    """One training: what each score says of each chosen sample at each look; high for a wrong label."""

    wrong: np.ndarray
    epochs: list[int] = field(default_factory=list)
    fitted: list[float] = field(default_factory=list)  # share of wrong labels that the network gives
    accuracy: list[float] = field(default_factory=list)  # on test samples
    scores: dict[str, list[np.ndarray]] = field(default_factory=dict)
    flagged: dict[str, list[np.ndarray]] = field(default_factory=dict)
    covered: list[np.ndarray] = field(default_factory=list)

    def add(self, name: str, score: np.ndarray) -> None:
        """Keep the score of each sample at one more look."""
        self.scores.setdefault(name, []).append(score)


def auc(score: np.ndarray, wrong: np.ndarray) -> float:
    """Return the chance that a wrong label scores above a right one; ties count half, NaN as the median."""
    filled = np.where(np.isnan(score), np.nanmedian(score), score)
    a, b = filled[wrong][:, None], filled[~wrong][None, :]
    return float(np.mean((a > b) + 0.5 * (a == b)))


def log_odds(network: torch.nn.Module, inputs: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    z = logits(network, inputs)
    return (z.gather(1, target[:, None])[:, 0] - z.scatter(1, target[:, None], -torch.inf).logsumexp(1)).numpy()


@torch.no_grad()
def logits(network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    network.eval()
    return torch.cat([network(part) for part in torch.split(inputs, 512)]).double()


class Margins:
    """Area under margin (Pleiss et al., 2020) and forgetting events (Toneva et al., 2019), from every epoch."""

    def __init__(self) -> None:
        self.margins: list[np.ndarray] = []

    def see(self, network: torch.nn.Module, inputs: torch.Tensor, target: torch.Tensor) -> None:
        """Keep the margins after one more epoch."""
        z = logits(network, inputs)
        rest = z.scatter(1, target[:, None], -torch.inf).amax(1)
        self.margins.append((z.gather(1, target[:, None])[:, 0] - rest).numpy())

    def area(self) -> np.ndarray:
        """Return minus the mean margin over all epochs."""
        return -np.mean(self.margins, axis=0)

    def forgetting(self) -> np.ndarray:
        """Return how often each sample went from right to wrong."""
        right = np.array(self.margins) > 0
        events = (right[:-1] & ~right[1:]).sum(axis=0).astype(float)
        return np.where(right.any(axis=0), events, len(right))  # never learned counts as forgotten most


class Folds:
    """Networks that have not seen a sample: their probabilities are what cleanlab asks for."""

    def __init__(self, recipe, samples: Samples, count: int) -> None:
        parts = np.array_split(np.random.default_rng(recipe.training.seed).permutation(samples.train_ids), count)
        self.parts = parts
        rest = [np.setdiff1d(samples.train_ids, part) for part in parts]
        self.trainers = [Trainer(recipe, replace(samples, train_ids=ids)) for ids in rest]
        self.samples, self.size = samples, recipe.training.batch_size

    def quality(self, epoch: int, ids: np.ndarray) -> np.ndarray:
        """Return minus the label quality of the samples after ``epoch`` epochs."""
        out = np.zeros((len(self.samples.inputs), self.samples.n_outputs))
        for part, trainer in zip(self.parts, self.trainers, strict=True):
            rows = len(self.samples.train_ids) - len(part)
            trainer.advance(epoch * -(-rows // self.size))
            out[part] = logits(trainer.network, self.samples.inputs[torch.from_numpy(part)]).softmax(1).numpy()
        train = self.samples.train_ids
        scores = np.zeros(len(out))
        scores[train] = get_label_quality_scores(self.samples.given.numpy()[train], out[train])
        return -scores[ids]


def of_interactions(v: torch.Tensor, course: Course) -> None:
    """Add the scores that one table of each sample gives."""
    found = split(v, noise_bound=0.02, tol=3e-3)
    profile = order_profile(order_spectrum(found))
    course.add("mean order, AND-OR", profile.mean_order)
    course.add("mean order, AND alone", order_profile(order_spectrum(and_alone(v))).mean_order)
    course.add("cancelling share", profile.cancelling)
    course.add("effect |v(N) - v({})|, small", -output_range(found).numpy())
    spectrum = order_spectrum(found)
    against = spectrum.negative[:, :, 2:].sum(axis=(1, 2)) / np.maximum(spectrum.strength.sum(axis=1), 1e-12)
    course.add("share of orders >= 3 against the label", against)


def covered(network, inputs, target, baseline, found: Reading, grid: Players) -> np.ndarray:
    """Return whether the interval of one look holds the mean over all cells of the picture, for each sample."""
    cells = grid.cells(tuple(inputs.shape[1:]))
    every = [log_odds(network, torch.where(cells == cell, baseline, inputs), target) for cell in torch.unique(cells)]
    _, low, high = mean_over_players(found.without)
    truth = np.mean(every, axis=0)
    return (low <= truth) & (truth <= high)


def train(name: str, seed: int, options: argparse.Namespace) -> Course:
    """Train one network and score the samples at the looks."""
    people = options.data == "cifar10n"
    changes = [f"data.label_noise={0.0 if people else options.noise}", f"data.seed={seed}", f"training.seed={seed}"]
    changes += [f"data.options.labels={options.labels}"] if people else []
    changes += [f"data.n_train={options.train}"] if options.train else []
    changes += [f"training.epochs={options.epochs}"] if options.epochs else []
    recipe = load_recipe(name, overrides=changes)
    samples = load_samples(recipe.data)
    rng = np.random.default_rng(seed)
    right = np.setdiff1d(samples.train_ids, samples.flipped_ids)
    chosen = ((samples.flipped_ids, options.wrong), (right, options.right))
    ids = np.concatenate([rng.permutation(side)[:count] for side, count in chosen])
    tests = rng.permutation(samples.test_ids)[: options.right]
    others_x, others_y = samples.inputs[torch.from_numpy(tests)], samples.targets[torch.from_numpy(tests)]
    wrong = np.isin(ids, samples.flipped_ids)
    inputs, target = samples.inputs[torch.from_numpy(ids)], samples.given[torch.from_numpy(ids)]
    baseline = mean_baseline(samples.inputs[torch.from_numpy(samples.train_ids)])
    grid = patches(*(int(side) for side in options.cells.split("x")))
    players = grid.choose(options.players, seed=seed)
    trainer, folds = Trainer(recipe, samples), Folds(recipe, samples, options.folds)
    per_epoch = -(-len(samples.train_ids) // recipe.training.batch_size)
    total = recipe.training.epochs
    looks = sorted({round(e) for e in np.geomspace(2, total, options.looks)})
    course, margins, readings, held_out = Course(wrong), Margins(), [], []
    for epoch in range(1, total + 1):
        trainer.advance(epoch * per_epoch)
        margins.see(trainer.network, inputs, target)
        if epoch not in looks:
            continue
        v = value_table(
            trainer.network, inputs, target=target, players=players, sample_ids=ids.tolist(), baselines=baseline
        ).values
        of_interactions(v, course)
        # readings do not depend on the split
        readings.append(reading(replace(and_alone(v), unit="log-odds"), labels=target.numpy(), step=epoch))
        others = value_table(
            trainer.network, others_x, target=others_y, players=players, sample_ids=tests.tolist(), baselines=baseline
        ).values
        held_out.append(
            reading(replace(and_alone(others), unit="log-odds"), labels=others_y.numpy(), step=epoch, group="test")
        )
        for key, history in zip(OURS, (False, True), strict=True):
            table = sample_table([*readings, *held_out], history=history)
            rows = sorted((row for row in table if row.group == "train"), key=lambda row: row.sample_id)
            course.add(key, np.array([row.score for row in rows]))
            course.flagged.setdefault(key, []).append(np.array([row.flagged for row in rows]))
        same = [r.output for r in readings if r.step in table.scored_at]
        course.add("loss, mean over the same looks", -np.mean(same, axis=0))
        course.add("loss", -log_odds(trainer.network, inputs, target))
        course.add("area under margin", margins.area())
        course.add("forgetting events", margins.forgetting())
        course.add("cleanlab, self-confidence", folds.quality(epoch, ids))
        rank = [np.argsort(np.argsort(course.scores[key][-1])) for key in (OURS[1], "cleanlab, self-confidence")]
        course.add("all looks and cleanlab, mean rank", np.mean(rank, axis=0))
        if options.players < grid.grid[0] * grid.grid[1]:  # else the players are all the cells
            course.covered.append(covered(trainer.network, inputs, target, baseline, readings[-1], grid))
        course.epochs.append(epoch)
        course.fitted.append(float((course.scores["loss"][-1] < 0)[wrong].mean()))
        course.accuracy.append(trainer.losses()["test_accuracy"])
    return course


def times(course: Course) -> dict[str, int]:
    """Return the looks that are recorded: the best one before a quarter of the wrong labels is fitted, and the last."""
    fitted = np.array(course.fitted)
    early = np.flatnonzero(fitted <= 0.25)
    return {
        "few wrong labels fitted": int(early[np.argmax(np.array(course.accuracy)[early])]) if len(early) else 0,
        "end": len(fitted) - 1,
    }


def show(name: str, courses: Sequence[Course]) -> None:
    """Print the areas of all looks, means over the seeds."""
    print(f"{name}, {len(courses)} seeds; epoch:" + "".join(f"{e:>8}" for e in courses[0].epochs))
    for title, values in (("wrong labels fitted", "fitted"), ("test accuracy", "accuracy")):
        print(f"  {title:<42}" + "".join(f"{x:8.3f}" for x in np.mean([getattr(c, values) for c in courses], axis=0)))
    for key in courses[0].scores:
        mean = np.mean([[auc(s, c.wrong) for s in c.scores[key]] for c in courses], axis=0)
        print(f"  {key:<42}" + "".join(f"{x:8.3f}" for x in mean))
    for key in OURS:
        for title, which in (("wrong", True), ("right", False)):
            mean = np.mean([[f[c.wrong == which].mean() for f in c.flagged[key]] for c in courses], axis=0)
            print(f"  flagged of {title}, {key:<28}" + "".join(f"{x:8.3f}" for x in mean))


def keep(record: Record, courses: Sequence[Course], options: argparse.Namespace) -> None:
    """Add the rows: mean areas at two times, flags, coverage."""
    many = {"n": options.players, "batch": sum(len(c.wrong) for c in courses), "dtype": "float32"}
    for when in times(courses[0]):
        at = [times(c)[when] for c in courses]
        for key in courses[0].scores:
            areas = [auc(c.scores[key][i], c.wrong) for c, i in zip(courses, at, strict=True)]
            record.add(f"{when}: {key}", float(np.mean(areas)), "AUC", **many)
        for title, which in (("wrong", True), ("right", False)):
            share = [c.flagged[OURS[1]][i][c.wrong == which].mean() for c, i in zip(courses, at, strict=True)]
            record.add(f"{when}: flagged of the {title} labels", float(np.mean(share)), "share", **many)
    if courses[0].covered:
        held = np.mean([np.mean(c.covered) for c in courses])
        record.add("90 % intervals that hold the mean over all cells", float(held), "share", **many)


def main() -> None:
    """Train, score, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(RECIPES), default="digits")
    parser.add_argument("--recipe", help="one recipe only; its model and training")
    parser.add_argument("--cells", default="4x4", help="rows and columns of the grid from which players are drawn")
    parser.add_argument("--labels", default="worse", help="of CIFAR-10N: aggre, random1 or worse")
    parser.add_argument("--noise", type=float, default=0.1, help="share of wrong labels, not for cifar10n")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--wrong", type=int, default=30, help="samples with a wrong label, at most")
    parser.add_argument("--right", type=int, default=70, help="samples with a right label, and test samples")
    parser.add_argument("--players", type=int, default=8)
    parser.add_argument("--looks", type=int, default=6)
    parser.add_argument("--train", type=int, help="training samples; by default those of the recipe")
    parser.add_argument("--epochs", type=int, help="by default those of the recipe")
    parser.add_argument("--folds", type=int, default=4, help="for cleanlab: trainings without the samples they judge")
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    noise = options.labels if options.data == "cifar10n" else f"{options.noise:.0%} wrong"
    cells = "" if options.cells == parser.get_default("cells") else f", {options.cells} cells"
    for name in [options.recipe] if options.recipe else RECIPES[options.data]:
        record = Record(f"mislabelled {name}, {noise}{cells}")
        courses = [train(name, seed, options) for seed in range(options.seeds)]
        show(name, courses)
        keep(record, courses, options)
        if not options.no_record:
            record.write()


if __name__ == "__main__":
    main()
