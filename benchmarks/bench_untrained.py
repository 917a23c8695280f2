"""The mean order of untrained networks, which is near 1 where ties go to the lower order: they are nearly additive.

As their recipes say, at step 0, on 12 test samples: the salient strength, as everywhere, and all of it.

Run: ./run bench untrained (needs INTERDYN_DATA)
"""

import numpy as np
import torch

from _record import Record
from interdyn.measurement import interactions, recorded
from interdyn.recipes import build_model, load_recipe, load_samples
from interdyn.recipes._measuring import choose_groups
from interdyn.spectra import order_spectrum
from interdyn.values import orders

RECIPES = ("bert-tiny-sst2", "vit-tiny-cifar10", "resnet-cifar10")


def main() -> None:
    """Measure and record."""
    record = Record("untrained")
    for name in RECIPES:
        few = ("measure.test_samples=12", "measure.mislabelled_samples=0")
        recipe = load_recipe(name, overrides=few)
        samples = load_samples(recipe.data)
        network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=recipe.training.seed)
        group = choose_groups(recipe, samples)[0]
        found = interactions(recorded(network, group, step=0))
        rule = {key: getattr(recipe.analysis, key) for key in ("salience", "salience_rule")}
        salient = order_spectrum(found, **rule).strength.mean(0)
        strength = (found.i_and.abs() + found.i_or.abs())[:, 1:]
        each = strength @ torch.tensor(orders(found.n_players)[1:].tolist(), dtype=torch.float64) / strength.sum(-1)
        n = found.n_players
        record.add(f"{name}: mean order, salient", float(salient @ np.arange(1, n + 1) / salient.sum()), "", n=n)
        record.add(f"{name}: mean order, all interactions", float(each.mean()), "", n=n)
    record.write()


if __name__ == "__main__":
    main()
