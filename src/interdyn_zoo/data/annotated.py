"""Samples under INTERDYN_DATA whose parts were drawn by people: digits, birds, motorbikes."""

from itertools import pairwise

import numpy as np
import torch

from interdyn.errors import RecipeError
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._root import find_data, reads_files
from interdyn_zoo.data.clouds import shapenet10
from interdyn_zoo.data.pictures import mnist

_SOURCE = "https://github.com/sjtu-xai-lab/interaction-concept (Li and Zhang, 2023; ask before redistributing)"


@dataset("mnist-three-players")
@reads_files
def mnist_three_players(*, seed: int) -> Dataset:
    """Return MNIST enlarged to ``(1, 32, 32)`` and 89 test images of the digit 3 with eight parts drawn by people.

    Only those 89 are measurable; they are the last of the test part. Files ``players/mnist_three_players.npz``
    (``images, player``) and that of ``mnist``.

    Raises
    ------
    DataError
        If a file is missing.
    """
    (path,) = find_data("mnist-three-players", "players/mnist_three_players.npz", source=_SOURCE)
    digits = mnist(seed=seed)
    with np.load(path) as file:
        drawn, player = file["images"], file["player"].astype(np.int8)
    enlarged = torch.nn.functional.interpolate(torch.from_numpy(digits.inputs), size=(32, 32), mode="bilinear")
    inputs = np.concatenate([enlarged.numpy(), drawn[:, None].astype(np.float32) / np.float32(255)])
    parts = np.full((len(inputs), 1, 32, 32), -1, dtype=np.int8)
    parts[len(digits.inputs) :, 0] = player
    return Dataset(
        inputs,
        np.concatenate([digits.targets, np.full(len(drawn), 3)]),
        10,
        measurable=np.arange(len(inputs)) >= len(digits.inputs),
        test=np.concatenate([np.asarray(digits.test), np.ones(len(drawn), dtype=bool)]),
        parts=parts,
    )


@dataset("bird-players")
@reads_files
def bird_players(*, seed: int, size: int = 224) -> Dataset:  # noqa: ARG001
    """Return 17 images of birds twice, shape ``(34, 3, size, size)``: original (0) and recoloured (1).

    Each has the same eight parts drawn by people; ``size`` divides 224, and pixels are taken at that spacing. Files
    ``players/bg_bird_players.npz`` and ``players/redbg_bluebird_players.npz`` (``images, player``).

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If ``size`` does not divide 224.
    """
    if size < 1 or 224 % size:
        raise RecipeError(f"`data.options.size` of `bird-players` must divide 224; got {size}. Use 112, for example.")
    paths = find_data(
        "bird-players", "players/bg_bird_players.npz", "players/redbg_bluebird_players.npz", source=_SOURCE
    )
    pictures, parts = [], []
    for path in paths:
        with np.load(path) as file:
            pictures.append(file["images"][:, :: 224 // size, :: 224 // size])
            parts.append(file["player"][:, :: 224 // size, :: 224 // size])
    inputs = np.moveaxis(np.concatenate(pictures), 3, 1).astype(np.float32) / np.float32(255)
    targets = np.repeat([0, 1], [len(rows) for rows in pictures])
    return Dataset(inputs, targets, 2, parts=np.concatenate(parts)[:, None].astype(np.int8))


@dataset("motorbike-parts")
@reads_files
def motorbike_parts(*, seed: int, n_points: int = 1024) -> Dataset:
    """Return 89 motorbikes with nine named parts among the ten classes of ``shapenet10``: class 10 of eleven.

    Shape ``(172, n_points, 3)``, ``n_points`` at most 2,477; every third motorbike is in the test part. Only motorbikes
    are measurable. ``seed`` draws their points. Files ``players/shapenet_motorbike_parts.npz`` (``points, part,
    offsets``) and that of ``shapenet10``. Source of the parts: Yi et al. (2016); non-commercial research only.

    Raises
    ------
    DataError
        If a file is missing.
    RecipeError
        If there are not that many points.
    """
    (path,) = find_data("motorbike-parts", "players/shapenet_motorbike_parts.npz", source=_SOURCE)
    with np.load(path) as file:
        points, part, offsets = file["points"], file["part"], file["offsets"]
    most = int(np.diff(offsets).min())
    if not 1 <= n_points <= most:
        raise RecipeError(
            f"`data.options.n_points` of `motorbike-parts` must be 1 to {most}; got {n_points}. Use 1024, for example."
        )
    others = shapenet10(seed=seed, n_points=n_points)
    rng = np.random.default_rng(seed)
    chosen = [start + rng.permutation(stop - start)[:n_points] for start, stop in pairwise(offsets)]
    bikes = np.arange(len(chosen))
    background = np.full((len(others.inputs), n_points), -1, dtype=np.int64)
    return Dataset(
        np.concatenate([others.inputs, *(points[index][None].astype(np.float32) for index in chosen)]),
        np.concatenate([others.targets, np.full(len(bikes), 10)]),
        11,
        measurable=np.concatenate([np.zeros(len(background), dtype=bool), np.ones(len(bikes), dtype=bool)]),
        test=np.concatenate([np.asarray(others.test), bikes % 3 == 2]),
        parts=np.concatenate([background, *(part[index][None].astype(np.int64) for index in chosen)]),
    )
