"""From a trajectory to its two phases: the mean order falls, then rises, and the loss gap starts to grow."""

from interdyn.dynamics._curve import MIN_STEPS
from interdyn.dynamics._online import OnlineVerdict, Stage, latest_verdict, online_verdict, online_verdicts
from interdyn.dynamics._onset import GapOnset, find_gap_onset
from interdyn.dynamics._phases import Phases, find_phases
from interdyn.dynamics._spindle import InitialOrders, initial_orders, spindle_law
from interdyn.dynamics._turn import PhaseEvidence, PhaseStatus

__all__ = [
    "MIN_STEPS",
    "GapOnset",
    "InitialOrders",
    "OnlineVerdict",
    "PhaseEvidence",
    "PhaseStatus",
    "Phases",
    "Stage",
    "find_gap_onset",
    "find_phases",
    "initial_orders",
    "latest_verdict",
    "online_verdict",
    "online_verdicts",
    "spindle_law",
]
