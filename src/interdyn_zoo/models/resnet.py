"""A residual network for small images."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.recipes import model
from interdyn_zoo.models.vgg import check_pictures


class _Block(nn.Module):
    """Two convolutions and the skip connection."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.past = nn.Sequential()
        if stride > 1 or before != after:
            self.past = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.past(x))


@model("resnet")
def resnet(shape: tuple[int, ...], n_outputs: int, *, depth: int = 8, width: int = 16) -> nn.Module:
    """Return a residual network of ``depth = 6 k + 2`` layers, ``width`` channels in the first stage, batch norm.

    Source: He, Zhang, Ren and Sun (2016), Deep Residual Learning, section 4.2 (with projections where shapes change).

    Raises
    ------
    RecipeError
        If the inputs are not images of at least 8 pixels a side, or the depth is not one of 8, 14, 20, ...
    """
    check_pictures("resnet", shape, least=8)
    blocks, odd = divmod(depth - 2, 6)
    if odd or blocks < 1:
        raise RecipeError(f"`model.options.depth` of `resnet` must be 8, 14, 20, ...; got {depth}. Use 8.")
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(shape[0], width, 3, padding=1, bias=False), norm=nn.BatchNorm2d(width), relu=nn.ReLU()
    )
    channels = width
    for stage in range(3):
        for number in range(blocks):
            after = width * 2**stage
            stride = 2 if stage and not number else 1
            layers[f"block{stage + 1}_{number + 1}"] = _Block(channels, after, stride)
            channels = after
    layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "classifier": nn.Linear(channels, n_outputs)}
    return nn.Sequential(layers)
