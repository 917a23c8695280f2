"""Optimisers of a recipe, and their learning rate as a function of the step."""

import math
from typing import Any

import torch
from torch import nn

from interdyn.errors import RecipeError
from interdyn.recipes._schema import TrainingSection

_DROPS = (0.5, 0.75)  # shares of a training at which the rate of the schedule "step" drops by a factor of ten


def optimisers_of(network: nn.Module, section: TrainingSection, *, n_outputs: int) -> dict[str, torch.optim.Optimizer]:
    """Return the optimisers of a network by name; each parameter belongs to one of them.

    ``"muon"`` is `torch.optim.Muon` for the weight matrices of hidden layers; all other parameters (biases, norms,
    convolutions, embeddings, the output layer) are AdamW's. Muon's update has the root mean square of AdamW's
    (``adjust_lr_fn="match_rms_adamw"``), so that both have one learning rate and one weight decay.

    Raises
    ------
    RecipeError
        If PyTorch has no Muon, or the network has no weights for it.

    Notes
    -----
    Source: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks; Liu et al. (2025), Muon is
    scalable for LLM training, section 2.2.
    """
    shared: dict[str, Any] = {"lr": section.learning_rate, "weight_decay": section.weight_decay}
    if section.optimiser == "sgd":
        return {"optimiser": torch.optim.SGD(network.parameters(), momentum=section.momentum, **shared)}
    betas = (section.momentum, 0.999)
    if section.optimiser == "adam":
        return {"optimiser": torch.optim.Adam(network.parameters(), betas=betas, **shared)}
    if section.optimiser == "adamw":
        return {"optimiser": torch.optim.AdamW(network.parameters(), betas=betas, **shared)}
    if not hasattr(torch.optim, "Muon"):
        raise RecipeError(
            f"the optimiser `muon` needs PyTorch 2.9 or newer; got {torch.__version__}. Update it, or choose another: "
            "--set training.optimiser=adamw"
        )
    chosen = hidden_matrices(network, n_outputs=n_outputs)
    if not chosen:
        raise RecipeError(
            "the optimiser `muon` needs a network that has hidden layers with weight matrices; got "
            f"{type(network).__name__} with none. Choose another: --set training.optimiser=adamw"
        )
    ids = {id(parameter) for parameter in chosen}
    others = [parameter for parameter in network.parameters() if id(parameter) not in ids]
    muon = torch.optim.Muon(chosen, momentum=section.momentum, adjust_lr_fn="match_rms_adamw", **shared)
    return {"optimiser": torch.optim.AdamW(others, betas=betas, **shared), "muon": muon} if others else {"muon": muon}


def hidden_matrices(network: nn.Module, *, n_outputs: int) -> list[nn.Parameter]:
    """Return the weights of hidden layers with two axes: neither embeddings nor the output layer.

    The output layer is the last linear layer, in the order of the network's modules, if it has as many outputs as the
    network. Parameters that are not a layer's weight, such as learned position embeddings, are excluded.

    Examples
    --------
    >>> network = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    >>> [tuple(weight.shape) for weight in hidden_matrices(network, n_outputs=2)]
    [(5, 4)]
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    end = linear[-1:] if linear and linear[-1].out_features == n_outputs else []
    embeddings = [module for module in network.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    left_out = {id(module.weight) for module in (*end, *embeddings)}
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.ndim == 2 and "weight" in name.rpartition(".")[2] and id(parameter) not in left_out
    ]


def rate_factor(section: TrainingSection, step: int, total: int) -> float:
    r"""Return the factor of the learning rate in the update after ``step`` others of ``total``.

    With $w = \lceil \mathrm{warmup\_ratio} \cdot \mathrm{total} \rceil$ the factor is $(s + 1) / (w + 1)$ at a step
    $s < w$. After that it is 1 (``"constant"``); 1, 0.1 and 0.01 before 50 %, before 75 % and after 75 % of the
    training (``"step"``); $(1 + \cos \pi (s - w) / (\mathrm{total} - w)) / 2$ (``"cosine"``).

    Notes
    -----
    Those of `torch.optim.lr_scheduler`: ``LinearLR`` from ``1 / (w + 1)``, then ``MultiStepLR`` or
    ``CosineAnnealingLR``, combined by ``SequentialLR``. Sources: He et al. (2016), section 4.2; Loshchilov and
    Hutter (2017), SGDR, equation 5 without restarts.

    Examples
    --------
    >>> section = TrainingSection(learning_rate=1.0, epochs=1, schedule="cosine", warmup_ratio=0.2)
    >>> [round(rate_factor(section, step, 10), 2) for step in (0, 1, 2, 6, 9)]
    [0.33, 0.67, 1.0, 0.5, 0.04]
    """
    warm = math.ceil(section.warmup_ratio * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    if section.schedule == "step":
        return float(0.1 ** sum(step >= int(share * total) for share in _DROPS))
    if section.schedule == "cosine":
        return (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2
    return 1.0
