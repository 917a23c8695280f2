"""No file and no function outgrows its budget."""

import ast
import inspect
from pathlib import Path

import interdyn

SRC = Path(inspect.getfile(interdyn)).parent.parent
LONGEST_FILE, LONGEST_FUNCTION = 400, 50


def files():
    return sorted(SRC.glob("interdyn*/**/*.py"))


def body_lines(function):
    """Return the lines from the first to the last statement: signature, decorators and docstring do not count."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def long_functions():
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > LONGEST_FUNCTION:
                yield file.relative_to(SRC).as_posix(), node.name


def test_files_are_within_their_budget():
    lines = {file.relative_to(SRC).as_posix(): file.read_text(encoding="utf-8").count("\n") for file in files()}
    assert len(lines) > 100
    assert {file: count for file, count in lines.items() if count > LONGEST_FILE} == {}


def test_functions_are_within_their_budget():
    assert list(long_functions()) == []


def test_only_the_body_of_a_function_counts():
    text = 'def f(\n    x,\n    y,\n):\n    """First.\n\n    More.\n    """\n    x = y\n\n    return x\n'
    assert body_lines(ast.parse(text).body[0]) == 3
    assert body_lines(ast.parse('def f():\n    """Nothing else."""\n').body[0]) == 0
