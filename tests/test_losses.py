"""Losses of a network on its groups: those that are meant, or an error that states what to pass."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from interdyn.errors import InputError, ModelError, ShapeError, TargetError
from interdyn.tracking import loss_of, mean_losses

BCE = F.binary_cross_entropy_with_logits


def data(samples=64, features=6):
    x = torch.randn(samples, features, generator=torch.Generator().manual_seed(0))
    return x, torch.arange(samples) % 3


def network(outputs=3, features=6):
    generator, net = torch.Generator().manual_seed(1), nn.Linear(features, outputs)
    with torch.no_grad():
        net.weight.normal_(generator=generator)
        net.bias.normal_(generator=generator)
    return net.requires_grad_(False)


def approx(**numbers):
    return pytest.approx({name: float(number) for name, number in numbers.items()}, rel=1e-6)


def right(scores, labels):
    return (scores.argmax(1) == labels).double().mean()


def test_losses_are_those_of_the_whole_groups_in_eval_mode():
    (x, y), net = data(600), nn.Sequential(nn.Dropout(0.5), network()).train()
    found = mean_losses(net, {"train": (x, y), "test": (x[:5], y[:5])})
    assert net.training
    net.eval()
    assert found == approx(
        train_loss=F.cross_entropy(net(x).double(), y),
        train_accuracy=right(net(x), y),
        test_loss=F.cross_entropy(net(x[:5]).double(), y[:5]),
        test_accuracy=right(net(x[:5]), y[:5]),
    )
    assert mean_losses(net, {"train": (x, y), "test": (x, y, [0, 1, 2, 3, 4])}, rows=2) == pytest.approx(found)
    assert mean_losses(net, {"train": (x, None), "test": (x[:5], y[:5])}).keys() == {"test_loss", "test_accuracy"}


def test_a_single_logit_is_that_of_class_1_against_class_0():
    (x, _), net = data(), network(2)
    y = x[:, 0] > 0
    two = mean_losses(net, {"train": (x, y.long())})
    for one in (lambda x: net(x)[:, 1:] - net(x)[:, :1], lambda x: net(x)[:, 1] - net(x)[:, 0]):
        assert mean_losses(one, {"train": (x, y)}) == pytest.approx(two, rel=1e-6)


@pytest.mark.parametrize("outputs", [1, 4])
def test_values_are_compared_with_outputs_of_their_shape(outputs):
    (x, _), net = data(), network(outputs)
    y = torch.stack([x[:, 0] * x[:, i + 1] for i in range(outputs)], dim=1)
    expected = approx(test_loss=F.mse_loss(net(x).double(), y.double()))
    assert mean_losses(net, {"test": (x, y)}) == expected
    if outputs == 1:  # a column or not is the same, and never n x n numbers
        flat = lambda x: net(x)[:, 0]  # noqa: E731
        for model, target in ((net, y[:, 0]), (flat, y), (flat, y[:, 0])):
            assert mean_losses(model, {"test": (x, target)}) == expected
            assert float(loss_of(model(x), target)) == pytest.approx(expected.expected["test_loss"], rel=1e-6)
    with pytest.raises(ModelError, match=rf"shape \(64, {outputs + 1}\), one row per sample; got \(64, {outputs}\)"):
        mean_losses(net, {"test": (x, torch.cat([y, y[:, :1]], dim=1))})


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_several_labels_per_sample_are_asked_about_and_take_a_given_loss(kind):
    (x, _), net = data(), network()
    y = (x[:, :3] > 0.2).to(kind)
    with pytest.raises(TargetError, match=r"ass loss=torch\.nn\.functional\.binary_cross_entropy_with_logits"):
        mean_losses(net, {"test": (x, y)})
    accuracy = ((net(x) > 0) == y.bool()).double().mean()
    expected = approx(test_loss=BCE(net(x), y.float()), test_accuracy=accuracy)
    for loss in (BCE, nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss(reduction="none"), partial(BCE, reduction="none")):
        assert mean_losses(net, {"test": (x, y)}, loss=loss, rows=10) == expected
    assert mean_losses(net, {"test": (x, y)}, loss=F.mse_loss) == approx(test_loss=F.mse_loss(net(x), y.float()))


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool])
@pytest.mark.parametrize("column", [True, False])
def test_one_label_and_one_logit_take_the_binary_cross_entropy(kind, column):
    (x, _), net = data(), network(1)
    y = (x[:, :1] > 0).to(kind)
    expected = approx(test_loss=BCE(net(x), y.float()), test_accuracy=((net(x) > 0) == y.bool()).double().mean())
    target = y if column else y[:, 0]
    assert mean_losses(net, {"test": (x, target)}, loss=BCE) == expected
    if kind == torch.float32:
        with pytest.raises(TargetError, match=r"got only 0 and 1 in 'test'"):
            mean_losses(net, {"test": (x, target)})
    else:  # labels of two classes: the same number
        assert mean_losses(net, {"test": (x, target)}) == expected


def test_a_given_loss_of_classes_keeps_their_accuracy():
    (x, y), net = data(), network()
    weight = torch.tensor([1.0, 2.0, 0.5])
    found = mean_losses(net, {"train": (x, y)}, loss=nn.CrossEntropyLoss(weight=weight), rows=7)
    assert found == approx(train_loss=F.cross_entropy(net(x), y, weight=weight), train_accuracy=right(net(x), y))
    soft = F.one_hot(y, 3).float()
    assert mean_losses(net, {"train": (x, soft)}, loss=F.cross_entropy) == approx(train_loss=F.cross_entropy(net(x), y))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_inputs_get_the_type_of_the_network(kind):
    (x, y), net = data(), network().to(kind)
    found = mean_losses(net, {"test": (x, y)})
    assert found == approx(
        test_loss=F.cross_entropy(net(x.to(kind)).double(), y), test_accuracy=right(net(x.to(kind)), y)
    )
    assert mean_losses(net, {"test": (x, y)}, loss=F.cross_entropy) == pytest.approx(found, rel=1e-5)
    tokens = nn.Sequential(nn.Embedding(5, 6), nn.Flatten(), nn.Linear(12, 3)).to(kind)
    assert np.isfinite(mean_losses(tokens, {"test": (torch.arange(8).view(4, 2) % 5, y[:4])})["test_loss"])


def test_arrays_are_taken_as_tensors_are():
    (x, y), net = data(), network()
    expected = mean_losses(net, {"test": (x, y)})
    wide = x.numpy().astype(np.float64)
    assert mean_losses(net, {"test": (wide, y.numpy().astype(np.int32))}) == pytest.approx(expected, rel=1e-6)
    assert mean_losses(net, {"test": (wide, y.tolist())}) == pytest.approx(expected, rel=1e-6)
    both = lambda a, b: net(torch.cat([a, b], 1))  # noqa: E731
    assert mean_losses(both, {"test": ((x[:, :2], x[:, 2:].numpy()), y)}) == pytest.approx(expected, rel=1e-6)


X, Y = data()
REFUSED = [
    ({"val": (X, Y)}, InputError, "named 'train' and 'test'; got 'val'"),
    ({"train": (X, Y), "validation": (X, Y)}, InputError, "got 'validation'. Pass held-out samples as 'test'"),
    ({}, InputError, "must be a mapping of samples"),
    ((X, Y), InputError, "must be a mapping of samples"),
    ({"test": DataLoader(TensorDataset(X, Y), batch_size=8)}, InputError, "got a DataLoader. Read it once"),
    ({"test": TensorDataset(X, Y)}, InputError, "got a TensorDataset. Read it once"),
    ({"test": X}, InputError, "must be a pair"),
    ({"test": (X, Y[:5])}, ShapeError, r"got \[64\] inputs and 5 targets"),
    ({"test": (X[:5], Y)}, ShapeError, r"got \[5\] inputs and 64 targets"),
    ({"test": ((X, X[:7]), Y)}, ShapeError, r"got \[64, 7\] inputs and 64 targets"),
    ({"test": (X[:0], Y[:0])}, ShapeError, "at least one; got"),
    ({"test": (X, F.one_hot(Y, 3))}, TargetError, r"must have shape \(samples,\); got \(64, 3\) in 'test'"),
    ({"test": (X, Y - 1)}, TargetError, "must be 0 or more; got -1"),
    ({"test": (X, Y + 1)}, ModelError, "a score for each of 4 classes"),
    ({"test": (["a"] * 64, Y)}, ShapeError, "the inputs of 'test'"),
]


@pytest.mark.parametrize(("groups", "error", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(groups, error, message):
    with pytest.raises(error, match=message):
        mean_losses(network(), groups)


def test_what_can_be_refused_is_refused_before_the_network_runs():
    def never(_x):
        raise AssertionError("the network was run")

    for groups, error, message in REFUSED:
        if error is not ModelError:
            with pytest.raises(error, match=message):
                mean_losses(never, {"train": (X, Y), **groups} if isinstance(groups, dict) and groups else groups)


def test_a_loss_that_cannot_be_used_is_refused():
    net = network()
    with pytest.raises(InputError, match=r"`loss` must be a function of outputs and targets; got 'mse'"):
        mean_losses(net, {"test": (X, Y)}, loss="mse")
    with pytest.raises(InputError, match=r"got a type. Pass torch.nn.functional.mse_loss or torch.nn.MSELoss\(\)"):
        mean_losses(net, {"test": (X, Y)}, loss=nn.BCEWithLogitsLoss)
    with pytest.raises(InputError, match="must return a number, or one per sample; got None"):
        mean_losses(net, {"test": (X, Y)}, loss=lambda _outputs, _targets: None)
    with pytest.raises(ValueError, match="size") as raised:
        mean_losses(net, {"test": (X, Y % 2)}, loss=BCE)
    assert raised.value.__notes__ == [
        "interdyn: `loss` was called with outputs of shape (64, 3) and targets of shape (64,), int64."
    ]


def test_a_network_that_returns_no_row_per_sample_is_refused():
    for model in (lambda x: x.sum(), lambda x: x[:1]):
        with pytest.raises(ModelError, match=r"shape \(64, \.\.\.\), one row per sample"):
            mean_losses(model, {"test": (X, Y)})
    with pytest.raises(ModelError, match="must return a tensor of logits; got str"):
        mean_losses(lambda x: "a", {"test": (X, Y)})  # noqa: ARG005
