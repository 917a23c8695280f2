"""The one composition: from a network and inputs to interactions, and from interactions over steps to a verdict."""

from interdyn.measurement._composition import MeasurementConfig, recorded
from interdyn.measurement._exhibits import steps_of, with_pictures, with_points, words_of
from interdyn.measurement._generalisation import agreement, generalisation
from interdyn.measurement._history import History
from interdyn.measurement._measure import measure
from interdyn.measurement._reading import Reading, reading
from interdyn.measurement._result import analyse
from interdyn.measurement._samples import sample_table
from interdyn.measurement._stored import interactions, measurements

__all__ = [
    "History",
    "MeasurementConfig",
    "Reading",
    "agreement",
    "analyse",
    "generalisation",
    "interactions",
    "measure",
    "measurements",
    "reading",
    "recorded",
    "sample_table",
    "steps_of",
    "with_pictures",
    "with_points",
    "words_of",
]
