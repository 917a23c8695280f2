"""What a network computes before a layer, remembered for one sample, so that no batch of masks computes it again.

A module that begins and ends before the layer begins gives, while remembered, a copy of what it gave when it was
recorded, without running. Only the outermost of such modules are kept; what a network computes between them, outside of
any module, runs again on the one row of the sample.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Prefix:
    """The modules that end before a layer begins, and what each gave in the pass that was recorded.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Dropout(1.0), torch.nn.Identity(), torch.nn.Identity())
    >>> before = Prefix(model, model[1])
    >>> with before.recorded():
    ...     _ = model.eval()(torch.ones(1))
    >>> with before.remembered():
    ...     model.train()(torch.zeros(1))  # neither the new input nor the dropout is looked at
    tensor([1.])
    """

    def __init__(self, model: Any, layer: torch.nn.Module) -> None:
        self._model, self._layer = model, layer
        self._calls: list[tuple[torch.nn.Module, Tensor]] = []

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Note what the modules before the layer give in the pass inside the block."""
        calls: list[tuple[torch.nn.Module, Tensor]] = []
        begun: list[int] = []  # for each module that is running: how many calls had ended before it
        reached: list[bool] = []

        def begins(module: torch.nn.Module, _: Any) -> None:
            if module is self._layer:
                reached.append(True)
            begun.append(len(calls))

        def ends(module: torch.nn.Module, _: Any, out: Any) -> None:
            start = begun.pop()
            if not reached and isinstance(out, Tensor):
                calls[start:] = [(module, out.clone())]  # in place of the calls inside it

        modules = list(self._model.modules())
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
        """Let the recorded calls of one pass give what they gave; every later call of these modules runs."""
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
        return outs.popleft().clone() if outs else run(*args, **kwargs)  # a copy: what follows may work in place

    return forward
