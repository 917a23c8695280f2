"""Masking a feature map inside the network, where the part before it runs once for the masks of each sample.

A forward hook on the layer inserts the masked map. To avoid running the part before it, the model is called with *one*
row of input while the hook returns many rows of masked maps: everything after the layer then runs on all of them, and
whatever bypasses it (a residual branch) broadcasts, because all rows belong to one sample. What the modules before the
layer return for that row is cached from the first batch of masks of a sample (``method = "remembered"``). Whether the
model allows this is first tested against a full batch; one that does not has its one row run for every batch
(``"one row"``), or the full batch, the part before the layer included (``"full"``). Once one row fails with an error
for a sample, as a transformer may with padding, full batches are used from that sample on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from interdyn.errors import ModelError
from interdyn.game._batches import Batches, WidestArray, out_of_memory
from interdyn.game._forward import Forward, find_layer
from interdyn.game._masking import Masking, presence
from interdyn.game._user_code import attempted

_TOLERANCE = 1e-4  # between one-row and full-batch runs, relative: float32 kernels differ with the batch


def _hooked(module: torch.nn.Module, hook: Callable[[Any], Any], work: Callable[[], Any]) -> Any:
    handle = module.register_forward_hook(lambda _module, _inputs, out: hook(out))
    try:
        return work()
    finally:
        handle.remove()


def feature_maps(forward: Forward, layer: str, inputs: tuple[Tensor, ...], batches: Batches) -> Tensor:
    """Return the layer's output for each sample, shape ``(samples, ...)``.

    Raises
    ------
    ModelError
        If the layer does not return a tensor with a row per sample, or is used more than once per pass.
    """
    module = find_layer(forward.model, layer)

    def work(start: int, stop: int) -> Tensor:
        rows = torch.arange(start, stop, device=inputs[0].device)
        seen: list[Any] = []

        def note(out: Any) -> None:
            seen.append(out.clone() if isinstance(out, Tensor) else out)  # before anything changes it in place

        _hooked(module, note, lambda: forward.run([x[rows] for x in inputs], rows))
        if len(seen) != 1 or not isinstance(seen[0], Tensor) or len(seen[0]) != len(rows):
            got = [tuple(s.shape) if isinstance(s, Tensor) else type(s).__name__ for s in seen]
            raise ModelError(
                f"layer {layer!r} must return one tensor with a row for each sample, once per forward pass; got {got}. "
                "Choose another layer."
            )
        return seen[0]

    return torch.cat(batches.run(work, len(inputs[0])))


class Prefix:
    """The modules that end before a layer begins, and what each returned in the recorded pass.

    A module that begins and ends before the layer begins returns, while remembered, a copy of its recorded result
    without running. Only the outermost of such modules are stored; computations between them, outside any module, run
    again on the one row of the sample.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Dropout(1.0), torch.nn.Identity(), torch.nn.Identity())
    >>> before = Prefix(model, model[1])
    >>> with before.recorded():
    ...     _ = model.eval()(torch.ones(1))
    >>> with before.remembered():
    ...     model.train()(torch.zeros(1))  # neither the new input nor the dropout matters
    tensor([1.])
    """

    def __init__(self, model: Any, layer: torch.nn.Module) -> None:
        self._model, self._layer = model, layer
        self._calls: list[tuple[torch.nn.Module, Tensor]] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what the modules before the layer return in the pass inside the block."""
        calls: list[tuple[torch.nn.Module, Tensor]] = []
        begun: list[int] = []  # for each running module: how many calls had ended before it
        reached: list[bool] = []

        def begins(module: torch.nn.Module, _: Any) -> None:
            if module is self._layer:
                reached.append(True)
            begun.append(len(calls))

        def ends(module: torch.nn.Module, _: Any, out: Any) -> None:
            start = begun.pop()
            if not reached and isinstance(out, Tensor):
                calls[start:] = [(module, out.clone())]  # replaces the calls inside it

        modules = [m for m in self._model.modules() if not isinstance(m, torch.jit.ScriptModule)]
        handles = [m.register_forward_pre_hook(begins) for m in modules]
        handles += [m.register_forward_hook(ends) for m in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        self._calls = calls

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Let the recorded calls of one pass return their results; later calls of these modules run."""
        given: dict[torch.nn.Module, deque[Tensor]] = {}
        for module, out in self._calls:
            given.setdefault(module, deque()).append(out)
        own = {module: vars(module).get("forward") for module in given}
        for module, outs in given.items():
            vars(module)["forward"] = _giving(outs, module.forward)
        try:
            yield
        finally:
            for module, forward in own.items():
                if forward is None:
                    del vars(module)["forward"]
                else:
                    vars(module)["forward"] = forward


def _giving(outs: deque[Tensor], run: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        return outs.popleft().clone() if outs else run(*args, **kwargs)  # a copy: later layers may work in place

    return forward


class LayerRunner:
    """Forward passes with masked feature maps of one sample at a time."""

    def __init__(self, forward: Forward, layer: str, inputs: tuple[Tensor, ...], masking: Masking) -> None:
        self.inputs, self.masking = inputs, masking
        self._forward = forward
        self._module = find_layer(forward.model, layer)
        self._before = Prefix(forward.model, self._module)
        self._sample = -1  # whose prefix is remembered
        self.method = self._tried_out()

    @property
    def row_bytes(self) -> int | None:
        """Bytes of the widest array that one map creates on its way to the output; None if the whole network runs."""
        if self.method == "full":
            return None
        maps = self._ends()
        with WidestArray() as widest:

            def enter(_: Any) -> Tensor:
                widest.bytes = 0
                return maps

            self._pass(0, maps, method="one row", hook=enter)
        return int(widest.bytes) // 2

    def values(self, sample: int, start: int, stop: int) -> Tensor:
        """Return the scalar outputs of subsets ``start..stop-1`` of one sample."""
        (maps,) = self.masking.block(sample, sample + 1, presence(start, stop, self.masking.n, self.masking.device))
        if self.method != "full":
            found = attempted(partial(self._pass, sample, maps, method=self.method))
            if isinstance(found, Tensor):
                return found
            if out_of_memory(found):
                try:
                    raise found
                finally:
                    del found  # it holds arrays alive
            self.method = "full"
        return self._pass(sample, maps, method="full")

    def _pass(self, sample: int, maps: Tensor, *, method: str, hook: Callable[[Any], Tensor] | None = None) -> Tensor:
        rows = torch.full((len(maps),), sample, device=self.masking.device)
        inputs = [x[rows if method == "full" else rows[:1]] for x in self.inputs]
        context: AbstractContextManager[None] = nullcontext()
        if method == "remembered":
            context = self._before.remembered() if sample == self._sample else self._before.recorded()
            self._sample = -1  # until the pass has finished
        with context:
            result = _hooked(self._module, hook or (lambda _: maps), lambda: self._forward(inputs, rows))
        if method == "remembered":
            self._sample = sample
        assert isinstance(result, Tensor)
        return result

    def _ends(self) -> Tensor:
        """Return new maps of the first sample with no and with all players: a pass may work in place."""
        ends = torch.tensor([[False], [True]], device=self.masking.device).expand(2, self.masking.n)
        (maps,) = self.masking.block(0, 1, ends)
        return maps

    def _tried_out(self) -> str:
        """Return the cheapest method that agrees with full rows for the maps with no and with all players."""
        full = self._pass(0, self._ends(), method="full")
        for method in ("remembered", "one row"):
            found = attempted(partial(self._repeated, method))  # full rows went through before
            close = isinstance(found, Tensor) and torch.allclose(
                found, full, rtol=_TOLERANCE, atol=_TOLERANCE * float(full.abs().max() + 1)
            )
            if close:
                return method
        return "full"

    def _repeated(self, method: str) -> Tensor:
        """Return the result of the second of two passes, the first that may use the cache."""
        self._pass(0, self._ends(), method=method)
        return self._pass(0, self._ends(), method=method)
