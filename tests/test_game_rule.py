"""How many parts there are and how many were drawn: recorded, beside every mean order, and held against others."""

import json
import re
import shutil
import warnings
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from matplotlib.figure import Figure
from torch import nn

import interdyn as ix
from interdyn import plot, store
from interdyn.cli import main
from interdyn.errors import InputError, InputWarning
from interdyn.measurement import History, agreement
from interdyn.players import choose_parts, columns, patches, segments, steps
from interdyn.report import write_comparison, write_report
from interdyn.spectra import jaccard_by_order
from interdyn.tracking import Tracker, at
from interdyn.values import GameRule, RunResult, different_games

BEFORE = Path(__file__).parent / "data" / "before"
X = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 0, 1, 0, 1])


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def tracked(folder, players, **options):
    """A run of two measurements."""
    with Tracker(
        {"train": (X, Y), "test": (X, Y)},
        players=players,
        schedule=at(0, 1),
        out=folder,
        strict=True,
        budget=None,
        **options,
    ) as tracker:
        for step in range(2):
            tracker.observe(step, network(), train_loss=1.0, test_loss=1.0)
    return folder


# -- how many parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("players", "shape"),
    [
        (patches(4, 3), (1, 8, 9)),
        (patches(8, 8).central(6, 6), (3, 32, 32)),
        (columns(), (7,)),
        (columns([[0], [2, 3]]), (7,)),
        (steps(4), (9, 2)),
        (segments(np.array([[0, 5], [9, -1]])), (2, 2)),
    ],
)
@pytest.mark.parametrize("drawn", [None, 1, 2])
def test_parts_are_the_cells_that_may_be_drawn(players, shape, drawn):
    cells = players.cells(shape).flatten().tolist()
    chosen = players if drawn is None else players.choose(drawn)
    assert chosen.n_parts(shape) == len({cell for cell in cells if cell >= 0})


@pytest.mark.parametrize(
    ("options", "said", "parts"),
    [
        ({"players": patches(2, 2)}, [4, 4], "all 4 parts"),
        ({"players": patches(4, 4).choose(3)}, [16, 16], "3 of 16 parts"),
        ({"players": patches(4, 4).central(2, 4).choose(3, others="mask")}, [8, 8], "3 of 8 parts"),
        ({"feature_mask": torch.arange(16).reshape(1, 4, 4) // 4}, [4, 4], "all 4 parts"),
        ({"feature_mask": torch.arange(16).reshape(1, 4, 4) // 4 - 1}, None, "3 players, N not recorded"),
    ],
)
def test_a_measurement_knows_how_many_parts_there_are(options, said, parts):
    found = ix.measure(network(), X, target=Y, baselines=0.0, **options)
    assert found.settings["n_parts"] == said
    rule = GameRule.of([found.settings], n_players=found.n_players, unit=found.unit)
    assert str(rule) == parts
    assert rule.baseline == "0"
    xarray = pytest.importorskip("xarray")
    assert isinstance(found.to_xarray(), xarray.Dataset)
    assert found.to_xarray().attrs["parts"] == parts


def test_samples_with_fewer_parts_give_the_least_and_the_most():
    mask = torch.tensor([[[0, 1, 2, 2]], [[0, 1, 1, 1]]])
    model = lambda x: x.sum((1, 2))  # noqa: E731
    found = ix.measure(model, torch.rand(2, 1, 4), feature_mask=mask, output="regression", allow_fewer=True)
    assert found.settings["n_parts"] == [2, 3]
    assert str(GameRule.of([found.settings], n_players=3, unit="")) == "3 of 2 to 3 parts"


def test_the_order_of_an_interaction_depends_on_how_many_are_drawn():
    """The reason for all this: the mean order of one AND of all 16 parts falls with the number that are drawn."""
    model = lambda x: x.flatten(1).prod(1)  # noqa: E731
    options = {"output": "regression", "baselines": 0.0, "noise_bound": 0.0}
    seen = []
    for n in (2, 4, 8):
        found = ix.measure(model, torch.ones(2, 1, 4, 4), players=patches(4, 4).choose(n), **options)
        seen.append(max(len(term.players) for term in found[0].top(1)))
    assert seen == [2, 4, 8]


# -- where it stands ---------------------------------------------------------------------------------


def test_it_stands_beside_every_mean_order(tmp_path, capsys):
    run = tracked(tmp_path / "run", patches(4, 4).choose(3, seed=5))
    result = store.read_result(run)
    assert result.game == GameRule(
        n_players=3, n_parts=(16, 16), cut="patches(4, 4)", others="keep", baseline="0", unit="log-odds"
    )
    assert RunResult.from_json(*result.to_json().values()).game == result.game
    assert History.read(run).result_so_far().game == result.game
    page = unescape(re.sub(r"<[^>]+>", " ", write_report(run).read_text(encoding="utf-8").split('id="payload"')[0]))
    assert "(players: 3 of 16 parts)" in page
    assert plot.plot_mean_order(run, ax=Figure().subplots()).get_ylabel() == "mean order (3 of 16 parts)"
    pytest.importorskip("xarray")
    from interdyn.exports import run_to_xarray

    about = run_to_xarray(run)["test"].attrs
    assert (about["n_players"], about["n_parts"], about["parts"]) == (3, [16, 16], "3 of 16 parts")
    with pytest.raises(SystemExit):
        main(["summary", str(run)])
    assert "3 of 16 parts" in capsys.readouterr().out


def test_a_recipe_tells_it_and_verify_says_it(tmp_path, capsys):
    from interdyn.recipes import load_recipe, run_recipe

    run_recipe(load_recipe("digits-mlp", smoke=True), tmp_path / "run")
    game = store.read_result(tmp_path / "run").game
    assert (game.n_parts, game.baseline, game.cut) == ((16, 16), "mean", "patches(4, 4)")
    with pytest.raises(SystemExit):
        main(["verify", str(tmp_path / "run")])
    assert f"Players: {game}." in " ".join(capsys.readouterr().out.split())


def test_runs_of_before_say_that_it_is_not_recorded():
    result = History.read(BEFORE / "tracked").result_so_far()
    assert result.game.n_parts is None
    assert str(result.game).endswith("players, N not recorded")
    assert RunResult.from_json({"steps": [0], "n_players": 6}).game == GameRule(n_players=6)
    assert str(RunResult.from_json({"steps": [0]}).game) == "N not recorded"


# -- other games -------------------------------------------------------------------------------------

RULES = st.builds(
    GameRule,
    n_players=st.sampled_from([0, 6, 8]),
    n_parts=st.sampled_from([None, (8, 8), (8, 12)]),
    cut=st.sampled_from([None, "columns()", "patches(3, 4)"]),
    baseline=st.sampled_from([None, "0", "mean"]),
    unit=st.sampled_from([None, "log-odds"]),
)


@given(rules=st.lists(RULES, min_size=1, max_size=4))
def test_games_differ_in_what_at_least_two_of_them_say_otherwise(rules):
    got = different_games(rules)
    assert got == different_games([*rules, GameRule()]) or all(len(v) == len(rules) for v in got.values())
    for name, words in (
        ("n_players", "number of players (n)"),
        ("n_parts", "number of parts (N)"),
        ("cut", "kind of parts"),
    ):
        said = {getattr(rule, name) for rule in rules} - {None, 0}
        assert (words in got) == (len(said) > 1)
    assert different_games(rules[:1] * 3) == {}


def test_runs_of_other_games_are_compared_with_a_warning(tmp_path, capsys):
    a, b = tracked(tmp_path / "a", patches(2, 2)), tracked(tmp_path / "b", patches(4, 4).choose(3))
    other_seed = tracked(tmp_path / "c", patches(4, 4).choose(3, seed=9))
    with pytest.warns(
        InputWarning, match=r"within one game.*number of players \(n\), number of parts \(N\), kind of parts"
    ):
        page = write_comparison([a, b], tmp_path / "page.html").read_text(encoding="utf-8")
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page.split('id="payload"')[0])).split())
    assert "These runs were measured in different games" in text
    assert "number of parts (N): a 4, b 16" in text
    write_comparison([b, other_seed], tmp_path / "same.html")  # warnings are errors here
    assert "different games" not in (tmp_path / "same.html").read_text(encoding="utf-8").split('id="payload"')[0]
    with pytest.warns(InputWarning, match="Measured in different games"):
        ax = plot.plot_comparison([a, b], ax=Figure().subplots())
    assert [line.get_label() for line in ax.lines] == ["a, all 4 parts", "b, 3 of 16 parts"]
    assert plot.plot_comparison([b, other_seed], ax=Figure().subplots()).get_ylabel() == "mean order (3 of 16 parts)"
    plot.plot_comparison([a, b], quantity="loss_gap", ax=Figure().subplots())  # which does not depend on the game
    with pytest.raises(InputError, match=r"seeds can only be averaged within one game; got runs of 'x'"):
        plot.plot_comparison({"x": [a, b]}, ax=Figure().subplots())
    warnings.simplefilter("default")  # of this test alone
    with pytest.raises(SystemExit):
        main(["compare", str(a), str(b), "--out", str(tmp_path / "page.html")])
    assert "within one game" in capsys.readouterr().err


def test_similarity_of_other_games_is_refused_or_warned_of(tmp_path):
    a, b = (tracked(tmp_path / name, patches(2, 2), baselines=value) for name, value in (("a", 0.0), ("b", 0.5)))
    with pytest.raises(InputError, match="the same game; got runs that differ in baseline"):
        agreement(a, b, n_draws=5)
    agreement(a, a, other_step=0, n_draws=5)
    one, two = (
        ix.measure(network(), X, target=Y, players=patches(2, 2), baselines=value, noise_bound=0.0)
        for value in (0.0, 0.5)
    )
    with pytest.warns(InputWarning, match=r"within one game.*baseline: 0 and 0\.5"):
        jaccard_by_order(one, two, n_draws=5)
    jaccard_by_order(one, one, n_draws=5)
    drawn = ix.measure(network(), X, target=Y, players=patches(4, 4).choose(4), baselines=0.0)
    with pytest.warns(InputWarning, match="players drawn for each sample"):
        jaccard_by_order(drawn, drawn, n_draws=5)
    jaccard_by_order(drawn, drawn, paired=True, n_draws=5)


def test_what_a_damaged_summary_says_of_the_game_is_refused_in_words(tmp_path):
    run = shutil.copytree(tracked(tmp_path / "run", patches(2, 2)), tmp_path / "copy")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    for game in ("four", {"n_parts": "four"}, {"n_parts": [1]}):
        with pytest.raises(ix.errors.RunError, match="`game"):
            RunResult.from_json({**summary, "game": game})


def test_parts_that_were_drawn_by_hand_are_not_known():
    parts = torch.arange(16).reshape(1, 1, 4, 4).expand(6, 1, 4, 4).reshape(6, -1)
    mask = choose_parts(parts, 3).reshape(6, 1, 4, 4)
    found = ix.measure(network(), X, target=Y, feature_mask=mask, baselines=0.0)
    assert found.settings["n_parts"] is None
