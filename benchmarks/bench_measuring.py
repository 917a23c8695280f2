"""What measuring costs: forward passes against all else, feature maps against pictures, ours against a plain loop.

Data by INTERDYN_DATA. Networks are trained for some steps first, since an untrained one has other interactions.

Run: ./run bench measuring
"""

import argparse
from functools import partial
from time import perf_counter

import torch
from torch import nn

from _record import Record, seconds
from interdyn.game import value_table
from interdyn.recipes import Recipe, load_recipe, load_samples
from interdyn.recipes._measuring import Group, choose_groups, measure_group
from interdyn.recipes._training import Trainer, build_model, load_weights


def trained(recipe: Recipe, steps: int) -> tuple[nn.Module, Group]:
    """Return the network of a recipe after some steps, and its test samples."""
    samples = load_samples(recipe.data)
    trainer = Trainer(recipe, samples)
    trainer.advance(steps, on_step=lambda _: None)
    seed = recipe.training.seed
    network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=seed)
    load_weights(network, trainer.weights())
    return network.eval(), choose_groups(recipe, samples)[0]


def share_of_forward(record: Record, title: str, recipe: Recipe, steps: int) -> tuple[nn.Module, Group]:
    """Record how much of the measuring time of one checkpoint is not spent in forward passes."""
    network, group = trained(recipe, steps)
    begun = perf_counter()
    measured = measure_group(network, group, step=steps, section=recipe.measure)
    total, batch = perf_counter() - begun, len(group.inputs)
    forward = measured.seconds["forward"]
    record.add(f"{title} forward passes of a checkpoint", forward, "s", n=10, batch=batch)
    record.add(f"{title} all else", total - forward, "s", n=10, batch=batch)
    record.add(f"{title} share of all else in the whole", (total - forward) / total, "", n=10, batch=batch)
    record.add(f"{title} largest certified gap", float(measured.gap.max()), "", n=10, batch=batch)
    return network, group


def loop_table(
    network: nn.Module, layer: nn.Module, picture: torch.Tensor, target: int, ids: list[list[int]]
) -> list[float]:
    """Return a value table by a loop: each mask is built as lists of pixels of the map and has a pass for itself.

    ``ids`` holds the player of each pixel of the layer's map, -1 for none.
    """
    n = 1 + max(map(max, ids))
    values = []
    for subset in range(2**n):
        present = [subset >> player & 1 for player in range(n)]
        mask = torch.tensor([[1.0 if player < 0 else float(present[player]) for player in row] for row in ids])
        handle = layer.register_forward_hook(lambda _module, _inputs, out, mask=mask: out * mask)
        with torch.no_grad():
            z = network(picture[None])[0].double()
        handle.remove()
        values.append(float(z[target] - torch.cat([z[:target], z[target + 1 :]]).logsumexp(0)))
    return values


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100, help="steps of training")
    options = parser.parse_args()
    record = Record("measuring")
    vgg = load_recipe("vgg11-cifar10", overrides=["model.options.width=1.0", "measure.test_samples=12"])
    title = "VGG-11/CIFAR-10"
    network, group = share_of_forward(record, title, vgg, options.steps)
    assert group.target is not None
    assert group.players is not None

    inputs, target = group.inputs[:4], group.target[:4]
    cut = partial(value_table, network, inputs, players=group.players, target=target, baselines=0.0)
    whole = seconds(cut, repeats=3)
    split = seconds(partial(cut, layer="features.relu2"), repeats=3)
    record.add(f"{title} table, masks on the picture: the whole network", whole, "s", n=10, batch=4, dtype="float32")
    record.add(f"{title} table, masks on the map of the 2nd ReLU", split, "s", n=10, batch=4, dtype="float32")
    record.add(f"{title} ratio map / picture", split / whole, "", n=10, batch=4, dtype="float32")

    layer = network.get_submodule("features.relu2")
    with torch.no_grad():
        shape = network.get_submodule("features")[: 1 + list(network.features).index(layer)](inputs[:1]).shape
    ids = group.players.feature_mask(shape[1:], [0])
    one = partial(
        value_table, network, inputs[:1], feature_mask=ids, target=target[:1], baselines=0.0, layer="features.relu2"
    )
    ours = seconds(one, repeats=3)
    pixels = ids.expand(1, 1, *shape[2:])[0, 0].tolist()
    found: list[list[float]] = []
    loop = seconds(lambda: found.append(loop_table(network, layer, inputs[0], int(target[0]), pixels)), repeats=3)
    difference = (one().values[0] - torch.tensor(found[0], dtype=torch.float64)).abs().max()
    record.add(f"{title} table of one picture, ours", ours, "s", n=10, dtype="float32")
    record.add(f"{title} table of one picture, a loop over masks of lists", loop, "s", n=10, dtype="float32")
    record.add(f"{title} ratio loop / ours", loop / ours, "times", n=10, dtype="float32")
    record.add(f"{title} largest difference of the two tables", float(difference), "", n=10, dtype="float32")

    bert = load_recipe("bert-medium-sst2", overrides=["players.n=10", "measure.test_samples=4"])
    share_of_forward(record, "BERT-Medium/SST-2", bert, options.steps // 10)
    record.write()


if __name__ == "__main__":
    main()
