"""Networks for tokens (token 0 is padding) or numeric sequences: LSTM, GRU, transformer encoders, BERT."""

from typing import Any

import torch
from torch import Tensor, nn

from interdyn.errors import RecipeError, missing_extra
from interdyn.recipes import model
from interdyn_zoo.models._start import check_start, started

_VOCABULARY = 30522  # BERT's
_SIZES = {"tiny": (2, 64, 2), "small": (2, 128, 4), "medium": (4, 256, 8)}  # layers, width, heads


class _Reader(nn.Module):
    """Maps tokens or numeric steps to vectors, and marks which of them are not padding."""

    def __init__(self, shape: tuple[int, ...], width: int, vocabulary: int, name: str) -> None:
        super().__init__()
        if len(shape) not in (1, 2):
            raise RecipeError(
                f"the model `{name}` needs tokens (tokens,) or numeric sequences (steps, features); got inputs of "
                f"shape {shape}. Choose a model for such inputs."
            )
        self.tokens = len(shape) == 1
        self.embedding: nn.Module
        if self.tokens:
            self.embedding = nn.Embedding(vocabulary, width)
        else:
            self.embedding = nn.Linear(shape[1], width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        present = x != 0 if self.tokens else x.new_ones(x.shape[:2], dtype=torch.bool)
        return self.embedding(x), present


class Recurrent(nn.Module):
    """A recurrent network whose state after the last real token is classified."""

    def __init__(
        self, kind: str, shape: tuple[int, ...], n_outputs: int, *, vocabulary: int, hidden: int, layers: int
    ) -> None:
        super().__init__()
        self.reader = _Reader(shape, hidden, vocabulary, kind)
        cell = nn.LSTM if kind == "lstm" else nn.GRU
        self.network = cell(hidden, hidden, num_layers=layers, batch_first=True)
        self.classifier = nn.Linear(hidden, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, unaffected by what follows the last real token."""
        embedded, present = self.reader(x)
        states, _ = self.network(embedded)
        place = torch.arange(present.shape[1], device=x.device)
        last = torch.where(present, place, 0).amax(dim=1)
        return torch.as_tensor(self.classifier(states[torch.arange(len(states), device=x.device), last]))


@model("lstm")
def lstm(
    shape: tuple[int, ...], n_outputs: int, *, vocabulary: int = _VOCABULARY, hidden: int = 128, layers: int = 1
) -> nn.Module:
    """Return an LSTM over tokens or numeric sequences; ``hidden`` is the width of embedding and state.

    Raises
    ------
    RecipeError
        If the inputs are neither.
    """
    return Recurrent("lstm", shape, n_outputs, vocabulary=vocabulary, hidden=hidden, layers=layers)


@model("gru")
def gru(
    shape: tuple[int, ...], n_outputs: int, *, vocabulary: int = _VOCABULARY, hidden: int = 128, layers: int = 1
) -> nn.Module:
    """Return a GRU over tokens or numeric sequences; ``hidden`` is the width of embedding and state.

    Raises
    ------
    RecipeError
        If the inputs are neither.
    """
    return Recurrent("gru", shape, n_outputs, vocabulary=vocabulary, hidden=hidden, layers=layers)


class Encoder(nn.Module):
    """A transformer encoder with learned positions; the mean over the real tokens is classified."""

    def __init__(
        self, shape: tuple[int, ...], n_outputs: int, *, vocabulary: int, layers: int, width: int, heads: int
    ) -> None:
        super().__init__()
        self.reader = _Reader(shape, width, vocabulary, "encoder")
        self.places = nn.Parameter(0.02 * torch.randn(shape[0], width))
        block = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm, self.classifier = nn.LayerNorm(width), nn.Linear(width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits; padding is not attended to."""
        embedded, present = self.reader(x)
        out = self.norm(self.encoder(embedded + self.places, src_key_padding_mask=~present))
        weight = present[..., None].to(out.dtype)
        return torch.as_tensor(self.classifier((out * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)))


@model("encoder")
def encoder(
    shape: tuple[int, ...],
    n_outputs: int,
    *,
    size: str = "small",
    vocabulary: int = _VOCABULARY,
    init_std: float | None = None,
) -> nn.Module:
    """Return a transformer encoder: ``"tiny"`` (2 layers, width 64), ``"small"`` (2, 128) or ``"medium"`` (4, 256).

    ``init_std`` is the standard deviation of its initial weights, with biases 0; by default PyTorch's initialisation.

    Raises
    ------
    RecipeError
        If the inputs are neither tokens nor numeric sequences, or there is no such size or standard deviation.
    """
    check_start("encoder", init_std)
    if size not in _SIZES:
        raise RecipeError(f"`model.options.size` of `encoder` must be one of {', '.join(_SIZES)}; got {size!r}.")
    layers, width, heads = _SIZES[size]
    network = Encoder(shape, n_outputs, vocabulary=vocabulary, layers=layers, width=width, heads=heads)
    return started(network, init_std)


class Bert(nn.Module):
    """BERT for classification, from a configuration; token 0 is padding and not attended to."""

    def __init__(self, configuration: Any, network: Any) -> None:
        super().__init__()
        self.network = network(configuration)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits."""
        return torch.as_tensor(self.network(input_ids=ids, attention_mask=(ids != 0).long()).logits)


@model("bert-tiny")
def bert_tiny(shape: tuple[int, ...], n_outputs: int, *, init_std: float | None = None) -> nn.Module:
    """Return BERT-Tiny: 2 layers, width 128, 2 heads; the embedding is ``network.bert.embeddings.word_embeddings``.

    ``init_std`` is the standard deviation of its initial weights, with biases 0; by default BERT's own, 0.02.

    Source: Turc et al. (2019), Well-Read Students Learn Better.

    Raises
    ------
    MissingExtraError, RecipeError
        If transformers is not installed, the inputs are not tokens, or the standard deviation is invalid.
    """
    return _bert("bert-tiny", shape, n_outputs, layers=2, width=128, heads=2, init_std=init_std)


@model("bert-medium")
def bert_medium(shape: tuple[int, ...], n_outputs: int, *, layers: int = 8, init_std: float | None = None) -> nn.Module:
    """Return BERT-Medium: 8 ``layers``, width 512, 8 heads; see `bert_tiny`."""
    return _bert("bert-medium", shape, n_outputs, layers=layers, width=512, heads=8, init_std=init_std)


def _bert(
    name: str, shape: tuple[int, ...], n_outputs: int, *, layers: int, width: int, heads: int, init_std: float | None
) -> nn.Module:
    check_start(name, init_std)
    if len(shape) != 1:
        raise RecipeError(
            f"the model `{name}` needs tokens (tokens,); got inputs of shape {shape}. Choose data of sentences."
        )
    try:
        from transformers import BertConfig, BertForSequenceClassification
    except ImportError as error:
        raise missing_extra("transformers", "hf", f"the model `{name}`") from error
    settings: dict[str, Any] = {
        "vocab_size": _VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "num_labels": n_outputs,
        "attn_implementation": "sdpa",
    }
    configuration = BertConfig(**settings)
    return started(Bert(configuration, BertForSequenceClassification), init_std)
