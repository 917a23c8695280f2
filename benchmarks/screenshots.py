"""Take pictures of the report, of the live page and of the dashboard, of a run of the demo, for the documentation.

Run: ./run pictures
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from _pages import CHROMIUM, served, wait_until
from interdyn import store
from interdyn.report import write_report

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


def take(page: Page, address: str, name: str, *, top: str | None = None) -> None:
    """Open a page and write what a window shows of it, from the element ``top`` on."""
    page.goto(address)
    wait_until(page)
    if top is not None:
        page.locator(top).evaluate("e => e.scrollIntoView()")
        wait_until(page)
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    print(PICTURES / f"{name}.png")


def main() -> None:
    """Write the report, serve the run as one that still grows, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run of digits-cnn")
    options = parser.parse_args()
    if CHROMIUM is None:
        print("No browser is installed, so the pages are not pictured. On Debian: apt-get install chromium")
        return
    report = write_report(options.run).resolve()
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "runs"
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        light = browser.new_page(viewport={"width": 1240, "height": 900})
        take(light, report.as_uri(), "report")
        take(light, report.as_uri(), "report_uses", top="#uses")
        take(light, report.as_uri(), "report_adds_up", top="#adds-up")
        take(light, report.as_uri(), "report_samples", top="#samples")
        growing, stopped = (folder / name for name in ("digits-cnn", "digits-cnn-yesterday"))
        for copy in (growing, stopped):
            shutil.copytree(options.run, copy)
            for name in ("summary.json", "analysis.json"):
                (copy / name).unlink()
        shutil.copytree(options.run, folder / "demo")
        dark = browser.new_page(viewport={"width": 1240, "height": 900}, color_scheme="dark")
        with store.writing(growing), served(folder) as address:
            take(dark, f"{address}/runs/digits-cnn/", "live")
            light.set_viewport_size({"width": 1240, "height": 520})
            light.goto(address)
            wait_until(light, "document.querySelectorAll('.spark').length === 6")
            light.screenshot(path=PICTURES / "dashboard.png")
            print(PICTURES / "dashboard.png")
        browser.close()


if __name__ == "__main__":
    main()
