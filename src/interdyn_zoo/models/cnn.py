"""A small convolutional network."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from interdyn.errors import RecipeError
from interdyn.recipes import model
from interdyn_zoo.models.vgg import dropped, he_start


@model("cnn")
def cnn(
    shape: tuple[int, ...],
    n_outputs: int,
    *,
    channels: Sequence[int] = (16, 32),
    convolutions: int = 2,
    hidden: int = 64,
    dropout: float = 0.0,
) -> nn.Module:
    """Return blocks of 3x3 convolutions with ReLU and 2x2 pooling, then one hidden layer, for ``(C, H, W)``.

    ``channels`` lists the width of each block, ``convolutions`` is their number in a block, ``dropout`` the share of
    the outputs of the hidden layer that is dropped during training. Initial weights as in He et al. (2015), so that
    signals keep their size through all layers, with biases 0.

    Raises
    ------
    RecipeError
        If the inputs are not images, or too small for that many poolings.
    """
    blocks = len(channels)
    if len(shape) != 3 or min(shape[1:]) < 2**blocks:
        raise RecipeError(
            f"the model `cnn` with {blocks} poolings needs images (C, H, W) of at least {2**blocks} pixels "
            f"a side; got inputs of shape {shape}. "
            "Use fewer channels (model.options.channels) or the model `mlp`."
        )
    layers: list[nn.Module] = []
    for before, after in pairwise([shape[0], *channels]):
        for width in [before, *[after] * (convolutions - 1)]:
            layers += [nn.Conv2d(width, after, 3, padding=1), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
    rows, cols = (side // 2**blocks for side in shape[1:])
    last = channels[-1] if channels else shape[0]
    layers += [nn.Flatten(), nn.Linear(last * rows * cols, hidden), nn.ReLU()]
    layers += [*dropped(dropout), nn.Linear(hidden, n_outputs)]
    return he_start(nn.Sequential(*layers))
