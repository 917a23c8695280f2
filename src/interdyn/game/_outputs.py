"""What is read from a network's result: which tensor, probabilities as logits, and one scalar per row."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from interdyn.errors import InputError, InputWarning, ModelError, TargetError
from interdyn.game._user_code import Explained, of_function

OutputName: TypeAlias = Literal["log-odds", "logit", "log-probability", "loss", "multi-label", "regression"]
Output: TypeAlias = OutputName | Callable[[Any, Tensor | None], Tensor]
"""Name of a scalar, or a function ``(outputs, targets) -> (batch,)``."""

OutputKey: TypeAlias = str | int | Callable[[Any], Any]
"""Key or index of the part of a network's result that is read, ``"last-token"``, or a function of the raw result."""

UNITS: dict[str, str] = {
    "log-odds": "log-odds",
    "logit": "logit",
    "log-probability": "nats",
    "loss": "nats",
    "multi-label": "log-odds",
    "regression": "output",
}

OF_CLASSES: tuple[OutputName, ...] = ("log-odds", "log-probability", "loss")
"""Those that compare the class of a sample with all others; the target of the others only names what is read."""

LAST_TOKEN = "last-token"
LEAST_OF_OTHERS = 1e-12


def output_for(target: Tensor | None) -> OutputName:
    """Return the scalar read by default: the log-odds of classes, otherwise the output itself.

    Examples
    --------
    >>> output_for(torch.tensor([0, 2])), output_for(torch.tensor([0.7, 12.0])), output_for(None)
    ('log-odds', 'regression', 'regression')
    """
    if target is None:
        return "regression"
    values = target.is_floating_point() and not bool(((target == 0) | (target == 1)).all())
    return "regression" if values else "log-odds"


def scalar_outputs(outputs: Any, targets: Tensor | None, *, output: Output) -> Float64[Tensor, " batch"]:
    r"""Return one number for each row of a network's output.

    With logits ``z`` and target class ``y``, all in float64:

    - ``"log-odds"``: $\log p_y/(1-p_y) = z_y - \log \sum_{c \neq y} e^{z_c}$ (paper, section 2), stable for a
      confident network;
    - ``"logit"``: $z_y$;  ``"log-probability"``: $\log p_y$;  ``"loss"``: $-\log p_y$;
    - ``"multi-label"``: $z_y$, the log-odds of label ``y`` where each output is an independent label;
    - ``"regression"``: the output, column ``y`` if there are several.

    A single logit (shape ``(batch,)`` or ``(batch, 1)``) is that of class 1 against class 0.

    Raises
    ------
    ModelError
        If the output is not a tensor of one or two axes.
    TargetError
        If the target is missing or is not an output.

    Examples
    --------
    >>> scalar_outputs(torch.tensor([[2.0, 0.0], [1e4, 0.0]]), torch.tensor([0, 1]), output="log-odds").tolist()
    [2.0, -10000.0]
    """
    z = getattr(outputs, "logits", outputs)
    if callable(output):
        with Explained(of_function("output", "what the network returns and the targets, (outputs, targets)")):
            out: Any = output(z, targets)
        out = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
        if not isinstance(out, Tensor):
            raise ModelError(
                f"`output` must return a tensor of shape (batch,); got {type(out).__name__}. Return one number for "
                "each row."
            )
        return out.double().reshape(len(out), -1).squeeze(-1) if out.ndim == 2 and out.shape[1] == 1 else out.double()
    if not isinstance(z, Tensor) or z.ndim not in (1, 2):
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        tokens = isinstance(z, Tensor) and z.ndim == 3
        raise ModelError(
            f"the model must return a tensor of shape (batch, classes) or (batch,); got {got}. "
            + ('For the last token of (batch, positions, vocabulary) pass output_key="last-token". ' if tokens else "")
            + "Wrap it in a function, or pass `output` as a function of its result."
        )
    if z.is_complex():
        raise ModelError(f"the model must return real numbers; got {z.dtype}. Return their real part or modulus.")
    z = z.double()
    if output == "regression":
        return _column(z, targets)
    if targets is None:
        raise TargetError(
            f'`target` must name a class for output="{output}"; got None. Pass the label of each sample, or '
            'output="regression".'
        )
    targets = targets.long()
    if output == "multi-label":
        z = z[:, None] if z.ndim == 1 else z
    elif z.ndim == 1 or z.shape[1] == 1:
        _check_range(targets, 2)
        margin = torch.where(targets == 1, z.reshape(-1), -z.reshape(-1))
        z = torch.stack([-margin / 2, margin / 2], dim=1)
        targets = torch.ones_like(targets)
        if output == "logit":
            return margin
    _check_range(targets, z.shape[1])
    chosen = z.gather(1, targets[:, None])[:, 0]
    if output in ("logit", "multi-label"):
        return chosen
    if output == "log-odds":
        others = z.scatter(1, targets[:, None], -torch.inf)
        return chosen - torch.logsumexp(others, dim=1)
    log_probability = chosen - torch.logsumexp(z, dim=1)
    return -log_probability if output == "loss" else log_probability


def _column(z: Tensor, targets: Tensor | None) -> Tensor:
    if z.ndim == 1 or z.shape[1] == 1:
        return z.reshape(-1)
    if targets is None or targets.is_floating_point():
        got = "None" if targets is None else "values"
        raise TargetError(
            f"the model has {z.shape[1]} outputs, so `target` must name one; got {got}. Pass its index, to a tracker "
            "as (x, index)."
        )
    _check_range(targets, z.shape[1])
    return z.gather(1, targets[:, None])[:, 0]


def _check_range(targets: Tensor, classes: int) -> None:
    bad = (targets < 0) | (targets >= classes)
    if bool(bad.any()):
        raise TargetError(
            f"`target` must be in 0..{classes - 1}, as the model has {classes} classes; got {int(targets[bad][0])}. "
            "Pass class indices of this model."
        )


@dataclass(frozen=True)
class Reading:
    r"""How one number per row is read from a network's result.

    Attributes
    ----------
    output, key
        The scalar, and the part of the result it is read from; None: the logits, or the only or first tensor.
    probabilities
        Whether it is turned into logits: ``"softmax"`` by $\log p$, ``"sigmoid"`` by $\log p - \log(1-p)$, each
        output independently.
    least
        Smaller probabilities are set to this: 1.2e-38 for those of torch, 1e-12 for those of other libraries, whose
        zeros are counts.
    """

    output: Output
    key: OutputKey | None = None
    probabilities: Literal["softmax", "sigmoid"] | None = None
    least: float = float(torch.finfo(torch.float32).tiny)

    @classmethod
    def of(cls, output: Any, key: Any) -> "Reading":
        """Return the reading that a caller requests.

        Raises
        ------
        InputError
            If ``output`` or ``key`` is unknown.
        """
        if not callable(output) and not (isinstance(output, str) and output in get_args(OutputName)):
            raise InputError(
                f"`output` must be one of {', '.join(get_args(OutputName))}, or a function (outputs, targets) -> "
                f"(batch,); got {output!r}. Choose one of them."
            )
        if not (key is None or callable(key) or (isinstance(key, str | int) and not isinstance(key, bool))):
            raise InputError(
                f'`output_key` must be a key, an index, "last-token" or a function of the result; got {key!r}. Choose '
                "one."
            )
        return cls(output, key)

    def part(self, result: Any, last: Tensor | None = None) -> Any:
        """Return the tensor that is read; ``last`` is the position of the last token of each row.

        A function ``output`` without a key gets the unchanged result.

        Raises
        ------
        ModelError
            If there is no such part, or it is not a tensor.
        """
        key = None if self.key == LAST_TOKEN else self.key
        if callable(self.output) and self.key is None:
            return getattr(result, "logits", result)
        with Explained(of_function("output_key", "what the network returns")):
            found = key(result) if callable(key) else result if key is None else _entry(result, key)
        z = tensor_in(found)
        if self.key != LAST_TOKEN:
            return z
        if z.ndim != 3:
            raise ModelError(
                'output_key="last-token" needs logits of shape (batch, positions, vocabulary); got '
                f"{tuple(z.shape)}. Leave it out."
            )
        at = torch.full((len(z),), z.shape[1] - 1, device=z.device) if last is None else last.to(z.device)
        return z[torch.arange(len(z), device=z.device), at.clamp(max=z.shape[1] - 1)]

    def scalars(self, part: Any, targets: Tensor | None) -> Tensor:
        """Return one float64 number for each row of the part."""
        return scalar_outputs(self.as_logits(part), targets, output=self.output)

    def as_logits(self, part: Any) -> Any:
        """Return the part with probabilities turned into logits."""
        if self.probabilities is None:
            return part
        p = part.double().clamp(min=self.least)
        if self.probabilities == "softmax":
            return p.log()
        p = p.clamp(max=1 - max(self.least, torch.finfo(part.dtype).eps / 2))
        return p.log() - torch.log1p(-p)


def tensor_in(result: Any) -> Tensor:
    """Return the tensor in a network's result: its logits, its only tensor, or the first of a tuple.

    Raises
    ------
    ModelError
        If it has none, or several by name and none called ``logits``.

    Examples
    --------
    >>> tensor_in({"loss": None, "logits": np.ones(2)}), tensor_in((torch.zeros(1), "more"))
    (tensor([1., 1.], dtype=torch.float64), tensor([0.]))
    """
    if isinstance(result, Tensor):
        return result.dequantize() if result.is_quantized else result
    logits = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
    if logits is not None:
        return tensor_in(logits)
    if isinstance(result, Mapping):
        found = [name for name, value in result.items() if isinstance(value, Tensor | np.ndarray)]
        if len(found) == 1:
            return tensor_in(result[found[0]])
        raise ModelError(
            f"a model that returns several tensors by name must call one of them logits; got "
            f"{', '.join(map(str, found)) or 'none'}. Pass `output_key` with the one to read."
        )
    if isinstance(result, tuple | list):
        tensors = [value for value in result if isinstance(value, Tensor | np.ndarray) and value.ndim]
        if tensors:
            return tensor_in(tensors[0])
    try:
        array = np.asarray(result)
    except (ValueError, TypeError, RuntimeError):
        array = np.asarray("?")
    if array.dtype.kind not in "biuf":
        raise ModelError(
            f"the model must return a tensor of shape (batch, classes) or (batch,); got {type(result).__name__}. Wrap "
            "it in a function, or pass `output_key` with the part to read."
        )
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))


def _entry(result: Any, key: str | int) -> Any:
    """Return the entry of a result at a key or an index."""
    try:
        if isinstance(key, str):
            return result[key] if isinstance(result, Mapping) else getattr(result, key)
        return (list(result.values()) if isinstance(result, Mapping) else result)[key]
    except (KeyError, AttributeError, IndexError, TypeError):
        held = list(result) if isinstance(result, Mapping) else getattr(result, "_fields", None)
        size = f"{len(result)} entries" if isinstance(result, tuple | list) else type(result).__name__
        raise ModelError(
            f"`output_key` must name a part of the model's result; got {key!r} for "
            f"{', '.join(map(str, held)) if held else size}. Choose one of these."
        ) from None


def probabilities_in(part: Any, reading: Reading, last_step: str | None) -> Literal["softmax", "sigmoid"] | None:
    """Return whether rows are probabilities, and of which kind; ``last_step`` is the operation that made them.

    Raises
    ------
    ModelError
        If each output is an independent probability while the scalar needs mutually exclusive classes.
    """
    if callable(reading.output) or reading.output == "regression":
        return None
    if not isinstance(part, Tensor) or part.ndim not in (1, 2) or not part.is_floating_point():
        return None
    p = part.double()
    if not bool(((p >= 0) & (p <= 1)).all()):
        return None
    if p.ndim == 1 or p.shape[1] == 1:
        return "sigmoid" if last_step in ("softmax", "sigmoid") else None
    exact = max(1e-4, 4 * torch.finfo(part.dtype).eps)
    sums = bool(((p.sum(1) - 1).abs() <= exact).all())
    inside = bool(((p > 0) & (p < 1)).all(1).any())
    if sums and (inside or last_step == "softmax"):
        return "sigmoid" if reading.output == "multi-label" else "softmax"
    if last_step != "sigmoid":
        return None
    if reading.output not in ("multi-label", "logit"):
        raise ModelError(
            f'output="{reading.output}" needs mutually exclusive classes; got a network that ends in a sigmoid of '
            f'{p.shape[1]} outputs. Pass output="multi-label" for the log-odds of the label `target` alone, or '
            "`output` as a function (outputs, targets) -> (batch,)."
        )
    return "sigmoid"


def warn_of_probabilities(kind: str, head: str) -> None:
    """Warn that probabilities are read as logits; ``head`` is the layer whose input is read instead, if any."""
    how = {"softmax": "log p", "sigmoid": "log p - log(1 - p)"}[kind]
    done = f"the input of its last layer, {head!r}, is read instead" if head else f"{how} is read as its logits"
    warnings.warn(
        f"the network returns probabilities, not logits; {done}. Return logits to avoid this, or pass `output` as a "
        "function (outputs, targets) -> (batch,) to read the probabilities themselves.",
        InputWarning,
        stacklevel=5,
    )
