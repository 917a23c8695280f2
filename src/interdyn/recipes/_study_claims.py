"""What the runs of a study show about a claim: by the value, and by the complete interval."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from interdyn.recipes._over_seeds import Estimate
from interdyn.recipes._study import ClaimSection

Outcome = Literal["holds", "open (value inside)", "open (value outside)", "refuted", "no number"]

CLAIM_LEGEND = (
    "A claim holds if its complete 95 % interval is within what is needed, and is refuted if the complete interval is "
    "outside. Otherwise it is open: nothing is established, whether the value itself is inside or outside. Without "
    "an interval a claim is open, without a number it cannot be tested."
)


@dataclass(frozen=True)
class ClaimResult:
    """A claim and what the runs show about it.

    Attributes
    ----------
    text, needed
        The claim, and what it needs.
    got
        Its value, with interval.
    holds
        Whether the value is within what is needed, by which `interdyn verify` exits.
    outcome
        What is established, by the complete interval.
    """

    text: str
    needed: str
    got: Estimate
    holds: bool
    outcome: Outcome


def judged(claim: ClaimSection, got: Estimate) -> ClaimResult:
    """Return the result of a claim from its value and interval."""
    limits = {"at least": claim.min, "at most": claim.max}
    needed = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)
    what = claim.quantity if claim.against is None else f"difference of {claim.quantity}"
    what = what if claim.statistic == "mean" else f"standard deviation of {what}"
    least, most = (-math.inf if claim.min is None else claim.min), (math.inf if claim.max is None else claim.max)
    inside = got.value is not None and least <= got.value <= most
    return ClaimResult(claim.text, f"{what} {needed}", got, inside, _outcome(got, inside, least, most))


def _outcome(got: Estimate, inside: bool, least: float, most: float) -> Outcome:
    if got.value is None:
        return "no number"
    if got.low is not None and got.high is not None:
        if least <= got.low and got.high <= most:
            return "holds"
        if got.high < least or got.low > most:
            return "refuted"
    return "open (value inside)" if inside else "open (value outside)"


def tally(claims: Sequence[ClaimResult]) -> str:
    """Return how many claims have each outcome.

    Examples
    --------
    >>> tally([ClaimResult("a", "b at least 0", Estimate(None, None, None, 0), False, "no number")])
    '1 has no number'
    """
    found = Counter(claim.outcome for claim in claims)
    return ", ".join(_counted(found[outcome], outcome) for outcome in get_args(Outcome) if found[outcome])


def _counted(count: int, outcome: Outcome) -> str:
    if outcome == "holds":
        return f"{count} {'holds' if count == 1 else 'hold'}"
    if outcome == "no number":
        return f"{count} {'has' if count == 1 else 'have'} no number"
    return f"{count} {'is' if count == 1 else 'are'} {outcome}"
