"""AlexNet and LeNet; the paper masks AlexNet's map after the first ReLU, ``features.relu1``."""

from collections import OrderedDict

from torch import nn

from interdyn.recipes import model
from interdyn_zoo.models.vgg import check_pictures, classifier, he_start

_CHANNELS = (64, 192, 384, 256, 256)
_LARGE = 128  # pixels a side from which the first convolution has the published stride


@model("alexnet")
def alexnet(shape: tuple[int, ...], n_outputs: int, *, width: float = 1.0, hidden: int = 1024) -> nn.Module:
    """Return AlexNet (one column) for images of at least 32 pixels a side.

    From 128 pixels, the first convolution is 11x11 with stride 4 and the poolings are 3x3 with stride 2, as
    published. Below, the first convolution is 5x5, with stride 2 from 48 pixels, and the poolings are 2x2. ``width``
    multiplies the channels, ``hidden`` is the width of the two hidden layers (4096 as published). Initial weights as in
    He et al. (2015).

    Source: Krizhevsky (2014), One weird trick for parallelizing convolutional neural networks.

    Raises
    ------
    RecipeError
        If the inputs are not images of that size.
    """
    check_pictures("alexnet", shape, least=32)
    side = min(shape[1:])
    kernel, stride, padding = (11, 4, 2) if side >= _LARGE else (5, 2 if side >= 48 else 1, 2)
    c1, c2, c3, c4, c5 = (max(1, round(width * c)) for c in _CHANNELS)
    window = 3 if side >= _LARGE else 2
    layers = OrderedDict(
        conv1=nn.Conv2d(shape[0], c1, kernel, stride=stride, padding=padding),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(window, 2),
        conv2=nn.Conv2d(c1, c2, 5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(window, 2),
        conv3=nn.Conv2d(c2, c3, 3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(c3, c4, 3, padding=1),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(c4, c5, 3, padding=1),
        relu5=nn.ReLU(),
        pool3=nn.AdaptiveAvgPool2d(6 if side >= _LARGE else 4),
    )
    cells = 36 if side >= _LARGE else 16
    end = classifier(c5 * cells, (hidden, hidden), n_outputs)
    return he_start(nn.Sequential(OrderedDict(features=nn.Sequential(layers), classifier=end)))


@model("lenet")
def lenet(shape: tuple[int, ...], n_outputs: int, *, dropout: float = 0.0) -> nn.Module:
    """Return LeNet-5 with ReLU and max pooling, for images of at least 16 pixels a side.

    ``dropout`` is the share of the outputs of each of the two hidden layers that is dropped during training.

    Source: LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition.

    Raises
    ------
    RecipeError
        If the inputs are not images of that size.
    """
    check_pictures("lenet", shape, least=16)
    rows, cols = ((side // 2 - 4) // 2 for side in shape[1:])
    layers = OrderedDict(
        conv1=nn.Conv2d(shape[0], 6, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
    )
    end = classifier(16 * rows * cols, (120, 84), n_outputs, dropout=dropout)
    return he_start(nn.Sequential(OrderedDict(features=nn.Sequential(layers), classifier=end)))
