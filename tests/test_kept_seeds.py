"""The pages over kept runs: the nine pairs over seeds, the choice of settings, and what choices of measuring move."""

import copy
import json

import pytest

import _seeds
import pairs
import results
import trust as trust_page
from interdyn.recipes import load_recipe, recipes


def summary(seed=0, *, found=True, start=100.0, gap=(50.0, 200.0), best=("theory",)):
    """Return as much of a summary as the tables read."""
    places = {"fall_ends": 20.0, "fall_ends_interval": [10.0, 30.0], "rise_starts": start}
    places |= {"rise_starts_interval": [60.0, 150.0], "gap_onset_step": 90.0, "gap_interval": list(gap)}
    return {
        "seed": seed,
        "settings": "a",
        "steps": [0.0, 10.0, 100.0, 1000.0],
        "mean_order": [4.0, None, 1.0, 2.5],
        "phases": {"found": found, "kind": "no verdict", "evidence": {"noise_std": 0.123}, **places},
        "prediction": {"phase_2": {"best": list(best)}, "whole": {"best": ["tilt"]}},
    }


def no_remark(name):
    assert name
    return ""


class TestPairs:
    def test_a_pair_counts_if_every_seed_does(self):
        over = {
            "vgg11-mnist": {0: summary(), 1: summary(1, best=("tilt", "theory"))},
            "vgg16-cub": {0: summary(), 1: summary(1, found=False)},
            "alexnet-cub": {0: summary(start=300.0)},
        }
        page = "\n".join(_seeds.pairs_section(over, "", no_remark))
        assert "established (expected: 7): 2 (vgg11-mnist, alexnet-cub); with some seeds vgg16-cub." in page
        assert "onset (expected: 5): 2 (vgg11-mnist, vgg16-cub). When these were run" in page
        assert "by that rule 1 (vgg11-mnist)." in page
        assert "as good (expected: 9): 3 (vgg11-mnist, vgg16-cub, alexnet-cub). This count cannot fail" in page
        assert "on average 1.2 of 5 are as good as the best" in page
        assert '("nothing") is among them in 0 of 5 trainings.' in page
        assert "One mechanism alone: 2 (vgg16-cub, alexnet-cub)." in page

    def test_seeds_stand_side_by_side(self):
        over = {"vgg11-mnist": {0: summary(), 1: summary(1, start=300.0, best=("tilt", "theory"))}}
        row = next(line for line in _seeds.pairs_section(over, "", no_remark) if line.startswith("| [vgg11-mnist]"))
        assert "| 0<br>1 | 4.00 → 1.00 → 2.50<br>4.00 → 1.00 → 2.50 |" in row
        assert "| 100 (60 to 150)<br>300 (60 to 150) |" in row
        assert "| yes<br>no | theory<br>theory or tilt | 0.12<br>0.12 |" in row

    def test_windows_give_the_mean_order_that_is_shown(self):
        of_windows = summary() | {"windows": {"mean_order": {"test": {"value": [5.0, 2.0, 3.0]}}}}
        assert "(-3.00 and +1.00 orders)" in _seeds.sentence_of({0: of_windows})

    def test_a_rise_counts_beside_the_gap_without_a_fall_too(self):
        rise = summary(found=False)
        assert _seeds.inside(rise) is True
        assert "gap's onset in 1 of 1; verdict: " in _seeds.sentence_of({0: rise})
        rise["phases"]["rise_starts"] = None
        assert _seeds.inside(rise) is None

    def test_without_an_onset_of_the_gap_nothing_is_inside_or_outside(self):
        no_onset = summary()
        no_onset["phases"] |= {"gap_onset_step": None, "gap_interval": None}
        over = {"vgg11-mnist": {0: no_onset, 1: summary(1)}}
        page = "\n".join(_seeds.pairs_section(over, "", no_remark))
        assert "| -<br>yes |" in page
        assert "inside the interval of the gap's onset in 1 of 1;" in page
        assert "onset (expected: 5): none; with some seeds vgg11-mnist." in page

    @pytest.mark.parametrize(("gap", "cell"), [((10.0, 90.0), "no"), ((10.0, 300.0), "yes (wide)")])
    def test_an_interval_of_the_gap_over_half_of_the_log_axis_is_wide(self, gap, cell):
        found = {0: summary(gap=gap)}
        assert f"| {cell} |" in "\n".join(_seeds.pairs_section({"vgg11-mnist": found}, "", no_remark))
        assert ("(1 of these intervals wide)" in _seeds.sentence_of(found)) is ("wide" in cell)

    def test_a_seed_of_other_settings_is_refused(self, tmp_path):
        (tmp_path / "summary.json").write_text(json.dumps(summary()))
        (tmp_path / "seed-10.json").write_text(json.dumps(summary(10)))
        (tmp_path / "seed-2.json").write_text(json.dumps(summary(2)))
        assert list(_seeds.over_seeds(tmp_path)) == [0, 2, 10]
        (tmp_path / "seed-2.json").write_text(json.dumps(summary(2) | {"settings": "b"}))
        with pytest.raises(ValueError, match="same settings"):
            _seeds.over_seeds(tmp_path)

    def test_settings_leave_out_seed_and_device_alone(self):
        told = load_recipe("vgg11-mnist").plain()
        other = copy.deepcopy(told)
        other["training"] |= {"seed": 3, "device": "cuda"}
        assert results.settings_of(other) == results.settings_of(told)
        other["training"]["epochs"] += 1
        assert results.settings_of(other) != results.settings_of(told)


class TestAnswer:
    def test_a_lead_of_the_theory_comes_with_its_size_the_number_of_tests_and_other_seeds(self):
        ahead, behind = summary(), summary(1, best=("theory", "tilt"))
        ahead["prediction"]["phase_2"] |= {"gain": 0.0075, "gain_low": 0.00005, "gain_high": 0.0142}
        told = " ".join(results.answer({"a": {0: ahead, 1: behind, 2: summary(2)}, "b": {0: behind}}).split())
        assert "In 1 of 2 tests over phase 2, at 90 % and with one seed each" in told
        assert "a, by 0.0075 of correlation (0.0001 to 0.0142; with 1 of 2 other seeds)." in told
        assert "In 2 tests of mechanisms that are equally good, about 0.1 such results" in told
        others = {"c": {0: summary(found=False)}, "d": {0: summary(found=False, best=("tilt",))}}
        said = " ".join(results.answer({"a": {0: ahead}, **others}).split())
        assert said.endswith("Of the 2 recipes without both phases, the theory is ahead in 1 (c; about 0.1 by chance).")

    def test_without_a_lead_no_margin_is_given(self):
        told = results.answer({"b": {0: summary(best=("theory", "tilt"))}})
        assert " ".join(told.split()).endswith(
            "In 0 of 1 tests over phase 2, at 90 % and with one seed each, the theory "
            "predicts the value tables better than every rival."
        )


class TestChoosing:
    def test_settings_that_are_frozen_are_those_of_the_final_runs(self, tmp_path):
        jobs = pairs.trial_jobs(tmp_path, "cpu")
        names = {name: [job for job in jobs if job[0] == name] for name in {job[0] for job in jobs}}
        assert set(names) < set(results.PAIRS)
        lines = []
        for name, jobs in names.items():
            for at, (recipe, changes, folder, variant) in enumerate(jobs):
                told = {"two_phases": 0.9 - 0.02 * at, "noise": 0.5 - 0.1 * at, "mean_order": [[0, 5.0], [9, 2.0]]}
                lines.append({"recipe": recipe, "variant": variant, "set": changes, "folder": str(folder), **told})
            assert jobs[0][1]["training.seed"] == 100, name
        (tmp_path / "trials.jsonl").write_text("\n".join(map(json.dumps, lines)))
        pairs.freeze(tmp_path, {"alexnet-cub": names["alexnet-cub"][0][3]})
        final = {job[0]: job for job in pairs.final_jobs(tmp_path, "cuda", results.PAIRS)}
        _, changes, folder, variant = final["bert-tiny-sst2"]
        assert variant == names["bert-tiny-sst2"][2][3]  # all within 0.05, and this one has the least noise
        settings = {"training.learning_rate": 0.0001, "training.epochs": 30}
        assert changes == settings | {"training.seed": 2, "training.device": "cuda"}
        assert folder.name == "bert-tiny-sst2--seed-2"
        assert final["alexnet-cub"][3] == names["alexnet-cub"][0][3]
        _, changes, _, variant = final["vgg16-cub"]  # nothing was tried: as its recipe is
        assert (changes, variant) == ({"training.seed": 2, "training.device": "cuda"}, "")
        rows = [row for row in (tmp_path / "tried.md").read_text().splitlines() if "`alexnet-cub`" in row]
        assert ["**taken**" in row for row in rows] == [True, False]

    def test_every_recipe_is_wanted_once(self):
        names = pairs.wanted(["pairs", "small", "rest"])
        assert sorted(names) == sorted(recipes())
        assert [pairs.seeds_of(name) for name in ("digits-mlp", "vgg16-cub", "vgg11-cifar10", "gru-sst2")] == [
            5,
            3,
            2,
            1,
        ]

    def test_a_run_that_fails_does_not_stop_the_others(self, tmp_path, capsys):
        jobs = [("nowhere", {}, tmp_path / "a", ""), ("game-and-or", {"training.epochs": 2}, tmp_path / "b", "short")]
        assert pairs.run_all(jobs, tmp_path / "lines.jsonl", 1, keep=False) == 1
        told = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
        assert {one["recipe"]: "failed" in one for one in told} == {"nowhere": True, "game-and-or": False}
        assert [one["recipe"] for one in pairs.read_lines(tmp_path / "lines.jsonl")] == ["game-and-or"]
        assert "nowhere" in capsys.readouterr().out


class TestTrustPage:
    def told(self):
        own = {"what": "own", "way": "", "start": [4.0, 3.0, 5.0], "least": [1.0, 0.9, 1.1], "end": [2.0, 1.5, 2.5]}
        own |= {"fall_ends": [30.0, 20.0, 40.0], "rise_starts": None, "two_phases": False}
        small = {**own, "what": "salience", "way": "0.015", "end": [2.2, 1.8, 2.9]}
        large = {**own, "what": "baseline", "way": "0", "end": [4.0, 3.0, 5.0], "rise_starts": [90.0, 80.0, 99.0]}
        large |= {"two_phases": True, "fall_ends": [50.0, 20.0, 60.0]}
        not_done = {"what": "window", "way": "2 nearby steps", "why": "single steps only"}
        return {"recipe": "a", "steps": [0, 9], "samples": 5, "own": own, "others": [small, not_done, large]}

    def with_samples(self, *changes):
        """Return the same with other samples, which change the mean order at the end."""
        told = self.told()
        drawn = {**told["own"], "what": "samples drawn"}
        told["others"] += [
            {**drawn, "way": f"seed {i}", "end": [2.0 + x, 1.5, 2.5]} for i, x in enumerate(changes, start=1)
        ]
        return told

    def test_the_largest_movers_come_first_compared_with_other_samples(self):
        told = self.told()
        assert [one["what"] for one in trust_page.ranked(told)] == ["baseline", "salience"]
        rows = trust_page.table(self.with_samples(0.1, -0.3))
        assert rows[3].endswith("| 50 (20 to 60) | 90 (80 to 99) | +2.00 | yes |")
        assert rows[4].startswith("| samples drawn: seed 2 |")
        assert rows[4].endswith("| -0.30 | - |")
        assert rows[5].endswith("| +0.20 | no |")
        assert trust_page.table(told)[3].endswith("| +2.00 | - |")
        assert trust_page.overview({"a": self.with_samples(0.1, -0.3)})[2:4] == [
            "| baseline | +2.00 | 2.00 | 1 of 1 |",
            "| samples drawn | -0.30 | 0.30 | - |",
        ]

    def test_the_sentence(self):
        said = trust_page.sentence(self.with_samples(0.1, -0.3))
        assert "Of the choices, baseline (0) moves most: the mean order at the end changes by +2.00." in said
        assert "Other samples move one by up to 0.30; 1 of 2 choices move one by more." in said
        assert "not established, and the same holds with 3 of 4 others" in said
        assert "the end of the fall (step 30) lies between steps 30 and 50" in said
        assert "Other samples" not in trust_page.sentence(self.told())

    def test_other_samples_are_the_yardstick_of_the_summary(self):
        other = self.with_samples(1.7)
        other["own"] = {**other["own"], "two_phases": True}
        other["others"][0]["end"] = [5.0, 4.0, 6.0]
        said = trust_page.summary({"a": self.with_samples(0.1, -0.8), "b": other})
        assert said.startswith("In single runs, not in general: over 2 runs no choice is shown to change a mean order")
        assert "Another draw of 5 samples, with the same choices, moves one by 1.25 orders (median over 2 runs" in said
        assert "0.80 to 1.70), and 2 of 9 numbers out of their own 90 % interval, where about 2 are expected" in said
        assert "do not expect" not in said
        assert "(median size in brackets): baseline in 2 of 2 runs (2.00), salience in 1 of 2 runs (1.60); this" in said
        assert "stay so there with 1 of 2 other choices and 0 of 1 other draws of samples" in said
        assert "(least often in b: 1 of 3); where they are not, 1 of 4 others establish them." in said
        other["others"] = [one for one in other["others"] if "why" in one]
        assert trust_page.summary({"b": other}) == "No choice could be changed."

    def test_a_choice_that_moves_more_in_every_run_is_named_and_one_that_never_does(self):
        runs = {name: self.with_samples(0.3, 0.4) for name in "abcdef"}
        said = trust_page.summary(runs)
        assert said.startswith("Yes: baseline changes mean orders more than other samples do.")
        assert "Less in every run: salience." in said
        assert "establishes neither" not in said

    def test_intervals_that_other_samples_leave_too_often_are_named(self):
        said = trust_page.summary({name: self.with_samples(0.6, -0.7) for name in "ab"})
        assert "4 of 12 numbers out of their own 90 % interval, where about 3 are expected" in said
        assert "do not expect an interval over so few samples to hold for others." in said

    def test_a_training_that_is_not_the_kept_one_says_how_it_differs(self, tmp_path, monkeypatch):
        monkeypatch.setattr(trust_page, "RESULTS", tmp_path)
        told = self.told()
        assert trust_page.other_training("a", told) == ""  # nothing is kept to compare with
        (tmp_path / "a").mkdir()
        kept = tmp_path / "a" / "summary.json"
        kept.write_text(json.dumps({"steps": [0.0, 4.0, 9.0]}))
        assert trust_page.other_training("a", told) == ""
        kept.write_text(json.dumps({"steps": [0.0, 4.0, 9.0, 20.0]}))
        assert trust_page.other_training("a", told) == (
            "This is not the [kept run](a/) of the recipe: its last measurement starts at step 9, that of the kept run "
            "at step 20; the kept run has 2 of its 2 steps."
        )
        kept.write_text(json.dumps({"steps": [0.0, 4.0, 5.0, 6.0], "windows": {"steps": [0.0, 4.0]}}))
        said = trust_page.other_training("a", told)
        assert "that of the kept run at step 4 (to 6); it is measured at single steps, the kept run at windows" in said

    def test_the_page(self, tmp_path, monkeypatch):
        monkeypatch.setattr(trust_page, "NUMBERS", tmp_path / "trust")
        monkeypatch.setattr(trust_page, "PAGE", tmp_path / "trust.md")
        (tmp_path / "a.json").write_text(json.dumps(self.told()))
        monkeypatch.setattr("sys.argv", ["trust.py", str(tmp_path / "a.json")])
        trust_page.main()
        page = (tmp_path / "trust.md").read_text()
        assert "- window, 2 nearby steps: single steps only" in page
        assert trust_page.sentence(self.told()) in page


def test_the_kept_page_is_written_from_the_numbers_that_are_kept(tmp_path, monkeypatch):
    kept = trust_page.PAGE.read_text()
    monkeypatch.setattr(trust_page, "PAGE", tmp_path / "trust.md")
    trust_page.write_page()
    assert (tmp_path / "trust.md").read_text() == kept
