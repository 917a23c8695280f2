"""The documentation site: all promised names and no others, no dead link, search without a network."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from typer.main import get_command

from pages import CHROMIUM, needs_browser, watched

pytest.importorskip("zensical", reason="needs interdyn[docs]")

import interdyn
from _documentation_check import Page, problems
from _documentation_docstrings import apart
from _documentation_pages import INTERNAL, ROOMS, command_page, linked, package, place, promised
from documentation import build, mathml
from interdyn.cli import app

SRC = Path(inspect.getfile(interdyn)).parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    assert build(folder) == []
    return folder / "site"


def test_every_public_module_is_in_the_reference():
    rooms = {p.stem for p in SRC.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    rooms |= {f"tracking.{p.stem}" for p in (SRC / "tracking").glob("*.py")} | {"plot.panels"}
    public = {room for room in rooms if not room.split(".")[-1].startswith("_")}
    assert public == set(ROOMS) | set(INTERNAL)


@pytest.mark.slow
def test_the_reference_has_every_promised_name_and_no_other(site):
    for room in ("", *ROOMS):
        path = f"interdyn.{room}".rstrip(".")
        names = promised(room)
        assert names, path
        page = Page(site / "reference" / f"{room.replace('.', '_') or 'interdyn'}.html")
        shown = {a.removeprefix(f"{path}.") for a in page.anchors if re.fullmatch(rf"{re.escape(path)}\.\w+", a)}
        assert shown == set(names), path
        text = " ".join("".join(page.text).split())
        assert all(name in text for name in names)


def test_promised_names_are_those_that_python_knows_and_have_docstrings():
    for room in ("", "sparsify", "store", "players", "errors", "values", "recipes"):
        module = importlib.import_module(f"interdyn.{room}".rstrip("."))
        names = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
        assert names == set(promised(room))
        functions = [getattr(module, name) for name in names]
        assert all(f.__doc__ for f in functions if inspect.isfunction(f) or inspect.isclass(f))


def parts(item):
    """Return a documented object and the members that its page shows."""
    target = item.final_target if item.is_alias else item
    shown = [m for n, m in target.members.items() if target.is_class and not n.startswith("_") and not m.is_alias]
    return [target, *(part for member in shown for part in parts(member))]


def test_what_functions_return_is_a_type_and_a_sentence():
    checked = 0
    for room in ("", *ROOMS):
        module = package()[room] if room else package()
        for item in (part for name in promised(room) for part in parts(module[name])):
            for section in item.docstring.parse("numpy") if item.docstring else ():
                if section.kind.value == "returns":
                    checked += 1
                    prose = [r.annotation for r in section.value if not r.description and " " in str(r.annotation)]
                    assert not prose, item.path
    assert checked > 50


def test_parameters_of_a_group_keep_a_type_each(site):
    assert apart("x, y\n    Numbers.\nz\n    One.") == "x\n    Numbers.\ny\n    Numbers.\nz\n    One."
    assert apart("One, two\nand three.") == "One, two\nand three."
    text = " ".join("".join(Page(site / "reference" / "interdyn.html").text).split())
    assert "target (Any, default: None )" in text


def test_the_check_finds_what_is_wrong(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#here">b</a><a href="b.html#gone">b</a><a href="c.html">c</a>'
        '<a href="#top">up</a>'
        '<script src="https://host.example/x.js"></script><img src="none.png"><a href="http:/wrong">w</a>'
    )
    (tmp_path / "b.html").write_text('<h2 id="here">B</h2><a href="https://host.example/page">fine</a>')
    assert problems(tmp_path) == [
        "a.html: b.html#gone leads to no heading of that page",
        "a.html: c.html leads to no page or file",
        "a.html: http:/wrong is no address of a page (https://host/...)",
        "a.html: loads https://host.example/x.js from elsewhere",
        "a.html: none.png leads to no page or file",
    ]


def test_links_of_the_repository_lead_to_the_same_page_on_the_site():
    assert place("docs/howto/tables.md") == "howto/tables.md"
    assert place("CHANGELOG.md") == "changelog.md"
    assert place("docs/results/wine-mlp/") == "results/wine-mlp/index.md"
    text, brought = linked("[a](../../benchmarks/results.csv) [b](tables.md#x) [c](https://d.org)", "docs/howto/a.md")
    assert text == "[a](../repository/benchmarks/results.csv) [b](tables.md#x) [c](https://d.org)"
    assert brought == {"benchmarks/results.csv"}


def test_the_command_line_is_documented_from_what_it_says_of_itself():
    page = command_page()
    for name, command in get_command(app).commands.items():
        assert f"## interdyn {name}\n" in page
        assert command.help.strip().split("\n")[0] in page
    assert "| `--repair` | " in page
    assert "[bold]" not in page


def test_formulas_need_no_script():
    page = mathml('<p><span class="arithmatex">\\(a &lt; \\sum_x b_x\\)</span></p>')
    assert "<math" in page
    assert "&#x0003C;" in page  # <, once
    assert "arithmatex" not in page


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_search_finds_a_word_from_the_disk_and_no_page_asks_another_host(site, scheme):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page, trouble = watched(opened, viewport={"width": 1440, "height": 1000}, color_scheme=scheme)
        page.goto((site / "index.html").as_uri())
        page.get_by_role("button", name="Search").first.click()
        box = page.get_by_placeholder("Search").last
        box.press_sequentially("identified range")
        found = page.locator("a[href*='certificate.html?h=identified+range']").first
        found.wait_for(timeout=60_000)
        assert box.input_value() == "identified range"
        found.click()
        page.wait_for_url(re.compile("reading/certificate"))
        dark = page.evaluate("document.body.dataset.mdColorScheme") == "slate"
        assert dark == (scheme == "dark")
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 1000})
            for name in ("index", "start/five-minutes", "howto/tables", "reference/sparsify", "results/index"):
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        opened.close()
    assert trouble == []
