"""Sentences of any script as players, batches by name, tokens that end a sentence: what a network of text is given."""

import unicodedata

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from torch.utils.data import DataLoader

from interdyn.errors import InputError, InputWarning, ModelError, PlayersError
from interdyn.game import choose_parts, columns, game_function, samples_of, value_table, words

transformers = pytest.importorskip("transformers")

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the film is not dull great ##ly very"
SIZES = {
    "vocab_size": 13,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 16,
}


def tokenizer():
    return transformers.BertTokenizer(vocab={word: i for i, word in enumerate(WORDS.split())})


def of_bytes(**special):
    """Return a tokenizer that gives each byte of a text a token of its own."""
    alphabet = [*pre_tokenizers.ByteLevel.alphabet(), "<m>", "<p>"]
    inner = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, mask_token="<m>", pad_token="<p>", **special)


def of_pieces(pieces):
    """Return a tokenizer whose tokens are the given ones, of any script."""
    vocabulary = {piece: i for i, piece in enumerate(["<u>", "<m>", *pieces])}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="<u>", continuing_subword_prefix=""))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, mask_token="<m>", unk_token="<u>")


@pytest.fixture
def bert():
    return seeded(transformers.BertForSequenceClassification, transformers.BertConfig(**SIZES, num_labels=3))


def seeded(kind, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


class TestScripts:
    @pytest.mark.parametrize(
        "text",
        [
            "नमस्ते दुनिया कैसी है",  # Hindi: vowel signs and virama
            "আমার সোনার বাংলা",  # Bengali
            "தமிழ் மொழி இனிது",  # Tamil
            "తెలుగు భాష తీయన",  # Telugu
            "كِتَابٌ جَدِيدٌ",  # Arabic, with vowel signs
            "שָׁלוֹם עוֹלָם",  # Hebrew, pointed
            'צה"ל'.replace('"', "\u05f4"),  # Hebrew, an abbreviation
            "می\u200cخواهم بروم",  # noqa: RUF001  # Persian, with a non-joiner
            unicodedata.normalize("NFD", "Việt Nam đẹp"),
            unicodedata.normalize("NFD", "Ünïcödé façade"),
            "l\u00b7lusió col\u00b7legi",  # Catalan
            "한국어 문장",  # Korean has spaces
            "Ελληνικά λόγια",
        ],
    )
    def test_signs_belong_to_their_letters(self, text):
        assert words(of_bytes(), [text], stop_words=()).words[0] == tuple(text.split())

    @pytest.mark.parametrize(
        ("pieces", "text"),
        [
            (["我们", "喜欢", "电影"], "我们喜欢电影。"),
            (["映画", "は", "とても", "よかった"], "映画はとてもよかった"),
            (["ภาพยนตร์", "เรื่อง", "นี้", "ดี"], "ภาพยนตร์เรื่องนี้ดี"),
        ],
    )
    def test_scripts_without_spaces_by_the_pieces_of_the_tokenizer(self, pieces, text):
        found = words(of_pieces([*pieces, "。"]), [text])
        assert found.words[0] == tuple(pieces)
        assert found.parts[0].tolist()[: len(pieces)] == list(range(len(pieces)))

    def test_a_piece_is_no_part_of_a_character(self):
        found = words(of_bytes(), ["ที่นี่ 2024年"])  # three bytes a letter, signs above the letter
        assert found.words[0] == ("ที่", "นี่", "2024", "年")
        counts = torch.bincount(found.parts[0][found.parts[0] >= 0]).tolist()
        assert counts == [9, 9, 4, 3]

    def test_or_by_a_function(self):
        def segment(text):
            assert text == "这部电影不好看!"
            return ["这部", "电影", "不", "好看", "!"]

        assert words(of_bytes(), ["这部电影不好看!"], segment=segment).words[0] == ("这部", "电影", "不", "好看")
        assert words(of_bytes(), ["New York is far"], segment=lambda _: ["New York", "far"]).words == (
            ("New York", "far"),
        )
        with pytest.raises(InputError, match="as they occur there, in order; got 'near'"):
            words(of_bytes(), ["far"], segment=lambda _: ["near"])


class TestPairs:
    def test_words_of_both_texts(self, bert):
        text = words(tokenizer(), [("The film is dull", "not great"), ("film", "very dull film")])
        assert text.words == (("film", "dull", "not", "great"), ("film", "dull", "film"))
        assert text.token_type_ids[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]
        mask = choose_parts(text.parts)
        found = value_table(
            bert,
            text.batch,
            target=1,
            feature_mask=mask,
            baselines=text.mask_token_id,
            allow_fewer=True,
            names=text.names_of(mask),
        )
        with torch.no_grad():
            z = bert(**text.batch).logits.double()
        others = torch.logsumexp(z[:, [0, 2]], 1)
        torch.testing.assert_close(found.values[:, -1], z[:, 1] - others, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("sentences", [["film", ("film", "dull")], [("a", "b", "c")], [3], [("film", 3)]])
    def test_neither_text_nor_pair(self, sentences):
        with pytest.raises(InputError, match="all be strings, or all pairs"):
            words(tokenizer(), sentences)


@pytest.fixture
def text():
    return words(tokenizer(), ["The film is not dull", "great film"])


@pytest.fixture
def expected(bert, text):
    """Return the table with inputs by position, the attention mask without players."""
    mask = choose_parts(text.parts)
    return value_table(
        lambda ids, attention: bert(input_ids=ids, attention_mask=attention),
        (text.input_ids, text.attention_mask),
        target=[0, 2],
        feature_mask=(mask, torch.full_like(mask, -1)),
        baselines=(text.mask_token_id, 0),
        allow_fewer=True,
    ).values


class TestBatchesByName:
    @pytest.mark.parametrize(
        "given",
        [
            lambda ids, there: {"attention_mask": there, "input_ids": ids},
            lambda ids, there: {"input_ids": ids.numpy(), "attention_mask": there.tolist(), "labels": [0, 2]},
            lambda ids, there: transformers.BatchEncoding({"input_ids": ids, "attention_mask": there}),
            lambda ids, there: {  # sentences of different lengths
                "input_ids": [row[:n] for row, n in zip(ids.tolist(), there.sum(1).tolist(), strict=True)],
                "attention_mask": [[1] * n for n in there.sum(1).tolist()],
            },
            lambda ids, there: {"input_ids": ids, "attention_mask": there, "sentence": ["a", "b"], "idx": [7, 8]},
        ],
    )
    def test_words_are_masked_and_the_rest_goes_with_them(self, bert, text, expected, given):
        batch = given(text.input_ids, text.attention_mask)
        mask = choose_parts(text.parts)
        options = {"target": [0, 2], "baselines": text.mask_token_id, "allow_fewer": True}
        assert torch.equal(value_table(bert, batch, feature_mask=mask, **options).values, expected)
        by_name = {"feature_mask": {"input_ids": mask}, "baselines": {"input_ids": text.mask_token_id}}
        assert torch.equal(value_table(bert, batch, **{**options, **by_name}).values, expected)

    def test_data_sets_of_them(self, bert, text, expected):
        datasets = pytest.importorskip("datasets")
        rows = {"input_ids": text.input_ids.tolist(), "attention_mask": text.attention_mask.tolist(), "label": [0, 2]}
        data = datasets.Dataset.from_dict({**rows, "sentence": ["a", "b"]})
        ragged = data.map(
            lambda row: {k: row[k][: sum(row["attention_mask"])] for k in ("input_ids", "attention_mask")}
        )
        loader = DataLoader(
            ragged.remove_columns("sentence"),
            batch_size=2,
            collate_fn=transformers.DataCollatorWithPadding(tokenizer()),
        )
        options = {"feature_mask": choose_parts(text.parts), "baselines": text.mask_token_id, "allow_fewer": True}
        for given in (data, data.with_format("torch"), ragged, loader):
            assert torch.equal(value_table(bert, given, **options).values, expected)

    def test_padding_is_no_player(self, bert, text):
        with pytest.raises(PlayersError, match="sample 1 without player 4"):
            value_table(bert, text.batch, target=1, players=columns(), baselines=4)
        found = value_table(bert, text.batch, target=1, players=columns(), baselines=4, allow_fewer=True)
        assert found.provenance["players_of_samples"] == [7, 4]

    def test_a_function_may_take_them_by_name_or_as_one_mapping(self, text):
        batch = {"input_ids": text.input_ids, "attention_mask": text.attention_mask}
        options = {"players": columns(), "baselines": 4, "allow_fewer": True, "output": "regression"}
        by_name = value_table(lambda input_ids, attention_mask: (input_ids * attention_mask).sum(1), batch, **options)
        as_one = value_table(lambda rows: (rows["input_ids"] * rows["attention_mask"]).sum(1), batch, **options)
        assert torch.equal(by_name.values, as_one.values)
        assert float(by_name.values[0, -1]) == float(text.input_ids[0].sum())

    def test_the_main_entry_and_others(self):
        batch = {"scale": np.ones(2), "pixel_values": np.ones((2, 1, 4, 4)), "pick": [[0, 1], [1, 0]]}
        assert samples_of(batch).keywords == ("pixel_values", "scale", "pick")
        assert samples_of({"ids": [[1, 2]], "weights": [[0.5, 0.5]]}).keywords == ("weights", "ids")
        found = value_table(
            lambda a, b: (a * b).sum(1),
            {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[10.0, 100.0]])},
            feature_mask={"b": torch.tensor([0, 1]), "a": torch.tensor([1, -1])},
            baselines={"b": 0.0, "a": 5.0},
            output="regression",
        )
        assert found.values.tolist() == [[0.0, 50.0, 200.0, 210.0]]

    def test_what_does_not_go_with_them(self, bert, text):
        mask = choose_parts(text.parts)
        with pytest.raises(InputError, match="Put it into the batch"):
            value_table(bert, text.batch, target=1, feature_mask=mask, additional_forward_args=3)
        with pytest.raises(PlayersError, match="must name masked inputs, input_ids; got attention_mask"):
            value_table(
                bert, text.batch, target=1, feature_mask=mask, baselines={"attention_mask": 0}, allow_fewer=True
            )
        questions = seeded(transformers.BertForQuestionAnswering, transformers.BertConfig(**SIZES))
        options = {"target": 1, "feature_mask": mask, "baselines": 4, "allow_fewer": True}
        with pytest.raises(ModelError, match="got start_logits, end_logits"):
            value_table(questions, text.batch, **options)
        found = value_table(questions, text.batch, output_key="end_logits", **options)
        assert found.values.shape == (2, 8)


class TestEndsOfSentences:
    def test_the_last_token_is_that_of_the_attention_mask(self, text):
        config = transformers.GPT2Config(
            vocab_size=13, n_positions=16, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3
        )
        network = seeded(transformers.GPT2LMHeadModel, config)
        batch = {"input_ids": text.input_ids, "attention_mask": text.attention_mask}
        options = {"target": 5, "feature_mask": choose_parts(text.parts), "allow_fewer": True}
        with pytest.raises(ModelError, match='output_key="last-token"'):
            value_table(network, batch, baselines=4, **options)
        for mask_token in (4, 0, 3):  # what is attended and read does not depend on tokens
            found = value_table(
                network, batch, baselines=mask_token, output_key="last-token", output="logit", **options
            )
            with torch.no_grad():
                z = network(**batch).logits.double()
            torch.testing.assert_close(found.values[:, -1], z[[0, 1], [6, 3], 5], rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("token", ["pad", "eos"])
    def test_a_mask_token_that_ends_a_sentence_is_refused(self, text, token):
        ends = {"pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2}
        config = transformers.GPT2Config(vocab_size=13, n_positions=16, n_embd=16, n_layer=1, n_head=2, **ends)
        network = seeded(transformers.GPT2ForSequenceClassification, config)
        options = {"target": 1, "feature_mask": choose_parts(text.parts), "allow_fewer": True}
        with pytest.raises(PlayersError, match="which position is read"):
            value_table(network, text.input_ids, baselines=ends[f"{token}_token_id"], **options)
        with pytest.raises(PlayersError, match="which position is read"):
            game_function(network, text.input_ids[:1], target=1, feature_mask=choose_parts(text.parts[:1]), baselines=0)
        assert value_table(network, text.input_ids, baselines=4, **options).values.shape == (2, 8)

    def test_where_the_attention_mask_has_it(self, bert, text):
        batch = {
            "input_ids": torch.where(text.input_ids == 0, 12, text.input_ids),
            "attention_mask": text.attention_mask,
        }
        with pytest.raises(PlayersError, match="got 12, which is one of them"):
            value_table(bert, batch, target=1, feature_mask=choose_parts(text.parts), baselines=12, allow_fewer=True)

    @pytest.mark.parametrize("padding", [None, 0])
    def test_where_it_only_seems_so_it_is_told(self, text, padding):
        class Reader(nn.Module):
            def __init__(self):
                super().__init__()
                self.table, self.last = nn.Embedding(13, 4, padding_idx=padding), nn.Linear(4, 2)

            def forward(self, ids):
                return self.last(self.table(ids)[torch.arange(len(ids)), (ids != 0).sum(1) - 1])

        options = {"target": 1, "feature_mask": choose_parts(text.parts), "allow_fewer": True}
        with pytest.warns(InputWarning, match="the mask token, 0, is also the padding token"):
            value_table(Reader(), text.input_ids, baselines=0, **options)
        assert value_table(Reader(), text.input_ids, baselines=4, **options).values.shape == (2, 8)

    def test_and_by_the_tokenizer(self):
        with pytest.warns(InputWarning, match=r"the padding token.*got '\[PAD\]' for both"):
            assert words(tokenizer(), ["film"], mask_token="[PAD]").mask_token_id == 0


def test_several_labels_by_the_config(text):
    config = transformers.BertConfig(**SIZES, num_labels=3, problem_type="multi_label_classification")
    network = seeded(transformers.BertForSequenceClassification, config)
    options = {"target": 1, "feature_mask": choose_parts(text.parts), "baselines": 4, "allow_fewer": True}
    with pytest.raises(InputError, match='Pass output="multi-label"'):
        value_table(network, text.batch, **options)
    found = value_table(network, text.batch, output="multi-label", **options)
    with torch.no_grad():
        torch.testing.assert_close(found.values[:, -1], network(**text.batch).logits[:, 1].double())
