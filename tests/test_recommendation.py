"""What is recommended: only what held-out losses support, and always with the reason."""

import pytest

from interdyn.dynamics import recommend
from interdyn.errors import InputError
from interdyn.values import RunResult

NO_HARM = "No harm: the held-out loss is at most 1 % above its minimum."
OPEN = "No harm is established; a held-out loss up to 60 % above its least is possible."
HARMED = {"found": True, "step": 12, "interval": [8, 20], "growth": 0.6, "probability": 1.0, "best_step": 10}
STEPS = [0, 5, 10, 20, 40]
RISES = [2.0, 1.2, 0.8, 1.0, 1.3]


def run(loss=None, *, accuracy=None, stage=None, **harm):
    harm = {"best_step": 10, "probability": 0.2, "sentence": OPEN} | harm
    summary = {"steps": STEPS, "test_loss": loss, "test_accuracy": accuracy, "stage": stage, "harm": harm}
    return RunResult.from_json(summary)


def test_after_harm_the_checkpoint_with_the_least_loss():
    found = recommend(run(RISES, **HARMED))
    assert found.sentence == "Use the checkpoint of step 10, not the last."
    assert found.reason == (
        "Held-out loss is lowest at step 10, where it is 0.8 (a single low value does not count). At step 40 it is "
        "1.3. The difference is more than noise (probability over 99 %)."
    )
    assert (found.step, found.open) == (10, "")
    assert found.course == "the fitted held-out loss is 60 % above its minimum"


def test_a_rise_that_is_not_established_is_called_so():
    found = recommend(run(RISES))
    assert found.step == 10
    assert "noise" not in found.reason
    assert found.sentence == "Prefer the checkpoint of step 10; the last may be as good."
    assert found.open.endswith("worse by more than its noise is 20 %; more than 90 % is needed to call it harm.")
    assert str(found) == f"{found.sentence} {found.reason} {found.open}"
    both = recommend(run(RISES, accuracy=[0.1, 0.5, 0.8, 0.7, 0.6]))
    assert both.sentence == "Prefer the checkpoint of step 10, by loss and by accuracy."
    assert both.reason.endswith("Held-out accuracy: 0.800 there, 0.600 at the end.")
    sure = recommend(run(RISES, probability=1.0)).open
    assert (
        "is over 99 %; to call it harm, that and a rise of 5 % or more must hold at two measurements in a row." in sure
    )
    assert recommend(run(RISES, probability=None)).open.startswith("There are too few values")


def test_the_last_checkpoint_unless_an_earlier_one_is_better_by_more_than_five_percent():
    falls = recommend(run([2.0, 1.2, 1.0, 0.9, 0.8], best_step=40, sentence=NO_HARM))
    assert (falls.sentence, falls.step, falls.open) == ("Use the last checkpoint, step 40.", 40, "")
    assert (
        "Held-out loss is lowest there: 0.8 (a single low value does not count). Longer training was not tried."
        in falls.reason
    )
    assert falls.course == "held-out loss is lowest around the end"
    level = recommend(run([2.0, 1.2, 0.8, 0.81, 0.83]))
    assert (level.step, level.open) == (40, OPEN)
    assert "at most 5 % above 0.8 at step 10, where it is lowest" in level.reason
    assert recommend(run([2.0, 1.2, 0.8, 0.81, 0.85])).step == 10
    lower = recommend(run([2.0, 1.2, 0.8, 0.81, 0.7]))
    lowest = "below 0.8 at step 10, which is the lowest apart from single values."
    assert lower.reason == f"Held-out loss at the end is 0.7, {lowest}"


def test_loss_and_accuracy_that_disagree_leave_the_choice():
    for harm in ({}, HARMED):
        found = recommend(run(RISES, accuracy=[0.1, 0.5, 0.6, 0.7, 0.8], **harm))
        assert found.step is None
        assert found.sentence == "Choose: step 10 by held-out loss, or the last checkpoint by held-out accuracy."
        assert "0.600 there, 0.800 at the end" in found.reason
    now = recommend(run(RISES, accuracy=[0.1, 0.5, 0.6, 0.7, 0.8], stage="phase 2", **HARMED))
    assert now.sentence == "Choose: stop here by held-out loss, or continue by held-out accuracy."
    assert now.stop is None
    assert recommend(run(RISES, accuracy=[0.1, 0.5, 0.6, 0.6, 0.61])).step == 10  # no fewer are wrong than 5 %


def test_accuracy_stands_in_where_no_loss_is_known():
    found = recommend(run(accuracy=[0.1, 0.5, 0.8, 0.7, 0.6]))
    assert found.sentence == "Prefer the checkpoint of step 10; the last may be as good."
    best = "Held-out accuracy is highest at step 10, where it is 0.8 (a single high value does not count)."
    assert f"{best} At step 40 it is 0.6." in found.reason
    assert found.course == "held-out accuracy is 25 % lower at the end than at step 10"


def test_only_harm_stops_a_training():
    harmed = recommend(run(RISES, stage="phase 2", **HARMED))
    assert (harmed.sentence, harmed.stop) == ("Stop here, and use the checkpoint of step 10.", True)
    for loss, words in (
        (RISES, "Keep training for now, and keep the"),
        ([2.0, 1.2, 0.8, 0.8, 0.8], "Keep training: the held-out data"),
    ):
        found = recommend(run(loss, stage="phase 2"))
        assert found.sentence.startswith(words)
        assert (found.stop, found.step) == (False, None)
    early = recommend(run(RISES, stage="no verdict", probability=None, sentence="Harm cannot be judged yet."))
    assert (early.sentence, early.reason) == (
        "Keep training: it is too early to judge.",
        "Harm cannot be judged yet.",
    )


@pytest.mark.parametrize("stage", [None, "phase 2"])
def test_without_held_out_losses_nothing_is_recommended(stage):
    blind = recommend(run(stage=stage, best_step=None))
    assert blind.sentence.startswith("No recommendation: no held-out loss")
    assert "`test_loss=`" in blind.reason
    assert (blind.step, blind.stop) == (None, None)
    assert recommend(run(stage=stage, best_step=None, pattern="A pattern.")).reason == "A pattern."
    assert recommend(run([None] * 5, stage=stage)).step is None


def test_one_checkpoint_and_runs_of_before_say_why_not():
    assert recommend(RunResult.from_json({"steps": [5], "test_loss": [1.0]})).sentence.startswith("No recommendation")
    assert "Analyse it again" in recommend(RunResult.from_json({"steps": [0, 5], "test_loss": [2.0, 1.0]})).reason


def test_losses_that_are_not_numbers_are_left_out():
    found = recommend(run([2.0, 1.2, None, 0.8, None], best_step=10))
    assert found.step in (5, 20)
    assert "nan" not in found.reason
    assert recommend(run([0.0, 0.0, 0.0, 0.0, 1.0], best_step=0)).step == 0


def test_a_folder_is_not_a_result(tmp_path):
    with pytest.raises(InputError, match="load_run"):
        recommend(tmp_path)
