# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs of the fuzzer as data: functions of typed values, and their text in MLIR.

A program is a graph of Python objects that the generator builds and the reducer takes apart. One
`Operation` here may be several lines of MLIR (`tensor.empty`, `linalg.fill`, the operation); what
is printed depends on the program alone.

Dynamic dimensions (None in a shape) all have one extent per function: that of the first dynamic
dimension among its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Block", "Function", "Global", "Operation", "Program", "Type", "Value"]


@dataclass(frozen=True)
class Type:
    """A ranked tensor, or a scalar if `shape` is None.

    Attributes:
      shape: extents; None is a dynamic one.
      element: ``f32``, ``f16``, ``bf16``, ``i8``, ``i32`` or ``i1``.
    """

    shape: tuple[int | None, ...] | None
    element: str

    def __str__(self) -> str:
        if self.shape is None:
            return self.element
        dims = "".join("?x" if extent is None else f"{extent}x" for extent in self.shape)
        return f"tensor<{dims}{self.element}>"

    @property
    def dims(self) -> tuple[int | None, ...]:
        """The shape of a tensor."""
        assert self.shape is not None
        return self.shape

    @property
    def rank(self) -> int:
        """Number of dimensions; -1 of a scalar."""
        return -1 if self.shape is None else len(self.shape)

    @property
    def dynamic(self) -> bool:
        """Whether an extent is known only at run time."""
        return self.shape is not None and None in self.shape

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.element in ("f16", "bf16", "f32")


@dataclass(eq=False)
class Value:
    """An SSA value; identity is what tells two apart."""

    type: Type


@dataclass(eq=False)
class Operation:
    """One step of a program.

    Attributes:
      kind: a key of `EMITTERS`.
      operands: what it reads, regions aside.
      results: what it defines.
      attributes: numbers and names that the kind needs.
      blocks: the regions of control flow, one block each.
    """

    kind: str
    operands: list[Value]
    results: list[Value]
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    @property
    def has_effect(self) -> bool:
        """Whether it counts without being used."""
        return self.kind == "global_store" or any(
            operation.has_effect for block in self.blocks for operation in block.operations
        )


@dataclass(eq=False)
class Block:
    """Operations in order, with what the block takes and what it hands on."""

    arguments: list[Value]
    operations: list[Operation]
    results: list[Value]

    def walk(self) -> Iterator[Operation]:
        """All operations, nested ones after the one that holds them."""
        for operation in self.operations:
            yield operation
            for block in operation.blocks:
                yield from block.walk()


@dataclass(eq=False)
class Function:
    """A function; private ones are called by others, public ones by the user."""

    name: str
    body: Block
    public: bool = True
    noinline: bool = False


@dataclass(eq=False)
class Global:
    """A tensor of the module: a weight, or a variable if `mutable`."""

    name: str
    type: Type
    data: list[float]
    mutable: bool = False


@dataclass(eq=False)
class Program:
    """A module."""

    functions: list[Function]
    globals: list[Global] = field(default_factory=list)

    @property
    def entry_points(self) -> list[Function]:
        """What the user can call."""
        return [function for function in self.functions if function.public]

    def count(self) -> int:
        """Number of operations, nested ones included."""
        return sum(1 for function in self.functions for _ in function.body.walk())

    def text(self, prefix: str = "") -> str:
        """The module in MLIR, without a module operation around it.

        Args:
          prefix: of all symbol names, to tell modules in one file apart.
        """
        lines = [
            f"util.global private {'mutable ' if item.mutable else ''}@{prefix}{item.name} = "
            f"{dense(item.data, item.type)} : {item.type}"
            for item in self.globals
        ]
        for function in self.functions:
            lines += _Printer(prefix).function(function)
        return "\n".join(lines) + "\n"


def number(value: float, element: str) -> str:
    """A literal of an element type."""
    return repr(float(value)) if element in ("f16", "bf16", "f32") else str(int(value))


def dense(data: Sequence[float], of: Type) -> str:
    """A ``dense<...>`` attribute of a static tensor type, in row-major order."""
    if len(set(data)) == 1:
        return f"dense<{number(data[0], of.element)}>"
    position = 0

    def nest(shape: Sequence[int | None]) -> str:
        nonlocal position
        if not shape:
            position += 1
            return number(data[position - 1], of.element)
        return "[" + ", ".join(nest(shape[1:]) for _ in range(shape[0] or 0)) + "]"

    return f"dense<{nest(of.dims)}>"


# --- scalar functions ----------------------------------------------------------

#: name -> (operands, line for floats, line for integers). `{0}`, `{1}` are operands, `{c}` a
#: constant and `{t}` the type; a function without integer line is for floats only.
SCALARS: dict[str, tuple[int, str, str]] = {
    "add": (2, "arith.addf {0}, {1} : {t}", "arith.addi {0}, {1} : {t}"),
    "sub": (2, "arith.subf {0}, {1} : {t}", "arith.subi {0}, {1} : {t}"),
    "mul": (2, "arith.mulf {0}, {1} : {t}", "arith.muli {0}, {1} : {t}"),
    "max": (2, "arith.maximumf {0}, {1} : {t}", "arith.maxsi {0}, {1} : {t}"),
    "min": (2, "arith.minimumf {0}, {1} : {t}", "arith.minsi {0}, {1} : {t}"),
    "relu": (1, "arith.maximumf {0}, {c} : {t}", "arith.maxsi {0}, {c} : {t}"),
    "scale": (1, "arith.mulf {0}, {c} : {t}", "arith.shrsi {0}, {c} : {t}"),
    "shift": (1, "arith.addf {0}, {c} : {t}", "arith.addi {0}, {c} : {t}"),
    "neg": (1, "arith.negf {0} : {t}", "arith.subi {c}, {0} : {t}"),
    "abs": (1, "math.absf {0} : {t}", "math.absi {0} : {t}"),
    "tanh": (1, "math.tanh {0} : {t}", ""),
    "sigmoid": (1, "math.exp {0} : {t}", ""),  # printed in full by _Printer.scalar
}

#: The constant `{c}`: for floats, for integers.
SCALAR_CONSTANTS: dict[str, tuple[float, int]] = {
    "relu": (0, 0),
    "scale": (0.5, 1),
    "shift": (0.75, 3),
    "neg": (0, 0),
}


def _dims(count: int) -> str:
    return ", ".join(f"d{i}" for i in range(count))


def _map(count: int, results: Sequence[str]) -> str:
    return f"affine_map<({_dims(count)}) -> ({', '.join(results)})>"


class _Printer:
    """Writes one function."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.lines: list[str] = []
        self.names: dict[Value, str] = {}
        self.counter = 0
        self.indent = "  "
        self.extent: str | None = None

    # Helpers of the emitters.

    def fresh(self) -> str:
        self.counter += 1
        return f"%{self.counter - 1}"

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    def define(self, text: str) -> str:
        """Write an operation with a result of no Value, and return its name."""
        name = self.fresh()
        self.line(f"{name} = {text}")
        return name

    def result(self, operation: Operation, text: str) -> None:
        """Write an operation that defines all results of `operation`."""
        for value in operation.results:
            self.names[value] = self.fresh()
        names = ", ".join(self.names[value] for value in operation.results)
        self.line(f"{names} = {text}")

    def constant(self, value: float, element: str) -> str:
        return self.define(f"arith.constant {number(value, element)} : {element}")

    def index(self, value: int) -> str:
        return self.define(f"arith.constant {value} : index")

    def empty(self, of: Type) -> str:
        dynamic = ", ".join(self.dynamic() for extent in of.dims if extent is None)
        return self.define(f"tensor.empty({dynamic}) : {of}")

    def dynamic(self) -> str:
        return self.extent or "%no_dynamic_argument"

    def filled(self, of: Type, value: float) -> str:
        empty = self.empty(of)
        constant = self.constant(value, of.element)
        return self.define(
            f"linalg.fill ins({constant} : {of.element}) outs({empty} : {of}) -> {of}"
        )

    def extents(self, shape: Sequence[int | None]) -> str:
        return ", ".join(self.dynamic() if extent is None else str(extent) for extent in shape)

    def listed(self, values: Sequence[Value]) -> tuple[str, str]:
        """Names and types, separated by commas."""
        return (
            ", ".join(self.names[value] for value in values),
            ", ".join(str(value.type) for value in values),
        )

    def scalar(self, function: str, arguments: Sequence[str], of: str, element: str) -> str:
        """Write a scalar function on `of` (the element type, or a tensor type)."""
        floating = element in ("f16", "bf16", "f32")
        if function == "sigmoid":
            zero = self.constant(0, element)
            negated = self.define(f"arith.subf {zero}, {arguments[0]} : {of}")
            power = self.define(f"math.exp {negated} : {of}")
            one = self.constant(1, element)
            total = self.define(f"arith.addf {power}, {one} : {of}")
            return self.define(f"arith.divf {one}, {total} : {of}")
        constant = ""
        if function in SCALAR_CONSTANTS and not (function == "neg" and floating):
            constant = self.constant(SCALAR_CONSTANTS[function][0 if floating else 1], element)
        _, for_floats, for_integers = SCALARS[function]
        template = for_floats if floating else for_integers
        return self.define(template.format(*arguments, c=constant, t=of))

    def generic(
        self,
        operation: Operation,
        maps: Sequence[str],
        iterators: Sequence[str],
        inputs: Sequence[Value],
        outputs: Sequence[str],
        body: Callable[[list[str]], list[str]],
    ) -> None:
        """Write a linalg.generic; `body` maps scalar arguments to what is yielded."""
        names, types = self.listed(inputs)
        result_types = [str(value.type) for value in operation.results]
        ins = f"ins({names} : {types}) " if inputs else ""
        head = (
            f"linalg.generic {{indexing_maps = [{', '.join(maps)}], "
            f"iterator_types = [{', '.join(f'{chr(34)}{i}{chr(34)}' for i in iterators)}]}} "
            f"{ins}outs({', '.join(outputs)} : {', '.join(result_types)}) {{"
        )
        self.result(operation, head)
        elements = [value.type.element for value in [*inputs, *operation.results]]
        arguments = [self.fresh() for _ in elements]
        signature = ", ".join(f"{a}: {e}" for a, e in zip(arguments, elements, strict=True))
        self.line(f"^bb0({signature}):")
        self.indent += "  "
        yielded = ", ".join(body(arguments))
        of = ", ".join(value.type.element for value in operation.results)
        self.line(f"linalg.yield {yielded} : {of}")
        self.indent = self.indent[:-2]
        closing = result_types[0] if len(result_types) == 1 else f"({', '.join(result_types)})"
        self.line(f"}} -> {closing}")

    # Structure.

    def function(self, function: Function) -> list[str]:
        for position, value in enumerate(function.body.arguments):
            self.names[value] = f"%arg{position}"
        arguments = ", ".join(f"{self.names[v]}: {v.type}" for v in function.body.arguments)
        results = ", ".join(str(value.type) for value in function.body.results)
        visibility = "" if function.public else "private "
        attributes = " attributes {noinline}" if function.noinline else ""
        self.lines.append(
            f"func.func {visibility}@{self.prefix}{function.name}({arguments}) -> ({results})"
            f"{attributes} {{"
        )
        for value in function.body.arguments:
            if value.type.dynamic:
                axis = self.index(value.type.dims.index(None))
                self.extent = self.define(f"tensor.dim {self.names[value]}, {axis} : {value.type}")
                break
        self.operations(function.body)
        names, types = self.listed(function.body.results)
        self.line(f"return {names} : {types}" if names else "return")
        self.lines.append("}")
        return self.lines

    def operations(self, block: Block) -> None:
        for operation in block.operations:
            EMITTERS[operation.kind](self, operation)

    def nested(self, block: Block) -> None:
        self.indent += "  "
        self.operations(block)
        names, types = self.listed(block.results)
        self.line(f"scf.yield {names} : {types}")
        self.indent = self.indent[:-2]


# --- one emitter per kind -------------------------------------------------------


def _constant(p: _Printer, op: Operation) -> None:
    of = op.results[0].type
    p.result(op, f"arith.constant {dense(op.attributes['data'], of)} : {of}")


def _splat(p: _Printer, op: Operation) -> None:
    p.names[op.results[0]] = p.filled(op.results[0].type, op.attributes["value"])


def _elementwise(p: _Printer, op: Operation) -> None:
    """`function` of operands of one shape; `style` says in which dialect."""
    function, style = op.attributes["function"], op.attributes["style"]
    of = op.results[0].type
    if style == "tensor":
        operands = [p.names[value] for value in op.operands]
        p.names[op.results[0]] = p.scalar(function, operands, str(of), of.element)
    elif style == "map":
        # The named elementwise operations of linalg differ between the supported releases.
        _, for_floats, for_integers = SCALARS[function]
        name = (for_floats if of.is_float else for_integers).split()[0]
        names, types = p.listed(op.operands)
        empty = p.empty(of)
        p.result(op, f"linalg.map {{ {name} }} ins({names} : {types}) outs({empty} : {of})")
    else:
        _mapped(p, op, [function])


def _mapped(p: _Printer, op: Operation, functions: Sequence[str]) -> None:
    """A generic of elementwise functions; `dims` per operand are the dimensions that it has."""
    of = op.results[0].type
    dims = op.attributes.get("dims") or [list(range(of.rank)) for _ in op.operands]
    maps = [_map(of.rank, [f"d{i}" for i in axes]) for axes in dims]
    maps += [_map(of.rank, [f"d{i}" for i in range(of.rank)])] * len(op.results)
    outputs = [p.empty(value.type) for value in op.results]

    def body(arguments: list[str]) -> list[str]:
        return [
            p.scalar(name, arguments[: SCALARS[name][0]], of.element, of.element)
            for name in functions
        ]

    p.generic(op, maps, ["parallel"] * of.rank, op.operands, outputs, body)


def _several(p: _Printer, op: Operation) -> None:
    _mapped(p, op, op.attributes["functions"])


def _cast(p: _Printer, op: Operation) -> None:
    source, target = op.operands[0].type, op.results[0].type
    widths = {"i1": 1, "i8": 8, "f16": 16, "bf16": 16, "i32": 32, "f32": 32}
    wider = widths[target.element] > widths[source.element]
    if source.is_float and target.is_float:
        name = "arith.extf" if wider else "arith.truncf"
    elif target.is_float:
        name = "arith.sitofp"
    else:
        name = "arith.extsi" if wider else "arith.trunci"
    identity = _map(target.rank, [f"d{i}" for i in range(target.rank)])
    empty = p.empty(target)

    def body(arguments: list[str]) -> list[str]:
        return [p.define(f"{name} {arguments[0]} : {source.element} to {target.element}")]

    p.generic(op, [identity] * 2, ["parallel"] * target.rank, op.operands, [empty], body)


def _start(p: _Printer, op: Operation, inputs: int) -> str:
    """The accumulator of a product: an operand after the inputs, or zeros."""
    if len(op.operands) > inputs:
        return p.names[op.operands[inputs]]
    return p.filled(op.results[0].type, 0)


def _named(p: _Printer, op: Operation) -> None:
    """A named contraction or convolution: `name`, and the text of its attributes."""
    outs = _start(p, op, 2)
    names, types = p.listed(op.operands[:2])
    of = op.results[0].type
    extra = op.attributes.get("text", "")
    p.result(
        op,
        f"linalg.{op.attributes['name']}{extra} ins({names} : {types}) outs({outs} : {of}) -> {of}",
    )


def _pool(p: _Printer, op: Operation) -> None:
    of = op.results[0].type
    window = Type(tuple(op.attributes["window"]), of.element)
    maximum = "max" in op.attributes["name"]
    least = {"f32": -1024.0, "f16": -1024.0, "bf16": -1024.0, "i8": -128, "i32": -(2**20)}
    outs = p.filled(of, least[of.element] if maximum else 0)
    shape = p.empty(window)
    source = op.operands[0]
    p.result(
        op,
        f"linalg.{op.attributes['name']}{op.attributes['text']} ins({p.names[source]}, {shape} : "
        f"{source.type}, {window}) outs({outs} : {of}) -> {of}",
    )


def _product(p: _Printer, op: Operation) -> None:
    """A matrix product as a generic, with the second operand transposed."""
    outs = _start(p, op, 2)
    maps = [_map(3, ["d0", "d2"]), _map(3, ["d1", "d2"]), _map(3, ["d0", "d1"])]
    of = op.results[0].type
    kind = "f" if of.is_float else "i"

    def body(arguments: list[str]) -> list[str]:
        factors = arguments[:2]
        for i, value in enumerate(op.operands[:2]):
            if value.type.element != of.element:
                widen = "arith.extf" if of.is_float else "arith.extsi"
                factors[i] = p.define(
                    f"{widen} {factors[i]} : {value.type.element} to {of.element}"
                )
        product = p.define(f"arith.mul{kind} {factors[0]}, {factors[1]} : {of.element}")
        return [p.define(f"arith.add{kind} {arguments[2]}, {product} : {of.element}")]

    p.generic(op, maps, ["parallel", "parallel", "reduction"], op.operands[:2], [outs], body)


def _reduce(p: _Printer, op: Operation) -> None:
    source, of = op.operands[0].type, op.results[0].type
    axis = op.attributes["axis"]
    kept = [f"d{i}" for i in range(source.rank) if i != axis]
    maps = [_map(source.rank, [f"d{i}" for i in range(source.rank)]), _map(source.rank, kept)]
    iterators = ["reduction" if i == axis else "parallel" for i in range(source.rank)]
    outs = p.filled(of, 0)

    def body(arguments: list[str]) -> list[str]:
        return [p.scalar(op.attributes["function"], arguments, of.element, of.element)]

    p.generic(op, maps, iterators, op.operands, [outs], body)


def _broadcast(p: _Printer, op: Operation) -> None:
    of = op.results[0].type
    maps = [
        _map(of.rank, [f"d{i}" for i in op.attributes["dims"]]),
        _map(of.rank, [f"d{i}" for i in range(of.rank)]),
    ]
    empty = p.empty(of)
    p.generic(op, maps, ["parallel"] * of.rank, op.operands, [empty], lambda args: args[:1])


def _transpose(p: _Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    empty = p.empty(of)
    # linalg.transpose prints no arrow: its result type is that of `outs`.
    p.result(
        op,
        f"linalg.transpose ins({p.names[source]} : {source.type}) outs({empty} : {of}) "
        f"permutation = {list(op.attributes['permutation'])}",
    )


def _concat(p: _Printer, op: Operation) -> None:
    """A concatenation, as `tensor.concat` or as a chain of insertions."""
    of, axis = op.results[0].type, op.attributes["axis"]
    if op.attributes["style"] == "concat":
        names, types = p.listed(op.operands)
        p.result(op, f"tensor.concat dim({axis}) {names} : ({types}) -> {of}")
        return
    whole = p.empty(of)
    offset = 0
    for value in op.operands:
        offsets = ", ".join(str(offset if i == axis else 0) for i in range(of.rank))
        whole = p.define(
            f"tensor.insert_slice {p.names[value]} into {whole}[{offsets}] "
            f"[{p.extents(value.type.dims)}] [{', '.join(['1'] * of.rank)}] : "
            f"{value.type} into {of}"
        )
        offset += value.type.dims[axis] or 0
    p.names[op.results[0]] = whole


def _slice(p: _Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    p.result(
        op,
        f"tensor.extract_slice {p.names[source]}[{', '.join(map(str, op.attributes['offsets']))}] "
        f"[{p.extents(of.dims)}] [{', '.join(map(str, op.attributes['strides']))}] : "
        f"{source.type} to {of}",
    )


def _insert(p: _Printer, op: Operation) -> None:
    part, whole = op.operands[:2]
    offsets = list(map(str, op.attributes["offsets"]))
    if len(op.operands) == 3:  # an induction variable, in the first dimension
        offsets[0] = p.names[op.operands[2]]
    p.result(
        op,
        f"tensor.insert_slice {p.names[part]} into {p.names[whole]}[{', '.join(offsets)}] "
        f"[{p.extents(part.type.dims)}] [{', '.join(['1'] * whole.type.rank)}] : "
        f"{part.type} into {whole.type}",
    )


def _reshape(p: _Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    groups = op.attributes["groups"]
    if of.rank > source.type.rank:
        p.result(
            op,
            f"tensor.expand_shape {p.names[source]} {groups} "
            f"output_shape [{p.extents(of.dims)}] : {source.type} into {of}",
        )
    else:
        p.result(op, f"tensor.collapse_shape {p.names[source]} {groups} : {source.type} into {of}")


def _pad(p: _Printer, op: Operation) -> None:
    source, of = op.operands[0], op.results[0].type
    value = p.constant(op.attributes["value"], of.element)
    low, high = (", ".join(map(str, op.attributes[side])) for side in ("low", "high"))
    p.result(op, f"tensor.pad {p.names[source]} low[{low}] high[{high}] {{")
    arguments = ", ".join(f"{p.fresh()}: index" for _ in range(of.rank))
    p.line(f"^bb0({arguments}):")
    p.line(f"  tensor.yield {value} : {of.element}")
    p.line(f"}} : {source.type} to {of}")


def _reverse(p: _Printer, op: Operation) -> None:
    """A gather: the rows in reverse."""
    source, of = op.operands[0], op.results[0].type
    last = p.index((of.dims[0] or 1) - 1)
    empty = p.empty(of)

    def body(arguments: list[str]) -> list[str]:
        indices = [p.define(f"linalg.index {i} : index") for i in range(of.rank)]
        indices[0] = p.define(f"arith.subi {last}, {indices[0]} : index")
        name = p.names[source]
        return [p.define(f"tensor.extract {name}[{', '.join(indices)}] : {source.type}")]

    identity = _map(of.rank, [f"d{i}" for i in range(of.rank)])
    p.generic(op, [identity], ["parallel"] * of.rank, [], [empty], body)


def _barrier(p: _Printer, op: Operation) -> None:
    value = op.operands[0]
    p.result(op, f"util.optimization_barrier {p.names[value]} : {value.type}")


def _extract(p: _Printer, op: Operation) -> None:
    source = op.operands[0]
    zero = p.index(0)
    indices = ", ".join([zero] * source.type.rank)
    p.result(op, f"tensor.extract {p.names[source]}[{indices}] : {source.type}")


def _if(p: _Printer, op: Operation) -> None:
    condition = op.operands[0]
    zero = p.constant(0, condition.type.element)
    compare = "arith.cmpf ogt" if condition.type.is_float else "arith.cmpi sgt"
    truth = p.define(f"{compare}, {p.names[condition]}, {zero} : {condition.type}")
    types = ", ".join(str(value.type) for value in op.results)
    several = f"({types})"
    # Values of the blocks are printed before the results have names of their own.
    for value in op.results:
        p.names[value] = p.fresh()
    names = ", ".join(p.names[value] for value in op.results)
    p.line(f"{names} = scf.if {truth} -> {several} {{")
    p.nested(op.blocks[0])
    p.line("} else {")
    p.nested(op.blocks[1])
    p.line("}")


def _for(p: _Printer, op: Operation) -> None:
    """`operands` are the initial values, and the trip count last if it is dynamic."""
    block = op.blocks[0]
    carried = op.operands[: len(op.results)]
    first, step = p.index(0), p.index(1)
    if "trips" in op.attributes:
        last = p.index(op.attributes["trips"])
    else:
        count = op.operands[-1]
        last = p.define(f"arith.index_cast {p.names[count]} : {count.type} to index")
    for value in [*op.results, *block.arguments]:
        p.names[value] = p.fresh()
    names = ", ".join(p.names[value] for value in op.results)
    pairs = ", ".join(
        f"{p.names[inner]} = {p.names[outer]}"
        for inner, outer in zip(block.arguments[1:], carried, strict=True)
    )
    types = ", ".join(str(value.type) for value in op.results)
    p.line(
        f"{names} = scf.for {p.names[block.arguments[0]]} = {first} to {last} step {step} "
        f"iter_args({pairs}) -> ({types}) {{"
    )
    p.nested(block)
    p.line("}")


def _call(p: _Printer, op: Operation) -> None:
    names, types = p.listed(op.operands)
    results = ", ".join(str(value.type) for value in op.results)
    p.result(
        op, f"func.call @{p.prefix}{op.attributes['callee']}({names}) : ({types}) -> ({results})"
    )


def _load(p: _Printer, op: Operation) -> None:
    p.result(op, f"util.global.load @{p.prefix}{op.attributes['name']} : {op.results[0].type}")


def _store(p: _Printer, op: Operation) -> None:
    value = op.operands[0]
    p.line(f"util.global.store {p.names[value]}, @{p.prefix}{op.attributes['name']} : {value.type}")


EMITTERS: dict[str, Callable[[_Printer, Operation], None]] = {
    "constant": _constant,
    "splat": _splat,
    "elementwise": _elementwise,
    "several": _several,
    "cast": _cast,
    "named": _named,
    "pool": _pool,
    "product": _product,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "concat": _concat,
    "slice": _slice,
    "insert": _insert,
    "reshape": _reshape,
    "pad": _pad,
    "reverse": _reverse,
    "barrier": _barrier,
    "extract": _extract,
    "if": _if,
    "for": _for,
    "call": _call,
    "global_load": _load,
    "global_store": _store,
}
