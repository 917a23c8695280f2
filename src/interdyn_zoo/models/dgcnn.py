"""DGCNN: convolutions over the edges between neighbouring points."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.recipes import model


class _EdgeConv(nn.Module):
    r"""$y_i = \max_{j \in N(i)} h(x_i, x_j - x_i)$ over the ``k`` nearest points, ``h`` a linear layer and a ReLU.

    Since ``h`` is linear before its ReLU, ``W (x_i, x_j - x_i) = A x_i + B x_j`` is computed once for each point, and
    the maximum runs over neighbours: no array over edges times inputs is built.
    """

    def __init__(self, before: int, after: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.own = nn.Linear(before, after, bias=False)
        self.other = nn.Linear(before, after, bias=False)
        self.norm = nn.BatchNorm1d(after)

    def forward(self, x: Tensor) -> Tensor:
        near = torch.cdist(x, x).topk(self.k, dim=-1, largest=False, sorted=False).indices
        other = self.other(x)
        first = torch.arange(len(x), device=x.device)[:, None, None] * x.shape[1]  # row of a cloud's first point
        neighbours = other.flatten(0, 1).index_select(0, (near + first).flatten())  # complete rows: faster than gather
        greatest = neighbours.reshape(*near.shape, -1).amax(dim=2)
        out = self.own(x) - other + greatest
        return torch.nn.functional.leaky_relu(self.norm(out.transpose(1, 2)).transpose(1, 2), 0.2)


class DGCNN(nn.Module):
    """Edge convolutions, an embedding of each point, the maximum and the mean of each feature, a classifier."""

    def __init__(
        self, n_outputs: int, *, k: int, widths: Sequence[int], embedding: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            _EdgeConv(before, after, k) for before, after in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.embedding = nn.Linear(sum(widths), embedding)
        self.classifier = nn.Sequential(
            nn.Linear(2 * embedding, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(hidden, n_outputs)
        )

    def forward(self, points: Tensor) -> Tensor:
        """Return logits for clouds of shape ``(batch, points, 3)``."""
        x, seen = points, []
        for convolution in self.convolutions:
            x = convolution(x)
            seen.append(x)
        x = torch.nn.functional.leaky_relu(self.embedding(torch.cat(seen, dim=-1)), 0.2)
        return torch.as_tensor(self.classifier(torch.cat([x.amax(dim=1), x.mean(dim=1)], dim=-1)))


@model("dgcnn")
def dgcnn(
    shape: tuple[int, ...],
    n_outputs: int,
    *,
    k: int = 20,
    widths: Sequence[int] = (64, 64, 128, 256),
    embedding: int = 1024,
    hidden: int = 512,
    dropout: float = 0.5,
) -> nn.Module:
    """Return DGCNN for point clouds ``(points, 3)``; neighbours are recomputed in the features of every layer.

    ``k`` neighbours, ``widths`` of the edge convolutions, width of the ``embedding`` of a point and of the ``hidden``
    layer. Batch norm follows the maximum over neighbours, which costs ``k`` times less than before it.

    Source: Wang et al. (2019), Dynamic Graph CNN for Learning on Point Clouds.

    Raises
    ------
    RecipeError
        If the inputs are not clouds of at least ``k`` points.
    """
    if len(shape) != 2 or shape[1] != 3 or shape[0] < k:
        raise RecipeError(
            f"the model `dgcnn` needs clouds (points, 3) of at least k = {k} points; got inputs of shape {shape}. "
            "Use more points, or fewer neighbours: --set model.options.k=10"
        )
    return DGCNN(n_outputs, k=k, widths=tuple(widths), embedding=embedding, hidden=hidden, dropout=dropout)
