"""How the reference reads docstrings: parameters that share a description, as ``data, ax``, keep a type each."""

import re

import griffe

TOGETHER = re.compile(r"^(\w+(?:, \w+)+)\n((?:    .*(?:\n|$)|\n(?=    ))+)", re.MULTILINE)


def apart(text):
    """Return a docstring in which each parameter and attribute of a group has the description to itself."""
    return TOGETHER.sub(lambda m: "".join(f"{name}\n{m[2].rstrip()}\n" for name in m[1].split(", ")), text)


class Apart(griffe.Extension):
    """Gives each parameter of a group the type that it has in the signature, in place of that of the first."""

    def on_object(self, *, obj, **_):
        """Rewrite the docstring of one object, once."""
        if obj.docstring:
            obj.docstring.value = apart(obj.docstring.value)
