"""How much faster this version is than version 0.1, in one run: splits of small and large tables, and the whole demo.

Both versions run on one thread, in turn, in processes of their own; ratios are of CPU time, pair by pair. Version 0.1
is taken from the history of this repository. The demo is run once by each, which takes some minutes.

Run: ./run bench versions
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import interdyn as ix
from _record import Record
from _versions import ROOT, Version, compared, environment, sources_of_version_01
from bench_split import real_tables
from interdyn.measurement import recorded
from interdyn.recipes import Trainer, build_model, load_recipe, load_samples, load_weights
from interdyn.recipes._measuring import choose_groups


def demo_tables() -> torch.Tensor:
    """Return the value tables of the demo's test samples at four steps of its training, ``(4 * samples, 2**n)``."""
    recipe = load_recipe("digits-cnn")
    samples = load_samples(recipe.data)
    group, trainer, tables = choose_groups(recipe, samples)[0], Trainer(recipe, samples), []
    seed = recipe.training.seed
    for steps in (0, 60, 240, 900):
        trainer.advance(steps, on_step=lambda _: None)
        network = build_model(recipe.model, shape=samples.shape, n_outputs=samples.n_outputs, seed=seed)
        load_weights(network, trainer.weights())
        measured = recorded(network.eval(), group, step=steps)
        tables.append(torch.from_numpy(measured.v))
    return torch.cat(tables)


def demo_seconds(path: Path) -> float:
    """Return the CPU seconds of the whole demo of the package under ``path``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        code = f"from interdyn.cli import main; main(['demo', '--out', {folder + '/demo'!r}])"
        subprocess.run([sys.executable, "-c", code], env=environment(path), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compile_seconds() -> tuple[float, float]:
    """Return the time of the first split of a process, with nothing compiled before and with all of it cached."""
    code = (
        "import time, torch, interdyn as ix; v = torch.rand(1, 64); start = time.perf_counter(); ix.sparsify.split(v);"
        " print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as folder:
        there = {**environment(ROOT / "src"), "NUMBA_CACHE_DIR": folder}
        cold, warm = (
            subprocess.run([sys.executable, "-c", code], env=there, check=True, capture_output=True, text=True).stdout
            for _ in range(2)
        )
    return float(cold), float(warm)


def record_versions(record: Record, new: Version, old: Version) -> None:
    """Record both versions on tables that users have."""
    cases = [
        ("n=6, 16 tables (a look of the tracker)", real_tables(6, 4), 1e-3, 15),
        ("n=8, the benchmark's tables", real_tables(8, 16), 1e-3, 7),
        ("n=10, the benchmark's tables", real_tables(10, 16), 1e-3, 5),
        ("n=10, the demo's tables at its tolerance", demo_tables(), 3e-3, 3),
        ("n=12, the benchmark's tables", real_tables(12, 2), 1e-3, 1),
    ]
    for title, v, tol, repeats in cases:
        n, batch = v.shape[1].bit_length() - 1, len(v)
        found = compared(new, old, v, repeats=repeats, tol=tol)
        record.add(f"{title}: ours, a table", found["ours"] / batch * 1e3, "ms", n=n, batch=batch)
        record.add(f"{title}: version 0.1, a table", found["theirs"] / batch * 1e3, "ms", n=n, batch=batch)
        record.add(f"{title}: ratio version 0.1 / ours", found["ratio"], "times", n=n, batch=batch)
        record.add(f"{title}: plain norm, ours / version 0.1", found["norms"], "", n=n, batch=batch)
        record.add(f"{title}: steps, ours / version 0.1", found["steps"], "", n=n, batch=batch)
        bare = ix.sparsify.split(v, tol=tol, order_weight=0.0, threads=1)
        with_weight = ix.sparsify.split(v, tol=tol, threads=1)
        record.add(
            f"{title}: steps, with / without order weight", _steps(with_weight) / _steps(bare), "", n=n, batch=batch
        )


def _steps(found: ix.values.Interactions) -> int:
    return sum(int(said.split(" after ")[1].split()[0]) for said in found.status)


def record_large(record: Record) -> None:
    """Record what a table of many players takes on one thread, and how much memory."""
    for n in (14, 16):
        v = real_tables(n, 1)
        for tol in (1e-2, 1e-3):
            seconds = []
            for table in v:
                start = time.perf_counter()
                ix.sparsify.split(table, tol=tol, threads=1, show_progress=False)
                seconds.append(time.perf_counter() - start)
            record.add(f"n={n}, tol={tol:.0e}: a table, median", sorted(seconds)[len(v) // 2], "s", n=n)
            record.add(f"n={n}, tol={tol:.0e}: a table, longest", max(seconds), "s", n=n)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        record.add(f"n={n}: peak memory of the process so far", peak, "GiB", n=n)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-demo", action="store_true", help="leave out the two whole demos")
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = Record("versions")
    record_large(record)
    cold, warm = compile_seconds()
    record.add("first split of a process, nothing compiled before", cold, "s", n=6)
    record.add("first split of a process, all compiled before", warm, "s", n=6)
    start = time.perf_counter()
    v = real_tables(8, 1)
    ix.sparsify.split(v, solver="lp")
    record.add("n=8: HiGHS, a table", (time.perf_counter() - start) / len(v) * 1e3, "ms", n=8, batch=len(v))
    with tempfile.TemporaryDirectory() as folder:
        path = sources_of_version_01(Path(folder))
        new, old = Version(ROOT / "src"), Version(path)
        record_versions(record, new, old)
        new.close()
        old.close()
        if not options.no_demo:
            ours, theirs = demo_seconds(ROOT / "src"), demo_seconds(path)
            record.add("the whole demo: ours, CPU time", ours, "s", n=10)
            record.add("the whole demo: version 0.1, CPU time", theirs, "s", n=10)
            record.add("the whole demo: ratio ours / version 0.1", ours / theirs, "", n=10)
    record.write()


if __name__ == "__main__":
    main()
