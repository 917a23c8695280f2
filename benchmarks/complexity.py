"""Do interactions show how well a network generalises? Measures of complexity compared with the true gap.

``measure`` takes finished runs, of any study, and writes ``complexity.json`` into the folder of each: of its last
network the gap, what interactions say, and what rivals say. ``page`` collects them from study folders into
``docs/results/complexity.json`` and writes ``docs/results/complexity.md``; without folders only the page.

Run: ./run complexity measure runs/STUDY/*/
     ./run complexity page runs/STUDY ...
"""

import argparse
import json
import logging
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import _studied
from _ranks import OURS, RIVALS, Network, Ranked, groups, ranking
from _tables import lines
from interdyn import store
from interdyn.dynamics import HIGH_ORDER
from interdyn.measurement import cross_spectrum, interactions, mean_degree
from interdyn.recipes import Samples, Study, StudyResult, build_model, load_recipe, load_samples, load_weights
from interdyn.spectra import jaccard_by_order, order_spectrum
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions

PAGE = Path(__file__).parents[1] / "docs" / "results" / "complexity.md"
KEPT = PAGE.with_suffix(".json")
ROWS = 2000  # samples of a loss
RADIUS = 0.05  # of sharpness, in weights
RELATIVE, DRAWS = 0.05, 5  # of flatness: noise relative to each weight
FITTED = 0.99  # training accuracy from which a network has learned its labels


# -- one network ---------------------------------------------------------------------------------


def measured(folder: Path) -> Network:
    """Return gap and measures of the last network of a run."""
    run, recipe = store.open_run(folder), load_recipe(folder / "recipe.toml")
    samples = load_samples(recipe.data)
    shape, outputs = samples.shape, samples.n_outputs
    start = build_model(recipe.model, shape=shape, n_outputs=outputs, seed=recipe.training.seed)
    network = build_model(recipe.model, shape=shape, n_outputs=outputs, seed=recipe.training.seed)
    first, last = (store.read_checkpoint(run, step) for step in (run.steps[0], run.steps[-1]))
    assert first is not None
    assert last is not None
    load_weights(start, first.weights)
    load_weights(network, last.weights)
    network.eval()
    found = last_interactions(folder)
    return {
        "recipe": recipe.name,
        "seed": recipe.training.seed,
        **gap(network, samples),
        **of_interactions(found),
        **of_weights(network, start),
        **sharpness(network, *batch(samples)),
        "margin": margin(network, *batch(samples)),
        "alpha": alpha(network),
    }


def last_interactions(folder: Path) -> Interactions:
    run = store.open_run(folder)
    measurement = store.read_measurement(run, run.steps[-1], group="test")
    assert measurement is not None
    return interactions(measurement)


def batch(samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training samples with the labels that training saw."""
    ids = torch.from_numpy(samples.train_ids[:ROWS])
    return samples.inputs[ids], samples.given[ids]


@torch.no_grad()
def outputs_of(network: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    return torch.cat([network(part) for part in torch.split(inputs, 250)])


def gap(network: torch.nn.Module, samples: Samples) -> Network:
    """Return the gap in loss and in accuracy, both on labels as training saw them.

    Test labels are true ones. With a share q of wrong labels in training a test label is wrong with probability q, too,
    and then each of the others: loss and accuracy are taken in expectation over that.
    """
    inputs, given = batch(samples)
    z_train = outputs_of(network, inputs).log_softmax(-1)
    ids = torch.from_numpy(samples.test_ids[:ROWS])
    z_test, true = outputs_of(network, samples.inputs[ids]).log_softmax(-1), samples.targets[ids]
    q, classes = len(samples.flipped_ids) / len(samples.train_ids), z_test.shape[1]
    share = torch.full_like(z_test, q / (classes - 1)).scatter_(1, true[:, None], 1 - q)
    hit = share.gather(1, z_test.argmax(-1, keepdim=True)).mean()
    train_loss, test_loss = float(-z_train.gather(1, given[:, None]).mean()), float(-(share * z_test).sum(-1).mean())
    accuracy = float((z_train.argmax(-1) == given).float().mean())
    return {
        "training loss": train_loss,
        "training accuracy": accuracy,
        "test accuracy": float((z_test.argmax(-1) == true).float().mean()),
        "gap in loss": test_loss - train_loss,
        "gap in accuracy": accuracy - float(hit),
        "wrong labels": q,
    }


def of_interactions(found: Interactions) -> Network:
    """Return what interactions say, on test samples."""
    strength, v = order_spectrum(found).strength, values_of(found)
    effect = float((v[:, -1] - v[:, 0]).abs().mean())
    orders = np.arange(1, strength.shape[1] + 1)
    return {
        "mean order": float((strength.mean(0) * orders).sum() / max(strength.mean(0).sum(), 1e-300)),
        "H/V": float(strength[:, HIGH_ORDER - 1 :].sum(1).mean() / max(effect, 1e-300)),
        "Walsh degree": mean_degree(cross_spectrum(v[None])),
        "cancelling share": cancelling(found),
    }


def values_of(found: Interactions) -> torch.Tensor:
    """Return the value tables that interactions and residual add up to."""
    return values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual


def cancelling(found: Interactions) -> float:
    """Return the mean over samples of ``1 - |sum I| / sum |I|``, all of AND and OR but the empty set."""
    both = torch.cat([found.i_and[:, 1:], found.i_or[:, 1:]], dim=1)
    return float((1 - both.sum(1).abs() / both.abs().sum(1).clamp_min(1e-300)).mean())


def of_weights(network: torch.nn.Module, start: torch.nn.Module) -> Network:
    """Return the norm of all weights, and that of what training has changed."""
    now, then = (torch.cat([w.detach().ravel() for w in net.parameters()]) for net in (network, start))
    return {"weight norm": float(now.norm()), "distance from start": float((now - then).norm())}


def sharpness(network: torch.nn.Module, inputs: torch.Tensor, given: torch.Tensor) -> Network:
    """Return how much the training loss rises in the steepest direction, and by noise on the weights.

    Sharpness as in Foret et al. 2021: at a distance of 0.05 along the gradient. Flatness: the mean rise where each
    weight is changed by a normal number of 5 % of its size (relative, as in Kwon et al. 2021).
    """
    weights = [w for w in network.parameters() if w.requires_grad]
    before = torch.nn.functional.cross_entropy(network(inputs), given)
    slopes = torch.autograd.grad(before, weights)
    size = torch.sqrt(sum((g.square().sum() for g in slopes), torch.zeros(())))
    generator = torch.Generator().manual_seed(0)

    def rise(changes: Sequence[torch.Tensor]) -> float:
        with torch.no_grad():
            kept = [w.clone() for w in weights]
            for w, change in zip(weights, changes, strict=True):
                w += change
            out = torch.nn.functional.cross_entropy(network(inputs), given) - before
            for w, old in zip(weights, kept, strict=True):
                w.copy_(old)
        return float(out)

    steep = rise([RADIUS * g / size.clamp_min(1e-12) for g in slopes])
    noisy = [
        rise([RELATIVE * w.detach().abs() * torch.randn(w.shape, generator=generator) for w in weights])
        for _ in range(DRAWS)
    ]
    return {"sharpness": steep, "flatness": float(np.mean(noisy))}


def margin(network: torch.nn.Module, inputs: torch.Tensor, given: torch.Tensor) -> float:
    """Return the tenth percentile of training margins, over the spread of the outputs."""
    z = outputs_of(network, inputs)
    own = z.gather(1, given[:, None])[:, 0]
    rest = z.scatter(1, given[:, None], -torch.inf).amax(1)
    return float(torch.quantile(own - rest, 0.1) / z.std().clamp_min(1e-12))


def alpha(network: torch.nn.Module) -> float | None:
    """Return weightwatcher's mean alpha of the layers that it can fit; None without it."""
    try:
        import weightwatcher
    except ImportError:
        return None
    for name in ("weightwatcher", "powerlaw"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found = weightwatcher.WeightWatcher(model=network).analyze(plot=False)
    values = found["alpha"].to_numpy(float) if "alpha" in found else np.empty(0)
    values = values[np.isfinite(values) & (values > 0)]
    return float(values.mean()) if len(values) else None


def twins(folders: Sequence[Path]) -> list[list[float]]:
    """Return the similarity by order of each run's last interactions to those of the same settings with other seeds."""
    found = [last_interactions(folder) for folder in folders]
    out = []
    for i, one in enumerate(found):
        pairs = [
            jaccard_by_order(one, other, paired=True, n_draws=1).similarity for j, other in enumerate(found) if j != i
        ]
        out.append(np.nanmean(np.stack(pairs), axis=0).tolist() if pairs else [])
    return out


# -- many networks --------------------------------------------------------------------------------


def collect(study: Path) -> list[Network]:
    """Return the networks of a study whose measures are there, each with its similarity to its twins."""
    variants: dict[str, list[Path]] = {}
    if not any(study.glob("*/complexity.json")):
        raise SystemExit(
            f"{study} must be the folder of a study whose runs were measured: complexity.py measure RUN ..."
        )
    for file in sorted(study.glob("*/complexity.json")):
        variants.setdefault(file.parent.name.rpartition("--seed-")[0], []).append(file.parent)
    out = []
    for name, folders in variants.items():
        for folder, similarity in zip(folders, twins(folders), strict=True):
            network = json.loads((folder / "complexity.json").read_text())
            network = {key: value for key, value in network.items() if key not in ("digest", "file")}
            network |= {"study": study.name, "variant": name}
            network |= {f"twin order {k}": similarity[k - 1] if similarity else None for k in (1, 2, 3)}
            out.append(network)
    return out


TARGETS = ("gap in loss", "gap in accuracy")
TITLE = "# Do interactions show how well a network generalises?"
HEAD = """## How to read the tables

Each network is the last one of a run of the [studies](studies.md). Each measure is compared
with the true gap between test and training by rank correlation (Spearman): +1 is best, 0 is chance, negative numbers
point the wrong way. A measure that should be *small* where the gap is large has its sign reversed. The gap is on labels
as training had them: where a share of the training labels is wrong, test labels count as wrong with the same
probability, all wrong ones equally likely.

Intervals are 90 %, from redrawing settings with all their seeds; where only seeds of one setting are ranked (run-to-
run), from redrawing those. All ways to draw up to 11 settings are counted; of more 50,000 are drawn, and an end
within 0.005 of 0 counts as 0, so that no count depends on the draws. With fewer than four settings there is no
interval. **Right / wrong way** counts the studies whose interval lies above 0, and below. A measure without any
relation to the gap would be counted on each side in about one study of 20, and in more where there are four or five
settings, of which such intervals are too narrow. Nothing is adjusted for the number of measures, of which the best of
seven is named.

Judge a measure within studies: over all networks it also ranks data sets, which no user does. Several studies share a
data set and a recipe, so they are fewer independent tests than their number. Median and worst study are of the
correlations themselves, in all studies; the worst of many is low by chance alone. Interactions need test inputs but no
test labels; no measure was adjusted to these networks. This page is written by `./run complexity page`, from what
`./run complexity measure RUN ...` writes into the runs of studies.

- **mean order, H/V, Walsh degree, cancelling share**: of the interactions on test samples; `H` is the salient strength
  of orders from 4 on, `V` the mean of |v(N) - v(∅)|; the cancelling share is 1 - |sum I| / sum |I|.
- **twin order k**: similarity of the interactions of order k to those of networks trained with other seeds.
- **training loss**: a part of the gap in loss itself, with its sign reversed.
- **sharpness**: rise of the training loss at a distance of 0.05 along its gradient; **flatness**: its rise under noise
  of 5 % on each weight; **margin**: tenth percentile of training margins over the spread of outputs; **alpha**: the
  mean of weightwatcher.

"""


def table(ranked: Sequence[Ranked]) -> list[str]:
    rows = [
        (
            one.name if one.name in RIVALS else f"**{one.name}**",
            "{:+.2f} ({:+.2f} to {:+.2f})".format(one.whole, *one.interval),
            f"{one.median:+.2f}",
            f"{len(one.right)} / {one.wrong} of {one.judged}",
            f"{one.worst:+.2f} ({one.group})",
        )
        for one in ranked
    ]
    return lines(("measure", "all networks", "median over studies", "right / wrong way", "worst study"), rows)


def best(ranked: Sequence[Ranked]) -> tuple[Ranked, Ranked]:
    """Return the measure of interactions, and the rival, that are right in most studies."""
    ours, rival = (
        max((one for one in ranked if one.name in names), key=lambda one: (len(one.right) - one.wrong, one.whole))
        for names in (OURS, RIVALS)
    )
    return ours, rival


def answer(every: Mapping[str, Sequence[Ranked]], counted: Mapping[str, Sequence[int]]) -> str:
    """Return the answer to the question of the page, from the rankings by each target."""
    (target, ranked), (other, again) = every.items()
    ours, rival = best(ranked)
    near = min(ours.right, key=ours.right.__getitem__, default=None)
    edge = "" if near is None else f"; in the closest case, {near}, it begins at {ours.right[near]:+.3f}"
    stand, right = (_studied.data_sets([studied(name) for name in names]) for names in (counted, ours.right))
    (same,) = (one for one in again if one.name == ours.name)
    counts = dict.fromkeys(f"{one.name} {len(one.right)} and {one.wrong}" for one in (same, *best(again)))
    return (
        f"{ours.name}, the best of {len(OURS)} measures of interactions, ranks networks by their {target} in the right "
        f"direction in {len(ours.right)} of {ours.judged} studies (90 % interval above 0{edge}) and in the wrong "
        f"direction in {ours.wrong or 'none'}. The best of {len(RIVALS)} other measures, {rival.name}, is right in "
        f"{len(rival.right)} and wrong in {rival.wrong or 'none'}. By their {other}, right and wrong are: "
        f"{', '.join(counts)}, the last being the best other measure. {len(counted) - ours.judged} more studies have "
        f"too few settings for an interval. The {len(counted)} studies stand on {stand} only; those in which "
        f"{ours.name} is right by the {target}, on {right}."
    )


def studied(name: str) -> Study:
    """Return a study that is kept."""
    return StudyResult.from_json(json.loads((PAGE.parent / "studies" / f"{name}.json").read_text())).study


def conclusion(title: str, ranked: Sequence[Ranked], target: str) -> str:
    """Return the sentences that the numbers support."""
    always = " and ".join(one.name for one in ranked if one.judged and len(one.right) == one.judged) or "none"
    positive = " and ".join(f"{one.name} (smallest {one.worst:+.2f})" for one in ranked if one.worst > 0) or "none"
    told = [f"right way in every study: {always}; correlation above 0 in every study, by its value alone: {positive}"]
    for whose, most in zip(("interaction measure", "rival"), best(ranked), strict=True):
        told.append(
            f"best {whose}: {most.name}, right way in {len(most.right)} of {most.judged} studies, wrong way in "
            f"{most.wrong} (worst {most.worst:+.2f}, {most.group}; over all networks {most.whole:+.2f})"
        )
    return f"- **{title}, {target}**: {'; '.join(told)}."


def page() -> None:
    networks: list[Network] = json.loads(KEPT.read_text())
    learned = [n for n in networks if n["training accuracy"] >= FITTED]
    parts = (("All networks", networks), (f"Networks with a training accuracy of {FITTED:g} or more", learned))
    top, words, tables = [], [], []
    for title, chosen in parts:
        counted = groups(chosen)
        every = {target: ranking(chosen, target) for target in TARGETS if counted}
        top = top or [answer(every, counted)] if every else top
        for target, ranked in every.items():
            words.append(conclusion(title, ranked, target))
            many = f"{len(chosen)} networks of {len(counted)} studies: "
            many += ", ".join(f"{name} {len(at)}" for name, at in counted.items())
            tables += ["", f"## {title}: {target}", "", f"{many}.", "", *table(ranked)]
    head = textwrap.wrap(" ".join(top), 120)
    PAGE.write_text("\n".join([TITLE, "", *head, "", *words, "", HEAD.rstrip(), *tables, ""]))


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("measure", "page"))
    parser.add_argument("folders", nargs="*", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.task == "measure":
        for folder in options.folders:
            store.write_json(folder / "complexity.json", plain(measured(folder)))
        return
    if options.folders:
        found = [plain(network) for folder in options.folders for network in collect(folder)]
        old: list[Network] = json.loads(KEPT.read_text()) if KEPT.exists() else []
        again = {network["study"] for network in found}
        KEPT.write_text(json.dumps([*(n for n in old if n["study"] not in again), *found], indent=0) + "\n")
    page()


def plain(network: Mapping[str, Any]) -> Network:
    """Return numbers to six digits, and None for those that are not finite."""
    return {
        key: (float(f"{value:.6g}") if math.isfinite(value) else None) if isinstance(value, float) else value
        for key, value in network.items()
    }


if __name__ == "__main__":
    main()
