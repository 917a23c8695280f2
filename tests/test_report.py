import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from interdyn import plot, report
from interdyn.dynamics import recommend
from interdyn.errors import NotARunError
from interdyn.report import _first
from interdyn.report._chart import chart
from interdyn.report._plotly import TRACES, lean
from interdyn.values import RunResult
from pages import HEAD, browser, needs_browser

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"
HARM = {
    "found": True,
    "step": 1400,
    "interval": [900, 2000],
    "growth": 0.2,
    "best_step": 780,
    "sentence": "Training began to harm.",
}
SIDES = {"training": "train", "test": "test"}
ATTACK = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags, attributes, text outside scripts, and the embedded payload."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.payload, self._in = [], "", "", None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._in = dict(attrs).get("id", tag)

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._in = None

    def handle_data(self, data):
        if self._in is None:
            self.text += data
        elif self._in == "payload":
            self.payload += data

    @property
    def charts(self):
        return {chart["id"]: chart for chart in json.loads(self.payload)["charts"]}

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture
def data():
    return {name: json.loads((EXAMPLE / f"{name}.json").read_text()) for name in ("summary", "analysis")}


def page(data, **texts):
    return Page(report.render(RunResult.from_json(data["summary"], data["analysis"]), texts=texts))


def plain(found):
    """Return the text of a page with ordinary hyphens and spaces."""
    return found.text.replace("\u2011", "-").replace("\u00a0", " ")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    run = Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("report") / "run"))
    return report.write_report(run)


def test_one_file_under_8_mb_with_the_figures_beside_it(written):
    assert written.name == "report.html"
    assert written.stat().st_size < 8_000_000
    assert len(list((written.parent / "figures").glob("*.png"))) == 8


def test_the_page_asks_no_host_for_anything(written):
    html = written.read_text()
    found = Page(html)
    for _, attributes in found.tags:
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            assert not re.match(r"\s*(https?:)?//", attributes.get(name) or ""), attributes
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_sections_come_in_the_order_of_a_newcomers_questions(written):
    html = written.read_text()
    names = ("sure", "dynamics", "uses", "samples", "theory", "trust", "words")
    there = [name for name in names if f'<h2 id="{name}"' in html]
    assert there == ["sure", "dynamics", "theory", "trust", "words"]  # nothing of samples was recorded
    places = [html.index(f'<h2 id="{name}"') for name in there]
    assert places == sorted(places)
    bar = html[html.index('<nav id="bar"') : html.index("</nav>")]
    assert re.findall(r'href="#(\w+)"', bar) == ["top", *there]
    assert html.index('class="advice"') < html.index('id="figure-overview"') < html.index('class="cards"') < places[0]


def test_the_verdict_and_what_else_is_to_say_stand_below_the_first_screen(data):
    prediction = RunResult.from_json(data["summary"], data["analysis"]).prediction.sentence
    verdict = "At step 512: phase 2 began. No harm."
    data["summary"]["verdict"] = [verdict, prediction, "A file is damaged."]
    text = page(data).text
    places = [
        text.index(part)
        for part in ("How certain is this", verdict, "A file is damaged.", "How the interactions changed")
    ]
    assert places == sorted(places)
    assert text.count(prediction) == 1
    assert text.index("Theory and measurement") < text.index(prediction)


def test_the_verdict_is_in_words_with_its_interval(data):
    text = page(data).text
    assert "The interactions got simpler, then more complex (phase 2 began between steps 150 and 450)." in text
    assert "began to widen between steps 170 and 520" in text
    assert "Harmnot judgedthe version that wrote this run" in text
    data["summary"]["phases"]["agreement"] = "They agree, they do."
    assert "They agree, they do." in page(data).text


def test_harm_is_in_the_headline_on_a_card_and_a_mark_beside_those_of_phase_and_gap(data):
    data["summary"]["harm"] = HARM
    found = page(data)
    heading = plain(found)
    assert "began to harm between steps 900 and 2,000: the fitted held-out loss is 20 % above its minimum." in heading
    assert f"Harmbegan between steps 900 and 2,000{HARM['sentence']}" in found.text
    marks = [note["text"] for note in found.charts["losses"]["layout"]["annotations"]]
    assert [mark.rsplit(" ", 1)[0] for mark in marks] == [
        "phase boundary",
        "gap begins to widen",
        "training begins to harm",
    ]
    lines = {trace["name"]: trace["y"] for trace in found.charts["losses"]["data"]}
    assert lines == {f"{side} samples": data["summary"][f"{name}_loss"] for side, name in SIDES.items()}
    assert ("accuracies" in found.charts) is ("test_accuracy" in data["summary"])


def test_harm_that_cannot_be_seen_says_why_and_where_the_pattern_is_blind(data):
    why = "Harm cannot be judged without held-out losses."
    data["summary"]["harm"] = {"found": False, "sentence": why, "pattern": "A pattern is seen."}
    text = page(data).text
    assert "Harmcannot be judgedA pattern is seen." in text
    assert "does not detect shortcuts" in text
    data["summary"]["harm"]["pattern"] = ""
    assert f"Harmcannot be judged{why}" in page(data).text
    assert "does not detect shortcuts" not in page(data).text


def test_every_chart_holds_the_recorded_numbers(data):
    charts = page(data).charts
    test = data["analysis"]["groups"]["test"]
    line = next(trace for trace in charts["mean-order"]["data"] if trace.get("name") == "test samples")
    assert line["y"] == test["mean_order"]
    assert line["customdata"][3] == [15, test["mean_order_low"][3], test["mean_order_high"][3]]
    assert charts["orders"]["frames"][8][0]["y"] == test["order_distribution"][8]
    assert charts["orders"]["frames"][8][1]["y"] == data["analysis"]["theory"]["order_distribution"][8]
    heat = charts["heat-0"]["data"][0]
    assert [row[5] for row in heat["z"]] == test["order_distribution"][5]
    assert heat["customdata"][2][5] == [48, 3]
    over_training = {"overview", "mean-order", "losses", "accuracies", "loss-gap", "distance", "noise"}
    over_training |= {"prediction", "prediction-distance"}
    assert set(charts) == {"orders", "heat-0", "heat-1", *over_training}
    mechanisms = data["summary"]["prediction"]["mechanisms"]
    drawn = {trace["name"]: trace for trace in charts["prediction"]["data"] if "name" in trace}
    assert drawn["noise operator"]["y"] == mechanisms["noise operator"]["correlation"]["value"]
    assert drawn["nearby step"]["y"] == data["summary"]["prediction"]["ceiling"]
    assert drawn["nearby step"]["line"]["dash"] == "dash"
    apart = {trace["name"]: trace for trace in charts["prediction-distance"]["data"] if "name" in trace}
    assert apart["tilt"]["y"] == mechanisms["tilt"]["distance"]


def test_the_report_says_which_mechanism_predicts_and_that_distances_cannot_tell(data):
    found = page(data)
    card = "0.85correlation with the measured tables; best rival 0.78, nearby steps 0.97. "
    card += "The theory in one regression predicts"
    assert f"Prediction by the theory{card}" in found.text
    steps = data["summary"]["prediction"]["phase_2"]["n_steps"]
    assert f"From the final network, over phase 2 ({steps} steps): The theory in one regression" in found.text
    assert found.text.count("distinguish mechanisms poorly; seven of eight") == 2  # below both distances
    assert "escribe" not in found.text.replace("described in words above", "")


@pytest.mark.parametrize(
    ("prediction", "card", "drawn"),
    [
        (None, "", "Analyse the run again with this version"),
        (
            {"reason": "Measure two or more."},
            "Prediction by the theorynot madeMeasure two or more.",
            "Measure two or more.",
        ),
    ],
)
def test_a_report_without_a_prediction_says_why(data, prediction, card, drawn):
    data["summary"]["prediction"] = prediction
    found = page(data)
    assert (card or "Prediction by the theory") in found.text if card else "Prediction by the theory" not in found.text
    assert drawn in found.text
    assert not {"prediction", "prediction-distance"} & set(found.charts)


@pytest.mark.parametrize(
    "question", ["mean_order", "loss_gap", "distance", "noise", "prediction", "prediction_distance"]
)
def test_pictures_and_pages_show_the_same_curves_and_marks(question, data):
    panel = getattr(plot.panels, question)(RunResult.from_json(data["summary"], data["analysis"]))
    ax, shown = plot.draw(panel, Figure().subplots()), chart(panel)
    drawn = {line.get_label().split(" (")[0]: line for line in ax.lines}
    named = [trace for trace in shown["data"] if "name" in trace]
    assert len(named) == len(panel.series) > 0
    for trace in named:
        np.testing.assert_allclose(drawn[trace["name"]].get_ydata(), np.array(trace["y"], dtype=float), rtol=1e-8)
    assert drawn["phase boundary, step 260"].get_xdata()[0] == 260
    assert "phase boundary 260" in [note["text"] for note in shown["layout"]["annotations"]]


def test_the_picture_of_the_page_is_that_of_the_figure(data):
    data["summary"]["harm"] = HARM
    panel = plot.panels.overview(RunResult.from_json(data["summary"], data["analysis"]))
    shown = page(data).charts["overview"]
    named = {trace["name"]: trace for trace in shown["data"] if "name" in trace}
    assert list(named) == ["mean order", "training loss", "held-out loss"]
    assert named["mean order"]["y"] == data["analysis"]["groups"]["test"]["mean_order"]
    assert named["held-out loss"]["y"] == data["summary"]["test_loss"]
    assert [trace["yaxis"] for trace in named.values()] == ["y", "y2", "y2"]
    low, high = shown["layout"]["yaxis2"]["domain"]
    assert 0 < low < high <= shown["layout"]["yaxis"]["domain"][0] + 0.05
    words = [note["text"] for note in shown["layout"]["annotations"]]
    assert words == [mark.name for mark in panel.strip]
    assert words[2:] == ["harm begins between steps 900 and 2,000", "checkpoint to use: step 780"]
    bars = [shape for shape in shown["layout"]["shapes"] if shape["type"] == "rect"]
    at = plot.StepAxis.of(panel.steps).position
    intervals = [mark.interval for mark in panel.strip if mark.interval]
    assert [(bar["x0"], bar["x1"]) for bar in bars] == [pytest.approx(tuple(at(np.array(one)))) for one in intervals]
    assert all(bar["y1"] < low for bar in bars)  # below the curves
    for mark in panel.strip:
        assert f"{mark.name[0].upper()}{mark.name[1:]}." in shown["alt"]
    assert "cursor" not in [shape.get("name") for shape in shown["layout"]["shapes"]]


def test_the_slider_opens_where_harm_began_else_phase_2_and_at_the_last_while_it_grows(data):
    def start():
        return data["summary"]["steps"][json.loads(page(data).payload)["start"]]

    assert start() == 260
    data["summary"]["harm"] = HARM
    assert start() == 1300
    data["summary"]["stage"] = "phase 2"
    assert start() == data["summary"]["steps"][-1]
    data["summary"] |= {"stage": None, "harm": None, "phases": {"found": False}}
    assert start() == data["summary"]["steps"][-1]


def test_the_first_screen_says_what_to_do_why_and_what_is_not_certain(data):
    data["summary"]["harm"] = HARM
    html = report.render(RunResult.from_json(data["summary"], data["analysis"]))
    top = Page(html[html.index('<header id="top"') : html.index("</header>")])
    advice = recommend(RunResult.from_json(data["summary"]))
    assert f"{advice.sentence} {advice.reason}" in plain(top)
    begun = "Phase 2, in which higher orders are learned, may have begun anywhere between steps 150 and 450."
    assert f"Not certain: {begun} Harm may have begun" in top.text
    for card in ("Best checkpoint", "Phase", "What was learned", "Samples to check"):
        assert top.text.count(card) >= 1
    assert "Step 780" in top.text
    assert "probability" not in top.text.lower()
    assert "theory" not in top.text.lower()
    share = data["analysis"]["groups"]["test"]["order_distribution"][-1]
    assert f"{100 * max(share):.0f} % of the interaction strength has order {1 + share.index(max(share))}" in plain(top)


@pytest.mark.parametrize(
    ("kind", "headline", "card"),
    [
        ("one phase, no second phase", "without a second phase", "One phase"),
        ("no phases", "neither simpler nor more complex", "No phases"),
        ("no first phase", "more complex, without getting simpler first", "No first phase"),
        ("no verdict", "lasting phase 2 (more complex interactions) is not established", "Not established"),
    ],
)
def test_what_is_absent_is_told_from_what_is_not_established(data, kind, headline, card):
    data["summary"]["phases"] = {"found": False, "kind": kind, "evidence": {"possible_rise": 0.31}}
    view = RunResult.from_json(data["summary"], data["analysis"])
    assert headline in _first.headline(view)
    assert {one.name: one.value for one in _first.cards(view, None)}["Phase"] == card
    assert ("risen by up to 0.31" in _first.uncertain(view)) is (kind == "no verdict")


@pytest.mark.parametrize(
    ("evidence", "card"),
    [
        ({"two_phases": 0.4, "only_falls": 0.5, "fall": 1.2}, "Phase 1"),
        ({"two_phases": 0.4, "only_rises": 0.5, "rise": 1.2}, "Only a rise"),
        ({"two_phases": 0.4, "only_falls": 0.3, "fall": 1.2}, "Not established"),
        ({"of version 0.1": 1.0}, "Not established"),
    ],
)
def test_the_card_says_which_change_is_established_without_a_verdict(data, evidence, card):
    data["summary"]["phases"] = {"found": False, "kind": "no verdict", "evidence": evidence}
    view = RunResult.from_json(data["summary"], data["analysis"])
    assert {one.name: one.value for one in _first.cards(view, None)}["Phase"] == card


def test_charts_are_valid_plotly_figures(data):
    import plotly.graph_objects as go

    for found in page(data).charts.values():
        plain = json.loads(re.sub(r'"var:[a-z0-9-]+"', '"#123456"', json.dumps(found)))
        go.Figure(data=plain["data"], layout=plain["layout"])  # raises on any unknown name or impossible value
        for frame in plain["frames"]:
            for trace, change in zip(plain["data"], frame, strict=True):
                go.Figure(data=[trace]).update_traces(change)


def test_plotly_sets_up_what_the_charts_need_and_no_more(data, written):
    charts = json.loads(page(data).payload)["charts"]
    kinds = {trace.get("type", "scatter") for chart in charts for trace in chart["data"]}
    assert kinds - {"scatter"} == set(TRACES)
    whole = get_plotlyjs()
    assert lean(whole) != whole
    assert lean(whole) in written.read_text()


def test_every_colour_of_the_charts_is_defined_for_light_and_dark(written):
    html = written.read_text()
    style = html[html.index("<style>") : html.index("</style>")]
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    dark = dark[: dark.index("* {")]
    used = set(re.findall(r'"var:([a-z0-9-]+)"', html))
    assert {"reality", "theory", "ink", "line"} <= used
    for name in used:
        assert f"--{name}:" in light
        assert f"--{name}:" in dark


def test_every_chart_has_a_text_for_those_who_do_not_see_it(data):
    charts = [a for tag, a in page(data).tags if a.get("class") == "chart"]
    assert len(charts) == 12
    assert all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in charts)


def test_text_of_the_run_is_shown_as_text_wherever_it_stands(data):
    clean = page(data).count("script")
    summary, analysis = data["summary"], data["analysis"]
    summary["recipe"] = summary["version"] = ATTACK
    summary["verdict"] = [ATTACK]
    summary["phases"] |= {"status": ATTACK, "sentences": [ATTACK]}
    summary["theory_summary"]["sentence"] = ATTACK
    summary["prediction"] |= {"reason": ATTACK}
    summary["prediction"]["phase_2"] |= {"sentence": ATTACK, "theory": ATTACK}
    summary["prediction"]["mechanisms"][ATTACK] = summary["prediction"]["mechanisms"]["tilt"]
    for row in summary["theory"]:
        row["sentence"] = ATTACK + "<!--"
    summary["seconds"] = {ATTACK: 1.0}
    analysis["groups"] = {
        "test": analysis["groups"]["test"] | {"unit": ATTACK},
        ATTACK: analysis["groups"]["mislabelled"],
    }
    found = page(data, **{"recipe.toml": f'name = "{ATTACK}"', ATTACK: ATTACK})
    assert found.count("script") == clean
    assert found.text.count("<script>alert(1)</script>") >= 8
    assert "<" not in found.payload
    names = [trace.get("name", "") for trace in found.charts["mean-order"]["data"]]
    assert any("&lt;script&gt;" in name for name in names)  # plotly reads names as a kind of HTML


def test_the_recipe_is_shown_and_escaped(written):
    text = Page(written.read_text()).text
    assert 'note = "quotes \\" and <tags> & ampersands show as text"' in text


def test_without_theory_the_page_says_what_is_missing(data):
    del data["summary"]["theory"], data["summary"]["theory_summary"], data["analysis"]["theory"]
    found = page(data)
    assert {"distance", "noise"}.isdisjoint(found.charts)
    assert "Fit it with `interdyn.theory.fit_noise`" in found.text
    assert len(found.charts["orders"]["frames"][0]) == 2  # measured, mislabelled


def test_without_mislabelled_samples_and_without_analysis_the_page_still_stands(data):
    del data["analysis"]["groups"]["mislabelled"]
    assert "heat-1" not in page(data).charts
    found = page({"summary": data["summary"], "analysis": None})
    assert list(found.charts["orders"]["frames"][0][0]) == ["y"]  # no interval
    bare = page({"summary": {"steps": [0, 5]}, "analysis": None})
    assert bare.charts == {}
    assert bare.count("figure") == 0
    assert set(re.findall(r"aria-labelledby=.(\w+)", report.render(RunResult.from_json({"steps": [0, 5]})))) == {
        "sure",
        "trust",
        "words",
    }
    for needs in (
        "`order_distribution`",
        "`mean_order` of at least",
        "`train_loss`",
        "Fit it with `interdyn.theory.fit_noise`",
    ):
        assert bare.text.count(needs) == 1, needs


def test_every_checkpoint_has_its_note_and_the_interval_counts_those_at_its_ends(data):
    found = page(data)
    assert (
        "Step 15, mean order 2.71, distance between theory and measurement 0.330, loss gap 0.010."
        in json.loads(found.payload)["notes"][3]
    )
    assert "The interval of the boundary contains 3 checkpoints" in found.text  # 150, 260 and 450


def test_why_no_gap_is_dated_is_told(data):
    data["summary"]["phases"] |= {"gap_onset_step": None, "gap_interval": None, "gap_status": "It does not grow."}
    assert "growth not establishedIt does not grow." in page(data).text
    data["summary"]["phases"]["gap_status"] = ""
    del data["summary"]["test_loss"]
    assert "training and test loss were not recorded" in page(data).text


def test_no_boundary_is_said_and_not_drawn(data):
    data["summary"]["phases"] = {"found": False, "boundary_step": None, "interval": None, "status": "no verdict"}
    found = page(data)
    assert "A lasting phase 2 (more complex interactions) is not established." in found.text
    assert "no verdict" in found.text
    assert [s.get("name") for s in found.charts["mean-order"]["layout"]["shapes"]] == ["cursor"]


def test_losses_that_are_not_numbers_become_holes(data):
    data["summary"]["test_loss"][4] = None
    data["summary"]["train_loss"][5] = float("nan")
    gap = page(data).charts["loss-gap"]["data"][0]["y"]
    assert [i for i, y in enumerate(gap) if y is None] == [4, 5]
    data["summary"]["test_loss"] = [None] * 16
    found = page(data)
    assert "loss-gap" not in found.charts
    assert "Record `train_loss` and `test_loss`" in found.text


def test_one_checkpoint_has_no_slider(data):
    def cut(item):
        if isinstance(item, dict):
            return {key: cut(value) for key, value in item.items()}
        return item[:1] if isinstance(item, list) and len(item) == 16 else item

    found = page(cut(data))
    assert "Only one checkpoint was measured" in found.text
    assert found.count("input") == 0
    assert len(found.charts["orders"]["frames"]) == 1
    axis = found.charts["noise"]["layout"]["xaxis"]
    assert (axis["tickvals"], axis["ticktext"]) == ([0.0], ["0"])
    low, high = found.charts["noise"]["layout"]["yaxis"]["range"]
    assert low <= -2 < 0 <= high  # 0.1 and its interval, in whole decades


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(NotARunError):
        report.write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_reading_a_run_needs_no_torch():
    code = "import sys, interdyn.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PROBE_END = """<script>
(async () => {
  const slider = document.getElementById("checkpoint");
  slider.value = "3";
  slider.dispatchEvent(new Event("input"));
  await new Promise((next) => requestAnimationFrame(next)); // after that of the page
  await until(drawn);
  const seen = {
    trouble,
    bars: Array.from(document.getElementById("chart-orders").data[0].y),
    cursor: document.getElementById("chart-mean-order").layout.shapes.find((s) => s.name === "cursor").x0,
    note: document.getElementById("note").textContent,
    drawn: document.querySelectorAll(".chart svg.main-svg").length,
    heat: document.querySelectorAll("#chart-heat-0 .heatmaplayer image").length,
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    alerted: window.alerted === true,
  };
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
})();
</script>"""


@needs_browser
@pytest.mark.parametrize("width", [500, 1440])
def test_in_a_browser_the_slider_moves_all_panels_and_nothing_complains(data, chromium, tmp_path, width):
    data["summary"]["recipe"] = "<img src=x onerror='window.alerted = true'>"
    html = report.render(RunResult.from_json(data["summary"], data["analysis"]))
    html = html.replace("<head>", "<head>" + HEAD, 1).replace("</body>", PROBE_END + "</body>")
    path = tmp_path / "page.html"
    path.write_text(html)
    seen = browser(chromium, path, width)
    assert seen["trouble"] == []
    assert seen["bars"] == data["summary"]["order_distribution"][3]
    assert seen["cursor"] == pytest.approx(json.loads(Page(html).payload)["positions"][3])
    assert seen["note"].startswith("Step 15, ")
    assert seen["drawn"] >= 7
    assert seen["heat"] == 1
    assert seen["wide"] is False
    assert seen["alerted"] is False
