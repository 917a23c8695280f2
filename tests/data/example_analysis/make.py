"""Make the synthetic run beside this file: a made-up course like that of a small network on digits.

Not measured on any network. Run `python tests/data/example_analysis/make.py` to write the files again.
"""

import json
from pathlib import Path

import numpy as np

N, STEPS = 10, [0, 4, 8, 15, 27, 48, 86, 150, 260, 450, 780, 1300, 2000, 3000, 4300, 6000]
BOUNDARY = 8  # index of step 260


def shares(mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distributions over orders with those means: shifted binomials, a little roughened."""
    k = np.arange(N)
    binomial = np.array([1, 9, 36, 84, 126, 126, 84, 36, 9, 1])
    p = ((mean - 1) / (N - 1))[:, None]
    raw = binomial * p**k * (1 - p) ** (N - 1 - k)
    raw = raw * np.exp(0.06 * rng.standard_normal(raw.shape)) + 0.002
    return raw / raw.sum(axis=1, keepdims=True)


def course(start: float, low: float, end: float) -> np.ndarray:
    """Mean order: down to the boundary, up afterwards."""
    t = len(STEPS)
    down = low + (start - low) * (1 - np.linspace(0, 1, BOUNDARY + 1)) ** 1.4
    up = low + (end - low) * np.linspace(0, 1, t - BOUNDARY) ** 0.9
    return np.concatenate([down, up[1:]])


def plain(x: np.ndarray) -> list:
    return [plain(row) if np.ndim(row) else (None if np.isnan(row) else float(f"{row:.4g}")) for row in x]


def group(mean: np.ndarray, samples: int, rng: np.random.Generator) -> dict:
    q = shares(mean, rng)
    order = q @ np.arange(1, N + 1)
    half = 0.10 + 0.8 / np.sqrt(samples) * order / 4
    spread = 0.15 * q + 0.004
    size = np.linspace(0.4, 9, len(STEPS))[:, None]
    parts = {"and_positive": 0.42, "and_negative": 0.18, "or_positive": 0.28, "or_negative": 0.12}
    per_sample = order[:, None] + 0.4 * rng.standard_normal((len(STEPS), samples))
    per_sample[0, 0] = np.nan
    return {
        "n_samples": samples,
        "sample_ids": list(range(samples)),
        "order_distribution": plain(q),
        "order_distribution_low": plain(np.maximum(q - spread, 0)),
        "order_distribution_high": plain(q + spread),
        "mean_order": plain(order),
        "mean_order_low": plain(order - half),
        "mean_order_high": plain(order + half),
        "strength": {kind: plain(share * size * q * (1 + 0.1 * rng.random(q.shape))) for kind, share in parts.items()},
        "unit": "log-odds",
        "n_salient": plain(np.linspace(24, 61, len(STEPS))),
        "per_sample_mean_order": plain(per_sample),
    }


def theory_of(q: np.ndarray, rng: np.random.Generator) -> tuple[list[dict], np.ndarray]:
    """A made-up fit: near the measured shares in phase 2, far from them before."""
    drift = np.where(np.arange(len(STEPS)) < BOUNDARY, 0.35, 0.05)[:, None]
    other = np.roll(q, 1, axis=1) * 0.5 + q * 0.5
    expected = (1 - drift) * q + drift * other * np.exp(0.3 * rng.standard_normal(q.shape))
    expected /= expected.sum(axis=1, keepdims=True)
    expected[-1] = q[-1]
    noise = 10 ** np.linspace(-1, -8.5, len(STEPS))
    rows = []
    for i, step in enumerate(STEPS):
        inside, last = i >= BOUNDARY, i == len(STEPS) - 1
        tv = 0.0 if last else (0.02 + 0.07 * (len(STEPS) - i) / len(STEPS) if inside else 0.18 + 0.03 * (BOUNDARY - i))
        away = (len(STEPS) - 1 - i) / len(STEPS)
        sentence = (
            "The last network supplies w*: the match is exact by construction."
            if last
            else "Nearest noise variance: near the measured distribution."
            if inside
            else "This is phase 1, which the theory is not about."
        )
        rows.append(
            {
                "step": step,
                "noise_var": None if last else float(f"{noise[i]:.3g}"),
                "noise_var_low": None if last else float(f"{noise[i] / 4:.3g}"),
                "noise_var_high": None if last else float(f"{noise[i] * 3:.3g}"),
                "tv_distance": round(tv, 4),
                "tv_low": round(tv * 0.7, 4),
                "tv_high": round(tv * 1.4, 4),
                "tv_null_sigma0": round(0.45 * away + (0 if inside else 0.15), 4),
                "tv_null_tilt": round(0.16 * away + 0.03 * (not last) + (0 if inside else 0.15), 4),
                "in_phase_2": bool(inside),
                "sentence": sentence,
            }
        )
    return rows, expected


def prediction_of() -> dict:
    """A made-up prediction: the theory best in phase 2, the noise operator near it, nothing predicts phase 1."""
    t = np.arange(len(STEPS)) / (len(STEPS) - 1)
    means = {"theory": 0.8, "joint theory": 0.85, "tilt": 0.55, "noise operator": 0.78, "nothing": 0.5}
    mechanisms = {}
    for name, start in means.items():
        r = start * (0.3 + 0.7 * t) + (1 - start) * t**3
        r[-1] = np.nan
        mechanisms[name] = {
            "correlation": {"value": plain(r), "low": plain(r - 0.03), "high": plain(r + 0.02)},
            "parameter": plain(np.where(t < 1, 1 - t, np.nan)),
            "at_edge": [False] * len(STEPS),
            "distance": plain(np.where((t < 1) & (np.arange(len(STEPS)) >= BOUNDARY), 0.4 * (1 - start), np.nan)),
        }
    near = [float(STEPS[min(i + 1, len(STEPS) - 3)]) for i in range(len(STEPS) - 1)]
    sentence = (
        "The theory in one regression predicts the tables better than any rival: 0.85 of 0.97 against 0.78 for the "
        "noise operator (+0.070, +0.051 to +0.089)."
    )
    summary = {
        "n_steps": len(STEPS) - 1 - BOUNDARY,
        "correlation": means,
        "low": {name: mean - 0.03 for name, mean in means.items()},
        "high": {name: mean + 0.02 for name, mean in means.items()},
        "ceiling": 0.97,
        "best": ["joint theory"],
        "theory": "joint theory",
        "rival": "noise operator",
        "gain": 0.07,
        "gain_low": 0.051,
        "gain_high": 0.089,
        "distance": {name: 0.4 * (1 - mean) for name, mean in means.items()},
        "sentence": sentence,
    }
    return {
        "mechanisms": mechanisms,
        "ceiling": plain(np.append(0.9 + 0.08 * t[:-1], np.nan)),
        "near": [*near, None],
        "n_samples": 24,
        "n_split": 8,
        "level": 0.9,
        "phase_2": summary,
        "whole": summary,
    }


def example() -> dict[str, dict]:
    """Return the three JSON objects of the run."""
    rng = np.random.default_rng(20240719)
    test = group(course(3.6, 1.5, 2.5), 24, rng)
    wrong = group(course(3.65, 1.9, 3.4), 16, rng)
    rows, expected = theory_of(np.array(test["order_distribution"]), rng)
    x = np.array(STEPS, dtype=float)
    train = 2.3 * np.exp(-((x / 60) ** 0.6)) + 0.002 + 0.25 * np.exp(-((x / 1500) ** 1.3))
    late = np.maximum(np.log(np.maximum(x, 1) / STEPS[BOUNDARY]), 0)
    summary = {
        "schema": 1,
        "recipe": "synthetic-example",
        "version": "0.1.0",
        "steps": STEPS,
        "n_players": N,
        "n_samples": 24,
        "orders": list(range(1, N + 1)),
        "order_distribution": test["order_distribution"],
        "mean_order": test["mean_order"],
        "train_loss": plain(train),
        "test_loss": plain(train + 0.01 + 0.24 * late),
        "train_accuracy": plain(1 - 0.9 * np.exp(-((x / 60) ** 0.6)) - 0.08 * np.exp(-((x / 1500) ** 1.3))),
        "test_accuracy": plain(0.9 - 0.8 * np.exp(-((x / 60) ** 0.6)) - 0.01 * late),
        "phases": {
            "found": True,
            "boundary_step": STEPS[BOUNDARY],
            "interval": [150, 450],
            "gap_onset_step": 300,
            "gap_interval": [170, 520],
            "status": "two phases found",
            "spindle": True,
            "sentences": ["The untrained network favours medium orders, as expected of random weights."],
        },
        "theory": rows,
        "theory_summary": {
            "mean_tv_phase_2": 0.045,
            "mean_tv_null_sigma0": 0.12,
            "mean_tv_null_tilt": 0.075,
            "noise_rank_correlation": -1.0,
            "sentence": "In phase 2 the theory's distribution is nearer than both nulls; noise falls.",
        },
        "prediction": prediction_of(),
        "solver": {"mean_gap": 0.0009, "max_gap": 0.004, "max_residual": 0.019},
        "seconds": {"training": 41.2, "forward_passes": 12.9, "everything_else": 78.4},
        "forward_passes": len(STEPS) * 40 * 2**N,
        "verdict": [
            "Until about step 260 the network dropped intricate interactions and learned simple ones.",
            "From then on the interactions grew in order, and the test loss fell behind the training loss.",
            "Mislabelled samples are explained by interactions of higher order than test samples.",
        ],
    }
    analysis = {
        "schema": 1,
        "groups": {"test": test, "mislabelled": wrong},
        "theory": {"order_distribution": plain(expected)},
    }
    run = {
        "kind": "interdyn-run",
        "schema": 1,
        "recipe_name": "synthetic-example",
        "config_hash": "0" * 64,
        "steps": STEPS,
        "groups": ["test", "mislabelled"],
        "created": "2024-07-19T00:00:00+00:00",
        "version": "0.1.0",
    }
    return {"run.json": run, "summary.json": summary, "analysis.json": analysis}


if __name__ == "__main__":
    for name, content in example().items():
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        (Path(__file__).parent / name).write_text(text + "\n", encoding="utf-8")
