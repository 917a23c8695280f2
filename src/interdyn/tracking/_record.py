"""What is measured at a step of a training, and all it goes to: memory, the folder of the run, loggers."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from interdyn.errors import InterdynWarning, NonFiniteError
from interdyn.measurement import Group, History, MeasurementConfig
from interdyn.tracking._disk import Folder
from interdyn.tracking._measuring import bare, is_first, measure_group
from interdyn.tracking._plan import Plan
from interdyn.tracking.loggers import Logger, scalars_of

_T = TypeVar("_T")


class Record:
    """The record of a training.

    Parameters
    ----------
    groups, config
        What is measured; what counts in spectra and verdicts.
    folder
        Where it is kept on disk; what is there already is part of the record.
    strict
        Raise what goes wrong; otherwise it is kept in ``problems``, and the first of them is warned of.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        config: MeasurementConfig,
        folder: Folder | None,
        *,
        strict: bool,
    ) -> None:
        self._groups, self._folder, self._strict = groups, folder, strict
        self.problems: list[str] = []
        if folder is not None and is_first():
            self.history = History.read(folder.open())  # which knows what counts in it
        else:
            names = [group.name for group in groups]
            self.history = History(names, salience=config.salience, salience_rule=config.salience_rule)

    def guarded(self, where: str, act: Callable[[], _T], *, otherwise: _T) -> _T:
        """Return what ``act`` returns; if it fails, report that, unless ``strict``, and return ``otherwise``."""
        try:
            return act()
        except Exception as error:
            if self._strict:
                raise
            self.report(f"{where}: {type(error).__name__}: {error}")
            return otherwise

    def report(self, problem: str) -> None:
        """Keep a problem in words, and warn of the first."""
        if not self.problems:
            warnings.warn(f"the tracker met a problem; training goes on. {problem}", InterdynWarning, stacklevel=4)
        self.problems.append(problem)

    def keep(
        self,
        step: int,
        model: Any,
        entry: Mapping[str, Any],
        *,
        plan: Plan | None = None,
        loggers: Sequence[Logger] = (),
        saved: bool = False,
    ) -> bool:
        """Measure every group at a step and keep it; return whether the network could be measured.

        Parameters
        ----------
        entry
            What else is known of the step: losses, ``seconds``.
        plan
            How many players and samples; None: all.
        loggers
            Where its numbers are written besides.
        saved
            Whether the network is on disk already, so that measurements there are its own.
        """
        folder, groups = self._folder, self._groups
        if plan is not None:
            groups = [group.first(plan.n_samples).drawn(plan.n_players) for group in groups]
        write = None if folder is None or saved else partial(folder.write_network, step, bare(model), entry)
        if folder is not None and folder.planned and write is not None:
            self.guarded(f"step {step}, run", write, otherwise=None)
            write = None
        there = folder.measurement if folder is not None and saved else lambda *_: None
        try:
            measured = [there(step, group.name) or measure_group(model, group, step=step) for group in groups]
        except NonFiniteError as error:
            if self._strict:
                raise
            self.report(f"step {step}: the network's outputs are not finite any more: {error}")
            return False
        self.history.add(measured, entry)
        if folder is not None:
            self.guarded(f"step {step}, run", partial(folder.write, measured, write), otherwise=None)
            self.guarded(f"step {step}, exhibit", partial(folder.exhibit, measured), otherwise=None)
        for logger in loggers:
            self.guarded(f"step {step}, {type(logger).__name__}", partial(self._log, logger, step), otherwise=None)
        return True

    def _log(self, logger: Logger, step: int) -> None:
        strength = self.history.seen(step, self._groups[0].name).spectrum.strength
        verdict = self.history.verdict(step)
        assert verdict is not None
        logger.log_metrics(scalars_of(strength, verdict), step)
