"""Pages in a browser: the live page served for a while, and waiting for what a page shows."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Page

from interdyn.report import application

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOWN = """(() => {
  const charts = [...document.querySelectorAll(".chart")];
  const seen = ({ top, bottom }) => top < innerHeight && bottom > 0;
  const due = charts.filter((chart) => seen(chart.getBoundingClientRect()));
  const drawn = due.every((chart) => chart.querySelector(".main-svg"));
  return drawn && document.querySelectorAll("#falls tr").length > 0;
})()"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder of runs, and yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(application(folder), port=port, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def wait_until(page: Page, expression: str = SHOWN) -> None:
    """Wait until an expression is true on a page; by default, until the charts in its window and a sample are drawn."""
    while not page.evaluate(expression):
        page.wait_for_timeout(20)
