"""The complete path: from a network and inputs to interactions, and from interactions over steps to a verdict."""

from interdyn.measurement._again import prediction_again
from interdyn.measurement._composition import batch_rows, checked_device, measure, recorded
from interdyn.measurement._config import Group, MeasurementConfig, checked_groups, configured
from interdyn.measurement._degree import cross_spectrum, mean_degree
from interdyn.measurement._exhibits import check_names, exhibit_of
from interdyn.measurement._generalisation import agreement, generalisation
from interdyn.measurement._history import History
from interdyn.measurement._reading import Reading, reading
from interdyn.measurement._result import analyse
from interdyn.measurement._samples import sample_table
from interdyn.measurement._stored import interactions, measurements

__all__ = [
    "Group",
    "History",
    "MeasurementConfig",
    "Reading",
    "agreement",
    "analyse",
    "batch_rows",
    "check_names",
    "checked_device",
    "checked_groups",
    "configured",
    "cross_spectrum",
    "exhibit_of",
    "generalisation",
    "interactions",
    "mean_degree",
    "measure",
    "measurements",
    "prediction_again",
    "reading",
    "recorded",
    "sample_table",
]
