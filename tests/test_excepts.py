"""Where every error is caught, whatever it is: a list, with the reason of each."""

import ast
import inspect
from pathlib import Path

import interdyn

SRC = Path(inspect.getfile(interdyn)).parent.parent
BROAD = {"Exception", "BaseException"}
ALLOWED = {
    "interdyn/tracking/_record.py:guarded": "the place that isolates a tracker's measurement: code of the user's runs "
    "there, and its failing must not end the training",
    "interdyn/game/_user_code.py:attempted": "the place where code of the user's runs in a way that it need not allow "
    "(a copy, a layout, a batch): its failing must not end the measurement, which has another way",
    "interdyn/recipes/_registry.py:_of_providers": "importing the package of a stranger runs its code: its failing "
    "must not keep the recipes of others away; warned of by name",
}


def names(tree):
    """Return the names in an expression."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def broad(tree, function=""):
    """Return the innermost function of each place that catches every error."""
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        caught = isinstance(node, ast.ExceptHandler)
        suppressed = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress"
        if (
            (caught and node.type is None)
            or (caught and names(node.type) & BROAD)
            or (suppressed and names(node) & BROAD)
        ):
            yield inner
        yield from broad(node, inner)


def test_every_error_is_caught_only_where_it_is_listed():
    found = {
        f"{path.relative_to(SRC).as_posix()}:{function}"
        for path in (*SRC.glob("interdyn/**/*.py"), *SRC.glob("interdyn_zoo/**/*.py"))
        for function in broad(ast.parse(path.read_text()))
    }
    assert found == set(ALLOWED)
