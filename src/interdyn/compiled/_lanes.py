"""Vectors of four numbers: the type `Lanes` and its operations. Importing this file loads Numba.

A vector is four neighbours of a flat array. Loops over vectors do not depend on the compiler finding them: each
operation is one instruction if the processor has vectors of four. There are two ways to lay out tables over subsets:

- *side by side*: four tables, the table running fastest. Lanes never mix, so the result of a table does not depend on
its neighbours;
- *within*: one table, whose two lowest players share each vector.

Code for both takes an argument whose type says which: an array of one axis, with a number for each vector, side by
side; of two axes, ``(vectors, 4)``, within. `each`, `last`, `mirrored`, `across` and `most_across` differ by it.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

from interdyn.compiled._numba import INNER

WIDTH = 4
_INDEX = ir.IntType(32)
_ELEMENTS = {types.float64: (ir.DoubleType(), "f64"), types.float32: (ir.FloatType(), "f32")}


class Lanes(types.Type):
    """Numba's type of one vector of ``element``."""

    def __init__(self, element: types.Type) -> None:
        super().__init__(f"{element}x{WIDTH}")
        self.element: Any = element


def _vector(kind: Lanes) -> ir.VectorType:
    return ir.VectorType(_ELEMENTS[kind.element][0], WIDTH)


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]  # Numba is not type-checked
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, _vector(kind))


def _data(context: Any, builder: Any, kind: Any, array: Any, i: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [i])


def _load(builder: Any, kind: Lanes, data: Any) -> Any:
    out = builder.load(builder.bitcast(data, _vector(kind).as_pointer()))
    out.align = kind.element.bitwidth // 8
    return out


def _spread(builder: Any, kind: Lanes, x: Any) -> Any:
    empty = ir.Constant(_vector(kind), ir.Undefined)
    first = builder.insert_element(empty, x, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INDEX, WIDTH), [0] * WIDTH))


def _operation(arguments: int, emit: Callable[..., Any]) -> Any:
    """Return an intrinsic of some vectors of one type; ``emit(builder, kind, *values)`` writes its instructions."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return emit(builder, signature.return_type, *given)

    if arguments == 1:
        return intrinsic(lambda _, x: (x(x), build))
    if arguments == 2:
        return intrinsic(lambda _, x, y: (x(x, y), build))
    return intrinsic(lambda _, x, y, z: (x(x, y, z), build))


def _fused(builder: Any, kind: Lanes, x: Any, y: Any, z: Any) -> Any:
    vector = _vector(kind)
    name = f"llvm.fmuladd.v{WIDTH}{_ELEMENTS[kind.element][1]}"
    return builder.call(builder.module.declare_intrinsic(name, (), ir.FunctionType(vector, [vector] * 3)), [x, y, z])


def _moved(places: list[int]) -> Any:
    """Return the operation that takes lane ``places[i]`` to lane ``i``; -1 is the number 0."""
    mask = ir.Constant(ir.VectorType(_INDEX, WIDTH), [WIDTH if place < 0 else place for place in places])

    def emit(builder: Any, kind: Lanes, x: Any) -> Any:
        return builder.shuffle_vector(x, ir.Constant(_vector(kind), [0.0] * WIDTH), mask)

    return _operation(1, emit)


add = _operation(2, lambda builder, _, x, y: builder.fadd(x, y))
sub = _operation(2, lambda builder, _, x, y: builder.fsub(x, y))
mul = _operation(2, lambda builder, _, x, y: builder.fmul(x, y))
div = _operation(2, lambda builder, _, x, y: builder.fdiv(x, y))
least = _operation(2, lambda builder, _, x, y: builder.select(builder.fcmp_ordered("<", x, y), x, y))
most = _operation(2, lambda builder, _, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y))
# x * y + z and x * y - z, rounded once where the processor can
fma = _operation(3, _fused)
fms = _operation(3, lambda builder, kind, x, y, z: _fused(builder, kind, x, y, builder.fneg(z)))
# the second where the first is above 0, else the third
where = _operation(
    3,
    lambda builder, kind, mask, x, y: builder.select(
        builder.fcmp_ordered(">", mask, ir.Constant(_vector(kind), [0.0] * WIDTH)), x, y
    ),
)
reverse = _moved([3, 2, 1, 0])
# of the four subsets of players 0 and 1: the value without a player where it is present, else 0; and the other way
without_0, without_1 = _moved([-1, 0, -1, 2]), _moved([-1, -1, 0, 1])
with_0, with_1 = _moved([1, -1, 3, -1]), _moved([2, 3, -1, -1])
_swapped_0, _swapped_1 = _moved([1, 0, 3, 2]), _moved([2, 3, 0, 1])


@intrinsic
def load(_: Any, array: Any, i: Any) -> Any:
    """``load(array, i)``: the vector of ``array[i : i + 4]``."""
    kind = Lanes(array.dtype)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _load(builder, kind, _data(context, builder, signature.args[0], *given))

    return kind(array, types.intp), build


@intrinsic
def store(_: Any, array: Any, i: Any, x: Any) -> Any:
    """``store(array, i, x)``: write the vector to ``array[i : i + 4]``."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = builder.bitcast(_data(context, builder, signature.args[0], *given[:2]), _vector(x).as_pointer())
        builder.store(given[2], place).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.none(array, types.intp, x), build


@intrinsic
def spread(_: Any, array: Any, i: Any) -> Any:
    """``spread(array, i)``: ``array[i]`` in all lanes; ``i`` counts from the start and is not checked."""
    kind = Lanes(array.dtype)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _spread(builder, kind, builder.load(_data(context, builder, signature.args[0], *given)))

    return kind(array, types.intp), build


@intrinsic
def splat(_: Any, x: Any) -> Any:
    """``splat(x)``: the number in all lanes."""
    kind = Lanes(x)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _spread(builder, kind, given[0])

    return kind(x), build


@intrinsic
def fetch_next(_: Any, counter: Any) -> Any:
    """``fetch_next(counter)``: the number in ``counter[0]``, which goes up by one; no two threads get the same."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), build


@intrinsic
def each(_: Any, layout: Any, c: Any) -> Any:
    """``each(layout, c)``: what the array that says the layout holds for the vector at position ``c``."""
    kind = Lanes(layout.dtype)

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        place = given[1] if layout.ndim == 2 else builder.lshr(given[1], ir.Constant(given[1].type, 2))
        data = _data(context, builder, signature.args[0], given[0], place)
        if layout.ndim == 1:
            return _spread(builder, kind, builder.load(data))
        return _load(builder, kind, data)

    return kind(layout, types.intp), build


def _by_layout(within: Any) -> Any:
    """Return the function ``(layout, x)`` that is ``within(x)`` within a table, and ``x`` itself side by side."""

    def out(layout: Any, x: Any) -> Any:
        raise NotImplementedError("a compiled function")

    @overload(out, strict=False)
    def _(layout: Any, x: Any) -> Any:
        return (lambda layout, x: within(x)) if layout.ndim == 2 else (lambda layout, x: x)

    return out


@njit(**INNER)
def _sum(x: Any) -> Any:
    x = add(x, _swapped_0(x))
    return add(x, _swapped_1(x))


@njit(**INNER)
def _largest(x: Any) -> Any:
    x = most(x, _swapped_0(x))
    return most(x, _swapped_1(x))


def last(layout: Any, x: Any) -> Any:
    """Return the last number of each table in ``x``, in all lanes that are the table's own."""
    raise NotImplementedError("a compiled function")


@overload(last, strict=False)
def _(layout: Any, x: Any) -> Any:
    if layout.ndim == 2:
        return lambda layout, x: spread(x, len(x) - 1)
    return lambda layout, x: load(x, len(x) - 4)


mirrored, across, most_across = _by_layout(reverse), _by_layout(_sum), _by_layout(_largest)
