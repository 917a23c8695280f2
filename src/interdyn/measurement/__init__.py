"""The one composition: from a network and inputs to interactions, and from interactions over steps to a verdict."""

from interdyn.measurement._analysis import analyse
from interdyn.measurement._measure import measure
from interdyn.measurement._stored import analyse_run, as_record, interactions

__all__ = ["analyse", "analyse_run", "as_record", "interactions", "measure"]
