"""The report of runs that are empty, short, broken, long or large."""

import json
from pathlib import Path

import numpy as np
import pytest

from interdyn import report, store
from interdyn.cli import main
from interdyn.errors import IncompleteRunError
from interdyn.report import _uses
from interdyn.store import Exhibit, Measurement
from pages import HEAD, browser, needs_browser, pictured, until, watched
from stored import write_results

pytestmark = pytest.mark.usefixtures("without_figures")

SIDES = ("train", "test")
EXAMPLE = Path(__file__).parent / "data" / "example_analysis"

END = """<script>
(async () => {
  await until(() => document.querySelector("#falls tr") && document.querySelector("#cards li") && drawn());
  const out = document.createElement("pre");
  out.id = "seen";
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const charts = document.querySelectorAll("figure .main-svg").length;
  const [slider, options] = [document.getElementById("checkpoint"), document.getElementById("sample").options];
  const rows = document.querySelectorAll("#falls tr").length;
  out.textContent = JSON.stringify({
    trouble, wide, charts, rows, classes: document.getElementById("over-class").options.length,
    bars: document.querySelectorAll("#over .bar").length,
    others: document.querySelector(".fall tr:nth-last-child(2) th").textContent,
    last: slider && slider.max, options: options.length, first: options[0].textContent,
  });
  document.body.append(out);
})();
</script>"""


def browse(chromium, path, tmp_path):
    html = path.read_text().replace("<head>", "<head>" + HEAD, 1).replace("</body>", END + "</body>")
    page = tmp_path / "page.html"
    page.write_text(html)
    return browser(chromium, page, 500)


class Planted:
    """A run of any length and size, whose measurements are made up when they are read."""

    def __init__(self, folder, monkeypatch, *, steps, samples, players=6, losses=None, name="planted", classes=10):
        self.steps, self.samples, self.players = list(range(steps)), samples, players
        self.name, self.classes = name, classes
        with store.writing(folder):
            groups = ("test", "train")
            environment = {"schema": store.SCHEMA, "packages": {}}
            self.run = store.begin_run(folder, {"name": name}, steps=self.steps, groups=groups, environment=environment)
            self.results(losses)
        monkeypatch.setattr(store.Reader, "measurement", lambda *a, **k: self.measurement(*a, **k))
        monkeypatch.setattr(_uses, "map_interactions", self.interactions)

    def measurement(self, _run, step, *, group):
        rng = np.random.default_rng(step)
        i_and, i_or, v = rng.standard_normal((3, self.samples, 2**self.players))
        one, ids = np.ones(self.samples), np.arange(self.samples)
        settings = {"players": f"patches(1, {self.players})"}
        known = {"unit": "log-odds", "targets": ids % self.classes, "settings": settings}
        return Measurement(step, group, v, i_and, i_or, one, one, one, ids, **known)

    def interactions(self, run, step, *, group):
        found = self.measurement(run, step, group=group)
        return found.i_and, found.i_or

    def results(self, losses):
        t, n, rng = len(self.steps), self.players, np.random.default_rng(0)
        band = {f"order_distribution{edge}": rng.dirichlet(np.ones(n), t) for edge in ("", "_low", "_high")}
        band |= {f"mean_order{edge}": 1 + rng.random(t) for edge in ("", "_low", "_high")}
        theory = {"noise_var": 0.1, "noise_var_low": 0.05, "noise_var_high": 0.2, "tv_distance": 0.1, "tv_low": 0.05}
        theory |= {"tv_high": 0.2, "tv_null_sigma0": 0.3, "tv_null_tilt": 0.2, "in_phase_2": True}
        row = {"group": "train", "label": 1, "output": 1.5, "mean_order": 2.0, "cancelling": 0.5, "score": 0.1}
        row |= {"score_low": 0.0, "score_high": 0.2, "rank": 1, "rank_low": 1, "rank_high": 2, "flagged": True}
        plain = {name: value.tolist() for name, value in band.items()}
        summary = {
            "schema": store.SCHEMA,
            "recipe": self.name,
            "steps": self.steps,
            "orders": list(range(1, n + 1)),
            "n_samples": self.samples,
            **({} if losses == "none" else {f"{side}_loss": losses or rng.random(t).tolist() for side in SIDES}),
            "harm": {"best_step": None if losses == "none" else self.steps[-1], "sentence": "No harm is established."},
            "phases": {"found": True, "boundary_step": 1, "interval": [0, self.steps[-1]]},
            "theory": [{"step": s, "sentence": "Nearest noise variance 0.1.", **theory} for s in self.steps],
            "verdict": ["A sentence."],
        }
        group = {"n_samples": self.samples, "unit": "log-odds", **plain}
        analysis = {
            "schema": store.SCHEMA,
            "groups": {"test": group, "train": group},
            "theory": {"order_distribution": rng.dirichlet(np.ones(n), t).tolist()},
            "samples": {
                "sentence": "A sentence.",
                "rows": [{"sample_id": i, "sentence": "It looks memorised.", **row} for i in range(self.samples)],
            },
        }
        write_results(self.run, summary=summary, analysis=analysis)

    def exhibit(self, *, side=28, classes=()):
        rng = np.random.default_rng(1)
        for group in self.run.groups:
            pictures = rng.integers(0, 255, (self.samples, side, side, 3)).astype(np.uint8)
            players = np.broadcast_to(np.arange(side) * self.players // side, (self.samples, side, side))
            players = np.ascontiguousarray(players).astype(np.int16)
            found = Exhibit(group, np.arange(self.samples), pictures=pictures, players=players, classes=classes)
            with store.writing(self.run.path):
                store.write_exhibit(self.run, found)
        return self


ODD = {
    "one sample": {"samples": 1},
    "300 classes": {"samples": 300, "classes": 300, "named": tuple(f"class number {i}" for i in range(300))},
    "a name of 300 characters": {"name": "n" * 300},
    "right to left": {"name": "שלום עולם", "named": ("مرحبا بالعالم", "\u202eevil", "עברית", *"abcdefg")},
    "CJK": {"name": "手写数字の学習" * 9, "named": ("犬", "猫" * 40, "鳥", *"abcdefg")},
    "no losses": {"losses": "none"},
    "no pictures of samples": {"pictures": False},
    "many checkpoints, one player": {"steps": 60, "players": 1},
}


@needs_browser
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_odd_runs_have_a_first_screen_that_is_whole(chromium, tmp_path, monkeypatch, odd, width, scheme):
    given = {"samples": 5, "steps": 5, "named": (), "pictures": True} | ODD[odd]
    named, pictures = given.pop("named"), given.pop("pictures")
    planted = Planted(tmp_path / "run", monkeypatch, **given)
    path = report.write_report((planted.exhibit(classes=named) if pictures else planted).run.path)
    assert path.stat().st_size < 8_000_000
    page, trouble = watched(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(path.as_uri())
    until(page, "document.querySelector('#chart-overview svg.main-svg') !== null")
    until(page, "document.querySelectorAll('#falls tr').length > 0")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.locator("#top .cards > div").count() == 4
    assert page.locator("#top .advice strong").inner_text().endswith(".")
    if width == 1440:  # all of it without scrolling
        assert page.locator("#top").evaluate("e => e.getBoundingClientRect().bottom") <= 900
    assert page.locator("#chart-overview").get_attribute("aria-label").startswith("Mean order: ")
    for link in page.locator("#bar a").all():
        assert page.locator(f'[id="{link.get_attribute("href")[1:]}"]').count() == 1
    page.emulate_media(media="print")
    assert page.locator("#top .uncertain").is_visible()
    assert not page.locator("#bar").is_visible()
    page.emulate_media(media="screen")
    if odd == "no losses":
        advice = page.locator("#top .advice strong").inner_text().replace("\u2011", "-")
        assert advice == "No recommendation: no held-out loss was recorded."
        assert page.locator("#chart-loss-gap").count() == 0
        assert "Loss gap" in page.locator("section:has(#trust) ul").inner_text()
    pictured(page, tmp_path / f"{odd}-{width}.png")
    assert trouble == []


@needs_browser
def test_the_bar_leads_to_each_section_and_marks_the_one_that_is_read(chromium, tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=6, samples=4).exhibit()
    path = report.write_report(planted.run.path)
    page, trouble = watched(chromium, viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#top"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#sure"
    top = "document.getElementById('{}').getBoundingClientRect().top"
    for name in ("dynamics", "uses", "samples", "theory", "words"):
        link = page.locator(f'#bar [href="#{name}"]')
        link.press("Enter")
        until(page, f"document.querySelector('#bar [aria-current]').getAttribute('href') === '#{name}'")
        assert page.evaluate(f"{top.format(name)} >= document.getElementById('bar').offsetHeight")  # not under the bar
        until(
            page,
            f"""(({{ left, right }}) => left >= 0 && right <= innerWidth)(
            document.querySelector('#bar [href="#{name}"]').getBoundingClientRect())""",
        )
    assert trouble == []


def test_200_checkpoints_of_100_samples_stay_below_10_mb(tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=200, samples=100).exhibit(side=32)
    path = report.write_report(planted.run.path)
    assert 5_000_000 < path.stat().st_size < 10_000_000


@needs_browser
def test_ten_thousand_samples_are_shown_in_part(chromium, tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=3, samples=10_000, players=4).exhibit(side=8)
    path = report.write_report(planted.run.path)
    html = path.read_text()
    assert path.stat().st_size < 8_000_000
    assert "9800 more samples are not shown; <code>interdyn samples RUN</code>" in html
    seen = browse(chromium, path, tmp_path)
    assert (seen["trouble"], seen["wide"], seen["options"]) == ([], False, 200)


@needs_browser
def test_300_classes_without_pictures(chromium, tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=3, samples=300, players=4, classes=300)
    seen = browse(chromium, report.write_report(planted.run.path), tmp_path)
    assert (seen["trouble"], seen["wide"], seen["options"]) == ([], False, 200)
    assert seen["classes"] == 1 + 100


@needs_browser
def test_one_sample_with_thousands_of_salient_interactions(chromium, tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=2, samples=1, players=12).exhibit()
    path = report.write_report(planted.run.path)
    seen = browse(chromium, path, tmp_path)
    assert (seen["trouble"], seen["wide"]) == ([], False)
    assert int(seen["others"].split("(")[1].split()[0]) > 5000
    assert seen["bars"] == 12


@needs_browser
def test_one_checkpoint_whose_losses_are_not_numbers(chromium, tmp_path, monkeypatch):
    planted = Planted(tmp_path / "run", monkeypatch, steps=1, samples=5, losses=[None]).exhibit()
    path = report.write_report(planted.run.path)
    html = path.read_text()
    assert "Only one checkpoint was measured" in html
    assert "at every checkpoint." in html
    seen = browse(chromium, path, tmp_path)
    assert (seen["trouble"], seen["wide"], seen["last"]) == ([], False, None)
    assert seen["charts"] > 0
    assert seen["rows"] > 3


@needs_browser
def test_a_class_name_of_300_characters_breaks_nothing(chromium, tmp_path, monkeypatch):
    names = tuple(f"{letter * 300}" for letter in "abcdefghij")
    planted = Planted(tmp_path / "run", monkeypatch, steps=4, samples=5).exhibit(classes=names)
    seen = browse(chromium, report.write_report(planted.run.path), tmp_path)
    assert (seen["trouble"], seen["wide"]) == ([], False)
    assert seen["first"].startswith("0, class aaaa")
    assert len(seen["first"]) < 80


def test_an_empty_run_is_refused_in_words(tmp_path, capsys):
    environment = {"schema": store.SCHEMA, "packages": {}}
    with store.writing(tmp_path / "run"):
        store.begin_run(tmp_path / "run", {"name": "empty"}, steps=[0, 1], groups=["test"], environment=environment)
    with pytest.raises(IncompleteRunError):
        report.write_report(tmp_path / "run")
    for command in ("report", "summary"):
        with pytest.raises(SystemExit) as ended:
            main([command, str(tmp_path / "run")])
        assert ended.value.code != 0
        assert "interdyn run" in capsys.readouterr().err


def test_a_run_with_a_summary_and_no_checkpoint_is_refused_in_words(tmp_path):
    summary = json.loads((EXAMPLE / "summary.json").read_text())
    with store.writing(tmp_path / "run"):
        environment = {"schema": store.SCHEMA, "packages": {}}
        run = store.begin_run(tmp_path / "run", {"name": "empty"}, steps=[0], groups=["test"], environment=environment)
        write_results(run, summary={**summary, "steps": []}, analysis={"schema": store.SCHEMA})
    with pytest.raises(IncompleteRunError, match="at least one checkpoint"):
        report.write_report(tmp_path / "run")


# -- as a person would -------------------------------------------------------------------------------


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_report_is_read_with_keyboard_and_mouse_and_printed(chromium, tmp_path, monkeypatch, width, scheme):
    planted = Planted(tmp_path / "run", monkeypatch, steps=6, samples=4).exhibit()
    path = report.write_report(planted.run.path)
    page, trouble = watched(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(path.as_uri())
    until(page, "document.querySelectorAll('#falls tr').length > 3")
    page.locator("#checkpoint").focus()
    page.keyboard.press("Home")
    assert page.locator("#note").inner_text().startswith("Step 0, ")
    page.keyboard.press("ArrowRight")
    assert page.locator("#note").inner_text().startswith("Step 1, ")
    assert page.locator("#checkpoint").get_attribute("aria-valuetext").startswith("Step 1, ")
    page.locator("#play").focus()
    page.keyboard.press("Enter")
    assert page.locator("#play").inner_text() == "Pause"
    until(page, "document.getElementById('note').textContent.startsWith('Step 5, ')")
    for chart in ("mean-order", "loss-gap", "distance"):
        page.locator(f"#chart-{chart}").evaluate("e => e.scrollIntoView({ block: 'center' })")
        point = page.locator(f"#chart-{chart} .points path").last.bounding_box()
        page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
        page.wait_for_selector(f"#chart-{chart} .hoverlayer text", timeout=30_000)
        assert "step 5" in page.locator(f"#chart-{chart} .hoverlayer").text_content()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    pictured(page, tmp_path / f"report-{width}-{scheme}.png")
    printed = page.pdf(path=tmp_path / f"report-{width}.pdf", format="A4")
    assert len(printed) > 50_000
    assert page.locator("figure .main-svg").count() > 5
    assert trouble == []
