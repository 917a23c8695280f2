"""Whether matplotlib is there; the room imports this file before all others, which import matplotlib as it is."""

from importlib.util import find_spec

from interdyn.errors import missing_extra

if find_spec("matplotlib") is None:
    raise missing_extra("matplotlib", "plot", "drawing figures")
