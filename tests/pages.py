"""Pages in headless Chromium: what they complain about, and what a script in them saw."""

import json
import os
import re
import shutil
import subprocess
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
