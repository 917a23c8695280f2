"""Three runs of before measurements, histories and results became one thing each: what is read from them stays."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from interdyn import report

BEFORE = Path(__file__).parent / "data" / "before"
TOLERANCE = 1e-7  # kernels of other processors round otherwise; on one machine numbers agree to 1e-12


def made():
    spec = importlib.util.spec_from_file_location("made_before", BEFORE / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differences(found, kept, where=""):
    """Yield the places at which two pieces of plain data differ."""
    if isinstance(kept, dict):
        for key, value in kept.items():  # what is new is no difference
            yield from differences(found[key], value, f"{where}.{key}") if key in found else [f"{where}.{key} is gone"]
    elif isinstance(kept, list):
        if len(found) != len(kept):
            yield f"{where}: {len(found)} entries, {len(kept)} before"
            return
        for i, (now, then) in enumerate(zip(found, kept, strict=True)):
            yield from differences(now, then, f"{where}[{i}]")
    elif isinstance(kept, float) or _is_number(kept):
        if abs(float(found) - float(kept)) > TOLERANCE * max(abs(float(kept)), 1.0):
            yield f"{where}: {found}, {kept} before"
    elif found != kept:
        yield f"{where}: {found!r}, {kept!r} before"


def _is_number(value):
    try:
        return isinstance(value, str) and bool(float(value) + 1)
    except ValueError:
        return False


@pytest.mark.filterwarnings("ignore::interdyn.errors.InterdynWarning")
def test_what_is_read_from_runs_of_before_stays():
    kept = json.loads((BEFORE / "numbers.json").read_text(encoding="utf-8"))
    found = json.loads(json.dumps(made().everything()))
    assert list(found) == list(kept)
    assert list(differences(found, kept)) == []


@pytest.mark.filterwarnings("ignore::interdyn.errors.InterdynWarning")
def test_runs_of_before_have_their_pages(tmp_path):
    copies = [Path(shutil.copytree(BEFORE / name, tmp_path / name)) for name in made().RUNS]
    for copy in copies:
        page = report.write_report(copy).read_text(encoding="utf-8")
        assert all(f'id="{chart}"' in page for chart in ("figure-overview", "figure-mean-order"))
        assert "record a held-out loss" not in page  # they have one
    page = report.write_comparison(copies, tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "Comparison of 3 runs" in page
