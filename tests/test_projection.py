"""The projection of the split: paths by their definition, blocks, and the compiled form against dense matrices."""

from functools import cache
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

import oracles
from interdyn.compiled import compiled, source_stamp
from interdyn.compiled._lanes import load
from interdyn.sparsify._operator import GramSolver
from interdyn.sparsify._projection import PATH, PLAN, __file__ as _projection_file, project
from interdyn.sparsify._symmetry import change_of_basis, explanation_block, metric, plan, spectrum_of_block, stages
from interdyn.transforms._butterfly import __file__ as butterfly_file

CPU = torch.device("cpu")


def rotated_by_definition(x):
    """Lists of rows in place and plane rotations of pairs of them: the change of basis as it is written down."""
    n = len(x).bit_length() - 1
    paths, size = [[0]], 1
    for m in range(n):
        half = 2 ** (n - m - 1)
        rows = x.reshape(2 * size, half)
        grown = []
        for path in paths:
            d = len(path)
            first, second = [], []
            for k in range(1, d):
                i, j = 2 * path[k], 2 * path[k - 1] + 1
                c, s = np.sqrt((d - k) / d), np.sqrt(k / d)
                rows[i], rows[j] = c * rows[i] + s * rows[j], s * rows[i] - c * rows[j]
                first.append(i)
                second.append(j)
            grown.append([2 * path[0], *first, 2 * path[-1] + 1])
            if second:
                grown.append(second)
        paths, size = grown, 2 * size
    return [x[path] for path in paths]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_paths_are_those_of_the_definition(n, rng):
    x = rng.standard_normal(2**n)
    found, (lengths, starts) = change_of_basis(n) @ x, stages(n)[n]
    ours = [found[start : start + d] for d, start in zip(lengths, starts, strict=True)]
    defined = rotated_by_definition(x.copy())
    assert sorted(map(len, ours)) == sorted(map(len, defined))
    for path in defined:  # the order of paths is free
        assert min(np.abs(path - other).max() for other in ours if len(other) == len(path)) < 1e-13


@pytest.mark.parametrize("n", range(1, 9))
def test_as_many_paths_of_each_length_as_the_theory_says(n):
    lengths, starts = stages(n)[n]
    for j in range(n // 2 + 1):
        assert (lengths == n + 1 - 2 * j).sum() == comb(n, j) - (comb(n, j - 1) if j else 0)
    covered = sorted(i for d, start in zip(lengths, starts, strict=True) for i in range(start, start + d))
    assert covered == list(range(2**n))


@pytest.mark.parametrize("n", range(1, 8))
def test_the_gram_matrix_falls_into_the_blocks(n):
    basis, k = change_of_basis(n), oracles.explanation_matrix(n)
    np.testing.assert_allclose(basis @ basis.T, np.eye(2**n), atol=1e-13)
    gram, expected = basis @ (k * np.tile(metric(n), 2)) @ k.T @ basis.T, np.zeros((2**n, 2**n))
    for d, start in zip(*stages(n)[n], strict=True):
        part = slice(start, start + d)
        block = explanation_block((n, (n + 1 - d) // 2))
        assert block.shape == (d, 2 * d)
        expected[part, part] = block @ block.T
    np.testing.assert_allclose(gram, expected, atol=1e-12 * np.abs(gram).max())


def test_small_eigenvalues_are_not_lost_in_rounding():
    value, _ = spectrum_of_block((16, 0))
    assert value.max() / value.min() > 1e17  # in K D K^T it would be nothing but rounding
    assert value.min() == pytest.approx(7.34272268e-8, rel=1e-7)  # in 60 digits


def _projection(stamp):
    def projected(layout, y, other, s, arrays, path):
        stamp  # noqa: B018  # closed over, so that the cache knows all that is called
        project(layout, y, other, load(s, 0), arrays, path)

    return projected


@cache
def projected():
    stamp = source_stamp(Path(_projection_file).parent, Path(butterfly_file).parent)
    line = "float64[::1]"
    return compiled(_projection(stamp), f"void({line}, {line}, {line}, {line}, {PLAN}, {line})")


def compiled_projection(y, s, n):
    """Run the compiled projection on tables ``(4, 2**n)`` side by side; within vectors, the solver's twins try it."""
    flat = y.T.ravel().copy()
    projected()(np.zeros(1), flat, np.zeros_like(flat), s, tuple(plan(n)), np.zeros(PATH))
    return flat.reshape(-1, 4).T


@pytest.mark.parametrize("n", range(2, 10))
def test_the_compiled_projection_is_the_dense_inverse(n, rng):
    y, s = rng.standard_normal((4, 2**n)), np.array([0.5, 8.0, 200.0, 1.0])
    k = oracles.explanation_matrix(n)
    gram = (k * np.tile(metric(n), 2)) @ k.T
    dense = np.stack([np.linalg.solve(gram + each * np.eye(2**n), row) for row, each in zip(y, s, strict=True)])
    np.testing.assert_allclose(compiled_projection(y, s, n), dense, atol=1e-10)


@pytest.mark.parametrize("n", [11, 12])
def test_the_compiled_projection_is_that_by_two_halves(n, rng):
    y, s = rng.standard_normal((4, 2**n)), np.array([0.5, 8.0, 200.0, 1.0])
    slow = GramSolver(n, CPU).solve(torch.from_numpy(y), torch.from_numpy(s)[:, None]).numpy()
    np.testing.assert_allclose(compiled_projection(y, s, n), slow, atol=1e-9)


def test_lanes_do_not_mix(rng):
    y, s = rng.standard_normal((4, 64)), np.array([0.5, 8.0, 200.0, 1.0])
    once = compiled_projection(y, s, 6)
    y[1:] *= 1e9
    np.testing.assert_array_equal(compiled_projection(y, s, 6)[0], once[0])
