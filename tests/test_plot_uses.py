"""Waterfalls, bars over samples and networks: they add up, name what they show, and bear any input."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from matplotlib.figure import Figure

from interdyn import measure, plot, store
from interdyn.errors import InputError
from interdyn.plot._naming import naming_of
from interdyn.plot._tables import SALIENCE, tables_of, thresholds, without_constant
from interdyn.plot.panels import top, waterfall
from interdyn.spectra import salience_threshold, usage
from interdyn.store import Exhibit
from test_plot_samples import planted, words
from test_spectra import interactions, random_interactions


def axes():
    return Figure(figsize=(8, 5)).subplots()


# -- one sample, adding up ---------------------------------------------------------------------------


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 1.0, 1e12]), st.integers(0, 12))
def test_a_waterfall_adds_up_to_the_output(n, seed, scale, k):
    found = random_interactions(n, 3, seed, scale)
    v = found.i_and.sum(-1) + found.i_or[:, 1:].sum(-1) + found.residual[:, -1]
    for sample in range(3):
        bars = waterfall(found, sample, k=k).bars
        base, *between, output = bars
        assert base.end == pytest.approx(float(found.i_and[sample, 0] + found.residual[sample, 0]), rel=1e-12)
        assert output.end == pytest.approx(float(v[sample]), rel=1e-12, abs=1e-12 * scale)
        for before, after in zip(bars[:-2], between, strict=True):
            assert after.start == before.end  # each begins where the one before ends
        assert between[-1].end == output.end  # and the last ends at the output, to the bit
        most = max(abs(edge) for bar in bars for edge in (bar.start, bar.end))
        assert base.end + sum(bar.value for bar in between) == pytest.approx(output.end, abs=1e-13 * most)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_waterfall_lists_the_strongest_and_nothing_below_the_salience(n, seed):
    found = random_interactions(n, 2, seed)
    tau = float(salience_threshold(found)[1])
    strengths = torch.cat([found.i_and[1, 1:], found.i_or[1, 1:]]).abs()
    expected = sorted((float(x) for x in strengths if x >= tau), reverse=True)
    panel = waterfall(found, 1, k=5)
    listed = [abs(bar.value) for bar in panel.bars if bar.kind in ("and", "or")]
    assert listed == pytest.approx(expected[:5], rel=1e-9)
    assert f"({max(len(expected) - 5, 0)} salient)" in panel.bars[-2].name


def test_a_waterfall_says_what_is_and_what_is_or_and_never_minus_zero():
    found = planted({("and", (0, 2)): 3.0, ("or", (1, 3)): -2.0, ("and", (1,)): 1e-4})
    ax = plot.plot_waterfall(replace(found, names=("age", "sex", "income", "debt")), ax=axes())
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[1:4] == ["AND  age, income", "OR  sex, debt", "all others (0 salient)"]
    assert [line.get_marker() for line in ax.lines if line.get_marker() in ("o", "D")] == ["o", "D"]
    colours = {patch.get_width() > 0: patch.get_facecolor() for patch in ax.patches[:2]}
    assert colours[True] != colours[False]
    assert {"+3.00", "-2.00", "0.00", "+1.00"} <= {text.get_text() for text in ax.texts}
    assert not re.search(r"[-+]0\.00", words(ax))


def test_a_waterfall_of_no_such_sample_is_refused():
    found = random_interactions(2, 3)
    with pytest.raises(InputError, match="below 3, the number of samples; got 3"):
        plot.plot_waterfall(found, 3)
    with pytest.raises(InputError, match="`by` must be"):
        plot.plot_top(found, by="beauty")
    with pytest.raises(InputError, match="the samples have no classes"):
        plot.plot_top(found, label=1)


# -- over samples ------------------------------------------------------------------------------------


def test_the_bars_are_those_of_usage():
    found = random_interactions(3, 7)
    ax, expected = plot.plot_top(found, k=6, ax=axes()), usage(found, k=6)
    assert [bar.get_height() for bar in ax.patches[:6]] == pytest.approx(expected.positive.tolist())
    assert [bar.get_height() for bar in ax.patches[6:12]] == pytest.approx(expected.negative.tolist())
    shares = top(found, k=4, by="share").usage.share
    assert (np.diff(shares) <= 0).all()
    assert shares[0] == usage(found, k=500).share.max()
    players = {line.get_text() for line in ax.figure.axes[1].get_yticklabels()}
    assert players == {name for who in expected.players for name in who}


def test_a_network_joins_the_players_of_interactions():
    found = planted({("and", (0, 2)): 3.0, ("or", (1, 2, 3)): -2.0, ("and", (1,)): 1.0})
    found = replace(found, names=("a", "b", "c", "d"))
    ax = plot.plot_network(found, ax=axes())
    assert len(ax.lines) == 1 + 3
    assert {line.get_linestyle() for line in ax.lines} == {"-", "--"}
    assert {"a", "b", "c", "d"} <= {text.get_text() for text in ax.texts}


def test_thresholds_are_those_of_the_spectra():
    found = random_interactions(4, 5)
    both = without_constant(found.i_and.numpy(), found.i_or.numpy())
    effect = tables_of(found).effect
    for rule, salience in (("mean-effect", None), ("mean-effect", 0.1), ("max", None), ("max", 0.2), ("absolute", 0.4)):
        expected = salience_threshold(found, salience=salience, rule=rule).numpy()
        np.testing.assert_allclose(thresholds(both, effect, salience=salience, salience_rule=rule), expected)
    assert SALIENCE == 0.03


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from test_online import tracked

    folder = tmp_path_factory.mktemp("uses") / "run"
    tracked(folder)
    return folder


def test_of_a_run_the_course_of_what_is_used_most(run):
    ax = plot.plot_top_over_training(run, k=3, ax=axes())
    opened = store.open_run(run)
    last = top(run, k=3).usage
    assert [line.get_ydata()[-1] for line in ax.lines[:3]] == pytest.approx(last.mean.tolist())
    m = store.read_measurement(opened, opened.steps[-1], group="test")
    assert m.targets is not None
    label = int(m.targets[0])
    one = top(run, k=3, label=label).usage
    assert len(one.value) == int((m.targets == label).sum())
    with pytest.raises(InputError, match="`label` must be a class"):
        plot.plot_top(run, label=99)
    assert f"class {label}" in plot.plot_waterfall(run, ax=axes()).get_title(loc="left")


# -- names -------------------------------------------------------------------------------------------


def test_columns_words_places_and_parts_have_names():
    ids = np.arange(2)
    columns = Exhibit("test", ids, pieces=((("age = 39", 0), ("sex = 1e-05", -1)), (("age = nan", -1), ("sex = 2", 0))))
    found = naming_of(columns, {}, n=1, samples=2)
    assert (found.keys, found.others) == ((("age",), ("sex",)), None)
    assert found.rows == (("age = 39",), ("sex = 2",))
    coded = Exhibit("test", ids, pieces=((("age = 39", 0), ("job = cook", 1)), (("age = 41", 0), ("job = no job", 1))))
    found = naming_of(coded, {}, n=2, samples=2)
    assert (found.kind, found.keys, found.rows[1]) == ("columns", (("age", "job"),) * 2, ("age = 41", "job = no job"))
    sentences = Exhibit("test", ids, pieces=((("Not", 0), ("a", -1)), (("good", 0), ("film", 1))))
    assert found.sentence == "Players are columns, which mean the same in every sample."
    sequences = Exhibit("test", np.arange(2), pieces=((("step 1", 0), ("step 2", 1), ("step 3", 1)),) * 2)
    found = naming_of(sequences, {"players": "steps(2)"}, n=2, samples=2)
    assert found.keys == (("step 1", "step 2 step 3"),) * 2
    assert found.sentence == "Players are steps of the sequence, counted from 1; their content differs by sample."
    found = naming_of(sentences, {}, n=2, samples=2)
    assert (found.keys, found.others) == ((("not", ""), ("good", "film")), (frozenset("a"), frozenset()))
    cells = np.array([[[0, 0, 1, -1], [0, 0, 1, -1]], [[-1, -1, 0, 1], [-1, -1, 0, 1]]])
    pictures = Exhibit("test", ids, pictures=np.zeros((2, 2, 4, 1), dtype=np.uint8), players=cells)
    found = naming_of(pictures, {"players": "patches(1, 4).choose(2)"}, n=2, samples=2)
    assert found.keys == (("row 1 column 2", "row 1 column 3"), ("row 1 column 3", "row 1 column 4"))
    assert found.grid == (1, 4)
    assert naming_of(pictures, {"players": "segments"}, n=2, samples=2).keys is None
    alike = replace(pictures, players=cells[[0, 0]])
    assert naming_of(alike, {"players": "segments"}, n=2, samples=2).keys == (("area 1", "area 2"),) * 2
    cloud = Exhibit("test", ids, points=np.zeros((2, 4, 3), dtype=np.float32), players=np.zeros((2, 4), dtype=int))
    assert naming_of(cloud, {}, n=1, samples=2).keys is None
    parts = replace(cloud, pieces=((("wing", 0),), (("tail", 0),)))
    assert naming_of(parts, {}, n=1, samples=2).keys == (("wing",), ("tail",))
    assert naming_of(None, {"players": "columns()"}, n=1, samples=1).keys == (("player 0",),)
    assert naming_of(None, {"players": "columns().choose(2, seed=0, others='keep')"}, n=2, samples=3).keys is None


@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_names_are_drawn():
    names = ("x" * 300, "שלום עולם", "日本語の単語", "$a_b$ <b>")
    found = replace(random_interactions(4, 3), names=names)
    for figure in (plot.plot_waterfall, plot.plot_top, plot.plot_network):
        ax = figure(found, ax=axes())
        ax.figure.canvas.draw()
        assert "$a_b$ <b>" in words(ax)
        assert "x" * 80 not in words(ax)


def test_what_cannot_be_matched_says_so():
    found = replace(random_interactions(2, 3), settings={"players": "patches(2, 2).choose(2, seed=0, others='keep')"})
    with pytest.raises(InputError, match="mean something else in each sample"):
        plot.plot_top(found)
    assert plot.plot_waterfall(found, ax=axes())
    assert "No interaction is salient" in words(plot.plot_top(planted({}), ax=axes()))


def test_one_sample_and_thousands_of_salient_interactions():
    i_and, i_or = np.random.default_rng(0).standard_normal((2, 1, 2**12))
    residual = np.zeros((1, 2**12))
    residual[0, -1] = 1.0 - i_and[0, 1:].sum() - i_or[0, 1:].sum()  # so that the effect is 1
    found = interactions(i_and, i_or, residual)
    assert int(re.search(r"(\d+) salient", waterfall(found).bars[-2].name)[1]) > 5000
    assert len(plot.plot_waterfall(found, k=12, ax=axes()).get_yticklabels()) == 15
    assert len(plot.plot_top(found, k=20, ax=axes()).patches) == 40


# -- accessors ---------------------------------------------------------------------------------------


def test_figures_of_a_result_and_of_a_run_are_its_methods():
    from interdyn.values import RunResult

    found = measure(lambda x: x.prod(dim=1), torch.ones(2, 3), output="regression", feature_mask=torch.arange(3)[None])
    assert found.plot.waterfall(1, ax=axes()).get_title(loc="left").endswith("sample 1")
    assert found.plot.top(ax=axes()).patches
    assert found.plot(ax=axes()).patches
    assert "sample 0" in found[0].plot(ax=axes()).get_title(loc="left")
    assert {"waterfall", "top", "network", "sparsity"} <= set(dir(found.plot))
    assert found.plot.waterfall.__doc__ == plot.plot_waterfall.__doc__
    with pytest.raises(AttributeError, match="no figure 'beauty'; use one of waterfall"):
        _ = found.plot.beauty
    run = RunResult.from_json({"steps": [0, 10], "mean_order": [3.5, 1.6]})
    with pytest.raises(AttributeError, match=r"interdyn\.plot\.plot_top\(RUN\)"):
        _ = run.plot.top
    with pytest.raises(AttributeError, match="no figure 'beauty'; use one of overview"):
        _ = run.plot.beauty
    assert run.plot.mean_order(ax=axes()).get_title(loc="left") == "Mean order of the interactions"
    assert run.plot(ax=axes()).lines
    assert "Record a group" in words(run.plot.samples(ax=axes()))
    for name in run.plot._FIGURES:
        assert getattr(run.plot, name)(ax=axes()), name
