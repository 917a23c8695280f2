"""Measurements that are not on disk yet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from interdyn import store
from interdyn.store import Checkpoint, Measurement

_ROOM = 1 << 30  # bytes of weights that may wait to be written


class Backlog:
    """Measurements and checkpoints on their way to disk, in order; what cannot be written waits in memory.

    Examples
    --------
    >>> bool(Backlog())
    False
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Measurement, Mapping[str, Any]] | Checkpoint] = []

    def __bool__(self) -> bool:
        """Whether anything is waiting."""
        return bool(self._waiting)

    def add(
        self, measured: Sequence[Measurement], entry: Mapping[str, Any], checkpoint: Checkpoint | None = None
    ) -> None:
        """Add what is known about a step; the step counts once its ``checkpoint``, written last, is on disk."""
        self._waiting += [(measurement, entry) for measurement in measured]
        self._waiting += [] if checkpoint is None else [checkpoint]

    def write(self, run: store.Run) -> None:
        """Write everything that is waiting, and withdraw outdated results.

        Raises
        ------
        StorageError
            If the file system refuses; what is left keeps waiting.
        """
        while self._waiting:
            store.withdraw_results(run)
            piece = self._waiting[0]
            if isinstance(piece, Checkpoint):
                store.write_checkpoint(run, piece)
            else:
                store.write_measurement(run, piece[0], entry=piece[1])
            self._waiting.pop(0)

    def shed(self) -> tuple[int, ...]:
        """Discard the newest weights that do not fit into memory; return their steps."""
        room, shed = _ROOM, []
        for at, piece in enumerate(self._waiting):
            if isinstance(piece, Checkpoint) and piece.weights:
                room -= sum(array.nbytes for array in piece.weights.values())
                if room < 0:
                    self._waiting[at] = replace(piece, weights={})
                    shed.append(piece.step)
        return tuple(shed)
