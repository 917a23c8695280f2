"""Tables over the ``2**n`` subsets: network outputs and interactions (torch float64)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interdyn._arguments import number, whole
from interdyn.errors import InputError
from interdyn.values._convert import checked_key, hold, moved
from interdyn.values._identified import Identified
from interdyn.values._names import Names, checked_names, labels, names_of_samples
from interdyn.values._notebook import table_html, terms_html
from interdyn.values._registry import accessor
from interdyn.values._subsets import members, n_players_from_size, orders, subset_from_members

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame
    from shap import Explanation
    from shapiq import InteractionValues
    from xarray import Dataset

_S = TypeVar("_S", bound="Selection")
_SHOWN = 8  # interactions of a sample, or samples, in a notebook


class Pair(NamedTuple):
    """The AND and the OR interaction of one subset."""

    i_and: Tensor
    i_or: Tensor


class Term(NamedTuple):
    """One interaction: its kind (``"and"`` or ``"or"``), its players and its value."""

    kind: str
    players: tuple[int, ...]
    value: float


class Terms(tuple[Term, ...]):
    """Interactions by descending strength; prints as a table, with the ``names`` of players if they have any."""

    names: tuple[str, ...]

    def __new__(cls, terms: Iterable[Term] = (), names: tuple[str, ...] = ()) -> "Terms":
        out = super().__new__(cls, terms)
        out.names = names
        return out

    def labelled(self) -> list[tuple[str, list[str], float]]:
        """Return kind, names (or numbers) of the players and value of each interaction."""
        return [(t.kind, labels(t.players, self.names), t.value) for t in self]

    def __repr__(self) -> str:
        lines, between = [f"{'value':>10}  kind  players"], ", " if self.names else " "
        lines += [f"{value:>+10.4g}  {kind.upper():<4}  {between.join(who)}" for kind, who, value in self.labelled()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return terms_html(self.labelled())


@dataclass(frozen=True)
class ValueTable:
    """Outputs of a network on all ``2**n`` masked versions of each sample.

    Attributes
    ----------
    values
        float64, shape ``(*batch, 2**n)``; entry ``t`` keeps the players whose bits are set in ``t``.
    unit
        Unit of the output, for example ``"log-odds"``.
    forward_passes
        Masked inputs given to the network (rows, not batches).
    seconds
        Wall time of the forward passes.
    provenance
        What made the table: model, baseline, players, seed, versions; plain data.
    names
        Names of the players: one for each, or a row of them for each sample; empty if they have numbers only.
    """

    values: Float[Tensor, "*batch subsets"]
    unit: str = ""
    forward_passes: int = 0
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    names: Names = ()

    def __post_init__(self) -> None:
        hold(self, values=None)
        if self.names:
            object.__setattr__(self, "names", checked_names(self.names, self.n_players, self.values.shape[:-1]))

    def to(self, device: torch.device | str) -> "ValueTable":
        """Return the same table on ``device``."""
        return moved(self, device)

    @property
    def n_players(self) -> int:
        """Number of players ``n``."""
        return n_players_from_size(self.values.shape[-1])

    def __repr__(self) -> str:
        low, high = (float(self.values.min()), float(self.values.max())) if self.values.numel() else (0.0, 0.0)
        return (
            f"ValueTable(n={self.n_players}, batch={tuple(self.values.shape[:-1])}, "
            f"in [{low:.3g}, {high:.3g}] {self.unit})"
        )


@dataclass(frozen=True)
class Selection:
    """AND and OR interactions of some subsets; all others are zero.

    Attributes
    ----------
    i_and, i_or
        float64, shape ``(*batch, 2**n)``; entry ``s`` is the interaction of the players whose bits are set in ``s``.
    unit
        Unit of the interactions, that of the network output.
    names
        Names of the players: one for each, or a row of them for each sample; empty if they have numbers only.
    """

    i_and: Float[Tensor, "*batch subsets"]
    i_or: Float[Tensor, "*batch subsets"]
    unit: str = ""
    names: Names = ()

    def __post_init__(self) -> None:
        hold(self, i_and=None)
        hold(self, i_or=tuple(self.i_and.shape))
        if self.names:
            object.__setattr__(self, "names", checked_names(self.names, self.n_players, self.batch_shape))

    def to(self: _S, device: torch.device | str) -> _S:
        """Return the same record with all tensors on ``device``."""
        return moved(self, device)

    @property
    def n_players(self) -> int:
        """Number of players ``n``."""
        return n_players_from_size(self.i_and.shape[-1], "i_and")

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the sample axes, ``()`` for a single table."""
        return tuple(self.i_and.shape[:-1])

    def pair(self, players: Sequence[int]) -> Pair:
        """Return the AND and the OR interaction of one set of players, each of shape ``(*batch,)``."""
        subset = subset_from_members(players, self.n_players)
        return Pair(self.i_and[..., subset], self.i_or[..., subset])

    def _masked(self, keep_and: Tensor, keep_or: Tensor) -> "Selection":
        zero = self.i_and.new_zeros(())
        i_and, i_or = torch.where(keep_and, self.i_and, zero), torch.where(keep_or, self.i_or, zero)
        return Selection(i_and, i_or, self.unit, self.names)

    def get_n_order(self, order: int) -> "Selection":
        """Return the interactions among exactly ``order`` players; all others are zero.

        Raises
        ------
        InputError
            If ``order`` is not in ``0..n``.
        """
        n = self.n_players
        order = whole(order, "order", most=n, do=f"This result has {n} players.")
        keep = torch.from_numpy(orders(n) == order).to(self.i_and.device)
        return self._masked(keep, keep)

    def get_top_k(self, k: int) -> "Selection":
        """Return the ``k`` strongest interactions of each table, AND and OR together; the constant never counts.

        Raises
        ------
        InputError
            If ``k`` is negative.
        """
        k = whole(k, "k")
        size = self.i_and.shape[-1]
        both = torch.cat([self.i_and, self.i_or], dim=-1).abs()
        both[..., [0, size]] = -1.0
        index = both.topk(min(k, 2 * size - 2), dim=-1).indices
        keep = torch.zeros_like(both, dtype=torch.bool).scatter_(-1, index, value=True)
        return self._masked(keep[..., :size], keep[..., size:])

    def sparsify(self, threshold: float) -> "Selection":
        """Return the interactions of absolute value ``>= threshold``; the constant is kept."""
        threshold = number(threshold, "threshold", least=0)
        keep_and, keep_or = self.i_and.abs() >= threshold, self.i_or.abs() >= threshold
        keep_and[..., 0] = True
        return self._masked(keep_and, keep_or)

    def terms(self, k: int | None = None) -> Terms:
        """Return the non-zero interactions of a single table by descending strength, at most ``k``.

        Raises
        ------
        InputError
            If there is more than one table; take one with ``[i]`` first.
        """
        if self.batch_shape:
            raise InputError(
                f"`terms` lists the interactions of one sample; got a batch of shape {self.batch_shape}. "
                "Take one sample first, for example `found[0].terms()`."
            )
        k = None if k is None else whole(k, "k")
        both = torch.stack([self.i_and, self.i_or]).cpu().numpy().copy()
        both[:, 0] = 0.0
        flat = np.abs(both).ravel()
        index = np.argsort(-flat, kind="stable")[: np.count_nonzero(flat)][:k]
        kinds, subsets = np.unravel_index(index, both.shape)
        found = zip(kinds, subsets, strict=True)
        terms = (Term(("and", "or")[kind], members(int(s)), float(both[kind, s])) for kind, s in found)
        return Terms(terms, self.names)  # type: ignore[arg-type]  # one table has no rows of names

    def top(self, k: int = 10) -> Terms:
        """Return the ``k`` strongest interactions of a single table; the result prints as a table."""
        return self.terms(k)

    def to_pandas(self) -> "DataFrame":
        """Return a row for each interaction that is not zero; see `interdyn.exports.to_pandas`."""
        return accessor("to_pandas")(self)

    def to_shap(self, *, data: Any = None, names: Sequence[str] | None = None) -> "Explanation":
        """Return Shapley values for SHAP's plots; see `interdyn.exports.to_shap`."""
        return accessor("to_shap")(self, data=data, names=names)

    def to_shapiq(self, *, kind: Literal["total", "and", "or"] = "total") -> "InteractionValues":
        """Return the interactions of one sample for shapiq; see `interdyn.exports.to_shapiq`."""
        return accessor("to_shapiq")(self, kind=kind)

    def to_xarray(self) -> "Dataset":
        """Return a data set with named axes; see `interdyn.exports.to_xarray`."""
        return accessor("to_xarray")(self)


@dataclass(frozen=True, repr=False, kw_only=True)
class Interactions(Selection):
    """AND and OR interactions that explain a table, the residual, and the quality of the explanation.

    ``v(T) = sum_{S <= T} i_and(S) + sum_{S meets T} i_or(S) + residual(T)`` for every subset ``T``
    (paper, section 2, universal matching). ``found[(0, 3)]`` is the pair of interactions of players 0 and 3;
    ``found[i]`` is sample ``i``.

    Attributes
    ----------
    i_and, i_or
        float64, shape ``(*batch, 2**n)``. The constant is ``i_and[..., 0]``; ``i_or[..., 0]`` is 0.
    residual
        ``v`` minus the explanation, shape ``(*batch, 2**n)``; at most ``noise_bound`` in absolute value.
    objective
        Sum of ``|i_and| + |i_or|`` without the constant, each weighted by its order, shape ``(*batch,)``.
    gap
        Certified relative distance from the smallest possible objective, shape ``(*batch,)``; see `sparsify.split`.
    status
        One sentence for each table, a NumPy array of strings of shape ``(*batch,)``.
    noise_bound
        The absolute bound on the residual, shape ``(*batch,)``.
    identified
        What sparsity alone leaves open; only on request, see `measure`.
    settings
        The options that produced this result; plain data.
    forward_passes, seconds
        Cost: masked inputs given to the network; wall time by part (``"forward"``, ``"split"``).
    """

    residual: Float[Tensor, "*batch subsets"]
    objective: Float[Tensor, "*batch"]
    gap: Float[Tensor, "*batch"]
    status: np.ndarray | str
    noise_bound: Float[Tensor, "*batch"]
    identified: Identified | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    forward_passes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        batch = self.batch_shape
        hold(self, residual=tuple(self.i_and.shape), objective=batch, gap=batch, noise_bound=batch)

    @overload
    def __getitem__(self, key: tuple[int, ...]) -> Pair: ...

    @overload
    def __getitem__(self, key: int | slice | Tensor) -> "Interactions": ...

    def __getitem__(self, key: Any) -> "Pair | Interactions":
        """Return a `Pair` for a tuple of players, the sample(s) for an index or slice of the first axis."""
        if isinstance(key, tuple):
            return self.pair(key)
        return self.sample(key)

    def __iter__(self) -> Iterator["Interactions"]:
        return (self.sample(i) for i in range(len(self)))

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("a single table has no length; it has no sample axis")
        return self.batch_shape[0]

    def save(self, path: str | Path) -> None:
        """Write the complete result into one file; see `interdyn.exports.save_interactions`."""
        accessor("save_interactions")(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "Interactions":
        """Return what `save` wrote; see `interdyn.exports.load_interactions`."""
        found: Interactions = accessor("load_interactions")(path)
        return found

    @property
    def plot(self) -> Any:
        """Figures: ``found.plot.waterfall(0)``, ``found.plot.top()``; see `interdyn.plot.ResultPlots`."""
        return accessor("ResultPlots")(self)

    def plot_sample(
        self,
        inputs: Any = None,
        *,
        players: Any = None,
        names: Sequence[str] | None = None,
        k: int = 5,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """Draw the strongest interactions of one sample on the sample itself; see `interdyn.plot.plot_sample`."""
        drawn: Axes = accessor("plot_sample")(self, inputs, players=players, names=names, k=k, ax=ax)
        return drawn

    def plot_sparsity(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw the strength of all interactions, sorted; see `interdyn.plot.plot_sparsity`."""
        return accessor("plot_sparsity")(self, ax=ax)  # type: ignore[no-any-return]

    def sample(self, key: int | slice | Tensor) -> "Interactions":
        """Return the sample(s) ``key`` of the first batch axis.

        Raises
        ------
        InputError
            If this is already a single table.
        """
        if not self.batch_shape:
            raise InputError(
                f"this is a single table, with no samples to choose from; got index {key!r}. "
                "For the interaction of a set of players pass a tuple, for example `found[(0, 3)]`."
            )
        key = checked_key(key, self.batch_shape[0])
        rows: Any = key.cpu().numpy() if isinstance(key, Tensor) else key
        parts: dict[str, Any] = {
            f.name: value[rows if isinstance(value, np.ndarray) else key]
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor | np.ndarray | Identified)
        }
        return replace(self, **parts, names=names_of_samples(self.names, rows))

    def __repr__(self) -> str:
        size = self.i_and.shape[-1]
        spread = [
            f"{name}: {size} in [{float(x.min()):.3g}, {float(x.max()):.3g}]"
            for name, x in (("and", self.i_and), ("or", self.i_or))
            if x.numel()
        ]
        worst = f"gap <= {float(self.gap.max()):.1e}, " if self.gap.numel() else ""
        largest = f"|residual| <= {float(self.residual.abs().max()):.2g}" if self.residual.numel() else "empty"
        return (
            f"Interactions(n={self.n_players}, batch={self.batch_shape}, {', '.join(spread)} {self.unit}, "
            f"{worst}{largest})"
        )

    def _repr_html_(self) -> str:
        """Return the strongest interactions of one sample, or the strongest of each of the first samples."""
        if not self.batch_shape:
            gap, rest = float(self.gap), float(self.residual.abs().max())
            note = f"{self.n_players} players; gap {gap:.1e} or less, at most {rest:.2g} {self.unit} left unexplained"
            return terms_html(self.top(_SHOWN).labelled(), unit=self.unit, note=note)
        if len(self.batch_shape) > 1:
            return f"<pre>{escape(repr(self))}</pre>"
        rows = []
        for i, one in enumerate(self[:_SHOWN]):
            term, value = "none", ""
            for kind, who, strength in one.top(1).labelled():
                term, value = escape(f"{kind.upper()} {', '.join(who)}"), f"{strength:+.3g}"
            rows.append([str(i), term, value, f"{float(one.objective):.3g}", f"{float(one.gap):.1e}"])
        left = len(self) - len(rows)
        note = f"{self.n_players} players, {self.unit}" + (f"; {left} more samples" if left else "")
        heads = ["sample", "strongest interaction", "its value", "sum of all", "gap"]
        return table_html(heads, rows, note=f"{note}. One sample: found[i]")
