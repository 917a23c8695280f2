"""Which files of a run are intact, and which others can be restored from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from interdyn.store._files import DamagedError, names_in, read_json, unreadable
from interdyn.store._lock import leftovers, writing
from interdyn.store._reader import Reader
from interdyn.store._recipe import has_whole_recipe, mend
from interdyn.store._records import Checkpoint, file_of, write_checkpoint
from interdyn.store._results import to_measure
from interdyn.store._run import FOLDERS, Run, open_run

_JSON = {"run.json": True, "env.json": True, "summary.json": False, "analysis.json": False}  # whether all runs have it


@dataclass(frozen=True)
class Finding:
    """A finding about the files of a run.

    Attributes
    ----------
    file
        Its name within the run.
    what
        What it is, or what was done.
    mended
        Whether nothing is left to do.
    """

    file: str
    what: str
    mended: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def check_run(folder: Path | str, *, repair: bool = False) -> list[Finding]:
    """Return what is wrong with the files of a run, each of which is read completely.

    Parameters
    ----------
    repair
        Restore ``run.json`` and ``recipe.toml`` if damaged, from the headers of the measurements and from each other;
        the checkpoint of a tracked training, without weights, from its measurement; remove temporary files. Nothing
        else is changed or removed: a damaged file counts as missing, and the run makes it again if it can.

    Raises
    ------
    NotARunError, SchemaError, StorageError
        As `open_run`; with ``repair`` also if another process is writing.
    """
    if not repair:
        return [*_leftovers(open_run(folder)), *_wrong(open_run(folder))]
    open_run(folder)
    left = leftovers(Path(folder))
    with writing(Path(folder)):
        run = open_run(folder)
        done = [Finding(name, "removed; left by a writer that was killed", True) for name in left]
        done += [Finding(name, "restored from the other files", True) for name in mend(run)]
        done += [Finding(name, "restored from its measurement", True) for name in _rescued(run)]
        return done + list(_wrong(open_run(folder)))


def drop_damaged_checkpoints(run: Run) -> None:
    """Remove damaged checkpoints, so that a training which can make them again does; call it inside `writing`.

    Raises
    ------
    StorageError
        If the file system refuses.
    """
    reader = Reader(run)
    for step in run.steps:
        reader.checkpoint(step)
    for file in reader.damaged:
        try:
            (run.path / file).unlink()
        except OSError as error:
            raise unreadable(run.path / file, error) from error


def _leftovers(run: Run) -> list[Finding]:
    return [Finding(name, "left by a killed writer, or in use by a running one") for name in leftovers(run.path)]


def _wrong(run: Run) -> Iterator[Finding]:
    """Yield every file that is damaged or missing, and how to restore it."""
    for name, needed in _JSON.items():
        try:
            if read_json(run.path / name) is None and needed:
                yield Finding(name, f"it is missing. {_again(run, name)}")
        except DamagedError as damage:
            yield Finding(name, f"{damage}. {_again(run, name)}")
    if not has_whole_recipe(run):
        yield Finding("recipe.toml", f"it is damaged or missing. {_again(run, 'recipe.toml')}")
    reader = Reader(run)
    for folder in FOLDERS:
        for name in names_in(run.path / folder):
            reader.look(f"{folder}/{name}")
    yield from (Finding(file, f"{why}. {_again(run, file)}") for file, why in reader.damaged.items())
    if (run.path / "summary.json").is_file():  # otherwise it is unfinished, and much is missing
        for step, group in product(run.steps, run.groups):
            file = file_of("measurements", step, group)
            if file not in reader.damaged and not (run.path / file).is_file():
                yield Finding(file, f"it is missing. {_again(run, file)}")


def _rescued(run: Run) -> list[str]:
    """Restore damaged checkpoints of a tracked training, with losses only; return their names."""
    reader, done = Reader(run), []
    for step in run.steps if run.open_ended else ():
        entry, file = reader.entry(step), file_of("checkpoints", step)
        if file in reader.damaged and entry is not None and len(entry) > 2:
            losses = {key: number for key, number in entry.items() if key not in ("step", "seconds")}
            write_checkpoint(run, Checkpoint(step, {}, losses=losses, seconds=entry["seconds"]))
            done.append(file)
    return done


def _again(run: Run, file: str) -> str:
    """Return a sentence on how to restore a file."""
    if file in ("run.json", "recipe.toml"):
        return f"Restore it: interdyn check {run.path} --repair"
    if file == "env.json":
        return "It records the machine on which the run started; nothing else needs it."
    if file in ("summary.json", "analysis.json"):
        return f"Write it again: interdyn report {run.path}" if run.open_ended else to_measure(run)
    if file.startswith("units/"):
        return "It is measured again when the run is resumed."
    if file.startswith("exhibits/"):
        return "The report shows numbers instead."
    if file.startswith("trainer/"):
        return "A resumed run trains from its beginning, to the same numbers; a finished one does not need it."
    return to_measure(run)
