"""Figures as methods: ``found.plot.waterfall(0)`` of a result, ``run.plot.mean_order()`` of a run."""

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, ClassVar

from matplotlib.axes import Axes

from interdyn.plot import _figures as figures
from interdyn.plot._overview import plot_overview
from interdyn.plot._prediction import plot_prediction, plot_prediction_distance
from interdyn.plot._quality import plot_row_norms, plot_solver
from interdyn.plot._sample import plot_sample
from interdyn.plot._samples import plot_samples
from interdyn.plot._sparsity import plot_sparsity
from interdyn.plot._uses import plot_network, plot_top, plot_waterfall
from interdyn.plot._windows import plot_repeatability

_OF_THE_FOLDER = ("top", "top_over_training", "waterfall")  # figures that need more than the result of a run


class _Plots:
    """Figures of one object by their short names, with the arguments of the functions ``plot_...``."""

    _FIGURES: ClassVar[dict[str, Callable[..., Axes]]]

    def __init__(self, of: Any) -> None:
        self._of = of

    def __getattr__(self, name: str) -> Callable[..., Axes]:
        if name not in self._FIGURES:
            raise AttributeError(f"there is no figure {name!r}; use one of {', '.join(self._FIGURES)}.")
        function = self._FIGURES[name]
        return update_wrapper(partial(function, self._of), function)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._FIGURES]

    def __repr__(self) -> str:
        return f"figures: {', '.join(self._FIGURES)}"


class ResultPlots(_Plots):
    """Figures of a result of `interdyn.measure`, ``found.plot``.

    ``found.plot.waterfall(0)`` is `plot_waterfall` of the first sample. The others are `plot_top`, `plot_network`,
    `plot_sparsity`, and `plot_sample` as ``found[0].plot.sample(image, players=of)``. ``found.plot()`` draws what is
    used over all samples, or the waterfall of a single sample.

    Examples
    --------
    >>> ResultPlots(None)
    figures: waterfall, top, network, sample, sparsity
    """

    _FIGURES: ClassVar = {
        "waterfall": plot_waterfall,
        "top": plot_top,
        "network": plot_network,
        "sample": plot_sample,
        "sparsity": plot_sparsity,
    }

    def __call__(self, *, ax: Axes | None = None) -> Axes:
        """Draw the strongest interactions of all samples, or the waterfall of a single one."""
        return plot_top(self._of, ax=ax) if self._of.batch_shape else plot_waterfall(self._of, ax=ax)


class RunPlots(_Plots):
    """Figures of the result of a run, ``run.plot``: the functions ``plot_...`` by the rest of their names.

    Figures of single interactions need the folder of the run: `plot_top`, `plot_waterfall`.

    Examples
    --------
    >>> RunPlots(None).mean_order.__name__
    'plot_mean_order'
    """

    _FIGURES: ClassVar = {
        "overview": plot_overview,
        "mean_order": figures.plot_mean_order,
        "dynamics": figures.plot_dynamics,
        "order_distribution": figures.plot_order_distribution,
        "strengths": figures.plot_strengths,
        "losses": figures.plot_losses,
        "loss_gap": figures.plot_loss_gap,
        "prediction": plot_prediction,
        "prediction_distance": plot_prediction_distance,
        "theory": figures.plot_theory,
        "theory_distance": figures.plot_theory_distance,
        "noise": figures.plot_noise,
        "row_norms": plot_row_norms,
        "repeatability": plot_repeatability,
        "solver": plot_solver,
    }

    def __getattr__(self, name: str) -> Callable[..., Axes]:
        if name in _OF_THE_FOLDER:
            do = f"Pass the folder of the run to it: interdyn.plot.plot_{name}(RUN)."
            raise AttributeError(f"`{name}` draws single interactions, which a result does not contain. {do}")
        return super().__getattr__(name)

    def samples(self, **options: Any) -> Axes:
        """Draw the scores of the training samples; see `plot_samples`."""
        return plot_samples(() if self._of.samples is None else self._of.samples, **options)

    def __call__(self, *, ax: Axes | None = None) -> Axes:
        """Draw the mean order over training."""
        return figures.plot_mean_order(self._of, ax=ax)
