"""Real networks that were taught a known world, and the pipeline that finds it: transformers, a recurrent network."""

import itertools

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

import interdyn as ix
from interdyn.recipes import build_model
from interdyn.recipes._schema import ModelSection

SENTENCE = "The film is greatly funny, but not dull."
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] the film is great ##ly funny , but not dull ."


def taught(network, inputs, labels, *, steps, rate=3e-3):
    """Train a network on every masked input until it knows the world."""
    optimiser = torch.optim.Adam(network.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        out = network(*inputs)
        loss = torch.nn.functional.cross_entropy(getattr(out, "logits", out), labels)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02
    return network.eval()


def masked_in_all_ways(ids, parts, mask):
    """Return one row for each subset of the parts, and which parts are present in it."""
    n = int(parts.max()) + 1
    present = torch.tensor(list(itertools.product([False, True], repeat=n)))
    keep = torch.where(parts >= 0, present[:, parts.clamp_min(0)], True)
    return torch.where(keep, ids, mask), present


@pytest.fixture
def bert():
    """BERT of Hugging Face that has learned "class 1 = funny AND not", its tokenizer and the sentence."""
    words = VOCABULARY.split()
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)
    text = ix.players.words(tokenizer, [SENTENCE])
    assert text.words == (("film", "greatly", "funny", "not", "dull"),)
    rows, present = masked_in_all_ways(text.input_ids[0], text.parts[0], text.mask_token_id)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        network = BertForSequenceClassification(
            BertConfig(
                vocab_size=len(words),
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                num_labels=2,
                **settings,
            )
        )
        both = (present[:, 2] & present[:, 3]).long()
        return taught(network, (rows, torch.ones_like(rows)), both, steps=150), text


def test_words_of_a_transformer_of_hugging_face(bert):
    network, text = bert
    found = ix.measure(
        network,
        (text.input_ids, text.attention_mask),
        target=1,
        feature_mask=(ix.players.choose_parts(text.parts), torch.full_like(text.parts, -1)),
        baselines=(text.mask_token_id, 0),
    )
    (first,) = found[0].top(1)
    assert (first.kind, first.players) == ("and", (2, 3))  # "funny" AND "not"
    strength = found.i_and.abs()[0, 1:].sum() + found.i_or.abs()[0, 1:].sum()
    assert first.value > 0.8 * float(strength)
    rows, present = masked_in_all_ways(text.input_ids[0], text.parts[0], text.mask_token_id)
    subset = (present * 2 ** torch.arange(5)).sum(1)
    with torch.no_grad():  # one mask at a time
        one_by_one = torch.cat([network(row[None], text.attention_mask).logits for row in rows]).double()
    v = (ix.transforms.values_from_and(found.i_and) + ix.transforms.values_from_or(found.i_or) + found.residual)[0]
    torch.testing.assert_close(v[subset], one_by_one[:, 1] - one_by_one[:, 0], rtol=1e-5, atol=1e-4)


def test_the_mean_embedding_of_a_transformer_of_hugging_face(bert):
    network, text = bert
    table = ix.value_table(
        network,
        text.input_ids,
        target=1,
        layer="bert.embeddings.word_embeddings",
        feature_mask=ix.players.choose_parts(text.parts)[..., None],
        baselines="mean-embedding",
    )
    vectors = network.bert.embeddings.word_embeddings.weight.detach()
    embedded = vectors[text.input_ids[0]].clone()
    embedded[text.parts[0] >= 0] = vectors.mean(0)
    with torch.no_grad():
        logits = network(inputs_embeds=embedded[None]).logits[0].double()
    assert float(table.values[0, 0]) == pytest.approx(float(logits[1] - logits[0]), rel=1e-4, abs=1e-4)


def test_a_tokenizer_of_bytes_without_a_mask_and_its_transformer():
    inner = Tokenizer(BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator([SENTENCE] * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>")
    tokenizer.pad_token = tokenizer.eos_token
    text = ix.players.words(tokenizer, [SENTENCE, "greatly funny"], mask_token="\u0120")  # a space, in its alphabet
    assert text.words == (("film", "greatly", "funny", "not", "dull"), ("greatly", "funny"))
    for sentence in range(2):
        for part, word in enumerate(text.words[sentence]):
            inside = text.input_ids[sentence][text.parts[sentence] == part]
            assert tokenizer.decode(inside).strip() == word  # all its tokens, and nothing else
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = GPT2ForSequenceClassification(
            GPT2Config(
                vocab_size=len(tokenizer),
                n_positions=64,
                n_embd=16,
                n_layer=1,
                n_head=2,
                num_labels=2,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=0,
            )
        ).eval()
    found = ix.measure(
        lambda ids, attention: network(input_ids=ids, attention_mask=attention),
        (text.input_ids, text.attention_mask),
        target=[0, 1],
        feature_mask=(ix.players.choose_parts(text.parts), torch.full_like(text.parts, -1)),
        baselines=(text.mask_token_id, 0),
        allow_fewer=True,
    )
    assert found.settings["players_of_samples"] == [5, 2]
    assert found.i_and.shape == (2, 32)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_pieces_of_a_sequence_and_a_recurrent_network(kind):
    steps = torch.ones(1, 8, 1)
    pieces = torch.tensor([0, 0, 1, 1, 1, 2, 2, 3])  # given by hand, of several lengths
    present = torch.tensor(list(itertools.product([False, True], repeat=4)))
    rows = present[:, pieces].float()[..., None]
    network = build_model(ModelSection(name=kind, options={"hidden": 16}), shape=(8, 1), n_outputs=2, seed=0)
    labels = (present[:, 0] & present[:, 2]).long()  # class 1 = the first AND the third piece
    taught(network, (rows,), labels, steps=200, rate=2e-2)
    found = ix.measure(network, steps, target=1, players=ix.players.segments(pieces[:, None]))
    (first,) = found[0].top(1)
    assert (first.kind, first.players) == ("and", (0, 2))
    assert first.value > 5
