"""Finished runs predict their checkpoints from their final network: what they say, keep, and do where they cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from interdyn import store
from interdyn.cli import main
from interdyn.errors import InputError, RunError
from interdyn.measurement import History, _predicted, analyse, prediction_again
from interdyn.measurement._predicted import near_by, predicted
from interdyn.recipes import check_prediction
from interdyn.sparsify import split
from interdyn.spectra import order_spectrum
from interdyn.theory import MECHANISMS, mechanism_tables, predict_tables, target_weights
from interdyn.values import PredictionResult, RunResult

BEFORE = Path(__file__).parent / "data" / "before"
CHOSEN = {"salience": 0.03, "salience_rule": "mean-effect", "bootstrap": 120, "seed": 0}
N, SAMPLES = 5, 6
STEPS = np.array([0.0, 1, 2, 4, 8, 16])


def final_tables(samples=SAMPLES, *, seed=0):
    """Tables of a network with a few strong interactions of all orders."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(samples, 2**N, generator=generator, dtype=torch.float64)
    w = torch.where(torch.rand(w.shape, generator=generator) < 0.3, w, torch.zeros(()))
    return next(mechanism_tables(target_weights(split(w, noise_bound=0.0)), "nothing", [0.0]))


def world(*, samples=SAMPLES, strengths=(1.5, 1.0, 0.6, 0.3, 0.1)):
    """Tables of a training whose earlier networks are tilted, and the explanations of all."""
    last = final_tables(samples)
    w_star = target_weights(split(last, noise_bound=0.02))
    tables = [*mechanism_tables(w_star, "tilt", strengths), last]
    return [table.numpy() for table in tables], [split(table, noise_bound=0.02) for table in tables]


@pytest.fixture(scope="module")
def training():
    return world()


def strength_of(found):
    return np.stack([order_spectrum(one, salience=0.03).strength for one in found])


def predict(tables, found, *, inside=None, **options):
    inside = np.array([False, False, True, True, True, False]) if inside is None else inside
    return predicted(tables, found[-1], strength_of(found), inside, STEPS, CHOSEN, **options)


def test_a_training_is_given_to_the_mechanism_that_made_it(training):
    found = predict(*training)
    assert found.phase_2.best == found.whole.best == ("tilt",)
    assert found.sentence.startswith(
        "From the final network, over phase 2 (3 steps): The tilt predicts the tables better than the theory: "
    )
    assert found.phase_2.gain < found.phase_2.gain_high < 0
    np.testing.assert_allclose(found.mechanisms["tilt"].parameter[:-1], (1.5, 1.0, 0.6, 0.3, 0.1))
    assert (found.phase_2.n_steps, found.whole.n_steps, found.n_samples, found.reason) == (3, 5, SAMPLES, "")


def test_every_number_is_that_of_predict_tables_at_its_step(training):
    tables, found = training
    result = predict(tables, found)
    direct = predict_tables(
        target_weights(found[-1], salience=0.03),
        torch.from_numpy(np.stack(tables[:-1])),
        near=torch.from_numpy(np.stack([tables[i] for i in (1, 2, 3, 4, 3)])),
        n_draws=120,
    )
    for i, name in enumerate(MECHANISMS):
        one = result.mechanisms[name]
        np.testing.assert_array_equal(one.correlation.value[:-1], direct.mean[i])
        np.testing.assert_array_equal(one.correlation.low[:-1], direct.interval(name)[0])
        np.testing.assert_array_equal(one.at_edge[:-1], direct.at_edge[i])
        assert np.isnan([one.correlation.value[-1], one.parameter[-1], one.distance[-1]]).all()
    np.testing.assert_allclose(result.ceiling[:-1], direct.ceiling.mean(axis=1))
    np.testing.assert_array_equal(result.near, [1, 2, 4, 8, 4, np.nan])
    inside = direct.over(np.array([False, False, True, True, True]))
    assert result.phase_2.correlation == pytest.approx(dict(zip(MECHANISMS, inside.mean[:, 0], strict=True)))
    theory, rival = inside.contest()
    assert (result.phase_2.theory, result.phase_2.rival) == (theory, rival)
    assert result.phase_2.gain == pytest.approx(inside.gain(theory, rival)[0, 0])


def test_the_distance_is_that_of_the_predictions_split_one_by_one(training):
    tables, found = training
    result = predict(tables, found)
    w_star, strength = target_weights(found[-1], salience=0.03), strength_of(found)
    for name in MECHANISMS:
        one = result.mechanisms[name]
        assert np.isnan(one.distance[:2]).all()  # of phase 1
        for t in (2, 3, 4):
            (made,) = mechanism_tables(w_star, name, [one.parameter[t]])
            p, q = (
                x.mean(axis=0) / x.mean(axis=0).sum()
                for x in (order_spectrum(split(made, noise_bound=0.02), salience=0.03).strength, strength[t])
            )
            assert one.distance[t] == pytest.approx(0.5 * np.abs(p - q).sum(), abs=1e-9)
    mean = np.nanmean(result.mechanisms["theory"].distance[2:5])
    assert result.phase_2.distance["theory"] == pytest.approx(mean)
    assert result.n_split == SAMPLES


def test_predictions_are_split_as_the_run_was_and_only_then(training):
    tables, found = training
    absolute = [split(table, noise_bound=np.full(SAMPLES, 0.5)) for table in map(torch.from_numpy, tables)]
    result = predict(tables, absolute)
    (made,) = mechanism_tables(
        target_weights(absolute[-1], salience=0.03), "tilt", [result.mechanisms["tilt"].parameter[2]]
    )
    own = order_spectrum(split(made, noise_bound=np.full(SAMPLES, 0.5)), salience=0.03).strength.mean(axis=0)
    there = strength_of(absolute)[2].mean(axis=0)
    wanted = 0.5 * np.abs(own / own.sum() - there / there.sum()).sum()
    assert result.mechanisms["tilt"].distance[2] == pytest.approx(wanted, abs=1e-9)
    other = [*found[:-1], found[-1].__class__(**{**vars(found[-1]), "settings": {"solver": "sgd-paper"}})]
    assert np.isnan(predict(tables, other).mechanisms["tilt"].distance).all()
    without = predict(tables, found, with_distances=False)
    assert np.isnan(without.mechanisms["tilt"].distance).all()
    assert without.phase_2.correlation == predict(tables, found).phase_2.correlation


def test_without_a_second_phase_all_checkpoints_count(training):
    found = predict(*training, inside=np.zeros(6, dtype=bool))
    assert found.phase_2 is None
    assert "over all checkpoints, as no second phase was found (5 steps)" in found.sentence
    assert np.isfinite(found.mechanisms["tilt"].distance[:-1]).all()


# -- what cannot be predicted, or less -------------------------------------------------------------


def test_one_sample_is_said_and_the_run_still_gets_its_result():
    _, found = world(samples=1)
    result = analyse(STEPS, {"test": {"interactions": found, "sample_ids": [0]}}, train_loss=None, test_loss=None)
    assert result.prediction.mechanisms == {}
    assert "one was measured: measure two or more." in result.prediction.sentence
    assert result.prediction.sentence in result.verdict
    assert result.theory is not None


def test_a_single_checkpoint_and_unread_tables_are_said(training):
    tables, found = training
    one = predicted(tables[:1], found[0], strength_of(found[:1]), np.zeros(1, dtype=bool), STEPS[:1], CHOSEN)
    assert one.sentence == (
        "Nothing was predicted from the final network. There is no checkpoint before the last one: measure more."
    )
    assert "could not be read" in predict(tables[1:], found).reason


def test_two_checkpoints_have_no_near_by_one(training):
    tables, found = training
    two = predicted(tables[-2:], found[-1], strength_of(found[-2:]), np.zeros(2, dtype=bool), STEPS[:2], CHOSEN)
    assert near_by(2).tolist() == [-1]
    assert np.isnan(two.ceiling).all()
    assert np.isnan(two.near).all()
    assert two.whole.ceiling is None
    assert " of 1" not in two.sentence


def test_a_final_network_that_is_constant_is_said():
    tables, _ = world()
    flat = torch.ones(SAMPLES, 2**N, dtype=torch.float64)
    found = [*(split(torch.from_numpy(table)) for table in tables[:-1]), split(flat)]
    result = predict([*tables[:-1], flat.numpy()], found)
    assert "Nothing can be predicted: the tables, or those of the final network, do not vary." in result.sentence
    assert result.phase_2.best == ()
    assert result.phase_2.gain is None
    whole = analyse(
        STEPS, {"test": {"interactions": found, "sample_ids": range(SAMPLES)}}, train_loss=None, test_loss=None
    )
    assert "do not vary" in whole.prediction.sentence


def test_checkpoints_with_other_players_or_samples_are_not_mixed(training):
    tables, found = training
    for other in (tables[0][:, :16], tables[0][:2]):
        result = predict([other, *tables[1:]], found)
        assert result.mechanisms == {}
        assert "other samples or players" in result.reason
    fewer = [split(torch.from_numpy(tables[0][:, :16])), *found[1:]]
    with pytest.raises(InputError, match="same samples and players at every step"):
        analyse(STEPS, {"test": {"interactions": fewer, "sample_ids": range(SAMPLES)}}, train_loss=None, test_loss=None)


def test_a_parameter_at_the_end_of_its_grid_is_said(training):
    tables, found = training
    early = [table.numpy() for table in mechanism_tables(target_weights(found[-1]), "noise operator", [0.995] * 5)]
    result = predict([*early, tables[-1]], found)
    assert result.mechanisms["noise operator"].at_edge[2]
    assert "The parameter of the noise operator is the largest tested at 3 of 3 steps" in result.sentence


def test_a_ceiling_that_is_none_is_said(training):
    tables, found = training
    generator = np.random.default_rng(0)
    jumping = [generator.standard_normal(tables[0].shape) for _ in range(5)]
    assert "which is too little to distinguish mechanisms" in predict([*jumping, tables[-1]], found).sentence
    far = [tables[0], tables[4], tables[0], tables[4], tables[0], tables[-1]]
    assert "a nearby one to be a ceiling" in predict(far, found).sentence
    slow = [tables[3]] * 5
    assert "ceiling" not in predict([*slow, tables[-1]], found).sentence


def test_what_is_left_out_to_keep_it_short_is_said(training, monkeypatch):
    tables, found = training
    monkeypatch.setattr(_predicted, "_STEPS", 3)
    result = predict([table[:4] for table in tables], found)
    assert result.reason == "Of all, 3 of 5 checkpoints were predicted and 4 of 6 samples, to keep this short."
    assert np.isfinite(result.mechanisms["theory"].correlation.value).tolist() == [
        True,
        False,
        True,
        False,
        True,
        False,
    ]
    monkeypatch.setattr(_predicted, "_SPLIT_SECONDS", 0.0)
    assert predict(tables, found).n_split == 0
    monkeypatch.setattr(_predicted, "_PLAYERS", 4)
    assert "Tables of 5 players take long" in predict(tables, found).sentence


# -- what a run keeps ------------------------------------------------------------------------------


def finished(tmp_path):
    """A run of before, analysed by this version."""
    folder = tmp_path / "run"
    shutil.copytree(BEFORE / "recipe", folder)
    history = History.read(folder)
    store.write_result(store.open_run(folder), history.result())
    return folder, history


def test_a_result_is_read_as_it_was_written(tmp_path):
    folder, history = finished(tmp_path)
    written, read = history.result().prediction, store.read_result(folder).prediction
    assert read.model_dump_json() == written.model_dump_json()
    np.testing.assert_array_equal(
        read.mechanisms["theory"].correlation.low, written.mechanisms["theory"].correlation.low
    )
    assert read.sentence in store.read_result(folder).verdict
    content = json.loads((folder / "summary.json").read_text())
    assert set(content["prediction"]["mechanisms"]) == set(MECHANISMS)
    assert store.read_result(BEFORE / "recipe").prediction is None


def test_numbers_that_do_not_fit_the_steps_are_refused():
    wrong = {"correlation": {"value": [0.5]}, "parameter": [0.1, 0.2], "at_edge": [False, False], "distance": [0, 0]}
    summary = {"steps": [0, 1], "prediction": {"mechanisms": {"theory": wrong}}}
    with pytest.raises(RunError, match="must be numbers of shape"):
        RunResult.from_json(summary)
    with pytest.raises(RunError, match="`prediction"):
        RunResult.from_json({**summary, "prediction": "the theory"})


def test_a_history_in_memory_predicts_what_one_on_disk_does(tmp_path):
    folder, history = finished(tmp_path)
    run = store.open_run(folder)
    memory = History(run.groups, **store.read_salience(run))
    for step in run.steps:
        memory.add([store.read_measurement(run, step, group=group) for group in run.groups])
    assert memory.result().prediction.model_dump_json() == history.result().prediction.model_dump_json()


def test_verify_computes_the_prediction_again(tmp_path, capsys):
    folder, history = finished(tmp_path)
    again = prediction_again(history)
    result = store.read_result(folder)
    assert check_prediction(result, again).holds
    with pytest.raises(SystemExit):
        main(["verify", str(folder)])
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if line.strip().startswith("prediction "))
    assert "yes" in line
    assert "Not checked: phase_2_distance_max" in said
    summary = json.loads((folder / "summary.json").read_text())
    for name in ("theory", "nothing"):
        bent = json.loads(json.dumps(summary))
        bent["prediction"]["mechanisms"][name]["correlation"]["value"][3] += 0.01
        check = check_prediction(RunResult.from_json(bent), again)
        assert (check.holds, round(check.got, 6)) == (False, 0.01)
    assert not check_prediction(result, PredictionResult()).holds
    assert not check_prediction(result.model_copy(update={"prediction": PredictionResult()}), again).holds


def test_verify_of_a_run_of_before_says_that_it_holds_no_prediction(tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(BEFORE / "recipe", folder)
    with pytest.raises(SystemExit):
        main(["verify", str(folder)])
    assert "Not checked: the prediction, because version 0.1 wrote this run" in capsys.readouterr().out


def test_the_summary_says_the_prediction_of_every_checkpoint(tmp_path, capsys):
    folder, _ = finished(tmp_path)
    with pytest.raises(SystemExit):
        main(["summary", str(folder)])
    said = " ".join(capsys.readouterr().out.split())
    result = store.read_result(folder).prediction
    value = result.mechanisms[result.overall.theory].correlation.value[3]
    assert f"{value:.3f}" in said
    assert result.sentence in said
    assert "escribe" not in said
