"""A training that is measured is, bit for bit, the one that is not: for every kind of network on the bench."""

import gc
import random
import resource
import warnings
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import interdyn as ix
from interdyn.errors import DisturbedError, InterdynWarning, ModelError, PrecisionWarning
from interdyn.game import bare, copy_bytes, isolated, private_copy, value_table
from interdyn.players import columns
from interdyn.schedules import every
from isolation_bench import (
    KINDS,
    SEEN,
    Alone,
    ClassCounter,
    ClassTables,
    Counter,
    Folding,
    Net,
    Rotary,
    _table,
    sequential,
)

STEPS = 3
pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries, about what is old; what we say is in `problems`


def samples():
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2


def told(thing, seen=None):
    """Return everything that a thing holds as plain data, bits of tensors and states of generators among it."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return seen[id(thing)][0]
    if thing is None or isinstance(thing, bool | int | float | str | bytes | type):
        return repr(thing)
    seen[id(thing)] = f"seen {len(seen)}", thing  # kept, so that no other thing gets its number
    if callable(thing) and not isinstance(thing, nn.Module):
        return type(thing).__name__
    if isinstance(thing, nn.parameter.UninitializedTensorMixin):
        return type(thing).__name__
    if isinstance(thing, torch.Tensor):
        data = thing.detach().cpu()
        bits = data.contiguous().view(torch.uint8).numpy().tobytes() if data.ndim else repr(data.item())
        return type(thing), thing.shape, thing.requires_grad, thing.is_inference(), thing.grad_fn is None, bits
    if isinstance(thing, torch.Generator):
        return thing.get_state().numpy().tobytes()
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, np.random.RandomState):
        return repr(thing.get_state())
    if isinstance(thing, np.ndarray):
        return thing.tobytes()
    if isinstance(thing, dict):
        thing = {k: v for k, v in thing.items() if not str(k).startswith("_torchdynamo")}
        names = [k if isinstance(k, str) else i for i, k in enumerate(thing)]  # hooks are numbered one after the other
        return {name: told(v, seen) for name, v in zip(names, list(thing.values()), strict=True)}
    if isinstance(thing, torch.utils.hooks.RemovableHandle):
        return "handle"
    if isinstance(thing, list | tuple | set):
        return [told(v, seen) for v in thing]
    if isinstance(thing, nn.Module) and not isinstance(thing, torch.jit.ScriptModule):
        return told({**vars(thing), **dict(thing.named_buffers())}, seen)
    if isinstance(thing, torch.jit.ScriptModule):
        return told(thing.state_dict(), seen)
    return type(thing).__name__, told(getattr(thing, "__dict__", None), seen)


def trained(make, measure, device="cpu"):
    """Return all that there is after some steps of a training, at each of which the network is measured."""
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    ClassCounter.calls = 0
    for kept in (ClassTables.tables, SEEN):
        kept.clear()
    _table.cache_clear()
    net, (x, y), losses = make().to(device), samples(), []
    x, y = x.to(device), y.to(device)
    x = x.to(torch.bfloat16) if "Counter" in type(net).__name__ and net.enter.weight.dtype == torch.bfloat16 else x
    measured = measure(0, net)
    net(x)  # what is lazy is made before an optimiser holds it
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    for step in range(1, STEPS + 1):
        measured = measure(step, net) and measured
        loss = nn.functional.cross_entropy(net(x).float(), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    net.eval()
    losses.append(net(x).float().sum().item())
    drawn = random.random(), np.random.rand(), torch.rand(1).item(), torch.rand(1, device=device).item()  # noqa: NPY002
    shared = ClassCounter.calls, told(ClassTables.tables), list(SEEN)
    return {
        "losses": losses, "generators": drawn, "network": told(net), "optimiser": told(optimiser.state_dict()),
        "shared": shared, "modes": [m.training for m in net.modules()],
    }, measured  # fmt: skip


NO_FUNCTION = "must give the same output"  # of a network that draws numbers, or keeps a state from pass to pass
NO_TABLE = ("depends on more than what is masked", "must not depend on the others in its batch")


def is_refused(problem):
    return any(words in str(problem) for words in (NO_FUNCTION, *NO_TABLE))


def by_tracker():
    x, y = samples()
    tracker = ix.Tracker((x[:3], y[:3]), players=columns(), schedule=every(1), budget=None)

    def measure(step, net):
        tracker.observe(step, net)
        assert all(map(is_refused, tracker.problems)), tracker.problems
        return len(tracker.steps) + len(tracker.problems) == step + 1

    return measure


def by_measure():
    x, y = samples()

    def measure(_, net):
        try:
            return ix.measure(net, x[:3], target=y[:3], players=columns()).objective.isfinite().all()
        except (ModelError, PrecisionWarning) as error:
            return is_refused(error)

    return measure


class TestBench:
    def test_it_is_long(self):
        assert len(KINDS) >= 40

    @pytest.mark.parametrize("words", KINDS)
    def test_same_bits_with_and_without(self, words):
        if "peft" in words:
            pytest.importorskip("peft")
        make = KINDS[words]
        make()  # the first import of a library may draw numbers
        plain, _ = trained(make, lambda *_: True)
        for way in (by_tracker, by_measure):
            found, measured = trained(make, way())
            assert measured
            for name in plain:
                assert found[name] == plain[name], (way.__name__, name)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    @pytest.mark.parametrize("words", KINDS)
    def test_same_bits_on_a_device(self, words):
        make = KINDS[words]
        make()
        try:
            plain, _ = trained(make, lambda *_: True, device="cuda")
        except (RuntimeError, TypeError):
            pytest.skip("this network is written for the CPU")
        found, measured = trained(make, by_measure(), device="cuda")
        assert measured
        for name in plain:
            assert found[name] == plain[name], name

    def test_nearly_all_are_copied(self):
        alone = {words for words, make in KINDS.items() if "peft" not in words and private_copy(bare(make())) is None}
        assert alone == {words for words in KINDS if "cannot be copied" in words or "gives the network itself" in words}


class Mixed(nn.Module):
    """Notes in which types its layers ran."""

    def __init__(self):
        super().__init__()
        self.body = sequential()

    def forward(self, x):
        out = self.body(x)
        SEEN.append(out.dtype)
        return out


class TestMixedPrecision:
    @pytest.fixture(params=["autocast", "Fabric", "Accelerate", "Accelerate, forward replaced"])
    def network(self, request):
        torch.manual_seed(0)
        net = Mixed()
        if request.param == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                yield net
        elif request.param == "Fabric":
            from lightning.fabric import Fabric

            yield Fabric(accelerator="cpu", precision="bf16-mixed").setup(net)
        else:
            from accelerate import Accelerator

            if "replaced" in request.param:
                run = net.forward
                net.forward = lambda x: run(x)
            yield Accelerator(cpu=True, mixed_precision="bf16").prepare(net)

    def test_is_off(self, network):
        x, y = samples()
        network(x)
        assert SEEN.pop() == torch.bfloat16
        SEEN.clear()
        found = value_table(network, x[:2], target=y[:2], players=columns())
        assert set(SEEN) == {torch.float32}
        network(x)
        assert SEEN.pop() == torch.bfloat16
        torch.manual_seed(0)
        assert torch.equal(found.values, value_table(Mixed(), x[:2], target=y[:2], players=columns()).values)


class Distant(Net):
    """Writes to a network that it finds by name."""

    def between(self, h):
        REGISTRY["network"].leave.bias.data.add_(1.0)
        return h


REGISTRY: dict[str, Distant] = {}


class TestDisturbed:
    def test_a_tracker_stops_and_training_goes_on(self):
        REGISTRY["network"] = net = Distant()
        x, y = samples()
        tracker = ix.Tracker((x, y), players=columns(), schedule=every(1), budget=None)
        with pytest.warns(InterdynWarning, match="must not change a network"):
            assert not tracker.observe(0, net)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not tracker.observe(1, net)
        assert tracker.steps == ()
        assert len(tracker.problems) == 1

    def test_the_message_names_what_changed(self):
        net = Counter()
        with pytest.raises(DisturbedError, match="changed `calls` of Counter"), isolated(net):
            net.calls += 1
        with pytest.raises(DisturbedError, match=r"a tensor of shape \(2,\)"), isolated(net):
            net.leave.bias.data[0] = torch.nan
        with pytest.raises(DisturbedError, match="changed `training` of Linear"), isolated(net):
            net.leave.eval()
        with isolated(net):
            pass

    def test_an_error_of_the_network_is_told_first(self):
        net = Alone()
        before = told(net)
        with pytest.raises(ZeroDivisionError), isolated(net) as network:
            network(samples()[0])[0, 0].item() / 0
        assert told(net) == before
        assert net.training


class TestFunctions:
    @pytest.mark.parametrize("make", [Alone, Counter, Folding])
    def test_what_they_use_is_put_back(self, make):
        torch.manual_seed(0)
        net, (x, y) = make(), samples()
        before = told(net)
        for function in (lambda x: net(x), net.forward, net.__call__):
            with suppress(ModelError, PrecisionWarning):  # of one that keeps a state from pass to pass
                ix.measure(function, x[:2], target=y[:2], players=columns())
            assert told(net) == before

    def test_their_mode_and_hooks_are_theirs(self):
        net, seen, modes = sequential(nn.Dropout(0.0)), [], []
        net[1].register_forward_hook(lambda module, _inputs, out: seen.append(out) or modes.append(module.training))

        def neuron(x):
            net(x)
            return seen.pop()[:, 0]

        x, _ = samples()
        found = value_table(neuron, x[:2], players=columns(), output="regression")
        torch.testing.assert_close(found.values[:, -1], net[0](x[:2])[:, 0].double())
        assert all(modes)


class Silent:
    """Hooks of nobody on the bench."""

    @staticmethod
    def note(_module, inputs):
        if len(inputs) > 9:
            return
        SEEN.append(len(inputs))

    @staticmethod
    def halve(_module, _inputs, out):
        return torch.mul(out, 0.5)


class TestHooks:
    def test_one_that_returns_a_value_is_off_and_told_of(self):
        torch.manual_seed(0)
        net, (x, y), seen = sequential(), samples(), []
        options = {"target": y, "players": columns()}
        plain = value_table(net, x, **options).values
        net[0].register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        net[0].register_forward_pre_hook(Silent.note)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(value_table(net, x, **options).values, plain)
        for hook in (lambda _module, _inputs, out: out * 0, Silent.halve):
            handle = net[0].register_forward_hook(hook)
            with pytest.warns(InterdynWarning, match="hooks that return a value on Linear"):
                assert torch.equal(value_table(net, x, **options).values, plain)
            assert not torch.equal(value_table(lambda x: net(x), x, **options).values, plain)
            handle.remove()

    def test_those_on_all_modules_are_off(self):
        x, y = samples()
        SEEN.clear()
        with nn.modules.module.register_module_forward_hook(lambda *_: SEEN.append(1)):
            value_table(sequential(), x, target=y, players=columns())
            assert not SEEN
            sequential()(x)
            assert SEEN


def test_a_network_that_cannot_be_measured_trains_on():
    class Strict(Net):
        state = None

        def between(self, h):
            out = h if self.state is None else h + self.state
            self.state = out.detach()
            return out

    plain, _ = trained(Strict, lambda *_: True)
    x, y = samples()
    tracker = ix.Tracker((x[:3], y[:3]), players=columns(), schedule=every(1), budget=None)
    found, _ = trained(Strict, tracker.observe)
    assert found == plain
    assert "ModelError" in tracker.problems[-1] or "RuntimeError" in tracker.problems[-1]


class TestMemory:
    def test_five_hundred_measurements_leave_nothing(self):
        x, y = samples()
        nets = [nn.Sequential(nn.Linear(4, 50_000), nn.Linear(50_000, 2)), Alone(), KINDS["lazy layers"]()]
        nets.append(KINDS["hook of the network itself, without which it has no output"]())

        def measured(times):
            for _ in range(times):
                for net in nets:
                    with suppress(ModelError, PrecisionWarning):
                        value_table(net, x[:1], target=y[:1], players=columns().choose(1))
            gc.collect()
            return len(gc.get_objects()), len(list(Path("/proc/self/fd").iterdir()))

        things, files = measured(5)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        things_after, files_after = measured(125)
        assert things_after - things < 100
        assert files_after <= files
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20_000  # a copy of the first takes 1400

    def test_a_copy_goes_with_its_block(self):
        net = KINDS["modules in Python's containers, and a weak reference to the parent"]()
        with isolated(net) as network:
            watched = weakref.ref(network.scale)
            assert watched() is not None
        del network
        gc.disable()
        gone = watched() is None
        gc.enable()
        assert gone

    def test_its_size(self):
        assert copy_bytes(nn.BatchNorm1d(3)) == 4 * 12 + 8
        tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        tied[1].weight = tied[0].weight
        assert copy_bytes(nn.DataParallel(tied)) == 16
        tracker = ix.Tracker(samples(), players=columns(), schedule=every(1))
        assert tracker.estimate(sequential()).copy_bytes == 4 * (30 + 14)
        assert copy_bytes(len) == copy_bytes(nn.LazyLinear(2, bias=False)) == 0


def test_networks_that_cannot_be_copied_give_the_same_numbers():
    x, y = samples()

    class Rigid(Rotary):
        def __deepcopy__(self, memo):
            raise TypeError("this cannot be copied")

    tables = []
    for make in (Rotary, Rigid):
        torch.manual_seed(0)
        tables.append(value_table(make(), x, target=y, players=columns()).values)
    assert torch.equal(*tables)
