"""Known worlds: tables made by each mechanism, and how often they are given back to it, to none, or to a rival.

A world has a final network with few interactions of all orders, and tables that one mechanism makes of them, with noise
of a part of their spread. What is recorded, of so many worlds for each mechanism and size of noise, is the share that
is given to the mechanism alone, and the share that is given to rivals without it, which is the rate of false claims;
the rest is "no mechanism is shown to predict best". In worlds of a rival also the share in which the theory is said to
predict better than any rival.

Run: ./run bench prediction
"""

import argparse
from functools import partial

import torch

from _record import Record, seconds
from bench_theory import final_network
from interdyn.theory import Mechanism, mechanism_tables, predict_tables
from interdyn.values import Selection

STRENGTHS: dict[Mechanism, tuple[float, ...]] = {
    "theory": (1e-4, 1e-2),
    "joint theory": (1e-4, 1e-2),
    "tilt": (0.3, 1.0),
    "noise operator": (0.1, 0.3),
    "nothing": (0.0,),
}


def world(mechanism: Mechanism, *, n: int, samples: int, noise: float, seed: int) -> tuple[Selection, torch.Tensor]:
    """Return final interactions and the tables of one step."""
    final = final_network(n, samples, seed=seed)
    w_star = Selection(final.i_and, final.i_or)
    strength = STRENGTHS[mechanism][seed % len(STRENGTHS[mechanism])]
    (made,) = mechanism_tables(w_star, mechanism, [strength])
    generator = torch.Generator().manual_seed(seed)
    spread = noise * made.std(dim=-1, keepdim=True)
    return w_star, made + spread * torch.randn(made.shape, generator=generator, dtype=torch.float64)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100, help="of each mechanism and size of noise")
    parser.add_argument("--players", type=int, default=7)
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    n, batch = options.players, options.samples
    record = Record("prediction")
    for mechanism in STRENGTHS:
        for noise in (0.05, 0.3):
            own = wrong = claimed = 0
            for seed in range(options.worlds):
                w_star, tables = world(mechanism, n=n, samples=batch, noise=noise, seed=seed)
                found = predict_tables(w_star, tables[None])
                best = found.best(0)
                claimed += "better than any rival" in found.for_the_theory()
                own += best == (mechanism,)
                wrong += mechanism not in best
            title = f"{mechanism}, noise {noise:.0%} of the spread"
            record.add(f"{title}: given to it alone", own / options.worlds, "of 1", n=n, batch=batch)
            record.add(f"{title}: given to rivals", wrong / options.worlds, "of 1", n=n, batch=batch)
            if mechanism not in ("theory", "joint theory"):
                record.add(f"{title}: said to be the theory's", claimed / options.worlds, "of 1", n=n, batch=batch)
    for players in (10, 16):
        w_star, tables = world("theory", n=players, samples=4, noise=0.05, seed=0)
        for mechanism in STRENGTHS:
            only = partial(predict_tables, w_star, tables[None], mechanisms=[mechanism])
            cost = seconds(only, repeats=1, warm_up=0)
            record.add(f"n={players} {mechanism}: one step of a sample", cost / 4, "s", n=players, batch=4)
    record.write()


if __name__ == "__main__":
    main()
