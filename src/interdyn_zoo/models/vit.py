"""A vision transformer for small images, in three sizes."""

import torch
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.recipes import model
from interdyn_zoo.models._start import check_start, started
from interdyn_zoo.models.vgg import check_pictures

_SIZES = {"tiny": (4, 64, 2), "small": (6, 128, 4), "base": (8, 192, 6)}  # layers, width, heads


class ViT(nn.Module):
    """Patches as tokens, learned positions, a transformer encoder; the mean over patches is classified."""

    def __init__(
        self, shape: tuple[int, ...], n_outputs: int, *, patch: int, layers: int, width: int, heads: int
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(shape[0], width, patch, stride=patch)
        self.places = nn.Parameter(0.02 * torch.randn((shape[1] // patch) * (shape[2] // patch), width))
        block = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm, self.classifier = nn.LayerNorm(width), nn.Linear(width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits for images of shape ``(batch, channels, rows, columns)``."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return torch.as_tensor(self.classifier(self.norm(self.encoder(tokens)).mean(dim=1)))


@model("vit")
def vit(
    shape: tuple[int, ...], n_outputs: int, *, size: str = "tiny", patch: int = 4, init_std: float | None = None
) -> nn.Module:
    """Return a vision transformer: ``"tiny"`` (4 layers, width 64), ``"small"`` (6, 128) or ``"base"`` (8, 192).

    ``init_std`` is the standard deviation of its initial weights, with biases 0; by default PyTorch's initialisation.

    Source: Dosovitskiy et al. (2021), An Image is Worth 16x16 Words; sizes are ours, for two cores.

    Raises
    ------
    RecipeError
        If patches do not cover the inputs evenly, or there is no such size or standard deviation.
    """
    check_start("vit", init_std)
    check_pictures("vit", shape, least=patch)
    if shape[1] % patch or shape[2] % patch:
        raise RecipeError(
            f"`model.options.patch` of `vit` must divide height and width of the images; got {patch} for {shape[1:]}."
        )
    if size not in _SIZES:
        raise RecipeError(f"`model.options.size` of `vit` must be one of {', '.join(_SIZES)}; got {size!r}.")
    layers, width, heads = _SIZES[size]
    return started(ViT(shape, n_outputs, patch=patch, layers=layers, width=width, heads=heads), init_std)
