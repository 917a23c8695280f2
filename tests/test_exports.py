"""Results in other libraries and programs, held against those libraries themselves."""

import dataclasses
from itertools import combinations

import numpy as np
import pandas
import pytest
import shap
import shapiq
import torch
import xarray
from hypothesis import given, strategies as st
from shapiq.game_theory.moebius_converter import MoebiusConverter
from torch import nn

import interdyn as ix
from interdyn import store
from interdyn.cli import main
from interdyn.errors import (
    DataError,
    InputError,
    MissingExtraError,
    PlayersError,
    SchemaError,
    ShapeError,
    StorageError,
)
from interdyn.exports import export_run, read_laboratory, run_to_pandas, run_to_xarray, shapley_values
from interdyn.sparsify import identified, split
from interdyn.tracking import Tracker, at
from interdyn.values import Interactions, Selection, members, orders, subset_masks, tensors_of


def explained(n=4, samples=3, seed=0):
    rng = np.random.default_rng(seed)
    v = rng.standard_normal((samples, 2**n)) * 3
    return v, split(torch.from_numpy(v), noise_bound=0.02)


def exact(v, index, order):
    n = len(v).bit_length() - 1
    game = lambda rows: v[np.asarray(rows).astype(int) @ (1 << np.arange(n))]  # noqa: E731
    return shapiq.ExactComputer(game, n_players=n)(index=index, order=order)


def numbers(values, n, order):
    return {s: values[s] for k in range(1, order + 1) for s in combinations(range(n), k)}


# -- shapiq and SHAP ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "order"), [("SV", 1), ("k-SII", 2), ("FSII", 2), ("STII", 3)])
def test_shapiq_computes_from_our_export_what_its_exact_computer_says(index, order):
    v, found = explained(5)
    for i in range(len(v)):
        ours = MoebiusConverter(found[i].to_shapiq())(index=index, order=order)
        assert numbers(ours, 5, order) == pytest.approx(numbers(exact(v[i], index, order), 5, order), abs=1e-7)


def test_and_and_or_are_moebius_and_co_moebius_of_their_parts():
    _, found = explained(4)
    masks = subset_masks(4)
    one = found[1]
    inside = np.array([[(s & t) == s for s in range(16)] for t in range(16)])
    meets = masks.astype(int) @ masks.T.astype(int) > 0
    v_and, v_or = inside @ one.i_and.numpy(), meets @ one.i_or.numpy()
    for kind, v, index in (("and", v_and, "Moebius"), ("or", v_or, "Co-Moebius")):
        ours, theirs = one.to_shapiq(kind=kind), exact(v, index, 4)
        assert ours.index == index
        assert numbers(ours, 4, 4) == pytest.approx(numbers(theirs, 4, 4), abs=1e-9)


@given(st.integers(1, 6), st.integers(0, 99))
def test_shapley_values_are_their_definition(n, seed):
    v = np.random.default_rng(seed).standard_normal(2**n)
    found = split(torch.from_numpy(v), noise_bound=0.05)
    masks, size = subset_masks(n), orders(n)
    weight = 1 / (n * np.array([float(shapiq.utils.sets.binom(n - 1, k)) for k in range(n)]))
    for player in range(n):
        without = np.flatnonzero(~masks[:, player])
        expected = sum(weight[size[s]] * (v[s | 1 << player] - v[s]) for s in without)
        assert shapley_values(found)[player] == pytest.approx(expected, abs=1e-9)
    assert shapley_values(found).sum() == pytest.approx(v[-1] - v[0], abs=1e-9)


def test_shap_draws_and_adds_up():
    v, found = explained(4)
    out = found.to_shap(names=["a", "b", "c", "d"], data=np.arange(12.0).reshape(3, 4))
    assert isinstance(out, shap.Explanation)
    assert out.values.shape == (3, 4)
    np.testing.assert_allclose(out.values.sum(1) + out.base_values, v[:, -1])
    assert out[:, "b"].values.shape == (3,)
    assert found[0].to_shap().base_values == pytest.approx(v[0, 0])
    with pytest.raises(ShapeError, match="each of the 4 players; got 1"):
        found.to_shap(names=["a"])
    with pytest.raises(ShapeError, match="one value for each player"):
        found.to_shap(data=np.zeros(4))


def test_a_batch_or_another_kind_is_refused():
    _, found = explained()
    with pytest.raises(InputError, match=r"for example `found\[0\]`"):
        found.to_shapiq()
    with pytest.raises(InputError, match='"total", "and" or "or"'):
        found[0].to_shapiq(kind="xor")


# -- xarray and pandas -------------------------------------------------------------------------------


def test_xarray_names_axes_and_loses_nothing():
    _, found = explained()
    data = found.to_xarray()
    assert dict(data.sizes) == {"sample": 3, "subset": 16}
    np.testing.assert_array_equal(data["i_and"], found.i_and)
    np.testing.assert_array_equal(data["residual"], found.residual)
    np.testing.assert_array_equal(data["gap"], found.gap)
    assert data["i_or"].sel(subset=0b1001).players.item() == "0 3"
    assert data["order"].to_numpy().tolist() == orders(4).tolist()
    assert found[0].to_xarray()["i_and"].dims == ("subset",)
    assert "residual" not in found.get_top_k(2).to_xarray()
    with pytest.raises(InputError, match="at most one sample axis"):
        Selection(torch.zeros(2, 2, 4), torch.zeros(2, 2, 4)).to_xarray()


def test_pandas_has_one_row_for_each_interaction():
    _, found = explained()
    table = found.to_pandas()
    assert list(table.columns) == ["sample", "kind", "players", "order", "value"]
    assert len(table) == int(found.i_and.count_nonzero() + found.i_or.count_nonzero())
    rebuilt = np.zeros((2, 3, 16))
    for row in table.itertuples():
        assert len(row.players) == row.order
        rebuilt[("and", "or").index(row.kind), row.sample, sum(1 << p for p in row.players)] = row.value
    np.testing.assert_array_equal(rebuilt, torch.stack([found.i_and, found.i_or]))
    assert "sample" not in found[0].to_pandas()


# -- names of players --------------------------------------------------------------------------------

COLUMNS = ["age", "income", "height", "weight"]


@pytest.fixture(scope="module")
def named():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    return ix.measure(
        lambda x: x.prod(1) + x[:, 0], x, players=ix.players.columns(), output="regression", names=COLUMNS
    )


def test_names_reach_every_export(named):
    one = named[0]
    table = one.to_pandas()
    assert [[COLUMNS[p] for p in row.players] for row in table.itertuples()] == [list(n) for n in table["names"]]
    data = named.to_xarray()
    assert data["player_name"].dims == ("player",)
    assert data["player_name"].to_numpy().tolist() == COLUMNS
    assert one.to_shap().feature_names == COLUMNS
    assert named.to_shap(names=list("abcd")).feature_names == list("abcd")
    assert named.to_shap()[:, "income"].values.shape == (3,)
    assert one.plot_sample(k=1).texts
    assert {text.get_text() for text in one.plot_sample(k=1).texts} >= set(COLUMNS)
    assert COLUMNS[one.top(1)[0].players[0]] in one._repr_html_()
    assert ", ".join(COLUMNS[p] for p in named[0].top(1)[0].players) in named._repr_html_()


def test_names_that_differ_by_sample_stay_with_their_samples():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    drawn = ix.players.columns().choose(2, seed=1)
    found = ix.measure(lambda x: x.sum(1), x, players=drawn, output="regression", names=COLUMNS)
    mask = drawn.feature_mask((4,), range(3))
    expected = tuple(tuple(COLUMNS[int((row == i).nonzero())] for i in range(2)) for row in mask)
    assert found.names == expected
    assert len(set(expected)) > 1
    data = found[1:].to_xarray()
    assert data["player_name"].dims == ("sample", "player")
    assert data["player_name"].to_numpy().tolist() == [list(row) for row in expected[1:]]
    assert found.to_shap()[2].feature_names == list(expected[2])
    for row in found.to_pandas().itertuples():
        assert row.names == tuple(expected[row.sample][p] for p in row.players)


def test_names_are_joined_over_groups_and_tokens():
    x = torch.tensor([[1, 7, 8, 0], [1, 9, 0, 0]])
    mask = torch.tensor([[-1, 0, 0, -1], [-1, 0, -1, -1]])
    texts = {0: "[PAD]", 1: "[CLS]", 7: "un", 8: "##happy", 9: "end"}
    options = {"output": "regression", "baselines": 5}
    found = ix.value_table(
        lambda x: x.double().sum(1), x, feature_mask=mask, names=lambda row: [texts[i] for i in row], **options
    )
    assert found.names == (("unhappy",), ("end",))
    groups = ix.players.columns([[0], [1, 2], [3]])
    by_column = ix.value_table(lambda x: x.double().sum(1), x, players=groups, names=COLUMNS, **options)
    assert by_column.names == ("age", "income, height", "weight")
    assert by_column.to("meta").names == by_column.names
    by_name = {"age": [0], "city": [1, 2], "weight": [3]}
    by_group = ix.value_table(lambda x: x.double().sum(1), x, players=groups, names=by_name, **options)
    assert by_group.names == ("age", "city", "weight")
    one_by_one = ix.value_table(lambda x: x.double().sum(1), x, players=groups, names=list("abc"), **options)
    assert one_by_one.names == ("a", "b", "c")


def test_names_that_do_not_fit_are_refused_before_the_masked_passes():
    def model(x):
        assert len(x) <= 2
        return x.flatten(1).sum(1)

    pictures = torch.ones(2, 1, 4, 4)
    options = {"players": ix.players.patches(2, 2), "output": "regression"}
    with pytest.raises(ShapeError, match="each of the 4 players; got 2"):
        ix.measure(model, pictures, names=["a", "b"], **options)
    with pytest.raises(PlayersError, match="rows of them"):
        ix.measure(model, pictures, names={"a": [0]}, **options)
    with pytest.raises(PlayersError, match="each of the 3 columns or tokens; got 1"):
        ix.measure(model, torch.ones(2, 3), players=ix.players.columns(), output="regression", names=lambda _: ["a"])


# -- a file of one's own -----------------------------------------------------------------------------


def same(a, b):
    """Return whether two results are equal in every field."""
    ours, theirs = tensors_of(a), tensors_of(b)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)
    plain = [f.name for f in dataclasses.fields(a) if f.name not in {*ours, "identified", "status"}]
    assert {name: getattr(a, name) for name in plain} == {name: getattr(b, name) for name in plain}
    return np.array_equal(a.status, b.status)


def test_saved_and_loaded_is_the_same(named, tmp_path):
    ranges = dataclasses.replace(named, identified=identified(named, strongest=2))
    _, plain = explained()
    for i, found in enumerate([named, named[1], ranges, ranges[0], plain]):
        found.save(tmp_path / f"{i}.safetensors")
        read = Interactions.load(tmp_path / f"{i}.safetensors")
        assert same(found, read)
        assert (read.identified is None) == (found.identified is None)
    assert read.settings["tol"] == plain.settings["tol"]
    assert Interactions.load(tmp_path / "0.safetensors").names == tuple(COLUMNS)
    assert repr(Interactions.load(tmp_path / "3.safetensors").identified) == repr(ranges.identified[0])


def test_a_file_that_cannot_be_used_is_refused(named, tmp_path, monkeypatch):
    path = tmp_path / "found.safetensors"
    with pytest.raises(DataError, match="a complete file of interactions"):
        Interactions.load(path)
    store.write_arrays(path, {"i_and": np.zeros(4)}, header={"kind": "another"})
    with pytest.raises(DataError, match="a complete file of interactions"):
        Interactions.load(path)
    with monkeypatch.context() as newer:
        newer.setattr("interdyn.store._files.SCHEMA", store.SCHEMA + 1)
        named.save(path)
    with pytest.raises(SchemaError, match=f"up to schema {store.SCHEMA}; got schema {store.SCHEMA + 1}"):
        Interactions.load(path)
    named.save(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="a complete file of interactions"):
        Interactions.load(path)
    with pytest.raises(InputError, match="`settings` must be plain data"):
        dataclasses.replace(named, settings={"model": torch.nn.Linear(1, 1)}).save(path)


# -- a run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "run"
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    probe = {"test": (x[:9], y[:9]), "train": (x[9:], y[9:])}
    with Tracker(
        probe,
        players=ix.players.columns(),
        schedule=at(0, 1, 2, 3, 4, 5, 6),
        out=folder,
        strict=True,
        budget=None,
    ) as tracker:
        for step in range(7):
            tracker.observe(step, net, train_loss=1.0 / (step + 1))
            with torch.no_grad():
                net[0].weight.mul_(1.3)
    return folder


def test_a_run_as_arrays_and_tables(run):
    sets = run_to_xarray(run)
    assert set(sets) == {"test", "train"}
    test = sets["test"]
    assert dict(test.sizes) == {"step": 7, "sample": 9, "subset": 16, "k": 4}
    stored = store.read_measurement(store.open_run(run), 3, group="test")
    np.testing.assert_array_equal(test["i_and"].sel(step=3), stored.i_and)
    np.testing.assert_array_equal(test["v"].sel(step=3), stored.v)
    np.testing.assert_array_equal(test["label"], stored.targets)
    np.testing.assert_allclose(test["train_loss"], [1 / (s + 1) for s in range(7)])
    tables = run_to_pandas(run)
    assert set(tables) == {"interactions", "strength", "tables", "steps"}
    total = tables["interactions"].query("group == 'test' and step == 3 and kind == 'and'")["value"].sum()
    assert total == pytest.approx(stored.i_and.sum())
    assert len(tables["strength"]) == 7 * 24 * 4
    assert len(tables["tables"]) == 7 * 24
    assert tables["steps"]["step"].tolist() == list(range(7))


@pytest.mark.parametrize("to", ["zarr", "netcdf", "parquet", "csv"])
def test_files_read_back_by_their_own_library(run, tmp_path, to, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run), "--to", to, "--out", str(tmp_path / "out")])
    assert ended.value.code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert sorted(line.rsplit("/", 1)[1] for line in capsys.readouterr().out.split()) == names
    if to in ("zarr", "netcdf"):
        for group, data in run_to_xarray(run).items():
            path = tmp_path / "out" / f"{group}.{'zarr' if to == 'zarr' else 'nc'}"
            read = xarray.open_zarr(path) if to == "zarr" else xarray.open_dataset(path, engine="h5netcdf")
            xarray.testing.assert_equal(read.load(), data)
            assert read.attrs["unit"] == "log-odds"
    else:
        for name, table in run_to_pandas(run).items():
            path = tmp_path / "out" / f"{name}.{to}"
            read = pandas.read_parquet(path) if to == "parquet" else pandas.read_csv(path, dtype={"players": str})
            read = read.fillna({"players": ""}) if "players" in read else read
            pandas.testing.assert_frame_equal(read, table, check_dtype=False)


def test_an_export_overwrites_nothing_and_leaves_nothing_half(run, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty folder"):
        export_run(run, to="csv", out=tmp_path / "full")
    with pytest.raises(InputError, match="'parquet' or 'csv'; got 'xls'"):
        export_run(run, to="xls", out=tmp_path / "new")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pandas.DataFrame, "to_csv", full)
    with pytest.raises(StorageError, match="Nothing is left"):
        export_run(run, to="csv", out=tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_missing_library_is_named_with_what_to_type(monkeypatch):
    _, found = explained()
    for module, call in (("shapiq", found[0].to_shapiq), ("shap", found.to_shap), ("xarray", found.to_xarray)):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtraError, match=rf"pip install 'interdyn\[{module}\]'"):
            call()


# -- the laboratory's folders ------------------------------------------------------------------------


def laboratory(folder, v, found, *, masks=None):
    """Write as the laboratory does: player 0 is the most significant bit; ``masks`` may shuffle the rows."""
    n = found.n_players
    present = np.array([[row >> (n - 1 - i) & 1 for i in range(n)] for row in range(2**n)], dtype=bool)
    present = present if masks is None else present[masks]
    place = present @ (1 << np.arange(n))
    folder.mkdir(exist_ok=True)
    if masks is not None:
        np.save(folder / "masks.npy", present)
    constant = found.i_or.numpy().copy()
    for name, table in (("rewards", v), ("Iand", found.i_and.numpy()), ("Ior", constant)):
        np.save(folder / f"{name}.npy", table[..., place].astype(np.float32))


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_laboratorys_folders_are_read(tmp_path, shuffled):
    v, found = explained(4)
    laboratory(tmp_path, v, found, masks=np.random.default_rng(0).permutation(16) if shuffled else None)
    read = read_laboratory(tmp_path, unit="log-odds")
    np.testing.assert_allclose(read.i_and, found.i_and, atol=1e-6)
    np.testing.assert_allclose(read.i_or, found.i_or, atol=1e-6)
    np.testing.assert_allclose(read.residual, found.residual, atol=1e-5)
    assert torch.isnan(read.gap).all()
    top = {(t.kind, t.players) for t in read[0].top(3)}
    assert top == {(t.kind, t.players) for t in found[0].top(3)}
    assert all(members(s) for s in (1, 2))


def test_a_constant_among_the_or_interactions_is_moved(tmp_path):
    np.save(tmp_path / "rewards.npy", np.array([3.0, 5.0]))
    np.save(tmp_path / "Iand.npy", np.array([1.0, 0.0]))
    np.save(tmp_path / "Ior.npy", np.array([2.0, 2.0]))
    read = read_laboratory(tmp_path)
    assert read.i_and.tolist() == [3.0, 0.0]
    assert read.i_or.tolist() == [0.0, 2.0]
    assert read.residual.abs().max() == 0


def test_a_folder_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"rewards.npy, Iand.npy, Ior.npy; got no rewards.npy"):
        read_laboratory(tmp_path)
    v, found = explained(2)
    laboratory(tmp_path, v, found)
    np.save(tmp_path / "masks.npy", np.zeros((4, 2), dtype=bool))
    with pytest.raises(ShapeError, match="every subset of 2 players once; got 1 of 4"):
        read_laboratory(tmp_path)
    np.save(tmp_path / "masks.npy", np.zeros((4, 3), dtype=bool))
    with pytest.raises(ShapeError, match=r"shape \(4, 2\)"):
        read_laboratory(tmp_path)
    np.save(tmp_path / "Ior.npy", np.zeros((3, 8)))
    with pytest.raises(ShapeError, match="one shape"):
        read_laboratory(tmp_path)
