"""Data in the formats people have at home: each is read as written, and refused in clear words when it is not right."""

import gzip
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import interdyn as ix
from interdyn.errors import DataError, MissingExtraError, RecipeError
from interdyn.recipes import load_recipe, load_samples, run_recipe
from interdyn.recipes._registry import find_dataset
from interdyn.recipes._schema import DataSection

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_data_root(monkeypatch):
    monkeypatch.delenv("INTERDYN_DATA", raising=False)


def load(name, path, **options):
    return find_dataset(name)(seed=0, path=str(path), **options)


# -- pictures ----------------------------------------------------------------------------------------


def save_pictures(folder, count=3, size=(8, 6), mode="RGB"):
    folder.mkdir(parents=True)
    shape = (*size, 3) if mode == "RGB" else size
    arrays = [RNG.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    for i, array in enumerate(arrays):
        Image.fromarray(array, mode).save(folder / f"{i}.png")
    return arrays


def test_pictures_in_folders(tmp_path):
    cats, dogs = save_pictures(tmp_path / "cat"), save_pictures(tmp_path / "dog" / "images", count=2)
    (tmp_path / "dog" / "notes.txt").write_text("no picture")
    data = load("image-folder", tmp_path)
    assert data.inputs.shape == (5, 3, 8, 6)
    np.testing.assert_allclose(data.inputs[1], np.moveaxis(cats[1], 2, 0) / 255, rtol=1e-6)
    np.testing.assert_allclose(data.inputs[4], np.moveaxis(dogs[1], 2, 0) / 255, rtol=1e-6)
    assert (data.targets.tolist(), data.n_classes, data.test) == ([0, 0, 0, 1, 1], 2, None)
    assert load("image-folder", tmp_path, size=4, grey=True).inputs.shape == (5, 1, 4, 4)


def test_pictures_with_a_test_part(tmp_path):
    for part, label in (("train", "b"), ("train", "a"), ("val", "b")):
        save_pictures(tmp_path / part / label, count=2, mode="L")
    data = load("image-folder", tmp_path)
    assert data.targets.tolist() == [0, 0, 1, 1, 1, 1]
    assert data.test.tolist() == [False] * 4 + [True] * 2
    assert np.array_equal(data.inputs[:, 0], data.inputs[:, 2])  # grey became three channels
    save_pictures(tmp_path / "val" / "c", count=1)
    with pytest.raises(DataError, match=r"class of the training part \(a, b\); got 'c'"):
        load("image-folder", tmp_path)


def test_pictures_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"got no folder .*nowhere"):
        load("image-folder", tmp_path / "nowhere")
    with pytest.raises(DataError, match="one folder for each class"):
        load("image-folder", tmp_path)
    save_pictures(tmp_path / "cat")
    save_pictures(tmp_path / "dog", size=(8, 7))
    with pytest.raises(DataError, match=r"have one size, here 8x6; got 8x7 in .*dog.*data.options.size="):
        load("image-folder", tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"file that pillow reads; got .*1.png"):
        load("image-folder", tmp_path, size=8)


def save_idx(path, array, *, packed=False):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)


def test_idx(tmp_path):
    x, y = RNG.integers(0, 256, (7, 5, 4)), np.array([2, 5, 9, 5, 2, 9, 9])
    save_idx(tmp_path / "train-images-idx3-ubyte.gz", x[:4], packed=True)
    save_idx(tmp_path / "train-labels-idx1-ubyte.gz", y[:4], packed=True)
    save_idx(tmp_path / "t10k-images-idx3-ubyte", x[4:])
    save_idx(tmp_path / "t10k-labels-idx1-ubyte", y[4:])
    data = load("idx", tmp_path)
    np.testing.assert_allclose(data.inputs[:, 0], x / 255, rtol=1e-6)
    assert (data.targets.tolist(), data.n_classes) == ([0, 1, 2, 1, 0, 2, 2], 3)
    assert data.test.tolist() == [False] * 4 + [True] * 3
    with pytest.raises(DataError, match=r"letters-images-idx3-ubyte.gz; got neither"):
        load("idx", tmp_path, train="letters")
    save_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([2, 5]))
    with pytest.raises(DataError, match="a label for each image; got 2 for 3"):
        load("idx", tmp_path)
    save_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([2, 5, 7]))
    with pytest.raises(DataError, match=r"class of the training part \(2, 5, 9\); got 7"):
        load("idx", tmp_path)
    for content in (b"", b"\x00\x00\x08\x01\x00\x00\x00\x09ab", b"\x89PNG" + bytes(40)):
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(content)
        with pytest.raises(DataError, match="must be an idx file of bytes"):
            load("idx", tmp_path)


def test_batches_of_cifar(tmp_path):
    x, y = RNG.integers(0, 256, (6, 3072), dtype=np.uint8), [3, 1, 3, 0, 1, 3]
    for name, part in (("data_batch_1", slice(0, 2)), ("data_batch_2", slice(2, 4)), ("test_batch", slice(4, 6))):
        batch = {b"data": x[part], b"labels": y[part], b"filenames": [b"a.png", b"b.png"]}
        (tmp_path / name).write_bytes(pickle.dumps(batch, protocol=2))
    data = load("cifar-batches", tmp_path)
    np.testing.assert_allclose(data.inputs[3], x[3].reshape(3, 32, 32) / 255, rtol=1e-6)
    assert (data.targets.tolist(), data.n_classes) == ([2, 1, 2, 0, 1, 2], 3)
    assert data.test.tolist() == [False] * 4 + [True] * 2
    with pytest.raises(DataError, match="`fine_labels`; got"):
        load("cifar-batches", tmp_path, labels="fine_labels")
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(re.compile("code")))
    with pytest.raises(DataError, match=r"got re\._compile in it"):  # refused before it runs
        load("cifar-batches", tmp_path)
    (tmp_path / "test_batch").unlink()
    with pytest.raises(DataError, match=r"got no .*test_batch"):
        load("cifar-batches", tmp_path)


# -- arrays, clouds, tables ---------------------------------------------------------------------------


def test_arrays(tmp_path):
    file = tmp_path / "a.npz"
    x, y = RNG.normal(size=(5, 4)), np.array([10, 30, 30, 10, 30])
    np.savez(file, x=x, y=y, parts=np.tile([0, 0, 1, -1], (5, 1)))
    data = load("npz", file, mask_value=-1.0)
    assert np.array_equal(data.inputs, x)
    assert (data.targets.tolist(), data.n_classes, data.test, data.mask_value) == ([0, 1, 1, 0, 1], 2, None, -1.0)
    assert data.parts.shape == (5, 4)
    assert load("npz", file, regression=True).targets.tolist() == y.tolist()
    np.savez(file, x_train=x[:3], y_train=y[:3], x_test=x[3:], y_test=y[3:])
    assert load("npz", file).test.tolist() == [False] * 3 + [True] * 2
    with pytest.raises(RecipeError, match=r"needs bytes of shape .*; got float64"):
        load("npz", file, pictures=True)
    np.savez(file, x_train=x[:3], x_test=x[3:], y_test=y[3:])
    with pytest.raises(DataError, match=r"got x_train, x_test, y_test. Add y_train"):
        load("npz", file)
    np.savez(file, x_train=x[:3], y_train=y[:3], x_test=x[3:], y_test=[10, 7])
    with pytest.raises(DataError, match=r"class of the training part \(10, 30\); got 7"):
        load("npz", file)
    np.savez(file, x_train=x[:3], y_train=y[:3], x_test=x[3:, :2], y_test=y[3:])
    with pytest.raises(DataError, match=r"rows of one shape; got \(3, 4\) and \(2, 2\)"):
        load("npz", file)
    np.savez(file, x=np.array([{}], dtype=object), y=y[:1])
    with pytest.raises(DataError, match="plain arrays"):
        load("npz", file)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"y": np.eye(4)}, {}, r"one string or number; got \[1.0, 0.0, 0.0, 0.0\]. .*not one-hot"),
        ({"y": np.array([0, 1, np.nan, 1])}, {}, "one string or number; got nan"),
        ({"y": np.zeros(3)}, {}, r"one row of `x` for each entry of `y`; got shapes \(4, 4\) and \(3,\)"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0)}, {}, "contain samples for training; got none"),
        ({"x": np.full((4, 2), "a")}, {}, "`inputs` of the data 'npz' .* of numbers; got <U1"),
        ({"x": np.full((4, 2), np.inf)}, {}, "`inputs` of the data 'npz' must be finite"),
        ({"y": np.full(4, "a")}, {"regression": True}, "`targets` of the data 'npz' .* of numbers; got <U1"),
        ({"y": np.full(4, np.nan)}, {"regression": True}, "`targets` of the data 'npz' must be finite"),
        ({"parts": np.zeros((4, 3), int)}, {}, r"`parts` .* broadcast to inputs of shape \(4, 4\); got int64 of .*3\)"),
        ({"parts": np.zeros((4, 4))}, {}, "`parts` .* integers .*; got float64"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, arrays, options, message):
    np.savez(tmp_path / "a.npz", **{"x": np.eye(4), "y": np.array([0, 1, 0, 1]), **arrays})
    with pytest.raises(DataError, match=message):
        load_samples(DataSection(name="npz", options={"path": str(tmp_path / "a.npz"), **options}))


def test_parts_of_equal_length_in_sum_are_not_taken_for_one_another(tmp_path):
    x, y = np.eye(4), np.array([0, 1, 0, 1, 1])
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y[:3], x_test=x, y_test=y)
    with pytest.raises(DataError, match=r"`x_train` for each entry of `y_train`; got shapes \(4, 4\) and \(3,\)"):
        load("npz", tmp_path / "a.npz")


def test_pictures_in_arrays(tmp_path):
    x = RNG.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1, 0])
    data = load("npz", tmp_path / "a.npz", pictures=True)
    np.testing.assert_allclose(data.inputs, np.moveaxis(x, 3, 1) / 255, rtol=1e-6)


CUBE = """OFF
8 12 0
0 0 0
0 0 1
0 1 0
0 1 1
1 0 0
1 0 1
1 1 0
1 1 1
3 0 1 3
3 0 3 2
3 4 6 7
3 4 7 5
3 0 4 5
3 0 5 1
3 2 3 7
3 2 7 6
3 0 2 6
3 0 6 4
3 1 5 7
3 1 7 3
"""
PLY = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {axis}\n" for axis in "xyz")
PLY += "end_header\n0 0 0\n2 0 0\n0 2 0\n0 0 2\n"


def test_clouds_and_meshes(tmp_path):
    for part in ("train", "test"):  # as in ModelNet
        (tmp_path / "cube" / part).mkdir(parents=True)
        (tmp_path / "cube" / part / "c.off").write_text(CUBE)
    (tmp_path / "few" / "train").mkdir(parents=True)
    np.save(tmp_path / "few" / "train" / "a.npy", np.eye(4, 5))
    (tmp_path / "few" / "train" / "b.ply").write_text(PLY)
    data = load("point-clouds", tmp_path, n_points=4)
    assert data.inputs.shape == (4, 4, 3)
    assert (data.targets.tolist(), data.n_classes) == ([0, 1, 1, 0], 2)
    assert data.test.tolist() == [False] * 3 + [True]
    assert np.array_equal(data.inputs, load("point-clouds", tmp_path, n_points=4).inputs)
    np.testing.assert_allclose(data.inputs.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(data.inputs, axis=2).max(axis=1), 1, rtol=1e-6)
    with pytest.raises(DataError, match=r"needs 5 points .* got shape \(4, 5\) in .*a.npy"):
        load("point-clouds", tmp_path, n_points=5)
    shutil.rmtree(tmp_path / "few")
    many = load("point-clouds", tmp_path, n_points=4000).inputs[0]  # evenly on the surface of the cube
    on_face = np.isclose(np.abs(many), np.abs(many).max(axis=0), atol=0.05)
    assert on_face.any(axis=1).mean() > 0.9
    np.testing.assert_allclose(on_face.mean(axis=0), 1 / 3, atol=0.1)


def test_clouds_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="one folder for each class"):
        load("point-clouds", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.off").write_text("no mesh")
    with pytest.raises(DataError, match=r"trimesh reads; got .*x.off"):
        load("point-clouds", tmp_path)
    (tmp_path / "a" / "a.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"NumPy reads; got .*a.npy"):
        load("point-clouds", tmp_path)


CSV = "age,job,gone,class\n30,clerk,1,no\n50,,,yes\n40,smith,3,no\n"


@pytest.mark.parametrize("ending", [".csv", ";.csv", ".csv.gz", ".tsv", ".parquet"])
def test_tables(tmp_path, ending):
    file = tmp_path / f"t{ending}"
    if ending == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        columns = {
            "age": [30, 50, 40],
            "job": ["clerk", None, "smith"],
            "gone": [1.0, None, 3.0],
            "class": ["no", "yes", "no"],
        }
        parquet.write_table(pa.table(columns), file)
    else:
        text = CSV.replace(",", {".tsv": "\t", ";.csv": ";"}.get(ending, ","))
        file.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    data = load("table", file, target="class")
    assert data.inputs.tolist() == [[30, 0, 1, 0, 1, 0], [50, 1, 0, 0, 2, 1], [40, 0, 0, 1, 3, 0]]
    assert data.parts[0].tolist() == [0, 1, 1, 1, 2, 2]
    assert (data.targets.tolist(), data.n_classes) == ([0, 1, 0], 2)
    numbers = load("table", file, target="age", regression=True)
    assert (numbers.targets.tolist(), numbers.n_classes) == ([30, 50, 40], None)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CSV, {"target": "klass"}, "must have the column `klass`; got age, job, gone, class"),
        (CSV, {"target": "job", "regression": True}, "must have its `job`; got no value in row 3"),
        (CSV, {"target": "class", "regression": True}, "column `class` must contain numbers; got 'no' in row 2"),
        (CSV + "old,clerk,1,no\n", {"target": "class"}, "column `age` must contain numbers; got 'old' in row 5"),
        ("age,y\nold,a\n30,b\n40,a\n", {"target": "y"}, "column `age` must contain numbers; got 'old' in row 2"),
        ("age,y\ninf,a\n30,b\n40,a\n", {"target": "y"}, "column `age` must contain numbers; got 'inf' in row 2"),
        ("age,age,y\n1,2,a\n", {"target": "y"}, "distinct names; got two `age`"),
        (CSV + "40,clerk\n", {"target": "class"}, "must have 4 cells; got 2 in row 5"),
        (CSV + "\n40,clerk,1,no\n", {"target": "class"}, "must have 4 cells; got 0 in row 5"),
        ("a,b\n", {"target": "b"}, "must have its `b`; got no rows"),
        ("b\n1\n2\n", {"target": "b"}, "a column besides `b`"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, options, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        load("table", tmp_path / "t.csv", **options)


def test_gaps_words_and_empty_lines_of_a_table(tmp_path):
    text = "age,none,word,y\nNA,nan,b,a\n30, ,7,b\n?,NaN,c,a\n50,,NA,b\n\n\n"
    (tmp_path / "t.csv").write_text(text)
    data = load("table", tmp_path / "t.csv", target="y")
    assert data.parts[0].tolist() == [0, 0, *[1] * 4, *[2] * 4]  # a column without anything is one of words
    assert data.inputs[:, :2].tolist() == [[40, 1], [30, 0], [40, 1], [50, 0]]
    assert data.inputs[:, -4:].sum(1).tolist() == [1] * 4
    assert data.categories == ("", "missing", "missing", " ", "NaN", "nan", "7", "NA", "b", "c")


def test_a_planted_table_with_codes_and_gaps(tmp_path):
    rows = ["age,job,hours,class", "30,clerk,1,no", ",smith,2,yes", "40,smith,,no", "50,clerk,4,yes"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    data = load("table", tmp_path / "t.csv", target="class")  # age, its gap, clerk, smith, hours, its gap

    def model(x):  # the age is missing AND the job is smith; OR of a missing age and missing hours
        return 2 * ((x[:, 1] > 0.5) & (x[:, 3] > 0.5)).double() + ((x[:, 1] > 0.5) | (x[:, 5] > 0.5)).double()

    inputs, parts = torch.from_numpy(data.inputs[1:3]), torch.from_numpy(data.parts[1:3].copy())
    found = ix.measure(
        model, inputs, feature_mask=parts, baselines=inputs.new_zeros(6), output="regression", noise_bound=0.0
    )
    (first, second), (only, _) = (found[sample].top(2) for sample in range(2))
    assert (first.kind, first.players, second.players) == ("and", (0, 1), (0,))  # age AND job, age
    assert (first.value, second.value, only.value) == pytest.approx((2.0, 1.0, 1.0), abs=1e-2)
    assert only.players == (2,)  # the hours


def test_files_that_are_no_tables(tmp_path):
    for name, content in (("latin.csv", "größe,b\n1,2\n".encode("latin-1")), ("plain.csv.gz", b"a,b\n1,2\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="a text table in UTF-8; got"):
            load("table", tmp_path / name, target="b")
    (tmp_path / "t.parquet").write_text(CSV)
    with pytest.raises(DataError, match="a table in Parquet; got"):
        load("table", tmp_path / "t.parquet", target="class")


# -- sentences ---------------------------------------------------------------------------------------

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] the film is great dull not funny , ."


def save_vocabulary(root):
    (root / "bert_vocab").mkdir()
    (root / "bert_vocab" / "vocab.txt").write_text(VOCABULARY.replace(" ", "\n"))
    return {word: i for i, word in enumerate(VOCABULARY.split())}


def spelled(row):
    return " ".join(VOCABULARY.split()[i] for i in row if i)


def test_texts_and_pictures_of_hugging_face(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    save_vocabulary(tmp_path)
    rows = {"sentence": ["The film is great.", "dull, not funny", "?"], "label": [1, 0, -1]}
    parts = datasets.DatasetDict({name: datasets.Dataset.from_dict(rows) for name in ("train", "validation")})
    parts.save_to_disk(tmp_path / "saved")
    data = load("hf-dataset", "saved", text="sentence", max_length=8)
    assert [spelled(row) for row in data.inputs[:2]] == [
        "[CLS] the film is great . [SEP]",
        "[CLS] dull , not funny [SEP]",
    ]
    assert data.parts[0].tolist() == [-1, -1, 0, -1, 1, -1, -1, -1]
    assert (data.targets.tolist(), data.test.tolist()) == ([1, 0] * 2, [False] * 2 + [True] * 2)  # -1 is left out
    assert data.mask_value == 4
    with pytest.raises(DataError, match="must have the column `text`; got sentence, label"):
        load("hf-dataset", "saved", text="text")
    with pytest.raises(RecipeError, match="got neither"):
        load("hf-dataset", "saved")
    with pytest.raises(DataError, match="written by save_to_disk; got"):
        load("hf-dataset", "bert_vocab", text="text")
    pictures = [Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)) for _ in range(3)]
    rows = {"img": pictures, "label": [2, 5, 2]}
    features = datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "pictures")
    data = load("hf-dataset", "pictures", image="img", size=6)
    np.testing.assert_allclose(data.inputs[1], np.moveaxis(np.asarray(pictures[1]), 2, 0) / 255, rtol=1e-6)
    assert (data.targets.tolist(), data.test) == ([0, 1, 0], None)


def test_ag_news(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    save_vocabulary(tmp_path)
    (tmp_path / "ag_news").mkdir()
    (tmp_path / "ag_news" / "train.csv").write_text('"3","The film","is great, not dull"\n"1","dull","the"\n')
    (tmp_path / "ag_news" / "test.csv").write_text('"1","funny","film"\n')
    data = find_dataset("ag-news")(seed=0, max_length=12)
    assert spelled(data.inputs[0]) == "[CLS] the film is great , not dull [SEP]"
    assert (data.targets.tolist(), data.n_classes, data.test.tolist()) == ([1, 0, 0], 2, [False, False, True])
    (tmp_path / "ag_news" / "test.csv").write_text('"1","funny"\n')
    with pytest.raises(DataError, match="must have 3 cells; got 2 in line 1"):
        find_dataset("ag-news")(seed=0)


def test_pairs_of_mnli(tmp_path, monkeypatch):
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path))
    save_vocabulary(tmp_path)
    (tmp_path / "mnli").mkdir()
    header = "index\tsentence1\tsentence2\tgold_label\n"
    rows = "0\tthe film is great\tnot dull .\tentailment\n1\tfunny\tdull\tcontradiction\n2\tdull\tfunny\t-\n"
    for name in ("train", "dev_matched"):
        (tmp_path / "mnli" / f"{name}.tsv").write_text(header + rows)
    data = find_dataset("mnli")(seed=0, max_length=16)
    assert spelled(data.inputs[0]) == "[CLS] the film is great [SEP] not dull . [SEP]"
    assert data.parts[0].tolist() == [-1, -1, 0, -1, 1, -1, 2, 3, -1, -1] + [-1] * 6
    assert data.targets.tolist() == [1, 0, 1, 0]  # contradiction comes before entailment; the one without is left out
    short = find_dataset("mnli")(seed=0, max_length=8)
    assert spelled(short.inputs[0]) == "[CLS] the film [SEP] not dull . [SEP]"
    with pytest.raises(RecipeError, match='"matched" or "mismatched"'):
        find_dataset("mnli")(seed=0, part="dev")
    (tmp_path / "mnli" / "train.tsv").write_text(rows)
    with pytest.raises(DataError, match="must have the columns sentence1, sentence2, gold_label"):
        find_dataset("mnli")(seed=0)


# -- all of them -------------------------------------------------------------------------------------


def test_a_relative_path_starts_at_the_data_root(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1])
    monkeypatch.chdir(tmp_path)
    assert load("npz", "a.npz").n_classes == 2
    monkeypatch.setenv("INTERDYN_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"got no file .*elsewhere.a.npz"):
        load("npz", "a.npz")
    section = DataSection(name="npz", options={"path": str(tmp_path / "a.npz")})
    assert load_samples(section).n_classes == 2
    with pytest.raises(RecipeError, match="path"):
        load_samples(DataSection(name="npz", options={}))


@pytest.mark.parametrize(
    ("package", "name", "file", "options"),
    [
        ("PIL", "image-folder", "cat/a.png", {}),
        ("pyarrow", "table", "t.parquet", {"target": "x"}),
        ("trimesh", "point-clouds", "cube/a.off", {}),
        ("datasets", "hf-dataset", "saved/state.json", {"text": "text"}),
    ],
)
def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch, package, name, file, options):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    path = tmp_path / file if name == "table" else (tmp_path / file).parent if name == "hf-dataset" else tmp_path
    with pytest.raises(MissingExtraError, match=r"pip install 'interdyn\["):
        load(name, path, **options)


def test_a_recipe_runs_on_pictures_of_ones_own(tmp_path):
    for label in ("cat", "dog"):
        save_pictures(tmp_path / "own" / label, count=12, size=(8, 8))
    options = {"path": str(tmp_path / "own"), "grey": True}
    overrides = [
        "data.name=image-folder",
        f"data.options.path={options['path']}",
        "data.options.grey=true",
        "data.label_noise=0",
    ]
    overrides.append("measure.mislabelled_samples=0")
    run = run_recipe(load_recipe("digits-cnn", overrides=overrides, smoke=True), tmp_path / "run")
    assert (run.path / "summary.json").is_file()
