"""A network's outputs on all masked inputs as a table, or on selected ones: the value function of one sample."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from interdyn._arguments import whole, whole_row
from interdyn._typing import Model
from interdyn.errors import NonFiniteError, ShapeError, TooLargeError
from interdyn.game._baselines import described
from interdyn.game._batches import Batches, estimated_rows, given_rows
from interdyn.game._calibration import calibrate
from interdyn.game._forward import Forward, find_layer
from interdyn.game._isolation import bare, isolated
from interdyn.game._layer import LayerRunner, feature_maps
from interdyn.game._masking import Masking, masked_inputs, numbers_of
from interdyn.game._missing import odd_in, refuse_odd_samples
from interdyn.game._names import FeatureNames, player_names
from interdyn.game._outputs import UNITS, Output, OutputKey
from interdyn.game._players import Players
from interdyn.game._samples import Inputs
from interdyn.game._tryout import try_out
from interdyn.values import MAX_PLAYERS, Names, ValueTable, members

Progress = Callable[[int, int], None]
"""Called as ``progress(rows_done, rows_in_all)``."""

Further = Callable[[int, int], tuple[float, float]]
"""Called as ``further(players, samples)``: seconds of the work after the passes, and how many are allowed."""

_MOST_ESTIMATED = 1000  # players: a limit far above what masks can represent

MAX_PASSES = 20_000_000
"""Masked inputs above which `value_table` asks for ``allow_large=True``."""


def estimate_passes(n: int, samples: int) -> int:
    """Return how many masked inputs a table of ``samples`` with ``n`` players takes: ``samples * 2**n``.

    Examples
    --------
    >>> estimate_passes(10, 20)
    20480
    """
    return whole(samples, "samples") << whole(n, "n", most=_MOST_ESTIMATED)


def value_table(
    model: Model,
    inputs: Inputs,
    *,
    target: Any = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    perturbations_per_eval: int | None = None,
    output: Output = "log-odds",
    output_key: OutputKey | None = None,
    layer: str | None = None,
    additional_forward_args: Any = None,
    sample_ids: Sequence[int] | None = None,
    allow_fewer: bool = False,
    names: FeatureNames | None = None,
    calibrate_batch_norm: Inputs | None = None,
    allow_large: bool = False,
    show_progress: bool = False,
    progress: Progress | None = None,
    further: Further | None = None,
) -> ValueTable:
    r"""Run a model on all ``2^n`` masked versions of each sample.

    $$v(T) = \text{output}\big(f(x_T)\big), \qquad x_T = \text{features of players in } T \text{ kept, others at the
    baseline}$$

    Parameters
    ----------
    model
        A ``torch.nn.Module`` or any function of the inputs; an exported program; or an object with ``predict_proba``
        (``predict`` for ``output="regression"``). A private copy of a module is run, in eval mode, on its own device
        and in its own precision, without hooks added from outside; pass a function that calls it to include them. The
        module itself, the modules that a function uses, and all generators are restored. A function gets arrays if
        arrays were passed, and may return arrays.
    inputs
        Samples along dim 0: a tensor, an array or nested lists of numbers; a tuple of these for a model with several
        inputs; a mapping, such as a batch of a tokenizer, for a model that takes them by name; a ``Dataset`` or
        ``DataLoader``. See `samples_of`. In a mapping the first entry is masked; the others go with their sample
        unchanged, unless ``feature_mask`` is a mapping that names them. Tokens outside its ``attention_mask`` are not
        players.
    target
        Class (or output column) to explain: one for all samples, or one for each; see `labels_of`. By default that of a
        batch or data set.
    players, feature_mask
        Either a partition of the input (`patches`, `columns`, `segments`), or the player of each feature: integers
        ``0..n-1`` of a shape that broadcasts to the input; -1 is background, never masked. A tuple for a tuple of
        inputs.
    baselines
        What masked features are set to: ``None`` (0), a number, a tensor that broadcasts, ``"mean"`` (of ``inputs``),
        ``"blur"``, or a tuple of these. For the mean of a data set: `mean_baseline`. ``"mean-embedding"``: the mean of
        all vectors of the embedding that ``layer`` names.
    batch_size, perturbations_per_eval
        Rows per forward pass; ``"auto"`` starts from the widest array that the model creates for a row. When memory
        runs out it is halved, with one warning. The second name is captum's and means the same.
    output
        The scalar to explain; see `scalar_outputs`. Networks that return probabilities are read as if they returned
        logits, with an `InputWarning`.
    output_key
        What is read of a result that is not a tensor: by default its ``logits``, its only tensor or the first of a
        tuple; a key or index; ``"last-token"``, which takes from logits ``(batch, positions, vocabulary)`` the row of
        the last token that is not padding; or a function of the raw result.
    layer
        Name of a module whose output is masked instead of the input: ``players`` and ``baselines`` then refer to its
        output. The part before it runs once for the map of each sample and once for all its masks
        (``provenance["layer_method"]`` is ``"remembered"``), unless the model does not allow this: then one row of it
        runs for each batch of masks (``"one row"``), or all of it (``"full"``).
    additional_forward_args
        Passed after the inputs, one or a tuple; tensors with one row for each sample follow their sample.
    sample_ids
        A number for each sample that fixes its random players; ``0, 1, ...`` by default.
    allow_fewer
        Accept a ``feature_mask`` in which some samples have fewer players than others (short sentences). A player that
        a sample does not have changes nothing: ``v(T)`` is that of the players of ``T`` which it has, and the player's
        interactions are zero. ``provenance["players_of_samples"]`` is the number of players of each sample.
    names
        Names shown in tables and figures: one per player, the same for all samples or a row for each. For samples that
        are rows of columns or tokens also one per column, names with the columns that each covers (of a one-hot code
        also by category: ``{"job": {"clerk": 1, "cook": 2}}``), or a function from the token ids of a sample to their
        strings, such as a tokenizer's ``convert_ids_to_tokens``. By default players that are drawn for each sample are
        named by their places: ``"row 2 column 3"``.
    calibrate_batch_norm
        Training inputs, in any form that ``inputs`` has, without labels (the first 512 of a data set): the running
        statistics of batch norm are recomputed on them, on the private copy. Early in training the stored statistics
        do not fit the weights. A few hundred rows are enough; they go through in batches of up to 128. A network
        without batch norm is unchanged. ``provenance["calibrated_rows"]`` is the number of rows, 0 if the stored
        statistics were used.
    allow_large
        Accept more than 20 million masked inputs.
    show_progress
        Show a progress bar with the remaining time on standard error.
    progress
        Called as ``progress(rows_done, rows_in_all)`` after each forward pass.
    further
        What will be done with the table, so that too much work is refused: ``further(players, samples)`` returns the
        seconds it takes, and how many are allowed without ``allow_large``.

    Returns
    -------
    ValueTable
        ``values`` float64 on the network's device, shape ``(samples, 2**n)``; entry 0 is ``v({})``, the last ``v(N)``.

    Raises
    ------
    PlayersError, TargetError, InputError, ShapeError
        If an argument does not fit; before the masked passes start.
    TooLargeError
        If there are more masked inputs than allowed; with an estimate of the time.
    ModelError
        If the model does not return one row for each input; if its output for a row differs the second time or in
        another batch; or if ``v(N)`` is not its output without masks. A `DisturbedError` if measuring changed the
        network.
    NonFiniteError
        If an output is NaN or infinite; names sample and players, or the entry of the sample that is NaN itself.
    Exception
        What the model itself raises, or a function ``output`` or ``output_key``: the same object, with a note that
        states what it was given and what to do.

    Warns
    -----
    InputWarning
        If outputs are probabilities, or the mask token is one that ends sentences.

    Notes
    -----
    Cost ``samples * 2**n`` forward passes, plus about ten rows to try the model out; making the masked inputs takes one
    gather and one selection per batch. Oracle: ``tests/test_game.py``, one mask at a time. Source: paper, section 2.

    Examples
    --------
    >>> model = lambda x: torch.stack([x[:, 0] * x[:, 1], 0 * x[:, 0]], dim=1)  # class 0 needs both features
    >>> value_table(model, torch.tensor([[1.0, 2.0]]), target=0, feature_mask=torch.arange(2)).values
    tensor([[0., 0., 0., 2.]], dtype=torch.float64)
    """
    forward, tensors = Forward.of(
        model, inputs, target, output, additional_forward_args, output_key=output_key, masked=feature_mask
    )
    rows, samples, device = given_rows(batch_size, perturbations_per_eval), forward.samples, tensors[0].device
    sample_ids = _checked_ids(sample_ids, samples)

    def masking_of(maps: tuple[Tensor, ...]) -> Masking:
        how: Any = {"layer": layer, "allow_fewer": allow_fewer}
        out = masked_inputs(forward, maps, sample_ids, players, feature_mask, baselines, **how)
        refuse_impossible(out.n)
        return out

    start, method = time.perf_counter(), None
    with isolated(forward.model) as network, _reporting(progress, bar=show_progress) as report:
        forward = replace(forward, model=network)
        if layer is None:
            masking = masking_of(tensors)  # before the model runs: most mistakes are found here
        else:
            find_layer(network, layer)
        calibrated = calibrate(forward, calibrate_batch_norm, inputs=len(forward.companions) + len(tensors))
        half = masking.half if layer is None else None
        trial = try_out(forward, tensors, half, alone=rows == 1, private=network is not bare(model))
        forward, batches = trial.forward, Batches(rows or estimated_rows(trial.row_bytes, device))
        if layer is not None:
            masking = masking_of((feature_maps(forward, layer, tensors, batches),))
        elif not masking.always_masks:
            refuse_odd_samples(forward, tensors, sample_ids, alone=rows == 1)
        named: Names = () if players is None else players.names(masking.inputs[0].shape[1:], sample_ids)
        named = named if names is None else player_names(names, tensors[0], masking.ids[0], masking.n)
        if not allow_large:
            _refuse_large(masking.n, forward, tensors, min(64, batches.rows), further)
        if layer is None:
            values = _sweep(forward, masking, batches, report)
        else:
            runner = LayerRunner(forward, layer, tensors, masking)
            (values, batches), method = _sweep_samples(runner, samples, rows, batches, report), runner.method
    values = _finite(values.reshape(samples, masking.size), sample_ids, tensors)
    if not masking.always_masks:
        trial.check(values[:, -1], layer)
    provenance = {
        **numbers_of(players, masking, of_each=allow_fewer),
        "players": "feature_mask" if players is None else repr(players),
        "baselines": described(baselines),
        "layer": layer,
        "layer_method": method,
        **_made_by(model, batches),
        **({} if calibrated is None else {"calibrated_rows": calibrated}),
    }
    unit = UNITS[output] if isinstance(output, str) else getattr(output, "__name__", "output")
    return ValueTable(values, unit, values.numel(), time.perf_counter() - start, provenance, named)


def _made_by(model: Model, batches: Batches) -> dict[str, Any]:
    name = getattr(model, "__name__", type(model).__name__)
    return {"model": name, "torch": str(torch.__version__), "batch_rows": batches.rows}


def _checked_ids(sample_ids: Any, samples: int) -> Sequence[int]:
    if sample_ids is None:
        return range(samples)
    ids = whole_row(sample_ids, "sample_ids")
    if len(ids) != samples:
        raise ShapeError(f"`sample_ids` must have one number for each of {samples} samples; got {len(ids)}.")
    return ids


@contextmanager
def _reporting(progress: Progress | None, *, bar: bool) -> Iterator[Progress | None]:
    """Return a function that calls ``progress`` and moves a bar on standard error; ``None`` if neither is wanted."""
    if not bar:
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as drawn:
        task = drawn.add_task("masked inputs", total=None)

        def both(done: int, total: int) -> None:
            drawn.update(task, completed=done, total=total)
            if progress is not None:
                progress(done, total)

        yield both


def refuse_impossible(n: int) -> None:
    """Refuse more players than a table can have.

    Raises
    ------
    TooLargeError
        If there are more.
    """
    if n > MAX_PLAYERS:
        raise TooLargeError(
            f"a table of 2^n masks can have at most {MAX_PLAYERS} players; got n = {n}. "
            "Group features into fewer players, or draw some with `.choose(10)`."
        )


def _refuse_large(n: int, forward: Forward, inputs: tuple[Tensor, ...], trial: int, further: Further | None) -> None:
    passes = estimate_passes(n, forward.samples)
    after, longest = (0.0, 0.0) if further is None else further(n, forward.samples)
    if passes <= MAX_PASSES and after <= longest:
        return
    rows = torch.zeros(trial, dtype=torch.long, device=inputs[0].device)
    start = time.perf_counter()
    forward([x[rows] for x in inputs], rows).cpu()  # to the CPU, so that an accelerator has finished
    hours = (passes * (time.perf_counter() - start) / len(rows) + after) / 3600
    split = "" if further is None else f", {after / 60:,.0f} minutes of it for the split"
    allowed = f"{MAX_PASSES:,} passes" + ("" if further is None else f" and {longest / 60:.0f} minutes for the split")
    raise TooLargeError(
        f"{forward.samples} samples of {n} players take {passes:,} forward passes, about {hours:.1f} h at this model's "
        f"speed{split}; the limit is {allowed}. Use fewer players or samples, or pass `allow_large=True`."
    )


def _sweep(forward: Forward, masking: Masking, batches: Batches, report: Progress | None) -> Tensor:
    total = forward.samples * masking.size

    def work(start: int, stop: int) -> Tensor:
        return forward(*masking.rows(start, stop))

    return torch.cat(batches.run(work, total, None if report is None else lambda done: report(done, total)))


def _sweep_samples(
    runner: LayerRunner, samples: int, rows: int | None, batches: Batches, report: Progress | None
) -> tuple[Tensor, Batches]:
    if rows is None and runner.row_bytes is not None:  # the part before the layer does not count
        batches = Batches(estimated_rows(runner.row_bytes, runner.masking.device))
    size, out = runner.masking.size, []
    for sample in range(samples):

        def work(start: int, stop: int, sample: int = sample) -> Tensor:
            return runner.values(sample, start, stop)

        def done(count: int, sample: int = sample) -> None:
            if report is not None:
                report(sample * size + count, samples * size)

        out += batches.run(work, size, done)
    return torch.cat(out), batches


def _finite(values: Tensor, sample_ids: Sequence[int], inputs: tuple[Tensor, ...]) -> Tensor:
    """Return the values, refused if one is not finite."""
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        row, subset = (int(i) for i in bad.nonzero()[0])
        odd = odd_in(inputs, row)
        do = (
            f"Check the sample, which contains {odd}"
            if odd
            else "Check the baseline, and whether training has diverged"
        )
        raise NonFiniteError(
            f"the model's output must be finite; got {float(values[row, subset])} for sample {sample_ids[row]} with "
            f"players {list(members(subset))} present (subset {subset}), and {int(bad.sum()) - 1} more. {do}."
        )
    return values
