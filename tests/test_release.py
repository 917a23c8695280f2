"""A release is one thing: version, changelog, citation and deprecated names agree."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import interdyn
from interdyn import errors, store
from interdyn.cli import app

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## (.*)", CHANGELOG, re.MULTILINE)
LATEST = re.fullmatch(r"(\d+\.\d+\.\d+) \((unreleased|\d{4}-\d\d-\d\d)\b.*\)", HEADINGS[1])
MINOR = ".".join(interdyn.__version__.split(".")[:2])


def citation():
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def bib(key):
    entry = re.search(rf"@\w+\{{{key},\n(.*?)\n\}}", (ROOT / "docs" / "references.bib").read_text(), re.DOTALL)[1]
    return {name: re.sub("[{}]", "", text) for name, text in re.findall(r"(\w+) += \{(.*)\},?$", entry, re.MULTILINE)}


def deprecations():
    """Return where each deprecated name is said to be so, and since when."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "deprecated",
                "errors.deprecated",
                "_deprecated",
            ):
                yield path, {word.arg: ast.literal_eval(word.value) for word in node.keywords}["since"]


def section(version, title):
    """Return a part of the changelog of a version, without its heading."""
    of_version = re.search(rf"^## {re.escape(version)} .*?(?=^## |\Z)", CHANGELOG, re.MULTILINE | re.DOTALL)[0]
    return re.search(rf"^### {title}\n(.*?)(?=^### |\Z)", of_version, re.MULTILINE | re.DOTALL)[1]


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    said = ROOT / project["tool"]["hatch"]["version"]["path"]
    assert f'VERSION = "{interdyn.__version__}"' in said.read_text()
    assert interdyn.__version__ == store.VERSION
    assert CliRunner().invoke(app, ["--version"]).output == f"interdyn {interdyn.__version__}\n"


def test_no_code_decides_by_the_version_of_a_run():
    """Runs of 0.1 are told by what their files lack: runs of later versions say 0.1.0, too."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                assert not any(re.search(r"""(\.|\[["'])version\b|VERSION""", side) for side in sides), (path, sides)


def test_the_changelog_begins_with_what_is_unreleased_and_the_version():
    assert HEADINGS[0] == "Unreleased"
    assert LATEST, HEADINGS[1]
    assert LATEST[1] == interdyn.__version__
    numbers = [tuple(map(int, heading.split()[0].split("."))) for heading in HEADINGS[1:]]
    assert numbers == sorted(set(numbers), reverse=True)


def test_the_citation_is_of_the_version_and_of_the_paper():
    found = citation()
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(found)
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == bib("interdyn")["version"] == interdyn.__version__
    assert found["title"] == bib("interdyn")["title"]
    if LATEST[2] == "unreleased":
        assert "date-released" not in found
    else:
        assert str(found["date-released"]) == LATEST[2]
        assert bib("interdyn")["year"] == LATEST[2][:4]


def test_the_paper_is_cited_alike_in_both_files():
    paper, entry = citation()["preferred-citation"], bib("ren2024dynamics")
    assert paper["title"] == entry["title"]
    assert paper["year"] == int(entry["year"])
    assert paper["conference"]["name"] == entry["booktitle"]
    names = [f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]]
    assert " and ".join(names) == entry["author"]
    assert paper["identifiers"] == [{"type": "other", "value": entry["note"]}]
    assert paper["url"].endswith(entry["note"].removeprefix("arXiv:"))


def test_what_is_deprecated_is_gone_in_the_next_minor_version():
    found = list(deprecations())
    assert len(found) >= 4
    for path, since in found:
        assert since == MINOR, f"{path}: deprecated since {since}, and to be removed in version {MINOR}"


def test_deprecated_names_warn_in_one_way_and_are_in_the_changelog():
    for path in (ROOT / "src").rglob("*.py"):
        if path != Path(errors.__file__):
            raised = [ast.unparse(n) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)]
            assert "DeprecationWarning" not in raised, path
    told = section(interdyn.__version__, "Deprecated")
    moved = [name for names in interdyn._MOVED.values() for name in names]
    rest = ["budget", "stop_when", "Plan.looks", "Estimate.looks", "Tracker.looking_seconds"]
    assert [name for name in (*moved, *rest) if f"`{name}" not in told and f"`ix.{name}`" not in told] == []


def test_a_deprecation_names_the_successor_and_points_at_the_caller():
    def old():
        errors.deprecated("old()", "`new()`", since="1.9")

    text = "`old()` is deprecated since version 1.9 and will be removed in 1.10; write `new()`."
    with pytest.warns(DeprecationWarning, match=re.escape(text)) as warned:
        old()
    assert warned[0].filename == __file__
