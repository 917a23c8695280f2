"""Initial weights of a transformer that are larger than the default."""

import math

import torch
from torch import nn

from interdyn.errors import RecipeError


def check_start(name: str, init_std: float | None) -> None:
    """Refuse an invalid standard deviation of the initial weights.

    Raises
    ------
    RecipeError
        If it is not a number above 0.
    """
    if init_std is not None and not (math.isfinite(init_std) and init_std > 0):
        raise RecipeError(
            f"`model.options.init_std` of `{name}` must be a number above 0; got {init_std!r}. Leave it out for the "
            "initialisation of the network."
        )


def started(network: nn.Module, init_std: float | None) -> nn.Module:
    """Return the network with newly drawn weights; None leaves it unchanged.

    Weights of linear layers, attention, embeddings and patches come from a normal distribution of mean 0 and standard
    deviation ``init_std``, their biases are 0; layer norm, and the padding vector, are unchanged. With PyTorch's own
    initialisation, and BERT's standard deviation of 0.02, an untrained transformer is nearly additive in its players.

    Examples
    --------
    >>> network = started(nn.Linear(200, 200), 0.15)
    >>> round(network.weight.std().item(), 2), network.bias.any().item()
    (0.15, False)
    """
    if init_std is None:
        return network
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.LayerNorm):
                continue
            for weight in module.parameters(recurse=False):
                if weight.ndim > 1:
                    weight.normal_(0.0, init_std)
                else:
                    weight.zero_()
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()
    return network
