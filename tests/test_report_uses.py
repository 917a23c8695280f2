"""The parts of the report that show samples: what the network uses, and on which samples it is over-fitted."""

import base64
import gzip
import json
import re
import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest

from interdyn import report, store
from interdyn.measurement import History
from interdyn.plot._tables import tables_of
from interdyn.plot._uses import matched
from interdyn.plot.panels import waterfall
from interdyn.recipes import load_recipe, run_recipe
from interdyn.report import _uses
from interdyn.report._looked import known, looked
from interdyn.report._used import LEVELS, being_learned, packed, quantised
from interdyn.report._uses import TOP, Uses
from interdyn.report._words import samples
from interdyn.values import SampleRow, SampleTable
from pages import HEAD, browser, needs_browser
from stored import analysis_of

pytestmark = pytest.mark.usefixtures("without_figures")

ATTACK = "<img src=x onerror='window.alerted = true'>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    changes = ["training.epochs=2", "checkpoints.count=7", "measure.test_samples=4", "measure.mislabelled_samples=3"]
    recipe = load_recipe("digits-cnn", overrides=[*changes, "players.n=5", "data.n_train=64"])
    return run_recipe(recipe, tmp_path_factory.mktemp("uses") / "run")


@pytest.fixture
def copy(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    return store.open_run(tmp_path / "run")


def unpacked(pack):
    data = gzip.decompress(base64.b64decode(pack["data"]))
    return np.frombuffer(data, dtype=pack["type"]).reshape(pack["shape"]) * pack.get("scale", 1)


def payload(path):
    return json.loads(re.search(r'id="payload">(.*?)</script>', path.read_text(), re.DOTALL).group(1))


def test_what_is_packed_is_read_back():
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((0, 2), dtype=np.float32)):
        np.testing.assert_array_equal(unpacked(packed(array)), array)


def test_what_is_quantised_is_off_by_half_a_step_at_most():
    array = np.random.default_rng(0).standard_normal((7, 5))
    step = np.abs(array).max() / 32767
    off = np.abs(unpacked(quantised(array)) - array)
    assert 0.4 * step < off.max() < 0.5001 * step
    assert np.abs(unpacked(quantised(np.zeros(3)))).max() == 0


def test_the_strongest_interactions_are_those_of_the_measurements(run):
    found = Uses(run.path).record()["groups"]
    assert [group["name"] for group in found] == ["test samples", "mislabelled training samples"]
    test = found[0]
    assert test["steps"] == list(run.steps)
    subsets, values, courses = (unpacked(test[key]) for key in ("subsets", "values", "courses"))
    assert subsets.shape == values.shape == courses.shape == (len(run.steps), 4, TOP)
    for at, step in enumerate(run.steps):
        m = store.read_measurement(run, step, group="test")
        both = np.concatenate([m.i_and, m.i_or], axis=1)
        both[:, [0, 32]] = 0
        tau = 0.03 * np.abs(m.v[:, -1] - m.v[:, 0]).mean()
        expected = -np.sort(-np.abs(both), axis=1)[:, :TOP]
        expected[expected < tau] = 0
        fine = {"rtol": 0, "atol": test["values"]["scale"]}
        np.testing.assert_allclose(np.abs(values[at]), expected, **fine)
        there = np.take_along_axis(both, subsets[at].astype(int), axis=1)
        np.testing.assert_allclose(np.where(np.abs(there) < tau, 0, there), values[at], **fine)
        there, step_of = np.take_along_axis(both, subsets[-1].astype(int), axis=1), test["courses"]["scale"]
        np.testing.assert_allclose(there, courses[at], rtol=0, atol=step_of)
        np.testing.assert_array_equal(unpacked(test["salient"])[at], (np.abs(both) >= tau).sum(axis=1))
        np.testing.assert_allclose(unpacked(test["base"])[at], m.v[:, 0], rtol=1e-6)
        assert test["values"]["scale"] < 1e-4 * np.abs(values).max()
        np.testing.assert_allclose(unpacked(test["output"])[at], m.v[:, -1], rtol=1e-6)
    exhibit = store.read_exhibit(run, "test")
    np.testing.assert_array_equal(unpacked(test["pictures"]), exhibit.pictures)
    np.testing.assert_array_equal(unpacked(test["of"]), exhibit.players)
    assert test["labels"] == store.read_measurement(run, 0, group="test").targets.tolist()


def test_what_is_used_over_all_samples_is_what_the_figures_show(run):
    for group, name in zip(Uses(run.path).record()["groups"], run.groups, strict=True):
        used, values = group["used"], unpacked(group["used"]["values"]).astype(float)
        values[values == -32768 * used["values"]["scale"]] = np.nan
        assert used["naming"].startswith("Players are cells of the 4 by 4 grid")
        for at, step in enumerate(run.steps):
            tables = tables_of(run, step=step, group=name)
            expected = matched(tables).usage(tables.i_and, tables.i_or, threshold=tables.threshold, k=12)
            names = [{used["names"][i] for i in who} for who in used["players"]]
            for k, (kind, who) in enumerate(zip(expected.kinds, expected.players, strict=True)):
                place = next(i for i, one in enumerate(names) if one == set(who) and used["kinds"][i] == kind)
                fine = {"rtol": 0, "atol": used["values"]["scale"], "equal_nan": True}
                np.testing.assert_allclose(values[at, :, place], expected.value[:, k], **fine)
        assert used["values"]["scale"] <= 1.001 / LEVELS * np.nanmax(np.abs(values))
        before, now = (np.nanmean(np.abs(values[at]), axis=0) for at in (-2, -1))
        seen = np.isfinite(values[-1]).sum(axis=0) >= 3
        more = np.where(seen, now - before, 0.0)
        assert (used["grown"] is None) == (more.max() <= 0.1 * now.max())
        if used["grown"]:
            kind, who, low, high = used["grown"]
            place = next(i for i, one in enumerate(names) if one == set(who) and used["kinds"][i] == kind)
            assert (low, high) == pytest.approx((before[place], now[place]), abs=used["values"]["scale"])
            assert high - low == pytest.approx(more.max(), abs=2 * used["values"]["scale"])


def test_what_is_being_learned_is_one_sentence(copy):
    record = Uses(copy.path).record()
    sentence = being_learned(record)
    assert sentence.startswith(f"Most growth since step {copy.steps[-2]:,}: ")
    assert sentence.endswith(".")
    assert being_learned(None) == ""
    assert being_learned({"groups": [{**record["groups"][0], "used": None}]}) == ""
    quiet = {**record["groups"][0], "used": {"grown": None}}
    assert being_learned({"groups": [quiet]}).startswith("No interaction has grown much since step")


def rows(wrong=4, others=6, *, flags=()):
    """Return a table of training samples, some of whose labels are known to be wrong; scores fall with the number."""
    ids = range(wrong + others)
    groups = ["mislabelled" if i % 2 == 0 and i // 2 < wrong else "train" for i in ids]
    table = [
        SampleRow(group, i, 1, 0.0, 1.0, (1.0,), 0.0, (0.0,), 10.0 - i, i + 1, (), i in flags, "Why.")
        for i, group in zip(ids, groups, strict=True)
    ]
    return SampleTable.of(table, step=0, scored_at=(0,), flags=None, sentence="A sentence.")


def test_recall_and_precision_are_told_where_the_truth_is_known():
    assert known(rows()).endswith("2 of them are among the 4 highest scores: recall and precision 50 %.")
    told = known(rows(flags=(0, 1, 2, 4)))
    assert told.endswith("4 are flagged, 3 of them correctly: recall 75 %, precision 75 %.")
    assert known(rows(wrong=0)) == ""
    assert known(rows(wrong=1, others=0)).startswith(
        "All measured training samples (1) are known to have a wrong label."
    )


def test_samples_to_look_at_are_those_of_the_page(run):
    result, record = store.read_result(run), Uses(run.path).record()
    found = looked(result.samples, record)
    trained = [row for row in result.samples if row.group == "mislabelled"]
    assert [record["groups"][g]["ids"][at] for g, at, *_ in found["ranked"]] == [row.sample_id for row in trained]
    assert looked(result.samples, None)["ranked"] == []
    assert looked(None, record) == {"ranked": [], "known": ""}


def test_the_constant_is_no_interaction():
    i_and, i_or = np.array([[9.0, 1.0], [9.0, 2.0]]), np.array([[9.0, 3.0], [9.0, 4.0]])
    found = _uses._entries(i_and, i_or, np.array([[0, 1, 2, 3], [3, 2, 1, 0]]))
    np.testing.assert_array_equal(found, [[0, 1, 0, 3], [4, 0, 2, 0]])


def test_of_a_run_that_grows_only_what_is_new_is_read(copy, monkeypatch):
    last = copy.path / "measurements" / f"step_{copy.steps[-1]:08d}.test.safetensors"
    kept = last.read_bytes()
    last.unlink()
    growing = Uses(copy.path)
    assert growing.record()["groups"][0]["steps"] == list(copy.steps[:-1])
    last.write_bytes(kept)
    read, whole = [], store.Reader.measurement
    monkeypatch.setattr(store.Reader, "measurement", lambda *a, **k: read.append(a[1]) or whole(*a, **k))
    assert growing.record() == Uses(copy.path).record()
    assert read[0] == copy.steps[-1]
    assert read[1:] == [*copy.steps, *copy.steps], "all that another one reads"
    last.unlink()  # the run is being deleted
    assert growing.record()["groups"][0]["steps"] == list(copy.steps[:-1])
    plan = json.loads((copy.path / "run.json").read_text())
    store.write_json(copy.path / "run.json", {**plan, "config_hash": "of another run", "digest": "0" * 64})
    assert growing.record() is None


def test_the_files_of_looks_are_not_kept_open(copy, monkeypatch):
    opened, whole = [], _uses.map_interactions

    def watched(*args, **options):
        assert all(array() is None for array in opened), "a process may not open a file for each look of a long run"
        both = whole(*args, **options)
        opened.extend(weakref.ref(array) for array in both)
        return both

    monkeypatch.setattr(_uses, "map_interactions", watched)
    assert [group["steps"] for group in Uses(copy.path).record()["groups"]] == [list(copy.steps)] * 2
    assert len(opened) >= 4 * len(copy.steps)


def test_looks_at_other_samples_are_left_out(copy):
    first = store.read_measurement(copy, copy.steps[0], group="test")
    rows = {name: getattr(first, name)[:2] for name in ("v", "i_and", "i_or", "objective", "gap", "noise_bound")}
    fewer = replace(first, **rows, sample_ids=first.sample_ids[:2], targets=first.targets[:2], status=first.status[:2])
    with store.writing(copy.path):
        store.write_measurement(copy, fewer)
    test = Uses(copy.path).record()["groups"][0]
    assert test["steps"] == list(copy.steps[1:])
    assert len(test["ids"]) == 4


def test_many_large_pictures_are_shown_coarser(copy):
    many = np.zeros((4, 600, 600, 3), dtype=np.uint8)
    ids = store.read_exhibit(copy, "test").sample_ids
    with store.writing(copy.path):
        exhibit = store.Exhibit("test", ids, pictures=many, players=np.zeros((4, 600, 600), dtype=np.int16))
        store.write_exhibit(copy, exhibit)
    shape = Uses(copy.path).record()["groups"][0]["pictures"]["shape"]
    assert np.prod(shape) <= 1_000_000
    assert shape[1] == shape[2] >= 200


def test_without_exhibits_players_have_numbers(copy):
    shutil.rmtree(copy.path / "exhibits")
    assert Uses(copy.path).record()["groups"][0]["look"] == "numbers"
    assert report.write_report(copy.path).exists()


def test_the_table_of_samples_is_that_of_the_command(run):
    found = samples(store.read_result(run).samples)
    expected = History.read(run).samples()
    assert found["sentence"] == expected.sentence
    assert [row[1] for row in found["rows"]] == [str(row.sample_id) for row in expected]
    assert found["left_out"] == 0
    assert samples(None) is None
    many = SampleTable.of([expected[0]] * 300, step=0, scored_at=(), flags=None, sentence="")
    assert len(samples(many)["rows"]) == 200


def test_a_run_without_training_samples_says_what_to_record(copy):
    analysis = analysis_of(copy)
    del analysis["samples"]
    store.write_json(copy.path / "analysis.json", analysis)
    assert "Record a group of training samples" in report.write_report(copy.path).read_text()


# -- in a browser ------------------------------------------------------------------------------------

END = """<script>
(async () => {
  const there = (...all) => all.every((one) => document.querySelector(one));
  await until(() => there("#falls tr", "#over button, #over .missing", "#cards li") && drawn());
  const chooser = document.getElementById("sample");
  const number = (cell) => Number(cell.textContent.replace("\u2212", "-"));
  const read = () => ({
    said: document.getElementById("said").textContent,
    falls: [...document.querySelectorAll(".fall")].map((t) => [...t.querySelectorAll("td.number")].map(number)),
    names: [...document.querySelector(".fall").querySelectorAll("th")].map((t) => t.textContent),
    marked: [...document.querySelectorAll("#drawn bdi.and, #drawn bdi.or")].map((t) => t.textContent),
    drawn: document.querySelector("#drawn figcaption").textContent,
    courses: document.getElementById("chart-courses").data.map((t) => [t.name, Array.from(t.y)]),
  });
  const first = read();
  chooser.selectedIndex = chooser.options.length - 1;
  chooser.dispatchEvent(new Event("change"));
  const slider = document.getElementById("checkpoint");
  slider.value = "0";
  slider.dispatchEvent(new Event("input"));
  await until(() => document.getElementById("said").textContent.includes("At step 0 "));
  const last = read();
  const bars = [...document.querySelectorAll("#over .bar")].map((b) => b.getAttribute("aria-label"));
  document.querySelector("#over .bar")?.click();
  const having = [...document.querySelectorAll("#having button")].map((b) => b.textContent);
  document.querySelector("#having button:last-of-type")?.click();
  const opened = document.getElementById("said").textContent;
  document.getElementById("over-as").value = "network";
  document.getElementById("over-as").dispatchEvent(new Event("change"));
  const network = document.querySelectorAll("#over svg circle").length;
  const cards = [...document.querySelectorAll("#cards li.card")].map((c) => c.textContent);
  const spoken = (e) => e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length;
  const unnamed = [...document.querySelectorAll("button, select, input, [role=img]")].filter((e) => !spoken(e)).length;
  let saved = null;
  URL.createObjectURL = (blob) => { saved = blob; return "blob:none"; };
  document.querySelector('button[value="mean-order"][data-form="csv"]').click();
  const csv = await saved.text();
  const out = document.createElement("pre");
  out.id = "seen";
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const seen = { trouble, first, last, csv, wide, bars, having, opened, network, cards, unnamed };
  out.textContent = JSON.stringify({ ...seen, alerted: window.alerted === true });
  document.body.append(out);
})();
</script>"""


def browse(chromium, path, tmp_path, width=1440):
    html = path.read_text().replace("<head>", "<head>" + HEAD, 1).replace("</body>", END + "</body>")
    page = tmp_path / "page.html"
    page.write_text(html)
    return browser(chromium, page, width)


@needs_browser
@pytest.mark.parametrize("width", [500, 1440])
def test_in_a_browser_samples_are_chosen_and_follow_the_slider(chromium, run, copy, tmp_path, width):
    path = report.write_report(copy.path)
    seen = browse(chromium, path, tmp_path, width)
    assert seen["trouble"] == []
    assert seen["wide"] is False
    group = payload(path)["uses"]["groups"][1]
    values, courses = unpacked(group["values"])[0, 2], unpacked(group["courses"])[:, 2]
    early, late = seen["last"]["falls"]
    assert early[1:-2] == pytest.approx(values[values != 0], abs=0.005)
    for fall in (early, late):
        assert sum(fall[:-1]) == pytest.approx(fall[-1], abs=0.006 * len(fall))
    panel = waterfall(run, 2, k=TOP, group="mislabelled")
    assert late[1:-1] == pytest.approx([bar.value for bar in panel.bars[1:-1]], abs=0.006)
    assert seen["last"]["names"][-1] == "output (log-odds)"
    assert not re.search(r"[-\u2212]0\.0+\b", json.dumps(seen))
    assert len(seen["bars"]) >= 2
    assert re.match(r"(AND|OR) row \d column \d", seen["bars"][0])
    assert seen["having"]
    assert seen["opened"] != seen["last"]["said"] or len(seen["having"]) == 1
    assert seen["network"] > 1
    assert len(seen["cards"]) == 3
    assert all("Show how the output adds up" in card for card in seen["cards"])
    assert seen["unnamed"] == 0
    for k, (_, course) in enumerate(seen["last"]["courses"]):
        assert course == pytest.approx(courses[:, k].tolist())
    assert seen["first"]["said"] != seen["last"]["said"]
    rows = seen["csv"].splitlines()
    assert rows[0] == "series,x,y,low,high,z"
    test = analysis_of(copy)["groups"]["test"]
    assert float(rows[1].split(",")[2]) == pytest.approx(test["mean_order"][0])


@needs_browser
def test_in_a_browser_words_of_any_script_are_text(chromium, copy, tmp_path):
    for group in copy.groups:
        ids = store.read_exhibit(copy, group).sample_ids
        words = ((ATTACK, 0), ("שלום", 1), ("日本語", 2), ("<script>alert(1)</script>", 3), ("w" * 300, 4), ("and", -1))
        with store.writing(copy.path):
            classes = (f"<script>alert({group!r})</script>",) * 10
            store.write_exhibit(copy, store.Exhibit(group, ids, pieces=(words,) * len(ids), classes=classes))
    seen = browse(chromium, report.write_report(copy.path), tmp_path, 500)
    assert seen["trouble"] == []
    assert seen["alerted"] is False
    assert seen["wide"] is False
    assert len(seen["first"]["falls"][0]) > 3
    allowed = {ATTACK, "שלום", "日本語", "<script>alert(1)</script>", "w" * 47 + "…"}
    assert seen["first"]["marked"]
    assert set(seen["first"]["marked"]) <= {text if len(text) <= 48 else text[:47] + "…" for text in allowed}


def test_the_page_is_opened_when_asked(copy, monkeypatch):
    from interdyn.cli import main

    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for options, expected in (([], 0), (["--open"], 1)):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(copy.path), *options])
        assert ended.value.code == 0
        assert len(opened) == expected
    assert opened[0].endswith("/run/report.html")
