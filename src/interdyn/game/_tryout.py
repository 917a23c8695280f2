"""A few rows before the work starts: how a network is called, what it returns, and what that depends on."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import InputWarning, InterdynError, ModelError, PrecisionWarning, TooLargeError
from interdyn.game._batches import WidestArray, out_of_memory
from interdyn.game._forward import Forward
from interdyn.game._outputs import LEAST_OF_OTHERS, probabilities_in, warn_of_probabilities
from interdyn.game._user_code import Explained, attempted, of_batch

_ROWS = 4  # tried twice in one batch, and some of them in another batch
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # relative; kernels round differently for other batches
_COARSE = 2e-2  # for types with lower precision
_TOLERATED = 2e-2  # the default noise bound of a split: smaller differences are a warning, larger ones are refused
_PROBABILITIES = {"aten::_softmax": "softmax", "aten::softmax": "softmax", "aten::sigmoid": "sigmoid"}
_COPIES = {"aten::_to_copy", "aten::to", "aten::clone", "aten::contiguous", "aten::index", "aten::index_select"}
_HEADS = {torch.nn.Softmax: "softmax", torch.nn.Sigmoid: "sigmoid"}


class LastStep(WidestArray):  # type: ignore[no-untyped-call]  # torch's own lacks types
    """Context that records the widest array, and whether softmax or sigmoid made a tensor or its source."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[int, str | None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, and record what it was."""
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if isinstance(out, Tensor) and out.layout is torch.strided:
            name, made = func._schema.name.removesuffix("_"), self._made
            given = [a.untyped_storage()._cdata for a in args if isinstance(a, Tensor) and a.layout is torch.strided]
            key = out.untyped_storage()._cdata
            if name in _COPIES and given:
                made[key] = made.get(given[0])
            elif key not in given or func._schema.is_mutable:
                made[key] = _PROBABILITIES.get(name)
        return out

    def of(self, tensor: Any) -> str | None:
        """Return ``"softmax"`` or ``"sigmoid"`` if that made the tensor, else None."""
        return self._made.get(tensor.untyped_storage()._cdata) if isinstance(tensor, Tensor) else None


@dataclass(frozen=True)
class Trial:
    """The findings of a try-out.

    Attributes
    ----------
    forward
        The forward pass, called in the way that works and read as logits.
    row_bytes
        Bytes of the widest array that one row creates, or of the row itself.
    rows, values
        Samples that were tried, and their outputs without masks.
    scale
        Largest magnitude of these outputs and of the logits they are read from.
    tolerance
        Difference that rounding may cause, relative to it.
    told
        Whether a warning was issued that repeated outputs differ within the noise bound of a split.
    """

    forward: Forward
    row_bytes: int
    rows: Tensor
    values: Tensor
    scale: float
    tolerance: float
    told: bool = False

    def differ(self, found: Tensor, expected: Tensor) -> float:
        """Return the largest difference if it exceeds rounding, else 0; non-finite values are reported elsewhere."""
        if not bool(torch.isfinite(found).all() & torch.isfinite(expected).all()):
            return 0.0
        far = float((found.to(expected) - expected).abs().max())
        return far if far > self.tolerance * self.scale else 0.0

    def complain(self, error: ModelError, far: float) -> "Trial":
        """Raise the error, or warn once if the difference is within the noise bound of a split."""
        if far > _TOLERATED * self.scale:
            raise error
        if not self.told:
            warnings.warn(str(error), PrecisionWarning, stacklevel=5)
        return replace(self, told=True)

    def check(self, full: Tensor, layer: str | None) -> None:
        """Compare ``v(N)`` of all samples with the network's output without masks.

        Raises
        ------
        ModelError
            If they differ by more than rounding.
        """
        own = full[self.rows.to(full.device)]
        far = self.differ(own, self.values.to(full.device))
        if not far:
            return
        worst = int((own - self.values.to(own)).abs().argmax())
        where = "" if layer is None else f" at layer {layer!r}"
        do = "`batch_size=1`" if layer is None else "the name of another layer"
        error = ModelError(
            "with all players present the network must return its output without masks; got "
            f"{float(own[worst]):.6g} and {float(self.values[worst]):.6g} for sample {int(self.rows[worst])}{where}: "
            f"its output depends on more than what is masked. Pass {do}."
        )
        self.complain(error, far)


def try_out(
    forward: Forward,
    inputs: tuple[Tensor, ...],
    half: Callable[[], list[Tensor]] | None = None,
    *,
    alone: bool = False,
    private: bool = False,
) -> Trial:
    """Run up to four unmasked rows twice, and some of them in another batch, before the work starts.

    Four rows, because a model that ignores its batch shows only then; those of the smallest and the largest target are
    included.

    Parameters
    ----------
    half
        Returns one row of the first sample with half of its players, to accompany a single sample.
    alone
        Run each row separately, as with ``batch_size=1``.
    private
        The network is a copy, whose memory layout may be changed.

    Raises
    ------
    ModelError
        If the output for a row differs the second time or in another batch.
    TooLargeError
        If not even a single row fits into memory.
    Exception
        Whatever the model raises, for example for images of another size, with a note that states what is needed.
    """
    rows = _chosen(forward, inputs[0].device)
    batch = [x[rows] for x in inputs]
    if half is not None and len(rows) > 1 and forward.samples == 1:
        batch = [torch.cat([x[:1], masked]) for x, masked in zip(batch, half(), strict=True)]
    forward, part, row_bytes = _first(forward, batch, rows)
    one = alone or len(part) < len(rows)
    values = _each(forward, batch, rows) if one else forward.read(part, rows)
    again = _each(forward, batch, rows) if one else forward(batch, rows)
    count = min(len(rows), forward.samples)  # further rows were added to accompany one sample
    scale, tolerance = _scale(forward, part, values), _tolerance(forward, part)
    trial = Trial(forward, row_bytes, rows[:count], values[:count], scale, tolerance)
    if far := trial.differ(again, values):
        unlike = ModelError(
            f"the same samples must give the same outputs twice; got outputs that differ by {far:.3g}. In eval mode, "
            "switch off whatever draws random numbers, as in F.dropout(x, training=self.training), or keeps state "
            "between passes."
        )
        return trial.complain(unlike, far)
    trial = trial if one else _same_in_another_batch(trial, batch, rows, values)
    if private:
        _lay_out(trial, [x[trial.rows] for x in inputs])
    return trial


def _lay_out(trial: Trial, batch: list[Tensor]) -> None:
    """Convert the network to channels-last layout, if the same rows then give the same outputs.

    On a CPU that is faster. A network that works with one layout only, such as one that calls ``view`` on the output of
    a convolution, is converted back.
    """
    network = trial.forward.model
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    if not isinstance(network, torch.nn.Module) or not any(type(m) in kinds for m in network.modules()):
        return
    if any(p.device.type != "cpu" or p.dtype != torch.float32 for p in network.parameters()):
        return
    lay_out: Any = network.to  # torch's types do not include the memory format
    lay_out(memory_format=torch.channels_last)
    found = attempted(lambda: trial.forward(batch, trial.rows))
    if isinstance(found, Exception) or not torch.isfinite(found).all() or trial.differ(found, trial.values):
        lay_out(memory_format=torch.contiguous_format)


def _chosen(forward: Forward, device: torch.device) -> Tensor:
    """Return the samples to try: those of smallest and largest target, the first and others; at least two rows."""
    chosen: list[int] = []
    if forward.targets is not None and forward.targets.ndim == 1:
        chosen = [int(forward.targets.argmin()), int(forward.targets.argmax())]
    chosen = list(dict.fromkeys([*chosen, 0, forward.samples - 1, *range(min(_ROWS, forward.samples))]))[:_ROWS]
    return torch.tensor(chosen if len(chosen) > 1 else chosen * 2, device=device)


def _first(forward: Forward, batch: list[Tensor], rows: Tensor) -> tuple[Forward, Any, int]:
    """Return the forward pass in the way that works, its values for as many rows as fit, and the bytes of a row."""
    failed: list[Exception] = []
    for style in forward.styles:
        found = attempted(partial(_as_many_as_fit, forward.with_style(style), batch, rows))
        if not isinstance(found, Exception):
            return found
        if isinstance(found, InterdynError):
            raise found
        failed.append(found)
    raise failed[0]


def _as_many_as_fit(forward: Forward, batch: list[Tensor], rows: Tensor) -> tuple[Forward, Any, int]:
    try:
        found, part, widest = _read_as(forward, batch, rows)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(rows) == 1:
            raise TooLargeError(
                f"one row of inputs must fit into memory; got {type(error).__name__}: {error}. Use a smaller model or "
                "input, or free memory."
            ) from error
    else:
        return found, part, max(widest // len(rows), sum(x[:1].numel() * x.element_size() for x in batch))
    return _as_many_as_fit(forward, [x[:1] for x in batch], rows[:1])


def _read_as(forward: Forward, batch: list[Tensor], rows: Tensor) -> tuple[Forward, Any, int]:
    """Run the batch; return the pass with probabilities read as logits, the values then read, and the widest array."""
    network = forward.model if isinstance(forward.model, torch.nn.Module) else None
    made: list[tuple[str, str, Any]] = []
    hooks = [
        module.register_forward_hook(lambda _m, given, out, n=name, k=kind: made.append((n if given else "", k, out)))
        for name, module in (() if network is None else network.named_modules())
        if (kind := _HEADS.get(type(module))) and name
    ]
    try:
        with LastStep() as steps:
            result = forward.run(batch, rows)
    finally:
        for hook in hooks:
            hook.remove()
    part = forward.part(result, rows)
    forward.read(part, rows)
    foreign = not isinstance(result, Tensor) and hasattr(result, "__array__")
    kind = probabilities_in(part, forward.reading, steps.of(part))
    if kind is None:
        _suspect(forward, part, foreign=foreign)
        return forward, part, int(steps.bytes)
    head, makes, _ = made[-1] if made and made[-1][2] is part else ("", "", None)
    if head and kind == makes:
        read = replace(forward, head=head, reading=replace(forward.reading, key=None))
        part = read.part(read.run(batch, rows), rows)
    else:
        head, least = "", LEAST_OF_OTHERS if foreign else forward.reading.least
        read = replace(forward, reading=replace(forward.reading, probabilities=kind, least=least))
    warn_of_probabilities(kind, head)
    return read, part, int(steps.bytes)


def _suspect(forward: Forward, part: Any, *, foreign: bool) -> None:
    """Warn if a function of another library returns one column that may be probabilities."""
    if not foreign or callable(forward.reading.output) or forward.reading.output == "regression":
        return
    one = part.ndim == 1 or part.shape[1] == 1
    if one and len(part) > 1 and bool(((part >= 0) & (part <= 1)).all()):
        warnings.warn(
            f'output="{forward.reading.output}" needs logits; got one column of numbers in [0, 1], which may be '
            "probabilities. Return the columns of both classes, or their log-odds.",
            InputWarning,
            stacklevel=5,
        )


def _each(forward: Forward, batch: list[Tensor], rows: Tensor) -> Tensor:
    return torch.cat([forward([x[i : i + 1] for x in batch], rows[i : i + 1]) for i in range(len(rows))])


def _same_in_another_batch(trial: Trial, batch: list[Tensor], rows: Tensor, values: Tensor) -> Trial:
    """Run the first rows alone; refuse or warn if the other rows change their outputs."""
    count = 2 if len(rows) > 2 else 1

    def say(error: Exception) -> str:
        alone = f"this error for {count} of {len(rows)} rows that went through together"
        return "" if "more than 1 value" in str(error) else of_batch(trial.forward.model, alone, alone=False)

    try:
        with Explained(say):
            found = trial.forward([x[:count] for x in batch], rows[:count])
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return trial
    if far := trial.differ(found, values[:count]):
        unlike = of_batch(trial.forward.model, f"outputs that differ by {far:.3g}", alone=False)
        return trial.complain(ModelError(unlike), far)
    return trial


def _scale(forward: Forward, part: Any, values: Tensor) -> float:
    logits = forward.reading.as_logits(part)
    given = [values, logits.double().reshape(-1)] if isinstance(logits, Tensor) else [values]
    finite = torch.cat([x[torch.isfinite(x)].abs().to(values.device) for x in given])
    return float(finite.max()) if len(finite) else 0.0


def _tolerance(forward: Forward, part: Any) -> float:
    types = {part.dtype} if isinstance(part, Tensor) else set()
    if isinstance(forward.model, torch.nn.Module):
        types |= {p.dtype for p in forward.model.parameters() if p.is_floating_point()}
    types = {kind for kind in types if kind.is_floating_point} or {torch.float32}
    return max(_TOLERANCE.get(kind, _COARSE) for kind in types)
