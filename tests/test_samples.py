"""The samples one by one: profile, cancellation, score, interval, rank, flags; in memory and from the disk alone."""

import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import nn

import interdyn as ix
from interdyn import store
from interdyn.errors import IncompleteRunError, InputError, ShapeError
from interdyn.measurement import History, agreement, generalisation, reading, sample_table
from interdyn.players import columns, patches
from interdyn.spectra import (
    Estimate,
    jaccard_by_order,
    mean_over_players,
    order_profile,
    order_spectrum,
    output_without,
)
from interdyn.spectra import ranks as ranks_of
from interdyn.tracking import Tracker, at
from interdyn.transforms import and_from_values, or_from_values
from interdyn.values import Interactions, OrderSpectrum

DATA = Path(__file__).parent / "data"
finite = st.floats(-10, 10).map(lambda x: x if abs(x) > 1e-3 else 0.0)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def explained(v, *, part=1.0, unit="log-odds"):
    """Interactions that explain tables ``v``: a part by AND, the rest by OR, with a residual."""
    v = torch.as_tensor(np.asarray(v), dtype=torch.float64)
    residual = 0.01 * torch.sin(torch.arange(v.numel(), dtype=torch.float64)).reshape(v.shape)
    i_and, i_or = and_from_values(part * (v - residual)), or_from_values((1 - part) * (v - residual))
    i_and[..., 0] += i_or[..., 0]
    i_or[..., 0] = 0
    one = torch.zeros(v.shape[:-1], dtype=torch.float64)
    return Interactions(i_and, i_or, unit, residual=residual, objective=one, gap=one, status="", noise_bound=one)


# -- profile and cancellation ------------------------------------------------------------------------


def profile_by_definition(positive, negative):
    """Slow twin for one sample: (kinds, orders) of sums by sign."""
    n = len(positive[0])
    strength = [sum(positive[kind][k] + negative[kind][k] for kind in (0, 1)) for k in range(n)]
    net = [sum(positive[kind][k] - negative[kind][k] for kind in (0, 1)) for k in range(n)]
    total = sum(strength)
    share = [s / total if total else math.nan for s in strength]
    mean = sum((k + 1) * s for k, s in enumerate(share)) if total else math.nan
    by_order = [1 - abs(x) / s if s else math.nan for x, s in zip(net, strength, strict=True)]
    return share, mean, (1 - abs(sum(net)) / total if total else math.nan), by_order


@given(parts=arrays(float, (2, 3, 2, 4), elements=st.integers(0, 9).map(float)))
def test_profile_is_its_definition(parts):
    positive, negative = parts
    got = order_profile(OrderSpectrum(positive, negative, "", np.zeros(3), positive))
    for i in range(3):
        share, mean, cancelling, by_order = profile_by_definition(positive[i].tolist(), negative[i].tolist())
        np.testing.assert_allclose(got.share[i], share, rtol=1e-12)
        np.testing.assert_allclose(got.mean_order[i], mean, rtol=1e-12)
        np.testing.assert_allclose(got.cancelling[i], cancelling, atol=1e-12)
        np.testing.assert_allclose(got.cancelling_by_order[i], by_order, atol=1e-12)


# -- evidence that survives --------------------------------------------------------------------------


@given(n=st.integers(1, 5), part=st.sampled_from([0.0, 0.3, 1.0]), data=st.data())
def test_output_without_a_player_is_the_table_whatever_the_split(n, part, data):
    v = data.draw(arrays(float, (2, 2**n), elements=finite))
    full = 2**n - 1
    wanted = np.stack([v[:, full ^ (1 << i)] for i in range(n)], axis=1)
    np.testing.assert_allclose(output_without(explained(v, part=part)), wanted, atol=1e-9)


def test_an_and_interaction_of_order_k_counts_one_minus_k_by_n():
    n = 5
    for s in range(1, 2**n):
        i_and = torch.zeros(2**n, dtype=torch.float64)
        i_and[s] = 2.0
        none = torch.zeros_like(i_and)
        found = Interactions(
            i_and, none, "", residual=none, objective=none[0], gap=none[0], status="", noise_bound=none[0]
        )
        assert output_without(found).mean() == pytest.approx(2.0 * (1 - s.bit_count() / n))


def test_the_interval_is_students():
    values = np.random.default_rng(0).normal(size=(4, 10))
    got = mean_over_players(values, level=0.8)
    exact = [stats.t.interval(0.8, 9, x.mean(), stats.sem(x)) for x in values]
    np.testing.assert_allclose(got.value, values.mean(1))
    np.testing.assert_allclose(np.stack([got.low, got.high], 1), exact, atol=1e-3)
    values[0, 2:] = np.nan
    np.testing.assert_allclose(mean_over_players(values).value[0], values[0, :2].mean())
    values[0, 1:] = np.nan
    assert np.isinf(mean_over_players(values).high[0])
    values[0] = np.nan
    assert np.isnan(np.array(mean_over_players(values))[:, 0]).all()
    with pytest.raises(InputError, match="level"):
        mean_over_players(values, level=0)


def test_the_interval_holds_the_mean_over_all_cells_of_which_players_are_drawn():
    rng = np.random.default_rng(0)
    cells = rng.exponential(size=(2000, 36))
    _, low, high = mean_over_players(np.stack([rng.permutation(row)[:10] for row in cells]))
    truth = cells.mean(1)
    assert 0.87 <= np.mean((low <= truth) & (truth <= high)) <= 0.95  # nominal 0.9; standard error 0.007


@given(values=st.lists(st.integers(0, 5), min_size=1, max_size=8), data=st.data())
def test_ranks_are_their_definition(values, data):
    value = np.array(values, dtype=float)
    half = data.draw(arrays(float, len(value), elements=st.sampled_from([0.0, 0.4, 1.5])))
    low, high = value - half, value + half
    got = ranks_of(Estimate(value, low, high))
    for i in range(len(value)):
        others = [j for j in range(len(value)) if j != i]
        assert got.rank[i] == 1 + sum(value[j] > value[i] for j in others)
        assert got.low[i] == 1 + sum(low[j] > high[i] for j in others)
        assert got.high[i] == len(value) - sum(high[j] < low[i] for j in others)
    assert ((got.low <= got.rank) & (got.rank <= got.high)).all()


# -- readings and the table --------------------------------------------------------------------------


def table_of(*, full, less, n=4):
    """A table whose output is ``full`` with all players and ``less`` with any one left out, 0 with fewer."""
    v = np.zeros(2**n)
    for i in range(n):
        v[(2**n - 1) ^ (1 << i)] = less + 0.1 * (-1) ** i
    v[-1] = full
    return v


WELL = {"full": 5.0, "less": 4.0}
MEMORISED = {"full": 4.0, "less": -2.0}
CONTRADICTED = {"full": -4.0, "less": -3.0}


def read(*tables, **options):
    return reading(explained([table_of(**t) for t in tables]), **{"labels": range(len(tables)), **options})


def test_a_reading_leaves_out_players_that_change_nothing():
    v = np.random.default_rng(0).normal(size=(2, 8))
    v[1, 4:] = v[1, :4] + 1e-9  # player 2 of sample 1
    got = reading(explained(v))
    assert np.isnan(got.without).tolist() == [[False] * 3, [False, False, True]]
    np.testing.assert_allclose(got.output, v[:, -1])
    np.testing.assert_allclose(got.without[0], [v[0, 6], v[0, 5], v[0, 3]])
    assert got.sample_ids.tolist() == [0, 1]
    assert got.labels is None


def test_readings_refuse_what_does_not_fit():
    found = explained(np.zeros((2, 4)))
    with pytest.raises(ShapeError, match="one table for each"):
        reading(found[0])
    with pytest.raises(ShapeError, match="`labels` must have one number for each of 2"):
        reading(found, labels=[1])
    with pytest.raises(ShapeError, match="`sample_ids` must"):
        reading(found, sample_ids=[1, 2, 3])


def test_the_memorised_and_the_contradicted_are_flagged_and_say_why():
    table = sample_table([read(WELL, MEMORISED, WELL, CONTRADICTED, WELL, WELL, WELL)])
    assert [row.sample_id for row in table][:2] == [3, 1]
    contradicted, memorised, *rest = table
    assert contradicted.flagged
    assert contradicted.sentence.startswith(
        "Looks mislabelled: the network contradicts its label 3 (log-odds -4.0; -3.00 with one player left out, 90%"
    )
    assert memorised.flagged
    assert memorised.sentence.startswith("Looks memorised: the network gives its label 1 now (log-odds +4.0; -2.00")
    assert memorised.sentence.endswith("It rests on players 1, 3, 0.")  # what each costs: 6.1, 6.1, 5.9
    assert not any(row.flagged or row.sentence for row in rest)
    assert (memorised.score, memorised.output) == (pytest.approx(2.0), pytest.approx(4.0))
    assert memorised.score_low < 2.0 < memorised.score_high
    assert (memorised.rank, memorised.rank_low, memorised.rank_high) == (2, 2, 2)
    assert "2 of 7 training samples look memorised or mislabelled" in table.sentence
    assert "flagged" in repr(table)
    assert len(repr(table).splitlines()) == 9


def test_profile_columns_are_those_of_the_spectrum():
    found = explained(np.random.default_rng(0).normal(size=(3, 16)), part=0.5)
    profile = order_profile(order_spectrum(found, salience=0.2))
    table = sample_table([reading(found, salience=0.2)])
    for row in table:
        i = row.sample_id
        np.testing.assert_allclose(row.profile, profile.share[i])
        assert row.mean_order == profile.mean_order[i]
        assert row.cancelling == profile.cancelling[i]
        np.testing.assert_allclose(row.cancelling_by_order, profile.cancelling_by_order[i])


def test_none_is_flagged_whose_interval_reaches_the_label():
    unsure = np.zeros((1, 16))
    unsure[0, [7, 11, 13, 14]] = (-9.0, 4.0, -3.0, 4.0)  # against the label on average, but not with every player
    table = sample_table([reading(explained(np.concatenate([[table_of(**WELL)] * 4, unsure])), labels=[0] * 5)])
    assert table[0].sample_id == 4
    assert table[0].score == pytest.approx(1.0)
    assert table[0].score_low < 0
    assert not any(row.flagged for row in table)


def test_none_is_flagged_before_the_network_has_learned():
    table = sample_table([read(WELL, MEMORISED, CONTRADICTED, CONTRADICTED, CONTRADICTED)])
    assert not any(row.flagged for row in table)
    assert "No verdict on memorised samples yet: at step 0 the network gives 40% of the samples" in table.sentence
    assert "more than 60% are needed" in table.sentence  # five labels: halfway from 20 %


def test_half_of_two_classes_is_chance():
    good, bad = [WELL] * 7, [CONTRADICTED] * 3
    table = sample_table([read(*good, *bad, labels=[0, 1] * 5)])
    assert not any(row.flagged for row in table)
    table = sample_table([read(*good, WELL, *bad[1:], labels=[0, 1] * 5)])
    assert sum(row.flagged for row in table) == 2


def test_samples_that_were_not_trained_on_are_ranked_apart_and_never_flagged():
    train = read(WELL, WELL, WELL, MEMORISED)
    test = read(CONTRADICTED, WELL, WELL, WELL, group="test")
    table = sample_table([test, train])
    assert [row.group for row in table] == ["train"] * 4 + ["test"] * 4
    assert [row.rank for row in table] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert [row.rank_low for row in table] == [1, 2, 2, 2, 1, 2, 2, 2]
    assert [row.flagged for row in table] == [True] + [False] * 7
    assert "the same rule would flag 25%" in table.sentence
    assert not any(row.flagged for row in sample_table([test]))
    assert "no group of training samples" in sample_table([test]).sentence
    named = sample_table([test, train], training=["test"])
    assert [row.group for row in named if row.flagged] == ["test"]
    with pytest.raises(InputError, match="`training` must name groups"):
        sample_table([test], training=["trian"])
    with pytest.raises(InputError, match="at least one reading"):
        sample_table([])


def test_groups_that_are_wrong_on_purpose_do_not_hold_back_the_others():
    wrong = read(*[CONTRADICTED] * 6, group="mislabelled")
    table = sample_table([read(WELL, WELL, group="test"), wrong])
    assert [row.flagged for row in table] == [True] * 6 + [False] * 2


def looks_of_a_training():
    """Ten held-out samples learned by step 10, half by step 5; the second training sample is fitted at step 20."""
    half = [WELL] * 5 + [CONTRADICTED] * 5
    tests = {1: half[1:] + half[-1:], 5: half, 10: [WELL] * 9 + [CONTRADICTED], 20: [WELL] * 10}
    trains = {1: [CONTRADICTED] * 3, 5: [CONTRADICTED] * 3, 10: [WELL, CONTRADICTED, WELL], 20: [WELL] * 3}
    for step in tests:
        yield read(*tests[step], group="test", step=step)
        yield read(*trains[step], step=step)


def test_scores_are_means_since_the_network_had_learned_and_flags_are_of_that_look():
    table = sample_table(looks_of_a_training())
    assert (table.step, table.scored_at, table.learned_at) == (20, (5, 10, 20), 10)
    by_id = {row.sample_id: row for row in table if row.group == "train"}
    assert by_id[1].score == pytest.approx((3.0 + 3.0 - 4.0) / 3)
    assert by_id[0].score == pytest.approx((3.0 - 4.0 - 4.0) / 3)
    assert [by_id[i].flagged for i in range(3)] == [False, True, False]
    assert by_id[1].sentence.startswith(
        "Looks memorised: the network gives its label 1 now (log-odds +5.0; at step 10, when it had learned, -3.00 "
        "with one player left out, 90% interval -3.13 to -2.87)."
    )
    assert "1 of 3 training samples look memorised or mislabelled, by their scores at step 10 and not" in table.sentence
    assert "Of 10 samples that were not trained on, the same rule would flag 10%" in table.sentence


def test_without_looking_back_it_is_the_last_look_alone():
    table = sample_table(looks_of_a_training(), history=False)
    assert table.scored_at == (20,)
    assert not any(row.flagged for row in table)
    assert {row.sample_id: row.score for row in table if row.group == "train"}[1] == pytest.approx(-4.0)


def test_looks_at_other_samples_do_not_count():
    looks = [replace(r, sample_ids=r.sample_ids + 50) if r.step == 10 else r for r in looks_of_a_training()]
    assert sample_table(looks).scored_at == (5, 20)


def test_without_samples_that_were_not_trained_on_all_count_and_the_share_of_false_flags_is_unknown():
    looks = [r for r in looks_of_a_training() if r.group == "train"]
    table = sample_table(looks)
    assert (table.scored_at, table.learned_at) == ((10, 20), 20)  # at step 10 two of three labels
    assert "is not known without samples that were not trained on" in table.sentence


def test_other_outputs_have_no_score():
    table = sample_table([reading(explained([table_of(**WELL), table_of(**MEMORISED)], unit="nats"))])
    assert all(math.isnan(row.score) and row.rank is None and not row.flagged for row in table)
    assert table.sentence.startswith("No score: it needs log-odds")
    assert repr(table)


def test_a_sample_without_players_that_matter_has_its_output_for_a_score():
    constant = np.full((1, 8), 3.0)
    table = sample_table([reading(explained(constant - 0.01 * np.sin(np.arange(8)), part=1.0))])
    assert math.isfinite(table[0].score)
    flat = explained(constant)
    flat = replace(flat, residual=torch.zeros_like(flat.residual), i_and=flat.i_and * 0)
    row = sample_table([reading(flat)])[0]
    assert (row.score, row.carriers) == (0.0, ())
    assert math.isnan(row.mean_order)


# -- from a training, in memory and from the disk ----------------------------------------------------


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))


def groups():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 5, generator=generator)
    y = x[:, :3].argmax(1)
    given = y.clone()
    given[:3] = (given[:3] + 1) % 3
    return {"test": (x[16:], y[16:]), "train": (x[:16], given[:16])}


def followed(folder=None, players=None, seed=0, **options):
    probe = groups()
    cut = columns() if players is None else players
    tracker = Tracker(probe, players=cut, schedule=at(0, 20, 60), out=folder, strict=True, budget=None, **options)
    torch.manual_seed(seed)
    net = network() if seed == 0 else nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for step in range(61):
        tracker.observe(step, net, train_loss=1.0, test_loss=1.0)
        if step == 60:
            break
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(probe["train"][0]), probe["train"][1]).backward()
        optimiser.step()
    return tracker, net


def same(a, b):
    assert (a.step, a.scored_at, a.learned_at, a.sentence) == (b.step, b.scored_at, b.learned_at, b.sentence)
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        for key, value in asdict(one).items():
            got = asdict(other)[key]
            if isinstance(value, float | tuple):
                np.testing.assert_allclose(got, value, err_msg=key)
            else:
                assert got == value, key


def test_the_tracker_the_disk_and_the_network_say_the_same(tmp_path):
    tracker, net = followed(tmp_path / "run")
    with tracker:
        table = tracker.samples()
    assert table.step == 60
    assert len(table) == 24
    same(table, followed()[0].samples())
    same(table, History.read(tmp_path / "run").samples())
    same(tracker.samples(20, history=False), History.read(tmp_path / "run").samples(20, history=False))
    x, y = groups()["train"]
    found = ix.measure(net, x, target=y, players=columns(), tol=3e-3)
    direct = sample_table([reading(found, labels=y, step=60)], history=False)
    for one, other in zip(direct, tracker.samples(history=False), strict=False):
        assert (one.group, one.sample_id, one.label, one.rank) == (
            other.group,
            other.sample_id,
            other.label,
            other.rank,
        )
        assert one.score == pytest.approx(other.score)
    assert {row.label for row in table} == {0, 1, 2}


def test_a_tracker_that_goes_on_remembers_every_group(tmp_path):
    tracker, _ = followed(tmp_path / "run")
    table = tracker.samples()
    tracker.close()
    again = Tracker(groups(), players=columns(), schedule=at(0, 20, 60), out=tmp_path / "run", strict=True, budget=None)
    same(again.samples(), table)
    again.close()


def test_steps_that_are_not_there_are_refused(tmp_path):
    tracker, _ = followed(tmp_path / "run")
    tracker.close()
    with pytest.raises(InputError, match=r"`step` must be one of the measured steps, \[0, 20, 60\]; got 30"):
        tracker.samples(30)
    with pytest.raises(IncompleteRunError, match="needs a measured step"):
        Tracker(groups(), players=columns(), budget=None).samples()
    with pytest.raises(InputError, match=r"`step` must be one of the measured steps, \[0, 20, 60\]; got 30"):
        History.read(tmp_path / "run").samples(30)
    (tmp_path / "run" / "measurements" / "step_00000060.train.safetensors").unlink()
    assert History.read(tmp_path / "run").samples().step == 20
    with pytest.raises(InputError, match=r"the measured steps, \[0, 20\]; got 60"):
        History.read(tmp_path / "run").samples(60)
    shutil.rmtree(tmp_path / "run" / "measurements")
    with pytest.raises(IncompleteRunError, match="needs a measured step"):
        History.read(tmp_path / "run").samples()


def test_runs_written_before_labels_were_kept_still_read():
    run = store.open_run(DATA / "run_without_targets")
    assert store.read_measurement(run, 0, group="train").targets is None
    table = History.read(run).samples()
    assert [row.label for row in table] == [None] * 3
    assert all(math.isfinite(row.score) for row in table)


def test_a_regression_has_no_labels_on_disk(tmp_path):
    x = torch.randn(8, 5)
    net = nn.Linear(5, 1)
    with Tracker(
        (x, None), players=columns(), schedule=at(0), out=tmp_path / "run", strict=True, budget=None
    ) as tracker:
        tracker.observe(0, net)
    assert store.read_measurement(store.open_run(tmp_path / "run"), 0, group="test").targets is None


# -- generalisation from the disk --------------------------------------------------------------------


def test_generalisation_and_agreement_come_from_the_disk(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        tracker, _ = followed(tmp_path / name, seed=seed)
        tracker.close()
    run = store.open_run(tmp_path / "a")
    tables = {g: store.read_measurement(run, 60, group=g) for g in ("train", "test")}
    from interdyn.measurement import interactions

    found = {g: interactions(m) for g, m in tables.items()}
    wanted = jaccard_by_order(
        found["train"], found["test"], a_classes=tables["train"].targets, b_classes=tables["test"].targets, n_draws=20
    )
    got = generalisation(run, n_draws=20)
    for name in ("similarity", "low", "high", "alike", "alike_low"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))
    assert generalisation(run, step=0, n_draws=20).similarity.tolist() != got.similarity.tolist()
    np.testing.assert_allclose(agreement(run, run, n_draws=20).similarity, 1.0)
    between = agreement(run, tmp_path / "b", group="train", n_draws=20)
    assert between.per_vector.shape == (16, 5)
    assert (between.similarity < 1).all()
    assert (agreement(run, run, other_step=0, n_draws=20).similarity < 1).all()


def test_what_means_different_things_is_not_compared(tmp_path):
    drawn = columns().choose(3)
    for name, players, ids in (("fixed", columns(), None), ("drawn", drawn, None), ("other", columns(), range(7, 31))):
        options = {} if ids is None else {"sample_ids": None}
        tracker, _ = followed(tmp_path / name, players=players, **options)
        tracker.close()
    with pytest.raises(InputError, match=r"same parts of the input for all of them; got columns\(\)\.choose\(3"):
        generalisation(tmp_path / "drawn")
    with pytest.raises(InputError, match="the same players"):
        agreement(tmp_path / "fixed", tmp_path / "drawn")
    with pytest.raises(InputError, match=r"one of the run's, \['test', 'train'\]; got 'valid'"):
        generalisation(tmp_path / "fixed", groups=("train", "valid"))
    with pytest.raises(InputError, match="`step` must be one of the run's steps"):
        agreement(tmp_path / "fixed", tmp_path / "fixed", step=3)
    agreement(tmp_path / "drawn", tmp_path / "drawn", n_draws=5)  # the draw of a sample is the same in both
    (tmp_path / "fixed" / "measurements" / "step_00000020.test.safetensors").unlink()
    with pytest.raises(IncompleteRunError, match="group `test` must be measured"):
        generalisation(tmp_path / "fixed", step=20)


def test_recipes_say_whether_their_players_differ_by_sample(tmp_path):
    from interdyn.measurement._generalisation import _cut

    for name, section, drawn in (
        ("all", {"kind": "patches", "rows": 2, "cols": 2}, False),
        ("some", {"kind": "patches", "rows": 2, "cols": 2, "n": 3}, True),
        ("parts", {"kind": "parts"}, True),
        ("columns", {"kind": "columns"}, False),
    ):
        recipe = {"name": name, "players": section}
        run = store.begin_run(tmp_path / name, recipe, steps=(0,), groups=("test",), environment={})
        assert _cut(run)["drawn"] is drawn


def test_patches_are_players_that_can_be_compared(tmp_path):
    x, y = torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 0, 1, 0, 1])
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with Tracker(
        {"train": (x, y), "test": (x, y)},
        players=patches(2, 2),
        schedule=at(0),
        out=tmp_path / "run",
        strict=True,
        budget=None,
    ) as tracker:
        tracker.observe(0, net)
    np.testing.assert_allclose(generalisation(tmp_path / "run", n_draws=5).similarity[0], 1.0)


# -- recipes -----------------------------------------------------------------------------------------


def test_a_recipe_may_measure_training_samples(tmp_path):
    from interdyn.recipes import load_recipe, load_samples, run_recipe

    noisy = "data.label_noise=0.5"
    plain = load_recipe("wine-mlp", overrides=[noisy], smoke=True)
    assert "train_samples" not in plain.plain()["measure"]  # so that runs begun before keep their identity
    recipe = load_recipe("wine-mlp", overrides=["measure.train_samples=9", noisy], smoke=True)
    assert recipe.groups[-1] == "train"
    assert recipe.measure.train_samples == 4
    run = run_recipe(recipe, tmp_path / "run")
    found = store.read_measurement(run, run.steps[-1], group="train")
    assert found.targets.dtype == np.int64
    table = History.read(run).samples()
    assert {row.group for row in table} == set(recipe.groups)
    data = load_samples(recipe.data)
    for row in table:
        wanted = data.targets if row.group == "test" else data.given
        assert row.label == wanted[row.sample_id]
    other = run_recipe(plain, tmp_path / "other")
    for group in plain.groups:  # whose samples stay what they were
        ids = [store.read_measurement(r, 0, group=group).sample_ids.tolist() for r in (run, other)]
        assert ids[0] == ids[1]


def test_pandas_takes_the_table_as_it_is():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(sample_table([read(WELL, MEMORISED)]))
    assert list(frame.columns) == list(asdict(sample_table([read(WELL)])[0]))
    assert frame["sample_id"].tolist() == [1, 0]
    assert len(frame["profile"][0]) == 4
