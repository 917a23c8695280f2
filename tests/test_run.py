"""The main job on disk: whole, interrupted, killed, continued, always with the same numbers."""

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from interdyn import store
from interdyn.errors import InputError, ModelError, NotARunError, RecipeError, StorageError
from interdyn.game import columns, patches
from interdyn.measurement import interactions, recorded
from interdyn.recipes import (
    checks,
    load_recipe,
    load_samples,
    load_weights,
    recipes,
    resolve,
    run_recipe,
)
from interdyn.recipes._measuring import choose_groups, choose_players
from interdyn.recipes._run import planted_error
from interdyn.recipes._schema import PlayersSection
from interdyn.recipes._training import build_model
from stored import analysis_of, summary_of

TINY = {
    "name": "tiny",
    "model": {"name": "mlp", "options": {"hidden": [8]}},
    "data": {
        "name": "game",
        "test_fraction": 0.25,
        "options": {
            "n_players": 4,
            "draws": 4,
            "full": 24,
            "terms": [
                {"kind": "and", "players": [0, 1], "weight": 2.0},
                {"kind": "or", "players": [2, 3], "weight": 1.0},
            ],
        },
    },
    "training": {"optimiser": "adam", "learning_rate": 0.01, "momentum": 0.9, "epochs": 6, "batch_size": 16},
    "checkpoints": {"count": 6},
    "players": {"kind": "columns"},
    "measure": {"test_samples": 3, "baseline": 0.0, "output": "regression"},
    "analysis": {"bootstrap": 100},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads of tests that run side by side would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def numbers(folder):
    """Everything a run found, without its wall times and its name."""
    run = store.open_run(folder)
    summary = {key: value for key, value in summary_of(run).items() if key != "seconds"}
    weights = [store.content_hash(store.read_checkpoint(run, step).weights) for step in run.steps]
    tables = [
        store.content_hash({"v": found.v, "i_and": found.i_and, "i_or": found.i_or, "gap": found.gap})
        for step in run.steps
        for group in run.groups
        if (found := store.read_measurement(run, step, group=group))
    ]
    return summary, analysis_of(run), weights, tables


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    return run_recipe(resolve(TINY), tmp_path_factory.mktemp("whole") / "run").path


def test_a_run_holds_what_was_promised(whole):
    run = store.open_run(whole)
    summary = summary_of(run)
    assert {
        *("schema", "steps", "n_players", "n_samples", "orders", "order_distribution", "mean_order"),
        *("train_loss", "test_loss", "phases", "theory", "solver", "seconds", "forward_passes"),
        *("recipe", "version", "verdict"),
    } <= set(summary)
    assert {"boundary_step", "interval", "gap_onset_step", "status"} <= set(summary["phases"])
    assert {"mean_gap", "max_gap", "max_residual"} <= set(summary["solver"])
    assert set(summary["seconds"]) == {"training", "forward_passes", "everything_else"}
    for row in summary["theory"]:
        assert {"noise_var", "tv_distance", "tv_null_sigma0", "tv_null_tilt", "in_phase_2"} <= set(row)
    assert (summary["schema"], summary["n_players"], summary["n_samples"]) == (1, 4, 3)
    assert summary["steps"] == list(run.steps)
    assert summary["steps"][0] == 0
    assert summary["forward_passes"] == 6 * 3 * 2**4
    np.testing.assert_allclose(np.sum(summary["order_distribution"], axis=1), 1.0)
    assert all(seconds > 0 for seconds in summary["seconds"].values())
    environment = json.loads((whole / "env.json").read_text())
    assert environment["packages"]["torch"]
    assert os.uname().nodename not in (whole / "env.json").read_text()
    assert store.trainer_steps(run) == [run.steps[-1]]


def test_stored_interactions_explain_the_stored_network(whole):
    """The tables on disk are those of the checkpoint on disk, and the split explains them within its bound."""
    recipe, run = resolve(TINY), store.open_run(whole)
    samples = load_samples(recipe.data)
    step = run.steps[3]
    stored = store.read_measurement(run, step, group="test")
    network = build_model(recipe.model, shape=(4,), n_outputs=1, seed=9)
    load_weights(network, store.read_checkpoint(run, step).weights)
    with torch.no_grad():
        full = network(samples.inputs[torch.from_numpy(stored.sample_ids)]).squeeze(-1).double().numpy()
        empty = network(torch.zeros(1, 4)).squeeze().double().numpy()
    np.testing.assert_allclose(stored.v[:, -1], full, atol=1e-6)  # float32 network, batched differently
    np.testing.assert_allclose(stored.v[:, 0], empty, atol=1e-6)
    found = interactions(stored)
    slack = found.residual.abs().amax(-1) - found.noise_bound
    assert slack.max() < 1e-9 * np.abs(stored.v).max()


def test_a_finished_run_is_left_alone(whole):
    before = {f: f.stat().st_mtime_ns for f in whole.rglob("*.*") if f.name != "run.lock"}
    run_recipe(resolve(TINY), whole)
    assert before == {f: f.stat().st_mtime_ns for f in whole.rglob("*.*") if f.name != "run.lock"}


def test_the_recipe_in_the_run_continues_the_run(whole):
    assert load_recipe(whole / "recipe.toml") == resolve(TINY)


class Stop(Exception):
    """Stands for Ctrl-C."""


def stopping_at(stage, count):
    def progress(now, done, total):  # noqa: ARG001
        if (now, done) == (stage, count):
            raise Stop

    return progress


@pytest.mark.parametrize(("stage", "count"), [("training", 3), ("measuring", 1), ("measuring", 4), ("analysing", 0)])
def test_an_interrupted_run_goes_on_with_the_same_numbers(whole, tmp_path, stage, count):
    with pytest.raises(Stop):
        run_recipe(resolve(TINY), tmp_path / "run", progress=stopping_at(stage, count))
    run_recipe(resolve(TINY), tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(whole)


@pytest.mark.parametrize("trainer_is_whole", [True, False])
def test_damaged_files_are_made_again(whole, tmp_path, trainer_is_whole):
    run = run_recipe(resolve(TINY), tmp_path / "run")
    step = run.steps[2]
    (run.path / "summary.json").unlink()
    table = run.path / "measurements" / f"step_{step:08d}.test.safetensors"
    table.write_bytes(table.read_bytes()[:-7])
    (run.path / "checkpoints" / f"step_{step:08d}.safetensors").unlink()
    if not trainer_is_whole:
        (run.path / "trainer" / f"step_{run.steps[-1]:08d}.safetensors").write_bytes(b"")
    run_recipe(resolve(TINY), run.path)
    assert numbers(run.path) == numbers(whole)


def test_a_full_disk_stops_the_run_and_loses_nothing(whole, tmp_path, monkeypatch):
    real, room = os.write, [60_000]

    def write(descriptor, data):
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(StorageError, match="No space left"):
            run_recipe(resolve(TINY), tmp_path / "run")
    run = store.open_run(tmp_path / "run")
    assert store.read_history(run), "what was written before is there"
    assert not list(run.path.rglob(".tmp-*"))
    run_recipe(resolve(TINY), run.path)
    assert numbers(run.path) == numbers(whole)


def test_another_recipe_or_a_foreign_folder_is_refused(whole, tmp_path):
    with pytest.raises(RecipeError, match=r"differs in `training\.epochs`"):
        run_recipe(resolve({**TINY, "training": {**TINY["training"], "epochs": 7}}), whole)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(NotARunError):
        run_recipe(resolve(TINY), tmp_path)


def test_a_recipe_names_the_device_it_trains_on(whole, tmp_path):
    recipe = resolve({**TINY, "training": {**TINY["training"], "device": "cpu"}})
    run = run_recipe(recipe, tmp_path / "run")
    assert numbers(run.path)[2:] == numbers(whole)[2:]
    assert "device" not in resolve(TINY).plain()["training"]  # runs of before keep their identity
    absent = resolve({**TINY, "training": {**TINY["training"], "device": "cuda:77"}})
    with pytest.raises(InputError, match="`device` must be one that torch can use here"):
        run_recipe(absent, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_a_graphics_card_goes_on_with_the_same_numbers(tmp_path):
    recipe = resolve({**TINY, "training": {**TINY["training"], "device": "auto"}})
    run_recipe(recipe, tmp_path / "whole")
    with pytest.raises(Stop):
        run_recipe(recipe, tmp_path / "run", progress=stopping_at("measuring", 3))
    run_recipe(recipe, tmp_path / "run")
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    assert json.loads((tmp_path / "run" / "env.json").read_text())["device"] == "cuda"


def test_a_run_disturbs_nobody(tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch_default, numpy_state = torch.get_default_dtype(), np.random.get_state()[1].copy()  # noqa: NPY002
    run_recipe(resolve(TINY), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch_default
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


# which samples, which players


def digits(**measure):
    recipe = load_recipe("digits-cnn", smoke=True)
    return recipe.model_copy(update={"measure": recipe.measure.model_copy(update=measure)})


def test_groups_follow_the_right_class_of_the_right_samples():
    recipe = digits(test_samples=5, mislabelled_samples=4)
    samples = load_samples(recipe.data)
    test, mislabelled = choose_groups(recipe, samples)
    assert (test.name, mislabelled.name) == ("test", "mislabelled")
    assert set(test.sample_ids) <= set(samples.test_ids)
    assert set(mislabelled.sample_ids) <= set(samples.flipped_ids)
    assert torch.equal(test.target, samples.targets[list(test.sample_ids)])
    given = list(mislabelled.sample_ids)
    assert torch.equal(mislabelled.target, samples.given[given])
    assert (mislabelled.target != samples.targets[given]).all()


def test_players_are_drawn_once_for_each_sample():
    recipe = digits(test_samples=6, mislabelled_samples=0)
    samples = load_samples(recipe.data)
    (one,), (two,) = choose_groups(recipe, samples), choose_groups(recipe, samples)
    first, again = (g.config.players.feature_mask((1, 8, 8), g.sample_ids) for g in (one, two))
    assert torch.equal(first, again)
    for mask in first:
        assert set(mask.unique().tolist()) == {-1, *range(recipe.players.n)}
    assert not torch.equal(first[0], first[1])


def test_players_follow_the_recipe():
    def players(**section):
        return choose_players(PlayersSection(**section))

    assert players(kind="columns") == columns()
    assert players(kind="columns", groups=[[0, 1], [2]]) == columns([[0, 1], [2]])
    wanted = patches(4, 4).central(2, 3).choose(5, seed=3, others="mask")
    assert players(kind="patches", rows=4, cols=4, central=[2, 3], n=5, seed=3, others="mask") == wanted


def test_a_layer_can_be_masked_in_place_of_the_input():
    recipe = digits(test_samples=2, mislabelled_samples=0, layer="0", baseline=0.0)
    samples = load_samples(recipe.data)
    (group,) = choose_groups(recipe, samples)
    network = build_model(recipe.model, shape=(1, 8, 8), n_outputs=10, seed=0)
    measured = recorded(network, group, step=0)
    unmasked = recorded(network, replace(group, config=replace(group.config, layer=None)), step=0)
    np.testing.assert_allclose(measured.v[:, -1], unmasked.v[:, -1], atol=1e-5)  # float32 network
    assert np.abs(measured.v[:, 0] - unmasked.v[:, 0]).max() > 1e-4  # the bias of the layer is masked too


def test_a_recipe_says_all_that_a_config_does():
    recipe = digits(rates=[1e-3], device="cpu", solver="sgd-paper", max_iter=7, merge_order_one=False)
    recipe = recipe.model_copy(update={"analysis": recipe.analysis.model_copy(update={"salience": 0.07})})
    config = choose_groups(recipe, load_samples(recipe.data))[0].config
    assert (config.rates, config.device, config.solver, config.max_iter) == ([1e-3], "cpu", "sgd-paper", 7)
    assert (config.merge_order_one, config.salience, config.tol) == (False, 0.07, recipe.measure.tol)


def test_more_samples_than_there_are_is_refused():
    recipe = digits(mislabelled_samples=500)
    with pytest.raises(RecipeError, match=r"`measure\.mislabelled_samples` must be at most .*got 500"):
        choose_groups(recipe, load_samples(recipe.data))


def test_a_broken_network_is_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "broken_models.py").write_text(
        "import torch\n"
        "class Flat(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x).sum(-1) if not self.training else super().forward(x)\n"
        "def flat(shape, n_outputs):\n"
        "    return Flat(shape[0], n_outputs)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = resolve(
        {
            **load_recipe("wine-mlp", smoke=True).plain(),
            "model": {"name": "broken_models:flat"},
        }
    )
    with pytest.raises(ModelError, match=r"each of 3 classes; got an output of shape \(107,\)"):
        run_recipe(recipe, tmp_path / "run", allow_code=True)


# known worlds


def test_the_planted_interactions_of_the_game_are_found(tmp_path):
    recipe = load_recipe("game-and-or", overrides=["checkpoints.count=3", "measure.test_samples=4"])
    run = run_recipe(recipe, tmp_path / "run")
    found = checks(store.read_result(run), recipe.expected)
    (planted,) = [check for check in found if check.key == "planted_error_max"]
    assert planted.holds, planted


def test_planted_error_sees_a_wrong_interaction(whole):
    recipe, run = resolve(TINY), store.open_run(whole)
    samples = load_samples(recipe.data)
    (group,) = choose_groups(recipe, samples)

    def answer(x):
        present = x > 0.5
        return (2.0 * (present[:, 0] & present[:, 1]) + 1.0 * (present[:, 2] | present[:, 3])).unsqueeze(-1)

    class Known(torch.nn.Module):
        forward = staticmethod(answer)

    measured = recorded(Known(), group, step=run.steps[-1])
    right = planted_error(interactions(measured), samples.planted)
    assert right["max_error"] < 0.1  # the noise bound of 0.02 lets the split move each by a few hundredths
    wrong = planted_error(interactions(measured), samples.planted[:1])
    assert wrong["max_error"] > 0.4


SHIPPED = {"digits", "wine", "breast_cancer", "game"}  # the others run in `./run smoke`, where their data are


@pytest.mark.parametrize("name", [n for n in sorted(recipes()) if load_recipe(n).data.name in SHIPPED])
def test_every_recipe_of_the_library_runs_small(tmp_path, name):
    run = run_recipe(load_recipe(name, smoke=True), tmp_path / "run")
    assert summary_of(run)["recipe"] == name
