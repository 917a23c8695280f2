"""A multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from interdyn.recipes import model
from interdyn_zoo.models.vgg import dropped


@model("mlp")
def mlp(shape: tuple[int, ...], n_outputs: int, *, hidden: Sequence[int] = (64, 64), dropout: float = 0.0) -> nn.Module:
    """Return fully connected layers with ReLU between them; ``hidden`` lists their widths.

    ``dropout`` is the share of the outputs of each hidden layer that is dropped during training.

    Examples
    --------
    >>> mlp((8,), 3, hidden=[16])
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(in_features=8, out_features=16, bias=True)
      (2): ReLU()
      (3): Linear(in_features=16, out_features=3, bias=True)
    )
    """
    widths = [prod(shape), *hidden, n_outputs]
    layers: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.ReLU(), *dropped(dropout)]
    return nn.Sequential(*layers[: -2 if dropout else -1])
