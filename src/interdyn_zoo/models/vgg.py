"""VGG networks of plain 3x3 convolutions; the paper masks the map after the second ReLU, ``features.relu2``."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from interdyn.errors import RecipeError
from interdyn.recipes import model

_BLOCKS = {  # channels of the convolutions between two poolings
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    "vgg-small": ((32, 32), (64, 64), (128, 128)),
}


@model("vgg-small")
def vgg_small(shape: tuple[int, ...], n_outputs: int, *, width: float = 1.0, hidden: int = 128) -> nn.Module:
    """Return three blocks of two convolutions, 32, 64 and 128 channels wide, and one hidden layer."""
    return _vgg("vgg-small", shape, n_outputs, width=width, hidden=(hidden,), batch_norm=False)


@model("vgg11")
def vgg11(
    shape: tuple[int, ...], n_outputs: int, *, width: float = 1.0, hidden: int = 512, batch_norm: bool = False
) -> nn.Module:
    """Return VGG-11; see `vgg16` for the options."""
    return _vgg("vgg11", shape, n_outputs, width=width, hidden=(hidden, hidden), batch_norm=batch_norm)


@model("vgg13")
def vgg13(
    shape: tuple[int, ...], n_outputs: int, *, width: float = 1.0, hidden: int = 512, batch_norm: bool = False
) -> nn.Module:
    """Return VGG-13; see `vgg16` for the options."""
    return _vgg("vgg13", shape, n_outputs, width=width, hidden=(hidden, hidden), batch_norm=batch_norm)


@model("vgg16")
def vgg16(
    shape: tuple[int, ...], n_outputs: int, *, width: float = 1.0, hidden: int = 512, batch_norm: bool = False
) -> nn.Module:
    """Return VGG-16 for images ``(C, H, W)`` of any size.

    ``width`` multiplies the channels, ``hidden`` is the width of the two hidden layers of the classifier (4096 in the
    publication, for 224 pixels). Each block ends in a 2x2 pooling unless its map is already one pixel high or wide.
    Initial weights as in He et al. (2015), with biases 0, so that the deep nets without batch norm learn, too.

    Source: Simonyan and Zisserman (2015), Very Deep Convolutional Networks, table 1.

    Raises
    ------
    RecipeError
        If the inputs are not images.
    """
    return _vgg("vgg16", shape, n_outputs, width=width, hidden=(hidden, hidden), batch_norm=batch_norm)


def _vgg(
    name: str, shape: tuple[int, ...], n_outputs: int, *, width: float, hidden: Sequence[int], batch_norm: bool
) -> nn.Module:
    check_pictures(name, shape, least=8)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    (channels, rows, cols), k = shape, 0
    for number, block in enumerate(_BLOCKS[name], 1):
        for published in block:
            wide, k = max(1, round(width * published)), k + 1
            layers[f"conv{k}"] = nn.Conv2d(channels, wide, 3, padding=1)
            if batch_norm:
                layers[f"norm{k}"] = nn.BatchNorm2d(wide)
            layers[f"relu{k}"] = nn.ReLU()
            channels = wide
        if min(rows, cols) > 1:
            layers[f"pool{number}"] = nn.MaxPool2d(2)
            rows, cols = rows // 2, cols // 2
    return he_start(
        nn.Sequential(
            OrderedDict(
                features=nn.Sequential(layers), classifier=classifier(channels * rows * cols, hidden, n_outputs)
            )
        )
    )


def classifier(features: int, hidden: Sequence[int], n_outputs: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Return hidden layers with ReLU, and dropout if any, on the flattened map, and the outputs."""
    layers: list[nn.Module] = [nn.Flatten()]
    for wide in hidden:
        layers += [nn.Linear(features, wide), nn.ReLU(), *dropped(dropout)]
        features = wide
    return nn.Sequential(*layers, nn.Linear(features, n_outputs))


def dropped(share: float) -> list[nn.Module]:
    """Return a dropout layer, or none for a share of 0: the names of all weights are then those without it.

    Examples
    --------
    >>> dropped(0.0), dropped(0.5)
    ([], [Dropout(p=0.5, inplace=False)])
    """
    return [nn.Dropout(share)] if share else []


def he_start(network: nn.Module) -> nn.Module:
    """Set weights of convolutions and linear layers as in He et al. (2015), their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def check_pictures(name: str, shape: tuple[int, ...], *, least: int) -> None:
    """Refuse inputs that are not images ``(C, H, W)`` of at least ``least`` pixels a side."""
    if len(shape) != 3 or min(shape[1:]) < least:
        raise RecipeError(
            f"the model `{name}` needs images (C, H, W) of at least {least} pixels a side; got inputs of shape "
            f"{shape}. Choose another model, for example `mlp`."
        )
