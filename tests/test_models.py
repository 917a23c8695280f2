"""Networks of the library: shapes, sizes, independence of rows and padding, the places that the paper masks."""

import pytest
import torch

import interdyn as ix
from interdyn.errors import RecipeError
from interdyn.recipes import build_model
from interdyn.recipes._schema import ModelSection

SMALL = {
    "lenet": ((1, 28, 28), {}),
    "alexnet": ((3, 64, 64), {"width": 0.1, "hidden": 16}),
    "vgg-small": ((1, 28, 28), {"width": 0.25, "hidden": 16}),
    "vgg11": ((3, 32, 32), {"width": 0.06, "hidden": 16}),
    "vgg13": ((3, 32, 32), {"width": 0.06, "hidden": 16, "batch_norm": True}),
    "vgg16": ((3, 40, 40), {"width": 0.06, "hidden": 16}),
    "resnet": ((3, 16, 16), {"width": 4}),
    "dgcnn": ((40, 3), {"k": 5, "widths": [8, 8], "embedding": 16, "hidden": 16, "dropout": 0.0}),
    "vit": ((3, 16, 16), {}),
    "lstm": ((12,), {"vocabulary": 50, "hidden": 16}),
    "gru": ((12, 3), {"hidden": 16, "layers": 2}),
    "encoder": ((12,), {"vocabulary": 50, "size": "tiny"}),
    "bert-tiny": ((12,), {}),
}
READERS = ("lstm", "encoder", "bert-tiny")


def _build(name, shape, n_outputs=3, **options):
    return build_model(ModelSection(name=name, options=options), shape=shape, n_outputs=n_outputs, seed=0).eval()


def _inputs(shape, rows=4):
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        return torch.randint(1, 50, (rows, *shape), generator=generator)
    return torch.randn(rows, *shape, generator=generator)


def _parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_rows_have_outputs_of_their_own(name):
    shape, options = SMALL[name]
    network, x = _build(name, shape, **options), _inputs(shape)
    with torch.inference_mode():
        out = network(x)
        alone = torch.cat([network(row[None]) for row in x])
    assert out.shape == (4, 3)
    assert out.std(0).min() > 0
    torch.testing.assert_close(alone, out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_is_the_network_and_every_weight_learns(name):
    shape, options = SMALL[name]
    one, two = _build(name, shape, **options), _build(name, shape, **options)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    torch.nn.functional.cross_entropy(one.train()(_inputs(shape, 16)), torch.arange(16) % 3).backward()
    idle = [n for n, p in one.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert [n for n in idle if "key.bias" not in n] == []  # a bias of all keys moves no softmax


@pytest.mark.parametrize("name", SMALL)
def test_a_small_rule_is_learned(name):
    shape, options = SMALL[name]
    torch.manual_seed(0)  # dropout
    network, x = _build(name, shape, **options).train(), _inputs(shape, 12)
    labels = torch.arange(12) % 3
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(200):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        optimiser.step()
        if loss.item() < 0.4:
            return
    pytest.fail(f"loss {loss.item():.2f} after 200 steps")


@pytest.mark.parametrize(
    ("name", "shape", "n_outputs", "options", "published"),
    [
        ("vgg11", (3, 224, 224), 1000, {"hidden": 4096}, 132_863_336),
        ("vgg13", (3, 224, 224), 1000, {"hidden": 4096}, 133_047_848),
        ("vgg16", (3, 224, 224), 1000, {"hidden": 4096}, 138_357_544),
        ("alexnet", (3, 224, 224), 1000, {"hidden": 4096}, 61_100_840),
        ("lenet", (1, 28, 28), 10, {}, 61_706),
        ("bert-tiny", (32,), 2, {}, 4_386_178),
        ("bert-medium", (32,), 2, {}, 41_374_210),
        ("resnet", (3, 32, 32), 10, {"depth": 20}, 272_474),  # 0.27 million there
    ],
)
def test_sizes_are_the_published_ones(name, shape, n_outputs, options, published):
    with torch.device("meta"):
        network = build_model(ModelSection(name=name, options=options), shape=shape, n_outputs=n_outputs, seed=0)
    assert _parameters(network) == published


@pytest.mark.parametrize("name", READERS)
def test_padding_changes_nothing(name):
    shape, options = SMALL[name]
    network, x = _build(name, shape, **options), _inputs(shape)
    x[:, 7:] = 0
    network.zero_grad()
    with torch.inference_mode():
        first = network(x)
        if name == "lstm":
            torch.testing.assert_close(network(x[:, :7]), first)
        else:
            reader = (
                network.network.bert.embeddings.word_embeddings if name == "bert-tiny" else network.reader.embedding
            )
            reader.weight[0] += 1.0  # whatever stands for padding
            torch.testing.assert_close(network(x), first)


def test_dgcnn_does_not_see_the_order_of_points():
    shape, options = SMALL["dgcnn"]
    network, x = _build("dgcnn", shape, **options), _inputs(shape)
    with torch.inference_mode():
        torch.testing.assert_close(network(x[:, torch.randperm(40)]), network(x), rtol=1e-4, atol=1e-5)


def test_edges_are_those_of_the_definition():
    from interdyn_zoo.models.dgcnn import _EdgeConv

    torch.manual_seed(0)
    layer, x = _EdgeConv(3, 4, 5).eval(), torch.randn(2, 9, 3)
    with torch.inference_mode():
        out = layer(x)
        for b in range(2):
            for i in range(9):
                near = (x[b] - x[b, i]).norm(dim=1).topk(5, largest=False).indices
                edges = layer.own(x[b, i]) + layer.other(x[b, near] - x[b, i])
                wanted = torch.nn.functional.leaky_relu(layer.norm(edges), 0.2).amax(0)
                torch.testing.assert_close(out[b, i], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [(name, "features.relu2") for name in ("vgg-small", "vgg11", "vgg13", "vgg16")] + [("alexnet", "features.relu1")],
)
def test_the_papers_place_is_masked_as_in_the_unsplit_network_with_the_part_before_run_once(name, layer):
    shape, options = SMALL[name]
    network, x = _build(name, shape, **options).double(), _inputs(shape, 2).double()
    players = ix.players.patches(8, 8).central(6, 6).choose(4, seed=0)
    table = ix.value_table(network, x, target=1, players=players, layer=layer, baselines=0.0, output="logit")
    assert table.provenance["layer_method"] == "remembered"
    masked = network.get_submodule(layer)
    with torch.inference_mode():
        height, width = network.features[: 1 + list(network.features).index(masked)](x).shape[2:]
        cells = players.feature_mask((1, height, width), range(2))
        for subset in range(16):
            present = torch.tensor([bool(subset >> player & 1) for player in range(4)] + [True])  # -1, the last: others
            handle = masked.register_forward_hook(lambda _m, _x, out, keep=present[cells]: out * keep)
            expected = network(x)[:, 1]  # the whole network on every row
            handle.remove()
            torch.testing.assert_close(table.values[:, subset], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "shape", "sizes"),
    [
        ("vit", (3, 16, 16), ("tiny", "small", "base")),
        ("encoder", (12,), ("tiny", "small", "medium")),
    ],
)
def test_three_sizes(name, shape, sizes):
    networks = [_build(name, shape, size=size) for size in sizes]
    parameters = [sum(p.numel() for n, p in net.named_parameters() if "encoder" in n) for net in networks]
    assert parameters == sorted(parameters)
    assert parameters[2] > 2 * parameters[1] > 4 * parameters[0]
    with torch.inference_mode():
        assert all(network(_inputs(shape)).shape == (4, 3) for network in networks)


TRANSFORMERS = ("vit", "encoder", "bert-tiny", "bert-medium")


def _transformer(name, **options):
    shape, own = SMALL.get(name, ((12,), {"layers": 1}))
    return _build(name, shape, **own, **options)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_starts_from_the_spread_that_is_asked_for(name):
    network, norms = _transformer(name, init_std=0.15), 0
    for module in network.modules():
        for part, weight in module.named_parameters(recurse=False):  # its own
            weight = weight.detach()
            if isinstance(module, torch.nn.LayerNorm):
                norms += 1
                assert bool((weight == (part == "weight")).all())
            elif weight.ndim == 1:
                assert not weight.any(), (module, part)
            else:
                assert float(weight.mean().abs()) < 0.6 / weight.numel() ** 0.5
                assert float(weight.std()) == pytest.approx(0.15, rel=3 / weight.numel() ** 0.5), (module, part)
    assert norms >= 4


@pytest.mark.parametrize(("name", "first"), [("vit", 0.0457768), ("encoder", 0.0689812)])
def test_without_one_it_starts_as_before_there_was_such_an_option(name, first):
    assert _transformer(name).classifier.weight[0, 0].item() == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("init_std", [0.0, -0.1, float("inf"), float("nan")])
def test_a_spread_must_be_above_0(name, init_std):
    with pytest.raises(RecipeError, match=r"`model.options.init_std`.* must be a|`model.options.init_std` must be of"):
        _transformer(name, init_std=init_std)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("vgg16", (10,), {}, "needs images"),
        ("alexnet", (3, 16, 16), {}, "at least 32 pixels"),
        ("lenet", (1, 8, 8), {}, "at least 16 pixels"),
        ("resnet", (3, 32, 32), {"depth": 9}, "must be 8, 14, 20"),
        ("dgcnn", (10, 3), {}, "at least k = 20 points"),
        ("dgcnn", (100, 2), {}, "clouds"),
        ("vit", (3, 30, 32), {}, "must divide"),
        ("vit", (3, 32, 32), {"size": "huge"}, "one of tiny, small, base"),
        ("encoder", (12,), {"size": "huge"}, "one of tiny, small, medium"),
        ("gru", (3, 32, 32), {}, "needs tokens"),
        ("bert-tiny", (12, 3), {}, "needs tokens"),
    ],
)
def test_inputs_that_do_not_fit(name, shape, options, message):
    with pytest.raises(RecipeError, match=message):
        _build(name, shape, **options)
