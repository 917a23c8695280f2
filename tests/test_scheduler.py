"""The simulated driver of `benchmarks/simulate_scheduler.py`: its limits are known."""

import numpy as np
import pytest

from simulate_scheduler import FREE, ROUNDS, SPREAD, UNITS, Costs, makespan

DEAR = Costs(submit=0.01, call=0.02, look=0.0, take=0.03, add=0.04, keep=0.05)


def lasts(workers, unit):
    return unit * (1 + SPREAD * np.random.default_rng(0).uniform(-1, 1, workers * ROUNDS))


def test_one_worker_of_a_free_driver_does_one_unit_after_the_other():
    assert makespan(1, 2.0, FREE) == pytest.approx(lasts(1, 2.0).sum())


@pytest.mark.parametrize("workers", [3, 40])
def test_workers_of_a_free_driver_are_never_idle_while_there_are_units(workers):
    least, most = lasts(workers, 1.0).sum() / workers, lasts(workers, 1.0).max()
    assert least <= makespan(workers, 1.0, FREE) <= least + most


def test_a_driver_does_one_thing_after_the_other_however_many_workers_there_are():
    units = 200 * ROUNDS
    assert makespan(200, 1e-9, DEAR) == pytest.approx(units * DEAR.unit, rel=1e-3)


def test_looks_are_at_all_units_that_are_out():
    workers, look = 5, 1e-3
    checkpoints = workers * ROUNDS // UNITS
    looks = sum(UNITS * (k + 1) for k in range(checkpoints)) + workers * ROUNDS  # none is done before the last look
    slow = makespan(workers, 1e6, Costs(0.0, 0.0, look, 0.0, 0.0, 0.0)) - makespan(workers, 1e6, FREE)
    assert 0 < slow < looks * look
