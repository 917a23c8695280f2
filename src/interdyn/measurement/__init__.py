"""The one composition: from a network and inputs to interactions, and from interactions over steps to a verdict."""

from interdyn.measurement._analysis import analyse
from interdyn.measurement._exhibits import steps_of, with_pictures, with_points, words_of
from interdyn.measurement._generalisation import agreement, generalisation
from interdyn.measurement._growing import Growing
from interdyn.measurement._looks import trajectory, verdicts
from interdyn.measurement._measure import measure
from interdyn.measurement._reading import Reading, reading, stored_reading
from interdyn.measurement._runs import analyse_run
from interdyn.measurement._samples import SampleRow, SampleTable, sample_table, samples
from interdyn.measurement._stored import as_record, interactions, read_looks

__all__ = [
    "Growing",
    "Reading",
    "SampleRow",
    "SampleTable",
    "agreement",
    "analyse",
    "analyse_run",
    "as_record",
    "generalisation",
    "interactions",
    "measure",
    "read_looks",
    "reading",
    "sample_table",
    "samples",
    "steps_of",
    "stored_reading",
    "trajectory",
    "verdicts",
    "with_pictures",
    "with_points",
    "words_of",
]
