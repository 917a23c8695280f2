"""From a network's output to the scalar whose table is explained."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from interdyn.errors import InputError, ModelError, TargetError

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


def check_output(output: Any) -> None:
    """Refuse an unknown name of an output."""
    if not callable(output) and output not in get_args(OutputName):
        raise InputError(
            f"`output` must be one of {', '.join(get_args(OutputName))}, or a function (outputs, targets) -> (batch,); "
            f"got {output!r}. Choose one of them."
        )


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
