"""Measures of complexity and the gap that they stand beside: `benchmarks/complexity.py`, `benchmarks/studies.py`."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import _contrasts
import _ranks
import _studied
import complexity
import studies
from interdyn.recipes import StudyResult
from interdyn.recipes._over_seeds import mean_over
from interdyn.recipes._quantities import QUANTITIES
from interdyn.transforms import and_from_values
from interdyn.values import Interactions
from oracles import walsh_by_definition

ROOT = Path(__file__).parents[1]
KEPT = sorted((ROOT / "docs" / "results" / "studies").glob("*.json"))


class Fixed(torch.nn.Module):
    """Gives logits that are its weights, one row for each sample, whatever comes in."""

    def __init__(self, logits):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, inputs):
        return self.w[inputs[:, 0].long()]


def rows(count):
    return torch.arange(float(count))[:, None]


def alone(v):
    """Return interactions that are AND alone."""
    v = torch.as_tensor(v, dtype=torch.float64)
    zero = torch.zeros_like(v)
    one = zero[..., 0]
    return Interactions(
        and_from_values(v), zero, "", residual=zero, objective=one, gap=one, status=None, noise_bound=one
    )


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 6, 15).astype(float), rng.normal(size=15)
        assert _ranks.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    a[3] = np.nan
    known = np.arange(15) != 3
    assert _ranks.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a[known], b[known]).statistic)
    assert np.isnan(_ranks.rank_correlation(np.ones(9), b[:9]))


def test_the_gap_is_on_labels_as_training_saw_them():
    """Against test labels that are really drawn wrong, many times."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 3)).astype(np.float32)
    true = torch.from_numpy(rng.integers(0, 3, 60))
    flipped = np.arange(12)  # of 40 training samples: 30 %
    given = true.clone()
    given[:12] = (given[:12] + 1) % 3

    class Samples:
        inputs, targets = rows(60), true
        train_ids, test_ids, flipped_ids = np.arange(40), np.arange(40, 60), flipped

    Samples.given = given
    found = complexity.gap(Fixed(z), Samples)
    draws = 20000
    wrong = rng.random((draws, 20)) < 0.3
    drawn = np.where(wrong, (true[40:].numpy() + rng.integers(1, 3, (draws, 20))) % 3, true[40:].numpy())
    log = torch.from_numpy(z).log_softmax(-1).numpy()
    test_loss = -np.take_along_axis(log[40:][None], drawn[..., None], -1).mean()
    train_loss = -log[np.arange(40), given[:40].numpy()].mean()
    hits = (drawn == log[40:].argmax(-1)).mean()
    right = (log[:40].argmax(-1) == given[:40].numpy()).mean()
    assert found["gap in loss"] == pytest.approx(test_loss - train_loss, abs=0.02)
    assert found["gap in accuracy"] == pytest.approx(right - hits, abs=0.01)
    assert found["wrong labels"] == pytest.approx(0.3)


def test_walsh_degree_and_cancelling_share_by_their_definitions():
    v = np.random.default_rng(1).normal(size=(4, 16))
    squared = np.square([walsh_by_definition(row) for row in v]).mean(0)
    degree = np.array([bin(s).count("1") for s in range(16)])
    assert complexity.of_interactions(alone(v))["Walsh degree"] == pytest.approx(
        (squared * degree).sum() / squared[1:].sum()
    )
    i = np.asarray(and_from_values(torch.from_numpy(v)))[:, 1:]
    shares = 1 - np.abs(i.sum(1)) / np.abs(i).sum(1)
    assert complexity.cancelling(alone(v)) == pytest.approx(shares.mean())


def test_margin_sharpness_and_flatness_where_they_are_known():
    logits = [[2.0, 0.0], [0.0, 1.0], [3.0, -1.0]]
    network, given = Fixed(logits), torch.tensor([0, 1, 1])
    own = np.array([2.0, 1.0, -4.0])
    wanted = np.quantile(own, 0.1) / np.array(logits).std(ddof=1)
    assert complexity.margin(network, rows(3), given) == pytest.approx(wanted, rel=1e-5)
    found = complexity.sharpness(network, rows(3), given)
    w = network.w.detach()
    slope = (w.softmax(-1) - torch.eye(2)[given]) / 3
    moved = torch.nn.functional.cross_entropy(w + 0.05 * slope / slope.norm(), given)
    before = torch.nn.functional.cross_entropy(w, given)
    assert found["sharpness"] == pytest.approx(float(moved - before), rel=1e-3)
    assert abs(found["flatness"]) < found["sharpness"] + 0.1
    assert torch.equal(network.w.detach(), torch.tensor(logits))  # put back as they were


def planted(measure):
    """Return networks of three studies whose gap is known, and a measure of each."""
    rng = np.random.default_rng(2)
    out = []
    for study in "abc":
        for i in range(12):
            gap = float(rng.random())
            out.append({"study": study, "variant": str(i // 3), "gap in loss": gap, "mean order": measure(study, gap)})
    return out


def test_a_measure_is_judged_by_its_worst_study():
    networks = planted(lambda study, gap: gap if study != "b" else -gap)
    (row,) = _ranks.ranking(networks, "gap in loss")
    low, high = row.interval
    assert (row.name, row.median, row.worst, row.group) == ("mean order", pytest.approx(1.0), pytest.approx(-1.0), "b")
    assert (list(row.right), row.wrong, row.judged) == (["a", "c"], 1, 3)
    assert low < high
    whole = _ranks.ranking(planted(lambda _, gap: gap**3), "gap in loss")[0]
    assert whole[1:5] == (pytest.approx(1.0), (pytest.approx(1.0), pytest.approx(1.0)), *[pytest.approx(1.0)] * 2)
    assert (len(whole.right), whole.wrong) == (3, 0)
    noise = np.random.default_rng(3)
    said = _ranks.ranking(planted(lambda *_: noise.random()), "gap in loss")[0]
    assert len(said.right) + said.wrong < 3


def test_networks_drawn_several_times_rank_like_copies_of_them():
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 5, 12).astype(float), rng.normal(size=12)
    x[2] = np.nan
    times = rng.integers(0, 4, (30, 12))
    each = [_ranks.rank_correlation(np.repeat(x, one), np.repeat(y, one)) for one in times]
    assert _ranks.weighted(x, y, times) == pytest.approx(np.array(each), nan_ok=True)
    assert np.isnan(_ranks.weighted(x, y, np.eye(12, dtype=int))).all()


def test_all_ways_to_draw_are_counted_with_their_probability():
    times, likely = _ranks.redrawn(5, 0)
    assert len(times) == 126
    assert (times.sum(1) == 5).all()
    assert likely.sum() == pytest.approx(1)
    drawn = np.random.default_rng(5).integers(5, size=(40_000, 5))
    share = (np.sort(drawn, axis=1) == [0, 0, 1, 2, 2]).all(1).mean()
    at = (times == [2, 1, 2, 0, 0]).all(1)
    assert likely[at] == pytest.approx([share], rel=0.1)
    assert _ranks.quantiles(np.arange(100.0), np.full(100, 0.01)) == (4.0, 95.0)


def test_too_few_settings_have_no_interval():
    networks = [one for one in planted(lambda _, gap: gap) if int(one["variant"]) < 3]
    (row,) = _ranks.ranking(networks, "gap in loss")
    assert (row.judged, row.right, row.wrong, row.worst) == (0, {}, 0, pytest.approx(1.0))


def test_no_count_of_the_kept_networks_depends_on_the_draws():
    """Of those studies whose ways are drawn; of the others all ways are counted."""
    networks = json.loads((ROOT / "docs" / "results" / "complexity.json").read_text())
    for name in ("H/V", "Walsh degree"):
        for target in ("gap in loss", "gap in accuracy"):
            for study in ("optimisers-digits", "optimisers-mnist", "optimisers-wine"):
                some = [one for one in networks if one["study"] == study]
                x, y = _ranks.signed(some, name), _ranks.signed(some, target)
                assert len(set(_ranks.settings(some))) > _ranks.EXACT
                assert len({_ranks.side(_ranks.interval(some, x, y, seed), some) for seed in (0, 1, 4)}) == 1


def test_the_head_of_the_page_is_that_of_the_kept_networks(monkeypatch):
    networks = json.loads((ROOT / "docs" / "results" / "complexity.json").read_text())
    chosen = ("H/V", "mean order", "training loss")
    monkeypatch.setattr(_ranks, "OURS", chosen[:2])
    monkeypatch.setattr(_ranks, "RIVALS", chosen[2:])
    head = (ROOT / "docs" / "results" / "complexity.md").read_text().partition("\n## ")[0]
    ranked = _ranks.ranking(networks, "gap in loss")
    told = complexity.answer({"gap in loss": ranked, "gap in accuracy": ranked}, _ranks.groups(networks))
    for part in (told.partition(" By their")[0], told[told.index("3 more studies") :]):
        assert part in " ".join(head.split())
    assert [one.name for one in ranked if one.worst > 0] == []
    told = complexity.conclusion("All networks", ranked, "gap in loss")
    assert "right way in every study: none; correlation above 0 in every study, by its value alone: none" in told
    assert told.partition(";")[0] in head


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.stem)
def test_a_kept_study_is_whole_and_on_the_page(file):
    result = StudyResult.from_json(json.loads(file.read_text()))
    assert result.study.name == file.stem
    assert all(run is not None for run in result.runs)
    assert all(set(run.values) <= set(QUANTITIES) for run in result.finished)
    assert (ROOT / "benchmarks" / "studies" / f"{file.stem}.toml").is_file()
    page = (ROOT / "docs" / "results" / "studies.md").read_text()
    assert "\n".join(studies.section(result, file.stem)).rstrip() in page
    assert json.loads(file.read_text()) == json.loads(json.dumps(result.to_json()))


def in_place_of(by_variant):
    """Return a study of two seeds with the end mean orders, or the quantities, that are given."""
    values = {
        f"{name}--seed-{seed}": x if isinstance(x, dict) else {"end_mean_order": x}
        for name, xs in by_variant.items()
        for seed, x in enumerate(xs)
    }
    variants = [{"name": name, "set": {"training.epochs": 2 + i}} for i, name in enumerate(by_variant)]
    study = {
        "name": "s",
        "question": "q",
        "recipe": "digits-mlp",
        "seeds": [0, 1],
        "variant": variants,
    }
    runs = {name: {"values": one, "course": {}} for name, one in values.items()}
    return StudyResult.from_json({"schema": 1, "study": study, "runs": runs})


def test_settings_in_place_of_others_are_paired_by_seed():
    result = in_place_of({"adamw-cosine": [1.0, 2.5], "adamw-0.001": [1.5, 2.0], "muon-0.001": [9.0, None]})
    pairs = _contrasts.CONTRASTS["optimisers"]["cosine for a constant rate"]
    assert _contrasts.differences(result, pairs, "end_mean_order") == [-0.5, 0.5]
    assert _contrasts.differences(result, [("muon-0.001", "adamw-0.001")], "end_mean_order") == [7.5]
    assert _contrasts.cell([-0.5, 0.25, -0.2]) == "-0.150 (2 of 3)"
    assert len(_contrasts.instead("muon", "sgd-momentum")) == 6
    assert _contrasts.instead("adamw", "adam")[2] == ("adamw-0.003", "adam-0.003")


def test_a_data_set_without_a_setting_does_not_count():
    both = in_place_of({"default": [1.0, 2.0], "shift-2": [0.5, 1.0]})
    without = in_place_of({"default": [1.0, 2.0], "dropout-0.5": [0.5, 1.0]})
    found = _contrasts.by_data({"knobs-a": both, "knobs-b": without}, "end_mean_order")
    assert found["images shifted by up to 2 for none"] == {"a": [-0.5, -1.0]}
    assert found["dropout of 0.5 for none"] == {"b": [-0.5, -1.0]}


def test_which_knob_keeps_a_network_in_low_orders_is_by_complete_intervals():
    def told(low, order):
        quantities = zip(low, order, strict=True)
        tried = [{"low_share": 0.3 + gain, "order_at_85": 1.5 - lower} for gain, lower in quantities]
        default = [{"low_share": 0.3, "order_at_85": 1.5}] * len(tried)
        return _contrasts.in_low_orders({"knobs-x": in_place_of({"default": default, "a": tried})})

    assert "accuracy? a on every data set" in told([0.20, 0.21], [0.50, 0.51])
    only = told([0.20, 0.21], [0.50, -0.51])
    assert "None does on every data set" in only
    assert "(complete 95 % interval) with a on x; a lower mean order at equal test accuracy with none on x" in only
    assert "established (complete 95 % interval) with none on x" in told(
        [0.20, 0.01], [0.5, 0.5]
    )  # 0.105 (-1.1 to 1.3)


def test_a_finding_holds_over_data_sets_where_signs_agree_on_each():
    assert _contrasts.same_way([[-1.0] * 10, [-2.0] * 9 + [0.1]])
    assert not _contrasts.same_way([[-1.0] * 10, [-2.0] * 8 + [0.1] * 2])
    assert not _contrasts.same_way([[-1.0] * 40, [-2.0] * 4 + [0.1]])  # nine of ten of all, not of the second
    assert not _contrasts.same_way([[-1.0] * 50, [1.0]])
    assert not _contrasts.same_way([[0.0, 0.0]])
    assert not _contrasts.same_way([[-1.0], []])


def test_differences_that_are_all_0_have_no_direction():
    assert _contrasts.cell([0.0] * 6) == "0 in all 6"
    assert _contrasts.agreeing([0.0] * 6) == 0
    assert _contrasts.by_chance([[0.0] * 3, [0.0] * 3]) == 0.0


def test_how_many_findings_chance_makes_is_known():
    assert _contrasts.by_chance([[1.0] * 3, [-1.0] * 3]) == 1 / 32
    assert _contrasts.by_chance([[1.0] * 3, []]) == 0.0
    drawn = np.random.default_rng(0).choice([-1.0, 1.0], (20_000, 16))
    share = np.mean([_contrasts.same_way([list(one[:10]), list(one[10:])]) for one in drawn])
    assert _contrasts.by_chance([[1.0] * 10, [1.0] * 6]) == pytest.approx(share, abs=5e-4)


@pytest.fixture(scope="module")
def kept():
    return {file.stem: StudyResult.from_json(json.loads(file.read_text())) for file in KEPT}


@pytest.fixture(scope="module")
def page():
    return (ROOT / "docs" / "results" / "studies.md").read_text()


def test_what_holds_over_data_sets_is_on_the_page(kept, page):
    assert "\n".join(_contrasts.section(kept)).rstrip() in page
    settings = {name for result in kept.values() for name in result.by_variant}
    for contrasts in _contrasts.CONTRASTS.values():
        assert settings >= {name for pairs in contrasts.values() for pair in pairs for name in pair}


def test_the_head_counts_what_is_established(kept, page):
    plain = " ".join(page.split())
    assert studies.answer(kept) in plain
    assert studies.counted(kept) in plain
    outcomes = [claim.outcome for result in kept.values() for claim in result.claims()]
    assert f"Of {len(outcomes)} claims {outcomes.count('holds')} hold," in plain
    assert f"{outcomes.count('no number')} have no number" in plain


def test_the_page_says_what_a_study_changes_in_its_recipe(kept):
    assert _studied.changes(kept["run-to-run-mlp"].study)[:2] == [
        "`measure.test_samples` 8 instead of 32",
        "`analysis.ranges` false instead of true",
    ]
    assert "`data.n_train` 3000 instead of not set" in "; ".join(_studied.changes(kept["run-to-run-bert"].study))
    told = "\n".join(studies.section(kept["shortcut"], "shortcut"))
    assert "9 runs of `benchmarks/studies/recipes/lenet-mnist.toml`, changed in all runs: " in told
    assert "`model.name` mlp instead of lenet" in told
    assert _studied.data_set(kept["shortcut"].study) == "mnist"
    names = [result.study for result in kept.values()]
    assert _studied.data_sets(names).startswith("6 data sets (studies on each: mnist 6, digits 5, ")


def estimates(result):
    """Return every estimate of a study as its page writes it: of each setting, and of each two of them by seed."""
    names = {*result.study.report, "fall_ends", "train_end_mean_order"}
    values = {
        (name, variant): {run.planned.seed: run.values.get(name) for run in runs}
        for name in names
        for variant, runs in result.by_variant.items()
    }
    out = {str(one) for row in result.table().values() for one in row.values()}
    for (name, new), (other, old) in itertools.permutations(values, 2):
        a, b = values[name, new], values[other, old]
        if name == other:
            both = [seed for seed in a if a[seed] is not None and b.get(seed) is not None]
            out.add(str(mean_over([a[seed] - b[seed] for seed in both])))
    return out


@pytest.mark.parametrize("name", [file.stem for file in KEPT])
def test_every_interval_of_a_finding_is_in_its_numbers(kept, name):
    number = r"-?\d+(?:\.\d+)?"
    finding = " ".join((ROOT / "docs" / "results" / "studies" / f"{name}.md").read_text().split())
    told = re.findall(rf"(?:\d+ of \d+|{number}) \({number} to {number}\)", finding)
    assert told
    assert set(told) <= estimates(kept[name])


def test_a_finding_does_not_claim_what_its_study_leaves_open(kept):
    """That something is refuted, or not established, is what the claims say."""
    outcome = {(name, claim.text): claim.outcome for name, result in kept.items() for claim in result.claims()}
    assert outcome["sizes", "On its training samples too"] == "refuted"
    assert outcome["double-descent", "Without, it does not"] == "open (value inside)"
    muon, cosine = (
        next(told for (name, text), told in outcome.items() if name == "optimisers-wine" and part in text)
        for part in ("Muon ends in higher", "a cosine ends")
    )
    assert (muon, cosine) == ("refuted", "open (value outside)")
