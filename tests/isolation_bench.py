"""Networks that keep, build, count or draw something when they are run: what a measurement could disturb."""

import functools
import random
import threading
import weakref
from collections import deque
from tempfile import TemporaryFile
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.checkpoint import checkpoint

KINDS = {}
SEEN: list[int] = []  # of hooks that write to a global


def kind(words):
    """Enter a factory of a network into the bench."""

    def enter(make):
        KINDS[words] = make
        return make

    return enter


class Net(nn.Module):
    """Two layers with what a kind does between them."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(4, 6), nn.Linear(6, 2)
        self.build()

    def build(self):
        pass

    def between(self, h):
        return h

    def forward(self, x):
        return self.leave(self.between(self.enter(x)).tanh())


def sequential(*between):
    return nn.Sequential(nn.Linear(4, 6), *between, nn.Tanh(), nn.Linear(6, 2))


@kind("dropout and batch norm")
def _():
    return sequential(nn.BatchNorm1d(6), nn.Dropout(0.3))


@kind("some layers in eval mode in a training")
def _():
    net = sequential(nn.BatchNorm1d(6), nn.Dropout(0.3))
    net[1].eval().requires_grad_(False)
    return net


@kind("batch norm with a cumulative mean, or none")
def _():
    return sequential(nn.BatchNorm1d(6, momentum=None), nn.InstanceNorm1d(6, track_running_stats=False))


@kind("low-rank layer that folds in eval mode")
class Folding(Net):
    def build(self):
        self.a, self.b, self.folded = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.zeros(6, 2)), False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.folded:
            self.enter.weight.data += (-1 if mode else 1) * (self.b.data @ self.a.data)
            self.folded = not mode
        return self

    def forward(self, x):
        h = self.enter(x) if self.folded else self.enter(x) + (x @ self.a.T) @ self.b.T
        return self.leave(h.tanh())


@kind("the same, and it cannot be copied")
class FoldingAlone(Folding):
    def __deepcopy__(self, memo):
        raise TypeError("this cannot be copied")


@kind("rotary table built in the first pass")
class Rotary(Net):
    table = None

    def between(self, h):
        if self.table is None:
            self.table = torch.cos(torch.arange(h.shape[1]) * 0.1)
        return h * self.table


@kind("causal mask registered as a buffer in the first pass")
class Causal(Net):
    def between(self, h):
        if "mask" not in self._buffers:
            self.register_buffer("mask", torch.ones(6, 6).tril(), persistent=False)
        return h @ self.mask


@kind("tables in a dictionary, by length of the batch")
class Tables(Net):
    def build(self):
        self.tables = {}

    def between(self, h):
        return h * self.tables.setdefault(len(h), torch.full((1,), 0.5))


@kind("tables in an attribute of the class")
class ClassTables(Net):
    tables: ClassVar = {}

    def between(self, h):
        return h * self.tables.setdefault(len(h), torch.full((1,), 0.5))


@functools.lru_cache
def _table(length):
    return torch.linspace(0, 1, length)


@kind("tables that a cached function makes")
class CachedTables(Net):
    def between(self, h):
        return h * _table(h.shape[1])


@kind("recurrent state, begun anew for another batch size")
class Recurrent(Net):
    def build(self):
        self.cell, self.state = nn.GRUCell(6, 6), None

    def between(self, h):
        if self.state is None or len(self.state) != len(h):
            self.state = torch.zeros_like(h)
        self.state = self.cell(h, self.state).detach()
        return h + self.state


@kind("recurrent state with its graph")
class RecurrentGraph(Net):
    last = None

    def between(self, h):
        out = h if self.last is None else h + 0.1 * self.last.detach().mean(0)
        self.last = h
        return out


@kind("recurrent state in a list")
class RecurrentList(Net):
    def build(self):
        self.states = [deque([torch.zeros(6)], maxlen=3)]

    def between(self, h):
        self.states[0].append(h.mean(0))
        return h + sum(s.detach() for s in self.states[0])


@kind("quantisation observers")
class Observed(Net):
    def build(self):
        self.observer = torch.ao.quantization.MovingAverageMinMaxObserver()
        self.fake = torch.ao.quantization.FakeQuantize()

    def between(self, h):
        return self.fake(self.observer(h))


@kind("observers put on as hooks")
def _():
    net = sequential(nn.ReLU())
    net.qconfig = torch.ao.quantization.get_default_qat_qconfig("fbgemm")
    return torch.ao.quantization.prepare_qat(net.train())


@kind("counter as a buffer")
class BufferCounter(Net):
    def build(self):
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def between(self, h):
        self.calls += 1
        return h * (1 + 0.01 * self.calls)


@kind("buffer that is replaced")
class BufferReplaced(Net):
    def build(self):
        self.register_buffer("calls", torch.zeros(()))

    def between(self, h):
        self.calls = self.calls + h.detach().mean()
        return h + self.calls


@kind("counter as an attribute")
class Counter(Net):
    calls = 0

    def between(self, h):
        self.calls += 1
        return h / self.calls


@kind("counter as an attribute of the class")
class ClassCounter(Net):
    calls = 0

    def between(self, h):
        type(self).calls += 1
        return h / (1 + 0.01 * self.calls)


@kind("counters in an object")
class ObjectCounter(Net):
    class Box:
        __slots__ = ("calls", "last")

        def __init__(self):
            self.calls, self.last = 0, None

    def build(self):
        self.boxes = {"one": self.Box()}

    def between(self, h):
        box = self.boxes["one"]
        box.calls, box.last = box.calls + 1, h
        return h / box.calls


@kind("statistics in NumPy")
class Statistics(Net):
    def build(self):
        self.seen = np.zeros(6)

    def between(self, h):
        self.seen += h.detach().mean(0).double().numpy()
        return h + torch.from_numpy(self.seen).float()


@kind("exponential average of weights in forward")
class Average(Net):
    def build(self):
        self.average = AveragedModel(self.enter, multi_avg_fn=get_ema_multi_avg_fn(0.9))

    def between(self, h):
        self.average.update_parameters(self.enter)
        return h + self.average.module.bias.detach()


@kind("averaged weights, as of SWA")
def _():
    return AveragedModel(Net(), use_buffers=True)


@kind("running mean that changes in eval mode too")
class RunningMean(Net):
    def build(self):
        self.register_buffer("mean", torch.zeros(6))

    def between(self, h):
        self.mean.mul_(0.9).add_(0.1 * h.detach().mean(0))
        return h - self.mean


@kind("weight norm, old")
def _():
    net = sequential()
    nn.utils.weight_norm(net[0])
    return net


@kind("weight norm, new")
def _():
    net = sequential()
    parametrizations.weight_norm(net[0])
    return net


@kind("spectral norm, old")
def _():
    net = sequential()
    nn.utils.spectral_norm(net[0])
    return net


@kind("spectral norm, new")
def _():
    net = sequential()
    parametrizations.spectral_norm(net[0])
    return net


@kind("orthogonal weights")
def _():
    net = sequential(nn.Linear(6, 6))
    parametrizations.orthogonal(net[1])
    return net


@kind("pruned weights")
def _():
    net = sequential()
    prune.l1_unstructured(net[0], "weight", amount=3)
    return net


@kind("lazy layers")
def _():
    return nn.Sequential(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.Tanh(), nn.LazyLinear(2))


@kind("lazy layers, and they cannot be copied")
def _():
    class Lazy(nn.Sequential):
        def __deepcopy__(self, memo):
            raise TypeError("this cannot be copied")

    return Lazy(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.Tanh(), nn.LazyLinear(2))


@kind("generator of its own, torch")
class OwnTorch(Net):
    def build(self):
        self.generator = torch.Generator().manual_seed(3)

    def between(self, h):
        return h + 0.1 * torch.rand(6, generator=self.generator)


@kind("generators of its own, NumPy and Python")
class OwnOthers(Net):
    def build(self):
        self.draws = np.random.default_rng(3), np.random.RandomState(3), random.Random(3)

    def between(self, h):
        new, old, python = self.draws
        return h + 0.1 * (new.random() + old.rand() + python.random())


@kind("the same, and it cannot be copied")
class OwnAlone(OwnTorch, OwnOthers):
    def build(self):
        OwnTorch.build(self)
        OwnOthers.build(self)

    def between(self, h):
        return OwnOthers.between(self, OwnTorch.between(self, h))

    def __deepcopy__(self, memo):
        raise TypeError("this cannot be copied")


@kind("Python, NumPy and torch randomness in forward")
class Random(Net):
    def between(self, h):
        scale = random.random() + np.random.rand()  # noqa: NPY002
        return nn.functional.dropout(h * scale, 0.2) + torch.rand(6)


@kind("hook with a memory")
def _():
    net, seen = sequential(), []

    def hook(_module, _inputs, out):
        seen.append(out.detach())
        return out + 0.01 * len(seen)

    net[0].register_forward_hook(hook)
    net.memory = seen
    return net


@kind("hook that writes to a global, and one on all modules")
def _():
    net = sequential()
    net[0].register_forward_hook(lambda _module, _inputs, _out: SEEN.append(1))
    net[0].register_forward_pre_hook(lambda _module, _inputs: SEEN.append(2))
    net[0].register_full_backward_hook(lambda _module, _inputs, _out: SEEN.append(3))
    return net


@kind("hook that needs a gradient")
def _():
    net = sequential()
    net[0].register_forward_hook(lambda _module, _inputs, out: out.retain_grad())
    return net


@kind("hook of the network itself, without which it has no output")
class Extractor(Net):
    def build(self):
        self.features, self.handle = {}, self.enter.register_forward_hook(self.keep)
        self.leave.register_forward_hook(lambda _module, _inputs, out: self.features.update(leave=out))

    def keep(self, _module, _inputs, out):
        self.features["enter"] = out

    def forward(self, x):
        super().forward(x)
        return self.features["leave"] + self.features["enter"][:, :2]


@kind("keys and values that are kept")
class KeyValues(Net):
    class Cache:
        def __init__(self):
            self.keys, self.lock = [], threading.Lock()

    def build(self):
        self.cache = self.Cache()

    def between(self, h):
        with self.cache.lock:
            self.cache.keys = [*self.cache.keys[-2:], h]
        return h + torch.stack([k.detach().mean(0) for k in self.cache.keys]).mean(0)


@kind("gradient checkpointing")
class Checkpointed(Net):
    def build(self):
        self.dropout = nn.Dropout(0.2)

    def between(self, h):
        return checkpoint(self.dropout, h, use_reentrant=False)


@kind("tied weights")
class Tied(Net):
    def build(self):
        self.back = nn.Linear(6, 4, bias=False)
        self.back.weight = nn.Parameter(self.enter.weight.T.detach().clone())
        self.enter.weight = nn.Parameter(torch.randn(6, 4))
        self.again = self.enter

    def between(self, h):
        return self.again(h @ self.enter.weight)


@kind("modules in Python's containers, and a weak reference to the parent")
class Parent(Net):
    class Child(nn.Module):
        def forward(self, h):
            self.parent().calls += 1
            return h * self.parent().scale

    def build(self):
        self.scale, self.calls = nn.Parameter(torch.ones(6)), 0
        self.child = self.Child()
        self.child.parent = weakref.ref(self)
        self.steps = [lambda h: self.again(h), functools.partial(self.again)]

    def again(self, h):
        self.calls += 1
        return h

    def between(self, h):
        for step in self.steps:
            h = step(h)
        return self.child(h)


@kind("forward that was replaced by a function around it")
def _():
    net, calls = Counter(), []
    run = net.forward

    def forward(x):
        calls.append(len(x))
        return run(x) + 0.01 * len(calls)

    net.forward = forward
    net.memory = calls
    return net


REPLACED: nn.Module = nn.Identity()


@kind("forward by a global name of the network, which then cannot be copied")
def _():
    globals()["REPLACED"] = net = sequential(nn.BatchNorm1d(6), nn.Dropout(0.3))
    net.forward = lambda x: nn.Sequential.forward(REPLACED, x)
    return net


@kind("lock, open file and generator function among the attributes")
class Opened(Net):
    def build(self):
        self.lock, self.file, self.flow = threading.RLock(), TemporaryFile(), (n for n in range(10))  # noqa: SIM115

    def between(self, h):
        with self.lock:
            return h


@kind("training and eval of its own that return nothing")
class Silent(Net):
    modes = 0

    def train(self, mode=True):
        super().train(mode)
        self.modes += 1

    def eval(self):
        self.train(mode=False)


@kind("data set, optimiser and learning rates among the attributes")
class Whole(Net):
    def build(self):
        self.data = torch.utils.data.TensorDataset(torch.zeros(3, 4))
        self.optimiser = torch.optim.Adam(self.enter.parameters())
        self.rates = torch.optim.lr_scheduler.StepLR(self.optimiser, 3)


@kind("copying gives the network itself")
class Single(Counter):
    def __deepcopy__(self, memo):
        return self


class Alone(Net):
    def build(self):
        self.norm, self.calls, self.table, self.box = nn.BatchNorm1d(6), 0, None, ObjectCounter.Box()
        self.register_buffer("seen", torch.zeros(6))
        self.states, self.array, self.lazy = [], np.zeros(6), nn.Dropout(0.2)

    def between(self, h):
        self.calls += 1
        self.table = torch.ones(6) if self.table is None else self.table
        self.states.append(h)
        self.seen.add_(h.detach().mean(0))
        self.array += 1
        self.leave.bias.data += 0.01
        return self.lazy(self.norm(h)) * self.table + self.seen / self.calls + float(self.array[0])

    def __deepcopy__(self, memo):
        raise TypeError("this cannot be copied")


@kind("nearly all of this, and it cannot be copied")
def _():
    net = Alone()
    net.norm.register_forward_hook(lambda *_: SEEN.append(1))
    return net


@kind("gradient inside forward")
class Force(Net):
    def between(self, h):
        with torch.enable_grad():
            z = h if h.requires_grad else h.detach().requires_grad_()
            (force,) = torch.autograd.grad(z.square().sum(), z, create_graph=self.training)
        return h + 0.1 * force


@kind("attention")
def _():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
            self.place, self.leave = nn.Linear(1, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.leave(self.body(self.place(x[..., None])).mean(1))

    return Words()


@kind("LSTM")
def _():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.leave = nn.LSTM(1, 6, batch_first=True), nn.Linear(6, 2)

        def forward(self, x):
            return self.leave(self.body(x[..., None])[0][:, -1])

    return Rows()


@kind("traced to a graph")
def _():
    return torch.fx.symbolic_trace(sequential(nn.BatchNorm1d(6)))


@kind("scripted")
def _():
    return torch.jit.script(sequential(nn.BatchNorm1d(6), nn.Dropout(0.2)))


@kind("data-parallel wrapper")
def _():
    return nn.DataParallel(BufferCounter())


@kind("half precision")
def _():
    return Counter().to(torch.bfloat16)


@kind("a part compiled")
def _():
    net = Counter()
    net.enter = torch.compile(net.enter, backend="eager")
    net.leave.compile(backend="eager")
    return net


@kind("compiled as a whole")
def _():
    return torch.compile(Rotary(), backend="eager")


@kind("low-rank layers of peft")
def _():
    import peft

    return peft.get_peft_model(sequential(nn.Dropout(0.1)), peft.LoraConfig(target_modules=["0"], lora_dropout=0.1))


def _ids(network, **words):
    class Reader(nn.Module):
        """Reads the columns as tokens, which a measurement masks as numbers."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network((x.abs() * 5).long().clamp(1, 19), **words).logits

    return Reader()


@kind("BERT of transformers, with checkpointing")
def _():
    import transformers as hf

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    net = hf.BertForSequenceClassification(hf.BertConfig(vocab_size=20, max_position_embeddings=8, **sizes))
    net.gradient_checkpointing_enable()
    return _ids(net)


@kind("Llama of transformers: rotary positions, and keys and values")
def _():
    import transformers as hf

    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    config = hf.LlamaConfig(vocab_size=20, max_position_embeddings=8, pad_token_id=0, **sizes)
    return _ids(hf.LlamaForSequenceClassification(config), use_cache=True)


@kind("T5 of transformers: tied weights, hooks for gradients")
def _():
    import transformers as hf

    net = hf.T5EncoderModel(hf.T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    net.enable_input_require_grads()

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.leave = net, nn.Linear(8, 2)

        def forward(self, x):
            ids = (x.abs() * 5).long().clamp(1, 19)
            return self.leave(self.body(ids, output_hidden_states=True).hidden_states[-1].mean(1))

    return Head()


@kind("Lightning module")
def _():
    from lightning.pytorch import LightningModule

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters()
            self.body = Counter()

        def forward(self, x):
            return self.body(x)

    return Module()
