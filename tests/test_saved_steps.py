"""The step of each saved network: what files tell first, then the one number of their names that counts."""

import threading
import time
from pathlib import PurePath

import pytest
import torch
from hypothesis import given, strategies as st
from safetensors.torch import save_file
from torch import nn

from interdyn.errors import CheckpointError
from interdyn.players import columns
from interdyn.tracking import Tracker, every, find_checkpoints, load_network, watch
from interdyn.tracking._steps import mapped, steps_told


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def tracker():
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
    return Tracker((x, torch.arange(8) % 2), players=columns(), schedule=every(1), budget=None)


def steps_of(*names, told=None):
    paths = [PurePath(name) for name in names]
    found = mapped({PurePath(name): counts for name, counts in (told or {}).items()}, paths)
    return [step if isinstance(step, str) else step[0] for step in found.values()]


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["epoch=0-step=40.ckpt", "epoch=1-step=80.ckpt"], [40, 80]),
        (["epoch=0-val_loss=0.25.ckpt", "epoch=1-val_loss=0.19.ckpt"], [0, 1]),
        (["net_10_acc93.pth", "net_20_acc95.pth"], [10, 20]),
        (["resnet18_e1.pt", "resnet18_e2.pt"], [1, 2]),
        (["model_7_20240131-101500.pth", "model_8_20240201-093000.pth"], [7, 8]),
        (["2024-01-31_10-15-00/step_5.pt", "2024-01-31_10-15-00/step_6.pt"], [5, 6]),
        (["ckpt_1706700000_3.pt", "ckpt_1706700500_4.pt"], [3, 4]),
        (["checkpoint-500", "checkpoint-1000"], [500, 1000]),
        (["500_steps.pt", "1500_steps.pt"], [500, 1500]),
        (["gpt2_L12_iter_00010.bin", "gpt2_L12_iter_00020.bin"], [10, 20]),
        (["seed3/epoch_1/model.pt", "seed3/epoch_2/model.pt"], [1, 2]),
        (["net_07.pt"], [7]),
        (["resnet18_step_3.pth.tar"], [3]),
        (["step_1.pt", "step_2.pt", "final_step_3.pt"], [1, 2, 3]),
    ],
)
def test_the_number_that_counts(names, steps):
    assert steps_of(*names) == steps


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["net_3_40.pt", "net_4_80.pt"], "several numbers in the names change"),
        (["run1/step_5.pt", "run2/step_5.pt"], "several networks have the same count"),
        (["run1/step_5.pt", "run2/step_5.pt", "run1/step_6.pt"], "several networks have the same count"),
        (["last.pt", "best.pt"], "no number that counts"),
        (["a_acc_93.5.pt"], "no number that counts"),
        (["net_1_2.pt"], "several numbers"),
        (["resnet18.pt", "vgg16.pt"], "no number that counts"),
    ],
)
def test_what_does_not_count_is_told(names, why):
    for found in steps_of(*names):
        if isinstance(found, str):
            assert why in found
            return
    pytest.fail("all have a step")


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=6, unique=True),
    st.sampled_from(["step", "iter", "epoch", "x"]),
)
def test_counts_are_found_among_fixed_numbers(counts, word):
    names = [f"vit16/lr_0.1_{word}_{count}_v2.pt" for count in counts]
    assert steps_of(*names) == counts


def test_files_come_before_names_and_one_key_serves_all():
    names = ["a_1.pt", "a_2.pt"]
    assert steps_of(*names, told={"a_1.pt": {"epoch": 10}, "a_2.pt": {"epoch": 20}}) == [10, 20]
    both = {"a_1.pt": {"step": 70, "epoch": 1}, "a_2.pt": {"epoch": 2}}
    assert steps_of(*names, told=both) == [1, 2]
    shared = {"step_100.pt": {"epoch": 0}, "step_200.pt": {"epoch": 0}}  # two of one epoch
    assert steps_of("step_100.pt", "step_200.pt", told=shared) == [100, 200]


@pytest.mark.parametrize("key", ["global_step", "global_steps", "step", "steps", "iteration", "iter_num", "epoch"])
@pytest.mark.parametrize("kind", [int, float, torch.tensor, lambda n: torch.tensor([n], dtype=torch.int32)])
def test_a_file_tells_its_step(tmp_path, key, kind):
    torch.save({"model": network().state_dict(), key: kind(30)}, tmp_path / "ckpt_7.pt")
    assert load_network(tmp_path / "ckpt_7.pt", network()) == 30
    torch.save({"model": network().state_dict(), "trainer": {key: kind(30)}}, tmp_path / "ckpt_7.pt")
    (found,) = find_checkpoints(tmp_path)
    assert (found.step, found.source) == (30, f"`{key}` in the file")
    save_file(network().state_dict(), tmp_path / "ckpt_7.safetensors", metadata={key: "30"})
    assert load_network(tmp_path / "ckpt_7.safetensors", network()) == 30


def test_what_is_no_count_is_none():
    for value in (True, -1, 2.5, float("nan"), float("inf"), "7", None, [7], 2**70):
        assert steps_told({"step": value}) == {}
    assert steps_told({"optimizer": {"step": 3}, "args": {"steps": 9}}) == {}
    assert steps_told([1]) == {}


def test_the_mapping_is_shown_before_anything_is_measured(tmp_path):
    for step in (10, 20):
        torch.save({"state_dict": network(step).state_dict(), "iteration": step}, tmp_path / f"{'ab'[step // 20]}.pt")
    torch.save(network().state_dict(), tmp_path / "best_resnet18.pt")
    torch.save({"ema": network(2).state_dict(), "iteration": 20}, tmp_path / "ema_weights.pt")
    (tmp_path / "torn.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:300])
    said, looking = [], tracker()
    observe = looking.observe
    looking.observe = lambda step, net, **more: said.append(f"measuring {step}") or observe(step, net, **more)
    assert watch(tmp_path, network(9), looking, once=True, say=said.append) == (10, 20)
    assert said[0].splitlines() == [
        "step 10: a.pt (`iteration` in the file; raw weights `state_dict`)",
        "step 20: b.pt (`iteration` in the file; raw weights `state_dict`)",
    ]
    assert said[1] == "measuring 10"
    passed = "\n".join(text for text in said if text.startswith("skipped"))
    assert "best_resnet18.pt, which does not: its name has no number that counts" in passed
    assert "ema_weights.pt of step 20, which is also that of b.pt" in passed
    assert "torn.pt, which cannot be read" in passed


def test_averages_and_other_trainings_give_way(tmp_path):
    for name in ("ema_step_10.pt", "step_10.pt"):
        torch.save(network().state_dict(), tmp_path / name)
    found = find_checkpoints(tmp_path, network())
    assert [(one.path.name, one.step) for one in found] == [("step_10.pt", 10), ("ema_step_10.pt", None)]
    (tmp_path / "step_10.pt").unlink()
    assert find_checkpoints(tmp_path, network())[0].part == "averaged weights"


def test_a_number_that_stands_alone_waits_while_more_may_come(tmp_path):
    torch.save(network().state_dict(), tmp_path / "net18_5.pt")
    (tmp_path / "net18_5.pt").rename(tmp_path / "net18.pt")

    def later():
        for step in (1, 2):
            time.sleep(0.3)
            torch.save(network().state_dict(), tmp_path / f"net18_{step}.tmp")
            (tmp_path / f"net18_{step}.tmp").rename(tmp_path / f"net18_{step}.pt")

    writer = threading.Thread(target=later)
    writer.start()
    assert watch(tmp_path, network(), tracker(), idle=2.0, poll=0.1) == (1, 2)
    writer.join()


def test_links_that_lead_back_end(tmp_path):
    (tmp_path / "a").mkdir()
    torch.save(network().state_dict(), tmp_path / "a" / "step_1.pt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert [one.step for one in find_checkpoints(tmp_path)] == [1]


def test_a_file_that_is_written_over_is_measured_again_at_its_new_step(tmp_path):
    torch.save({"model": network().state_dict(), "iter_num": 5}, tmp_path / "ckpt.pt")

    def later():
        time.sleep(0.5)
        torch.save({"model": network(1).state_dict(), "iter_num": 10}, tmp_path / "new")
        (tmp_path / "new").rename(tmp_path / "ckpt.pt")

    writer = threading.Thread(target=later)
    writer.start()
    assert watch(tmp_path, network(), tracker(), idle=2.0, poll=0.1) == (5, 10)
    writer.join()


def test_another_network_is_refused_before_anything_is_measured(tmp_path):
    torch.save(nn.Linear(4, 2).state_dict(), tmp_path / "step_1.pt")
    with pytest.raises(CheckpointError, match="must contain every weight of the network"):
        watch(tmp_path, network(), tracker(), once=True)
