"""Losses and accuracies of a network on groups of samples, as trackers and recipes record them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from interdyn._arguments import told, whole
from interdyn.errors import InputError, ModelError, ShapeError, TargetError
from interdyn.game import Explained, Samples, at_home, bare, isolated, tensor_of

_ROWS = 256
_GROUPS = ("train", "test")
_PASS = "Pass {'train': (x, y), 'test': (x_test, y_test)}."

Loss = Callable[[Tensor, Tensor], Any]
_WITH_LOGITS = nn.functional.binary_cross_entropy_with_logits


class _Group(NamedTuple):
    """Samples with their targets, and which of them count."""

    inputs: tuple[Tensor, ...]
    target: Tensor
    chosen: Tensor


def mean_losses(
    network: Any, groups: Mapping[str, Any], *, loss: Loss | None = None, rows: int = _ROWS
) -> dict[str, float]:
    """Return the loss, and the accuracy of a classifier, on the groups ``train`` and ``test``, in eval mode.

    Parameters
    ----------
    network
        The network; its device and state are unchanged.
    groups
        ``"train"``, ``"test"`` or both, each to ``(inputs, targets)``, or to ``(inputs, targets, ids)`` to use only
        some samples. Inputs are a tensor or array of shape ``(samples, ...)``, or a tuple of these that are passed
        together; floating-point inputs get the type of the network's parameters. Targets are class labels, integers or
        booleans of shape ``(samples,)``, or floating-point values of the shape of the output; ``(samples,)`` and
        ``(samples, 1)`` are the same. A group whose targets are None is ignored.
    loss
        Called once per group as ``loss(outputs, targets)``, with tensors on the network's device, at least float32;
        returns the mean or a number for each sample. Targets that are 0 or 1 and fit the outputs get their shape and
        type. For several labels per sample, or one label as 0.0 and 1.0, pass
        ``torch.nn.functional.binary_cross_entropy_with_logits``. By default the cross-entropy of class labels (of a
        single output: the logit of class 1), or the squared error of values.
    rows
        Samples per forward pass.

    Returns
    -------
    dict[str, float]
        ``train_loss``, ``test_loss``: the mean over samples (and outputs), in nats, the squared unit of the output, or
        the unit of ``loss``. ``train_accuracy``, ``test_accuracy``: the share of samples whose label has the highest
        score; with binary cross-entropy, the share of labels on the right side of logit 0; absent otherwise.

    Raises
    ------
    InputError
        If a group has another name or is a data set or loader, or ``loss`` returns no number.
    ShapeError
        If there is not one target for each input, or no sample.
    TargetError
        If labels have more than one column, or floating-point targets are all 0 or 1, and no ``loss`` is given.
    ModelError
        If the network does not return one row for each sample, of the shape of its targets or with a score per class.

    Examples
    --------
    >>> network = nn.Linear(2, 2)
    >>> _ = nn.init.zeros_(network.weight), nn.init.zeros_(network.bias)
    >>> losses = mean_losses(network, {"test": (torch.ones(3, 2), torch.tensor([0, 1, 1]))})
    >>> {name: round(number, 3) for name, number in losses.items()}
    {'test_accuracy': 0.333, 'test_loss': 0.693}
    """
    if loss is not None and (not callable(loss) or isinstance(loss, type)):
        raise InputError(
            f"`loss` must be a function of outputs and targets; got {told(loss)}. Pass torch.nn.functional.mse_loss or "
            "torch.nn.MSELoss(), for example."
        )
    rows = whole(rows, "rows", least=1, do=f"Leave it at {_ROWS}.")
    checked = {name: _checked(name, group) for name, group in _named(groups).items()}
    if loss is None:
        for name, group in checked.items():
            _refuse_unclear(name, group.target)
    out = {}
    for name, group in checked.items():
        output = _outputs(network, group, rows)
        target = group.target[group.chosen.to(group.target.device)].to(output.device)
        found, accuracy = _usual(output, target) if loss is None else _given(loss, output, target)
        if accuracy is not None:
            out[f"{name}_accuracy"] = accuracy
        out[f"{name}_loss"] = found
    return out


def _named(groups: Any) -> dict[str, Any]:
    """Return the groups that have targets."""
    if not isinstance(groups, Mapping) or not groups:
        raise InputError(f"`groups` must be a mapping of samples; got {told(groups)}. {_PASS}")
    if others := [name for name in groups if name not in _GROUPS]:
        raise InputError(
            f"`groups` must be named 'train' and 'test'; got {told(others[0])}. Pass held-out samples as 'test'."
        )
    return {name: groups[name] for name in _GROUPS if name in groups and not _without_targets(groups[name])}


def _without_targets(group: Any) -> bool:
    return isinstance(group, tuple | list) and len(group) in (2, 3) and group[1] is None


def _checked(name: str, group: Any) -> _Group:
    """Return a group as tensors with labels of shape ``(samples,)``."""
    if isinstance(group, DataLoader | Dataset):
        raise InputError(
            f"group {name!r} must be a pair of tensors, (inputs, targets); got a {type(group).__name__}. Read it once, "
            "before training: x, y = next(iter(torch.utils.data.DataLoader(data_set, batch_size=1000)))."
        )
    if not isinstance(group, tuple | list) or len(group) not in (2, 3):
        raise InputError(f"group {name!r} must be a pair (inputs, targets); got {told(group)}. {_PASS}")
    given = group[0] if isinstance(group[0], tuple) else (group[0],)
    inputs = tuple(tensor_of(x, f"the inputs of {name!r}") for x in given)
    target = tensor_of(group[1], f"the targets of {name!r}")
    counts = [len(x) if x.ndim else 0 for x in inputs]
    found = len(target) if target.ndim else 0
    if not counts or {*counts} != {found} or not found:
        raise ShapeError(
            f"group {name!r} must have one target for each input, and at least one; got {counts or 'no'} inputs and "
            f"{found} targets. Pass the same number of each."
        )
    if not target.is_floating_point() and target.ndim == 2 and target.shape[1] == 1:
        target = target[:, 0]
    chosen = torch.as_tensor(group[2]) if len(group) == 3 else torch.arange(found)
    return _Group(inputs, target, chosen)


def _refuse_unclear(name: str, target: Tensor) -> None:
    """Refuse targets that do not state which loss is meant."""
    if target.is_floating_point():
        if _binary(target):
            raise TargetError(
                f"floating-point targets without `loss` must be values; got only 0 and 1 in {name!r}, which may be "
                "labels. Pass loss=torch.nn.functional.binary_cross_entropy_with_logits for labels, or "
                "loss=torch.nn.functional.mse_loss for values."
            )
    elif target.ndim > 1:
        raise TargetError(
            f"class labels must have shape (samples,); got {tuple(target.shape)} in {name!r}. For several labels per "
            "sample pass loss=torch.nn.functional.binary_cross_entropy_with_logits."
        )
    elif int(target.min()) < 0:
        raise TargetError(f"class labels must be 0 or more; got {int(target.min())} in {name!r}. Count them from 0.")


def _binary(target: Tensor) -> bool:
    return bool(((target == 0) | (target == 1)).all())


def _outputs(network: Any, group: _Group, rows: int) -> Tensor:
    """Return the network's outputs, a row for each chosen sample."""
    module = bare(network) if isinstance(network, nn.Module) else None
    parts = []
    with isolated(network) as private:
        for part in torch.split(group.chosen, rows):
            given = Samples(tuple(x[part.to(x.device)] for x in group.inputs))
            parts.append(_logits(private(*at_home(module, given)), len(part)))
    return torch.cat(parts)


def _logits(output: Any, count: int) -> Tensor:
    found = getattr(output, "logits", output)
    if not isinstance(found, Tensor):
        raise ModelError(f"the network must return a tensor of logits; got {type(output).__name__}. Wrap it.")
    if found.ndim < 1 or len(found) != count:
        raise _wrong_rows(f"({count}, ...)", found)
    return found.detach()


def _wrong_rows(wanted: str, output: Tensor) -> ModelError:
    return ModelError(
        f"the network must return an output of shape {wanted}, one row per sample; got {tuple(output.shape)}. "
        "Correct its `forward`."
    )


def _usual(output: Tensor, target: Tensor) -> tuple[float, float | None]:
    """Return cross-entropy and accuracy of class labels, or the squared error of values."""
    output, accuracy = output.double(), None
    if not target.is_floating_point():
        target = target.long()
        output = _scores(output, int(target.max()) + 1)
        accuracy = float((output.argmax(dim=-1) == target).double().mean())
    return float(loss_of(output, target)), accuracy


def _given(loss: Loss, output: Tensor, target: Tensor) -> tuple[float, float | None]:
    """Return what a given loss finds, and the accuracy of class labels and of labels for logits."""
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    same = _without_column(output) == _without_column(target)
    labels = target.long() if target.dtype == torch.bool else target
    if same and (target.is_floating_point() or _binary(target)):
        target = target.reshape(output.shape).to(output.dtype)
    else:
        target = labels
    given = (
        f"`loss` was called with outputs of shape {tuple(output.shape)} and targets of shape {tuple(target.shape)}, "
        f"{str(target.dtype).removeprefix('torch.')}."
    )
    with Explained(lambda _: given):
        found = loss(output, target)
    try:
        mean = float(torch.as_tensor(found).double().mean())
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"`loss` must return a number, or one per sample; got {told(found)}. Pass "
            "torch.nn.functional.mse_loss, for example."
        ) from None
    if not labels.is_floating_point() and labels.ndim == 1 and output.ndim == 2 and output.shape[1] > 1:
        return mean, float((output.argmax(dim=-1) == labels).double().mean())
    if same and _takes_logits(loss) and _binary(target):
        return mean, float(((output > 0) == (target > 0)).double().mean())
    return mean, None


def _takes_logits(loss: Loss) -> bool:
    """Return whether a loss is the binary cross-entropy of logits."""
    while isinstance(loss, partial):
        loss = loss.func
    return loss is _WITH_LOGITS or isinstance(loss, nn.BCEWithLogitsLoss)


def _without_column(x: Tensor) -> tuple[int, ...]:
    """Return a shape, ``(samples,)`` for ``(samples, 1)``."""
    return tuple(x.shape[:1] if x.ndim == 2 and x.shape[1] == 1 else x.shape)


def _scores(output: Tensor, classes: int) -> Tensor:
    """Return a score for each class; a single logit is that of class 1 against class 0."""
    single = output.reshape(-1, 1) if output.ndim == 1 or output.shape[1:] == (1,) else None
    scores = output if single is None else torch.cat([torch.zeros_like(single), single], dim=1)
    if scores.ndim != 2 or scores.shape[1] < classes:
        raise ModelError(
            f"the network must return a score for each of {classes} classes; got an output of shape "
            f"{tuple(output.shape)}. Correct its `forward`."
        )
    return scores


def loss_of(output: Tensor, target: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of classes, or the mean squared error of other targets; differentiable.

    ``label_smoothing`` is the share of each class's target that is spread over all classes (Szegedy et al., 2016,
    section 7), as in `torch.nn.functional.cross_entropy`.

    Raises
    ------
    ModelError
        If there is not one row per sample, with an entry for each class, or of the shape of the target; ``(samples,)``
        and ``(samples, 1)`` are the same.

    Examples
    --------
    >>> loss_of(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """
    if not target.is_floating_point():
        if output.ndim != 2 or output.shape[:1] != target.shape:
            raise _wrong_rows(f"({len(target)}, classes)", output)
        return nn.functional.cross_entropy(output, target, label_smoothing=label_smoothing)
    if _without_column(output) != _without_column(target):
        raise _wrong_rows(str(tuple(target.shape)), output)
    return nn.functional.mse_loss(output, target.reshape(output.shape).to(output.dtype))
