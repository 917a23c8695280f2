"""A tracker in loops of one's own: it counts optimiser steps and leaves every kind of training as it was."""

import csv
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from adapters_world import STOPS, Turning, data, handed_on, network, same, tracker, turning_tracker
from interdyn.errors import InputError, InterdynWarning
from interdyn.tracking.loggers import CSVLogger
from interdyn.tracking.pytorch import watching


class Whole(nn.Module):
    """A network with a forward of its own: what `nn.Module.compile` can take hold of."""

    def __init__(self):
        super().__init__()
        self.network = network()

    def forward(self, x):
        return self.network(x)


def plain(net, optimiser, x, y):
    for _ in range(20):
        rows = torch.randperm(len(x))[:16]
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
    return net.state_dict()


def accumulating_under_autocast(net, optimiser, x, y):
    for batch in range(60):
        rows = torch.randperm(len(x))[:16]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
        loss.backward()
        if batch % 3 == 2:
            optimiser.step()
            optimiser.zero_grad()
    return net.state_dict()


def with_an_average(net, optimiser, x, y):
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    optimiser.register_step_post_hook(lambda *_: average.update_parameters(net))
    plain(net, optimiser, x, y)
    return average.state_dict()


def compiled(net, optimiser, x, y):
    plain(torch.compile(net, backend="eager"), optimiser, x, y)
    return net.state_dict()


def compiled_in_place(net, optimiser, x, y):
    net.compile(backend="eager")
    return plain(net, optimiser, x, y)


@pytest.mark.parametrize(
    "training",
    [plain, accumulating_under_autocast, with_an_average, compiled, compiled_in_place],
    ids=lambda f: f.__name__,
)
def test_a_watched_training_ends_with_the_same_bits(training):
    def run(watch):
        torch.compiler.reset()
        torch.manual_seed(1)
        net = Whole()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        if watch is None:
            return training(net, optimiser, *data())
        with watching(watch, net, optimiser):
            return training(net, optimiser, *data())

    watch = tracker()
    same(run(watch), run(None))
    assert watch.steps == (0, 4, 8, 12, 16, 20)


def test_the_average_may_be_watched_too():
    def run(watch):
        torch.manual_seed(1)
        net = network()
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
        optimiser.register_step_post_hook(lambda *_: average.update_parameters(net))
        if watch is not None:
            with watching(watch, average, optimiser):
                plain(net, optimiser, *data())
        else:
            plain(net, optimiser, *data())
        return average.state_dict()

    same(run(tracker()), run(None))


def test_looking_compiles_nothing():
    compilations = []

    def counting(graph, _inputs):
        compilations.append(graph)
        return graph.forward

    torch.compiler.reset()
    x, _ = data()
    net = Whole()
    net.compile(backend=counting)
    net(x)
    assert len(compilations) == 1
    watch = tracker()
    watch.observe(0, net)
    assert watch.steps == (0,)
    assert len(compilations) == 1
    net.eval()(x)  # nor has looking, which is in eval mode too, kept anything from being compiled
    assert len(compilations) == 2


def test_losses_are_means_since_the_look_before_and_stay_tensors_until_then():
    watch = tracker()
    net = network()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.0)
    with watching(watch, net, optimiser) as watched:
        for step in range(1, 9):
            watched.note(train_loss=torch.tensor(float(step), requires_grad=True))
            if step == 6:
                watched.note(test_loss=0.5)
            optimiser.step()
    assert watch.trajectory.train_loss[1:].tolist() == [2.5, 6.5]
    assert watch.trajectory.test_loss[2] == 0.5


def test_a_continued_training_goes_on_counting_and_the_hook_goes_with_the_block(tmp_path):
    net = network()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    watch = tracker(out=tmp_path / "run")
    with watching(watch, net, optimiser, steps_done=6):
        plain(net, optimiser, *data())
    plain(net, optimiser, *data())
    assert watch.steps == (6, 8, 12, 16, 20, 24, 26)
    with watching(watch, net, optimiser, steps_done=27):  # the same tracker, closed and opened again
        plain(net, optimiser, *data())
    assert watch.steps == (6, 8, 12, 16, 20, 24, 26, 28, 32, 36, 40, 44, 47)
    again = tracker(out=tmp_path / "run")
    assert again.steps[-1] == 47
    again.close()


def test_it_stops_when_training_harms():
    net, watch = Turning(), turning_tracker()
    optimiser = torch.optim.SGD(net.parameters(), lr=1.0)
    with watching(watch, net, optimiser) as watched:
        for _ in range(60):
            optimiser.zero_grad()
            (-net(torch.ones(2, 4))[:, 1].mean()).backward()
            optimiser.step()
            if watched.should_stop:
                break
    assert watched.step == watch.steps[-1] == int(net.age) == STOPS
    assert watch.best_step == 8
    assert not turning_tracker(stop_when=None).should_stop


def test_an_optimiser_without_hooks_is_refused():
    with pytest.raises(InputError, match="got Module"), watching(tracker(), network(), nn.Module()):
        pass


def test_a_table_of_the_looks(tmp_path):
    net, path = network(), tmp_path / "deep" / "looks.csv"
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    watch = tracker(loggers=[CSVLogger(path)])
    with watching(watch, net, optimiser):
        plain(net, optimiser, *data())
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {int(row.pop("step")): {k: float(v) for k, v in row.items()} for row in rows} == handed_on(watch)
    orders = [f"interactions/order_{k:02d}/strength" for k in range(1, 7)]
    assert list(rows[0]) == [*orders, "interactions/mean_order", "interactions/phase"]


def test_a_table_keeps_its_rows_where_columns_come_later(tmp_path, caplog):
    path = tmp_path / "looks.csv"
    table = CSVLogger(path)
    table.log_metrics({"interactions/phase": 0.0}, 0)  # nothing is salient yet
    assert not caplog.messages
    table.log_metrics({"interactions/mean_order": 1.5, "interactions/phase": 1.0}, 4)
    CSVLogger(path).log_metrics({"interactions/phase": 2.0}, 8)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["step", "interactions/phase", "interactions/mean_order"],
        ["0", "0.0", ""],
        ["4", "1.0", "1.5"],
        ["8", "2.0", ""],
    ]
    assert ["from step 4 on: interactions/mean_order; its rows are kept" in text for text in caplog.messages] == [True]
    assert [file.name for file in tmp_path.iterdir()] == ["looks.csv"]


def test_a_logger_that_fails_is_a_problem_of_its_own():
    class Fails:
        def log_metrics(self, *_):
            raise OSError("no network")

    kept = []

    class Keeps:
        def log_metrics(self, _, step):
            kept.append(step)

    def run(watch):
        torch.manual_seed(1)
        net = network()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
        with watching(watch, net, optimiser):
            return plain(net, optimiser, *data())

    watch = tracker(loggers=[Fails(), Keeps()], strict=False)
    with pytest.warns(InterdynWarning, match="training continues. step 0, Fails: OSError: no network"):
        run(watch)
    assert watch.steps == tuple(kept) == (0, 4, 8, 12, 16, 20)
    assert len(watch.problems) == 6
    with pytest.raises(OSError, match="no network"):
        run(tracker(loggers=[Fails()]))


def test_time_for_loggers_is_counted_once(monkeypatch):
    now = [0.0]
    for module in ("_tracker", "_following", "_pricing"):
        monkeypatch.setattr(f"interdyn.tracking.{module}.perf_counter", lambda: now[0])
    monkeypatch.setattr(
        "interdyn.measurement._history.online_verdict",
        lambda *given, **more: now.__setitem__(0, now[0] + 1.0) or verdict(*given, **more),
    )
    from interdyn.dynamics import online_verdict as verdict

    class Slow:
        def log_metrics(self, *_):
            now[0] += 2.0

    watch = tracker(loggers=[Slow()])
    for step in range(9):
        watch.observe(step, network())
        now[0] += 10.0
    assert watch.steps == (0, 4, 8)
    assert watch.measuring_seconds == 9.0
    _ = watch.verdict  # known since the look
    assert watch.measuring_seconds == 9.0
    assert watch.training_seconds == 80.0


def test_what_is_not_installed_is_named_with_the_line_to_type_and_nothing_is_loaded_unasked():
    code = """
import sys
from importlib import import_module
import interdyn.tracking, interdyn.tracking.loggers, interdyn.tracking.pytorch
packages = {"accelerate": "accelerate", "hugging_face": "transformers", "keras": "keras", "lightning": "lightning"}
print(sorted(set(packages.values()) & set(sys.modules)))
for module, package in packages.items():
    sys.modules[package] = None
    try:
        import_module(f"interdyn.tracking.{module}")
    except interdyn.errors.MissingExtraError as error:
        print(str(error).split("Install it: ")[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extras = ["accelerate", "hf", "keras", "lightning"]
    assert done.stdout.splitlines() == ["[]", *(f"pip install 'interdyn[{extra}]'" for extra in extras)]


class Halves(torch.optim.Optimizer):
    """An optimiser whose steps are done in two halves that are called by name, as sharpness-aware ones are."""

    def __init__(self, parameters, inner=True):
        super().__init__(parameters, {"lr": 0.1})
        self.inner = torch.optim.SGD(self.param_groups, lr=0.1) if inner else None

    def first_half(self):
        self.zero_grad()

    def second_half(self):
        if self.inner is not None:
            self.inner.step()
        else:
            with torch.no_grad():
                for p in self.param_groups[0]["params"]:
                    p -= 0.1 * p.grad
        self.zero_grad()

    def step(self, closure):
        closure()
        self.first_half()
        closure()
        self.second_half()


@pytest.mark.parametrize("inner", [True, False], ids=["by an optimiser inside", "by hand"])
def test_an_optimiser_whose_step_is_never_called_is_told(inner):
    net = network()
    optimiser = Halves(net.parameters(), inner=inner)
    watch = tracker()
    with warnings.catch_warnings(record=True, action="always") as told, watching(watch, net, optimiser):
        for call in range(20):
            by_halves_once(net, optimiser)
            if inner and call == 8:
                assert len(watch.problems) == 1  # at once, where there is anything to see
    assert len(told) == len(watch.problems) == 1
    assert "`step` is not called" in str(told[0].message)
    assert "Call tracker.observe(step, model)" in str(told[0].message)
    assert watch.steps == (0,)


def by_halves_once(net, optimiser):
    x, y = data()
    for half in (optimiser.first_half, optimiser.second_half):
        nn.functional.cross_entropy(net(x), y).backward()
        half()


def test_the_same_optimiser_called_as_a_whole_is_counted_and_nothing_is_said():
    net, (x, y) = network(), data()
    optimiser = Halves(net.parameters())
    watch = tracker()
    with watching(watch, net, optimiser):
        for _ in range(20):
            optimiser.step(lambda: nn.functional.cross_entropy(net(x), y).backward())
    assert watch.steps == (0, 4, 8, 12, 16, 20)
    assert not watch.problems


def test_a_second_optimiser_that_trains_the_rest_more_often_is_no_reason_to_warn():
    net = network()
    head = torch.optim.SGD(net[-1].parameters(), lr=0.1)
    body = torch.optim.SGD(net[0].parameters(), lr=0.1)
    watch = tracker()
    with watching(watch, net, head):
        for batch in range(24):
            body.zero_grad()
            nn.functional.cross_entropy(net(data()[0]), data()[1]).backward()
            body.step()
            if batch % 3 == 2:
                head.step()
    assert watch.steps == (0, 4, 8)
    assert not watch.problems


def test_weights_put_back_after_the_last_step_are_not_measured_as_its_own(caplog):
    net = network()
    best = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    watch = tracker()
    with watching(watch, net, optimiser):
        plain(net, optimiser, *data())
        optimiser.step()
        net.load_state_dict(best)
    assert watch.steps == (0, 4, 8, 12, 16, 20)
    assert watch.counts.missed == {"the last network, whose weights were changed after its last step": 1}
    assert "7 measurements planned, 6 taken, 1 missed" in caplog.messages[-1]
