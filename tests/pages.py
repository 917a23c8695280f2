"""Pages in headless Chromium: what they complain about, and what a script in them saw."""

import json
import os
import re
import shutil
import subprocess
import time
from html import unescape

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")

HEAD = """<script>
window.trouble = [];
addEventListener("error", (e) => trouble.push(String(e.message)));
addEventListener("unhandledrejection", (e) => trouble.push(String(e.reason)));
addEventListener("securitypolicyviolation", (e) => trouble.push("asked for " + e.blockedURI));
</script>"""


def browser(page, tmp_path, width):
    """Open a page in headless Chromium and return what its script left in ``<pre id="seen">``."""
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    flags += f"--disable-sync --no-first-run --virtual-time-budget=12000 --window-size={width},1000 --dump-dom"
    command = [str(CHROMIUM), *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    match = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    return json.loads(unescape(match.group(1)))


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
