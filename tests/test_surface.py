"""The front door: names, laziness, rooms, docs of errors."""

import ast
import importlib
import inspect
import operator
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import interdyn
from interdyn import errors
from interdyn.values._registry import ACCESSORS, accessor

SRC = Path(inspect.getfile(interdyn)).parent
ROOT = SRC.parent.parent


def fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_all_is_exact_and_every_name_loads():
    assert interdyn.__all__ == sorted(interdyn.__all__)
    assert len(interdyn.__all__) == 20
    assert set(interdyn.__all__) < set(dir(interdyn))
    for name in dir(interdyn):
        assert getattr(interdyn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = interdyn.nonsense


@pytest.mark.parametrize("room", ["players", "schedules"])
def test_names_that_moved_still_work_and_say_where_they_are(room):
    new = importlib.import_module(f"interdyn.{room}")
    moved = interdyn._MOVED[room]
    assert set(moved) <= set(new.__all__)
    for name in moved:
        assert name not in dir(interdyn)
        with pytest.warns(DeprecationWarning, match=rf"write `interdyn\.{room}\.{name}`") as warned:
            assert getattr(interdyn, name) is getattr(new, name)
        assert warned[0].filename == __file__


def test_every_name_in_readme_and_docs_is_reached_from_the_front_door():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {n for page in pages for n in re.findall(r"\b(?:ix|interdyn)((?:\.[A-Za-z_]\w*)+)", page.read_text())}
    assert len(named) > 40
    slow = {f".tracking.{framework}" for framework in ("accelerate", "hugging_face", "keras", "lightning")}
    for name in sorted(named - slow):
        try:
            operator.attrgetter(name[1:])(interdyn)
        except AttributeError:
            importlib.import_module(f"interdyn{name}")  # a file with a public name, as `interdyn.tracking.pytorch`


@pytest.mark.parametrize("room", sorted(p.name for p in SRC.iterdir() if (p / "__init__.py").exists()))
def test_all_of_every_room_is_exact(room):
    module = importlib.import_module(f"interdyn.{room}")
    assert module.__doc__
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None


def test_the_front_door_is_light():
    loaded = fresh(
        "import sys, interdyn; print([m for m in ('torch', 'matplotlib', 'plotly', 'sklearn') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_reading_a_run_needs_no_torch():
    code = (
        "import sys, interdyn.store, interdyn.dynamics, interdyn.plot, interdyn.report; print('torch' in sys.modules)"
    )
    assert fresh(code) == "False"


def test_the_core_needs_no_drawing_library():
    code = "import sys, interdyn.measurement, interdyn.recipes; print({'matplotlib', 'plotly'} & set(sys.modules))"
    assert fresh(code) == "set()"


def test_every_error_has_a_page():
    page = (ROOT / "docs" / "errors.md").read_text()
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == "interdyn.errors"]
    assert len(classes) >= 15
    for c in classes:
        assert f"## {c.__name__}\n" in page, c.__name__
        assert c.__name__ in errors.__doc__
        assert c.__doc__


def test_errors_are_also_what_python_users_expect():
    assert issubclass(errors.ShapeError, ValueError)
    assert issubclass(errors.RunError, OSError)
    assert issubclass(errors.MissingExtraError, ImportError)
    for _, c in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(c, errors.InterdynError | errors.InterdynWarning)


def graph():
    """Return what each module imports, also under TYPE_CHECKING and in functions, and which import computed names."""
    trees = {}
    for path in SRC.parent.rglob("*.py"):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    edges, computed = {}, set()
    for module, tree in trees.items():
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {name if name in trees else node.module for name in inside}
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                if isinstance(node.args[0], ast.Constant):
                    found.add(node.args[0].value)
                else:
                    computed.add(module)
        edges[module] = found & trees.keys()
    return edges, computed


def test_no_import_leads_back_to_where_it_began():
    edges, _ = graph()
    assert "interdyn.values._registry" in edges["interdyn.values._tables"]
    assert "interdyn.report._live" in edges["interdyn.report"]
    TopologicalSorter(edges).prepare()  # raises CycleError, which names the circle


def test_the_registry_alone_opens_rooms_above():
    lazy = {
        "interdyn",
        "interdyn.recipes",
        "interdyn.spectra",
        "interdyn.values",
        "interdyn_zoo",
    }  # their own names, when asked for
    of_others = {"interdyn.exports._tables", "interdyn.recipes._registry"}  # libraries; models and data of providers
    assert graph()[1] == {"interdyn.values._registry", *lazy, *of_others}
    assert list(ACCESSORS) == sorted(ACCESSORS)
    for name in ACCESSORS:
        assert accessor(name).__name__ == name
