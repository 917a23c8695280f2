"""One word for one thing: words that were retired are in no sentence that a user can read."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# To add a place, add a line: a folder or a file, read by its ending (.py: docstrings and strings; .js:
# strings; .j2: text and labels; .md: text).
PLACES = [
    "examples",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "docs/choosing",
    "docs/comparison.md",
    "docs/errors.md",
    "docs/explanation",
    "docs/faq.md",
    "docs/gallery.md",
    "docs/glossary.md",
    "docs/howto",
    "docs/index.md",
    "docs/reading",
    "docs/reference",
    "docs/results",
    "docs/start",
    "src/interdyn/__init__.py",
    "src/interdyn/_arguments.py",
    "src/interdyn/_typing.py",
    "src/interdyn/cli",
    "src/interdyn/compiled",
    "src/interdyn/dynamics",
    "src/interdyn/errors.py",
    "src/interdyn/exports",
    "src/interdyn/game",
    "src/interdyn/measurement",
    "src/interdyn/monitors.py",
    "src/interdyn/players.py",
    "src/interdyn/plot",
    "src/interdyn/recipes",
    "src/interdyn/report",
    "src/interdyn/schedules.py",
    "src/interdyn/sparsify",
    "src/interdyn/spectra",
    "src/interdyn/store",
    "src/interdyn/theory",
    "src/interdyn/tracking",
    "src/interdyn/transforms",
    "src/interdyn/values",
    "src/interdyn_zoo",
]
ENDINGS = {".py", ".md", ".j2", ".js"}

# what must not be written, and what is written instead
RETIRED = {
    r"looks?|looked|looking|glances?": "measurement, measured; check; seem",
    r"told|tells?|said": "reported, states",
    r"laboratory": "the authors' code",
    r"(?<!there )(is|are|be) (?-i:none)\b(?! of)": "is not one, is not a ...",
    r"lacks|lacking": "is missing, has no",
    r"anew": "again, recomputed",
    r"whole (files?|checkpoints?|numbers?|JSON|TOML)|(is|are|was) whole": "complete, intact; integer",
    r"near-by": "nearby",
    r"so (many|much)": "the number itself",
    r"dear(er|est)?": "expensive, slow",
    r"strangers?": "untrusted, unknown",
    r"(hold|holds|held) [^.;]{0,30}\bagainst": "compare with",
    r"stands? beside": "is shown next to",
    r"(go|goes|went|going) on": "continues, resumes",
    r"makes? a run": "runs, trains",
    r"in words": "with a clear message, as a sentence",
    r"(?<!of )courses?": "curve, trajectory",
    r"(an?|the) exhibit": "sample view",
    r"(is|was|were|be) begun": "started",
    r"(comes|came) to": "is",
    r"pictures?": "images",
    r"graphics cards?": "GPU",
    r"hand(s|ed)? (it |them )?out": "submit",
    r"beside": "next to, with, compared with",
    r"(its|the) least\b(?! \w)|least values?": "minimum, lowest",
    r"cannot be (said|told|seen)": "is not known, cannot be judged",
    r"nothing (to show|speaks)": "no results, no reason",
    r"rang|rings": "appeared",
    r"(second|third) witness": "measure",
    r"intricate": "complex",
    r"half-way": "halfway",
    r"tick(ed)? (the |two |some )?(runs?|or)|ticked": "selected",
    r"of one's own": "your own",
    r"h[eo]ld the truth": "contained the true value",
}
ALLOWED = {  # a word in this company is right
    r"looks? (memorised|mislabelled|or)": "what a sample seems to be, which the table of samples says of it",
    r"looks? (like|up)|looked up": "another sense",
}
_WORDS = re.compile(r"\b(?:" + "|".join(RETIRED) + r")\b", re.IGNORECASE)
_ALLOWED = re.compile("|".join(ALLOWED), re.IGNORECASE)
# code, scripts, addresses of links, and what a command writes between two marks: it is judged where it is written
_NOT_TEXT = re.compile(
    r"```.*?```|<(script|style).*?</\1>|(?<=\])\([^)]*\)|<!-- (\w+): begin -->.*?<!-- \2: end -->", re.DOTALL
)
_NOT_PROSE = re.compile(r"``.*?``|`[^`]*`|^\s*(?:>>>|\.\.\.).*$|^\s*[\w, ]+\s*$\n(?=\s{4,}\S)", re.MULTILINE)


def prose_of(text: str) -> str:
    """Return a text without what names code: backticks, doctests, the lines of numpydoc that name parameters."""
    return _NOT_PROSE.sub(lambda found: "\n" * found.group().count("\n"), text)


def shown_by(template: str) -> str:
    """Return the text that a template shows: without tags, except their labels, and without names in expressions.

    Examples
    --------
    >>> shown_by('<p id="said" title="a look">{{ told }}{{ "anew" if told }} <b>text</b>{% if told %}').split()
    ['a', 'look', 'anew', 'text']
    """

    def strings(found: re.Match[str]) -> str:
        return " ".join(re.findall(r'"([^"]*)"', found.group()))

    def labels(found: re.Match[str]) -> str:
        return " ".join(["", *re.findall(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"', found.group()), ""])

    text = re.sub(r"{{.*?}}|{%.*?%}", strings, template, flags=re.DOTALL)
    return re.sub(r"<[a-z/!][^>]*>", labels, text)


def strings_of(script: str) -> list[tuple[int, str]]:
    """Return the strings of a script, by line, except single words and the names in templates.

    Examples
    --------
    >>> strings_of('f("a look", `x ${told} y`, "told"); // anew')
    [(1, 'a look'), (1, 'x  y')]
    """
    found = re.finditer(r'"([^"\n]*)"|`((?:[^`$]|\$(?!{)|\${(?:[^{}`]|`[^`]*`)*})*)`|//.*', script)
    texts = ((script.count("\n", 0, one.start()) + 1, one[1] or re.sub(r"\${.*?}", "", one[2] or "")) for one in found)
    return [(line, text) for line, text in texts if " " in text.strip()]


def sentences(file: Path) -> list[tuple[int, str]]:
    """Return the texts of a file by line; of Python its docstrings and strings, except single words: they are keys."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".js":
        return strings_of(text)
    if file.suffix == ".j2":
        return [(1, shown_by(text))]
    if file.suffix != ".py":
        return [(1, _NOT_TEXT.sub("", text))]
    found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [(n.lineno, n.value) for n in found if " " in n.value.strip()]


def retired_in(text: str) -> list[str]:
    """Return the retired words in a text.

    Examples
    --------
    >>> retired_in("It goes on at each look; `told` is a name, and 2 samples look mislabelled.")
    ['goes on', 'look']
    """
    text = _ALLOWED.sub("", prose_of(text))
    return [found.group() for found in _WORDS.finditer(text)]


@pytest.mark.parametrize("place", PLACES)
def test_retired_words_are_gone(place):
    top = ROOT / place
    files = [top] if top.is_file() else sorted(f for f in top.rglob("*") if f.suffix in ENDINGS)
    assert files
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {word!r} in {' '.join(text.split())[:90]!r}"
        for file in files
        for line, text in sentences(file)
        for word in retired_in(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_of_a_page_its_text_is_judged_not_code_addresses_or_what_a_command_writes(tmp_path):
    page = tmp_path / "page.md"
    code, link = "```python\nlook = anew()\n```\n", "[images](howto/pictures.md)\n"
    page.write_text(f"{code}{link}<!-- table: begin -->\nIt tells\n<!-- table: end -->\nA near-by step.\n")
    assert [retired_in(text) for _, text in sentences(page)] == [["near-by"]]


def test_the_glossary_has_at_most_thirty_words_in_order():
    rows = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    words = [word.lower() for word in rows[1:]]
    assert 20 < len(words) <= 30
    assert words == sorted(set(words))


@pytest.mark.parametrize(
    "sentence",
    [
        "the mean order at the last look",
        "the file tells its step",
        "a vector of the table is none",
        "2 files are damaged, lacking or left over",
        "the run goes on",
        "held it against the theory",
        "a loss up to 5 % above its least",
        "which is best cannot be said",
    ],
)
def test_a_retired_word_is_found(sentence):
    assert retired_in(sentence)
