"""Players that differ between samples: words of sentences, clusters of point clouds, named parts."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interdyn._arguments import choice, native_array, whole, whole_row
from interdyn.errors import InputError, PlayersError, missing_extra
from interdyn.game._players import ALWAYS_MASKED, BACKGROUND, drawn, renumbered
from interdyn.game._samples import tensor_of


def choose_parts(
    parts: Int[Tensor, "samples ..."] | np.ndarray,
    n: int | None = None,
    *,
    seed: int = 0,
    sample_ids: Sequence[int] | None = None,
    others: Literal["keep", "mask"] = "keep",
) -> Int[Tensor, "samples ..."]:
    """Return a feature mask whose players are at most ``n`` parts of each sample.

    Parameters
    ----------
    parts
        The part that each feature belongs to, -1 for none; a row for each sample.
    n
        How many parts to draw for each sample; ``None`` for all. A sample with fewer parts has fewer players: pass
        ``allow_fewer=True`` to `value_table` or `measure`.
    seed, sample_ids
        A sample's draw depends only on the seed and its id; ids are ``0, 1, ...`` by default.
    others
        How parts that are not drawn are treated: ``"keep"`` (always present) or ``"mask"`` (always masked).

    Returns
    -------
    Int[Tensor, "samples ..."]
        Ids ``0..k-1`` of the ``k`` players of each sample, in the order of their parts; -1 and -2; the shape of
        ``parts``.

    Raises
    ------
    PlayersError
        If parts are not integers, a sample has none, or ``n`` or ``others`` is out of range.

    Examples
    --------
    >>> choose_parts(np.array([[0, 0, 1, -1], [4, 7, 9, 9]]), 2, seed=1).tolist()
    [[0, 0, 1, -1], [0, -1, 1, 1]]
    """
    ids = tensor_of(parts, "parts").cpu()
    if ids.is_floating_point() or ids.is_complex() or ids.ndim < 2:
        raise PlayersError(
            f"`parts` must contain integers with a row for each sample; got {ids.dtype} of shape {tuple(ids.shape)}."
        )
    choice(others, "others", ("keep", "mask"), error=PlayersError)
    n = None if n is None else whole(n, "n", least=1, error=PlayersError)
    seed = whole(seed, "seed", error=PlayersError)
    numbers = range(len(ids)) if sample_ids is None else whole_row(sample_ids, "sample_ids", error=PlayersError)
    if len(numbers) != len(ids) or not len(ids):
        raise PlayersError(f"`sample_ids` must have a number for each of {len(ids)} samples; got {len(numbers)}.")
    other = BACKGROUND if others == "keep" else ALWAYS_MASKED
    rows = []
    for sample, row in zip(numbers, ids.long(), strict=True):
        available = torch.unique(row[row >= 0]).tolist()
        if not available:
            raise PlayersError(f"each sample needs at least one part; got none in sample {sample}. Leave it out.")
        chosen = available if n is None else drawn(available, min(n, len(available)), seed=seed, sample=sample)
        rows.append(renumbered(row, available, [chosen], other))
    return torch.cat(rows)


def n_parts(parts: Int[Tensor, "samples ..."] | np.ndarray) -> Int[np.ndarray, " samples"]:
    """Return how many different parts each sample has.

    Examples
    --------
    >>> n_parts(np.array([[0, 0, 1, -1], [4, 7, 9, 9]])).tolist()
    [2, 3]
    """
    ids = native_array(parts, "parts")
    if ids.ndim < 1:
        raise PlayersError("`parts` must have a row for each sample; got a single number. Pass one row per sample.")
    return np.array([len(np.unique(row[row >= 0])) for row in ids], dtype=np.int64)


def clusters(points: Float[Tensor, "samples points 3"], k: int = 30, *, seed: int = 0) -> Int[Tensor, "samples points"]:
    """Return the K-means cluster of each point, ``0..k-1``, computed separately for each cloud.

    Raises
    ------
    InputError
        If a cloud has fewer points than clusters.
    MissingExtraError
        If scikit-learn is not installed.

    Notes
    -----
    Source: paper, section 5 and its appendix: 30 clusters, of which 10 are players. Cost: about 20 ms per cloud of
    1,024 points.

    Examples
    --------
    >>> cloud = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [5, 0, 0], [5.1, 0, 0]]])
    >>> ids = clusters(cloud, 2)[0]
    >>> bool(ids[0] == ids[1]), bool(ids[0] == ids[2])
    (True, False)
    """
    points = tensor_of(points, "points")
    if points.ndim != 3:
        raise InputError(
            f"`points` must have shape (samples, points, coordinates); got {tuple(points.shape)}. Pass a batch of "
            "clouds."
        )
    k, seed = whole(k, "k", least=1), whole(seed, "seed", most=2**32 - 1)
    if points.is_complex() or not len(points) or not bool(points.isfinite().all()):
        raise InputError("`points` must be at least one cloud of finite numbers; got others.")
    if not k <= points.shape[1]:
        raise InputError(
            f"a cloud needs at least as many points as clusters; got {points.shape[1]} points for {k} clusters. "
            f"Use at most {points.shape[1]} clusters."
        )
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise missing_extra("scikit-learn", "data", "clusters of points") from error
    rows = []
    for cloud in points.detach().cpu().double().numpy():
        distinct = len(np.unique(cloud, axis=0))
        if distinct < k:
            raise InputError(
                f"a cloud needs at least as many different points as clusters; got {distinct} for {k} clusters. "
                f"Use at most {distinct} clusters."
            )
        rows.append(KMeans(k, n_init=1, random_state=seed).fit_predict(cloud))
    return torch.from_numpy(np.stack(rows).astype(np.int64))


def part_means(
    points: Float[Tensor, "samples points 3"], ids: Int[Tensor, "samples points"]
) -> Float[Tensor, "samples points 3"]:
    """Return for each point the mean of its part: the baseline that moves every point of a masked part to its centre.

    Points without a part (negative ids) are returned unchanged. Source: paper, appendix on point clouds.

    Examples
    --------
    >>> part_means(torch.tensor([[[0.0], [2.0], [5.0]]]), torch.tensor([[0, 0, -1]]))[0, :, 0].tolist()
    [1.0, 1.0, 5.0]
    """
    points, ids = tensor_of(points, "points"), tensor_of(ids, "ids")
    if ids.is_complex() or points.is_complex():
        raise InputError("`points` and `ids` must contain real numbers; got complex ones. Pass the real part.")
    points = points if points.is_floating_point() else points.double()
    if points.ndim != 3 or ids.shape != points.shape[:2]:
        raise InputError(
            f"`ids` must have one part for each point of {tuple(points.shape)}; got shape {tuple(ids.shape)}."
        )
    out = points.clone()
    for row, cloud in enumerate(points):
        for part in torch.unique(ids[row][ids[row] >= 0]):
            inside = ids[row] == part
            out[row, inside] = cloud[inside].mean(0)
    return out
