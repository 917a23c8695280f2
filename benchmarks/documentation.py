"""Build the documentation site into ``build/site``: strictly, offline, with every link and anchor checked.

``./run docs`` does it, ``./run docs open`` shows it, too. The pages are those of ``docs/``, with ``CHANGELOG.md``,
``ARCHITECTURE.md``, ``CONTRIBUTING.md`` and ``examples/`` beside them, and a page of reference for each public module,
made of the docstrings of all promised names. Zensical (``zensical.toml``) renders them; formulas become MathML.
"""

import re
import subprocess
import sys
import webbrowser
from pathlib import Path

from latex2mathml.converter import convert

from _documentation_check import problems
from _documentation_pages import stage

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
SHORT = re.compile(r"<code>(?=[^<\s]{1,32}</code>)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def mathml(page):
    """Return a page whose formulas any browser draws, without a script, and whose short names are not broken."""
    escapes = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&#39;": "'", "&quot;": '"'}

    def drawn(found):
        latex = re.sub("|".join(escapes), lambda m: escapes[m[0]], found[3])
        return convert(latex.strip(), display="block" if found[2] == "[" else "inline")

    return SHORT.sub('<code class="short">', FORMULA.sub(drawn, page))


def build(folder=BUILD):
    """Write the site into ``folder / "site"`` and return what is wrong with it, a line for each."""
    stage(folder / "docs")
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for path in ("src", "benchmarks/_documentation_docstrings.py"):
        settings = settings.replace(f'["{path}"]', f'["{(ROOT / path).as_posix()}"]')
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")
    if subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=folder, check=False
    ).returncode:
        return ["Zensical has warnings or errors, see above"]
    site = folder / "site"
    for page in site.rglob("*.html"):
        page.write_text(mathml(page.read_text(encoding="utf-8")), encoding="utf-8")
    return problems(site)


if __name__ == "__main__":
    found = build()
    print(*found, sep="\n")
    if found:
        sys.exit(1)
    index = BUILD / "site" / "index.html"
    print(f"{index}: open it as it is; search works from the disk as from a server")
    if "open" in sys.argv[1:]:
        webbrowser.open(index.as_uri())
