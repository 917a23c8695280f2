"""What measuring costs: all of it over the bare forward passes, feature maps over pictures, ours over a plain loop.

Data by INTERDYN_DATA. Networks are trained for some steps first, since an untrained one has other interactions.

Run: ./run bench measuring
"""

import argparse
from functools import partial

import numpy as np
import torch
from torch import nn

from _record import Record, seconds
from interdyn.game import value_table
from interdyn.game._batches import estimated_rows
from interdyn.measurement import Group, measure
from interdyn.recipes import Recipe, Trainer, build_model, load_recipe, load_samples, load_weights
from interdyn.recipes._measuring import choose_groups


def trained(recipe: Recipe, steps: int) -> tuple[nn.Module, Group]:
    """Return the network of a recipe after some steps, and its test samples."""
    samples = load_samples(recipe.data)
    trainer = Trainer(recipe, samples)
    trainer.advance(steps, on_step=lambda _: None)
    seed = recipe.training.seed
    network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=seed)
    load_weights(network, trainer.weights())
    return network.eval(), choose_groups(recipe, samples)[0]


def whole_over_bare(record: Record, title: str, recipe: Recipe, steps: int, repeats: int) -> tuple[nn.Module, Group]:
    """Record `measure` of a group of samples over the bare forward passes of the same masked inputs.

    The bare passes run what the network was given, in the same batches, and nothing else. Where a map inside the
    network is masked, they are those of the part behind it.
    """
    network, group = trained(recipe, steps)
    section, calls = recipe.measure, []
    arguments = {
        "target": group.target,
        "players": group.config.players,
        "feature_mask": group.config.feature_mask,
        "sample_ids": group.sample_ids,
        "baselines": group.config.baselines,
        "layer": section.layer,
        "output": section.output,
    }
    if section.layer is None:
        table = value_table(lambda x: calls.append(x.clone()) or network(x), group.inputs[0], **arguments)
        run = network
    else:  # the masked maps are what the layer gives, once our hook has put them in its place
        table, run = value_table(network, group.inputs[0], **arguments), Behind(network, section.layer)
        with torch.inference_mode():
            shape = Behind.map_of(network, section.layer, group.inputs[0][:1]).shape[1:]
        rows = estimated_rows(4 * int(np.prod(shape)), torch.device("cpu"))
        calls = [torch.randn(min(rows, 1024), *shape)] * int(np.ceil(table.values.numel() / min(rows, 1024)))
    calls = [call for call in calls if len(call) > 2]  # trials before the work starts are no part of it

    def bare() -> None:
        with torch.inference_mode():
            for call in calls:
                run(call)

    whole = seconds(lambda: measure(network, group.inputs[0], tol=section.tol, threads=1, **arguments), repeats=repeats)
    passes, values = seconds(bare, repeats=repeats), seconds(
        lambda: value_table(network, group.inputs[0], **arguments), repeats=repeats
    )  # fmt: skip
    n, batch = table.values.shape[1].bit_length() - 1, len(group)
    record.add(f"{title}: bare forward passes", passes * 1e3, "ms", n=n, batch=batch, dtype="float32")
    record.add(f"{title}: ratio value table / bare passes", values / passes, "times", n=n, batch=batch)
    record.add(f"{title}: ratio whole measure / bare passes", whole / passes, "times", n=n, batch=batch)
    return network, group


class Behind:
    """The part of a sequential network behind one of its layers, run on maps of that layer."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        self._network, self._layer = network, network.get_submodule(layer)
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        self._input = torch.zeros(1, first.in_channels, 32, 32)
        self._before = [m for m in network.modules() if not list(m.children())]
        self._before = self._before[: self._before.index(self._layer)]

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the outputs of maps, with nothing done before the layer."""
        handles = [m.register_forward_pre_hook(lambda _m, given: (given[0][:0],)) for m in self._before]
        handles.append(self._layer.register_forward_hook(lambda _m, _given, _out: maps))
        try:
            return self._network(self._input)
        finally:
            for handle in handles:
                handle.remove()

    @staticmethod
    def map_of(network: nn.Module, layer: str, inputs: torch.Tensor) -> torch.Tensor:
        """Return the map that the layer makes of inputs."""
        seen: list[torch.Tensor] = []
        handle = network.get_submodule(layer).register_forward_hook(lambda _m, _given, out: seen.append(out))
        network(inputs)
        handle.remove()
        return seen[0]


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
    torch.set_num_threads(1)
    record = Record("measuring")
    title = "VGG-11/CIFAR-10"
    for name, recipe, steps, repeats in (
        ("MLP/digits", load_recipe("digits-mlp", overrides=["measure.test_samples=16"]), 2 * options.steps, 7),
        ("CNN/digits", load_recipe("digits-cnn", overrides=["measure.test_samples=16"]), 2 * options.steps, 5),
        ("LeNet/MNIST", load_recipe("lenet-mnist", overrides=["measure.test_samples=16"]), options.steps, 5),
        (
            "encoder-tiny/SST-2",
            load_recipe("encoder-tiny-sst2", overrides=["measure.test_samples=8"]),
            options.steps,
            3,
        ),
        (
            "BERT-Medium/SST-2",
            load_recipe("bert-medium-sst2", overrides=["players.n=10", "measure.test_samples=1"]),
            options.steps // 10,
            1,
        ),
        (
            title,
            load_recipe("vgg11-cifar10", overrides=["model.options.width=1.0", "measure.test_samples=4"]),
            options.steps // 2,
            1,
        ),
    ):
        network, group = whole_over_bare(record, name, recipe, steps, repeats)
    assert group.target is not None
    assert group.config.players is not None

    inputs, target = group.inputs[0][:4], group.target[:4]
    cut = partial(value_table, network, inputs, players=group.config.players, target=target, baselines=0.0)
    whole = seconds(cut, repeats=3)
    split = seconds(partial(cut, layer="features.relu2"), repeats=3)
    record.add(f"{title} table, masks on the picture: the whole network", whole, "s", n=10, batch=4, dtype="float32")
    record.add(f"{title} table, masks on the map of the 2nd ReLU", split, "s", n=10, batch=4, dtype="float32")
    record.add(f"{title} ratio map / picture", split / whole, "", n=10, batch=4, dtype="float32")

    layer = network.get_submodule("features.relu2")
    with torch.no_grad():
        shape = network.get_submodule("features")[: 1 + list(network.features).index(layer)](inputs[:1]).shape
    ids = group.config.players.feature_mask(shape[1:], [0])
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

    record.write()


if __name__ == "__main__":
    main()
