"""The content of a pickle, without running it: nothing is imported, and no object of an unknown class is created."""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

_KEYS = (str, int, float, bytes, type(None))  # allowed keys: others take time to hash, or are not names
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NEW: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}


class Source(Protocol):
    """What a pickle is read from."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


@dataclass(eq=False)
class Stub:
    """Stands for an object, class or function named in a pickle: its name, and what would have created it.

    Attributes
    ----------
    name
        Module and name, such as ``argparse.Namespace``.
    args
        Its arguments; None for the class or function itself.
    state
        The state its attributes would have been set from.
    items, members
        What would have been added to it as to a dictionary, or as to a list.
    """

    name: str
    args: tuple[Any, ...] | None = None
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    members: list[Any] = field(default_factory=list)


def fields_of(value: Any) -> Mapping[Any, Any]:
    """Return the entries of a dictionary, or of a stub of a mapping or of an object with attributes.

    Examples
    --------
    >>> fields_of(Stub("argparse.Namespace", (), {"step": 3}))
    {'step': 3}
    """
    if isinstance(value, dict):
        return value
    if not isinstance(value, Stub):
        return {}
    if value.items:
        return value.items
    state = value.state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # an object with slots
        return state[1]
    return state if isinstance(state, dict) else {}


def named_in(value: Any) -> dict[str, Any]:
    """Return the entries of `fields_of` whose keys are strings; converting others to text may take forever.

    Examples
    --------
    >>> named_in({"step": 3, 4: 5, None: 6})
    {'step': 3}
    """
    return {key: inner for key, inner in fields_of(value).items() if isinstance(key, str)}


def interpreted(
    source: Source,
    makes: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any],
) -> Any:
    """Return the content of the pickle at the start of ``source``; the source is then positioned after it.

    Parameters
    ----------
    source
        Bytes with ``read``, ``readline`` and ``tell``.
    makes
        Functions of ours to call where the pickle names the key (``torch._utils._rebuild_tensor_v2``); everything
        else it names becomes a `Stub`.
    persistent
        Called with each persistent id.

    Raises
    ------
    ValueError
        If the bytes are not a pickle, or a truncated one.

    Examples
    --------
    >>> import fractions, io, pickle
    >>> found = interpreted(io.BytesIO(pickle.dumps({"step": 3, "rate": fractions.Fraction(1, 2)})), {}, id)
    >>> found["step"], found["rate"].name
    (3, 'fractions.Fraction')
    """
    machine = _Machine(makes, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(source):  # type: ignore[arg-type]  # more than it asks for
            machine.step(opcode.name, argument)
        return machine.pop()
    except (IndexError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"its pickle is damaged ({type(error).__name__})") from error


class _Machine:
    """The stack of a pickle, and its memo."""

    def __init__(self, makes: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> None:
        self._makes, self._persistent = makes, persistent
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(_VALUES[name])
        elif name in _NEW:
            self._stack.append(_NEW[name]())
        elif action := getattr(self, f"_{name.lower()}", None):
            action()
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = self._stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif name in ("GLOBAL", "INST"):
            found = Stub(argument.replace(" ", "."))
            self._stack.append(found if name == "GLOBAL" else self._made(found, tuple(self._to_mark())))
        elif name == "PERSID":
            self._stack.append(self._persistent(argument))
        elif argument is not None and name not in ("PROTO", "FRAME", "EXT1", "EXT2", "EXT4"):
            self._stack.append(argument)  # numbers, strings and bytes are stored in the pickle directly
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"its pickle contains {name}, which weights do not need")

    def _to_mark(self) -> list[Any]:
        found = self._stack
        self._stack = self._below.pop()
        return found

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _pop_mark(self) -> None:
        self._to_mark()

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _dup(self) -> None:
        self._stack.append(self._stack[-1])

    def _tuple(self) -> None:
        self._take(tuple(self._to_mark()))

    def _list(self) -> None:
        self._take(self._to_mark())

    _frozenset = _list

    def _take(self, value: Any) -> None:
        self._stack.append(value)

    def _last(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _tuple1(self) -> None:
        self._last(1)

    def _tuple2(self) -> None:
        self._last(2)

    def _tuple3(self) -> None:
        self._last(3)

    def _dict(self) -> None:
        pairs = self._to_mark()
        self._take({})
        self._set(pairs)

    def _append(self) -> None:
        self._extend([self._stack.pop()])

    def _appends(self) -> None:
        self._extend(self._to_mark())

    _additems = _appends

    def _extend(self, members: list[Any]) -> None:
        onto = self._stack[-1]
        into = onto.members if isinstance(onto, Stub) else onto
        if not isinstance(into, list):
            raise TypeError
        into.extend(members)

    def _setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _setitems(self) -> None:
        self._set(self._to_mark())

    def _set(self, pairs: list[Any]) -> None:
        onto = self._stack[-1]
        into = onto.items if isinstance(onto, Stub) else onto
        if not isinstance(into, dict):
            raise TypeError
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, (*_KEYS, Stub)):
                into[key] = value

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._take(Stub(f"{module!s}.{name!s}" if isinstance(module, str) and isinstance(name, str) else "?"))

    def _made(self, what: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise TypeError
        if not isinstance(what, Stub):
            return Stub("?", args)
        make = self._makes.get(what.name)
        return make(*args) if make else Stub(what.name, args)

    def _reduce(self) -> None:
        args, what = self._stack.pop(), self._stack.pop()
        self._take(self._made(what, args))

    _newobj = _reduce

    def _newobj_ex(self) -> None:
        self._stack.pop()  # keyword arguments
        self._reduce()

    def _obj(self) -> None:
        what, *args = self._to_mark()
        self._take(self._made(what, tuple(args)))

    def _build(self) -> None:
        state, onto = self._stack.pop(), self._stack[-1]
        if isinstance(onto, Stub):
            onto.state = state

    def _binpersid(self) -> None:
        self._take(self._persistent(self._stack.pop()))
