"""The samples one by one: profile, cancellation, score, rank, flags; in memory and from the disk alone."""

import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import nn

import interdyn as ix
from interdyn import store
from interdyn.errors import IncompleteRunError, InputError, ShapeError
from interdyn.measurement import History, agreement, generalisation, reading, sample_table
from interdyn.measurement._samples import _beta_binomial, flags_of
from interdyn.players import columns, patches
from interdyn.spectra import jaccard_by_order, order_profile, order_spectrum, output_without
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


def held_out(*, wrong=0, count=100, **options):
    """Readings of samples that were not trained on, ``wrong`` of which the network contradicts."""
    return read(*[WELL] * (count - wrong), *[CONTRADICTED] * wrong, group="test", **options)


def test_the_memorised_and_the_contradicted_are_flagged_and_say_why():
    before = read(WELL, CONTRADICTED, WELL, CONTRADICTED, WELL, WELL, WELL, step=1)
    after = read(WELL, MEMORISED, WELL, CONTRADICTED, WELL, WELL, WELL, step=9)
    table = sample_table([before, held_out(step=1, wrong=40), after, held_out(step=9)])
    contradicted, memorised, *rest = table
    assert (contradicted.sample_id, memorised.sample_id) == (3, 1)
    assert contradicted.flagged
    assert contradicted.sentence == (
        "Looks mislabelled: the network contradicts its label 3 (log-odds -4.0; -4.0 on average while it learned)."
    )
    assert memorised.flagged
    assert memorised.sentence == (
        "Looks memorised: the network gives its label 1 now (log-odds +4.0; +0.0 on average while it learned). It "
        f"rests on players 1, 3, 0, with interactions of mean order {memorised.mean_order:.1f}."
    )  # what each costs: 6.1, 6.1, 5.9
    assert not any(row.flagged or row.sentence for row in rest)
    assert (memorised.score, memorised.output, memorised.rank) == (pytest.approx(0.0), pytest.approx(4.0), 2)
    assert "2 of 7 training samples look memorised or mislabelled. Estimated from 100 samples" in table.sentence
    assert table.flags.threshold == pytest.approx(-0.5)  # of those that were learned between the two
    assert len(repr(table).splitlines()) == 23  # the sentence, the heads, twenty rows, how many more


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


# -- flags, and how many of them are right -----------------------------------------------------------


@given(count=st.integers(0, 40), a=st.integers(1, 6), b=st.integers(1, 60))
def test_chances_are_those_of_scipy(count, a, b):
    np.testing.assert_allclose(_beta_binomial(count, a, b), stats.betabinom(count, a, b).pmf(range(count + 1)))


@given(
    own=st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=30),
    others=st.lists(st.integers(-9, 9).map(float), min_size=1, max_size=160),
)
def test_flags_are_their_definition(own, others):
    got = flags_of(np.array(own), np.array(others))
    h, t = len(others), len(own)
    k = (h + 1) // 50
    if not k:
        assert (got.held_out, got.needed, got.threshold) == (h, 49, None)
        assert f"hard samples with {h} samples that were not trained on: add a group of 49 or more" in str(got)
        return
    limit = sorted(others, reverse=True)[k - 1]
    above = sum(score > limit for score in own)
    assert (got.held_out, got.of, got.above, got.allowed) == (h, t, above, k)
    if not above:
        assert got.threshold is None
        return
    false = stats.betabinom(t, k, h + 1 - k)
    assert got.expected == pytest.approx(false.mean())
    assert got.precision == pytest.approx(max(1 - false.mean() / above, 0))
    assert got.precision_low == pytest.approx(max(1 - false.ppf(0.95) / above, 0))
    assert got.precision_high == pytest.approx(max(1 - false.ppf(0.05) / above, 0))
    assert got.threshold == (limit if got.precision >= 0.5 and got.precision_low > 0 else None)


def test_the_interval_of_the_precision_holds_the_true_share():
    rng = np.random.default_rng(0)
    inside, errors = [], []
    for _ in range(400):
        right, wrong = rng.normal(size=180), rng.normal(4, size=20)
        others = rng.normal(size=60)
        found = flags_of(np.concatenate([right, wrong]), others)
        true = (wrong > np.sort(others)[-found.allowed]).sum() / found.above
        inside.append(found.precision_low <= true <= found.precision_high)
        errors.append(found.precision - true)
    assert 0.87 <= np.mean(inside) <= 0.98  # nominal 0.9 or more: counts are whole
    assert -0.08 < np.mean(errors) < 0  # rather too low


def test_samples_like_those_held_out_are_not_flagged():
    rng = np.random.default_rng(0)
    found = [flags_of(rng.normal(size=300), rng.normal(size=100)) for _ in range(200)]
    assert np.mean([f.threshold is not None for f in found]) < 0.08  # of tests at 5 %
    said = next(str(f) for f in found if f.threshold is None and f.above)
    assert "No sample is flagged" in said
    assert "would with correct labels, too" in said


def test_without_samples_held_out_nothing_can_be_said_of_flags():
    table = sample_table([read(WELL, MEMORISED, CONTRADICTED)])
    assert not any(row.flagged for row in table)
    assert [row.rank for row in table] == [1, 2, 3]
    assert "hard samples with no samples that were not trained on: add a group of 49 or more" in table.sentence
    assert table.flags.threshold is None
    assert "stands out" in sample_table([read(WELL, WELL), held_out()]).sentence


def test_samples_that_were_not_trained_on_are_ranked_apart_and_never_flagged():
    train, test = read(WELL, WELL, CONTRADICTED, CONTRADICTED), held_out(wrong=2)
    table = sample_table([test, train])
    assert [row.group for row in table] == ["train"] * 4 + ["test"] * 100
    assert [row.rank for row in table[:5]] == [1, 1, 3, 3, 1]
    assert not any(row.flagged for row in table)  # two of those held out score as high
    assert [row.flagged for row in sample_table([held_out(), train])] == [True] * 2 + [False] * 102
    assert "Record a group of training samples" in sample_table([test]).sentence
    named = sample_table([read(CONTRADICTED, WELL, group="odd"), held_out()], training=["odd"])
    assert [row.group for row in named if row.flagged] == ["odd"]
    with pytest.raises(InputError, match="`training` must name groups"):
        sample_table([test], training=["trian"])
    with pytest.raises(InputError, match="at least one reading"):
        sample_table([])


def test_groups_that_are_wrong_on_purpose_count_as_trained_on():
    wrong = read(*[CONTRADICTED] * 6, group="mislabelled")
    assert [row.flagged for row in sample_table([held_out(), wrong])] == [True] * 6 + [False] * 100


def looks_of_a_training():
    """Half of those held out are learned by step 5, most by 10; the second training sample is fitted at step 20."""
    odd = {"full": -6.0, "less": -3.0}
    trains = {1: [CONTRADICTED, odd], 5: [CONTRADICTED, odd], 10: [WELL, odd], 20: [WELL, WELL]}
    wrong = {1: 100, 5: 50, 10: 5, 20: 0}
    for step, rows in trains.items():
        yield held_out(step=step, wrong=wrong[step])
        yield read(*rows, step=step)


def score_by_definition(looks, sample, group):
    """Slow twin: of the readings where every group has the samples of its last, until most labels are given."""
    seen = {}
    for r in looks:
        seen.setdefault(r.step, {})[r.group] = r.sample_ids.tolist()
    steps = [step for step in sorted(seen) if seen[step] == seen[max(seen)]]
    given = [sum(x > 0 for r in looks if (r.step, r.group) == (step, "test") for x in r.output) for step in steps]
    half, most = (next(i for i, count in enumerate(given) if count >= part * max(given)) for part in (0.5, 0.9))
    steps = steps[half : most + 1]
    outputs = [float(r.output[sample]) for step in steps for r in looks if (r.step, r.group) == (step, group)]
    return -sum(outputs) / len(outputs), tuple(steps)


@pytest.mark.parametrize("moved", [None, 10, 5])
def test_scores_are_means_over_the_looks_at_the_same_samples(moved):
    looks = list(looks_of_a_training())
    looks = [replace(r, sample_ids=r.sample_ids + 50) if r.step == moved else r for r in looks]
    table = sample_table(looks)
    for row in table:
        score, steps = score_by_definition(looks, row.sample_id, row.group)
        assert row.score == pytest.approx(score)
        assert table.scored_at == steps
    assert table.step == 20
    assert table.scored_at == {None: (5, 10), 10: (5, 20), 5: (10,)}[moved]


def test_what_was_contradicted_for_long_is_flagged_after_it_is_fitted():
    table = sample_table(looks_of_a_training())
    by_id = {row.sample_id: row for row in table if row.group == "train"}
    assert by_id[1].score == pytest.approx(6.0)
    assert [by_id[i].flagged for i in range(2)] == [False, True]
    assert by_id[1].sentence.startswith(
        "Looks memorised: the network gives its label 1 now (log-odds +5.0; -6.0 on average while it learned)."
    )
    assert "Scores from 2 measurements from step 5 to 10, while it learned." in table.sentence


def test_where_no_label_is_ever_given_all_measurements_count():
    looks = [read(CONTRADICTED, CONTRADICTED, step=step) for step in (1, 2, 3)]
    assert sample_table(looks).scored_at == (1, 2, 3)


def test_other_outputs_have_no_score():
    table = sample_table([reading(explained([table_of(**WELL), table_of(**MEMORISED)], unit="nats"))])
    assert all(math.isnan(row.score) and row.rank is None and not row.flagged for row in table)
    assert table.sentence.startswith("No score: it needs log-odds")
    assert (table.flags, table.scored_at) == (None, ())
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
    assert (a.step, a.scored_at, a.sentence) == (b.step, b.scored_at, b.sentence)
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
    same(tracker.samples(20), History.read(tmp_path / "run").samples(20))
    x, y = groups()["train"]
    found = ix.measure(net, x, target=y, players=columns(), tol=3e-3)
    by_id = {row.sample_id: row for row in table if row.group == "train"}
    for one in sample_table([reading(found, labels=y, step=60)]):
        other = by_id[one.sample_id]
        assert (one.label, one.carriers) == (other.label, other.carriers)
        assert (one.output, one.score) == (pytest.approx(other.output), pytest.approx(-one.output))
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
