"""Figures of single samples, of quality, and of several runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from interdyn import plot
from interdyn.errors import IncompleteRunError, InputError, ShapeError
from interdyn.plot._style import COLOURS
from interdyn.sparsify import split
from interdyn.values import Interactions, SampleFlags, SampleRow, SampleTable

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"


@pytest.fixture
def data():
    return {name: json.loads((EXAMPLE / f"{name}.json").read_text()) for name in ("summary", "analysis")}


def axes():
    return Figure(figsize=(8, 3)).subplots()


def words(ax):
    return " ".join(t.get_text() for t in ax.figure.findobj(lambda a: hasattr(a, "get_text")))


def planted(terms, n=4, unit="log-odds"):
    """Return one sample with the interactions given as ``(kind, players): value``."""
    tables = torch.zeros(2, 2**n, dtype=torch.float64)
    for (kind, players), value in terms.items():
        tables[("and", "or").index(kind), sum(1 << p for p in players)] = value
    zero, one = torch.zeros(2**n, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    return Interactions(
        i_and=tables[0], i_or=tables[1], unit=unit, residual=zero, objective=one, gap=one, status="", noise_bound=one
    )


ONE = {("and", (0, 2)): 3.0, ("or", (1, 3)): -2.0, ("and", (1,)): 0.5}


# -- on the sample -----------------------------------------------------------------------------------


def test_the_players_of_an_interaction_are_outlined_on_the_picture():
    players = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, -1, -1]])
    picture = np.arange(16.0).reshape(4, 4)
    ax = plot.plot_sample(planted(ONE), picture, players=players, ax=axes())
    assert len(ax.images) == 4  # the sample, then three interactions
    assert [t.get_text() for t in ax.texts[:4]] == [
        "players",
        "AND +3.00 log-odds",
        "OR -2.00 log-odds",
        "AND +0.50 log-odds",
    ]
    first = [line for line in ax.lines if 4 * 1.12 <= line.get_xdata()[0] <= 4 * 1.12 + 4.01]
    assert {line.get_color() for line in first} == {COLOURS["up"]}
    dashed = [line for line in ax.lines if 8 * 1.12 <= line.get_xdata()[0] <= 8 * 1.12 + 4.01]
    assert {(line.get_color(), line.get_linestyle()) for line in dashed} == {(COLOURS["down"], "--")}
    assert len(first) == 2 * 8 - 2  # two blocks of two by two, one edge of two shared
    shown = np.asarray(ax.images[1].get_array())
    full = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(shown[players == 0], full[players == 0])
    assert (shown[players == 1] >= full[players == 1]).all()
    assert ax.get_aspect() == 1


def test_pictures_in_colour_come_in_either_order_of_axes():
    players = np.zeros((4, 6), dtype=int)
    players[:, 3:] = 1
    found = planted({("and", (0, 1)): 1.0}, n=2)
    for sample in (np.random.default_rng(0).random((3, 4, 6)), np.random.default_rng(0).random((4, 6, 3))):
        assert len(plot.plot_sample(found, sample, players=players, ax=axes()).images) == 2


def test_words_of_an_interaction_stand_on_colour():
    ax = plot.plot_sample(planted(ONE), names=["not", "a", "$good$", "film" * 9], k=2, ax=axes())
    boxes = [to_rgba(p.get_facecolor())[:3] for p in ax.patches[:2]]
    assert boxes == [to_rgba(COLOURS["up"])[:3]] * 2
    assert [to_rgba(p.get_edgecolor())[:3] for p in ax.patches[2:]] == [to_rgba(COLOURS["down"])[:3]] * 2
    ax.figure.canvas.draw()
    texts = [t.get_text() for t in ax.texts]
    assert texts.count("$good$") == 2
    assert any(t.endswith("…") for t in texts)
    assert "AND +3.00 log-odds" in texts


def test_clusters_of_an_interaction_are_coloured():
    points = np.random.default_rng(0).random((40, 3))
    of = np.repeat(np.arange(4), 10)
    ax = plot.plot_sample(planted(ONE), points, players=of, k=1, ax=axes())
    pale, strong = ax.collections
    assert len(pale.get_offsets()) == len(strong.get_offsets()) == 20
    assert plot.plot_sample(planted(ONE), points[:, :2], players=of, k=1, ax=axes()).collections


def test_a_sample_without_interactions_is_an_empty_panel():
    for how in ({"names": list("abcd")}, {"inputs": np.zeros((2, 2)), "players": np.arange(4).reshape(2, 2)}):
        assert "is salient" in words(plot.plot_sample(planted({}), ax=axes(), **how))


def test_what_cannot_be_drawn_is_refused():
    found = planted(ONE)
    batch = split(torch.randn(2, 16, dtype=torch.float64))
    with pytest.raises(InputError, match=r"for example `found\[0\]`"):
        plot.plot_sample(batch, names=list("abcd"))
    with pytest.raises(InputError, match="got neither"):
        plot.plot_sample(found)
    with pytest.raises(ShapeError, match="each of the 4 players; got 2"):
        plot.plot_sample(found, names=["a", "b"])
    with pytest.raises(ShapeError, match="count from 0 to 3; got a player 7"):
        plot.plot_sample(found, np.zeros((2, 2)), players=np.full((2, 2), 7))
    with pytest.raises(ShapeError, match="each pixel or point"):
        plot.plot_sample(found, np.zeros((5, 5)), players=np.zeros((2, 2), dtype=int))


# -- all interactions, sorted ------------------------------------------------------------------------


def test_strengths_are_sorted_and_the_line_of_salience_is_the_papers():
    v = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 32)))
    found = split(v)
    ax = plot.plot_sparsity(found, ax=axes())
    expected = np.median(np.sort(np.abs(found.i_and.numpy()[:, 1:]), axis=1)[:, ::-1], axis=0)
    drawn = ax.lines[0].get_ydata()
    np.testing.assert_allclose(np.nan_to_num(drawn), expected)
    line = ax.lines[2].get_ydata()[0]
    assert line == pytest.approx(0.03 * float((v[:, -1] - v[:, 0]).abs().mean()))
    assert ax.get_ylabel() == "strength (unit of the output)"
    assert "6 samples" in ax.get_title(loc="left")


def test_of_a_run_a_step_and_a_group_are_chosen(tmp_path):
    from test_online import tracked

    tracked(tmp_path / "run")
    ax = plot.plot_sparsity(tmp_path / "run", step=16, ax=axes())
    assert "12 test samples at step 16" in ax.get_title(loc="left")
    assert "log-odds" in ax.get_ylabel()
    with pytest.raises(InputError, match="step 3"):
        plot.plot_sparsity(tmp_path / "run", step=3)
    for file in (tmp_path / "run" / "measurements").iterdir():
        file.unlink()
    with pytest.raises(IncompleteRunError, match="at step 128"):
        plot.plot_sparsity(tmp_path / "run")


def test_nothing_but_zeros_is_an_empty_panel():
    assert "differs from zero" in words(plot.plot_sparsity(planted({}), ax=axes()))


# -- samples, certificates, row norms ----------------------------------------------------------------


def row(rank, score, *, flagged=False, group="train"):
    return SampleRow(
        group,
        100 + rank,
        1,
        2.0,
        1.5,
        (1.0,),
        0.0,
        (0.0,),
        score,
        rank,
        (),
        flagged,
        "",
    )


def test_scores_stand_by_rank_with_the_threshold_of_the_flags():
    rows = [row(2, 0.1), row(1, 1.0, flagged=True), row(1, 9.0, group="test"), row(3, -1.0)]
    ax = plot.plot_samples(rows, ax=axes())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["101", "102", "103"]
    assert [dots.get_offsets()[:, 1].tolist() for dots in ax.collections] == [[1.0], [0.1, -1.0]]
    flags = SampleFlags(held_out=9, of=3, threshold=0.6, precision=0.8, precision_low=0.5, precision_high=1.0)
    table = SampleTable.of(rows, step=0, scored_at=(0,), flags=flags, sentence="")
    line = plot.plot_samples(table, ax=axes()).lines[1]
    assert (line.get_ydata()[0], line.get_label()) == (0.6, "80 % of flags right (50 % to 100 %)")
    assert "The 2 highest of 3" in plot.plot_samples(rows, most=2, ax=axes()).get_title(loc="left")
    assert "Record a group `train`" in words(plot.plot_samples([row(1, np.nan)], ax=axes()))


def test_gap_and_residual_are_the_recorded_ones(data):
    steps = data["summary"]["steps"]
    data["analysis"]["groups"]["test"] |= {"gap": [1e-3] * len(steps), "residual": [0.2] * len(steps)}
    ax = plot.plot_solver(data, ax=axes())
    assert ax.lines[0].get_ydata().tolist() == [1e-3] * len(steps)
    assert ax.figure.axes[1].lines[0].get_ydata().tolist() == [0.2] * len(steps)
    assert ax.figure.axes[1].get_ylabel() == "largest residual (log-odds)"
    assert "Record" in words(plot.plot_solver({"summary": {"steps": [0]}}, ax=axes()))


def test_row_norms_are_the_theorys():
    from interdyn.theory import row_norm_ratios

    levels = np.logspace(-6, 2, 9)
    block = {"noise_var": levels.tolist(), "ratios": row_norm_ratios(5, levels).tolist()}
    run = {"summary": {"steps": [0], "orders": [1, 2, 3, 4, 5]}, "analysis": {"row_norms": block}}
    ax = plot.plot_row_norms(run, ax=axes())
    np.testing.assert_allclose(ax.lines[3].get_ydata(), row_norm_ratios(5, levels)[:, 2])
    assert ax.xaxis_inverted()
    assert "Record" in words(plot.plot_row_norms({"summary": {"steps": [0]}}, ax=axes()))


# -- several runs ------------------------------------------------------------------------------------


def small(mean_order, recipe="a", steps=(0, 1, 10, 100)):
    return {"summary": {"steps": list(steps), "mean_order": list(mean_order), "recipe": recipe, "version": "1"}}


def test_runs_stand_beside_each_other_by_name():
    ax = plot.plot_comparison([small([4, 3, 2, 3]), small([4, 3, 2, 1], "b")], ax=axes())
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    assert "a and b · interdyn 1" in words(ax)
    ax = plot.plot_comparison([small([4, 3, 2, 3]), small([4, 3, 2, 1])], ax=axes())
    assert [line.get_label() for line in ax.lines] == ["a 1", "a 2"]


def test_seeds_have_a_mean_and_a_range_at_the_steps_all_have_reached():
    seeds = [small([4, 3, 2, 3]), small([2, 1, 1, 2]), small([3, 2, 1], steps=(0, 1, 10))]
    ax = plot.plot_comparison({"clean": seeds}, ax=axes())
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 10]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [3, 2, 4 / 3])
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1, 4)
    assert "3 seeds" in ax.lines[0].get_label()


@pytest.mark.parametrize("quantity", ["mean_order", "loss_gap", "noise_var", "tv_distance"])
def test_every_quantity_of_a_run_can_be_compared(data, quantity, tmp_path):
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "run"))
    ax = plot.plot_comparison({"one": data, "two": folder}, quantity=quantity, ax=axes())
    assert len(ax.lines) == 2
    ax.figure.canvas.draw()
    assert "Record" in words(plot.plot_comparison({"x": {"summary": {"steps": [0]}}}, quantity=quantity, ax=axes()))


def test_a_comparison_of_nothing_is_refused(data):
    for nothing in ([], {}, {"a": []}):
        with pytest.raises(InputError, match="one run or more"):
            plot.plot_comparison(nothing)
    with pytest.raises(InputError, match="`quantity` must be one of"):
        plot.plot_comparison([data], quantity="beauty")


def test_a_folder_is_no_table_of_samples(tmp_path):
    with pytest.raises(InputError, match=r"Pass `interdyn.measurement.History.read\(folder\).samples\(\)`"):
        plot.plot_samples(tmp_path)
