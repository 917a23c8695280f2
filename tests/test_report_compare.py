"""Several runs on one page."""

import json
import re
import shutil
import tomllib
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from interdyn import store
from interdyn.cli import main
from interdyn.errors import InputError, NotARunError
from interdyn.report import write_comparison
from pages import HEAD, browser, needs_browser
from stored import analysis_of, summary_of

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"


def copy(folder, *, recipe=None, scale=1.0, gain=None, **settings):
    """Copy the example run; its mean order is scaled, its recipe has other settings, the theory another gain."""
    shutil.copytree(EXAMPLE, folder)
    summary = summary_of(folder)
    if gain is not None:
        summary["prediction"]["whole"] |= {"gain": gain, "gain_low": gain - 0.01, "gain_high": gain + 0.01}
    summary["recipe"] = recipe or summary["recipe"]
    (folder / "summary.json").write_text(json.dumps(summary))
    analysis = analysis_of(folder)
    test = analysis["groups"]["test"]
    for key in ("mean_order", "mean_order_low", "mean_order_high"):
        test[key] = [None if x is None else scale * x for x in test[key]]
    (folder / "analysis.json").write_text(json.dumps(analysis))
    path = folder / "recipe.toml"
    written = tomllib.loads(path.read_text()) if path.exists() else {}
    path.write_text(tomli_w.dumps(written | settings))
    return folder


def payload(html):
    return json.loads(re.search(r'id="payload">(.*?)</script>', html, re.DOTALL).group(1))


def line(html, chart, name):
    traces = next(c for c in payload(html)["charts"] if c["id"] == chart)["data"]
    return next(trace for trace in traces if trace.get("name") == name)


def test_each_run_has_a_line_in_every_chart_and_a_row(tmp_path):
    a, b = copy(tmp_path / "a"), copy(tmp_path / "b", scale=2.0)
    html = write_comparison([a, b], tmp_path / "page.html").read_text()
    assert [c["id"] for c in payload(html)["charts"]] == [
        "mean_order",
        "loss_gap",
        "theory_gain",
        "noise_var",
        "tv_distance",
    ]
    ours = json.loads((a / "analysis.json").read_text())["groups"]["test"]["mean_order"]
    assert line(html, "mean_order", "a")["y"] == pytest.approx(ours)
    assert line(html, "mean_order", "b")["y"] == pytest.approx([2 * x for x in ours])
    found = {k: v.correlation.value for k, v in store.read_result(a).prediction.mechanisms.items()}
    rivals = [v for k, v in found.items() if k not in ("theory", "joint theory")]
    gain = np.maximum(found["theory"], found["joint theory"]) - np.max(rivals, axis=0)
    np.testing.assert_allclose(np.array(line(html, "theory_gain", "a")["y"], float), gain, atol=1e-6)
    text = unescape(re.sub(r"<[^>]+>", " ", html[html.index("<main>") : html.index('id="payload"')]))
    assert text.count("began between steps 150 and 450") == 2
    assert (
        text.count("0.85 (best rival 0.78, nearby steps 0.97)") == 2
    )  # how well the theory predicts, and its best rival
    assert "The recipes are the same." in text


def test_every_row_has_a_cell_for_each_column_and_no_column_comes_twice(tmp_path):
    html = write_comparison([copy(tmp_path / "a"), copy(tmp_path / "b")], tmp_path / "page.html").read_text()
    table = html[html.index('id="verdicts"') :].split("</table>")[0]
    heads = re.findall(r"<th scope=\"col\">(.*?)</th>", table)
    rows = [len(re.findall(r"<t[hd]", row)) for row in table.split("<tbody>")[1].split("</tr>")[:-1]]
    assert len(set(heads)) == len(heads)
    assert rows == [len(heads)] * 2


def test_seeds_of_a_recipe_are_one_line_with_their_range(tmp_path):
    folders = [copy(tmp_path / name, scale=scale) for name, scale in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    folders.append(copy(tmp_path / "d", recipe="other"))
    html = write_comparison(folders, tmp_path / "page.html", seeds=True).read_text()
    ours = json.loads((folders[0] / "analysis.json").read_text())["groups"]["test"]["mean_order"]
    several = line(html, "mean_order", "synthetic-example (3 seeds, band: range)")
    assert several["y"] == pytest.approx([2 * x for x in ours])
    assert several["customdata"][4][1:] == pytest.approx([ours[4], 3 * ours[4]])
    assert line(html, "mean_order", "other")["y"] == pytest.approx(ours)


def test_the_gain_of_the_theory_over_seeds_is_said(tmp_path):
    gains = (0.1, 0.005, -0.03)
    folders = [copy(tmp_path / str(i), gain=gain) for i, gain in enumerate(gains)]
    folders.append(copy(tmp_path / "other", recipe="other", gain=0.5))
    html = unescape(write_comparison(folders, tmp_path / "page.html", seeds=True).read_text())
    assert "synthetic-example, 3 seeds, all checkpoints: " in html
    assert "is +0.025 on average, from -0.030 to +0.100; the theory is shown to be better in 1 and worse in 1" in html
    assert "other, " not in html
    assert "on average, from" not in write_comparison(folders, tmp_path / "page.html").read_text()


def test_settings_that_differ_are_listed_and_no_others(tmp_path):
    a = copy(tmp_path / "a", training={"epochs": 3, "seed": 0}, kind="same")
    b = copy(tmp_path / "b", training={"epochs": 5, "seed": 0}, kind="same")
    html = write_comparison([a, b], tmp_path / "page.html").read_text()
    table = html[html.index('id="settings"') :]
    assert "training.epochs" in table
    assert "training.seed" not in table
    assert re.search(r"training\.epochs</th><td>3</td><td>5</td>", table)


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(InputError, match="two or more runs; got 1"):
        write_comparison([copy(tmp_path / "a")], tmp_path / "page.html")
    with pytest.raises(NotARunError):
        write_comparison([tmp_path / "a", tmp_path / "nowhere"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_the_command_writes_the_page(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    a, b = copy(tmp_path / "a"), copy(tmp_path / "b")
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(a), str(b), "--out", str(tmp_path / "page.html"), "--open"])
    assert ended.value.code == 0
    assert "page.html" in capsys.readouterr().out
    assert opened == [(tmp_path / "page.html").as_uri()]


@needs_browser
@pytest.mark.parametrize("width", [500, 1440])
def test_in_a_browser_it_draws_and_nothing_complains(chromium, tmp_path, width):
    attack = "<img src=x onerror='window.alerted = true'>"
    folders = [copy(tmp_path / "a", recipe=attack, title=attack), copy(tmp_path / "b", title="b")]
    path = write_comparison(folders, tmp_path / "page.html", seeds=True)
    end = """<script>until(drawn).then(() => {
      const out = document.createElement("pre");
      out.id = "seen";
      const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
      const charts = document.querySelectorAll(".chart svg.main-svg").length;
      out.textContent = JSON.stringify({ trouble, wide, charts, alerted: window.alerted === true });
      document.body.append(out);
    })</script>"""
    path.write_text(path.read_text().replace("<head>", "<head>" + HEAD, 1).replace("</body>", end + "</body>"))
    seen = browser(chromium, path, width)
    assert seen["trouble"] == []
    assert seen["charts"] >= 4
    assert seen["wide"] is False
    assert seen["alerted"] is False
