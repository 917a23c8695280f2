"""Plotly's JavaScript as a page needs it: the package's own file, of which a browser sets up only what is used.

A page opens in about half the time (2.5 s instead of 4.4 s on a busy machine with two cores); its size stays.
`./run bench report` prints both times.
"""

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
    """Return plotly's JavaScript with only the `TRACES` set up."""
    return lean(get_plotlyjs())


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
