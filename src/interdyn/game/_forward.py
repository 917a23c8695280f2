"""One forward pass of some rows, without side effects on the model: how it is called, and which scalar is read."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import InputError, ModelError
from interdyn.game._isolation import bare
from interdyn.game._outputs import LAST_TOKEN, OF_CLASSES, Output, OutputKey, Reading
from interdyn.game._samples import Inputs, Samples, labels_of, samples_of
from interdyn.game._user_code import Explained, of_model

_MULTI = "multi_label_classification"


class Style(NamedTuple):
    """How a model takes its inputs: as NumPy arrays or tensors; named ones by keyword, or in one mapping."""

    numpy: bool = False
    mapping: bool = False


@dataclass(frozen=True)
class Forward:
    """A model with everything it takes besides the masked inputs, its targets and the scalar read from its output.

    Attributes
    ----------
    model
        What is called.
    samples, targets
        Number of samples, and the target of each, shape ``(samples,)``; None if there are none.
    reading
        What is read from a result.
    names, companions
        The names by which the masked inputs are passed (empty if by position), and the inputs that are never masked.
    arguments
        Further positional arguments.
    last
        Position of the last token of each sample, for ``output_key="last-token"``.
    styles
        Ways to call it, in the order in which they are tried; the first that works is kept.
    head
        Name of a final layer that makes probabilities; its input is the result.
    """

    model: Model
    samples: int
    targets: Tensor | None
    reading: Reading
    names: tuple[str, ...] = ()
    companions: Mapping[str, Tensor] = field(default_factory=dict)
    arguments: tuple[Any, ...] = ()
    last: Tensor | None = None
    styles: tuple[Style, ...] = (Style(),)
    head: str = ""

    @classmethod
    def of(
        cls,
        model: Model,
        inputs: Inputs,
        target: Any,
        output: Output,
        arguments: Any = None,
        *,
        output_key: OutputKey | None = None,
        masked: Any = None,
    ) -> "tuple[Forward, tuple[Tensor, ...]]":
        """Return the forward pass that a caller requests, checked, and the masked inputs on the model's device.

        In a batch by name, the keys of ``masked``, if that is a mapping, are masked; otherwise its first entry.
        """
        reading = Reading.of(output, output_key)
        given = samples_of(inputs)
        run, network = _callable(model, output)
        if output in OF_CLASSES and getattr(getattr(network, "config", None), "problem_type", "") == _MULTI:
            raise InputError(
                f'output="{output}" needs mutually exclusive classes; got a multi-label network, according to its '
                'config. Pass output="multi-label" for the log-odds of the label `target` alone.'
            )
        tensors = at_home(network, given)
        count, device = len(given), tensors[0].device
        more = arguments if isinstance(arguments, tuple) else () if arguments is None else (arguments,)
        if more and given.keywords:
            raise InputError(
                "`additional_forward_args` goes with positional inputs; got inputs by name. Put it into the batch."
            )
        values = callable(output) or output == "regression"
        labels = given.target if target is None else target
        targets = labels_of(labels, count, classes=_classes(model, labels), values=values)
        by_name = dict(zip(given.keywords, tensors, strict=False))
        keys = masked if isinstance(masked, Mapping) else ()
        names = tuple(name for name in by_name if name in keys) or given.keywords[:1]
        forward = cls(
            run,
            count,
            None if targets is None else targets.to(device),
            reading,
            names,
            {name: x for name, x in by_name.items() if name not in names and _takes(network, name)},
            tuple(a.to(device) if isinstance(a, Tensor) else a for a in more),
            _last_tokens(network, tensors, by_name) if output_key == LAST_TOKEN else None,
            _styles(run, given),
        )
        return forward, tuple(by_name[name] for name in names) if names else tensors

    def _follow(self, value: Any, sample: Tensor) -> Any:
        return value[sample] if isinstance(value, Tensor) and value.ndim and len(value) == self.samples else value

    def run(self, inputs: Sequence[Tensor], sample: Tensor) -> Any:
        """Return the result for some rows, as the model returns it; ``sample`` is the sample of each row.

        If the network ends in a layer that makes probabilities, the input of that layer.
        """
        style = self.styles[0]
        rows: list[Any] = list(inputs)
        arguments = [self._follow(a, sample) for a in self.arguments]
        more = {name: self._follow(x, sample) for name, x in self.companions.items()}
        if style.numpy:
            rows = [_array(x) for x in rows]
            arguments = [_array(a) if isinstance(a, Tensor) else a for a in arguments]
            more = {name: _array(x) for name, x in more.items()}
        seen: list[Any] = []
        handle = None
        if self.head:
            module = self.model.get_submodule(self.head)  # type: ignore[attr-defined]  # a head is one of a module
            handle = module.register_forward_hook(lambda _module, given, _out: seen.append(given[0]))
        exported = isinstance(self.model, ExportedCall)
        try:
            with Explained(lambda error: of_model(self.model, inputs, error, exported=exported)):
                if not self.names:
                    result = self.model(*rows, *arguments)
                else:
                    batch = {**dict(zip(self.names, rows, strict=True)), **more}
                    result = self.model(batch) if style.mapping else self.model(**batch)
        finally:
            if handle is not None:
                handle.remove()
        return seen[-1] if seen else result

    def part(self, result: Any, sample: Tensor) -> Any:
        """Return the part of a result that is read."""
        return self.reading.part(result, None if self.last is None else self.last[sample])

    def read(self, part: Any, sample: Tensor) -> Tensor:
        """Return one float64 number per row of the part that is read.

        Raises
        ------
        ModelError, TargetError
            If there is not one row per input, or no such output.
        """
        if isinstance(part, Tensor) and part.ndim and len(part) != len(sample):
            raise _other_rows(tuple(part.shape), len(sample))
        targets = None if self.targets is None else self.targets[sample]
        if targets is not None and isinstance(part, Tensor):
            targets = targets.to(part.device)
        values = self.reading.scalars(part, targets)
        if values.shape != (len(sample),):
            raise _other_rows(tuple(values.shape), len(sample))
        return values

    def __call__(self, inputs: Sequence[Tensor], sample: Tensor) -> Tensor:
        """Return one float64 number per row; ``sample`` is the sample of each row."""
        return self.read(self.part(self.run(inputs, sample), sample), sample)

    def with_style(self, style: Style) -> "Forward":
        """Return the same forward pass, called in one way only."""
        return replace(self, styles=(style,))


def _other_rows(shape: tuple[int, ...], rows: int) -> ModelError:
    return ModelError(
        f"the model must return one row for each input; got {shape} for {rows} inputs. "
        "Check that dim 0 of its output is the batch."
    )


def _array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()


def _callable(model: Any, output: Output) -> tuple[Callable[..., Any], torch.nn.Module | None]:
    """Return the callable that runs a model, and the module, if there is one, that has its type and device.

    Raises
    ------
    InputError
        If it cannot be called and has no ``predict_proba``.
    """
    if isinstance(model, torch.export.ExportedProgram):
        model = model.module()
    model = bare(model)
    if isinstance(model, torch.nn.Module):
        # an exported module refuses `eval`: its mode was fixed when it was exported
        exported = isinstance(model, torch.fx.GraphModule) and "eval" in vars(model)
        return (ExportedCall(model) if exported else model), model
    names = ("predict",) if output == "regression" else ("predict_proba",)
    for name in () if callable(model) else names:
        if callable(method := getattr(model, name, None)):
            return method, None
    if not callable(model):
        raise InputError(
            f"`model` must be a torch.nn.Module, a function, or have {names[0]}; got {type(model).__name__}. Pass a "
            "function from inputs to outputs."
        )
    return model, None


class ExportedCall:
    """A function that runs an exported network."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._module(*args, **kwargs)


def _classes(model: Any, labels: Any) -> Sequence[Any]:
    """Return the class of each output, if the model knows it and labels do not name outputs by number."""
    owner = getattr(model, "__self__", model)
    if isinstance(owner, torch.nn.Module):
        order = getattr(getattr(owner, "config", None), "label2id", None)
        several = isinstance(labels, list | tuple) or getattr(labels, "ndim", 0) > 0
        first = next(iter(labels), None) if several else labels
        if not isinstance(order, dict) or not isinstance(first, str):
            return ()
        return sorted(order, key=lambda name: int(order[name]))
    classes = getattr(owner, "classes_", None)
    return classes.tolist() if isinstance(classes, np.ndarray) and classes.ndim == 1 else ()


def _styles(run: Any, given: Samples) -> tuple[Style, ...]:
    kinds = (False,) if isinstance(run, torch.nn.Module | ExportedCall) else (given.numpy, not given.numpy)
    ways = (False, True) if given.keywords else (False,)
    return tuple(Style(numpy, mapping) for numpy in kinds for mapping in ways)


def _takes(network: Any, name: str) -> bool:
    """Return whether a module's ``forward`` has a parameter of that name, or takes any."""
    if network is None or isinstance(network, torch.jit.ScriptModule):
        return True
    parameters = inspect.signature(network.forward).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters) or len(parameters) == 1


def _last_tokens(network: Any, tensors: tuple[Tensor, ...], by_name: Mapping[str, Tensor]) -> Tensor | None:
    """Return the position of the last token of each sample, by its attention mask or the network's padding token."""
    there = by_name.get("attention_mask")
    if there is None:
        pad = getattr(getattr(network, "config", None), "pad_token_id", None)
        if tensors[0].ndim != 2 or tensors[0].is_floating_point() or pad is None:
            return None
        there = tensors[0] != pad
    positions = torch.arange(there.shape[-1], device=there.device)
    return torch.where(there.reshape(len(there), -1) > 0, positions, 0).amax(1)


def at_home(network: torch.nn.Module | None, given: Samples) -> tuple[Tensor, ...]:
    """Return the inputs on a module's device and, if floating point, in its type; those of its first such parameter."""
    for parameter in () if network is None else network.parameters():
        if parameter.is_floating_point():
            dtype = parameter.dtype
            return tuple(x.to(parameter.device, dtype if x.is_floating_point() else None) for x in given.inputs)
    device = given.inputs[0].device
    if network is not None and given.numpy:  # for a network without parameters arrays keep their type
        usual = torch.get_default_dtype()
        return tuple(x.to(device, usual if x.is_floating_point() else None) for x in given.inputs)
    return tuple(x.to(device) for x in given.inputs)


def find_layer(model: Any, layer: str) -> torch.nn.Module:
    """Return the named module.

    Raises
    ------
    InputError
        If the model is not a module or has no such layer; lists the nearest names.
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"`layer` needs a torch.nn.Module; got {type(model).__name__}. Mask the input instead.")
    names: dict[str, torch.nn.Module] = {name: module for name, module in model.named_modules() if name}
    if not isinstance(layer, str):
        raise InputError(f"`layer` must be the name of a module; got {layer!r:.60}. Pass a name of `named_modules`.")
    if layer not in names:
        near = difflib.get_close_matches(layer, names, n=3, cutoff=0.0)
        told = f"The nearest are {', '.join(near)}." if near else "It has none: mask the input instead."
        raise InputError(f"`layer` must name a module of the model; got {layer!r}. {told}")
    if isinstance(names[layer], torch.jit.ScriptModule):
        raise InputError(
            f"`layer` needs a network that runs its modules from Python; got the scripted module {layer!r}. Mask the "
            "input instead, or measure the network from which it was scripted."
        )
    return names[layer]
