"""Other monitors against their definitions, written out without memory: each verdict from the whole record anew."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from interdyn import monitors
from interdyn.errors import InputError, ModelError, ShapeError


def patience_by_definition(losses, evaluations):
    for t in range(len(losses)):
        best = min(range(t + 1), key=lambda s: (losses[s], s))
        if t - best >= evaluations:
            return t, best
    return None, min(range(len(losses)), key=lambda s: (losses[s], s))


def label_wave_by_definition(classes, span):
    changes = [sum(a != b for a, b in zip(x, y, strict=True)) for x, y in pairwise(classes)]
    mean = {t + 1: sum(changes[t - span + 1 : t + 1]) / span for t in range(span - 1, len(changes))}
    for t in sorted(mean)[2:]:
        earlier = [s for s in sorted(mean) if s < t]
        has_fallen = any(mean[s] < mean[s - 1] for s in earlier[1:])
        if has_fallen and mean[t] > mean[t - 1]:
            return mean, t, t - 1
    return mean, None, len(classes) - 1


def disparity_by_definition(gradients):
    return [sum(math.dist(a, b) for a, b in combinations(rows, 2)) / math.comb(len(rows), 2) for rows in gradients]


def learned_by_definition(losses, bound, span):
    out = [math.nan] * len(losses)
    for t in range(span + 1, len(losses)):
        bends = [
            sum(abs(losses[i][x] - 2 * losses[i - 1][x] + losses[i - 2][x]) for i in range(t - span + 1, t + 1)) / span
            for x in range(len(losses[0]))
        ]
        out[t] = sum(b < bound for b in bends) / len(bends)
    return out


@given(st.lists(st.integers(0, 6), min_size=1, max_size=20), st.integers(1, 5))
def test_patience_is_its_definition(losses, evaluations):
    found = monitors.Patience(evaluations=evaluations).over(range(len(losses)), losses)
    assert (found.stops_at, found.best_step) == patience_by_definition(losses, evaluations)


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=15), st.integers(1, 4))
def test_label_wave_is_its_definition(classes, span):
    found = monitors.LabelWave(span=span).over(range(len(classes)), classes)
    mean, stops, best = label_wave_by_definition(classes, span)
    assert [None if math.isnan(x) else x for x in found.signal] == [
        pytest.approx(mean[t]) if t in mean else None for t in range(len(classes))
    ]
    assert (found.stops_at, found.best_step) == (stops, best)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 5), st.integers(1, 4))
def test_gradient_disparity_is_its_definition(seed, evaluations, batches, rises):
    gradients = np.random.default_rng(seed).normal(size=(evaluations, batches, 3))
    found = monitors.GradientDisparity(rises=rises).over(range(evaluations), gradients)
    values = disparity_by_definition(gradients.tolist())
    assert found.signal == pytest.approx(values)
    rose = [t for t in range(1, evaluations) if values[t] > values[t - 1]]
    assert found.stops_at == (rose[rises - 1] if len(rose) >= rises else None)
    assert found.best_step == (evaluations - 1 if found.stops_at is None else found.stops_at)


@given(st.integers(0, 2**32 - 1), st.integers(1, 10), st.integers(1, 4), st.floats(0.1, 2), st.floats(0, 1))
def test_instance_stopping_is_its_definition(seed, evaluations, span, bound, share):
    losses = np.random.default_rng(seed).random((evaluations, 5))
    found = monitors.InstanceStopping(share=share, bound=bound, span=span).over(range(evaluations), losses)
    values = learned_by_definition(losses.tolist(), bound, span)
    assert found.signal == pytest.approx(values, nan_ok=True)
    assert found.stops_at == next((t for t, x in enumerate(values) if x >= share), None)


def test_after_a_stop_nothing_changes_but_the_record():
    found = monitors.named("patience", evaluations=1)
    assert [found.observe(t, loss) for t, loss in enumerate([2.0, 3.0, 1.0])] == [False, True, True]
    assert (found.stops_at, found.best_step, found.signal) == (1.0, 0.0, [2.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("patience", 1.0, math.nan),
        ("label-wave", [1, 2], [1, 2, 3]),
        ("gradient-disparity", [[0.0], [1.0]], [[0.0]]),
        ("instance-stopping", [1.0, 2.0], [1.0, math.inf]),
    ],
)
def test_what_is_refused_does_not_count(name, good, bad):
    monitor = monitors.named(name)
    monitor.observe(1, good)
    with pytest.raises((InputError, ShapeError)):
        monitor.observe(2, bad)
    with pytest.raises(InputError, match="must be above 1"):
        monitor.observe(1, good)
    assert monitor.steps == [1.0]
    assert len(monitor.signal) == 1
    monitor.observe(2, good)
    assert monitor.steps == [1.0, 2.0]


def test_names_and_options_are_checked():
    with pytest.raises(InputError, match="label-wave"):
        monitors.named("wave")
    with pytest.raises(InputError, match="takes evaluations; got rises"):
        monitors.named("patience", rises=2)
    with pytest.raises(ShapeError, match="one entry for each of the 2 steps"):
        monitors.Patience().over([1, 2], [0.5])


def test_gradients_of_batches_are_those_of_a_backward_pass_and_leave_no_trace():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 2)
    )
    model[2].eval()
    batches = [(torch.randn(6, 3), torch.randint(2, (6,))) for _ in range(3)]
    model[0].weight.grad = torch.ones(4, 3)
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        found = monitors.batch_gradients(model, batches)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in state.items())
    assert torch.equal(model[0].weight.grad, torch.ones(4, 3))
    assert [m.training for m in model] == [True, True, False, True]
    twin = torch.nn.Sequential(*model).eval()
    for row, (x, y) in zip(found, batches, strict=True):
        twin.zero_grad()
        torch.nn.functional.cross_entropy(twin(x), y).backward()
        np.testing.assert_allclose(row, torch.cat([p.grad.flatten() for p in twin.parameters()]), rtol=1e-5, atol=1e-7)


def test_a_network_without_trained_parameters_has_no_gradients():
    with pytest.raises(ModelError, match="must have trainable parameters"):
        monitors.batch_gradients(torch.nn.Identity(), [])
