"""What the evidence of the monitor keeps of a training: ours at every measured step, others' after every epoch."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interdyn import monitors, store
from interdyn.dynamics import HIGH_ORDER, MIN_STEPS, Onset, find_harm, pattern_signal
from interdyn.measurement import History, cross_spectrum, interactions, mean_degree
from interdyn.recipes import Recipe, Trainer, build_model, load_samples, load_weights
from interdyn.spectra import is_salient, jaccard_by_order, salience_threshold
from interdyn.values import Interactions

GROUP = "train"  # of samples: ours need no held-out data
SEEN = 2000  # training samples at most that the others see
BATCHES, BATCH = 5, 64  # of gradient disparity
SPAN = 5  # evaluations of a running median


def smoothed(test: np.ndarray) -> np.ndarray:
    """Return the median of each evaluation and the two on either side, of those there are."""
    half = SPAN // 2
    return np.array([np.median(test[max(i - half, 0) : i + half + 1]) for i in range(len(test))])


# -- ours --------------------------------------------------------------------------------------------


def salient(found: Interactions) -> Interactions:
    """Return the interactions with those that are not salient, and the constant, set to 0."""
    tau = salience_threshold(found)
    tables = {name: getattr(found, name) for name in ("i_and", "i_or")}
    kept = {name: torch.where(is_salient(x, tau), x, torch.zeros_like(x)) for name, x in tables.items()}
    for x in kept.values():
        x[..., 0] = 0
    return Interactions(
        **kept,
        unit=found.unit,
        residual=found.residual,
        objective=found.objective,
        gap=found.gap,
        status=found.status,
        noise_bound=found.noise_bound,
        settings=found.settings,
    )


def cancelling(found: Interactions) -> float:
    """Return 1 - |sum I| / sum |I| over the salient interactions of a sample, mean over samples that have any."""
    kept = salient(found)
    both = torch.cat([kept.i_and, kept.i_or], dim=-1)
    whole = both.abs().sum(-1)
    return float((1 - both.sum(-1).abs() / whole)[whole > 0].mean())  # NaN where nothing is salient


def ours(run: store.Run, twin: store.Run | None) -> dict[str, Any]:
    """Return the series of interactions of the training samples, one value for each measured step."""
    history = History.read(run)
    at = history.together
    seen = [history.seen(step, GROUP) for step in at]
    high = np.array([one.spectrum.strength[:, HIGH_ORDER - 1 :].sum(axis=1).mean() for one in seen])
    effect = np.array([one.effect for one in seen])
    measured = [store.read_measurement(run, step, group=GROUP) for step in at]
    found = [interactions(m) for m in measured]
    out = {
        "looks": list(at),
        "pattern": plain(pattern_signal(high, effect)),
        "mean_order": plain(history.trajectory(group=GROUP).mean_order),
        "cancelling": plain([cancelling(one) for one in found]),
        "degree": plain([mean_degree(cross_spectrum(torch.from_numpy(m.v)[None])) for m in measured]),
        "twin": None,
    }
    if twin is not None:
        others = [interactions(store.read_measurement(twin, step, group=GROUP)) for step in at]
        pairs = [(salient(a), salient(b)) for a, b in zip(found, others, strict=True)]
        out["twin"] = [plain(jaccard_by_order(a, b, paired=True, n_draws=1).similarity) for a, b in pairs]
    return out


def plain(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Return numbers as JSON has them: six digits, None for what is not known."""
    return [float(f"{x:.6g}") if math.isfinite(x) else None for x in values]


def least_alpha(run: store.Run, recipe: Recipe) -> list[float | None] | None:
    """Return weightwatcher's least alpha of a layer at each step; None where it is not installed."""
    try:
        import weightwatcher
    except ImportError:
        return None
    for name in ("weightwatcher", "powerlaw"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    samples, out = load_samples(recipe.data, allow_code=True), []
    for step in run.steps:
        checkpoint = store.read_checkpoint(run, step)
        network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=0)
        load_weights(network, checkpoint.weights)
        try:
            details = weightwatcher.WeightWatcher(model=network).analyze(plot=False)
            alpha = details["alpha"].to_numpy(float)
        except (KeyError, ValueError, IndexError):  # no layer that it can fit
            alpha = np.array([])
        alpha = alpha[np.isfinite(alpha) & (alpha > 0)]
        out.append(float(f"{alpha.min():.6g}") if len(alpha) else None)
    return out


# -- others, and the truth ---------------------------------------------------------------------------


def retrained(recipe: Recipe) -> dict[str, Any]:
    """Train again; return losses after every epoch (of short trainings forty times), and what other monitors say.

    Half of the test samples are the test, the other half the validation set that patience sees.
    """
    samples = load_samples(recipe.data, allow_code=True)
    trainer = Trainer(recipe, samples, allow_code=True)
    half = np.random.default_rng(0).permutation(samples.test_ids)
    train = torch.from_numpy(samples.train_ids[:SEEN])
    test, validation = (torch.from_numpy(ids) for ids in (half[: len(half) // 2], half[len(half) // 2 :]))
    drawn = torch.from_numpy(np.random.default_rng(1).permutation(samples.train_ids)[: BATCHES * BATCH])
    batches = [(samples.inputs[ids], samples.given[ids]) for ids in drawn.chunk(BATCHES)]
    rivals = {name: monitors.named(name) for name in monitors.NAMES}
    fine: dict[str, list[float]] = {"steps": [], "train": [], "test": [], "validation": []}
    of_tests = []
    for step in evaluations(recipe, len(samples.train_ids)):
        trainer.advance(step)
        network = trainer.network.eval()
        classes, losses = seen_by(network, samples.inputs[train], samples.given[train])
        of_tests.append(seen_by(network, samples.inputs[test], samples.targets[test])[1])
        held_out = seen_by(network, samples.inputs[validation], samples.targets[validation])[1].mean()
        fine["steps"].append(step)
        for name, value in (("train", losses.mean()), ("test", of_tests[-1].mean()), ("validation", held_out)):
            fine[name].append(float(f"{value:.6g}"))
        gradients = monitors.batch_gradients(network, batches)
        for name, what in zip(monitors.NAMES, (held_out, classes, gradients, losses), strict=True):
            rivals[name].observe(step, what)
    least = int(smoothed(np.array(fine["test"])).argmin())
    apart = np.stack(of_tests) - of_tests[least]
    fine["error"] = plain(apart.std(axis=1, ddof=1) / math.sqrt(apart.shape[1]))
    said = {
        name: {"signal": plain(m.signal), "stops_at": m.stops_at, "best": m.best_step} for name, m in rivals.items()
    }
    return {"fine": fine, "rivals": said, "harm": harm_said(fine)}


def evaluations(recipe: Recipe, n_train: int) -> tuple[int, ...]:
    """Return the steps at which the second training is looked at."""
    per_epoch = -(-n_train // recipe.training.batch_size)
    total = per_epoch * recipe.training.epochs
    every = per_epoch if recipe.training.epochs >= 20 else max(1, total // 40)
    return (*range(0, total, every), total)


@torch.no_grad()
def seen_by(network: torch.nn.Module, inputs: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted class and loss of each sample."""
    z = torch.cat([network(part) for part in torch.split(inputs, 500)])
    losses = torch.nn.functional.cross_entropy(z, target, reduction="none")
    return z.argmax(dim=1).numpy(), losses.double().numpy()


def first(found: Iterable[tuple[float, Onset]]) -> dict[str, Any]:
    """Return the first step at which an onset is said, and since when it is said to be."""
    for at, onset in found:
        if onset.found:
            interval = None if onset.interval is None else list(onset.interval)
            return {"said": at, "since": onset.step, "interval": interval}
    return {"said": None, "since": None, "interval": None}


def harm_said(fine: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return when `find_harm` first said harm by the validation losses, which patience sees, too."""
    steps, loss = np.array(fine["steps"], float), np.array(fine["validation"])
    return first((float(steps[n - 1]), find_harm(steps[:n], loss[:n])) for n in range(MIN_STEPS, len(steps) + 1))
