"""The step of each saved network: stated in the file, otherwise the one number in the names that counts up."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from interdyn.tracking._pickled import fields_of
from interdyn.tracking._weight_files import Stored

_KEYS = (
    "global_step", "global_steps", "step", "steps", "iteration", "iterations", "iter_num", "iter", "num_updates",
    "epoch",
)  # fmt: skip
_AROUND = ("state", "meta", "trainer", "trainer_state", "train_state", "training_state", "progress", "extra_state")
_UNITS = {
    word: unit
    for unit, words in enumerate(
        (
            ("step", "steps", "globalstep"),
            ("iter", "iters", "iteration", "iterations", "it", "update", "updates", "checkpoint", "ckpt"),
            ("epoch", "epochs", "ep"),
        )
    )
    for word in words
}
_COUNTED = _UNITS.keys() - {"checkpoint", "ckpt"}  # words after which a number is never a date
_PLAIN = 3  # the unit of a number without any of these words
_MEASURED = {
    "loss", "acc", "accuracy", "val", "valid", "test", "auc", "ap", "map", "miou", "iou", "score", "ppl", "bleu", "wer",
    "psnr", "ssim", "dice", "reward", "return", "error", "err", "lr", "bs", "seed", "fold", "rank", "v", "version",
    "top",
}  # fmt: skip
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[-_T. ]*[0-2]\d[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d)?)?(?!\d)|(?<!\d)1[5-9]\d{8}(?!\d)"
)
_NUMBER = re.compile(r"\d+\.\d+|\d+")
_ENDING = re.compile(r"(\.(safetensors|pt|pth|ckpt|bin|th|tar))+$")


def number_in(value: Any) -> int | None:
    """Return a count: an integer, plain or in a tensor.

    Examples
    --------
    >>> number_in(3), number_in(3.0), number_in(3.5), number_in(True)
    (3, 3, None, None)
    """
    if isinstance(value, Stored):
        value = value.read().reshape(-1)[0].item() if value.shape in ((), (1,)) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
        return None
    return int(value) if int(value) == value else None


def steps_told(tree: Any) -> dict[str, int]:
    """Return the counts stated in a file, the finest first.

    ``global_step(s)``, ``step(s)``, ``iteration(s)``, ``iter_num``, ``iter``, ``num_updates`` and ``epoch``; at the
    top level, or under ``state``, ``meta``, ``trainer`` and the like.

    Examples
    --------
    >>> steps_told({"epoch": 2, "meta": {"iter": 300}, "optimizer": {"step": 7}})
    {'iter': 300, 'epoch': 2}
    """
    top = fields_of(tree)
    found: dict[str, int] = {}
    for fields in (top, *(_under(top, name) for name in _AROUND)):
        by_name = {key.lower(): value for key, value in fields.items() if isinstance(key, str)}
        for key in _KEYS:
            count = number_in(by_name.get(key))
            if count is not None:
                found.setdefault(key, count)
    return {key: found[key] for key in _KEYS if key in found}


def _under(top: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """Return the entries under a name; torch.distributed joins nested names by dots."""
    inner = fields_of(top.get(name))
    named = [(key, value) for key, value in top.items() if isinstance(key, str) and key.startswith(f"{name}.")]
    joined = {key.removeprefix(f"{name}."): value for key, value in named}
    return inner or joined


def mapped(
    told: Mapping[PurePath, Mapping[str, int]], names: Sequence[PurePath], *, settled: bool = True
) -> dict[PurePath, tuple[int, str] | str]:
    """Return the step of each network and its source, or why it has none.

    Parameters
    ----------
    told
        What each file states (`steps_told`), by its path in the folder.
    names
        The paths in the folder.
    settled
        Whether the folder is complete; until then, a number in a single name may turn out not to count.

    Returns
    -------
    dict[PurePath, tuple[int, str] | str]
        Step and source, or a sentence. All networks that state a count take it from one key, if all state the same one;
        of several keys, from the first that differs between all of them. The others take it from their names: from the
        one number that differs between names that are otherwise equal, ``step`` before ``iter`` before ``epoch`` before
        numbers without a word; numbers of losses and dates are ignored.

    Examples
    --------
    >>> paths = [PurePath(name) for name in ("step_10.pt", "step_20.pt", "best_resnet18.pt")]
    >>> [found for found in mapped({}, paths).values()]
    [(10, 'its name'), (20, 'its name'), 'its name has no number that counts']
    """
    saying = {path: told[path] for path in names if told.get(path)}
    by_name = _from_names(names, settled=settled)
    keys = [key for key in _KEYS if saying and all(key in counts for counts in saying.values())]
    unequal = [key for key in keys if len({counts[key] for counts in saying.values()}) == len(saying)]
    named = {path: by_name[path] for path in saying}
    steps = [found[0] for found in named.values() if not isinstance(found, str)]
    if not unequal and len(saying) > 1 and len(set(steps)) == len(saying):
        return by_name  # an epoch shared by several networks, next to names that count
    found: dict[PurePath, tuple[int, str] | str] = {}
    for path in names:
        if path not in saying:
            found[path] = by_name[path]
            continue
        key = (unequal or keys or [*saying[path]])[0]
        found[path] = (saying[path][key], f"`{key}` in the file")
    return found


def _from_names(names: Sequence[PurePath], *, settled: bool) -> dict[PurePath, tuple[int, str] | str]:
    groups: dict[str, list[tuple[PurePath, list[tuple[str, int]]]]] = {}
    for path in names:
        pattern, numbers = _pattern(path)
        groups.setdefault(pattern, []).append((path, numbers))
    found: dict[PurePath, tuple[int, str] | str] = {}
    units = set()
    for group in groups.values():
        if len(group) > 1:
            unit, steps = _counting([numbers for _, numbers in group])
            units |= {unit} if not isinstance(steps, str) else set()
            for number, (path, _) in enumerate(group):
                found[path] = steps if isinstance(steps, str) else (steps[number], "its name")
    alone = [group[0] for group in groups.values() if len(group) == 1]
    known = units or {min((_unit_of(one) for _, one in alone if _unit_of(one) < _PLAIN), default=_PLAIN)}
    for path, numbers in alone:
        counts = [(unit, value) for unit, value in _units(numbers) if unit in known]
        if known == {_PLAIN} and (units or len(alone) > 1):
            counts = []  # candidates for the count
        if known == {_PLAIN} and counts and not settled:
            found[path] = "its name will count once another file shows which number changes"
        elif len(counts) == 1:
            found[path] = (counts[0][1], "its name")
        else:
            found[path] = "its name has several numbers" if len(counts) > 1 else "its name has no number that counts"
    return {path: found[path] for path in names}


def _pattern(path: PurePath) -> tuple[str, list[tuple[str, int]]]:
    """Return a name without its numbers, and the numbers with their words; -1 for one that is not a count."""
    text = _ENDING.sub("", path.as_posix())
    text = _DATE.sub(lambda found: found[0] if _word(text[: found.start()]) in _COUNTED else "@", text)
    numbers = []
    for found in _NUMBER.finditer(text):
        word = _word(text[: found.start()])
        if word not in _UNITS:
            after = re.match(r"[-_ ]?([A-Za-z]+)(?![A-Za-z]|[-_=:. ]*\d)", text[found.end() :])
            word = after[1].lower() if after and after[1].lower() in _UNITS else word
        numbers.append((word, -1 if "." in found[0] or len(found[0]) > 18 else int(found[0])))
    return _NUMBER.sub("#", text), numbers


def _word(before: str) -> str:
    found = re.search(r"([A-Za-z]+)[-_=:. ]*$", before)
    return found[1].lower() if found else ""


def _units(numbers: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
    return [(_UNITS.get(word, _PLAIN), value) for word, value in numbers if value >= 0 and word not in _MEASURED]


def _unit_of(numbers: Sequence[tuple[str, int]]) -> int:
    return min((unit for unit, _ in _units(numbers)), default=_PLAIN + 1)


def _counting(group: Sequence[Sequence[tuple[str, int]]]) -> tuple[int, list[int] | str]:
    """Return the numbers that count up over names that are otherwise equal, and their unit; or why none does."""
    columns = []
    for slot in zip(*group, strict=True):
        word, values = slot[0][0], [value for _, value in slot]
        if min(values) >= 0 and word not in _MEASURED:
            columns.append((_UNITS.get(word, _PLAIN), values))
    same = [unit for unit, values in columns if len(set(values)) == 1 and unit < _PLAIN]
    columns = [(unit, values) for unit, values in columns if len(set(values)) > 1 and not (same and unit == _PLAIN)]
    unit = min((unit for unit, _ in columns), default=_PLAIN)
    first = [values for one, values in columns if one == unit]
    if not first:
        return unit, "several networks have the same count in their names, as from several trainings"
    if len(first) > 1:
        return unit, "several numbers in the names change, and none has `step`, `iter` or `epoch` before it"
    if len(set(first[0])) < len(group):
        return unit, "several networks have the same count in their names, as from several trainings"
    return unit, first[0]
