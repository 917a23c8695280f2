"""The run of a training on disk: begun or found again, written, and summarised from its directory alone."""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from interdyn import store
from interdyn.errors import IncompleteRunError
from interdyn.measurement import Group, History, check_names, exhibit_of
from interdyn.store import Checkpoint, Exhibit, Measurement
from interdyn.tracking._checkpoints import weights_of

_PACKAGES = ("interdyn", "torch", "numpy", "safetensors", "scikit-learn", "scipy")


def begun_again(folder: "Folder", known: Sequence[int], step: int) -> str:
    """Return a warning where a training starts at a step that its folder has had before; empty otherwise."""
    if folder.planned or not known or step > known[0]:
        return ""
    return (
        f"{folder.path} holds measurements from step {known[0]} to {known[-1]} of a training that began before this "
        "one; at those steps nothing is measured again. If this is another training, begin it in another folder."
    )


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return versions, platform, threads and flags that can change a number; no names of hosts or folders."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "schema": store.SCHEMA,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": packages,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "device": device,
    }


class Folder:
    """The folder of a run that is written: locked from the first use until it is closed; then it may be opened again.

    Parameters
    ----------
    path
        Where.
    groups
        The samples that are measured.
    recipe
        What identifies the run, with its name, as plain data; by default the samples and how they are measured. A
        folder of another run is refused.
    steps
        The planned steps; None: whatever comes. In a planned run the weights of a step are on disk before it is
        measured, in others a step is there once it is measured.
    keep_weights
        Write the weights of the network at each step.
    exhibits
        What the samples look like; None: found when they are measured.
    device
        Where the network is trained, for the record.

    Raises
    ------
    InputError
        If names do not fit the samples.
    """

    def __init__(
        self,
        path: Path,
        groups: Sequence[Group],
        *,
        recipe: Mapping[str, Any] | None = None,
        steps: Sequence[int] | None = None,
        keep_weights: bool = False,
        exhibits: Sequence[Exhibit] | None = None,
        device: str = "cpu",
    ) -> None:
        if exhibits is None:
            check_names(groups[0])
        self.path, self.planned = path, steps is not None
        self._groups, self._recipe, self._steps, self._keep_weights = groups, recipe, steps, keep_weights
        self._exhibits, self._device = exhibits, device
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
            with ExitStack() as stack:  # a run that cannot be begun is not kept locked
                stack.enter_context(store.writing(self.path))
                self._run = store.begin_run(
                    self.path,
                    self._identity() if self._recipe is None else self._recipe,
                    steps=self._steps,
                    groups=[group.name for group in self._groups],
                    environment=environment(self._device),
                )
                for exhibit in self._exhibits or ():
                    if store.read_exhibit(self._run, exhibit.group) is None:
                        store.write_exhibit(self._run, exhibit)
                self._stack = stack.pop_all()
        return self._run

    def _identity(self) -> dict[str, Any]:
        """Return what tells the run of a tracker from another one, as plain data."""
        first = self._groups[0].config
        settings = first.settings() | {"samples": [group.identity() for group in self._groups]}
        others = {g.name: g.config.settings() for g in self._groups if g.config.settings() != first.settings()}
        if others:
            settings["groups"] = others
        out: dict[str, Any] = {"name": self.path.name or "tracked", "tracker": settings}
        if first.salience is not None or first.salience_rule != "mean-effect":
            given = {"salience": first.salience, "salience_rule": first.salience_rule}
            out["analysis"] = {key: value for key, value in given.items() if value is not None}
        return out

    def write_network(self, step: int, network: Any, entry: Mapping[str, Any]) -> None:
        """Write losses and seconds of a step, and the weights if they are kept.

        Raises
        ------
        StorageError
            If the file system refuses.
        """
        weights = weights_of(network) if self._keep_weights else {}
        losses = {key: value for key, value in entry.items() if key != "seconds"}
        store.write_checkpoint(self.open(), Checkpoint(step, weights, losses=losses, seconds=entry["seconds"]))

    def write(self, measured: Sequence[Measurement], then: Callable[[], None] | None = None) -> None:
        """Write the measurements of one step, ``then`` what makes the step count; results of before are withdrawn.

        Raises
        ------
        StorageError
            If the file system refuses.
        """
        run = self.open()
        store.withdraw_results(run)
        for measurement in measured:
            store.write_measurement(run, measurement)
        if then is not None:
            then()

    def checkpoint(self, step: int) -> Checkpoint | None:
        """Return what is on disk of the network at a step."""
        return store.read_checkpoint(self.open(), step)

    def measurement(self, step: int, group: str) -> Measurement | None:
        """Return what is on disk of the measurement of a group at a step."""
        return store.read_measurement(self.open(), step, group=group)

    def exhibit(self, measured: Sequence[Measurement]) -> None:
        """Write what the samples look like, once for each number of samples and players that are measured.

        Raises
        ------
        InputError
            If names do not fit.
        StorageError
            If the file system refuses.
        """
        count, masks = measured[0].v.shape
        if self._exhibits is not None or self._exhibited == (count, masks):
            return
        self._exhibited = (count, masks)
        for group in self._groups:
            found = exhibit_of(group.first(count).drawn(masks.bit_length() - 1))
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
        If nothing is measured.
    NotARunError, SchemaError
        As `interdyn.store.open_run`.
    """
    run = store.open_run(Path(folder))
    with store.writing(run.path):
        if not run.steps:
            raise IncompleteRunError(f"a summary needs a measured step; got none in {run.path}. Train on.")
        _write_summary(run.path)


def _write_summary(folder: Path) -> None:
    run = store.open_run(folder)
    store.write_results(run, **History.read(run).result())
