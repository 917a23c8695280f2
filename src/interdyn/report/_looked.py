"""The samples to check, and, where wrong labels are known, how many of them are found."""

from collections.abc import Mapping
from typing import Any

from interdyn._numbers import percent
from interdyn.plot._samples import trained
from interdyn.plot.panels import group_name
from interdyn.values import SampleTable

MISLABELLED = "mislabelled"  # recipes' group of training samples whose label is known to be wrong


def looked(samples: SampleTable | None, used: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the training samples that the page shows by rank, and how many wrong labels are found.

    Parameters
    ----------
    samples
        The table of a run.
    used
        What `interdyn.report._uses.Uses.record` returns.

    Returns
    -------
    ``ranked``: group and place of each sample on the page, with its score, whether it is flagged, and why, the most
    suspicious first; ``known``: `known`.

    Examples
    --------
    >>> looked(None, None)
    {'ranked': [], 'known': ''}
    """
    if samples is None or used is None:
        return {"ranked": [], "known": "" if samples is None else known(samples)}
    at = {
        (group["name"], number): (i, j)
        for i, group in enumerate(used["groups"])
        for j, number in enumerate(group["ids"])
    }
    ranked = [
        [*place, row.score, row.flagged, row.sentence]
        for row in samples
        if trained(row.group)
        and row.rank is not None
        and row.score == row.score
        and (place := at.get((group_name(row.group), row.sample_id)))
    ]
    return {"ranked": ranked, "known": known(samples)}


def known(samples: SampleTable) -> str:
    """Return a sentence on how many of the known wrong labels are found; empty where none are known.

    Recall is the share of wrong labels that are flagged, precision the share of flags that are wrong labels. Where
    nothing is flagged, the highest scores count, one for each wrong label: recall and precision are then equal.
    """
    scored = [row for row in samples if row.rank is not None and row.score == row.score]
    wrong = {row.sample_id for row in scored if row.group == MISLABELLED}
    others = {row.sample_id for row in scored if trained(row.group)} - wrong
    if not wrong:
        return ""
    if not others:
        return (
            f"All measured training samples ({len(wrong)}) are known to have a wrong label. Recall and precision need "
            "samples with right labels too."
        )
    every = {row.sample_id: row for row in scored if row.sample_id in wrong | others}
    flagged = {number for number, row in every.items() if row.flagged}
    of = f"{len(wrong)} of {len(every)} measured training samples are known to have a wrong label."
    if flagged:
        hits = len(flagged & wrong)
        recall, precision = percent(hits / len(wrong)), percent(hits / len(flagged))
        return f"{of} {len(flagged)} are flagged, {hits} of them correctly: recall {recall}, precision {precision}."
    first = sorted(every, key=lambda number: (-every[number].score, number))[: len(wrong)]
    hits = len(wrong.intersection(first))
    share = percent(hits / len(wrong))
    return f"{of} {hits} of them are among the {len(wrong)} highest scores: recall and precision {share}."
