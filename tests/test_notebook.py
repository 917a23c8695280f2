"""Results as a notebook shows them."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
import torch

import interdyn as ix
from interdyn import plot, store
from interdyn.measurement import reading, sample_table
from interdyn.values import RunResult, _notebook

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"
ATTACK = "<script>alert(1)</script>"


class Cells(HTMLParser):
    """Rows of the tables of a page, and whether any of its tags is a script."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def found():
    def outputs(x):
        return (2 * x[:, 0] * x[:, 1] - 0.5 * x[:, 2])[:, None]

    x = torch.ones(11, 3)
    return ix.measure(
        outputs, x, players=ix.players.columns(), baselines=0.0, output="regression", noise_bound=0.0, tol=1e-6
    )


def test_one_sample_is_a_table_of_its_strongest_interactions(found):
    html = found[0]._repr_html_()
    head, first, second, *_ = Cells(html).rows
    assert head == [f"value ({found.unit})", "", "kind", "players"]
    assert (first[0], first[2:]) == ("+2", ["AND", "0, 1"])
    assert second[0] == "-0.5"
    widths = [int(w) for w in re.findall(r"width:(\d+)px", html)]
    assert widths[1] == round(widths[0] * 0.25)
    assert "3 players" in html


def test_a_batch_is_a_row_for_each_of_the_first_samples(found):
    cells = Cells(found._repr_html_())
    assert [row[0] for row in cells.rows[1:]] == [str(i) for i in range(8)]
    assert cells.rows[1][1:3] == ["AND 0, 1", "+2"]
    assert "3 more samples" in found._repr_html_()


def test_terms_are_a_table_and_nothing_is_said_to_be_nothing(found):
    assert Cells(found[0].top(1)._repr_html_()).rows[1][3] == "0, 1"
    assert "none differs from zero" in found[0].top(0)._repr_html_()


def test_bars_have_the_colours_of_the_figures():
    from interdyn.plot import _style

    assert (_notebook.AND.lower(), _notebook.OR.lower()) == (_style.AND.lower(), _style.OR.lower())
    for kind in ("and", "or"):
        html = _notebook.terms_html([(kind, (0, 1), 1.0)])
        assert re.findall(r"background:(#\w+)", html) == [getattr(_notebook, kind.upper())]


def test_samples_are_a_table(found):
    table = sample_table([reading(found, labels=[0] * 11, group="train")])
    cells = Cells(table._repr_html_())
    assert len(cells.rows) == 12
    assert cells.rows[1][:3] == ["train", str(table[0].sample_id), "0"]


def test_a_run_is_its_verdict_and_a_picture(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "run")
    view = plot.load_run(tmp_path / "run")
    html = view._repr_html_()
    for sentence in view.verdict:
        assert sentence[:30] in html
    data = re.search(r"data:image/png;base64,([^\"]+)", html).group(1)
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(data)))
    assert picture.shape[:2] == (320, 1000)
    drawn = picture[:280, :, :3].min(axis=2) < 0.5  # below it are the words of the axes
    assert min(drawn[:, :500].sum(), drawn[:, 500:].sum()) > 4000, "a panel on each side; an empty one has 2,100"
    assert store.open_run(tmp_path / "run")._repr_html_() == html


def test_a_run_of_one_checkpoint_is_said_to_be_one():
    assert "1 checkpoint<" in RunResult.from_json({"steps": [7], "mean_order": [2.5]})._repr_html_()


def test_a_run_that_is_not_finished_says_so(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    html = store.open_run(tmp_path / "run")._repr_html_()
    assert "<img" not in html
    assert "summary.json" in html


def test_text_of_a_run_is_shown_as_text():
    summary = json.loads((EXAMPLE / "summary.json").read_text())
    view = RunResult.from_json({**summary, "recipe": ATTACK, "verdict": [ATTACK]})
    html = view._repr_html_()
    assert ATTACK not in html
    assert all(tag != "script" for tag, _ in Cells(html).tags)
    quoted = RunResult.from_json({**summary, "recipe": '" onerror="alert(1)'})._repr_html_()
    assert all(set(found) <= {"alt", "style", "src"} for tag, found in Cells(quoted).tags if tag == "img")
    assert ATTACK not in _notebook.terms_html([("and", (0,), 1.0)], unit=ATTACK, note=ATTACK)
