"""The table of a network's outputs on all masked inputs."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import (
    BudgetWarning,
    InputError,
    ModelError,
    NonFiniteError,
    ShapeError,
    TargetError,
    TooLargeError,
)
from interdyn.game._baselines import baseline_tensors
from interdyn.game._guard import undisturbed
from interdyn.game._layer import LayerRunner, feature_maps
from interdyn.game._masking import Masking, feature_ids, presence_table
from interdyn.game._outputs import UNITS, Output, check_output, scalar_outputs
from interdyn.game._players import Players
from interdyn.lattice import MAX_PLAYERS, members
from interdyn.values import ValueTable

MAX_PASSES = 20_000_000
"""Masked inputs above which `value_table` asks for ``allow_large=True``."""

_ROWS_AUTO = 4096
_BYTES_AUTO = 2**27  # 128 MiB of masked inputs in one batch


def estimate_passes(n: int, samples: int) -> int:
    """Return how many masked inputs a table of ``samples`` with ``n`` players takes: ``samples * 2**n``.

    Examples
    --------
    >>> estimate_passes(10, 20)
    20480
    """
    return int(samples * 2**n)


def value_table(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    *,
    target: int | Sequence[int] | Tensor | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    perturbations_per_eval: int | None = None,
    output: Output = "log-odds",
    layer: str | None = None,
    additional_forward_args: Any = None,
    sample_ids: Sequence[int] | None = None,
    allow_large: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ValueTable:
    r"""Run a model on all ``2^n`` masked versions of each sample.

    $$v(T) = \text{output}\big(f(x_T)\big), \qquad x_T = \text{features of players in } T \text{ kept, others at the
    baseline}$$

    Parameters
    ----------
    model
        A ``torch.nn.Module`` or any function of the inputs. A module runs in eval mode under ``inference_mode`` on
        its own device and in its own precision; afterwards its modes and all generators are as before.
    inputs
        Samples along dim 0: a tensor, or a tuple of tensors for a model of several inputs.
    target
        Class (or output column) to explain: one for all samples, or one for each.
    players, feature_mask
        Either a way to cut the input (`patches`, `columns`, `segments`), or the id of each feature: whole numbers
        ``0..n-1`` of a shape that broadcasts to the input; -1 is background, never masked. A tuple for a tuple of
        inputs.
    baselines
        What masked features become: ``None`` (0), a number, a tensor that broadcasts, ``"mean"`` (of ``inputs``),
        ``"blur"``, or a tuple of these. For the mean of a data set: `mean_baseline`.
    batch_size, perturbations_per_eval
        Rows in one forward pass; ``"auto"`` starts from the inputs' size. When memory runs out it is halved, with a
        warning. The second name is captum's and means the same.
    output
        The scalar to explain; see `scalar_outputs`.
    layer
        Name of a module whose output is masked in place of the input: ``players`` and ``baselines`` then refer to its
        output. The part before it runs once for each sample (see `provenance["layer_method"]`).
    additional_forward_args
        Passed on after the inputs; tensors with one row for each sample follow their sample.
    sample_ids
        A number for each sample that fixes its random players; ``0, 1, ...`` by default.
    allow_large
        Accept more than 20 million masked inputs.
    progress
        Called as ``progress(rows_done, rows_in_all)`` after each forward pass.

    Returns
    -------
    ValueTable
        ``values`` float64 on the CPU, shape ``(samples, 2**n)``; entry 0 is ``v({})``, the last ``v(N)``.

    Raises
    ------
    PlayersError, TargetError, InputError, ShapeError
        If an argument does not fit; before the masked passes start.
    TooLargeError
        If there are more masked inputs than allowed; with an estimate of the time.
    ModelError
        If the model returns something that is not one row for each input.
    NonFiniteError
        If an output is NaN or infinite; names sample and players.

    Notes
    -----
    Cost ``samples * 2**n`` forward passes; making the masked inputs is one gather and one selection for each batch.
    Oracle: ``tests/test_game.py``, one mask at a time. Source: paper, section 2.

    Examples
    --------
    >>> model = lambda x: torch.stack([x[:, 0] * x[:, 1], 0 * x[:, 0]], dim=1)  # class 0 needs both features
    >>> value_table(model, torch.tensor([[1.0, 2.0]]), target=0, feature_mask=torch.arange(2)).values
    tensor([[0., 0., 0., 2.]], dtype=torch.float64)
    """
    check_output(output)
    tensors = _checked_inputs(inputs)
    samples = len(tensors[0])
    ids = range(samples) if sample_ids is None else sample_ids
    if len(ids) != samples:
        raise ShapeError(f"`sample_ids` must have one number for each of {samples} samples; got {len(ids)}.")
    targets = _checked_targets(target, samples)
    arguments = _additional(additional_forward_args)
    device, dtype = _home(model, tensors[0])
    tensors = tuple(x.to(device, dtype if x.is_floating_point() else None) for x in tensors)
    targets = None if targets is None else targets.to(device)
    start = time.perf_counter()
    with undisturbed(model):
        masked_tensors = (feature_maps(model, layer, tensors, arguments),) if layer is not None else tensors
        id_maps, n = feature_ids(players, feature_mask, masked_tensors, ids)
        _refuse_impossible(n)
        off = baseline_tensors(baselines, masked_tensors)
        masking = Masking(masked_tensors, off, id_maps, presence_table(n, device) if n <= 16 else torch.zeros(1, n + 2))
        run = _Run(model, arguments, targets, output, samples)
        _try_one_row(run, tensors)
        if not allow_large:
            _refuse_large(n, samples, run, tensors)
        if n > 16:
            masking = Masking(masked_tensors, off, id_maps, presence_table(n, device))
        rows = _batch_rows(batch_size, perturbations_per_eval, masking)
        if layer is not None:
            runner = LayerRunner(model, layer, tensors, masking)
            values = _sweep_samples(run, runner, rows, progress)
            method = runner.method
        else:
            values = _sweep(run, masking, rows, progress)
            method = None
    values = values.reshape(samples, 2**n).cpu()
    _refuse_non_finite(values, ids)
    unit = UNITS[output] if isinstance(output, str) else getattr(output, "__name__", "output")
    provenance = {"n_players": n, "layer": layer, "layer_method": method, "model": type(model).__name__}
    return ValueTable(values, unit, values.numel(), time.perf_counter() - start, provenance)


@dataclass
class _Run:
    """One forward pass of some rows, and what it gives."""

    model: Model
    arguments: tuple[Any, ...]
    targets: Tensor | None
    output: Output
    samples: int

    def __call__(self, inputs: Sequence[Tensor], sample: Tensor, model: Model | None = None) -> Tensor:
        follow = [
            a[sample] if isinstance(a, Tensor) and a.ndim and len(a) == self.samples else a for a in self.arguments
        ]
        outputs = (model or self.model)(*inputs, *follow)
        targets = None if self.targets is None else self.targets[sample]
        values = scalar_outputs(outputs, targets, output=self.output)
        if values.shape != (len(sample),):
            raise ModelError(
                f"the model must return one row for each input; got {tuple(values.shape)} for {len(sample)} inputs. "
                "Check that dim 0 of its output is the batch."
            )
        return values


def _checked_inputs(inputs: Any) -> tuple[Tensor, ...]:
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


def _checked_targets(target: Any, samples: int) -> Tensor | None:
    if target is None:
        return None
    out = torch.as_tensor(target)
    if out.is_floating_point() or out.is_complex() or out.ndim > 1 or (out.ndim == 1 and len(out) not in (1, samples)):
        raise TargetError(
            f"`target` must be one class index, or one for each of {samples} samples; got {out.dtype} of shape "
            f"{tuple(out.shape)}. Pass labels as whole numbers."
        )
    return out.long().expand(samples)


def _additional(arguments: Any) -> tuple[Any, ...]:
    if arguments is None:
        return ()
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _home(model: Any, x: Tensor) -> tuple[torch.device, torch.dtype | None]:
    """Return the device and the floating-point type of a module, or those of the input for a plain function."""
    if isinstance(model, torch.nn.Module):
        for parameter in model.parameters():
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
    return x.device, None


def _refuse_impossible(n: int) -> None:
    if n > MAX_PLAYERS:
        raise TooLargeError(
            f"{n} players have 2^{n} = {2**n:,} masks, more than a table can hold; got n = {n}, at most {MAX_PLAYERS}. "
            "Group features into fewer players, or draw some with `.choose(10)`."
        )


def _refuse_large(n: int, samples: int, run: _Run, tensors: tuple[Tensor, ...]) -> None:
    passes = estimate_passes(n, samples)
    if passes <= MAX_PASSES:
        return
    rows = torch.zeros(min(64, max(1, passes)), dtype=torch.long, device=tensors[0].device)
    start = time.perf_counter()
    run([x[rows] for x in tensors], rows)
    hours = passes * (time.perf_counter() - start) / len(rows) / 3600
    raise TooLargeError(
        f"{samples} samples of {n} players take {passes:,} forward passes, about {hours:.1f} h at this model's speed; "
        f"up to {MAX_PASSES:,} go without asking. Use fewer players or samples, or pass `allow_large=True`."
    )


def _try_one_row(run: _Run, tensors: tuple[Tensor, ...]) -> None:
    """Run the first sample unmasked, so that a wrong target or model shows before the work starts.

    Two rows: a model that ignores its batch shows only then.
    """
    two = torch.zeros(2, dtype=torch.long, device=tensors[0].device)
    run([x[two] for x in tensors], two)
    if run.targets is not None:
        every = torch.arange(run.samples, device=two.device)
        extreme = torch.stack([run.targets.argmin(), run.targets.argmax()])
        run([x[every[extreme]] for x in tensors], extreme)


def _batch_rows(batch_size: int | str, alias: int | None, masking: Masking) -> int:
    """Return the rows of a batch to begin with."""
    if alias is not None:
        if batch_size != "auto":
            raise InputError("`perturbations_per_eval` is another name of `batch_size`; got both. Pass one of them.")
        batch_size = alias
    if batch_size == "auto":
        return max(1, min(_ROWS_AUTO, _BYTES_AUTO // max(1, masking.bytes_per_row())))
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f'`batch_size` must be "auto" or 1 or more; got {batch_size!r}.')
    return batch_size


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())
        or "can't allocate memory" in str(error)
    )


def _with_back_off(
    work: Callable[[int, int], Tensor], total: int, rows: int, done: Callable[[int], None]
) -> list[Tensor]:
    """Do ``work(start, stop)`` over ``0..total`` in batches, halving them when memory runs out."""
    out, start, warned = [], 0, False
    while start < total:
        stop = min(start + rows, total)
        try:
            out.append(work(start, stop))
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or stop - start == 1:
                raise
            rows = max(1, (stop - start) // 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if not warned:
                warnings.warn(
                    f"memory ran out with {stop - start} masked inputs in a batch; going on with {rows}. "
                    "Pass a smaller `batch_size` to avoid the attempt.",
                    BudgetWarning,
                    stacklevel=5,
                )
                warned = True
            continue
        start = stop
        done(start)
    return out


def _sweep(run: _Run, masking: Masking, rows: int, progress: Callable[[int, int], None] | None) -> Tensor:
    total = run.samples * masking.size

    def work(start: int, stop: int) -> Tensor:
        inputs, sample = masking.rows(start, stop)
        return run(inputs, sample)

    return torch.cat(_with_back_off(work, total, rows, lambda done: progress(done, total) if progress else None))


def _sweep_samples(run: _Run, runner: LayerRunner, rows: int, progress: Callable[[int, int], None] | None) -> Tensor:
    size, out = runner.masking.size, []
    total = run.samples * size
    for sample in range(run.samples):

        def work(start: int, stop: int, sample: int = sample) -> Tensor:
            return runner.values(run, sample, start, stop)

        def done(count: int, sample: int = sample) -> None:
            if progress:
                progress(sample * size + count, total)

        out += _with_back_off(work, size, rows, done)
    return torch.cat(out)


def _refuse_non_finite(values: Tensor, sample_ids: Sequence[int]) -> None:
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        row, subset = (int(i) for i in bad.nonzero()[0])
        raise NonFiniteError(
            f"the model's output must be finite; got {float(values[row, subset])} for sample {sample_ids[row]} with "
            f"players {list(members(subset))} present (subset {subset}), and {int(bad.sum()) - 1} more. "
            "Check the baseline, and whether training has diverged."
        )
