# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which integers an entry point can take: interval analysis of all that is indexed with them.

An integer argument may be a token, an offset or a divisor; a value that its readers do not expect
reads out of bounds, and the result is undefined. `IndexUses` is the part of a function, at the
``abi`` phase where every importer's model is linalg and tensor operations, that computes integers:
a list of steps on intervals. Each argument's interval is grown as far as every index stays in
bounds, every divisor non-zero, every assertion true. Nothing here refers to the IR after `build`.

The analysis is conservative in one direction only: an operation that it does not know can yield any
value of its type, and a use that no interval of the arguments satisfies constrains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Domain", "IndexUses"]

#: Depth of calls that are followed.
CALL_DEPTH = 8

#: A value without a limit may be an index or a count: it is at most this much above the least.
DEFAULT_SPAN = 3

#: An interval that can grow beyond this is not limited by its readers.
_UNLIMITED = 1 << 31

Number = float  # or int: exact where the value is an integer
Extents = tuple["Interval", ...]
_NO_DEPENDENCE: frozenset[int] = frozenset()


class Interval(NamedTuple):
    """All values of a scalar, or of a tensor's elements.

    `depends` are the positions of the integer arguments that the value is computed from, `extents`
    a tensor's dimensions.
    """

    low: Number
    high: Number
    depends: frozenset[int] = _NO_DEPENDENCE
    extents: Extents = ()


ANY = Interval(-math.inf, math.inf)
#: The range of an uninitialised tensor.
NOTHING = Interval(math.inf, -math.inf)
#: A dimension of which nothing is known. It has an element, or nothing can be indexed.
ANY_EXTENT = Interval(1, math.inf)


@dataclass(frozen=True)
class Domain:
    """Values that an integer argument can take.

    Attributes:
      low: smallest value.
      high: largest value; None if no use limits it.
      distinct: whether no two should name the same place: they are coordinates of a scatter.
    """

    low: int
    high: int | None
    distinct: bool = False

    @property
    def size(self) -> int:
        """Number of values; of an unlimited domain those that are drawn by default."""
        return (DEFAULT_SPAN if self.high is None else self.high - self.low) + 1

    @property
    def last(self) -> int:
        """The largest value to draw."""
        return self.low + self.size - 1


Environment = dict[int, Interval]
Step = Callable[[Environment], None]


class _Check(NamedTuple):
    """A use that must hold: its number, the arguments that it depends on, whether it holds."""

    number: int
    depends: frozenset[int]
    holds: bool


@dataclass
class IndexUses:
    """The integer part of one function.

    Attributes:
      integers: element widths of the integer arguments by position (64 for ``index``).
    """

    integers: dict[int, int]
    _steps: list[Step] = field(default_factory=list)
    _argument_ids: dict[int, int] = field(default_factory=dict)
    _distinct: set[int] = field(default_factory=set)
    _checks: int = 0
    _found: list[_Check] = field(default_factory=list)

    def domains(
        self, shapes: Mapping[int, Sequence[int]], pick: Callable[[Domain], int]
    ) -> dict[int, Domain]:
        """Return the domain of every integer argument that a use limits, by position.

        An argument of a single element, an offset or a count, is given its value at once: the
        domains of the others depend on it. Its domain is that value.

        Args:
          shapes: the tensor arguments' shapes by position.
          pick: chooses the value of an argument of a single element.
        """
        box = dict.fromkeys(self.integers, (0, 0))
        used = {position for check in self._run(box, shapes) for position in check.depends}
        single = {position for position in used if math.prod(shapes.get(position, ())) == 1}
        bases = {position: self._bases(position, box, shapes) for position in sorted(used)}
        box.update({position: (values[0],) * 2 for position, values in bases.items()})
        hopeless = {check.number for check in self._run(box, shapes) if not check.holds}
        found = {}
        for position in sorted(used, key=lambda at: (at not in single, at)):
            grown = [
                self._grow(position, base, position in single, box, shapes, hopeless)
                for base in bases[position]
            ]
            domain = max(grown, key=lambda one: _UNLIMITED if one.high is None else one.size)
            if position in single:
                value = pick(domain)
                domain = Domain(value, value)
            found[position] = replace(domain, distinct=position in self._distinct)
            box[position] = (domain.low, domain.low if domain.high is None else domain.high)
        return found

    def _bases(
        self, position: int, box: dict[int, tuple[int, int]], shapes: Mapping[int, Sequence[int]]
    ) -> list[int]:
        """Return the values, of a few, that fail the fewest uses."""
        tries = {}
        for value in (0, 1, -1, 2):
            checks = self._run({**box, position: (value, value)}, shapes)
            tries[value] = sum(position in c.depends and not c.holds for c in checks)
        fewest = min(tries.values())
        return [value for value, failed in tries.items() if failed == fewest and value >= 0] or [
            value for value, failed in tries.items() if failed == fewest
        ]

    def _grow(
        self,
        position: int,
        low: int,
        single: bool,
        box: dict[int, tuple[int, int]],
        shapes: Mapping[int, Sequence[int]],
        hopeless: set[int],
    ) -> Domain:
        """Return the largest domain from `low` on that fails no use."""

        def holds(high: int) -> bool:
            # All values at once, unless there is one: its uses are not independent of one another.
            checks = self._run({**box, position: (high if single else low, high)}, shapes)
            return all(
                check.holds or check.number in hopeless
                for check in checks
                if position in check.depends
            )

        most = min((1 << (self.integers[position] - 1)) - 1, _UNLIMITED)
        good, step = low, 1
        while good + step <= most and holds(good + step):
            good += step
            step *= 2
        if good + step > most:
            return Domain(low, None)
        bad = good + step
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if holds(middle) else (good, middle)
        return Domain(low, good)

    def _run(
        self, box: Mapping[int, tuple[int, int]], shapes: Mapping[int, Sequence[int]]
    ) -> list[_Check]:
        environment: Environment = {}
        for position, number in self._argument_ids.items():
            low, high = box.get(position, (-math.inf, math.inf))
            depends = frozenset((position,)) if position in box else _NO_DEPENDENCE
            extents = tuple(Interval(n, n) for n in shapes.get(position, ()))
            environment[number] = Interval(low, high, depends, extents)
        self._found = []
        for step in self._steps:
            step(environment)
        return self._found

    # --- additions of the builder --------------------------------------------

    def add_step(self, step: Step) -> None:
        """Append a step."""
        self._steps.append(step)

    def add_argument(self, position: int, number: int) -> None:
        """Say which value number an argument has."""
        self._argument_ids[position] = number

    def add_check(self, test: Callable[[Environment], tuple[frozenset[int], bool]]) -> None:
        """Append a use; `test` returns its dependences and whether it holds."""
        number = self._checks
        self._checks += 1

        def step(environment: Environment) -> None:
            depends, holds = test(environment)
            if depends:
                self._found.append(_Check(number, depends, holds))

        self._steps.append(step)

    def require_distinct(self, position: int) -> None:
        """Say that an argument holds coordinates that must differ from one another."""
        self._distinct.add(position)


# --- arithmetic on intervals ---------------------------------------------------


def _depends(*values: Interval) -> frozenset[int]:
    return frozenset().union(*(value.depends for value in values))


def _corners(a: Interval, b: Interval, of: Callable[[Number, Number], Number]) -> Interval:
    found: list[Number] = []
    for x in (a.low, a.high):
        for y in (b.low, b.high):
            if 0 in (x, y) and (math.isinf(x) or math.isinf(y)):
                found.append(0)
            else:
                found.append(of(x, y))
    return Interval(min(found), max(found), _depends(a, b))


def _add(a: Interval, b: Interval) -> Interval:
    return Interval(a.low + b.low, a.high + b.high, _depends(a, b))


def _subtract(a: Interval, b: Interval) -> Interval:
    return Interval(a.low - b.high, a.high - b.low, _depends(a, b))


def _multiply(a: Interval, b: Interval) -> Interval:
    return _corners(a, b, lambda x, y: x * y)


def _quotient(rounding: Callable[[Number, Number], Number]) -> Callable[..., Interval]:
    def divide(a: Interval, b: Interval) -> Interval:
        if b.low <= 0 <= b.high or not all(map(math.isfinite, (*a[:2], *b[:2]))):
            return ANY._replace(depends=_depends(a, b))
        return _corners(a, b, rounding)

    return divide


def _truncated(x: Number, y: Number) -> Number:
    whole = abs(int(x)) // abs(int(y))
    return whole if (x < 0) == (y < 0) else -whole


_divide = _quotient(_truncated)
_floor_divide = _quotient(lambda x, y: int(x) // int(y))
_ceil_divide = _quotient(lambda x, y: -(-int(x) // int(y)))


def _remainder(a: Interval, b: Interval) -> Interval:
    depends = _depends(a, b)
    most = max(abs(b.low), abs(b.high)) - 1
    if a.low >= 0 and a.high < b.low:
        return a._replace(depends=depends, extents=())
    return Interval(-most if a.low < 0 else 0, most if a.high > 0 else 0, depends)


def _modulo(a: Interval, b: Interval) -> Interval:
    if a.low >= 0 and a.high < b.low:
        return a._replace(depends=_depends(a, b), extents=())
    return Interval(0, b.high - 1, _depends(a, b))


def _least(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), min(a.high, b.high), _depends(a, b))


def _greatest(a: Interval, b: Interval) -> Interval:
    return Interval(max(a.low, b.low), max(a.high, b.high), _depends(a, b))


def _bitwise_and(a: Interval, b: Interval) -> Interval:
    if a.low >= 0 or b.low >= 0:
        known = [value.high for value in (a, b) if value.low >= 0]
        return Interval(0, min(known), _depends(a, b))
    return ANY._replace(depends=_depends(a, b))


def _bitwise_or(a: Interval, b: Interval) -> Interval:
    if a.low >= 0 and b.low >= 0 and math.isfinite(a.high + b.high):
        bits = max(int(a.high).bit_length(), int(b.high).bit_length())
        return Interval(max(a.low, b.low), (1 << bits) - 1, _depends(a, b))
    return ANY._replace(depends=_depends(a, b))


def _exclusive_or(a: Interval, b: Interval) -> Interval:
    if a.low == a.high and b.low == b.high:
        value = int(a.low) ^ int(b.low)
        return Interval(value, value, _depends(a, b))
    found = _bitwise_or(a, b)
    return found._replace(low=0) if found.low >= 0 else found


def _unsigned(of: Callable[[Interval, Interval], Interval]) -> Callable[..., Interval]:
    """Return an operation that is exact on non-negative values, and arbitrary on others."""

    def apply(a: Interval, b: Interval) -> Interval:
        if a.low < 0 or b.low < 0:
            return ANY._replace(depends=_depends(a, b))
        return of(a, b)

    return apply


BINARY: dict[str, Callable[[Interval, Interval], Interval]] = {
    "arith.addi": _add,
    "arith.subi": _subtract,
    "arith.muli": _multiply,
    "arith.divsi": _divide,
    "arith.divui": _unsigned(_divide),
    "arith.floordivsi": _floor_divide,
    "arith.ceildivsi": _ceil_divide,
    "arith.ceildivui": _unsigned(_ceil_divide),
    "arith.remsi": _remainder,
    "arith.remui": _unsigned(_remainder),
    "arith.minsi": _least,
    "arith.maxsi": _greatest,
    "arith.minui": _unsigned(_least),
    "arith.maxui": _unsigned(_greatest),
    "arith.andi": _bitwise_and,
    "arith.ori": _bitwise_or,
    "arith.xori": _exclusive_or,
    "affine.mod": _modulo,
    "arith.addf": _add,
    "arith.subf": _subtract,
    "arith.mulf": _multiply,
    "arith.minimumf": _least,
    "arith.maximumf": _greatest,
    "arith.minnumf": _least,
    "arith.maxnumf": _greatest,
}

DIVISIONS = {
    f"arith.{name}"
    for name in ("divsi", "divui", "floordivsi", "ceildivsi", "ceildivui", "remsi", "remui")
}
SHIFTS = {"arith.shli", "arith.shrsi", "arith.shrui"}

#: The value stays, in another type.
CASTS = {
    "arith.extsi",
    "arith.index_cast",
    "arith.trunci",
    "arith.sitofp",
    "arith.extf",
    "arith.truncf",
    "math.floor",
    "math.ceil",
    "math.round",
    "math.roundeven",
    "math.trunc",
}
ROUNDINGS: dict[str, Callable[[float], int]] = {
    "math.floor": math.floor,
    "math.ceil": math.ceil,
    "math.round": round,
    "math.roundeven": round,
    "math.trunc": math.trunc,
    "arith.fptosi": math.trunc,
    "arith.fptoui": math.trunc,
}
#: Casts of values that are read as unsigned: exact on values that are not negative.
UNSIGNED_CASTS = {"arith.extui", "arith.index_castui", "arith.uitofp"}

#: The elements of the result are those of the first operand.
SAME_ELEMENTS = {
    "tensor.cast",
    "tensor.collapse_shape",
    "tensor.expand_shape",
    "tensor.reshape",
    "tensor.splat",
    "linalg.transpose",
    "linalg.broadcast",
    "linalg.copy",
    "hal.tensor.barrier",
    "util.optimization_barrier",
    "tensor.bitcast",
}

PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")


def compare(predicate: str, a: Interval, b: Interval) -> Interval:
    """Return the interval of a comparison: 0, 1 or both."""
    depends = _depends(a, b)
    if predicate.startswith("u") and (a.low < 0 or b.low < 0):
        return Interval(0, 1, depends)
    kind = predicate[1:] if predicate[0] in "su" else predicate
    if kind in ("gt", "ge"):
        a, b, kind = b, a, {"gt": "lt", "ge": "le"}[kind]
    if kind == "lt":
        always, never = a.high < b.low, a.low >= b.high
    elif kind == "le":
        always, never = a.high <= b.low, a.low > b.high
    else:
        same = a.low == a.high == b.low == b.high
        apart = a.high < b.low or b.high < a.low
        always, never = (same, apart) if kind == "eq" else (apart, same)
    return Interval(1 if always else 0, 0 if never else 1, depends)


def value_range(bits: int) -> tuple[int, int]:
    """Return the smallest and largest signed integer of a width; of ``i1``, 0 and 1."""
    return (0, 1) if bits == 1 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def constant_interval(values: Any) -> Interval:
    """Return the interval of an array's values."""
    array = np.asarray(values)
    if not array.size:
        return Interval(0, 0)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return ANY
    convert = float if array.dtype.kind == "f" else int
    return Interval(convert(array.min()), convert(array.max()))
