"""What the site is made of: the pages of the repository, its folders of figures, and a reference from docstrings."""

import inspect
import json
import os
import re
import shutil
from functools import cache
from pathlib import Path

import griffe
from typer.main import get_command

from interdyn.cli import app

ROOT = Path(__file__).parents[1]
BESIDE = {"ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
INTERNAL = ("cli", "compiled")  # the command line has a page of its own; compiled loops are nobody's business
FRAMEWORKS = ("pytorch", "lightning", "hugging_face", "keras", "accelerate", "loggers", "ray")
ROOMS = (
    *("players", "game", "measurement", "tracking", *(f"tracking.{name}" for name in FRAMEWORKS), "schedules"),
    *("sparsify", "transforms", "spectra", "theory", "dynamics", "monitors"),
    *("plot", "plot.panels", "report", "exports", "store", "recipes", "values", "errors"),
)
"""Public modules, beside the front door itself."""


@cache
def package():
    """Return what stands in the source of the package; nothing is imported, so no framework is needed."""
    return griffe.load("interdyn", search_paths=[str(ROOT / "src")], allow_inspection=False)


def promised(room):
    """Return the names in the ``__all__`` of a public module, functions before classes; modules have pages."""
    module = package()[room] if room else package()
    members = {name: module[name] for name in module.exports}
    return sorted(
        (name for name, member in members.items() if not member.is_module),
        key=lambda name: (members[name].is_class, members[name].is_attribute, name.lower()),
    )


def reference_page(room):
    """Return the page of a public module: what it is for, and every promised name from its docstring."""
    path = f"interdyn.{room}" if room else "interdyn"
    lines = [f"# `{path}`", "", f"::: {path}", "    options:", "      members: false", "      show_root_heading: false"]
    lines += ["      show_root_toc_entry: false", ""]
    for name in promised(room):
        lines += [f"::: {path}.{name}", ""]
    return "\n".join(lines)


def code_page(path):
    """Return an example as a page."""
    if path.suffix == ".py":
        return f"# `{path.name}`\n\n```python\n{path.read_text(encoding='utf-8')}```\n"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = []
    for cell in cells:
        text = "".join(cell["source"])
        shown.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            said = "".join(output.get("text", data.get("text/plain", []))).rstrip()
            if "image/png" in data:
                shown.append(f"![Figure](data:image/png;base64,{''.join(data['image/png']).strip()})")
            elif said:
                shown.append(f"```text\n{said}\n```")
    return "\n\n".join(shown) + "\n"


def command_page():
    """Return a page of the command line, from what each command says of itself."""
    lines = ["# Command line", "", "`interdyn COMMAND --help` says the same in a terminal.", ""]
    for name, command in sorted(get_command(app).commands.items()):
        if command.hidden:
            continue
        text = re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", inspect.cleandoc(command.help or ""))
        takes = [p for p in command.params if p.param_type_name == "argument"]
        called = " ".join(["interdyn", name, *(p.name.upper() + " ..." * (p.nargs < 0) for p in takes)])
        lines += [f"## interdyn {name}", "", text, "", "```text", called, "```", ""]
        options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
        lines += ["| option | meaning |", "|---|---|"] if options else []
        for option in options:
            meaning = " ".join((option.help or "").split()).replace("|", "\\|")
            lines.append(f"| `{', '.join([*option.opts, *option.secondary_opts])}` | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def folder_page(folder):
    """Return a page for a folder of results: the remark of those who looked at it, its figures, its numbers."""
    lines = [f"# {folder.name}", "", "[All results](../README.md)", ""]
    remark = folder / "remark.md"
    if remark.exists():
        lines += [remark.read_text(encoding="utf-8"), ""]
    figures = [f for f in folder.iterdir() if f.suffix in (".png", ".svg")]
    for figure in sorted(figures, key=lambda f: ("and_only" in f.name, f.name)):
        lines += [f"![{figure.stem.replace('_', ' ').replace('-', ' ')}]({figure.name})", ""]
    numbers = sorted(f.name for f in folder.iterdir() if f.suffix in (".json", ".toml", ".csv"))
    lines += ["Files: " + ", ".join(f"[{name}]({name})" for name in numbers), ""]
    return "\n".join(lines)


def place(path):
    """Return where a file of the repository lies on the site, both relative to their roots."""
    path = path.rstrip("/")
    if path in BESIDE:
        return BESIDE[path]
    if path == "README.md":
        return "index.md"
    if path.startswith("examples/") and path.endswith((".py", ".ipynb")):
        return str(Path(path).with_suffix(".md"))
    if (ROOT / path).is_dir():
        path = f"{path}/index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"


def linked(text, path):
    """Return Markdown whose relative links lead where the files lie on the site, and the files to bring along."""
    here, brought = Path(path).parent, set()

    def moved(found):
        before, target, anchor = found.groups()
        if not target or ":" in target:
            return found[0]
        there = os.path.normpath(here / target)
        brought.add(there)
        return f"{before}{os.path.relpath(place(there), Path(place(path)).parent)}{anchor or ''})"

    text = re.sub(r"(\]\()([^)#\s]*)(#[^)]*)?\)", moved, text)
    return text, {there for there in brought if not there.startswith("docs/")}


def stage(target):
    """Bring together what the site is made of, in a folder that is written anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns("remark.md"))
    (target / "results").joinpath("studies").mkdir(exist_ok=True)
    for remark in (target / "results" / "studies").glob("*.md"):
        remark.unlink()  # they are part of the page over all studies
    pages = [*BESIDE, *(p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.md"))]
    brought = set()
    for path in pages:
        on_site = target / place(path)
        if path in BESIDE or on_site.exists():
            text, more = linked((ROOT / path).read_text(encoding="utf-8"), path)
            on_site.write_text(text, encoding="utf-8")
            brought |= more
    for path in ROOT.glob("examples/*"):
        if path.suffix in (".py", ".ipynb"):
            text, more = linked(code_page(path), path.relative_to(ROOT).as_posix())
            write(target / "examples" / f"{path.stem}.md", text)
            brought |= more
    for folder in (p for p in (ROOT / "docs" / "results").iterdir() if p.is_dir()):
        write(target / folder.relative_to(ROOT / "docs") / "index.md", folder_page(folder))
    for path in brought - set(BESIDE) - {"README.md"}:
        if (ROOT / path).is_file() and not path.startswith("examples/"):
            (target / place(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target / place(path))
    write(target / "reference" / "command-line.md", command_page())
    for room in ("", *ROOMS):
        write(target / "reference" / f"{room.replace('.', '_') or 'interdyn'}.md", reference_page(room))


def write(path, text):
    """Write a page and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
