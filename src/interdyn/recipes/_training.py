"""Training that can stop at any checkpoint and resume from disk with the same numbers, bit for bit."""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from interdyn.errors import InterdynError, ModelError, RecipeError
from interdyn.measurement import checked_device
from interdyn.recipes._augmentation import augmented, check_augmentation
from interdyn.recipes._dataset import Samples
from interdyn.recipes._optimiser import optimisers_of, rate_factor
from interdyn.recipes._registry import call_factory, find_model
from interdyn.recipes._schema import AugmentationSection, ModelSection, Recipe, TrainingSection
from interdyn.schedules import apart, too_short, with_near
from interdyn.tracking import load_weights, loss_of, mean_losses, weights_of

_BATCHES = 4  # training batches per forward pass when losses are computed: memory that training showed to suffice


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Return the loss of a regression, whose targets may happen to be 0 and 1 only."""
    return loss_of(output.double(), target)


def log_spaced(total: int, count: int, *, first: int = 1) -> tuple[int, ...]:
    """Return ``count`` steps: 0, and log-spaced ones from ``first`` to ``total``, without duplicates.

    If there are fewer than ``count`` steps, all of them.

    Examples
    --------
    >>> log_spaced(100, 6)
    (0, 1, 3, 10, 32, 100)
    >>> log_spaced(100, 6, first=10)
    (0, 10, 18, 32, 56, 100)
    >>> log_spaced(3, 16)
    (0, 1, 2, 3)
    """
    first = min(first, total)
    kept: list[int] = []
    points = count - 1
    while len(kept) < min(count - 1, total - first + 1):  # neighbours round to one step: use more points
        kept = sorted({round(step) for step in np.geomspace(first, total, points)} if points > 1 else {total})
        points += 1
    while len(kept) > count - 1:  # one point more can add two steps; both ends stay
        kept.pop(-2)
    return (0, *kept)


def measured_steps(recipe: Recipe, total: int) -> tuple[int, ...]:
    """Return all steps at which a recipe measures: log-spaced ones, and the nearby ones of each window.

    Raises
    ------
    RecipeError
        If a window is longer than the training.
    """
    section = recipe.checkpoints
    if why := too_short(section.window, total):
        raise RecipeError(f"{why} For example: --set checkpoints.window=1")
    steps = log_spaced(total, section.count, first=section.first)
    return with_near(apart(steps, section.window, total), section.window, total)


_UNBUILT = (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def build_model(
    section: ModelSection, *, shape: tuple[int, ...], n_outputs: int, seed: int, allow_code: bool = False
) -> nn.Module:
    """Return the network of a recipe with its initial weights; the global random states are left unchanged.

    Raises
    ------
    RecipeError
        If the network or an option is unknown, or it is ``module:factory`` without ``allow_code``.
    ModelError
        If the factory does not return a network.
    """
    factory = find_model(section.name, allow_code=allow_code)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = call_factory(factory, section.options, shape, n_outputs, place="model.options")
        except InterdynError:
            raise
        except (
            ArithmeticError,
            AssertionError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise ModelError(
                f"the model {section.name!r} must be built for inputs of shape {shape} with the options "
                f"{section.options}; got {type(error).__name__}: {error}. Correct `model.options`."
            ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"the model {section.name!r} must be a `torch.nn.Module`; got {type(network).__name__}. "
            "Return a network from the factory."
        )
    return network


def network_of(recipe: Recipe, samples: Samples, *, allow_code: bool) -> nn.Module:
    """Return the network of a recipe with its initial weights, for its samples; see `build_model`."""
    shape, outputs, seed = samples.shape, samples.n_outputs, recipe.training.seed
    return build_model(recipe.model, shape=shape, n_outputs=outputs, seed=seed, allow_code=allow_code)


def total_steps(section: TrainingSection, n_train: int) -> int:
    """Return the number of optimiser steps of the complete training."""
    return section.epochs * math.ceil(n_train / section.batch_size)


class Trainer:
    """A network in training, on the device that the recipe names.

    Parameters
    ----------
    recipe
        What to train and how.
    samples
        The data.
    allow_code
        Whether a network ``module:factory`` may be imported.

    Raises
    ------
    RecipeError
        If the optimiser, label smoothing or augmentation does not suit the network, the data or this PyTorch version.

    Attributes
    ----------
    step
        Optimiser steps done so far.
    network
        The network; do not change it.
    device
        Its device; batches are moved there.
    """

    def __init__(self, recipe: Recipe, samples: Samples, *, allow_code: bool = False) -> None:
        section = recipe.training
        self.step = 0
        self.device = checked_device(section.device or "cpu")
        self.network = network_of(recipe, samples, allow_code=allow_code).to(self.device)
        self._section, self._samples = section, samples
        self._total = total_steps(section, len(samples.train_ids))
        _check_data(section, samples)
        self._optimisers = optimisers_of(self.network, section, n_outputs=samples.n_outputs)
        # dropout and the like draw from the generator of the device
        self._random = {"random": torch.Generator().manual_seed(section.seed).get_state()}
        if self._cuda:
            self._random["random.cuda"] = torch.Generator(self.device).manual_seed(section.seed).get_state()

    def advance(self, to: int, *, on_step: Callable[[int], None] | None = None) -> None:
        """Train until ``to`` optimiser steps are done; the global random states are left unchanged."""
        samples, size = self._samples, self._section.batch_size
        per_epoch = math.ceil(len(samples.train_ids) / size)
        self.network.train()
        with torch.random.fork_rng(devices=self._cuda):
            torch.set_rng_state(self._random["random"])
            for index in self._cuda:
                torch.cuda.set_rng_state(self._random["random.cuda"], index)
            while self.step < to:
                epoch, batch = divmod(self.step, per_epoch)
                order = _order(samples.train_ids, seed=self._section.seed, epoch=epoch)
                for start in islice(range(0, len(order), size), batch, batch + to - self.step):
                    self._update(order[start : start + size])
                    if on_step is not None:
                        on_step(self.step)
            self._random["random"] = torch.get_rng_state()
            for index in self._cuda:
                self._random["random.cuda"] = torch.cuda.get_rng_state(index)

    @property
    def _cuda(self) -> list[int]:
        """The index of the GPU, if it is one."""
        if self.device.type != "cuda":
            return []
        return [torch.cuda.current_device() if self.device.index is None else self.device.index]

    def _update(self, ids: Int[np.ndarray, " batch"]) -> None:
        chosen, section = torch.from_numpy(ids), self._section
        rate = section.learning_rate * rate_factor(section, self.step, self._total)
        for optimiser in self._optimisers.values():
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = rate
        inputs, targets = (x[chosen].to(self.device) for x in (self._samples.inputs, self._samples.given))
        if section.augmentation != AugmentationSection():
            inputs = augmented(inputs, section.augmentation)
        loss = loss_of(self.network(inputs), targets, label_smoothing=section.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self._optimisers.values():
            optimiser.step()
        self.step += 1

    def losses(self, network: Any = None) -> dict[str, float]:
        """Return loss (and accuracy of a classifier) on training and test samples, in eval mode.

        Training losses use the labels given in training, test losses the true ones; of ``network``, by default the one
        in training.

        Raises
        ------
        ModelError
            If the training loss is no longer finite.
        """
        samples = self._samples
        groups = {
            "train": (samples.inputs, samples.given, samples.train_ids),
            "test": (samples.inputs, samples.targets, samples.test_ids),
        }
        rows = _BATCHES * self._section.batch_size
        loss = None if samples.n_classes else _squared_error
        out = mean_losses(self.network if network is None else network, groups, loss=loss, rows=rows)
        if not math.isfinite(out["train_loss"]):
            raise ModelError(
                f"training must keep the loss finite; got {out['train_loss']} at step {self.step}. "
                f"Lower the learning rate: --set training.learning_rate={self._section.learning_rate / 10:g}"
            )
        return out

    def weights(self) -> dict[str, np.ndarray]:
        """Return a copy of parameters and buffers by name."""
        return weights_of(self.network)

    def state(self) -> dict[str, np.ndarray]:
        """Return what resuming needs besides the weights: the optimisers' tensors and the random states."""
        arrays = {name: state.numpy() for name, state in self._random.items()}
        for name, optimiser in self._optimisers.items():
            for index, entries in optimiser.state_dict()["state"].items():
                for key, value in entries.items():
                    if value is not None:
                        arrays[f"{name}.{index}.{key}"] = torch.as_tensor(value).cpu().numpy().copy()
        return arrays

    def restore(self, step: int, weights: Mapping[str, np.ndarray], *, state: Mapping[str, np.ndarray]) -> None:
        """Go back to ``step``, given what `weights` and `state` returned there."""
        load_weights(self.network, weights)
        self._random |= {name: torch.from_numpy(state[name].copy()) for name in self._random if name in state}
        for which, optimiser in self._optimisers.items():
            entries: dict[int, dict[str, Tensor]] = {}
            for name, array in state.items():
                if name.startswith(f"{which}."):
                    _, index, key = name.split(".", 2)
                    entries.setdefault(int(index), {})[key] = torch.from_numpy(array.copy())
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": entries, "param_groups": groups})
        self.step = step


def _check_data(section: TrainingSection, samples: Samples) -> None:
    """Refuse data that a recipe's training options do not allow."""
    if section.label_smoothing and samples.n_classes is None:
        raise RecipeError(
            f"`training.label_smoothing` needs data with classes; got {section.label_smoothing:g} for a regression. "
            "Leave it out: --set training.label_smoothing=0.0"
        )
    tokens = not samples.inputs.is_floating_point()
    check_augmentation(section.augmentation, samples.shape, tokens=tokens)


def _order(ids: Int[np.ndarray, " train"], *, seed: int, epoch: int) -> Int[np.ndarray, " train"]:
    """Return the training samples in the order of one epoch; it depends only on seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(ids)
