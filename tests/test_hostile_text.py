"""Text of a stranger's run stays text: in pages, figures, exports and in the terminal."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from interdyn import plot, report, store
from interdyn.cli import main
from interdyn.cli._say import cell, shown
from interdyn.errors import NotARunError
from interdyn.exports import export_run
from interdyn.players import columns
from interdyn.report._live import _Pages
from interdyn.tracking import Tracker
from interdyn.tracking._record import Record
from interdyn.values import RunResult
from pages import HEAD, browser, needs_browser

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"
PLAIN = "a name"
HOSTILE = " ".join(
    [
        "</script><script>alert(1)</script>",
        "<img src=x onerror='window.alerted = true'>",
        '" onmouseover="window.alerted = true" x="',
        "'><svg onload=alert(1)>",
        "</title></style></option></textarea><base href=//x><!--",
        "javascript:alert(1) <a href='https://elsewhere'>here</a>",
        "{{ 7 * 7 }} {% raw %} ${alert(1)} %{customdata[0]} ]]>",
        "$\\frac{$ [bold] [/red] [link=https://elsewhere]",
        "\x1b[2J\x1b]0;title\x07 \x9b31m \r\b \u202e \u2028",
    ]
)
LINKS = ("compare", "../../")  # of the dashboard, and back to it
HALF = "half of a character \ud800"  # which JSON can hold, and no file of text


class Skeleton(HTMLParser):
    """The tags of a page with the names of their attributes, where links lead, and its text outside scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.scripts, self.text, self._in = [], [], [], "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *sorted(name for name, _ in attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src", "action", "formaction", "srcdoc")]
        self._in = tag

    def handle_endtag(self, tag):
        self.tags.append(("/", tag))
        self._in = ""

    def handle_comment(self, data):
        self.tags.append(("comment", data))

    def handle_data(self, data):
        if self._in == "script":
            self.scripts.append(data)
        else:
            self.text += data


def written(folder, text):
    """Write a tracked run with a text wherever a stranger may put one; return its folder."""
    torch.manual_seed(0)
    x = torch.randn(6, 3)
    groups = Tracker({"test": (x, [0, 1] * 3), "train": (x + 1, [0, 1] * 3)}, players=columns(), budget=None)._groups
    record = Record(groups, folder, recipe={"name": text, "note": text, text: {text: [text]}}, strict=True)
    for step in (0, 1, 2):
        entry = {"train_loss": 1.0, "test_loss": 2.0 + step, text: 3.0, "seconds": {"training": 1.0, text: 2.0}}
        record.keep(step, nn.Linear(3, 2), entry)
    run = record.open()
    ids = np.arange(6)
    pieces = tuple(tuple((text, player) for player in range(3)) for _ in ids)
    for group in run.groups:
        store.write_exhibit(run, store.Exhibit(group, ids, pieces=pieces, classes=(text, text)))
        for step in run.steps or (0, 1, 2):
            found = store.read_measurement(run, step, group=group)
            other = replace(found, unit=text, status=(text,) * 6, settings={**found.settings, text: text})
            store.write_measurement(run, other, entry=entry)
    record.close(summary=True)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return two runs that differ in their texts alone."""
    top = tmp_path_factory.mktemp("hostile")
    return {text: written(top / name / "run", text) for name, text in (("plain", PLAIN), ("other", HOSTILE))}


def example(text):
    """Return a run whose results hold a text wherever there is one."""
    data = {name: json.loads((EXAMPLE / f"{name}.json").read_text()) for name in ("summary", "analysis")}
    summary, analysis = data["summary"], data["analysis"]
    summary |= {"recipe": text, "version": text, "verdict": [text], "seconds": {text: 1.0}}
    summary["phases"] |= {"status": text, "sentences": [text]}
    summary["theory_summary"]["sentence"] = text
    for row in summary["theory"]:
        row["sentence"] = text
    groups = analysis["groups"]
    analysis["groups"] = {"test": groups["test"] | {"unit": text}, text: groups["mislabelled"]}
    return RunResult.from_json(summary, analysis)


def pages(make, runs):
    """Return the skeletons of a page of each run."""
    return [Skeleton(make(text, folder)) for text, folder in runs.items()]


def by_report(_, folder):
    return report.write_report(folder).read_text()


def by_render(text, _):
    return report.render(example(text), texts={"recipe.toml": text, text: text})


def by_comparison(_, folder):
    return report.write_comparison([folder, EXAMPLE], folder.parent / "comparison.html").read_text()


def by_seeds(_, folder):
    return report.write_comparison([folder, folder], folder.parent / "seeds.html", seeds=True).read_text()


def by_list(_, folder):
    return _Pages(folder.parent).index(None).body.decode()


def by_live(_, folder):
    request = SimpleNamespace(path_params={"name": "run"}, query_params={})
    return _Pages(folder.parent).page(request).body.decode()


def by_waiting(text, _):
    pages = _Pages(EXAMPLE.parent)
    pages._run = lambda _: SimpleNamespace(page=lambda **_: (_ for _ in ()).throw(NotARunError(text)))
    return pages.page(SimpleNamespace(path_params={"name": text}, query_params={})).body.decode()


MAKERS = [by_report, by_render, by_comparison, by_seeds, by_list, by_live, by_waiting]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", MAKERS)
def test_a_page_has_the_same_skeleton_whatever_is_written_in_the_run(runs, make):
    plain, other = pages(make, runs)
    assert plain.tags == other.tags
    assert all(link in LINKS or link.startswith(("#", "data:,", "runs/run/")) for link in other.links)
    assert len(plain.scripts) == len(other.scripts)
    for one, two in zip(plain.scripts, other.scripts, strict=True):
        if one != two:  # the payload, which holds neither tags nor ends of lines that JavaScript knows
            assert json.loads(two)
            assert not re.search("[<>&\u2028\u2029]", two)
    assert "</script><script>alert(1)</script>" in other.text
    assert "<img src=x" in other.text


@needs_browser
@pytest.mark.filterwarnings("ignore")
def test_in_a_browser_nothing_of_it_runs(runs, chromium, tmp_path):
    end = """<script>(async () => {
      await until(drawn);
      const seen = { trouble, alerted: window.alerted === true, links: [...document.links].map((a) => a.href),
        drawn: [...document.querySelectorAll("svg a, img, base")].length };
      const out = Object.assign(document.createElement("pre"), { id: "seen", textContent: JSON.stringify(seen) });
      document.body.append(out);
    })();</script>"""
    for number, html in enumerate((by_report(HOSTILE, runs[HOSTILE]), by_render(HOSTILE, None))):
        page = tmp_path / f"{number}.html"
        page.write_text(html.replace("<head>", "<head>" + HEAD, 1).replace("</body>", end + "</body>"))
        seen = browser(chromium, page, 1200)
        assert seen["trouble"] == []
        assert seen["alerted"] is False
        assert all("#" in link for link in seen["links"])
        assert seen["drawn"] == 0


def test_names_in_charts_are_text_to_plotly():
    page = Skeleton(by_render(HOSTILE, None))
    charts = json.loads(next(script for script in page.scripts if script.startswith("{")))["charts"]
    texts = json.dumps([[chart["data"], chart["layout"]] for chart in charts])
    assert "&lt;img src=x" in texts
    assert "<a " not in texts
    assert "<img" not in texts


@pytest.mark.filterwarnings("ignore")
def test_figures_and_tables_take_any_text(runs, tmp_path):
    plot.save_figures(runs[HOSTILE])
    found = example(HOSTILE)
    assert "<script" not in found._repr_html_()
    for to in ("csv", "parquet", "netcdf"):
        assert export_run(runs[HOSTILE], to=to, out=tmp_path / to)
    for file in (tmp_path / "csv").iterdir():
        rows = list(csv.reader(io.StringIO(file.read_text())))
        assert not [text for row in rows for text in row if re.match(r"[=+@\t\r]|-[^0-9.]", text)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "../../elsewhere", "-1+1", "@x", "sample", "v", "a/b", "."])
def test_a_loss_is_a_column_whatever_its_name(tmp_path, name):
    """In a spreadsheet no formula, in a file of arrays no path."""
    written(tmp_path / "run", name)
    for to in ("csv", "netcdf", "zarr"):
        export_run(tmp_path / "run", to=to, out=tmp_path / to)
    head = (tmp_path / "csv" / "steps.csv").read_text().splitlines()[0]
    assert re.fullmatch(r"step,train_loss,test_loss,\w[\w.-]*", head), head
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "netcdf", "run", "zarr"]


# the terminal


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "command", ["summary", "samples", "verdicts", "check", "report", "compare", "verify", "export", "summary --json"]
)
def test_a_terminal_is_not_steered(runs, command, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    folder = str(runs[HOSTILE])
    name, *options = command.split()
    more = {"compare": [str(EXAMPLE)], "export": ["--to", "csv", "--out", "there"]}.get(name, [])
    with pytest.raises(SystemExit):
        main([name, folder, *more, *options])
    out = "".join(capfd.readouterr())
    assert out
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", out)
    assert "Traceback" not in out
    if options:
        assert json.loads(out)["recipe"] == HOSTILE
    if name == "summary":
        assert "[bold] [/red]" in out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", ["summary", "report", "compare", "summary --json"])
def test_halves_of_characters_are_shown(tmp_path, command, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(EXAMPLE, tmp_path / "run"))
    for name in ("run.json", "summary.json"):
        content = json.loads((run / name).read_text()) | {"recipe": HALF, "recipe_name": HALF, "verdict": [HALF]}
        (run / name).write_text(json.dumps(content))
    name, *options = command.split()
    with pytest.raises(SystemExit) as ended:
        main([name, str(run), *([str(EXAMPLE)] if name == "compare" else []), *options])
    assert ended.value.code == 0
    written = [file.read_text() for file in tmp_path.rglob("*.html")]
    assert "half of a character \ufffd" in "".join([*capfd.readouterr(), *written])


def test_errors_and_names_of_files_are_shown(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["summary", str(tmp_path / "\x1b[2Jx")])
    assert "\\u001b[2Jx" in capsys.readouterr().err


def test_what_steers_is_shown_and_all_else_stays():
    assert shown("tab\t line\n é 日本 שלום 👩‍🔬") == "tab\t line\n é 日本 שלום 👩‍🔬"
    assert shown("\x1b\x9b\x7f\u202e\ud800") == "\\u001b\\u009b\\u007f\\u202e\\ud800"
    assert json.loads(shown('"a\x9b"')) == "a\x9b"
    assert cell("[/]\x1b") == "\\[/]\\u001b"


def test_only_one_place_writes_to_the_terminal():
    import interdyn.cli

    for file in Path(interdyn.cli.__file__).parent.glob("*.py"):
        if file.name != "_say.py":
            text = file.read_text().replace("Console().print(", "")
            assert not re.search(r"typer\.(echo|secho)|\bprint\(", text), file
