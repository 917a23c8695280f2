"""The complete path: from a network and inputs to interactions, and from interactions over steps to a verdict."""

from interdyn.measurement._again import prediction_again
from interdyn.measurement._composition import (
    batch_rows as batch_rows,
    checked_device as checked_device,
    measure,
    recorded as recorded,
)
from interdyn.measurement._config import (
    Group,
    MeasurementConfig,
    checked_groups as checked_groups,
    configured as configured,
)
from interdyn.measurement._degree import cross_spectrum, mean_degree
from interdyn.measurement._exhibits import check_names as check_names, exhibit_of as exhibit_of
from interdyn.measurement._generalisation import agreement, generalisation
from interdyn.measurement._history import LOSSES as LOSSES, History
from interdyn.measurement._reading import Reading, reading
from interdyn.measurement._result import analyse
from interdyn.measurement._samples import sample_table
from interdyn.measurement._stored import interactions as interactions, measurements as measurements

__all__ = [
    "Group",
    "History",
    "MeasurementConfig",
    "Reading",
    "agreement",
    "analyse",
    "cross_spectrum",
    "generalisation",
    "mean_degree",
    "measure",
    "prediction_again",
    "reading",
    "sample_table",
]
