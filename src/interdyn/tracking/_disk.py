"""The run of a tracked training on disk: begun or found again, written, and summarised from its directory alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from interdyn import store
from interdyn.errors import IncompleteRunError
from interdyn.measurement import History
from interdyn.store import Checkpoint, Measurement
from interdyn.tracking._exhibits import Names, check_names, exhibit_of
from interdyn.tracking._look import Looking
from interdyn.tracking._probe import Probe


def begun_again(path: Path, known: Sequence[int], step: int) -> str:
    """Return a warning where a training starts at a step that a folder has had before; empty otherwise."""
    if not known or step > known[0]:
        return ""
    return (
        f"{path} holds looks from step {known[0]} to {known[-1]} of a training that began before this one; at those "
        "steps nothing is looked at again. If this is another training, begin it in another folder."
    )


class Folder:
    """The folder of a tracker: locked from the first use until it is closed; then it may be opened again.

    Parameters
    ----------
    path
        Where.
    looking, probes
        How is looked, and at what; a folder of another training is refused.
    names
        For the texts of columns or tokens; see `Tracker`.

    Raises
    ------
    InputError
        If names do not fit the samples.
    """

    def __init__(self, path: Path, looking: Looking, probes: Sequence[Probe], names: Names | None) -> None:
        check_names(names, probes[0])
        self.path = path
        self._looking, self._probes, self._names = looking, probes, names
        self._stack = ExitStack()
        self._run: store.Run | None = None
        self._exhibited: tuple[int, int] | None = None

    def open(self) -> store.Run:
        """Return the run, begun there or found again.

        Raises
        ------
        RecipeError, StorageError
            If another training is there, or another process writes it.
        """
        if self._run is None:
            settings = self._looking.settings() | {"samples": [probe.identity() for probe in self._probes]}
            with ExitStack() as stack:  # a run that cannot be begun is not kept locked
                stack.enter_context(store.writing(self.path))
                self._run = store.begin_run(
                    self.path,
                    {"name": self.path.name or "tracked", "tracker": settings},
                    steps=None,
                    groups=[probe.name for probe in self._probes],
                    environment={
                        "schema": store.SCHEMA,
                        "packages": {name: version(name) for name in ("interdyn", "torch")},
                    },
                )
                self._stack = stack.pop_all()
        return self._run

    def looks(self) -> Iterator[tuple[list[Measurement], dict[str, float]]]:
        """Yield measurements and losses of each look that the run has whole."""
        run = self.open()
        history = {entry["step"]: entry for entry in store.read_history(run)}
        for step in run.steps:
            found = [store.read_measurement(run, step, group=group) for group in run.groups]
            whole = [m for m in found if m is not None]
            if step in history and len(whole) == len(found):
                yield whole, {k: v for k, v in history[step].items() if k in ("train_loss", "test_loss")}

    def write(self, measured: Sequence[Measurement], losses: Mapping[str, float], *, training_seconds: float) -> None:
        """Write one look.

        Raises
        ------
        StorageError
            If the file system refuses.
        """
        run = self.open()
        store.withdraw_results(run)
        for measurement in measured:
            store.write_measurement(run, measurement)
        seconds = {"training": training_seconds, "evaluation": 0.0}
        store.write_checkpoint(run, Checkpoint(measured[0].step, {}, losses=losses, seconds=seconds))

    def exhibit(self, measured: Sequence[Measurement]) -> None:
        """Write what the samples look like, once for each number of samples and players that looks consist of.

        Raises
        ------
        InputError
            If names do not fit.
        StorageError
            If the file system refuses.
        """
        count, masks = measured[0].v.shape
        if self._exhibited == (count, masks):
            return
        self._exhibited = (count, masks)
        for probe in self._probes:
            found = exhibit_of(self._looking, probe.first(count), n_players=masks.bit_length() - 1, names=self._names)
            if found is not None:
                store.write_exhibit(self.open(), found)

    def close(self, *, summary: bool) -> None:
        """Leave the folder to others, with results of everything in it if a ``summary`` is wanted."""
        with self._stack:
            run, self._run = self._run, None
            if run is not None and summary:
                _write_summary(run.path)


def summarise(folder: Path | str) -> None:
    """Analyse what a tracker has kept in its folder and write the results there, as its `close` would have done.

    For a training that was killed, and for one that is over in another process.

    Raises
    ------
    StorageError
        If a process still writes there.
    IncompleteRunError
        If there is no look.
    NotARunError, SchemaError
        As `interdyn.store.open_run`.
    """
    run = store.open_run(Path(folder))
    with store.writing(run.path):
        if not run.steps:
            raise IncompleteRunError(f"a summary needs a look at the network; got none in {run.path}. Train on.")
        _write_summary(run.path)


def _write_summary(folder: Path) -> None:
    run = store.open_run(folder)
    store.write_result(run, History.read(run).result())
