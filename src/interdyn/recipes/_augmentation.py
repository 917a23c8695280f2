"""Images shifted and mirrored at random during training."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.recipes._schema import AugmentationSection


def check_augmentation(section: AugmentationSection, shape: tuple[int, ...], *, tokens: bool) -> None:
    """Refuse to augment inputs that are not images, and shifts as large as the image.

    Raises
    ------
    RecipeError
        If the inputs are not images ``(C, H, W)`` of more than ``shift`` pixels a side.
    """
    if section == AugmentationSection():
        return
    if tokens or len(shape) != 3 or min(shape[1:]) <= section.shift:
        raise RecipeError(
            f"`training.augmentation` needs images (C, H, W) of more than {section.shift} pixels a side; got inputs "
            f"of shape {shape}. Leave it out, or choose a smaller shift: --set training.augmentation.shift=1"
        )


def augmented(
    pictures: Float[Tensor, "batch channels rows cols"], section: AugmentationSection
) -> Float[Tensor, "batch channels rows cols"]:
    """Return images shifted by up to ``shift`` pixels vertically and horizontally, and mirrored half of the time.

    Both shifts are uniform from ``-shift`` to ``shift``, independent for each image; the margin is 0. Drawn from
    PyTorch's global generator, of which a training has its own state.

    Notes
    -----
    Source: He et al. (2016), Deep residual learning, section 4.2: a crop of the padded image, and its mirror image.

    Examples
    --------
    >>> augmented(torch.ones(1, 1, 2, 2), AugmentationSection(flip=True)).sum()
    tensor(4.)
    """
    count, _, rows, cols = pictures.shape
    s, device = section.shift, pictures.device
    if s:
        down, across = torch.randint(0, 2 * s + 1, (2, count, 1)).to(device)
        padded = nn.functional.pad(pictures, (s, s, s, s))
        at_row, at_col = torch.arange(rows, device=device) + down, torch.arange(cols, device=device) + across
        sample = torch.arange(count, device=device)[:, None, None]
        pictures = padded[sample, :, at_row[:, :, None], at_col[:, None, :]].permute(0, 3, 1, 2)
    if section.flip:
        mirrored = (torch.rand(count) < 0.5).to(device)
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    return pictures
