"""Slow twins: the definitions, written to be read. Never imported by the package."""

import itertools

import numpy as np


def subsets(s: int) -> list[int]:
    """All subsets of ``s``, by going through every integer."""
    return [t for t in range(s + 1) if t & s == t]


def and_by_definition(v: np.ndarray) -> np.ndarray:
    """I_and(S) = sum over T <= S of (-1)^(|S|-|T|) v(T)."""
    out = np.zeros_like(v)
    for s in range(len(v)):
        out[s] = sum((-1) ** (s.bit_count() - t.bit_count()) * v[t] for t in subsets(s))
    return out


def or_by_definition(v: np.ndarray) -> np.ndarray:
    """I_or(S) = - sum over T <= S of (-1)^(|S|-|T|) v(N without T), and v({}) at the empty set."""
    full = len(v) - 1
    out = np.zeros_like(v)
    out[0] = v[0]
    for s in range(1, len(v)):
        out[s] = -sum((-1) ** (s.bit_count() - t.bit_count()) * v[full ^ t] for t in subsets(s))
    return out


def walsh_by_definition(v: np.ndarray) -> np.ndarray:
    """``w(S) = 2^-n sum_T (-1)^|S & T| v(T)``, one subset after the other."""
    size = v.shape[-1]
    signs = np.array([[(-1) ** (s & t).bit_count() for t in range(size)] for s in range(size)])
    return v @ signs.T / size


def explained(i_and: np.ndarray, i_or: np.ndarray) -> np.ndarray:
    """v(T) = sum of AND interactions inside T, plus of OR interactions that meet T, plus both constants."""
    out = np.zeros_like(i_and)
    for t in range(len(out)):
        out[t] = i_or[0] + sum(i_and[s] for s in subsets(t))
        out[t] += sum(i_or[s] for s in range(1, len(out)) if s & t)
    return out


def explanation_matrix(n: int) -> np.ndarray:
    """The dense ``[Z W]`` of shape ``(2**n, 2 * 2**n)``; W's column of the empty set is zero."""
    size = 2**n
    z = np.array([[float(s & t == s) for s in range(size)] for t in range(size)])
    w = np.array([[float(s & t != 0) for s in range(size)] for t in range(size)])
    return np.concatenate([z, w], axis=1)


def relabelled(v: np.ndarray, order: list[int]) -> np.ndarray:
    """The table of the same game with player ``order[i]`` called ``i``."""
    n = len(order)
    out = np.zeros_like(v)
    for t, bits in enumerate(itertools.product([0, 1], repeat=n)):
        present = bits[::-1]  # player i is bit i
        old = sum(1 << order[i] for i in range(n) if present[i])
        out[sum(1 << i for i in range(n) if present[i])] = v[old]
        assert t >= 0
    return out


def range_by_lp(v: np.ndarray, bound: float, subset: int, kind: int, slack: float) -> tuple[float, float]:
    """Least and greatest value of one interaction among explanations within ``slack`` of the least L1 norm."""
    from scipy.optimize import linprog

    k = explanation_matrix(int(np.log2(len(v))))
    size = k.shape[1]
    both = np.concatenate([k, -k], axis=1)
    box = np.concatenate([both, -both])
    limit = np.concatenate([v + bound, bound - v])
    ones = np.ones(2 * size)
    best = linprog(ones, A_ub=box, b_ub=limit, method="highs").fun
    box = np.concatenate([box, ones[None]])
    limit = np.append(limit, best * (1 + slack))
    pick = np.zeros(2 * size)
    pick[kind * len(v) + subset], pick[size + kind * len(v) + subset] = 1.0, -1.0
    low = linprog(pick, A_ub=box, b_ub=limit, method="highs").fun
    high = -linprog(-pick, A_ub=box, b_ub=limit, method="highs").fun
    return low, high


def jaccard_by_definition(a: list[dict], b: list[dict], n: int) -> list[float]:
    """Signed weighted Jaccard of the means of two groups, each sample a table of (kind, subset) to interaction."""
    out = []
    for k in range(1, n + 1):
        shared = whole = 0.0
        for kind in ("and", "or"):
            for s in range(1, 2**n):
                if s.bit_count() != k:
                    continue
                x = sum(sample[kind, s] for sample in a) / len(a)
                y = sum(sample[kind, s] for sample in b) / len(b)
                shared += min(max(x, 0), max(y, 0)) + min(max(-x, 0), max(-y, 0))
                whole += max(max(x, 0), max(y, 0)) + max(max(-x, 0), max(-y, 0))
        out.append(shared / whole if whole else float("nan"))
    return out


def usage_by_definition(i_and, i_or, names, tau, others=None):
    """Mean and counts of each interaction by the names of its players, sample by sample; see `spectra.Usage`.

    Returns kind and names of each interaction that is salient anywhere, to the values of the samples (None: not told).
    """
    samples, size = i_and.shape
    tables, found = [], set()
    for x in range(samples):
        table = {}
        for kind, values in (("and", i_and[x]), ("or", i_or[x])):
            for s in range(1, size):
                who = [names[x][i] for i in range(len(names[x])) if s >> i & 1]
                if all(who):
                    key = (kind, frozenset(who))
                    table[key] = values[s] if abs(values[s]) >= tau[x] else 0.0
                    if table[key] != 0:
                        found.add(key)
        tables.append(table)
    out = {}
    for key in found:
        row = []
        for x in range(samples):
            has_all = others is None or key[1] <= set(others[x]) | set(names[x])
            row.append(tables[x].get(key, None if has_all else 0.0))
        out[key] = row
    return out
