"""Which mechanism predicts the network at a checkpoint from the final one: a comparison that the theory can lose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interdyn._arguments import choice, draws, instance, real_array, seed as checked_seed
from interdyn.errors import InputError, NonFiniteError, ShapeError
from interdyn.spectra._bootstrap import (
    check_level,
    interval_edges,
    known_mean,
    quantiles_over_draws,
    resampled_means,
)
from interdyn.theory._mechanisms import MECHANISMS, Mechanism, default_parameters, mechanism_tables
from interdyn.values import Selection, signed
from interdyn.values._convert import as_tensor
from interdyn.values._table_prediction import THEORY

_FLAT = 1e-12  # of the size of a table: below this its variation is rounding
_LEVEL = 1e-4  # of a correlation: a parameter that gains less than this over the previous one has reached its limit
_BLOCK = 2**22  # numbers of measured tables at a time


@dataclass(frozen=True)
class TablePrediction:
    """How well each mechanism predicts the value tables of samples that its parameter was not fitted on.

    Correlations are Pearson's over all masks and weigh each sample equally; NaN where a table does not vary.

    Attributes
    ----------
    mechanisms
        Their names; see `mechanism_tables`.
    correlation
        Of prediction and measured table, shape ``(mechanisms, steps, samples)``; each sample's prediction has the
        parameter that is best on average over all others.
    parameter
        The parameter that is best on average over all samples, shape ``(mechanisms, steps)``.
    at_edge
        Whether that parameter is the largest tested and still gains over the previous one, so that a larger one may be
        better; same shape.
    ceiling
        Correlation of the measured table with that of a nearby step, shape ``(steps, samples)``; NaN where there is
        none.
    level
        Nominal coverage of the intervals.
    """

    mechanisms: tuple[Mechanism, ...]
    correlation: Float[np.ndarray, "mechanisms steps samples"]
    parameter: Float[np.ndarray, "mechanisms steps"]
    at_edge: Bool[np.ndarray, "mechanisms steps"]
    ceiling: Float[np.ndarray, "steps samples"]
    level: float
    n_draws: int = field(default=2000, repr=False)
    seed: int = field(default=0, repr=False)

    @property
    def mean(self) -> Float[np.ndarray, "mechanisms steps"]:
        """Mean correlation over samples; NaN where no table varies."""
        return known_mean(self.correlation)

    def interval(self, mechanism: Mechanism) -> Float[np.ndarray, "2 steps"]:
        """Return the low and high ends of a mechanism's mean correlation, from resampled samples."""
        return self._interval(self._row(mechanism))

    def gain(self, mechanism: Mechanism, over: Mechanism) -> Float[np.ndarray, "3 steps"]:
        """Return by how much a mechanism predicts better than another: mean, low and high end, of paired samples."""
        paired = self._row(mechanism) - self._row(over)
        return np.concatenate([known_mean(paired)[None], self._interval(paired)])

    def best(self, step: int) -> tuple[Mechanism, ...]:
        """Return the mechanism that predicts best at a step, by its index, and those it is not shown to be better than.

        Empty if no table varies.
        """
        means = self.mean[:, step]
        if np.isnan(means).all():
            return ()
        first = self.mechanisms[int(np.nanargmax(means))]
        rivals = sorted((name for name in self.mechanisms if name != first), key=lambda name: -means[self._at(name)])
        return first, *(name for name in rivals if not self.gain(first, name)[1, step] > 0)

    def over(self, steps: Bool[np.ndarray, " steps"]) -> "TablePrediction":
        """Return the mean over some steps, separately for each sample, as the prediction of a single step.

        Raises
        ------
        InputError
            If there is no step.
        """
        chosen = np.flatnonzero(real_array(steps, "steps"))
        if not len(chosen):
            raise InputError("`steps` must select one step or more; got none. Select those of phase 2, or all.")
        return replace(
            self,
            correlation=known_mean(self.correlation[:, chosen].swapaxes(1, 2))[:, None],
            parameter=np.full((len(self.mechanisms), 1), np.nan),
            at_edge=np.asarray(self.at_edge[:, chosen].all(axis=1, keepdims=True)),
            ceiling=known_mean(self.ceiling[chosen].T)[None],
        )

    def contest(self, step: int = 0) -> tuple[Mechanism, Mechanism]:
        """Return the better form of the theory and the best of its rivals, by their means at a step.

        Raises
        ------
        InputError
            If the theory or its rivals were left out.
        """
        mean = dict(zip(self.mechanisms, np.nan_to_num(self.mean[:, step], nan=-2), strict=True))
        ours, others = ([name for name in mean if (name in THEORY) is own] for own in (True, False))
        if not ours or not others:
            raise InputError("`mechanisms` must contain the theory and a rival; got one side only. Predict with both.")
        return max(ours, key=mean.__getitem__), max(others, key=mean.__getitem__)

    def for_the_theory(self, step: int = 0) -> str:
        """Return a sentence on whether the theory, in one regression or two, predicts better than the other mechanisms.

        Raises
        ------
        InputError
            If the theory or its rivals were left out.
        """
        best, rival = self.contest(step)
        mean = dict(zip(self.mechanisms, self.mean[:, step], strict=True))
        if np.isnan(list(mean.values())).all():
            return "Nothing can be predicted: the tables, or those of the final network, do not vary."
        loses = bool(self.gain(best, rival)[2, step] < 0)
        first, second = (rival, best) if loses else (best, rival)
        gain, low, high = self.gain(first, second)[:, step]
        ceiling = known_mean(self.ceiling)[step]
        of = f" of {ceiling:.2f}" if np.isfinite(ceiling) else ""
        both = f"{mean[first]:.2f}{of} against {mean[second]:.2f} for {named(second)}"
        words = f"{both} ({signed(gain, 3)}, {signed(low, 3)} to {signed(high, 3)})."
        if low > 0:
            than = "the theory" if loses else "any rival"
            return f"{named(first).capitalize()} predicts the tables better than {than}: {words}"
        return f"The theory is not shown to predict better than {named(rival)}: {words}"

    def sentence(self, step: int) -> str:
        """Return a sentence on which mechanism predicts the tables of a step best, by how much, or that none does."""
        best = self.best(step)
        if not best:
            return "Nothing can be predicted: the tables, or those of the final network, do not vary."
        mean = {name: self.mean[i, step] for i, name in enumerate(self.mechanisms)}
        ceiling = known_mean(self.ceiling)[step]
        of = f" of {ceiling:.2f}, the correlation of nearby steps" if np.isfinite(ceiling) else ""
        first, *others = best
        if others:
            names = ", ".join(f"{named(name)} {mean[name]:.2f}" for name in best)
            words = f"No mechanism is shown to predict best: {names}{of}."
        else:
            second = max((name for name in self.mechanisms if name != first), key=lambda name: mean[name])
            gain, low, high = self.gain(first, second)[:, step]
            words = (
                f"{named(first).capitalize()} predicts the tables best: {mean[first]:.2f}{of}; {gain:.3f} "
                f"({low:.3f} to {high:.3f}) more than {named(second)}."
            )
        ends = [named(name) for name in best if self.at_edge[self._at(name), step]]
        return words + (f" The parameter of {' and '.join(ends)} is the largest tested." if ends else "")

    def _at(self, mechanism: Mechanism) -> int:
        choice(mechanism, "mechanism", self.mechanisms)
        return self.mechanisms.index(mechanism)

    def _row(self, mechanism: Mechanism) -> Float[np.ndarray, "steps samples"]:
        return np.asarray(self.correlation[self._at(mechanism)])

    def _interval(self, values: Float[np.ndarray, "steps samples"]) -> Float[np.ndarray, "2 steps"]:
        drawn = resampled_means(values, self.n_draws, self.seed)
        low, high = quantiles_over_draws(drawn[..., None], interval_edges(self.level, values.shape[-1]))
        return np.stack([low[:, 0], high[:, 0]])


def predict_tables(
    w_star: Selection,
    measured: Float[Tensor, "steps samples subsets"],
    *,
    near: Float[Tensor, "steps samples subsets"] | None = None,
    mechanisms: Sequence[Mechanism] = MECHANISMS,
    parameters: Mapping[Mechanism, Float[np.ndarray, " parameters"]] | None = None,
    level: float = 0.9,
    n_draws: int = 2000,
    seed: int = 0,
) -> TablePrediction:
    r"""Predict measured tables from the final network's interactions, by each mechanism, and compare them.

    $$r_{t,x} = \mathrm{corr}_T\left(v_t(T), \hat v_{\theta_{t,-x}}(T)\right), \qquad
      \theta_{t,-x} = \arg\max_\theta \sum_{x' \ne x} \mathrm{corr}_T\left(v_t(T), \hat v_\theta(T)\right)$$

    Parameters
    ----------
    w_star
        Interactions of the final network, shape ``(samples, 2**n)``: `target_weights`.
    measured
        Value tables of the same samples at the steps to predict, shape ``(steps, samples, 2**n)``.
    near
        Tables at a step near to each, for the ceiling: what no mechanism can be expected to exceed.
    mechanisms
        The mechanisms to compare.
    parameters
        Parameters to try, ascending, by mechanism; by default `default_parameters`.
    level, n_draws, seed
        Nominal coverage of the intervals; number and seed of the draws of samples.

    Raises
    ------
    ShapeError
        If samples or subsets differ.
    InputError
        If there are fewer than two samples: the parameter is fitted on the others.
    NonFiniteError
        If a table contains NaN or infinity.

    Notes
    -----
    Each prediction is made once for all steps; cost, besides `mechanism_tables`, ``steps * 2**n`` multiplications per
    sample and parameter. Samples are one source of chance, seeds another: an interval is about other samples of this
    training. Oracle: ``tests/test_prediction.py``. Source: this project; the paper compares order distributions.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> i_and = torch.randn(6, 32, generator=generator, dtype=torch.float64)
    >>> w_star = Selection(i_and, torch.zeros_like(i_and))
    >>> (before,) = mechanism_tables(w_star, "theory", [1e-3])
    >>> predict_tables(w_star, before[None]).sentence(0)
    'The theory predicts the tables best: 1.00; 0.0... (0.0... to 0.0...) more than ...'
    """
    measured, near = _checked(w_star, measured, near)
    level, n_draws, seed = check_level(level), draws(n_draws, "n_draws"), checked_seed(seed)
    names = tuple(choice(name, "mechanisms", MECHANISMS) for name in mechanisms)
    if not names:
        raise InputError("`mechanisms` must name one mechanism or more; got none. Leave it out for all.")
    unit = _standardised(measured)
    found = [_held_out(w_star, name, unit, (parameters or {}).get(name)) for name in names]
    ceiling = np.full(measured.shape[:2], np.nan)
    if near is not None:
        ceiling = _correlation(unit, _standardised(near)).cpu().numpy()
    correlation, parameter, at_edge = (np.stack(part) for part in zip(*found, strict=True))
    return TablePrediction(names, correlation, parameter, at_edge, ceiling, level, n_draws, seed)


def _held_out(
    w_star: Selection, mechanism: Mechanism, unit: Tensor, given: Float[np.ndarray, " parameters"] | None
) -> tuple[Float[np.ndarray, "steps samples"], Float[np.ndarray, " steps"], Bool[np.ndarray, " steps"]]:
    """Return the correlation of each sample with the parameter of the others, and the parameter of all."""
    tried = default_parameters(mechanism, w_star.n_players) if given is None else real_array(given, "parameters")
    if given is not None and (tried.ndim != 1 or not len(tried) or (np.diff(tried) <= 0).any()):
        raise InputError(f"`parameters` must ascend; got {tried.tolist()} for {mechanism!r}. Sort them.")
    tables = mechanism_tables(w_star, mechanism, tried)
    r = torch.stack([_correlation(unit, _standardised(table)) for table in tables]).cpu().numpy()
    known = np.nan_to_num(r, nan=0.0)  # a table that does not vary carries no information on a parameter
    total = known.sum(axis=-1)
    of_others = total[..., None] - known
    chosen = of_others.argmax(axis=0)
    best = total.argmax(axis=0)
    held_out = np.take_along_axis(r, chosen[None], axis=0)[0]
    at_edge = best == len(tried) - 1
    gains = total[-1] - total[-2:][0] > _LEVEL * r.shape[-1]
    return held_out, tried[best], at_edge & gains


def _standardised(tables: Float[Tensor, "*batch subsets"]) -> Float[Tensor, "*batch subsets"]:
    """Return tables minus their mean over masks, of length 1; NaN where a table does not vary."""
    centred = tables - tables.mean(dim=-1, keepdim=True)
    size = centred.norm(dim=-1, keepdim=True)
    varies = size > _FLAT * tables.norm(dim=-1, keepdim=True)
    return torch.where(varies, centred / size, torch.nan)


def _correlation(
    a: Float[Tensor, "steps samples subsets"], b: Float[Tensor, "*steps samples subsets"]
) -> Float[Tensor, "steps samples"]:
    """Return the products of standardised tables, a few steps at a time."""
    at_once = max(1, _BLOCK // a[0].numel())
    whole = b.expand_as(a) if b.ndim < a.ndim else b
    parts = [(x * y).sum(-1) for x, y in zip(torch.split(a, at_once), torch.split(whole, at_once), strict=True)]
    return torch.cat(parts)


def _checked(w_star: Selection, measured: Tensor, near: Tensor | None) -> tuple[Tensor, Tensor | None]:
    instance(w_star, "w_star", Selection, do="Pass the result of `target_weights`.")
    shape = tuple(w_star.i_and.shape)

    def checked(tables: Tensor, name: str) -> Tensor:
        tables = as_tensor(tables, name, dtype=torch.float64)
        if tables.ndim != 3 or tuple(tables.shape[1:]) != shape or not len(tables):
            raise ShapeError(
                f"`{name}` must have tables of the samples and players of `w_star` at one step or more, shape (steps, "
                f"samples, 2**n); got {tuple(tables.shape)} for {shape}. Measure the same samples and players."
            )
        if not bool(tables.isfinite().all()):
            raise NonFiniteError(f"`{name}` must be finite; got NaN or infinity. Leave such steps or samples out.")
        return tables.to(w_star.i_and.device)

    measured = checked(measured, "measured")
    near = None if near is None else checked(near, "near")
    if near is not None and len(near) != len(measured):
        raise ShapeError(
            f"`near` must have a step for each of {len(measured)}; got {len(near)}. Repeat one if necessary."
        )
    if shape[0] < 2:
        raise InputError(
            "`w_star` must have at least two samples, since the parameter of a mechanism is fitted on the others; got "
            "one. Measure more samples."
        )
    return measured, near


def named(mechanism: Mechanism) -> str:
    """Return the phrase for a mechanism in a sentence."""
    return {"nothing": "the final network itself", "joint theory": "the theory in one regression"}.get(
        mechanism, f"the {mechanism}"
    )
