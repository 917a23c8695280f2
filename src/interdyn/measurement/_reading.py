"""What a measurement shows about each sample: small enough to keep for every step of a training."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from interdyn._arguments import instance, told, whole, whole_row
from interdyn.errors import InputError, ShapeError
from interdyn.spectra import OrderProfile, SalienceRule, order_profile, order_spectrum, output_without
from interdyn.transforms import values_from_and, values_from_or
from interdyn.values import Interactions, OrderSpectrum

_SAME = 1e-5  # of the range of a table: a player with a smaller effect, in single precision, has none


@dataclass(frozen=True)
class Reading:
    """One group of samples at one step.

    Attributes
    ----------
    step, group
        Optimiser step; name of the group.
    sample_ids, labels
        Number and class of each sample, shape ``(samples,)``; no labels if not known.
    output
        ``v(N)``: with all players present, shape ``(samples,)``.
    without
        The same without each player, shape ``(samples, n)``; NaN for a player that never changes the output, such as
        those that pad a sample of fewer players.
    profile
        Orders and cancellation.
    unit
        Unit of the outputs.
    of_classes
        Whether the output is that of each sample's class; else of one label, which a sample may not have.
    """

    step: int
    group: str
    sample_ids: Int[np.ndarray, " samples"]
    labels: Int[np.ndarray, " samples"] | None
    output: Float[np.ndarray, " samples"]
    without: Float[np.ndarray, "samples players"]
    profile: OrderProfile
    unit: str
    of_classes: bool = True

    @property
    def mark(self) -> Hashable:
        """The key that readings of a group which belong together share: the samples and numbers of players."""
        return self.group, self.sample_ids.tobytes(), self.without.shape[-1]


def reading(
    found: Interactions,
    *,
    labels: Sequence[int] | Int[np.ndarray, " samples"] | None = None,
    group: str = "train",
    step: int = 0,
    sample_ids: Sequence[int] | Int[np.ndarray, " samples"] | None = None,
    salience: float | None = None,
    salience_rule: SalienceRule = "mean-effect",
    spectrum: OrderSpectrum | None = None,
) -> Reading:
    """Return what interactions show about each sample; for `sample_table`.

    Parameters
    ----------
    found
        A batch of samples, from `interdyn.measure`; shape ``(samples, 2**n)``.
    labels
        Class of each sample as used in training: the one whose output was measured.
    group
        A name that starts with ``train`` marks samples that are trained on.
    step
        Optimiser step.
    sample_ids
        A number for each sample; by default 0, 1, 2 ...
    salience, salience_rule
        As in `interdyn.spectra.order_spectrum`.
    spectrum
        Unit of the interactions, if known.

    Raises
    ------
    ShapeError
        If there is not one table per sample, or labels or numbers do not fit.

    Examples
    --------
    >>> import torch
    >>> zeros, one = torch.zeros(1, 4, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    >>> i_and = torch.tensor([[5.0, 1.0, 2.0, -4.0]], dtype=torch.float64)
    >>> found = Interactions(i_and, zeros, "nat", residual=zeros, objective=one, gap=one, status="", noise_bound=one)
    >>> reading(found, labels=[3]).output, reading(found, labels=[3]).without
    (array([4.]), array([[7., 6.]]))
    """
    instance(found, "found", Interactions, do="Pass the result of `measure`.")
    step = whole(step, "step")
    if not isinstance(group, str) or not group:
        raise InputError(f'`group` must be a name; got {told(group)}. Pass "train", for example.')
    if len(found.batch_shape) != 1 or not found.batch_shape[0]:
        raise ShapeError(
            f"`found` must have one table for each of one or more samples; got a batch of shape {found.batch_shape}. "
            "Measure a batch of samples."
        )
    samples = found.batch_shape[0]
    ids = np.arange(samples) if sample_ids is None else np.array(whole_row(sample_ids, "sample_ids"), dtype=np.int64)
    classes = None if labels is None else np.array(whole_row(labels, "labels"), dtype=np.int64)
    for name, given in (("sample_ids", ids), ("labels", classes)):
        if given is not None and given.shape != (samples,):
            raise ShapeError(f"`{name}` must have one number for each of {samples} samples; got shape {given.shape}.")
    v = (values_from_and(found.i_and) + values_from_or(found.i_or) + found.residual).detach().cpu().numpy()
    without = np.where(_changes_something(v), output_without(found), np.nan)
    if spectrum is None:
        spectrum = order_spectrum(found, salience=salience, salience_rule=salience_rule)
    of_classes, profile = found.settings.get("output") != "multi-label", order_profile(spectrum)
    return Reading(step, group, ids, classes, v[:, -1].copy(), without, profile, found.unit, of_classes)


def _changes_something(v: Float[np.ndarray, "samples subsets"]) -> np.ndarray:
    """Return which players change the output under some mask, shape ``(samples, n)``."""
    samples, size = v.shape
    limit = _SAME * (v.max(axis=1) - v.min(axis=1))
    out = []
    for bit in range(size.bit_length() - 1):
        pairs = v.reshape(samples, -1, 2, 2**bit)
        out.append(np.abs(pairs[:, :, 1] - pairs[:, :, 0]).max(axis=(1, 2)) > limit)
    return np.stack(out, axis=1) if out else np.zeros((samples, 0), dtype=bool)
