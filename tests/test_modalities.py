"""Each kind of data holds a world whose interactions are known, and the pipeline finds them."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

import interdyn as ix
from interdyn.errors import InputError, PlayersError
from interdyn.game import STOP_WORDS, n_parts

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] the film is great ##ly not but funny , . ' s do n t miss it dull"
WORD = {word: i for i, word in enumerate(VOCABULARY.split())}


def _tokenizer(*, mask="[MASK]"):
    inner = Tokenizer(WordPiece(WORD, unk_token="[UNK]"))
    inner.normalizer, inner.pre_tokenizer = Lowercase(), BertPreTokenizer()
    inner.post_processor = TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special, **({"mask_token": mask} if mask else {}))


def _strongest(found, count, sample=0):
    return {(term.kind, term.players): term.value for term in found[sample].top(count)}


def _both(a, b):
    return (a & b).double()


# -- pictures, tables, sequences ---------------------------------------------------------------------


def test_patches_of_a_picture():
    def model(x):  # patches 0 AND 3; 5 OR 6
        lit = torch.nn.functional.max_pool2d(x[:, 0], 2).flatten(1) > 0.5
        return 2 * _both(lit[:, 0], lit[:, 3]) + (lit[:, 5] | lit[:, 6])

    found = ix.measure(
        model, torch.ones(1, 1, 4, 8), players=ix.players.patches(2, 4), output="regression", noise_bound=0.0
    )
    assert _strongest(found, 2) == pytest.approx({("and", (0, 3)): 2.0, ("or", (5, 6)): 1.0}, abs=1e-2)


def test_cells_of_a_feature_map():
    class Decides(torch.nn.Module):
        def forward(self, maps):  # cells 0 AND 3 of the map; 1 OR 2
            lit = torch.nn.functional.max_pool2d(maps[:, 1], 2).flatten(1) > 0.5
            return 2 * _both(lit[:, 0], lit[:, 3]) + (lit[:, 1] | lit[:, 2])

    see = torch.nn.Conv2d(1, 2, 3, stride=2, padding=1)
    torch.nn.init.constant_(see.weight, 0.5)
    network = torch.nn.Sequential(see, torch.nn.ReLU(), Decides())
    arguments = {"players": ix.players.patches(2, 2), "layer": "1", "baselines": 0.0, "output": "regression"}
    found = ix.measure(network, torch.ones(2, 1, 8, 8), noise_bound=0.0, **arguments)
    for sample in range(2):
        terms = _strongest(found, 2, sample)
        assert terms == pytest.approx({("and", (0, 3)): 2.0, ("or", (1, 2)): 1.0}, abs=1e-2)


def test_segments_of_a_picture_with_background():
    drawn = torch.tensor([[4, 4, -1, 9], [4, -1, 7, 9]])

    def model(x):
        return _both(x[:, 0, 0, 0] > 0, x[:, 0, 1, 2] > 0) + x[:, 0, 0, 2].double()

    found = ix.measure(
        model, torch.ones(1, 1, 2, 4), players=ix.players.segments(drawn), output="regression", noise_bound=0.0
    )
    assert found.i_and.shape == (1, 8)
    assert _strongest(found, 1) == pytest.approx({("and", (0, 1)): 1.0}, abs=1e-2)
    assert float(found.i_and[0, 0]) == pytest.approx(1.0, abs=1e-2)  # the background stays


def test_columns_of_a_table_with_codes_together():
    def model(x):  # the code (columns 1..3) says "b", and column 0 is high
        return 3 * _both(x[:, 2] > 0.5, x[:, 0] > 0.5)

    x = torch.tensor([[1.0, 0, 1, 0, 1]])
    players = ix.players.columns([[0], [1, 2, 3], [4]])
    found = ix.measure(model, x, players=players, output="regression", noise_bound=0.0)
    assert _strongest(found, 1) == pytest.approx({("and", (0, 1)): 3.0}, abs=1e-2)


def test_pieces_of_a_sequence():
    def model(x):  # something in the first and in the last piece
        return _both((x[:, :4, 0] > 0.5).any(1), (x[:, 8:, 1] > 0.5).any(1))

    found = ix.measure(model, torch.ones(1, 12, 2), players=ix.players.steps(3), output="regression", noise_bound=0.0)
    assert _strongest(found, 1) == pytest.approx({("and", (0, 2)): 1.0}, abs=1e-2)


def test_pieces_are_cut_evenly_and_not_beyond_the_steps():
    sizes = torch.bincount(ix.players.steps(5).cells((12, 3)).flatten())
    assert sizes.tolist() == [3, 2, 3, 2, 2]
    with pytest.raises(PlayersError, match="13 pieces need a sequence of at least that many steps"):
        ix.players.steps(13).cells((12, 3))
    with pytest.raises(PlayersError, match="`count` must be an integer, 1 or more"):
        ix.players.steps(0)


# -- words -----------------------------------------------------------------------------------------


def _says(ids, *names):
    return (ids == WORD[names[0]]).any(1) if len(names) == 1 else torch.stack([_says(ids, n) for n in names]).all(0)


def test_words_of_a_sentence():
    text = ix.players.words(_tokenizer(), ["The film is greatly funny, but not dull.", "It is dull, not great"])
    assert text.words == (("film", "greatly", "funny", "not", "dull"), ("dull", "not", "great"))

    def model(ids, attention):  # great AND funny; not AND dull
        assert (attention.sum(1) > 3).all()
        return 2 * _says(ids, "great", "funny").double() - _says(ids, "not", "dull").double()

    found = ix.measure(
        model,
        (text.input_ids, text.attention_mask),
        feature_mask=(ix.players.choose_parts(text.parts), torch.full_like(text.parts, -1)),
        baselines=(text.mask_token_id, 0),
        output="regression",
        noise_bound=0.0,
        allow_fewer=True,
    )
    assert _strongest(found, 2) == pytest.approx({("and", (1, 2)): 2.0, ("and", (3, 4)): -1.0}, abs=1e-2)
    assert _strongest(found, 1, sample=1) == pytest.approx({("and", (0, 1)): -1.0}, abs=1e-2)
    assert found.settings["players_of_samples"] == [5, 3]
    beyond = torch.arange(32) >= 8  # players 3 and 4 are not in the second sentence
    assert float(found.i_and[1, beyond].abs().sum() + found.i_or[1, beyond].abs().sum()) < 1e-2


def test_a_word_keeps_all_its_tokens_and_the_rest_has_no_player():
    text = ix.players.words(_tokenizer(), ["The film's greatly, greatly funny."])
    tokens = [VOCABULARY.split()[i] for i in text.input_ids[0]]
    parts = text.parts[0].tolist()
    assert tokens == ["[CLS]", "the", "film", "'", "s", "great", "##ly", ",", "great", "##ly", "funny", ".", "[SEP]"]
    assert parts == [-1, -1, 0, 0, 0, 1, 1, -1, 2, 2, 3, -1, -1]
    assert "not" not in STOP_WORDS
    assert ix.players.words(_tokenizer(), ["the film"], stop_words=()).words == (("the", "film"),)


def test_sentences_are_padded_and_cut():
    text = ix.players.words(_tokenizer(), ["film", "great film not dull"], max_length=4)
    assert text.input_ids.tolist() == [[2, 6, 3, 0], [2, 8, 6, 3]]
    assert text.attention_mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert text.words == (("film",), ("great", "film"))


def test_a_sentence_of_one_word_is_one_player():
    text = ix.players.words(_tokenizer(), ["Funny!"])
    found = ix.measure(
        lambda ids: _says(ids, "funny").double(),
        text.input_ids,
        feature_mask=ix.players.choose_parts(text.parts, 10),
        baselines=text.mask_token_id,
        output="regression",
        noise_bound=0.0,
    )
    assert found.i_and.shape == (1, 2)
    assert float(found.i_and[0, 1]) == pytest.approx(1.0, abs=1e-2)


def test_sentences_and_tokenizers_that_do_not_work():
    with pytest.raises(InputError, match=r"not a stop word; got none in sentence 1, 'it is \.'"):
        ix.players.words(_tokenizer(), ["film", "it is ."])
    with pytest.raises(InputError, match=r"without .MASK.*Pass one as `mask_token`"):
        ix.players.words(_tokenizer(mask=None), ["film"])
    assert ix.players.words(_tokenizer(mask=None), ["film"], mask_token="[UNK]").mask_token_id == 1
    with pytest.raises(InputError, match="vocabulary; got '<mask>'"):
        ix.players.words(_tokenizer(), ["film"], mask_token="<mask>")
    with pytest.raises(InputError, match="fast one"):
        ix.players.words(object(), ["film"])
    for sentences, got in (([], "none"), ("great film", "one string")):
        with pytest.raises(InputError, match=f"list of at least one string; got {got}"):
            ix.players.words(_tokenizer(), sentences)
    unpadded = _tokenizer()
    unpadded.pad_token = None
    with pytest.raises(InputError, match=r"need a padding token; got .* without one.*pad_token = tokenizer.eos_token"):
        ix.players.words(unpadded, ["film", "great film"])
    assert ix.players.words(unpadded, ["great film"]).input_ids.tolist() == [[2, 8, 6, 3]]  # one needs no padding


def test_stop_words_punctuation_and_special_tokens_are_no_players():
    sentences = [
        "It's great, don't miss it; they\u2019re funny.",
        "[CLS] great [MASK] film [SEP]",
        "It can't be dull, it isn\u2019t.",
        "the unheard [UNK] film",
    ]
    text = ix.players.words(_tokenizer(), sentences)
    assert text.words == (
        ("great", "don't", "miss", "funny"),
        ("great", "film"),
        ("can't", "dull", "isn\u2019t"),  # negations
        ("unheard", "film"),  # a word that the vocabulary lacks is a word, [UNK] written out is none
    )
    unheard = text.parts[3].tolist()
    assert unheard[2:5] == [0, -1, 1]
    assert [int(i) for i in text.input_ids[3, 2:4]] == [1, 1]


@pytest.mark.parametrize("by_name", [False, True])
def test_the_mean_embedding_as_a_baseline(by_name):
    seen = []  # a network runs as a copy, which keeps nothing for us

    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(len(WORD), 3)
            self.embedding.weight.data = torch.eye(len(WORD))[:, [WORD["great"], WORD["funny"], WORD["dull"]]]

        def forward(self, ids):
            vectors = self.embedding(ids)
            seen.append(vectors)
            held = vectors.amax(1) > 0.5
            return _both(held[:, 0], held[:, 1])

    reader, text = Reader(), ix.players.words(_tokenizer(), ["a great, funny film"])
    found = ix.measure(
        reader,
        text.input_ids,
        layer="embedding",
        feature_mask=ix.players.choose_parts(text.parts)[..., None],
        baselines="mean-embedding" if by_name else reader.embedding.weight.detach().mean(0),
        output="regression",
        noise_bound=0.0,
    )
    assert _strongest(found, 1) == pytest.approx({("and", (0, 1)): 1.0}, abs=1e-2)
    masked = seen[-1][0, 2]  # no player present, "great": the same in the last batch, which holds all subsets
    torch.testing.assert_close(masked, torch.full((3,), 1 / len(WORD)))


def test_a_mean_embedding_needs_an_embedding():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2))
    for layer, got in ((None, "none"), ("0", "'0', a Linear")):
        with pytest.raises(PlayersError, match=f"name a token embedding; got {got}. Name it"):
            ix.value_table(
                network,
                torch.ones(1, 3),
                target=0,
                players=ix.players.columns(),
                layer=layer,
                baselines="mean-embedding",
            )


# -- points ----------------------------------------------------------------------------------------


def _cloud(samples=1, seed=0):
    """Four blobs far apart, ten points each, in an order of its own for each cloud."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([[5.0, 0, 0], [0, 5, 0], [0, 0, 5], [-5, -5, -5]], 10, axis=0)
    clouds = centres + 0.5 * rng.standard_normal((samples, 40, 3))
    order = [rng.permutation(40) for _ in range(samples)]
    blob = np.stack([o // 10 for o in order])
    return torch.tensor(np.stack([c[o] for c, o in zip(clouds, order, strict=True)]), dtype=torch.float32), blob


def test_clusters_of_points_moved_to_their_means():
    points, blob = _cloud(samples=2)
    ids = ix.players.clusters(points, 4)
    assert all(len(np.unique(ids[s][blob[s] == b])) == 1 for s in range(2) for b in range(4))
    means = ix.players.part_means(points, ids)
    spread = [set(ids[s][blob[s] == b].tolist()).pop() for s in range(2) for b in (0, 1)]

    def _width(x, axis):
        inside = x[:, :, axis] > 3
        mean = (x[:, :, axis] * inside).sum(1) / inside.sum(1)
        return ((((x[:, :, axis] - mean[:, None]) ** 2) * inside).sum(1) > 1e-3).double()

    def model(x):  # the blob along x and that along y both have a width
        return _width(x, 0) * _width(x, 1)

    found = ix.measure(
        model, points, feature_mask=ids[..., None], baselines=means, output="regression", noise_bound=0.0
    )
    for s in range(2):
        pair = tuple(sorted(spread[2 * s : 2 * s + 2]))
        assert _strongest(found, 1, sample=s) == pytest.approx({("and", pair): 1.0}, abs=1e-2)


def test_clusters_are_the_same_for_the_same_seed_and_need_enough_points():
    points, _ = _cloud()
    assert torch.equal(ix.players.clusters(points, 6, seed=3), ix.players.clusters(points, 6, seed=3))
    assert len(torch.unique(ix.players.clusters(points, 40))) == 40
    with pytest.raises(InputError, match="40 points for 41 clusters"):
        ix.players.clusters(points, 41)
    with pytest.raises(InputError, match="1 for 2 clusters"):
        ix.players.clusters(torch.zeros(1, 5, 3), 2)
    with pytest.raises(InputError, match="samples, points, coordinates"):
        ix.players.clusters(points[0], 2)
    with pytest.raises(InputError, match="one part for each point"):
        ix.players.part_means(points, torch.zeros(1, 3, dtype=torch.long))


# -- parts -----------------------------------------------------------------------------------------


def test_parts_are_drawn_for_each_sample_and_numbered_in_order():
    parts = np.array([[3, 3, 8, -1, 5], [1, 2, 4, 4, 9]])
    assert n_parts(parts).tolist() == [3, 4]
    assert ix.players.choose_parts(parts).tolist() == [[0, 0, 2, -1, 1], [0, 1, 2, 2, 3]]
    drawn = ix.players.choose_parts(parts, 2, seed=1, sample_ids=[70, 71], others="mask")
    again = ix.players.choose_parts(parts[::-1], 2, seed=1, sample_ids=[71, 70], others="mask")
    assert torch.equal(drawn, again.flip(0))
    assert all(set(row.tolist()) - {-1} == {-2, 0, 1} for row in drawn)
    assert any(not torch.equal(drawn, ix.players.choose_parts(parts, 2, seed=s, sample_ids=[70, 71])) for s in range(5))
    assert ix.players.choose_parts(parts, 9).max(1).values.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        (np.zeros((2, 3)), {}, "integers"),
        (np.zeros(3, dtype=int), {}, "a row for each sample"),
        (np.array([[0, 1], [-1, -1]]), {}, "none in sample 1"),
        (np.array([[0, 1]]), {"n": 0}, "1 or more"),
        (np.array([[0, 1]]), {"others": "drop"}, "'keep' or 'mask'"),
        (np.array([[0, 1]]), {"sample_ids": [-1], "n": 1}, "0 or more"),
    ],
)
def test_parts_that_cannot_be_players(parts, options, message):
    with pytest.raises(PlayersError, match=message):
        ix.players.choose_parts(parts, **options)


def test_fewer_players_are_an_error_unless_allowed():
    mask = torch.tensor([[0, 1, 2], [0, 1, -1]])
    model = lambda x: x.sum(1)  # noqa: E731
    with pytest.raises(PlayersError, match=r"sample 1 without player 2.*allow_fewer"):
        ix.value_table(model, torch.ones(2, 3), feature_mask=mask, output="regression")
    table = ix.value_table(model, torch.ones(2, 3), feature_mask=mask, output="regression", allow_fewer=True)
    assert table.values.tolist() == [[0, 1, 1, 2, 1, 2, 2, 3], [1, 2, 2, 3, 1, 2, 2, 3]]
    none = torch.tensor([[0, 1, 2], [-1, -1, -1]])
    with pytest.raises(PlayersError, match="sample 1 without any"):
        ix.value_table(model, torch.ones(2, 3), feature_mask=none, output="regression", allow_fewer=True)
