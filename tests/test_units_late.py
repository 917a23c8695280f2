"""Units that are not needed any more: one that comes late, one whose group another shard has put together."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from interdyn import store
from interdyn.recipes import resolve, run_recipe
from interdyn.tracking._units import measure_unit
from test_run import TINY, numbers

RECIPE = resolve({**TINY, "units": {"samples": 2}})


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process that works through the same units."""
    torch.set_num_threads(1)
    return run_recipe(RECIPE, tmp_path_factory.mktemp("alone") / "run")


class Telling(ThreadPoolExecutor):
    """A thread that keeps what it was given, and may do something after each call."""

    def __init__(self, then=lambda _: None):
        super().__init__(1)
        self.orders, self.then = [], then

    def submit(self, fn, /, order):
        self.orders.append(order)
        return super().submit(self.done, fn, order)

    def done(self, fn, order):
        out = fn(order)
        self.then(order)
        return out


def test_a_unit_that_comes_late_leaves_nothing(alone, tmp_path):
    with Telling() as executor:
        run = run_recipe(RECIPE, tmp_path / "run", executor=executor)
        executor.submit(measure_unit, executor.orders[-1]).result()
    assert not (run.path / "units").exists()
    assert numbers(run.path) == numbers(alone.path)


def test_a_unit_whose_group_another_shard_has_put_together_is_done(alone, tmp_path):
    def put_together(order):
        unit, run = order.unit, store.open_run(order.folder)
        store.write_measurement(run, store.read_measurement(alone, unit.step, group=unit.group))
        store.drop_units(run, f"step_{unit.step:08d}.")

    with Telling(put_together) as executor:
        run = run_recipe(RECIPE, tmp_path / "run", executor=executor, shard="1/1")
    assert not (run.path / "units").exists()
    assert numbers(run.path) == numbers(alone.path)
