"""Kill runs at every write, and damage every file of them: nothing is lost, nothing wrong is read.

``kills``: a small recipe and a tracked training are killed, at random moments and before and after each write, fsync,
rename and removal, and begun again each time; at the end numbers and names of files are those of runs left alone.

``damage``: files of a finished run and of a tracked training are damaged: bits flipped, cut short, blocks zeroed,
swapped for other files. Everything that reads a run then reads what was written, or tells what is wrong in our words.

``mended``: such a run is begun again and makes what is damaged; the numbers are those of before.

Run: .venv/bin/python benchmarks/stress_folder.py [--kills 500] [--damaged 1000] [--seed 0]
"""

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torch

from interdyn import store
from interdyn.errors import InterdynError, InterdynWarning
from interdyn.measurement import History, measurements
from interdyn.players import columns
from interdyn.recipes import resolve, run_recipe
from interdyn.report._uses import Uses
from interdyn.schedules import every
from interdyn.tracking import Tracker

RECIPE = {
    "name": "stressed",
    "model": {"name": "mlp", "options": {"hidden": [6]}},
    "data": {
        "name": "game",
        "test_fraction": 0.25,
        "options": {
            "n_players": 3,
            "draws": 4,
            "full": 16,
            "terms": [{"kind": "and", "players": [0, 1], "weight": 2.0}],
        },
    },
    "training": {"optimiser": "adam", "learning_rate": 0.01, "momentum": 0.9, "epochs": 4, "batch_size": 8},
    "checkpoints": {"count": 5},
    "players": {"kind": "columns"},
    "measure": {"test_samples": 2, "baseline": 0.0, "output": "regression"},
    "analysis": {"bootstrap": 100},
}
CALLS = ("write", "fsync", "replace", "unlink")  # of a file, of file and folder, of the temporary name, of what is old
_TIMES = ("seconds", "version", "created", "run", "digest", "id", "sha256", "entry")


def recipe(folder):
    """Run the recipe, or go on with it."""
    run_recipe(resolve(RECIPE), folder)


def tracked(folder):
    """Follow a training from its beginning; what is measured is not measured again."""
    torch.manual_seed(0)
    x, net = torch.randn(24, 3), torch.nn.Sequential(torch.nn.Linear(3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    y, optimiser = (x[:, 0] * x[:, 1] > 0).long(), torch.optim.SGD(net.parameters(), 0.3)
    probe = {"test": (x[:3], torch.arange(3) % 2), "train": (x[3:6], torch.arange(3) % 2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterdynWarning)  # that it begins again is told
        with Tracker(probe, players=columns(), schedule=every(2), out=folder, budget=None, strict=True) as tracker:
            for step in range(9):
                loss = torch.nn.functional.cross_entropy(net(x), y)
                tracker.observe(step, net, train_loss=loss.item(), test_loss=0.75)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()


RUNS = {"recipe": recipe, "tracked": tracked}


def numbers(folder):
    """Return everything that a run holds, without times and what is drawn for each run, by name of file."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".safetensors":
            arrays, header = store.read_arrays(path) or ({}, {})
            found[name] = store.content_hash(arrays), json.dumps(_timeless(header), sort_keys=True)
        elif path.suffix == ".json":
            found[name] = json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True)
        elif name != "run.lock":
            found[name] = path.read_text()
    return found


def _timeless(content):
    return {key: value for key, value in content.items() if key not in _TIMES}


# -- kills -------------------------------------------------------------------------------------------


def _die_at(call, count, *, after):
    """Kill this process at the ``count``-th call of a function of the system, before it or after it."""
    real, left = getattr(os, call), [count]

    def counted(*args, **options):
        left[0] -= 1
        if not left[0] and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        out = real(*args, **options)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return out

    setattr(os, call, counted)


def _begin(kind, folder, die=None):
    pid = os.fork()
    if not pid:
        try:
            if die is not None:
                _die_at(die[0], die[1], after=die[2])
            RUNS[kind](folder)
            os._exit(0)
        except BaseException as error:  # told by its status: a run that is begun again may not fail
            print(f"{kind}: {type(error).__name__}: {error}", flush=True)
            os._exit(3)
    return pid


def _ended(pid):
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise SystemExit("a run that was begun again failed")
    return False


def kills(kind, root, *, count, seed=0):
    """Kill runs of a kind ``count`` times; return how many kills there were of each sort, and how many runs differ."""
    draw, told, wrong = random.Random(seed), Counter(), []
    whole = root / f"{kind}-whole" / "run"
    begun = time.monotonic()
    _ended(_begin(kind, whole))
    lasts, wanted = time.monotonic() - begun, numbers(whole)
    plan = [(call, after, at) for at in range(1, 40) for call in CALLS for after in (False, True)]
    done = tried = runs = 0
    while done < count:
        folder, runs = root / f"{kind}-{runs}" / "run", runs + 1
        for _ in range(4):  # each time it is killed further on
            if done >= count:
                break
            if tried % 5 == 4:
                pid = _begin(kind, folder)
                time.sleep(draw.uniform(0, 0.9 * lasts))
                os.kill(pid, signal.SIGKILL)
                sort = "at a random moment"
            else:
                call, after, at = plan[(tried * 7) % len(plan)]
                pid = _begin(kind, folder, (call, at, after))
                sort = f"{'after' if after else 'before'} {call}"
            tried += 1
            if not _ended(pid):  # before it was killed
                break
            done += 1
            told[sort] += 1
        _ended(_begin(kind, folder))
        if numbers(folder) != wanted:
            wrong.append(folder)
        else:
            shutil.rmtree(folder.parent)
    return told, wrong


# -- damage ------------------------------------------------------------------------------------------


def damaged(data, others, draw):
    """Return the bytes of a file damaged in a way that is drawn, and the name of the way."""
    way = draw.choice(("bit", "bits", "cut", "zeros", "swap"))
    if way == "swap" or not data:
        return draw.choice(others), "swapped"
    out = bytearray(data)
    if way == "cut":
        return bytes(out[: draw.randrange(len(out))]), "cut short"
    if way == "zeros":
        at, size = draw.randrange(len(out)), draw.choice((16, 512, 4096))
        out[at : at + size] = bytes(len(out[at : at + size]))
        return bytes(out), "zeroed"
    head = len(out) if draw.random() < 0.5 else min(len(out), 900)  # half of the time in the header
    for _ in range(1 if way == "bit" else 5):
        out[draw.randrange(head)] ^= 1 << draw.randrange(8)
    return bytes(out), "bits flipped"


def readings(folder):
    """Return for each reader of a run what it read, and what it told: an error, a warning or a sentence of ours."""
    found = {}
    for name, read in READERS.items():
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                value, told = read(folder)
            except InterdynError as error:
                value, told = None, f"{type(error).__name__}: {error}"
        told = told or " ".join(str(warning.message) for warning in warned)
        found[name] = json.dumps(value, sort_keys=True, default=str), told
    return found


def _history(folder):
    history = History.read(folder)
    so_far = history.result_so_far().to_json()
    so_far["summary"].pop("verdict")  # which tells the damage
    return so_far, history.damage


def _export(folder):
    entries, groups = measurements(store.open_run(folder))
    tables = {
        name: [store.content_hash({"v": m.v, "and": m.i_and, "or": m.i_or, "ids": m.sample_ids}) for m in rows]
        for name, rows in groups.items()
    }
    return (entries, tables), ""


def _page(folder):
    uses = Uses(folder)
    return uses.record(), uses.damage


def _networks(folder):
    run = store.open_run(folder)
    found = {step: store.read_checkpoint(run, step) for step in run.steps}
    lacking = [step for step, checkpoint in found.items() if checkpoint is None]
    return {s: (store.content_hash(c.weights), c.losses) for s, c in found.items() if c}, f"none at {lacking}" * bool(
        lacking
    )


def _check(folder):
    findings = [str(finding) for finding in store.check_run(folder)]
    return [], " ".join(findings)


READERS = {
    "result": lambda folder: (store.read_result(folder).to_json(), ""),
    "history": _history,
    "export": _export,
    "page": _page,
    "recipe": lambda folder: (store.read_recipe(store.open_run(folder)), ""),
    "networks": _networks,
    "check": _check,
}


def damage(kind, root, *, count, seed=0):
    """Damage a file of a run ``count`` times; return what came of each, by way, and the cases that are wrong.

    Every reader must read what it reads of the whole run, or tell; a case is *read right* if none but the check had to
    tell, and wrong if a reader tells nothing and reads something else, if the check does not name the file, or if an
    error of another library comes out.
    """
    draw, came, wrong = random.Random(seed), Counter(), []
    folder = root / f"{kind}-damaged" / "run"
    RUNS[kind](folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.lock")
    contents = {path: path.read_bytes() for path in files}
    whole = readings(folder)
    assert not any(told for _, told in whole.values()), whole
    for index in range(count):
        path = files[index % len(files)]
        name = path.relative_to(folder).as_posix()
        data, way = damaged(contents[path], [c for p, c in contents.items() if p != path], draw)
        if data == contents[path]:
            data, way = data[:-1], "cut short"
        path.write_bytes(data)
        try:
            now = readings(folder)
            silent = [reader for reader in READERS if now[reader][0] != whole[reader][0] and not now[reader][1]]
            told = [reader for reader in READERS if now[reader][1]]
            if silent:
                wrong.append(f"{name}, {way}: {silent} read something else and tell nothing")
            elif not now["check"][1] and now != whole:
                wrong.append(f"{name}, {way}: the check finds nothing")
            else:
                came[f"{way}: {'told' if len(told) > 1 else 'read right'}"] += 1
        except Exception as error:
            wrong.append(f"{name}, {way}: {type(error).__name__}: {error}")
        path.write_bytes(contents[path])
    return came, wrong


def mended(kind, root, *, count, seed=0):
    """Damage a run ``count`` times and begin it again each time; return where it ends with other numbers."""
    draw, wrong = random.Random(seed), []
    folder = root / f"{kind}-mended" / "run"
    RUNS[kind](folder)
    wanted = numbers(folder)
    kept = root / f"{kind}-kept" / "run"
    shutil.copytree(folder, kept)
    left = ("run.lock", "env.json")  # and the state of training, which a finished run does not need, and what is shown
    folders = ("trainer", "exhibits")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in left and p.parent.name not in folders)
    for index in range(count):
        path = files[(index * 5) % len(files)]
        others = [p.read_bytes() for p in files if p != path]
        data, way = damaged(path.read_bytes(), others, draw)
        path.write_bytes(data)
        store.check_run(folder, repair=True)
        RUNS[kind](folder)
        if numbers(folder) != wanted:
            now = numbers(folder)
            wrong.append(f"{path.name}, {way}: {[name for name in wanted if now.get(name) != wanted[name]]} differ")
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("kills", 500), ("damaged", 1000), ("mended", 40), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])  # loads what children would load one by one
    failed = False
    with tempfile.TemporaryDirectory() as root:
        for kind in RUNS:
            RUNS[kind](Path(root) / f"{kind}-warm" / "run")
        for kind in RUNS:
            told, wrong = kills(kind, Path(root), count=given.kills // 2, seed=given.seed)
            print(f"{kind}: {told.total()} kills; {len(wrong)} runs differ.", dict(sorted(told.items())), flush=True)
            failed |= bool(wrong)
        for kind in RUNS:
            came, wrong = damage(kind, Path(root), count=given.damaged // 2, seed=given.seed)
            print(f"{kind}: {came.total() + len(wrong)} damaged files; {len(wrong)} wrong.", dict(sorted(came.items())))
            print(*wrong[:20], sep="\n", flush=True)
            failed |= bool(wrong)
        for kind in RUNS:
            wrong = mended(kind, Path(root), count=given.mended // 2, seed=given.seed)
            print(f"{kind}: {given.mended // 2} damaged and begun again; {len(wrong)} differ.")
            print(*wrong[:20], sep="\n", flush=True)
            failed |= bool(wrong)
    raise SystemExit(int(failed))


if __name__ == "__main__":
    main()
