"""Where every error is caught, whatever it is: a list, with the reason of each."""

import ast
import inspect
from pathlib import Path

import interdyn

SRC = Path(inspect.getfile(interdyn)).parent.parent
BROAD = {"Exception", "BaseException"}
ALLOWED = {
    "interdyn/tracking/_record.py:guarded": "the place that isolates a tracker's measurement from the training",
    "interdyn/tracking/_following.py:_asked": "a schedule of the user's; asked again inside `guarded`, which tells",
    "interdyn/game/_isolation.py:isolated": "undoing what is undone again below",
    "interdyn/game/_private.py:_inside": "whatever a layer of others says to being copied",
    "interdyn/game/_private.py:private_copy": "the same",
    "interdyn/game/_private.py:_copied_object": "the same, of one object that a network holds",
    "interdyn/game/_tryout.py:try_out": "an error of the user's model, which becomes the cause of a `ModelError`",
    "interdyn/game/_tryout.py:_first": "the same",
    "interdyn/game/_tryout.py:_same_in_another_batch": "the same",
    "interdyn/game/_tryout.py:_lay_out": "another layout of the weights, which the user's model does not take",
    "interdyn/store/_lock.py:take": "what was taken is let go, and the error goes on",
    "interdyn/game/_layer.py:_tried_out": "a cheaper way to run the user's model that it does not allow",
    "interdyn/recipes/_registry.py:library": "an installed package of others that cannot be found; warned of by name",
    "interdyn/recipes/_registry.py:_import_providers": "the same, where it cannot be imported",
    "interdyn/compiled/_numba.py:available": "a Numba that does not fit; warned of",
    "interdyn/compiled/_workers.py:guarded": "an error in a thread, raised again in the thread that waits",
    "interdyn/compiled/_workers.py:in_workers": "the threads are stopped, and the error goes on",
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
