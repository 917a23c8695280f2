"""The two phases of a trajectory (the mean order falls, then rises), the growth of the loss gap, and harm."""

from interdyn.dynamics._axis import MIN_STEPS as MIN_STEPS
from interdyn.dynamics._evidence import PhaseEvidence, Place
from interdyn.dynamics._gap import find_gap_onset
from interdyn.dynamics._harm import find_harm, least_loss as least_loss
from interdyn.dynamics._online import Stage, Verdict, online_verdict, online_verdicts, whole_verdict
from interdyn.dynamics._onset import Onset, when as when
from interdyn.dynamics._pattern import HIGH_ORDER as HIGH_ORDER, find_pattern, pattern_signal as pattern_signal
from interdyn.dynamics._phases import Phases, PhaseStatus, find_phases
from interdyn.dynamics._recommendation import Recommendation, recommend
from interdyn.dynamics._spindle import InitialOrders, initial_orders, spindle_law

__all__ = [
    "InitialOrders",
    "Onset",
    "PhaseEvidence",
    "PhaseStatus",
    "Phases",
    "Place",
    "Recommendation",
    "Stage",
    "Verdict",
    "find_gap_onset",
    "find_harm",
    "find_pattern",
    "find_phases",
    "initial_orders",
    "online_verdict",
    "online_verdicts",
    "recommend",
    "spindle_law",
    "whole_verdict",
]
