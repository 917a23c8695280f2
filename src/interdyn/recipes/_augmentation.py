"""Pictures moved and mirrored at random while a network trains on them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interdyn.errors import RecipeError
from interdyn.recipes._schema import AugmentationSection


def check_augmentation(section: AugmentationSection, shape: tuple[int, ...], *, tokens: bool) -> None:
    """Refuse to augment what is no picture, and shifts as large as the picture.

    Raises
    ------
    RecipeError
        If the inputs are no pictures ``(C, H, W)`` of more than ``shift`` pixels a side.
    """
    if section == AugmentationSection():
        return
    if tokens or len(shape) != 3 or min(shape[1:]) <= section.shift:
        raise RecipeError(
            f"`training.augmentation` needs pictures (C, H, W) of more than {section.shift} pixels a side; got inputs "
            f"of shape {shape}. Leave it out, or choose a smaller shift: --set training.augmentation.shift=1"
        )


def augmented(
    pictures: Float[Tensor, "batch channels rows cols"], section: AugmentationSection
) -> Float[Tensor, "batch channels rows cols"]:
    """Return pictures shifted by up to ``shift`` pixels down and across, and mirrored left to right half of the time.

    Both shifts are uniform from ``-shift`` to ``shift``, each picture's own; what comes in from outside is 0. Drawn
    from PyTorch's global generator, of which a training has its own state.

    Notes
    -----
    Source: He et al. (2016), Deep residual learning, section 4.2: a crop of the padded picture, and its mirror image.

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
