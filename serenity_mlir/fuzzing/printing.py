# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes functions of programs as MLIR."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from serenity_mlir.fuzzing.program import Block, Function, Operation, Type, Value

__all__ = ["SCALARS", "Printer", "affine_map_text", "dense", "identity_map", "number"]


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
    "sigmoid": (1, "math.exp {0} : {t}", ""),  # printed in full by Printer.scalar
}

#: The constant `{c}`: for floats, for integers.
SCALAR_CONSTANTS: dict[str, tuple[float, int]] = {
    "relu": (0, 0),
    "scale": (0.5, 1),
    "shift": (0.75, 3),
    "neg": (0, 0),
}


def dims_text(count: int) -> str:
    return ", ".join(f"d{i}" for i in range(count))


def affine_map_text(count: int, results: Sequence[str]) -> str:
    """An affine map from `count` dimensions."""
    return f"affine_map<({dims_text(count)}) -> ({', '.join(results)})>"


def identity_map(rank: int) -> str:
    """The identity affine map of a rank."""
    return affine_map_text(rank, [f"d{i}" for i in range(rank)])


class Printer:
    """Writes one function.

    Args:
      prefix: of all symbol names.
      emitters: a function per kind of operation, which writes it.
    """

    def __init__(
        self, prefix: str, emitters: Mapping[str, Callable[[Printer, Operation], None]]
    ) -> None:
        self.prefix = prefix
        self.emitters = emitters
        self.lines: list[str] = []
        self.names: dict[Value, str] = {}
        self.counter = 0
        self.indent = "  "
        self.extent: str | None = None

    # Helpers of the emitters.

    def fresh(self) -> str:
        """A name that is not used yet."""
        self.counter += 1
        return f"%{self.counter - 1}"

    def line(self, text: str) -> None:
        """Write a line."""
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
        """Write a scalar constant and return its name."""
        return self.define(f"arith.constant {number(value, element)} : {element}")

    def index(self, value: int) -> str:
        """Write a constant of type index and return its name."""
        return self.define(f"arith.constant {value} : index")

    def empty(self, of: Type) -> str:
        """Write a tensor.empty and return its name."""
        dynamic = ", ".join(self.dynamic() for extent in of.dims if extent is None)
        return self.define(f"tensor.empty({dynamic}) : {of}")

    def dynamic(self) -> str:
        """The name of the extent of dynamic dimensions."""
        return self.extent or "%no_dynamic_argument"

    def filled(self, of: Type, value: float) -> str:
        """Write a tensor filled with a number and return its name."""
        empty = self.empty(of)
        constant = self.constant(value, of.element)
        return self.define(
            f"linalg.fill ins({constant} : {of.element}) outs({empty} : {of}) -> {of}"
        )

    def as_index(self, value: Value) -> str:
        """Write a scalar as an index if it is none, and return its name."""
        name = self.names[value]
        if value.type.element == "index":
            return name
        return self.define(f"arith.index_cast {name} : {value.type} to index")

    def extents(self, shape: Sequence[int | None]) -> str:
        """Extents of a shape, separated by commas."""
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
        """Write a linalg.generic; `body` maps scalar arguments to the yielded values."""
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
        """Return the lines of a function."""
        for position, value in enumerate(function.body.arguments):
            self.names[value] = f"%arg{position}"
        parts = [f"{self.names[v]}: {v.type}" for v in function.body.arguments]
        parts += [
            f"%storage{position}: !hal.buffer {{iree.abi.output = {position} : index}}"
            for position in function.stored_results
        ]
        arguments = ", ".join(parts)
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
        """Write the operations of a block."""
        for operation in block.operations:
            self.emitters[operation.kind](self, operation)

    def nested(self, block: Block) -> None:
        """Write a block of control flow, up to its terminator."""
        self.indent += "  "
        self.operations(block)
        names, types = self.listed(block.results)
        self.line(f"scf.yield {names} : {types}")
        self.indent = self.indent[:-2]
