"""The analysis of a run that still grows: each measurement is read once."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from interdyn import store
from interdyn.dynamics import OnlineVerdict, online_verdict
from interdyn.errors import IncompleteRunError
from interdyn.measurement._analysis import group_record, relative_residual, without_nan
from interdyn.measurement._reading import Reading, reading
from interdyn.measurement._rule import split_record
from interdyn.measurement._samples import samples_record
from interdyn.measurement._stored import interactions
from interdyn.spectra import order_spectrum
from interdyn.values import OrderSpectrum, Trajectory

_RESAMPLES = 200  # of the samples, for intervals at every look


@dataclass(frozen=True)
class _Look:
    spectrum: OrderSpectrum
    gap: float
    sum_of_gaps: float
    residual: float
    relative_residual: float  # to max|v| of its table
    unit: str
    settings: Mapping[str, Any]
    sample_ids: list[int]
    reading: Reading


class Growing:
    """What a run that is still written says by now; ask again and only what is new is read.

    Parameters
    ----------
    path
        Folder of the run.

    Examples
    --------
    >>> Growing(Path("nowhere")).steps
    ()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._looks: dict[tuple[int, str], _Look] = {}
        self._verdicts: dict[tuple[int, ...], OnlineVerdict] = {}
        self._hash = ""

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps read by now."""
        return tuple(sorted({step for step, _ in self._looks}))

    def update(self) -> bool:
        """Read what is new on disk; return whether there was anything.

        Raises
        ------
        NotARunError, SchemaError
            As `interdyn.store.open_run`.
        """
        run = store.open_run(self.path)
        if run.config_hash != self._hash:  # another run in the same folder
            self._looks, self._verdicts, self._hash = {}, {}, run.config_hash
        known = len(self._looks)
        there = {entry["step"] for entry in store.read_history(run)}
        options = store.read_salience(run)
        for step in sorted(there):
            missing = [group for group in run.groups if (step, group) not in self._looks]
            found = [store.read_measurement(run, step, group=group) for group in missing]
            if any(m is None for m in found):
                continue  # half of a checkpoint is shown when it is whole
            for m in found:
                assert m is not None
                split = interactions(m)
                self._looks[step, m.group] = _Look(
                    order_spectrum(split, **options),
                    float(split.gap.max()),
                    float(split.gap.sum()),
                    float(split.residual.abs().max()),
                    float(relative_residual(split).max()),
                    m.unit,
                    m.settings,
                    m.sample_ids.tolist(),
                    reading(split, labels=m.targets, group=m.group, step=m.step, sample_ids=m.sample_ids, **options),
                )
        return len(self._looks) > known

    def analysis(self) -> dict[str, dict[str, Any]]:
        """Return ``summary`` and ``analysis`` as of a finished run, as far as they can be known while it grows.

        There is no theory, since its ``w*`` is the final network's; the verdict is that of
        `interdyn.dynamics.latest_verdict`, and its stage stands in ``summary`` under ``stage``.

        Raises
        ------
        IncompleteRunError
            If nothing is measured yet.
        """
        if not self.steps:
            raise IncompleteRunError(f"no checkpoint of {self.path.name} is measured yet. It grows; come back.")
        run = store.open_run(self.path)
        history = {entry["step"]: entry for entry in store.read_history(run)}
        shapes = {g: self._looks[self.steps[-1], g].spectrum.strength.shape for g in run.groups}
        steps = [s for s in self.steps if all(self._alike(s, g, shapes[g]) for g in run.groups)]
        losses = {
            name: [history[s].get(name) for s in steps]
            for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
        }
        groups = {name: self._group([self._looks[s, name] for s in steps]) for name in run.groups}
        first = next(iter(groups.values()))
        verdict = self._judge(steps, run.groups[0], losses)
        phases = {
            "found": verdict.since is not None,
            "boundary_step": verdict.since,
            "interval": None if verdict.interval is None else list(verdict.interval),
            "status": verdict.sentence,
        }
        identity = {
            "schema": store.SCHEMA,
            "recipe": run.recipe_name,
            "config_hash": run.config_hash,
            "version": version("interdyn"),
        }
        orders = len(first["order_distribution"][0])
        tables = sum(len(x.sample_ids) for x in self._looks.values())
        summary = {
            **identity,
            "steps": steps,
            "n_players": orders,
            "orders": list(range(1, orders + 1)),
            "n_samples": first["n_samples"],
            "order_distribution": first["order_distribution"],
            "mean_order": first["mean_order"],
            **{name: column for name, column in losses.items() if any(x is not None for x in column)},
            "phases": phases,
            "stage": str(verdict.stage),
            "solver": {
                "mean_gap": sum(x.sum_of_gaps for x in self._looks.values()) / tables,
                "max_gap": max(look.gap for look in self._looks.values()),
                "max_residual": max(look.relative_residual for look in self._looks.values()),
            },
            "split": split_record(look.settings for look in self._looks.values()),
            "verdict": [verdict.sentence],
        }
        samples = samples_record([self._looks[s, name].reading for s in steps for name in run.groups])
        analysis = {**identity, "groups": groups, "samples": samples}
        return {"summary": without_nan(summary), "analysis": without_nan(analysis)}

    def _alike(self, step: int, group: str, shape: tuple[int, ...]) -> bool:
        look = self._looks.get((step, group))
        return look is not None and look.spectrum.strength.shape == shape

    def _judge(self, steps: list[int], group: str, losses: dict[str, list[Any]]) -> OnlineVerdict:
        strength = np.stack([self._looks[s, group].spectrum.strength for s in steps])
        known = {k: np.array(losses[k], dtype=float) for k in ("train_loss", "test_loss")}
        columns = {k: None if np.isnan(v).all() else v for k, v in known.items()}
        seen = Trajectory(np.array(steps, dtype=float), strength, columns["train_loss"], columns["test_loss"])
        before: OnlineVerdict | None = None
        for count in (len(steps) - 1, len(steps)):  # of the look before only whether it saw a rise matters
            looked = tuple(steps[:count])
            if looked and looked not in self._verdicts:
                self._verdicts[looked] = online_verdict(seen.first(count), before=before)
            before = self._verdicts.get(looked)
        assert before is not None
        return before

    @staticmethod
    def _group(looks: list[_Look]) -> dict[str, Any]:
        return group_record(
            [x.spectrum for x in looks],
            sample_ids=looks[-1].sample_ids,
            unit=looks[-1].unit,
            residual=[x.residual for x in looks],
            gap=[x.gap for x in looks],
            n_bootstrap=_RESAMPLES,
            seed=0,
        )
