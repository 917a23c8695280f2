"""From a trajectory to its two phases: the mean order falls, then rises, and the loss gap starts to grow."""

from interdyn.dynamics._axis import MIN_STEPS
from interdyn.dynamics._evidence import PhaseEvidence, Place
from interdyn.dynamics._gap import GapOnset, find_gap_onset
from interdyn.dynamics._online import OnlineVerdict, Stage, latest_verdict, online_verdict, online_verdicts
from interdyn.dynamics._phases import Phases, PhaseStatus, find_phases
from interdyn.dynamics._spindle import InitialOrders, initial_orders, spindle_law

__all__ = [
    "MIN_STEPS",
    "GapOnset",
    "InitialOrders",
    "OnlineVerdict",
    "PhaseEvidence",
    "PhaseStatus",
    "Phases",
    "Place",
    "Stage",
    "find_gap_onset",
    "find_phases",
    "initial_orders",
    "latest_verdict",
    "online_verdict",
    "online_verdicts",
    "spindle_law",
]
