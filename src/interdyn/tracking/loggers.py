"""Where a tracker writes besides its run directory: ``Tracker(..., loggers=[CSVLogger("measurements.csv")])``.

All write the same numbers, in groups: ``interactions/order_03/strength`` (mean over samples of the summed absolute
interactions of three players, in the unit of the output), ``interactions/mean_order`` and ``interactions/phase``, which
is 0 for no verdict, 1 and 2 for the phases, 3 where training harms. A logger is anything with
``log_metrics(metrics, step)``, so those of Lightning can be passed directly. A logger that fails stops no training.
"""

import csv
import time
from pathlib import Path
from typing import Any

from interdyn.errors import InputError, missing_extra
from interdyn.tracking._said import HARM, PHASES, Logger, tell

__all__ = ["HARM", "PHASES", "CSVLogger", "Logger", "MLflowLogger", "TensorBoardLogger", "WandbLogger"]


class CSVLogger:
    """A table with a row for each measurement; an existing file is continued.

    A number that first appears after the first row, such as the mean order where nothing was salient before, gets a new
    column: the file is rewritten with all its rows, which are empty there.

    Parameters
    ----------
    path
        The file; its folder is created.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "measurements.csv")
    >>> CSVLogger(path).log_metrics({"interactions/mean_order": 2.5}, step=8)
    >>> path.read_text().split()
    ['step,interactions/mean_order', '8,2.5']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Append a row."""
        row = {"step": step, **metrics}
        columns: list[str] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                columns = next(csv.reader(file), [])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if later := [name for name in row if name not in columns]:
            self._widen([*columns, *later])
            if columns:
                tell(f"{self.path} has new columns from step {step} on: {', '.join(later)}; its rows are kept.")
            columns += later
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, columns, restval="").writerow(row)

    def _widen(self, columns: list[str]) -> None:
        """Rewrite the file with these columns, atomically."""
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        whole = self.path.with_name(f".{self.path.name}.part")
        with whole.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        whole.replace(self.path)


class TensorBoardLogger:
    """Scalars in an event file of TensorBoard, flushed at once.

    Parameters
    ----------
    writer
        The ``SummaryWriter`` of the training, or a folder for a new one.

    Raises
    ------
    MissingExtraError
        If TensorBoard is not installed.
    """

    def __init__(self, writer: Any) -> None:
        if isinstance(writer, str | Path):
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError as error:
                raise missing_extra("tensorboard", "loggers", "TensorBoardLogger") from error
            writer = SummaryWriter(str(writer))
        self.writer = writer

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Add a scalar for each number."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


class MLflowLogger:
    """Metrics of a run in MLflow, in any store.

    Parameters
    ----------
    run_id
        The run; by default the active one, of ``mlflow.start_run()``.
    tracking_uri
        The store; by default that of ``mlflow.set_tracking_uri``.

    Raises
    ------
    MissingExtraError
        If MLflow is not installed.
    InputError
        If no run is given and none is active.
    """

    def __init__(self, run_id: str | None = None, *, tracking_uri: str | None = None) -> None:
        try:
            import mlflow
        except ModuleNotFoundError as error:
            raise missing_extra("mlflow", "loggers", "MLflowLogger") from error
        if run_id is None:
            active = mlflow.active_run()
            if active is None:
                raise InputError(
                    "MLflowLogger needs a run; got no `run_id`, and none is active. Call mlflow.start_run()."
                )
            run_id = active.info.run_id
        self.run_id, self._client = run_id, mlflow.MlflowClient(tracking_uri)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Write the numbers in one batch."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])


class WandbLogger:
    """Charts of a run in Weights & Biases, over their own axis, ``interactions/step``.

    Each measurement is one call of ``run.log`` without ``step``, which advances the run's own counter by one; if you
    pass ``step`` yourself, let it grow faster than measurements are taken, for example at every optimiser step.

    Parameters
    ----------
    run
        The run; by default the one of ``wandb.init()``.

    Raises
    ------
    MissingExtraError
        If wandb is not installed.
    InputError
        If no run is given and none was started.
    """

    def __init__(self, run: Any = None) -> None:
        if run is None:
            try:
                import wandb
            except ModuleNotFoundError as error:
                raise missing_extra("wandb", "loggers", "WandbLogger") from error
            run = wandb.run
        if run is None:
            raise InputError("WandbLogger needs a run; got no `run`, and none was started. Call wandb.init().")
        self.run = run
        run.define_metric("interactions/step")
        run.define_metric("interactions/*", step_metric="interactions/step")

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Log the numbers with their step."""
        self.run.log({**metrics, "interactions/step": step})
