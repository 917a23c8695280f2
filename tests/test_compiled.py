"""Compiled loops: the course of the split, workers, what happens without Numba or without a place for its cache."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from interdyn import compiled
from interdyn.compiled import _numba
from interdyn.errors import InputError, SpeedWarning, TooLargeError
from interdyn.sparsify import _effort, _solve, expected_seconds, split
from interdyn.sparsify._admm import first_point, improve
from interdyn.sparsify._problem import Problem, Units
from interdyn.transforms import _mobius, and_from_values
from test_sparsify import networklike


def problem_of(v, order_weight=0.02):
    table = Units.of(v).table
    return Problem.weighted(table, 0.02 * table[:, -1:].abs(), order_weight)


def by_tensors(problem, *, tol, max_iter=20_000):
    best = first_point(problem)
    improve(problem, best, torch.arange(len(problem.v)), tol=tol, max_iter=max_iter)
    return best


@pytest.mark.parametrize(("n", "tables"), [(1, 4), (2, 4), (3, 5), (6, 64), (8, 64), (10, 64), (11, 4)])
def test_the_compiled_course_is_that_of_the_twin(n, tables, generator):
    problem = problem_of(networklike(tables, n, generator))
    fast = _solve.solve(problem, tol=1e-3, max_iter=20_000)
    slow = by_tensors(problem, tol=1e-3)
    assert torch.equal(fast.steps, slow.steps)
    torch.testing.assert_close(fast.primal, slow.primal, rtol=1e-9, atol=0)
    torch.testing.assert_close(fast.dual, slow.dual, rtol=1e-9, atol=0)
    torch.testing.assert_close(fast.x, slow.x, rtol=0, atol=1e-7 * float(slow.x.abs().max()))


@pytest.mark.parametrize("n", [5, 11])
def test_the_twin_of_tilted_problems_within_a_budget(n, generator):
    problem = problem_of(networklike(3, n, generator))
    signs = torch.randint(0, 2, (3, 2, 2**n), generator=generator).double() * 2 - 1
    signs[2, 0, :-1] = signs[2, 1] = 0.0
    price = torch.tensor([0.01, 0.3, 1.2], dtype=torch.float64)[:, None, None]  # the last makes a slope of a wrong sign
    low, high = problem.low - price * signs, problem.high - price * signs
    low[:, 0, 0], high[:, 0, 0] = problem.low[0, 0, 0], problem.high[0, 0, 0]
    least = _solve.solve(problem_of(problem.v, 0.0), tol=1e-3, max_iter=20_000).primal
    problem = Problem(problem.v, problem.bound, low, high, torch.arange(3), 1.01 * least)
    fast = _solve.solve(problem, tol=2e-3, max_iter=20_000)
    slow = by_tensors(problem, tol=2e-3)
    assert torch.equal(fast.steps, slow.steps)
    torch.testing.assert_close(fast.primal, slow.primal, rtol=1e-6, atol=0)


@pytest.mark.parametrize("max_iter", [1, 7, 25, 30])
def test_the_step_limit_falls_where_it_is_set(max_iter, generator):
    problem = problem_of(networklike(7, 5, generator))
    fast = _solve.solve(problem, tol=1e-9, max_iter=max_iter)
    slow = by_tensors(problem, tol=1e-9, max_iter=max_iter)
    assert torch.equal(fast.steps, slow.steps)
    torch.testing.assert_close(fast.primal, slow.primal, rtol=1e-9, atol=0)


@pytest.mark.parametrize("n", [7, 11])
def test_results_depend_neither_on_threads_nor_on_neighbours(n, generator, monkeypatch):
    monkeypatch.setattr(_solve, "_BRIEF", 0)
    v = networklike(9, n, generator)
    one, three = split(v, threads=1), split(v, threads=3)
    assert torch.equal(one.i_and, three.i_and)
    assert torch.equal(one.i_or, three.i_or)
    assert torch.equal(one.gap, three.gap)
    for i in (0, 4, 8):
        assert torch.equal(split(v[i]).i_and, one.i_and[i])
    assert torch.equal(split(v.flip(0)).i_or.flip(0), one.i_or)


def test_threads_are_counted(monkeypatch):
    assert compiled.worker_count(3) == 3
    monkeypatch.setenv("INTERDYN_THREADS", "2")
    assert compiled.worker_count() == 2
    assert compiled.worker_count(1) == 1
    monkeypatch.delenv("INTERDYN_THREADS")
    assert 1 <= compiled.worker_count() <= os.cpu_count()


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads_that_cannot_be(threads, generator):
    with pytest.raises(InputError, match="`threads` must be an integer"):
        split(networklike(1, 4, generator), threads=threads)


def test_threads_of_the_environment_that_cannot_be(monkeypatch, generator):
    monkeypatch.setenv("INTERDYN_THREADS", "0")
    with pytest.raises(InputError, match="INTERDYN_THREADS"):
        split(networklike(1, 4, generator))


def test_a_failing_worker_stops_the_others_and_is_heard():
    ended, calls = threading.Event(), []

    def work():
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("one of them")
        assert ended.wait(10)

    with pytest.raises(ZeroDivisionError, match="one of them"):
        compiled.in_workers(work, 3, stop=ended.set)


def test_an_interrupted_split_ends_at_once(generator):
    problem = problem_of(networklike(4, 10, generator))

    def interrupted(_):
        raise KeyboardInterrupt

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        _solve.solve(problem, tol=1e-15, max_iter=10**9, watch=interrupted)
    assert time.perf_counter() - start < 60
    assert not [t for t in threading.enumerate() if t.name == "interdyn"]


def test_control_c_reaches_a_long_split():
    code = (
        "import signal, numpy as np, interdyn as ix; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "v = np.random.default_rng(0).standard_normal((8, 1024)); print('begin',"
        " flush=True); ix.sparsify.split(v, tol=1e-14, max_iter=10**9, allow_large=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        run.stdout.readline()
        time.sleep(3)
        run.send_signal(signal.SIGINT)
        try:
            _, said = run.communicate(timeout=30)
        finally:
            run.kill()
    assert b"KeyboardInterrupt" in said


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    _numba.available.cache_clear()
    yield
    _numba.available.cache_clear()


@pytest.mark.usefixtures("without_numba")
def test_without_numba_the_tensors_serve_with_one_warning(generator):
    v = torch.rand(3, 64, generator=generator, dtype=torch.float64)
    with pytest.warns(SpeedWarning, match="pip install numba") as said:
        found = split(v)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert and_from_values(v).shape == v.shape
        again = split(v)
    assert torch.equal(found.i_and, again.i_and)


def test_with_and_without_numba_agree(generator, monkeypatch):
    v = networklike(3, 6, generator)
    fast = split(v)
    monkeypatch.setattr(_solve, "available", lambda: False)
    monkeypatch.setattr(_mobius, "available", lambda: False)
    torch.testing.assert_close(split(v).i_and, fast.i_and, rtol=0, atol=1e-9)
    assert list(split(v).status) == list(fast.status)


@pytest.mark.parametrize("trouble", ["no folder", "full disk"])
def test_a_cache_that_cannot_be_written_does_no_harm(trouble, monkeypatch):
    from numba.core import caching

    if trouble == "no folder":
        monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    else:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    assert _numba.compiled(lambda x: 2 * x, "float64(float64)")(1.5) == 3.0


def test_nothing_is_compiled_before_it_is_asked_for():
    code = (
        "import sys, interdyn as ix, interdyn.sparsify, interdyn.transforms, interdyn.measurement\n"
        "import torch; ix.value_table(lambda x: x.sum(1), torch.ones(1, 3), feature_mask=torch.arange(3),"
        " output='regression')\nprint('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# -- what it costs -------------------------------------------------------------------------------------


def test_too_many_players_are_refused():
    with pytest.raises(TooLargeError, match="n = 25"):
        split(torch.zeros(1).expand(2**25))


def test_a_result_that_does_not_fit_is_refused(monkeypatch, generator):
    monkeypatch.setattr(_effort, "_free_bytes", lambda: 1000)
    monkeypatch.setattr(_effort, "_LITTLE", 0)
    with pytest.raises(TooLargeError, match=r"GiB are free\. Split fewer tables"):
        split(networklike(2, 6, generator))


def test_memory_at_hand_is_known_on_linux():
    free = _effort._free_bytes()
    assert free is None or 2**20 < free < 2**50


def test_a_long_split_asks_first(monkeypatch, generator):
    v = networklike(2, 6, generator)
    monkeypatch.setattr(_effort, "LONGEST", 1e-4)
    with pytest.raises(TooLargeError, match=r"splitting 2 tables of 6 players .* `allow_large=True`"):
        split(v)
    assert split(v, allow_large=True).i_and.shape == v.shape


def test_what_is_expected_grows_with_players_tables_and_fineness():
    assert expected_seconds(12, 10, threads=1) > 2 * expected_seconds(11, 10, threads=1)
    assert expected_seconds(10, 20, threads=1) == pytest.approx(2 * expected_seconds(10, 10, threads=1))
    assert expected_seconds(10, 20, threads=2) == pytest.approx(expected_seconds(10, 10, threads=1))
    assert expected_seconds(10, 1, tol=1e-4) > expected_seconds(10, 1)
    assert expected_seconds(20, 4, threads=1) > 600  # by a trial on this machine
    grown = expected_seconds(22, 4, threads=1) / expected_seconds(
        20, 4, threads=1
    )  # by the same trial, of fewer players
    assert grown == pytest.approx(_effort._GROWTH**2 * 4 * 22 / 20)


def test_a_bar_for_the_split(capsys, generator):
    split(networklike(2, 5, generator), show_progress=True)
    assert "split of 2 tables" in capsys.readouterr().err
    split(networklike(2, 5, generator))
    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_from_thirteen_players_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for n, drawn in ((12, False), (13, True)):
        table = torch.zeros(1, 2**n, dtype=torch.float64)
        with _effort.progress_of(problem_of(table), tol=1e-3, show=None) as watch:
            assert (watch is not None) == drawn


def test_the_bar_moves_while_tables_are_solved(generator):
    problem, seen = problem_of(networklike(4, 11, generator)), []
    _solve.solve(problem, tol=1e-5, max_iter=20_000, watch=lambda best: seen.append(float(best.dual.sum())))
    assert len(set(seen)) > 1


_PEAK = """
import torch
from interdyn.sparsify import split
split(torch.rand(2, 1024))
def kib(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
v = torch.zeros(2**14, 2**10, dtype=torch.float64)
v += 1.0
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew: a process inherits that of its parent
before = kib("VmRSS")
found = split(v, allow_large=True)
print((kib("VmHWM") - before) / 2**17)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
def test_a_batch_takes_little_more_memory_than_its_result():
    done = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # times the tables, of 128 MiB: AND, OR and residual are three, the tables in units of their range one
    assert float(done.stdout) < 5.5


_BUSY = """
import json, subprocess, sys, time, torch
sys.path.insert(0, {tests!r})
from interdyn.sparsify import split
from test_sparsify import networklike
v = networklike(32, 9, torch.Generator().manual_seed(0))
def cpu():
    start = time.process_time()
    split(v)
    return time.process_time() - start
cpu()
alone = min(cpu() for _ in range(2))
busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
time.sleep(0.5)
beside = min(cpu() for _ in range(2))
for other in busy:
    other.kill()
print(json.dumps([alone, beside]))
"""


def test_beside_busy_processes_a_split_takes_no_more_of_the_processor():
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    code = _BUSY.format(tests=os.path.dirname(__file__))  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    alone, beside = json.loads(done.stdout)
    assert beside < 4 * alone + 0.2  # the one bound on time in the tests; 200 times and more when threads spin


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tables_stay_on_their_device(generator):
    v = networklike(3, 6, generator)
    found = split(v.cuda())
    assert found.i_and.device.type == found.gap.device.type == "cuda"
    torch.testing.assert_close(found.i_and.cpu(), split(v).i_and, rtol=0, atol=1e-8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_form_by_tensors_runs_on_a_graphics_card(generator):
    v = networklike(3, 6, generator)
    found = _solve.solve(problem_of(v.cuda()), tol=1e-3, max_iter=20_000)
    assert found.x.device.type == "cuda"
    torch.testing.assert_close(found.x.cpu(), by_tensors(problem_of(v), tol=1e-3).x, rtol=0, atol=1e-8)


def test_the_metric_goes_to_a_device_once(generator):
    problem = problem_of(networklike(3, 6, generator))
    assert problem.take(torch.tensor([1])).metric is problem.metric  # every step asks for it


def test_tables_of_numpy_are_not_changed(rng):
    v = rng.standard_normal((3, 64))
    before = v.copy()
    split(v)
    np.testing.assert_array_equal(v, before)
