"""The examples of README and docs run as they stand, and their commands exist."""

import re
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from interdyn.cli import app
from interdyn.recipes import load_recipe, run_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.name != "remark.md"]


def _blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _given(page):
    """Return what a page takes for granted: README has a model and a batch."""
    if page.name != "README.md":
        return {}
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    return {"model": model, "x": torch.randn(2, 1, 8, 8), "x_train": torch.randn(9, 1, 8, 8), "y": torch.tensor([0, 2])}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(many workers|log_every_n_steps).*")  # Lightning's advice to large trainings
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning uses what torch gives up
@pytest.mark.filterwarnings("ignore:__array__ implementation.*:DeprecationWarning")  # Keras with NumPy 2
@pytest.mark.parametrize("page", [p for p in PAGES if _blocks(p, "python")], ids=lambda p: str(p.relative_to(ROOT)))
def test_python_examples_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    if page.name == "run-directory.md":
        run_recipe(load_recipe("digits-cnn", smoke=True), "interdyn-demo")
    names = _given(page)
    for block in _blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)
    if page.name == "README.md":
        assert names["found"].i_and.shape == (2, 1024)
        assert capsys.readouterr().out


def test_commands_and_options_in_the_docs_exist():
    known = get_command(app).commands
    seen = set()
    for page in PAGES:
        for command, rest in re.findall(r"(?:^|[`/\s])interdyn ([a-z]+)\b([^`\n]*)", "\n".join(_code(page))):
            assert command in known, f"{page.name}: interdyn {command}"
            seen.add(command)
            options = {o for p in known[command].params for o in p.opts}
            for option in re.findall(r"(?<!\S)--[a-z-]+", rest.split("#")[0]):
                assert option in options | {"--help"}, f"{page.name}: interdyn {command} {option}"
    assert seen >= {"demo", "run", "recipes", "report", "summary", "samples", "verify"}


def _code(page):
    """Return the code of a page: fenced, indented and inline."""
    text = page.read_text()
    return [
        *re.findall(r"^```(?!python)[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL),
        *re.findall(r"^    .*$", text, re.MULTILINE),
        *re.findall(r"`[^`\n]+`", text),
    ]


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
