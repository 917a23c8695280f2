import copy
import itertools
import json
import shutil
import struct
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from interdyn import plot
from interdyn.errors import IncompleteRunError, InputError, NotARunError, RunError, SchemaError, StorageError
from interdyn.values import RunResult

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"
FUNCTIONS = [
    plot.plot_order_distribution,
    plot.plot_dynamics,
    plot.plot_strengths,
    plot.plot_mean_order,
    plot.plot_loss_gap,
    plot.plot_theory,
    plot.plot_theory_distance,
    plot.plot_noise,
]


@pytest.fixture
def data():
    return {name: json.loads((EXAMPLE / f"{name}.json").read_text()) for name in ("summary", "analysis")}


@pytest.fixture
def run_dir(tmp_path):
    return Path(shutil.copytree(EXAMPLE, tmp_path / "run"))


def axes():
    return Figure(figsize=(8, 3)).subplots()


def words(ax):
    return " ".join(t.get_text() for t in ax.figure.findobj(lambda a: hasattr(a, "get_text")))


def first_steps(data, t):
    """The same run, stopped after `t` checkpoints."""
    total = len(data["summary"]["steps"])

    def cut(item):
        if isinstance(item, dict):
            return {key: cut(value) for key, value in item.items()}
        return item[:t] if isinstance(item, list) and len(item) == total else item

    return cut(data)


@pytest.mark.parametrize("draw", FUNCTIONS)
def test_axes_say_what_they_show_and_who_made_it(draw, data):
    ax = axes()
    assert draw(data, ax=ax) is ax
    assert ax.get_xlabel() in ("optimiser step (log scale)", "order of the interaction (number of players)")
    assert ax.get_ylabel()
    assert ax.get_title(loc="left")
    assert words(ax).count("synthetic-example · interdyn 0.1.0") == 1


def test_recipe_and_version_stand_once_in_a_figure_of_several_axes(data):
    above, below = Figure(figsize=(8, 6)).subplots(2, 1)
    plot.plot_mean_order(data, ax=above)
    plot.plot_loss_gap(data, ax=below)
    assert words(above).count("interdyn 0.1.0") == 1


def test_units_stand_on_the_axes(data):
    assert plot.plot_strengths(data, ax=axes()).get_ylabel() == "mean strength per sample (log-odds)"
    assert plot.plot_mean_order(data, ax=axes()).get_ylabel() == "mean order (10 players, N not recorded)"
    assert plot.plot_noise(data, ax=axes()).get_yscale() == "log"


@pytest.mark.parametrize("draw", FUNCTIONS)
def test_drawing_leaves_the_settings_of_matplotlib_alone(draw, data):
    before = dict(mpl.rcParams)
    draw(data, ax=axes())
    assert dict(mpl.rcParams) == before


def test_a_figure_is_made_when_no_axes_are_given(data):
    from matplotlib import pyplot as plt

    plt.switch_backend("agg")
    plt.close("all")  # of other tests
    try:
        ax = plot.plot_mean_order(data)
        assert plt.get_fignums() == [ax.figure.number]
    finally:
        plt.close("all")


def test_bars_and_their_intervals_are_the_recorded_numbers(data):
    ax = plot.plot_order_distribution(data, steps=[260], ax=axes())
    i = data["summary"]["steps"].index(260)
    test = data["analysis"]["groups"]["test"]
    assert [bar.get_height() for bar in ax.patches] == test["order_distribution"][i]
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([s[0, 1] for s in segments], test["order_distribution_low"][i])
    np.testing.assert_allclose([s[1, 1] for s in segments], test["order_distribution_high"][i])


def test_six_steps_with_the_boundary_among_them_are_drawn_by_default(data):
    heads = [t.get_text() for t in plot.plot_order_distribution(data, ax=axes()).texts if "step" in t.get_text()]
    assert len(heads) == 6
    assert heads[0] == "step 0"
    assert "step 260" in heads
    assert heads[-1] == "step 6,000"


def test_positive_strength_points_up_and_negative_down(data):
    strength = data["analysis"]["groups"]["test"]["strength"]
    ax = plot.plot_strengths(data, steps=[6000], ax=axes())
    heights = np.array([bar.get_height() for bar in ax.patches]).reshape(4, 10)
    np.testing.assert_allclose(heights[0], strength["and_positive"][-1])
    np.testing.assert_allclose(heights[1], -np.array(strength["and_negative"][-1]))
    np.testing.assert_allclose(heights[3], -np.array(strength["or_negative"][-1]))


def test_the_boundary_is_drawn_where_it_was_found_and_nowhere_when_it_was_not(data):
    def dashed(ax):
        return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]

    assert dashed(plot.plot_mean_order(data, ax=axes())) == [260]
    data["summary"]["phases"] |= {"found": False, "boundary_step": None, "interval": None}
    assert dashed(plot.plot_mean_order(data, ax=axes())) == []


def test_theory_steps_are_of_phase_2_without_the_last(data):
    ax = plot.plot_theory(data, ax=axes())
    heads = [t.get_text() for t in ax.texts if t.get_text().startswith("step")]
    assert heads == ["step 260", "step 1,300", "step 4,300"]


def test_without_a_second_phase_the_theory_is_drawn_and_nothing_is_claimed(data):
    for entry in data["summary"]["theory"]:
        entry["in_phase_2"] = False
    ax = plot.plot_theory(data, ax=axes())
    heads = [t.get_text() for t in ax.texts if t.get_text().startswith("step")]
    last = data["summary"]["steps"][-1]
    assert len(heads) == 3
    assert f"step {last:,}" not in heads  # its network is the theory's input
    assert "phase 2 was not found" in ax.get_title(loc="left")
    assert "in phase 2" not in words(plot.plot_theory_distance(data, ax=axes()))


def test_the_legend_of_the_distance_covers_no_curve(data):
    for entry in data["summary"]["theory"]:
        entry["tv_null_sigma0"] = 0.7  # a curve along the top
    figure = Figure(figsize=(9, 3), layout="constrained")
    ax = plot.plot_theory_distance(data, ax=figure.subplots())
    figure.draw_without_rendering()
    top = max(float(np.nanmax(line.get_ydata())) for line in ax.lines if len(line.get_ydata()) > 2)
    assert ax.get_legend().get_window_extent().y0 > ax.transData.transform((1, top))[1]


@pytest.mark.parametrize("width", [5.0, 7.0])
@pytest.mark.parametrize("draw", [*FUNCTIONS, plot.plot_solver])
def test_legends_stay_within_their_axes(draw, width, data):
    figure = Figure(figsize=(width, 3.6), layout="constrained")
    draw(data, ax=figure.subplots())
    figure.draw_without_rendering()
    for ax in figure.axes:
        if (legend := ax.get_legend()) is not None:
            box, inside = legend.get_window_extent(), ax.bbox
            assert inside.x0 - 1 <= box.x0
            assert box.x1 <= inside.x1 + 1
            assert inside.y0 - 1 <= box.y0
            assert box.y1 <= inside.y1 + 1


def test_the_overview_holds_order_losses_and_a_row_for_each_statement(data):
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    upper = plot.plot_overview(data, ax=figure.subplots())
    order, losses, strip = figure.axes
    assert order is upper
    assert [ax.get_ylabel() for ax in figure.axes] == ["mean order", "loss", ""]
    test = data["analysis"]["groups"]["test"]
    np.testing.assert_allclose(order.lines[0].get_ydata(), test["mean_order"])
    np.testing.assert_allclose(losses.lines[1].get_ydata(), data["summary"]["test_loss"])
    assert [text.get_text() for text in strip.texts if "synthetic" not in text.get_text()] == [
        "phase 2 begins between steps 150 and 450",
        "loss gap widens between steps 170 and 520",
        "harm: not judged",
        "checkpoint to use: not known",
    ]
    assert [float(line.get_xdata()[0]) for line in strip.lines] == [260.0, 300.0]
    for ax in (order, losses):
        assert {260.0, 300.0} <= {float(line.get_xdata()[0]) for line in ax.lines[-2:]}
    assert len(strip.collections) == 2  # a bar for each interval
    assert strip.get_xlabel() == "optimiser step (log scale)"
    assert words(strip).count("synthetic-example · interdyn 0.1.0") == 1
    with pytest.raises(InputError, match="subplots"):
        plot.plot_overview(data, ax=Figure().add_axes((0, 0, 1, 1)))


def test_the_overview_shows_what_there_is(data):
    del data["summary"]["train_loss"], data["summary"]["test_loss"]
    data["summary"] |= {"test_accuracy": [None, *[0.5] * 15], "train_accuracy": None}
    figure = Figure()
    plot.plot_overview(data, ax=figure.subplots())
    assert [ax.get_ylabel() for ax in figure.axes] == ["mean order", "accuracy", ""]
    only_losses = Figure()
    plot.plot_overview({"summary": {"steps": [0, 5], "test_loss": [2, 1]}}, ax=only_losses.subplots())
    assert [ax.get_ylabel() for ax in only_losses.axes] == ["loss", ""]
    one = plot.plot_overview({"summary": {"steps": [5], "mean_order": [2]}}, ax=axes())
    assert "Only one checkpoint" in words(one)
    assert "Record" in words(plot.plot_overview({"summary": {"steps": [0, 5]}}, ax=axes()))


@pytest.mark.parametrize("draw", FUNCTIONS)
def test_missing_data_gives_a_panel_that_says_what_to_record(draw):
    ax = draw({"summary": {"steps": [0, 10], "recipe": "bare"}}, ax=axes())
    assert "Record" in words(ax)
    assert not ax.axison


@pytest.mark.parametrize("draw", FUNCTIONS)
def test_one_checkpoint_and_many_holes_can_be_drawn(draw, data, recwarn):
    for small in (first_steps(data, 1), first_steps(data, 2)):
        ax = draw(small, ax=axes())
        ax.figure.canvas.draw()
    data["summary"]["test_loss"][3] = None
    data["analysis"]["groups"]["test"]["order_distribution"][2] = [None] * 10
    ax = draw(data, ax=axes())
    ax.figure.canvas.draw()
    assert not list(recwarn)


def test_all_losses_not_a_number_is_no_data(data):
    data["summary"]["train_loss"] = [None] * 16
    assert "train_loss" in words(plot.plot_loss_gap(data, ax=axes()))


def test_dollar_signs_in_a_name_are_text_not_mathematics(data):
    data["summary"]["recipe"] = "$\\undefined{"
    ax = plot.plot_mean_order(data, ax=axes())
    ax.figure.canvas.draw()
    assert "$\\undefined{" in words(ax)


@pytest.mark.parametrize(
    "steps",
    [
        [0, 1, 2, 4, 8],
        [0, 1],
        [5],
        [0],
        list(range(0, 2001, 100)),
        [0, 7, 90, 10**6],
        [390, 400, 410],
        [0, 10, 100, 1000, 1200],
    ],
)
def test_step_labels_never_touch(steps):
    view = RunResult.from_json({"steps": steps, "mean_order": [2.0] * len(steps)})
    figure = Figure(figsize=(5, 3))
    ax = plot.plot_mean_order(view, ax=figure.subplots())
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert boxes
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_a_run_of_step_0_alone_labels_no_step_it_does_not_hold():
    assert plot.StepAxis.of(np.array([0.0])).ticks() == ([0.0], ["0"])


def test_step_axis_is_invertible_and_keeps_zero_apart():
    steps = np.array([0.0, 3.0, 50.0, 6000.0])
    axis = plot.StepAxis.of(steps)
    np.testing.assert_allclose(axis.step(axis.position(steps)), steps)
    edges = axis.edges(steps)
    assert (edges[:-1] < axis.position(steps)).all()
    assert (axis.position(steps) < edges[1:]).all()


def test_figures_of_a_run_are_written_with_something_on_them(run_dir):
    before = dict(mpl.rcParams)
    paths = plot.save_figures(run_dir)
    assert dict(mpl.rcParams) == before
    assert {path.parent for path in paths} == {run_dir / "figures"}
    assert len(paths) == 8
    for path in paths:
        content = path.read_bytes()
        width, height = struct.unpack(">II", content[16:24])
        assert content[:4] == b"\x89PNG"
        assert width > 1000
        assert height > 400
        assert len(content) > 10_000  # an empty canvas of this size takes about 3 kB
    assert {p.name for p in (run_dir / "figures").iterdir()} == {p.name for p in paths}


def test_a_run_that_cannot_be_read_says_why(run_dir, tmp_path, data):
    with pytest.raises(NotARunError):
        plot.load_run(tmp_path / "nothing")
    (run_dir / "summary.json").write_text('{"steps": [0,')
    with pytest.raises(IncompleteRunError):
        plot.load_run(run_dir)
    with pytest.raises(SchemaError, match="99"):
        RunResult.from_json(data["summary"] | {"schema": 99})
    with pytest.raises(IncompleteRunError, match="at least one checkpoint"):
        RunResult.from_json({"steps": []})
    with pytest.raises(RunError, match="order_distribution"):
        RunResult.from_json(data["summary"] | {"order_distribution": [[1.0]]})
    with pytest.raises(InputError, match="Choose from"):
        plot.plot_theory(data, steps=[261], ax=axes())
    with pytest.raises(InputError, match="run directory"):
        plot.plot_theory(17, ax=axes())


def test_a_run_without_analysis_is_drawn_from_its_summary(run_dir):
    (run_dir / "analysis.json").unlink()
    view = plot.load_run(run_dir)
    assert list(view.groups) == ["test"]
    assert view.groups["test"].mean_order.interval() is None


def test_a_folder_that_cannot_be_written_keeps_what_it_had(run_dir):
    (run_dir / "figures").write_text("in the way")
    with pytest.raises(StorageError):
        plot.save_figures(run_dir)
    assert (run_dir / "figures").read_text() == "in the way"


def test_the_example_is_what_its_recipe_makes(data):
    namespace = {"__name__": "example", "__file__": str(EXAMPLE / "make.py")}
    exec(compile((EXAMPLE / "make.py").read_text(), "make.py", "exec"), namespace)
    made = json.loads(json.dumps(copy.deepcopy(namespace["example"]())))
    assert made["summary.json"] == data["summary"]
    assert made["analysis.json"] == data["analysis"]
