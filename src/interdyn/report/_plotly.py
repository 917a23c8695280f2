"""Plotly's JavaScript as a page needs it: the library's own file, of which a browser runs only what is used."""

import re

from interdyn.errors import missing_extra

try:
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise missing_extra("plotly", "report", "writing the report") from error

TRACES = ("bar", "heatmap")
"""The kinds of traces in our charts besides ``scatter``, which is always there."""

_KINDS = re.compile(r"([\w$]+)\.register\(\[((?:[\w$]+\(\),){10,}[\w$]+\(\))\]\)")


def plotly_script() -> str:
    """Return plotly's JavaScript, `unwrapped` and with only the `TRACES` set up: a page opens in half the time."""
    return lean(unwrapped(get_plotlyjs()))


def unwrapped(script: str) -> str:
    """Return the script without the function around it, in which a browser would parse all of it twice.

    What is not wrapped in the known way is returned as it is.

    Examples
    --------
    >>> unwrapped('(function(root, factory) {...}(self, () => {"use strict";var Plotly=1;return Plotly;}));')
    '"use strict";var Plotly=1;'
    >>> unwrapped("something else")
    'something else'
    """
    begin, end = script.find('"use strict";var Plotly='), script.rfind("return Plotly;")
    if begin < 0 or end < begin:
        return script
    licence, closed, _ = script[:begin].partition("*/\n")
    return (licence + closed if closed else "") + script[begin:end]


def lean(script: str) -> str:
    """Return the script with its kinds of traces set up one by one until all `TRACES` are there, instead of all fifty.

    Whatever their order, what is needed is set up; where the list is not found, the script is returned as it is.

    Examples
    --------
    >>> makers = ",".join(f"make{i}()" for i in range(12))
    >>> lean(f"R.register([{makers}])")[:88]
    '{const needed=new Set(["bar","heatmap"]);[make0,make1,make2,make3,make4,make5,make6,make'
    >>> lean("R.register([one()])")
    'R.register([one()])'
    """

    def one_by_one(found: re.Match[str]) -> str:
        registry, makers = found[1], found[2].replace("()", "")
        needed = ",".join(f'"{name}"' for name in TRACES)
        return (
            f"{{const needed=new Set([{needed}]);[{makers}].every((make)=>{{const kind=make();"
            f"{registry}.register([kind]);needed.delete(kind.name);return needed.size>0}})}}"
        )

    return _KINDS.sub(one_by_one, script, count=1)
