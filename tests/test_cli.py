"""The command line: verbs, help, what is printed, and what becomes of errors."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tomli_w
import torch
from typer.main import get_command

from interdyn import store
from interdyn.cli import app, main
from interdyn.cli._execute import Lines
from interdyn.dynamics import recommend
from interdyn.recipes import load_recipe, resolve, run_recipe
from interdyn.report import write_report
from interdyn.values import SplitQuality
from stored import summary_of

VERBS = sorted(get_command(app).commands)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads of tests that run side by side would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PROGRESS = re.compile(r"(training|measuring|analysing|writing)\b")  # lines where no terminal shows bars


def call(capsys, *arguments):
    """Return exit status, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    return caught.value.code or 0, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small finished run that expects something, and its recipe."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    tree = load_recipe("wine-mlp", smoke=True).plain()
    tree |= {"name": "small", "expected": {"solver_gap_max": 0.5}}
    run = run_recipe(resolve(tree), folder)
    write_report(run.path)
    return folder


def test_help_names_every_verb(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(capsys, verb):
    code, out, _ = call(capsys, verb, "--help")
    assert code == 0
    assert f"Example: interdyn {verb}" in " ".join(out.split())


def test_recipes_lists_the_library(capsys):
    code, out, _ = call(capsys, "recipes")
    assert code == 0
    assert "digits-cnn" in out
    assert "game-and-or" in out


def test_run_does_everything_and_says_where_to_look(capsys, tmp_path):
    out_dir = tmp_path / "run"
    code, out, err = call(capsys, "run", "wine-mlp", "--smoke", "--out", str(out_dir), "--set", "training.epochs=2")
    assert code == 0
    lines = err.splitlines()  # no terminal: lines instead of bars
    steps = lines[-4].split()[1]
    assert lines[-4:-2] == [f"training: {steps} of {steps} steps", lines[-3]]
    assert lines[-3].startswith("measuring: ")
    assert lines[-2:] == ["analysing: 1 of 1", f"writing the report of {out_dir}"]
    assert str(out_dir / "report.html") in out
    assert (out_dir / "report.html").stat().st_size > 10_000
    assert list((out_dir / "figures").glob("*.png"))
    summary = json.loads((out_dir / "summary.json").read_text())
    assert all(sentence in out for sentence in summary["verdict"])
    assert store.read_recipe(store.open_run(out_dir))["training"]["epochs"] == 2


def test_progress_in_a_file_is_a_line_every_few_seconds_and_at_the_end_of_a_stage(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("interdyn.cli._execute.monotonic", lambda: now[0])
    lines = Lines(every=5.0)
    for done in range(1, 3001):
        lines.update("training", done, 3000)
        now[0] += 0.01
    lines.update("training", 3000, 3000)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"training: {done:,} of 3,000 steps" for done in (1, 501, 1001, 1501, 2001, 2501, 3000)]


@pytest.mark.usefixtures("without_figures")
def test_warnings_of_ours_are_one_line(capsys, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        changed = ("--set", "measure.tol=1e-9", "--set", "measure.max_iter=30")
        recipe = str(tmp_path / "recipe.toml")
        (tmp_path / "recipe.toml").write_text(tomli_w.dumps(load_recipe("wine-mlp", smoke=True).plain()))
        code, _, err = call(capsys, "run", recipe, *changed, "--out", str(tmp_path / "run"))
    assert code == 0
    lines = [line for line in err.splitlines() if not PROGRESS.match(line)]
    assert lines
    assert all(line.startswith("interdyn: ") and "did not reach" in line for line in lines)


@pytest.mark.usefixtures("without_figures")
def test_demo_small(capsys, tmp_path):
    code, out, err = call(capsys, "demo", "--smoke", "--out", str(tmp_path / "demo"))
    assert code == 0
    assert [line for line in err.splitlines() if not PROGRESS.match(line)] == []
    assert str(tmp_path / "demo" / "report.html") in out
    assert (tmp_path / "demo" / "summary.json").exists()


def test_without_the_packages_of_the_report_a_run_is_done_and_the_demo_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("interdyn.cli._execute.find_spec", lambda name: None if name == "plotly" else True)
    folder = tmp_path / "run"
    code, out, err = call(capsys, "run", "wine-mlp", "--smoke", "--out", str(folder))
    assert code == 0
    assert "pip install 'interdyn[report]'" in err
    assert f"interdyn report {folder}" in err
    assert "report.html" not in out
    assert (folder / "summary.json").exists()
    code, _, err = call(capsys, "demo", "--smoke", "--out", str(tmp_path / "demo"))
    assert code == 2
    assert "pip install 'interdyn[report]'" in err
    assert not (tmp_path / "demo").exists()


def test_samples_for_people_and_for_programs(capsys, finished):
    steps = store.open_run(finished).steps
    code, out, err = call(capsys, "samples", str(finished))
    assert (code, err) == (0, "")
    assert f"samples at step {steps[-1]}" in out
    for name in ("group", "sample", "label", "output", "order", "cancels", "score", "rank", "flag"):
        assert name in out
    assert "…" not in out
    assert "Scores from" in out
    code, out, _ = call(capsys, "samples", str(finished), "--step", str(steps[1]), "--json")
    content = json.loads(out)
    assert code == 0
    assert (content["step"], content["looks"]) == (steps[1], [s for s in steps if s <= steps[1]])
    assert {"group", "sample_id", "label", "profile", "score", "rank", "sentence"} <= set(content["samples"][0])
    code, _, err = call(capsys, "samples", str(finished), "--step", "7777")
    assert code == 2
    assert "`step` must be one of the measured steps" in err


def test_summary_for_people_and_for_programs(capsys, finished, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call(capsys, "summary", str(finished))
    assert "…" not in out  # 80 columns are enough
    assert code == 0
    assert "mean order" in out
    assert "forward passes" in out
    assert recommend(store.read_result(finished)).sentence in out
    code, out, _ = call(capsys, "summary", str(finished), "--json")
    assert code == 0
    assert json.loads(out) == summary_of(finished)


def test_report_writes_the_page_again(capsys, finished):
    (finished / "report.html").unlink()
    code, out, _ = call(capsys, "report", str(finished))
    assert code == 0
    assert str(finished / "report.html") in out
    assert (finished / "report.html").exists()


def test_verify_holds(capsys, finished):
    code, out, _ = call(capsys, "verify", str(finished))
    assert code == 0
    assert "All 2 expectations hold" in out


def test_verify_fails_with_1(capsys, finished, monkeypatch):
    worse = store.read_result(finished).model_copy(update={"solver": SplitQuality(max_gap=0.75)})
    monkeypatch.setattr("interdyn.store.read_result", lambda run: worse)  # noqa: ARG005
    code, out, _ = call(capsys, "verify", str(finished))
    assert code == 1
    assert "0.75" in out
    assert "NO" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "digits-cn"), "Did you mean `digits-cnn`?"),
        (("run", "digits-cnn", "--set", "training.learning_rate=-1"), "must be greater than 0; got -1"),
        (("run", "digits-cnn", "--set", "training.epoch=3"), "Did you mean `epochs`?"),
        (("run", "wine-mlp", "--smoke", "--set", "data.name=nowhere:data"), "add --allow-code"),
        (("summary", "nowhere"), "no such folder"),
        (("report", "nowhere"), "no such folder"),
        (("verify", "nowhere"), "no such folder"),
        (("dashboard", "nowhere"), "got nowhere, which is not a folder"),
    ],
)
def test_errors_of_ours_are_one_line_and_exit_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("interdyn: ")
    assert message in err


def test_a_newer_or_unfinished_run_exits_2(capsys, tmp_path):
    run = store.begin_run(tmp_path / "run", {"name": "a"}, steps=(0, 1), groups=("test",), environment={})
    for verb in ("summary", "report", "verify"):
        code, _, err = call(capsys, verb, str(run.path))
        assert code == 2
        assert "0 of 2 checkpoints measured" in err
        assert "Finish it: interdyn run" in err
    for verb in ("samples", "verdicts", "export"):
        code, _, err = call(capsys, verb, str(run.path), *(("--to", "csv") if verb == "export" else ()))
        assert code == 2
        assert f"interdyn run {run.path / 'recipe.toml'} --out {run.path}" in err
        assert ".." not in err
    code, _, err = call(capsys, "summary", str(tmp_path))
    assert code == 2
    assert "Choose one of the runs in it: run." in err
    identity = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(identity | {"schema": 7}))
    code, _, err = call(capsys, "summary", str(run.path))
    assert code == 2
    assert "got schema 7" in err


def test_another_recipe_in_the_same_folder_exits_2(capsys, finished):
    code, _, err = call(capsys, "run", "wine-mlp", "--smoke", "--out", str(finished))
    assert code == 2
    assert "differs in" in err


def test_a_defect_keeps_its_traceback(finished, monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr("interdyn.store.read_result", broken)
    with pytest.raises(ZeroDivisionError):
        main(["summary", str(finished)])


def test_wrong_usage_exits_2(capsys):
    code, _, err = call(capsys, "run")
    assert code == 2
    assert "recipe" in err.lower()


def test_reading_commands_load_no_torch(finished):
    commands = [["--help"], ["recipes"], *([word, str(finished)] for word in ("summary", "report"))]
    code = (
        "import sys\nfrom interdyn.cli import main\n"
        f"for arguments in {commands!r}:\n"
        "    try:\n        main(arguments)\n"
        "    except SystemExit as end:\n        assert not end.code, end.code\n"
        "    assert 'torch' not in sys.modules, arguments\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_nothing_heavy_before_a_command_runs():
    code = (
        "import sys, interdyn.cli\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'matplotlib', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("without_figures")
def test_data_lie_under_the_data_root(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path / "elsewhere"))  # the option wins, and is undone afterwards
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "own.npz", x=rng.normal(size=(60, 6)).astype(np.float32), y=np.arange(60) % 2)
    own = ("--set", "data.name=npz", "--set", "data.options.path=own.npz", "--set", "players.n=4", "--smoke")
    command = ("run", "wine-mlp", *own, "--out", str(tmp_path / "run"))
    code, _, err = call(capsys, *command)
    assert code != 0
    assert "got no file" in err
    assert "elsewhere" in err
    code, _, err = call(capsys, *command, "--data-root", str(tmp_path / "data"))
    assert code == 0
    assert [line for line in err.splitlines() if not PROGRESS.match(line)] == []
    assert (tmp_path / "run" / "summary.json").is_file()


OWN = """
import numpy as np
from torch import nn
from interdyn.recipes import Dataset


class Odd(nn.Module):  # no Sequential: any module will do
    def __init__(self, width, wide, outputs):
        super().__init__()
        self.first, self.second = nn.Bilinear(width, width, wide), nn.Linear(wide, outputs)

    def forward(self, rows):
        return self.second(self.first(rows, rows.flip(1)).tanh())


def network(shape, n_outputs, *, wide=4):
    return Odd(shape[0], wide, n_outputs)


def data(*, seed):
    rows = np.random.default_rng(seed).normal(size=(60, 5)).astype(np.float32)
    return Dataset(rows, (rows[:, 0] > 0).astype(int), n_classes=2)
"""


@pytest.mark.usefixtures("without_figures")
def test_a_recipe_may_name_a_network_and_data_of_the_folder_it_is_run_in(capsys, tmp_path, monkeypatch):
    (tmp_path / "of_mine.py").write_text(OWN)
    tree = {
        "name": "mine",
        "model": {"name": "of_mine:network", "options": {"wide": 3}},
        "data": {"name": "of_mine:data"},
        "training": {"learning_rate": 0.1, "epochs": 1},
        "players": {"kind": "columns", "n": 4},
        "checkpoints": {"count": 2},
    }
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(tree))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])  # as the installed command
    try:
        code, _, err = call(capsys, "run", "mine.toml", "--smoke", "--out", "out", "--allow-code")
    finally:
        sys.modules.pop("of_mine", None)
    assert code == 0, err
    weights = store.read_checkpoint(store.open_run(tmp_path / "out"), 0).weights
    assert weights["first.weight"].shape == (3, 5, 5)


def test_the_module_runs_as_the_command_does():
    said = subprocess.run([sys.executable, "-m", "interdyn", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("interdyn ")
