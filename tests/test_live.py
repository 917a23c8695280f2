"""The live page: a list of runs and a page for each, followed in a real browser while a training writes."""

import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import uvicorn
from torch import nn

from interdyn import store
from interdyn.cli import main
from interdyn.errors import InputError, StorageError
from interdyn.measurement import History
from interdyn.players import columns
from interdyn.report import _first, _list as lists, _words, application, render
from interdyn.report._list import Listing, listed
from interdyn.report._live import is_loopback
from interdyn.report._runs import Followed, find_runs
from interdyn.tracking import Tracker, every
from interdyn.values import RunResult
from pages import needs_browser, pictured, until, watched

EXAMPLE = Path(__file__).parent / "data" / "example_analysis"


class Training:
    """A real training that writes a run, a step at a time."""

    def __init__(self, folder, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(40, 4, generator=generator)
        self.y = (self.x[:, 0] * self.x[:, 1] > 0).long()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=0.02)
        probe = {"test": (self.x[:8], self.y[:8]), "train": (self.x[8:20], self.y[8:20])}
        self.tracker = Tracker(probe, players=columns(), schedule=every(5), out=folder, strict=True, budget=None)
        self.step = 0

    def look(self, times=1):
        """Train until so many more looks are taken."""
        for _ in range(times):
            while not self.tracker.observe(self.step, self.net, train_loss=1.0 / (self.step + 1), test_loss=0.9):
                self.optimiser.zero_grad()
                nn.functional.cross_entropy(self.net(self.x), self.y).backward()
                self.optimiser.step()
                self.step += 1
            self.step += 1
        return self


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def served(runs):
    """Serve the folder and yield its address."""
    stop = []

    def begin(**options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = uvicorn.Config(application(runs, **options), host="127.0.0.1", port=port, log_level="error")
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        stop.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{port}"

    yield begin
    for server, thread in stop:
        server.should_exit = True
        thread.join(timeout=10)


def get(address, *, method="GET", **headers):
    request = urllib.request.Request(address, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# -- a run that grows --------------------------------------------------------------------------------


def test_each_measurement_is_read_once_and_the_numbers_are_those_of_the_end(runs, monkeypatch):
    training = Training(runs / "a").look(3)
    growing = History.read(runs / "a")
    assert growing.steps == (0, 5, 10)
    assert not growing.update()
    read = []
    whole = store.Reader.measurement
    monkeypatch.setattr(store.Reader, "measurement", lambda *a, **k: read.append(a[1]) or whole(*a, **k))
    training.look(6)
    assert growing.update()
    assert set(read) == {15, 20, 25, 30, 35, 40}
    monkeypatch.undo()
    now, end = growing.result_so_far().to_json(), History.read(runs / "a").result().to_json()
    for name in ("steps", "order_distribution", "mean_order", "train_loss", "test_loss", "n_players", "n_samples"):
        np.testing.assert_allclose(now["summary"][name], end["summary"][name], err_msg=name)
    assert now["summary"]["solver"] == pytest.approx(end["summary"]["solver"])
    for group in ("test", "train"):
        for name in ("mean_order", "gap", "residual"):
            np.testing.assert_allclose(now["analysis"]["groups"][group][name], end["analysis"]["groups"][group][name])
    assert now["summary"]["verdict"] == [training.tracker.verdict.sentence]
    assert now["summary"]["stage"] == training.tracker.verdict.stage
    assert now["analysis"]["samples"] == end["analysis"]["samples"]


@pytest.mark.parametrize(
    ("stage", "since", "headline", "fact"),
    [
        ("no verdict", None, "it is too early to judge the phase", "not established"),
        ("phase 1", None, "phase 2 (more complex interactions) is not established", "not established"),
        ("phase 2", 12.0, "complex interactions) began between steps 8 and 20", "began between steps 8 and 20"),
        # the stage of a run of version 0.1
        (
            "over-fitting has begun",
            12.0,
            "over-fitting has begun between steps 8 and 20",
            "began between steps 8 and 20",
        ),
    ],
)
def test_the_page_of_a_run_that_grows_speaks_of_now(runs, stage, since, headline, fact):
    Training(runs / "a").look(3)
    now = History.read(runs / "a").result_so_far().to_json()
    interval = None if since is None else [8.0, 20.0]
    now["summary"] |= {"stage": stage}
    now["summary"]["phases"] |= {"found": since is not None, "boundary_step": since, "interval": interval}
    view = RunResult.from_json(now["summary"], now["analysis"])
    assert headline in _first.headline(view)
    assert _first.headline(view).startswith("Still in training")
    assert _first.headline(view, alive=False).startswith("Stopped unexpectedly")
    facts = {name: (value, remark) for name, value, remark in _words.facts(view)}
    assert {one.name: one.value for one in _first.cards(view, None)}["Phase"] == stage[0].upper() + stage[1:]
    assert facts["Phase 2"][0] == fact
    assert facts["Harm"] == ("not established", view.harm.sentence)
    html = render(view)
    assert html.count("Available when the run has ended") == 2  # of the theory, and of predictions
    assert "interdyn.theory.fit_noise" not in html


def test_half_a_checkpoint_waits_and_another_run_in_the_folder_is_read_anew(runs):
    Training(runs / "a").look(3)
    growing = History.read(runs / "a")
    (runs / "a" / "measurements" / "step_00000010.train.safetensors").write_bytes(b"half")
    assert History.read(runs / "a").steps == (0, 5)
    shutil.rmtree(runs / "a")
    with Tracker(
        (torch.zeros(8, 3), torch.arange(8) % 2),
        players=columns(),
        schedule=every(2),
        out=runs / "a",
        strict=True,
        budget=None,
    ) as other:
        other.observe(0, nn.Linear(3, 2))
    assert growing.update()
    assert growing.steps == (0,)


# -- the list ----------------------------------------------------------------------------------------


def test_runs_are_found_by_name_and_nothing_outside(runs, tmp_path):
    Training(runs / "a").look()
    Training(runs / "deep" / "b").look()
    shutil.copytree(runs / "a", tmp_path / "outside")
    (runs / "link").symlink_to(tmp_path / "outside")
    (runs / ".hidden").mkdir()
    shutil.copytree(runs / "a", runs / ".hidden" / "c")
    assert list(find_runs(runs)) == ["a", "deep/b"]
    assert list(find_runs(runs / "a")) == ["a"]
    assert list(find_runs(runs / "gone")) == []


def test_what_is_wrong_with_a_run_stands_in_its_line(runs):
    shutil.copytree(EXAMPLE, runs / "old")
    good = Training(runs / "good").look()
    good.tracker.close()
    for name, text in (("half", "{"), ("future", '{"kind": "interdyn-run", "schema": 99}'), ("empty", "")):
        (runs / name).mkdir()
        (runs / name / "run.json").write_text(text)
    lines = {name: listed(name, Followed(path)) for name, path in find_runs(runs).items()}
    assert lines["good"].state == "finished"
    assert (lines["good"].done, lines["good"].last, lines["good"].planned) == (1, 0, None)
    assert not lines["good"].trouble
    for name in ("half", "future", "empty"):
        assert lines[name].state == "damaged"
        assert lines[name].trouble
    assert "pip install --upgrade" in lines["future"].trouble or "newer" in lines["future"].trouble


def test_a_run_that_grows_is_told_from_one_that_lost_its_process_and_from_one_that_ended(runs):
    growing, ended = Training(runs / "growing").look(12), Training(runs / "ended").look(12)
    ended.tracker.close()
    shutil.copytree(runs / "growing", runs / "dead")
    lines = {line.name: line for line in Listing(runs, lambda _, path: Followed(path)).lines(patience=60)}
    assert list(lines) == ["growing", "dead", "ended"]
    assert [line.state for line in lines.values()] == ["growing", "stopped", "finished"]
    assert lines["growing"].headline.startswith("Still in training")
    assert lines["growing"].advice.startswith("Keep training")
    assert lines["dead"].headline.startswith("Stopped unexpectedly")
    assert lines["dead"].advice.startswith("Restart the training")
    assert store.is_written(runs / "growing")
    growing.tracker.close()
    assert not store.is_written(runs / "growing")


def test_asking_who_writes_keeps_no_writer_out(runs):
    Training(runs / "a").look().tracker.close()
    asking, refused = threading.Event(), []

    def ask():
        while not asking.is_set():
            store.is_written(runs / "a")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        try:
            with store.writing(runs / "a"):
                assert store.is_written(runs / "a")
        except StorageError as error:
            refused.append(error)
    asking.set()
    for thread in threads:
        thread.join()
    assert refused == []


def test_a_writer_waits_for_a_process_that_stops_while_it_asks(runs):
    fcntl = pytest.importorskip("fcntl")
    Training(runs / "a").look().tracker.close()
    answered = threading.Event()
    with (runs / "a" / "run.lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)

        def answer():
            answered.set()
            fcntl.flock(asking, fcntl.LOCK_UN)

        late = threading.Timer(0.5, answer)
        late.start()
        with store.writing(runs / "a"):
            assert answered.is_set()
            assert store.is_written(runs / "a")
        late.join()


def test_the_lines_of_a_run_are_its_courses_and_have_a_sentence(runs):
    training = Training(runs / "a").look(4)
    line = listed("a", Followed(runs / "a"))
    assert line.done == 4
    assert time.time() - 600 < line.at <= time.time()
    assert [role for role, _ in line.loss.lines] == ["train", "test"]
    x = [float(point.split(",")[0]) for point in line.loss.lines[0][1].split()]
    y = [float(point.split(",")[1]) for point in line.loss.lines[0][1].split()]
    assert (len(x), x[0], x[-1]) == (4, 2.0, 118.0)
    assert x == sorted(x)
    assert y == sorted(y)  # a falling loss: down is larger
    assert line.loss.alt == "loss: 0.9 at the start, minimum 0.9, now 0.9"
    order = training.tracker.trajectory.mean_order
    assert line.order.alt == f"mean order: {order[0]:.3g} at the start, minimum {order.min():.3g}, now {order[-1]:.3g}"


def test_a_run_is_read_for_the_list_again_only_when_its_files_change(runs, monkeypatch):
    training = Training(runs / "a").look(2)
    Training(runs / "b").look(2).tracker.close()
    read, whole = [], lists.listed
    monkeypatch.setattr(lists, "listed", lambda name, run: read.append(name) or whole(name, run))
    listing = Listing(runs, lambda _, path: Followed(path))
    assert {line.name for line in listing.lines(patience=60)} == {"a", "b"}
    listing.lines(patience=60)
    assert sorted(read) == ["a", "b"]
    training.look()
    assert next(line.done for line in listing.lines(patience=60) if line.name == "a") == 3
    assert sorted(read) == ["a", "a", "b"]
    shutil.rmtree(runs / "b")
    assert [line.name for line in listing.lines(patience=60)] == ["a"]


def test_the_list_does_not_wait_for_what_is_slow_to_read(runs, monkeypatch):
    Training(runs / "a").look()
    go_on, whole = threading.Event(), lists.listed
    monkeypatch.setattr(lists, "listed", lambda name, run: go_on.wait(60) and whole(name, run))
    listing = Listing(runs, lambda _, path: Followed(path))
    (bare,) = listing.lines(patience=0.01)
    assert (bare.name, bare.done, bare.headline) == ("a", 0, "")
    go_on.set()
    assert listing.lines(patience=60)[0].done == 1


# -- the door ----------------------------------------------------------------------------------------


def test_pages_are_served_and_paths_that_lead_out_are_not(served, runs, tmp_path):
    Training(runs / "a").look(2)
    (tmp_path / "secret").mkdir()
    shutil.copytree(runs / "a", tmp_path / "secret" / "run")
    address = served()
    status, text = get(f"{address}/")
    assert status == 200
    assert 'href="runs/a/"' in text
    status, text = get(f"{address}/runs/a/")
    assert status == 200
    assert "Measured on 8 test samples at 2 checkpoints." in text
    assert "connect-src 'self'" in text.replace("&#39;", "'")
    tried = ("../secret/run", "..%2fsecret%2frun", "a/../../secret/run", "%2e%2e/secret/run", "/etc/passwd", "nobody")
    for name in tried:
        assert get(f"{address}/runs/{name}/")[0] == 404, name
    assert get(f"{address}/runs/a/", method="POST")[0] == 405
    assert get(f"{address}/runs/a/", method="DELETE")[0] == 405


def test_ticked_runs_are_compared_on_a_page(served, runs):
    Training(runs / "a").look(3)
    Training(runs / "deep" / "b", seed=1).look(3).tracker.close()
    address = served()
    status, text = get(f"{address}/compare?run=a&run=deep/b&run=a")
    assert status == 200
    assert "Comparison of 2 runs" in text
    assert '<a class="home" href=".">' in text
    for name in ("a", "deep/b"):
        assert f'<th scope="row">{name}</th>' in text
    for asked in ("compare", "compare?run=a", "compare?run=a&run=nobody", "compare?run=a&run=../secret"):
        status, text = get(f"{address}/{asked}")
        assert (status, "needs two or more runs" in text) == (400, True), asked
    Training(runs / "none")
    assert "cannot be compared: " in get(f"{address}/compare?run=a&run=none")[1]


def test_others_need_a_token_and_the_right_name(served, runs):
    Training(runs / "a").look()
    address = served(token="s3cret", hosts=("127.0.0.1",))
    assert get(f"{address}/")[0] == 401
    assert get(f"{address}/?token=wrong")[0] == 401
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    answer = opener.open(f"{address}/runs/a/?token=s3cret")
    assert answer.status == 200
    assert "token" not in answer.url
    assert opener.open(f"{address}/").status == 200
    assert get(f"{address}/?token=s3cret", Host="evil.example")[0] == 403


ODD_NAMES = (
    "a..b",
    "a!b.example",
    "a~b",
    "a$b",
    "a(b",
    "a,b",
    "a%2eb",
    "*.b.example",
    ".b",
    "a b",
    "",
    "[::1",
    "a@b",
    "a/b",
)
ODD_PORTS = ("", "0", "99999", "123456", "x", "-1", "+80", "8 0")


def status(address, *headers):
    """Return the status of a request with these lines for its header, as they stand."""
    _, port = address.rsplit(":", 1)
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as sent:
        lines = ["GET / HTTP/1.1", *headers, "Connection: close", "", ""]
        sent.sendall("\r\n".join(lines).encode("latin-1"))
        return int(sent.recv(64)[9:12])


@pytest.mark.parametrize("token", [None, "s3cret"])
def test_names_that_do_not_parse_are_refused_and_foreign_ones_too(served, token):
    address = served(token=token, hosts=("127.0.0.1", "localhost", "[::1]"))
    port = address.rsplit(":", 1)[1]
    for name in ODD_NAMES:
        for header in (f"Host: {name}", f"Host: {name}:{port}"):
            assert status(address, header) in (400, 403), header
    for odd in ODD_PORTS:
        assert status(address, f"Host: localhost:{odd}") == 400, odd
    for foreign in ("evil.example", "a_b.evil.example", "-evil.example", "localhost.", "localhost.evil.example"):
        assert status(address, f"Host: {foreign}:{port}") == 403, foreign
    for own in ("localhost", "LOCALHOST", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert status(address, f"Host: {own}") == (200 if token is None else 401), own
    assert status(address, "Host: localhost", "Host: evil.example") == 400


def test_where_others_may_call_a_name_must_still_parse(served):
    address = served(token="s3cret")
    assert status(address, "Host: a_box:8765") == 401
    assert status(address, "Host: a!box:8765") == 400


def test_a_visitor_with_a_token_stays_on_this_server(served):
    address = served(token="s3cret")
    _, port = address.rsplit(":", 1)
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as sent:
        sent.sendall(b"GET //evil.example/?token=s3cret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = sent.recv(4000).decode()
    assert answer.startswith("HTTP/1.1 303")
    assert "location: /evil.example/" in answer


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_an_address_for_others_is_refused_without_a_token(host, alone, runs, capsys, monkeypatch):
    ran = []
    monkeypatch.setattr(uvicorn, "run", lambda *_, **options: ran.append(options["host"]))
    assert is_loopback(host) is alone
    for options, served_ in (([], alone), (["--token", "x"], True)):
        ran.clear()
        with pytest.raises(SystemExit) as ended:
            main(["dashboard", str(runs), "--host", host, *options])
        assert (ended.value.code == 0) is served_
        assert bool(ran) is served_
        out, err = capsys.readouterr()
        assert ("Open: " in out) is served_
        assert ("needs a token" in err) is not served_


def test_a_folder_that_is_none_is_refused(runs):
    with pytest.raises(InputError, match="needs a folder"):
        application(runs / "nowhere")


def test_a_run_that_is_deleted_while_it_is_looked_at(served, runs):
    Training(runs / "a").look()
    address = served()
    assert get(f"{address}/runs/a/")[0] == 200
    shutil.rmtree(runs / "a")
    assert get(f"{address}/runs/a/")[0] == 404
    assert "contains no runs yet" in get(f"{address}/")[1]


def test_a_run_without_a_look_says_so_and_waits(served, runs):
    training = Training(runs / "a")
    status, text = get(f"{served()}/runs/a/")
    assert status == 200
    assert "No results yet" in text
    training.tracker.close()


def test_a_finished_run_shows_its_own_results(runs):
    training = Training(runs / "a").look(9)
    followed = Followed(runs / "a")
    first = followed.refresh()
    assert followed.refresh() == first
    training.tracker.close()
    assert followed.refresh() == first + 1
    assert store.read_result(runs / "a").verdict[0] in followed.page(bare=True).replace("&#39;", "'")


# -- in a browser ------------------------------------------------------------------------------------


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_a_training_is_followed_without_reload(chromium, served, runs, tmp_path, width, scheme):
    training = Training(runs / "a").look(3)
    page, trouble = watched(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(f"{served()}/runs/a/")
    until(page, "document.querySelectorAll('#falls tr').length > 0")
    page.evaluate("window.mine = 'kept'")
    assert page.locator("#checkpoint").get_attribute("max") == "2"
    page.locator("#sample").select_option(index=3)
    page.locator("#over-by").select_option("share")
    chosen = page.locator("#sample").evaluate("s => s.selectedOptions[0].textContent")
    training.look()
    until(page, "document.getElementById('checkpoint').max === '3'")  # how soon: benchmarks/bench_report.py
    assert page.evaluate("window.mine") == "kept"  # no reload
    assert page.locator("#sample").evaluate("s => s.selectedOptions[0].textContent") == chosen
    assert page.locator("#over-by").input_value() == "share"
    assert page.locator("#note").inner_text().startswith("Step 15, ")
    page.locator("#checkpoint").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#note").inner_text().startswith("Step 10, ")
    training.look()
    until(page, "document.getElementById('checkpoint').max === '4'")
    assert page.locator("#note").inner_text().startswith("Step 10, ")  # whoever looks back is left there
    assert page.evaluate("document.activeElement.id") == "checkpoint"
    page.locator("#play").click()
    training.look()
    until(page, "document.getElementById('checkpoint').max === '5'")
    assert page.locator("#play").inner_text() == "Pause"  # a film goes on
    until(page, "document.getElementById('checkpoint').value === '5'")
    until(page, "document.getElementById('play').textContent === 'Play'")
    page.locator("#checkpoint").press("Home")
    page.wait_for_timeout(800)  # longer than a picture of the film
    assert page.locator("#checkpoint").input_value() == "0"  # and has come to its end
    page.locator("#chart-mean-order").evaluate("e => e.scrollIntoView({ block: 'center' })")
    point = page.locator("#chart-mean-order .points path").first.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_selector("#chart-mean-order .hoverlayer text", timeout=5000)
    assert "step" in page.locator("#chart-mean-order .hoverlayer").text_content()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    pictured(page, tmp_path / f"live-{width}-{scheme}.png")
    assert trouble == []


@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_list_follows_runs_that_begin_and_keeps_ticks(chromium, served, runs, tmp_path, width, scheme):
    page, trouble = watched(chromium, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(served())
    assert "contains no runs yet" in page.locator("main").inner_text()
    Training(runs / "<script>alert(1)").look(2)
    page.wait_for_selector(".runs li", timeout=30000)
    assert "<script>alert(1)" in page.locator(".runs").inner_text()
    until(page, "document.querySelectorAll('.spark svg[role=img]').length === 2")
    page.locator(".runs input").first.press("Space")
    assert page.locator("#compare").is_disabled()
    Training(runs / ("b" * 200)).look(2)
    until(page, "document.querySelectorAll('.spark svg[role=img]').length === 4")
    assert page.locator(".runs input:checked").get_attribute("value") == "<script>alert(1)"
    assert "ago" in page.locator("time").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.locator("#filter").fill("bbb")
    until(page, "document.querySelectorAll('.runs li:not([hidden])').length === 1")
    page.locator("#filter").fill("")
    page.screenshot(path=tmp_path / f"list-{width}-{scheme}.png", full_page=True)
    page.locator(".runs input:not(:checked)").press("Space")
    page.locator("#compare").press("Enter")
    page.wait_for_selector("h1:has-text('Comparison of 2 runs')", timeout=30000)
    until(page, "document.querySelectorAll('.chart svg.main-svg').length > 0")
    page.locator("#bar .home").press("Enter")
    page.wait_for_selector(".runs a", timeout=30000)
    page.locator(".runs a", has_text="script").click()
    until(page, "document.querySelectorAll('#falls tr').length > 0")
    page.locator("#bar .home").click()
    page.wait_for_selector(".runs a", timeout=30000)
    assert trouble == []
