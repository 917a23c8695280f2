"""A network's outputs on all masked inputs as a table, or on chosen ones: the value function of one sample."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from interdyn._typing import Model
from interdyn.errors import NonFiniteError, ShapeError, TooLargeError
from interdyn.game._baselines import baseline_tensors, described
from interdyn.game._batches import Batches, estimated_rows, given_rows
from interdyn.game._forward import UNITS, Forward, Output
from interdyn.game._isolation import isolated
from interdyn.game._layer import LayerRunner, feature_maps, find_layer, mean_embedding
from interdyn.game._masking import Masking, feature_ids, players_of_samples
from interdyn.game._names import FeatureNames, player_names
from interdyn.game._players import Players
from interdyn.values import MAX_PLAYERS, ValueTable, members

Progress = Callable[[int, int], None]
"""Called as ``progress(rows_done, rows_in_all)``."""

Further = Callable[[int, int], tuple[float, float]]
"""Called as ``further(players, samples)``: seconds of what follows the passes, and how many are allowed."""

MAX_PASSES = 20_000_000
"""Masked inputs above which `value_table` asks for ``allow_large=True``."""


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
    allow_fewer: bool = False,
    names: FeatureNames | None = None,
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
        A ``torch.nn.Module`` or any function of the inputs. Of a module a private copy runs, in eval mode, on its own
        device and in its own precision, without the hooks that were put on it from outside; pass a function that calls
        it to have them. The module itself, what a function uses of modules, and all generators are put back.
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
        ``"blur"``, or a tuple of these. For the mean of a data set: `mean_baseline`. ``"mean-embedding"``: the mean of
        all vectors of the embedding that ``layer`` names.
    batch_size, perturbations_per_eval
        Rows in one forward pass; ``"auto"`` starts from the widest array that the model makes of a row. When memory
        runs out it is halved, with one warning. The second name is captum's and means the same.
    output
        The scalar to explain; see `scalar_outputs`.
    layer
        Name of a module whose output is masked in place of the input: ``players`` and ``baselines`` then refer to its
        output. The part before it runs once for the map of each sample and once for all its masks
        (``provenance["layer_method"]`` is ``"remembered"``), unless the model does not allow this: then one row of it
        runs for each batch of masks (``"one row"``), or all of it (``"full"``).
    additional_forward_args
        Passed on after the inputs, one or a tuple; tensors with one row for each sample follow their sample.
    sample_ids
        A number for each sample that fixes its random players; ``0, 1, ...`` by default.
    allow_fewer
        Accept a ``feature_mask`` in which some samples hold fewer players than others (short sentences). A player that
        a sample does not hold changes nothing: ``v(T)`` is that of the players of ``T`` which it holds, and its
        interactions are zero. ``provenance["players_of_samples"]`` tells how many each sample holds.
    names
        Names that tables and figures show: one for each player, the same for all samples or a row for each. For samples
        that are rows of columns or tokens also one for each column, names with the columns that each stands for, or a
        function from the token ids of a sample to their texts, as a tokeniser's ``convert_ids_to_tokens``.
    allow_large
        Accept more than 20 million masked inputs.
    show_progress
        Draw a bar with the remaining time on standard error.
    progress
        Called as ``progress(rows_done, rows_in_all)`` after each forward pass.
    further
        What is to be done with the table, for the refusal of what takes too long: ``further(players, samples)`` returns
        the seconds it takes, and how many may go without ``allow_large``.

    Returns
    -------
    ValueTable
        ``values`` float64 where the network is, shape ``(samples, 2**n)``; entry 0 is ``v({})``, the last ``v(N)``.

    Raises
    ------
    PlayersError, TargetError, InputError, ShapeError
        If an argument does not fit; before the masked passes start.
    TooLargeError
        If there are more masked inputs than allowed; with an estimate of the time.
    ModelError
        If the model returns something that is not one row for each input; a `DisturbedError` if it is not what it was.
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
    forward, tensors = Forward.of(model, inputs, target, output, additional_forward_args)
    rows, samples, device = given_rows(batch_size, perturbations_per_eval), forward.samples, tensors[0].device
    sample_ids = range(samples) if sample_ids is None else sample_ids
    if len(sample_ids) != samples:
        raise ShapeError(f"`sample_ids` must have one number for each of {samples} samples; got {len(sample_ids)}.")

    def masking_of(maps: tuple[Tensor, ...]) -> Masking:
        ids, n = feature_ids(players, feature_mask, maps, sample_ids, allow_fewer=allow_fewer)
        _refuse_impossible(n)
        by_name = isinstance(baselines, str) and baselines == "mean-embedding"
        off = mean_embedding(forward.model, layer) if by_name else baselines
        return Masking(maps, baseline_tensors(off, maps), ids, n)

    start, method = time.perf_counter(), None
    with isolated(model) as network, _reporting(progress, bar=show_progress) as report:
        forward = replace(forward, model=network)
        if layer is None:
            masking = masking_of(tensors)  # before the model runs: most mistakes are here
        else:
            find_layer(network, layer)
        row_bytes = forward.try_out(tensors)
        batches = Batches(rows or estimated_rows(row_bytes, device))
        if layer is not None:
            masking = masking_of((feature_maps(forward, layer, tensors, batches),))
        named = () if names is None else player_names(names, tensors[0], masking.ids[0], masking.n)
        if not allow_large:
            _refuse_large(masking.n, forward, tensors, min(64, batches.rows), further)
        if layer is None:
            values = _sweep(forward, masking, batches, report)
        else:
            runner = LayerRunner(forward, layer, tensors, masking)
            if rows is None and runner.row_bytes is not None:  # what comes before the layer does not count
                batches = Batches(estimated_rows(runner.row_bytes, device))
            values, method = _sweep_samples(runner, samples, batches, report), runner.method
    values = values.reshape(samples, masking.size)
    _refuse_non_finite(values, sample_ids)
    provenance = {
        "n_players": masking.n,
        "players": "feature_mask" if players is None else repr(players),
        "baselines": described(baselines),
        "layer": layer,
        "layer_method": method,
        **({"players_of_samples": players_of_samples(masking.ids, samples)} if allow_fewer else {}),
        "model": getattr(model, "__name__", type(model).__name__),
        "torch": str(torch.__version__),
    }
    unit = UNITS[output] if isinstance(output, str) else getattr(output, "__name__", "output")
    return ValueTable(values, unit, values.numel(), time.perf_counter() - start, provenance, named)


@contextmanager
def _reporting(progress: Progress | None, *, bar: bool) -> Iterator[Progress | None]:
    """Give a function that calls ``progress`` and moves a bar on standard error; ``None`` if nobody listens."""
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


def _refuse_impossible(n: int) -> None:
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
    allowed = f"{MAX_PASSES:,} passes" + ("" if further is None else f" and {longest / 60:.0f} minutes of split")
    raise TooLargeError(
        f"{forward.samples} samples of {n} players take {passes:,} forward passes, about {hours:.1f} h at this model's "
        f"speed{split}; up to {allowed} go without asking. Use fewer players or samples, or pass `allow_large=True`."
    )


def _sweep(forward: Forward, masking: Masking, batches: Batches, report: Progress | None) -> Tensor:
    total = forward.samples * masking.size

    def work(start: int, stop: int) -> Tensor:
        return forward(*masking.rows(start, stop))

    return torch.cat(batches.run(work, total, None if report is None else lambda done: report(done, total)))


def _sweep_samples(runner: LayerRunner, samples: int, batches: Batches, report: Progress | None) -> Tensor:
    size, out = runner.masking.size, []
    for sample in range(samples):

        def work(start: int, stop: int, sample: int = sample) -> Tensor:
            return runner.values(sample, start, stop)

        def done(count: int, sample: int = sample) -> None:
            if report is not None:
                report(sample * size + count, samples * size)

        out += batches.run(work, size, done)
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


def game_function(
    model: Model,
    inputs: Tensor | tuple[Tensor, ...],
    *,
    target: int | Sequence[int] | Tensor | None = None,
    players: Players | None = None,
    feature_mask: Any = None,
    baselines: Any = None,
    batch_size: int | str = "auto",
    output: Output = "log-odds",
    additional_forward_args: Any = None,
    sample_id: int = 0,
) -> Callable[[Bool[np.ndarray, "masks players"]], Float64[np.ndarray, " masks"]]:
    """Return the game of one sample: Boolean masks ``(m, n)``, ``True`` = present, to outputs ``(m,)``.

    Any sampling approximator, shapiq's for instance, takes it as a game; the number of players is not limited.
    Arguments as in `value_table`, one sample; ``sample_id`` fixes its random players as ``sample_ids`` does there.

    Raises
    ------
    ShapeError
        If ``inputs`` hold more than one sample, or the masks are not ``(m, n)``.
    NonFiniteError
        If an output is NaN or infinite; and all that `value_table` raises.

    Examples
    --------
    >>> from interdyn.game import columns
    >>> game = game_function(lambda x: x.sum(1), torch.tensor([[1.0, 2.0]]), output="regression", players=columns())
    >>> game(np.array([[True, False], [True, True]]))
    array([1., 3.])
    """
    forward, tensors = Forward.of(model, inputs, target, output, additional_forward_args)
    if forward.samples != 1:
        raise ShapeError(f"a game is that of one sample; got {forward.samples}. Pass `inputs[i : i + 1]`.")
    rows, device = given_rows(batch_size, None), tensors[0].device
    ids, n = feature_ids(players, feature_mask, tensors, [sample_id])
    masking = Masking(tensors, baseline_tensors(baselines, tensors), ids, n)
    with isolated(model) as network:
        row_bytes = replace(forward, model=network).try_out(tensors)
    batches = Batches(rows or estimated_rows(row_bytes, device))

    def game(masks: Bool[np.ndarray, "masks players"]) -> Float64[np.ndarray, " masks"]:
        present = torch.from_numpy(np.array(masks, dtype=bool))
        if present.ndim != 2 or present.shape[1] != n:
            raise ShapeError(
                f"masks must be Boolean of shape (m, {n}); got {tuple(present.shape)}. Give one column a player."
            )

        def work(start: int, stop: int) -> Tensor:
            sample = torch.zeros(stop - start, dtype=torch.long, device=device)
            return run(masking.block(0, 1, present[start:stop].to(device)), sample)

        with isolated(model) as network:
            run = replace(forward, model=network)
            parts = batches.run(work, len(present))
        values = np.concatenate([part.cpu().numpy() for part in parts]) if parts else np.zeros(0)
        _refuse_non_finite_masks(values, masks)
        return values

    return game


def _refuse_non_finite_masks(values: np.ndarray, masks: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        present = np.flatnonzero(np.asarray(masks)[bad[0]]).tolist()
        raise NonFiniteError(
            f"the model's output must be finite; got {values[bad[0]]} with players {present} present, and "
            f"{len(bad) - 1} more. Check the baseline, and whether training has diverged."
        )
