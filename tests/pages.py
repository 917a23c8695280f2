"""Pages in headless Chromium: what they complain about, and what a script in them saw."""

import json
import shutil
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needs_browser(test):
    """Mark a test of a page as a person sees it: ``./run pages``; without Chromium it skips."""
    skips = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")
    return pytest.mark.page(skips(test))


HEAD = """<script>
window.trouble = [];
window.until = async (done) => { while (!done()) await new Promise((next) => setTimeout(next, 50)); };
window.drawn = () => [...document.querySelectorAll(".chart")].every((chart) => chart.querySelector("svg.main-svg"));
addEventListener("error", (e) => trouble.push(String(e.message)));
addEventListener("unhandledrejection", (e) => trouble.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => trouble.push("asked for " + e.blockedURI));
</script>"""


def browser(chromium, page, width):
    """Open a page in a window as high as the page and return what its script left in ``<pre id="seen">``."""
    opened = chromium.new_page(viewport={"width": width, "height": 16_000})
    opened.goto(page.as_uri())
    opened.wait_for_selector("#seen", state="attached", timeout=60_000)
    seen = json.loads(opened.locator("#seen").text_content())
    opened.close()
    return seen


def watched(opened, **options):
    """Return a page and the list of everything it complains about or asks others for."""
    page = opened.new_page(**options)
    trouble = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    own = ("http://127.0.0.1", "file:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else trouble.append(request.url))
    return page, trouble


def until(page, expression, *, seconds=30.0):
    """Wait until an expression is true; the page's own policy forbids the driver's way."""
    end = time.perf_counter() + seconds
    while not page.evaluate(expression):
        assert time.perf_counter() < end, expression
        page.wait_for_timeout(50)


def pictured(page, path):
    """Keep a picture of a page from its top to its end, with every chart drawn, as none is until it is in view."""
    size = page.viewport_size
    page.set_viewport_size({**size, "height": 4_000 + page.evaluate("document.documentElement.scrollHeight")})
    until(page, "[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg.main-svg'))")
    page.screenshot(path=path, full_page=True)
    page.set_viewport_size(size)
