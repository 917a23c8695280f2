"""The noisy regression: our Kronecker form at any size, the dense solve where it fits, and the fit of noise levels.

Run: ./run bench theory
"""

import argparse

import numpy as np
import torch

from _record import Record, seconds
from interdyn.theory import fit_noise, optimal_weights, row_norms, strength_by_level, target_weights, weights_by_level
from interdyn.values import Interactions, orders, subset_masks

LEVELS = np.geomspace(1e-18, 1e2, 60)


def dense_solve(w_star: np.ndarray, noise_var: float) -> np.ndarray:
    """Return the minimiser by the normal equations, with the matrices written out."""
    n = len(w_star).bit_length() - 1
    masks = subset_masks(n).astype(float)
    triggered = (masks @ masks.T == orders(n)).astype(float)
    gram = triggered.T @ triggered
    return np.asarray(np.linalg.solve(gram + np.diag(2.0**n * noise_var * 2.0 ** orders(n)), gram @ w_star))


def final_network(n: int, samples: int, *, seed: int = 0) -> Interactions:
    """Return interactions like those of a trained network: few, of all orders, low ones more often."""
    rng = np.random.default_rng(seed)
    keep = rng.random((2, samples, 2**n)) < np.minimum(0.9, 2.5 / (1 + orders(n)) ** 2)
    i_and, i_or = torch.from_numpy(keep * rng.normal(0.5, 1.5, keep.shape))
    i_or[:, orders(n) <= 1] = 0.0
    none = torch.zeros(samples, dtype=torch.float64)
    rest = torch.zeros_like(i_and)
    status = np.full(samples, "planted")
    return Interactions(i_and, i_or, residual=rest, objective=none, gap=none, status=status, noise_bound=none)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=20, help="size of the large table")
    options = parser.parse_args()
    record = Record("theory")
    n = options.players
    w_star = torch.randn(2**n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stream = seconds(lambda: [w[0] for w in weights_by_level(w_star, LEVELS)], repeats=3)
    record.add(f"n={n} 60 noise levels, one at a time", stream, "s", n=n)
    kept = seconds(lambda: optimal_weights(w_star, LEVELS), repeats=3)
    record.add(f"n={n} 60 noise levels, all kept", kept, "s", n=n)
    norms = seconds(lambda: row_norms(n, LEVELS), repeats=5)
    record.add(f"n={n} row norms at 60 noise levels", norms, "s", n=n)

    small = w_star[: 2**10].numpy()
    ours = seconds(lambda: optimal_weights(small, 1e-3), repeats=51, warm_up=5)
    dense = seconds(lambda: dense_solve(small, 1e-3), repeats=3)
    difference = np.abs(optimal_weights(small, 1e-3) - dense_solve(small, 1e-3)).max() / np.abs(small).max()
    record.add("n=10 one noise level, ours", ours * 1e3, "ms", n=10)
    record.add("n=10 one noise level, dense solve", dense * 1e3, "ms", n=10)
    record.add("n=10 ratio dense / ours", dense / ours, "times", n=10)
    record.add("n=10 largest difference, relative to max|w_star|", difference, "", n=10)

    final = final_network(10, 20)
    measured = strength_by_level(target_weights(final), np.geomspace(1e-1, 1e-8, 14))
    fit = seconds(lambda: fit_noise(final, measured), repeats=3)
    record.add("n=10 fit of 14 checkpoints with 1000 resamples", fit, "s", n=10, batch=20)
    record.write()


if __name__ == "__main__":
    main()
