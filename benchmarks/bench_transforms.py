"""All AND interactions of one table: ours, NumPy, shapiq's exact computer, the laboratory's dense matrix; large tables.

Run: ./run bench transforms
"""

import argparse
import time
import warnings

import numpy as np
import torch

from _record import Record, seconds
from interdyn.transforms import and_from_values, or_from_values, values_from_and, values_from_or
from interdyn.values import subset_masks


def by_shapiq(v: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Return the Möbius transform by shapiq and its time; the game is a look-up in the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from shapiq import ExactComputer

        weights = 1 << np.arange(n)
        start = time.perf_counter()
        found = ExactComputer(lambda masks: v[np.asarray(masks, dtype=np.int64) @ weights], n)("Moebius", n)
        taken = time.perf_counter() - start
    out = np.zeros_like(v)
    for players, position in found.interaction_lookup.items():
        out[sum(1 << p for p in players)] = found.values[position]
    return out, taken


def by_numpy(v: np.ndarray) -> np.ndarray:
    """Return the Möbius transform by a plain butterfly in NumPy."""
    x = v.copy()
    half = len(x) // 2
    while half:
        pairs = x.reshape(-1, 2, half)
        pairs[:, 1] -= pairs[:, 0]
        half //= 2
    return x


def record_large(record: Record, n: int) -> None:
    """Record the four transforms of a table that leaves the cache, against a copy of it."""
    v = np.random.default_rng(0).standard_normal(2**n)
    copy = seconds(v.copy, repeats=7)
    record.add(f"n={n} copy of the table", copy * 1e3, "ms", n=n)
    for transform in (and_from_values, values_from_and, or_from_values, values_from_or):
        taken = seconds(lambda transform=transform: transform(v), repeats=7)
        record.add(f"n={n} {transform.__name__}, ratio to a copy", taken / copy, "times", n=n)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, nargs="+", default=[10, 12, 16])
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = Record("transforms")
    for n in options.players:
        v = np.random.default_rng(0).standard_normal(2**n)
        tensor = torch.from_numpy(v)
        ours = seconds(lambda tensor=tensor: and_from_values(tensor), repeats=51, warm_up=5)
        plain = seconds(lambda v=v: by_numpy(v), repeats=51, warm_up=5)
        record.add(f"n={n} plain butterfly in NumPy", plain * 1e3, "ms", n=n)
        record.add(f"n={n} ratio NumPy / ours", plain / ours, "times", n=n)
        theirs, taken = by_shapiq(v, n)
        difference = np.abs(theirs - and_from_values(v))[1:].max()  # shapiq leaves the empty set out of the transform
        record.add(f"n={n} ours", ours * 1e3, "ms", n=n)
        record.add(f"n={n} shapiq ExactComputer", taken * 1e3, "ms", n=n)
        record.add(f"n={n} ratio shapiq / ours", taken / ours, "times", n=n)
        record.add(f"n={n} largest difference, relative to max|I|", difference / np.abs(theirs).max(), "", n=n)
        if n <= 12:
            masks = torch.from_numpy(subset_masks(n).astype(np.float64))
            order = masks.sum(1)
            inside = (masks @ masks.T) == order[None, :]
            sign = (-1.0) ** ((order[:, None] - order[None, :]) % 2)
            dense = torch.where(inside, sign, 0.0)
            product = seconds(lambda dense=dense, tensor=tensor: dense @ tensor, repeats=21)
            record.add(f"n={n} one product with the dense matrix", product * 1e3, "ms", n=n)
    record_large(record, 22)
    record.write()


if __name__ == "__main__":
    main()
