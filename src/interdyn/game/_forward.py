"""One forward pass of some rows: what a caller hands in, and the scalar that is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import InputError, InterdynError, ModelError, ShapeError, TargetError
from interdyn.game._batches import WidestArray

OutputName: TypeAlias = Literal["log-odds", "logit", "log-probability", "loss", "regression"]
Output: TypeAlias = OutputName | Callable[[Tensor, Tensor | None], Tensor]
"""Name of a scalar, or a function ``(outputs, targets) -> (batch,)``."""

UNITS: dict[str, str] = {
    "log-odds": "log-odds",
    "logit": "logit",
    "log-probability": "nats",
    "loss": "nats",
    "regression": "output",
}


def scalar_outputs(outputs: Any, targets: Tensor | None, *, output: Output) -> Float64[Tensor, " batch"]:
    r"""Return one number for each row of a network's output.

    With logits ``z`` and target class ``y``, all in float64:

    - ``"log-odds"``: $\log p_y/(1-p_y) = z_y - \log \sum_{c \neq y} e^{z_c}$ (paper, section 2), stable for a certain
    network;
    - ``"logit"``: $z_y$;  ``"log-probability"``: $\log p_y$;  ``"loss"``: $-\log p_y$;
    - ``"regression"``: the output, of column ``y`` where there are several.

    A single logit (shape ``(batch,)`` or ``(batch, 1)``) is that of class 1 against class 0.

    Raises
    ------
    ModelError
        If the output is not a tensor of one or two axes.
    TargetError
        If the target is missing or names no output.

    Examples
    --------
    >>> scalar_outputs(torch.tensor([[2.0, 0.0], [1e4, 0.0]]), torch.tensor([0, 1]), output="log-odds").tolist()
    [2.0, -10000.0]
    """
    z = getattr(outputs, "logits", outputs)
    if callable(output):
        out = output(z, targets)
        if not isinstance(out, Tensor):
            raise ModelError(f"`output` must return a tensor of shape (batch,); got {type(out).__name__}.")
        return out.double().reshape(len(out), -1).squeeze(-1) if out.ndim == 2 and out.shape[1] == 1 else out.double()
    if not isinstance(z, Tensor) or z.ndim not in (1, 2):
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise ModelError(
            f"the model must return a tensor of shape (batch, classes) or (batch,); got {got}. "
            "Wrap it in a function, or pass `output` as a function of its result."
        )
    z = z.double()
    if output == "regression":
        return _column(z, targets)
    if targets is None:
        raise TargetError(f'`target` must name a class for output="{output}"; got None. Pass the label of each sample.')
    if z.ndim == 1 or z.shape[1] == 1:
        _check_range(targets, 2)
        margin = torch.where(targets == 1, z.reshape(-1), -z.reshape(-1))
        z = torch.stack([-margin / 2, margin / 2], dim=1)
        targets = torch.ones_like(targets)
        if output == "logit":
            return margin
    _check_range(targets, z.shape[1])
    chosen = z.gather(1, targets[:, None])[:, 0]
    if output == "logit":
        return chosen
    if output == "log-odds":
        others = z.scatter(1, targets[:, None], -torch.inf)
        return chosen - torch.logsumexp(others, dim=1)
    log_probability = chosen - torch.logsumexp(z, dim=1)
    return -log_probability if output == "loss" else log_probability


def _column(z: Tensor, targets: Tensor | None) -> Tensor:
    if z.ndim == 1 or z.shape[1] == 1:
        return z.reshape(-1)
    if targets is None:
        raise TargetError(f"the model has {z.shape[1]} outputs, so `target` must name one; got None. Pass its index.")
    _check_range(targets, z.shape[1])
    return z.gather(1, targets[:, None])[:, 0]


def _check_range(targets: Tensor, classes: int) -> None:
    bad = (targets < 0) | (targets >= classes)
    if bool(bad.any()):
        raise TargetError(
            f"`target` must lie in 0..{classes - 1}, as the model has {classes} classes; got {int(targets[bad][0])}. "
            "Pass class indices of this model."
        )


@dataclass(frozen=True)
class Forward:
    """A model with its further arguments, its targets and the scalar that is read from its output."""

    model: Model
    arguments: tuple[Any, ...]
    targets: Tensor | None  # (samples,)
    output: Output
    samples: int

    @classmethod
    def of(
        cls, model: Model, inputs: Any, target: Any, output: Output, arguments: Any
    ) -> "tuple[Forward, tuple[Tensor, ...]]":
        """Return the forward pass that a caller asks for, checked, and its inputs where the model is."""
        if not callable(output) and output not in get_args(OutputName):
            raise InputError(
                f"`output` must be one of {', '.join(get_args(OutputName))}, or a function (outputs, targets) -> "
                f"(batch,); got {output!r}. Choose one of them."
            )
        tensors = _at_home(model, _checked_inputs(inputs))
        samples, device = len(tensors[0]), tensors[0].device
        given = arguments if isinstance(arguments, tuple) else () if arguments is None else (arguments,)
        arguments = tuple(a.to(device) if isinstance(a, Tensor) else a for a in given)
        return cls(model, arguments, _checked_targets(target, samples, device), output, samples), tensors

    def follow(self, sample: Tensor) -> list[Any]:
        """Return the further arguments for rows of the given samples."""
        return [a[sample] if isinstance(a, Tensor) and a.ndim and len(a) == self.samples else a for a in self.arguments]

    def __call__(self, inputs: Sequence[Tensor], sample: Tensor) -> Tensor:
        """Return one float64 number for each row; ``sample`` is the sample of each row.

        Raises
        ------
        ModelError, TargetError
            If the model does not return one row for each input, or has no such output.
        """
        return self._read(self.model(*inputs, *self.follow(sample)), sample)

    def _read(self, outputs: Any, sample: Tensor) -> Tensor:
        targets = None if self.targets is None else self.targets[sample]
        values = scalar_outputs(outputs, targets, output=self.output)
        if values.shape != (len(sample),):
            raise ModelError(
                f"the model must return one row for each input; got {tuple(values.shape)} for {len(sample)} inputs. "
                "Check that dim 0 of its output is the batch."
            )
        return values

    def try_out(self, inputs: tuple[Tensor, ...]) -> int:
        """Run two unmasked rows, so that a wrong target or model shows before the work starts.

        Two, because a model that ignores its batch shows only then; those of the least and the greatest target. Returns
        the bytes of the widest array that one row makes, or of the row itself.

        Raises
        ------
        ModelError
            If the model fails on them, as one for pictures of another size does.
        """
        rows = torch.tensor([0, self.samples - 1], device=inputs[0].device)
        if self.targets is not None:
            rows = torch.stack([self.targets.argmin(), self.targets.argmax()])
        with WidestArray() as widest:
            chosen = [x[rows] for x in inputs]
            try:
                outputs = self.model(*chosen, *self.follow(rows))
            except (InterdynError, torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:
                shapes = " and ".join(f"{tuple(x.shape[1:])} ({str(x.dtype).removeprefix('torch.')})" for x in inputs)
                raise ModelError(
                    f"the model must take inputs of shape {shapes}; got {type(error).__name__}: {error}. Pass samples "
                    "of the size, channels and type it was trained on."
                ) from error
            self._read(outputs, rows)
        return max(int(widest.bytes) // 2, sum(x[:1].numel() * x.element_size() for x in inputs))


def _checked_inputs(inputs: Any) -> tuple[Tensor, ...]:
    """Return the inputs as a tuple of tensors of one or more samples each.

    Raises
    ------
    ShapeError
        If one is no tensor, or the numbers of samples differ or are 0.
    """
    tensors = inputs if isinstance(inputs, tuple) else (inputs,)
    for x in tensors:
        if not isinstance(x, Tensor) or x.ndim < 1:
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"`inputs` must be tensors with samples along dim 0; got {got}. Pass torch tensors.")
    lengths = {len(x) for x in tensors}
    if len(lengths) != 1 or not lengths.pop():
        raise ShapeError(
            f"`inputs` must hold the same number of samples, one or more; got {[len(x) for x in tensors]}."
        )
    return tuple(x.detach() for x in tensors)


def _checked_targets(target: Any, samples: int, device: torch.device) -> Tensor | None:
    """Return the target of each sample, shape ``(samples,)``.

    Raises
    ------
    TargetError
        If targets are not whole numbers, one for all or one for each.
    """
    if target is None:
        return None
    out = torch.as_tensor(target)
    if out.is_floating_point() or out.is_complex() or out.ndim > 1 or (out.ndim == 1 and len(out) not in (1, samples)):
        raise TargetError(
            f"`target` must be one class index, or one for each of {samples} samples; got {out.dtype} of shape "
            f"{tuple(out.shape)}. Pass labels as whole numbers."
        )
    return out.long().expand(samples).to(device)


def _at_home(model: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the inputs on a module's device and, those of floating point, in its type; of its first such parameter."""
    if isinstance(model, torch.nn.Module):
        for parameter in model.parameters():
            if parameter.is_floating_point():
                dtype = parameter.dtype
                return tuple(x.to(parameter.device, dtype if x.is_floating_point() else None) for x in inputs)
    return tuple(x.to(inputs[0].device) for x in inputs)
