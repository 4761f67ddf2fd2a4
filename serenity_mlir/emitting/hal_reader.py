# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a module after IREE's ``hal`` phase to a `Program`.

At that phase a function whose sizes are static allocates its slab and its results, and submits one
command buffer that an initializer has recorded. `read_program` runs the host code on symbols:
integers are known, devices and fences are nothing, buffers are places. A value that remains unknown
where a size or a branch needs it cannot become static code, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from serenity_mlir.emitting.program import (
    Command,
    Copy,
    Dispatch,
    Fill,
    Memory,
    Place,
    Program,
    Span,
    Tensor,
)
from serenity_mlir.errors import SerenityError

__all__ = ["entry_points", "read_program", "tensor_bytes"]

#: Host operations that one call may run; a loop without end stops there.
_STEP_LIMIT = 1_000_000


class _Opaque:
    """A value without meaning on the target (a device, a fence), or one that is not known."""


_OPAQUE = _Opaque()


@dataclass(eq=False)
class _Memory:
    """An argument's buffer, a constant or an allocation."""

    bytes: int | None
    argument: int | None = None
    constant: int | None = None


@dataclass(frozen=True)
class _Buffer:
    """A buffer of the host code: a part of a memory."""

    memory: _Memory
    offset: int = 0


@dataclass(frozen=True)
class _Slot:
    """An entry of the binding table with which a command buffer is submitted."""

    index: int


@dataclass(frozen=True)
class _View:
    """A tensor that the function returns."""

    buffer: _Buffer
    length: int
    element: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Argument:
    """A tensor that the caller gives."""

    index: int


@dataclass(frozen=True)
class _HostData:
    """Data in the module, by its place in `_Reader.constants`."""

    constant: int


@dataclass(frozen=True)
class _Reference:
    """A span of a slot or a buffer, as a command names it."""

    target: _Slot | _Buffer
    offset: int
    length: int


@dataclass
class _Recorded:
    """A command of which the memories may still be slots."""

    make: Callable[[list[Span]], Command]
    references: list[_Reference]


@dataclass
class _CommandBuffer:
    commands: list[_Recorded] = field(default_factory=list)


def _string(attribute: Any) -> str:
    from iree.compiler import ir

    return str(ir.StringAttr(attribute).value)


def entry_points(module: Any) -> list[str]:
    """Return the names of the functions that a caller of the module can use."""
    found = []
    for operation in module.body.operations:
        operation = operation.operation
        if operation.name != "util.func" or not operation.regions[0].blocks:
            continue
        attributes = operation.attributes
        if "sym_visibility" in attributes and _string(attributes["sym_visibility"]) == "private":
            continue
        found.append(_string(attributes["sym_name"]))
    # The importers of ONNX and torch export NAME$async too, which NAME calls.
    return [name for name in found if name.partition("$async")[0] not in found or "$" not in name]


def read_program(
    module: Any,
    function: str,
    evaluate: Callable[[Sequence[Any]], list[bytes]],
    types: Sequence[tuple[str, tuple[int, ...]] | None] = (),
) -> Program:
    """Read one entry point.

    Args:
      module: an `iree.compiler.ir.Module` after the ``hal`` phase.
      function: one of `entry_points`.
      types: element type and shape of arguments, by position, for those that the function returns
        without looking at them; None where they are not known.
      evaluate: returns the bytes of ``util.buffer.constant`` operations.

    Raises:
      SerenityError: the function cannot run without a host: sizes or branches that are not
        static, several slabs, state between calls, values computed at load time.
    """
    return _Reader(module, function, types).read(evaluate)


class _Reader:
    """Runs the host code of one function."""

    def __init__(
        self, module: Any, function: str, types: Sequence[tuple[str, tuple[int, ...]] | None]
    ) -> None:
        self.function = function
        self.types = types
        self.symbols: dict[str, Any] = {}
        self.initializers: list[Any] = []
        for operation in module.body.operations:
            operation = operation.operation
            if "sym_name" in operation.attributes:
                self.symbols[_string(operation.attributes["sym_name"])] = operation
            elif operation.name == "util.initializer":
                self.initializers.append(operation)
        self.globals: dict[str, Any] = {}
        self.loading = False
        self.steps = 0
        self.constants: list[Any] = []
        self.inputs: dict[int, _Memory] = {}
        self.input_types: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.commands: list[tuple[_Recorded, list[_Buffer]]] = []
        self.allocations: list[_Memory] = []

    # --- the whole -----------------------------------------------------------

    def read(self, evaluate: Callable[[Sequence[Any]], list[bytes]]) -> Program:
        function = self.symbols[self.function]
        arguments: list[Any] = []
        count = 0
        for argument in function.regions[0].blocks[0].arguments:
            kind = str(argument.type)
            if kind == "!hal.buffer_view":
                arguments.append(_Argument(count))
                count += 1
            elif kind == "!hal.fence":
                arguments.append(_OPAQUE)
            elif kind == "!hal.buffer":
                self.refuse(
                    function,
                    f"argument {len(arguments)} is a buffer for transient memory, which emit-c "
                    "declares itself",
                    "leave out --iree-torch-externalize-transients and iree.abi.transients",
                )
            else:
                self.refuse(
                    function,
                    f"argument {len(arguments)} is a scalar ({kind})",
                    "make it a tensor of rank 0",
                )
        results = self.run(function, arguments)
        return self.program(function, count, results, evaluate)

    def program(
        self,
        function: Any,
        count: int,
        returned: list[Any],
        evaluate: Callable[[Sequence[Any]], list[bytes]],
    ) -> Program:
        """Give every memory its place, and every command its spans."""
        views = [self.view(function, value) for value in returned if value is not _OPAQUE]
        of_results: list[_Memory] = []
        for view in views:
            memory = view.buffer.memory
            if memory in self.allocations and memory not in of_results:
                of_results.append(memory)
        arenas = [memory for memory in self.allocations if memory not in of_results]
        if len(arenas) > 1:
            self.refuse(
                function,
                f"it allocates {len(arenas)} transient buffers in separate execution regions",
                "remove what splits it: host reads of tensors, data-dependent branches, "
                "util.optimization_barrier",
            )
        places: dict[int, Place] = {}
        for i, memory in enumerate(of_results):
            places[id(memory)] = Place(Memory.RESULT, i)
        for memory in arenas:
            places[id(memory)] = Place(Memory.ARENA)
        for i, memory in self.inputs.items():
            places[id(memory)] = Place(Memory.INPUT, i)

        def span(buffer: _Buffer, offset: int, length: int) -> Span:
            constant = buffer.memory.constant
            place = (
                places[id(buffer.memory)] if constant is None else Place(Memory.CONSTANT, constant)
            )
            return Span(place, buffer.offset + offset, length)

        commands: list[Command] = []
        for recorded, table in self.commands:
            spans = []
            for reference in recorded.references:
                target = reference.target
                buffer = table[target.index] if isinstance(target, _Slot) else target
                spans.append(span(buffer, reference.offset, reference.length))
            commands.append(recorded.make(spans))
        recorded_commands = len(commands)
        result_bytes = [memory.bytes or 0 for memory in of_results]
        results: list[Tensor] = []
        for view in views:
            where = span(view.buffer, 0, view.length)
            taken = where.place.memory is not Memory.RESULT or any(
                _overlap(where, other.span) for other in results
            )
            if taken:
                # An input or a constant returned as it is, or one value returned twice.
                copied = Span(Place(Memory.RESULT, len(result_bytes)), 0, view.length)
                result_bytes.append(view.length)
                commands.append(Copy(where, copied))
                where = copied
            results.append(Tensor(view.element, view.shape, where))
        inputs = [
            Tensor(*self.input_types[i], Span(Place(Memory.INPUT, i), 0, _length(self.inputs[i])))
            if i in self.inputs and i in self.input_types
            else None
            for i in range(count)
        ]
        return Program(
            function=self.function,
            inputs=tuple(inputs),
            results=tuple(results),
            input_bytes=tuple(
                _length(self.inputs[i]) if i in self.inputs else 0 for i in range(count)
            ),
            result_bytes=tuple(result_bytes),
            arena_bytes=_length(arenas[0]) if arenas else 0,
            constants=tuple(evaluate(self.constants)) if self.constants else (),
            commands=tuple(commands),
            appended_copies=len(commands) - recorded_commands,
        )

    def view(self, function: Any, value: Any) -> _View:
        """Return a returned value as a view."""
        if isinstance(value, _Argument):
            memory = self.input(value.index)
            known = self.types[value.index] if value.index < len(self.types) else None
            if value.index not in self.input_types and known is not None:
                self.input_types[value.index] = known
                memory.bytes = tensor_bytes(*known)
            if value.index not in self.input_types:
                self.refuse(
                    function,
                    f"argument {value.index} is returned as it is, with a type that is not known",
                    "do not return it",
                )
            return _View(_Buffer(memory), _length(memory), *self.input_types[value.index])
        if not isinstance(value, _View):
            self.refuse(function, "a result is no tensor", "return tensors only")
        return value

    def input(self, index: int) -> _Memory:
        return self.inputs.setdefault(index, _Memory(None, argument=index))

    # --- running -------------------------------------------------------------

    def refuse(self, operation: Any, problem: str, remedy: str) -> NoReturn:
        location = str(operation.location)
        if location.startswith("loc("):
            location = location[len("loc(") : -1]
        where = "" if location == "unknown" else f" at {location}"
        raise SerenityError(f"{self.function}: {problem}{where}; {remedy}")

    def run(self, function: Any, arguments: Sequence[Any]) -> list[Any]:
        """Run a function or an initializer on symbols and return its results."""
        environment: dict[Any, Any] = {}
        block = function.regions[0].blocks[0]
        incoming = list(arguments)
        while True:
            environment.update(zip(block.arguments, incoming, strict=True))
            for operation in block.operations:
                operation = operation.operation
                self.steps += 1
                if self.steps > _STEP_LIMIT:
                    self.refuse(
                        operation,
                        "host loop of more than a million steps",
                        "unroll it in the model",
                    )
                values = [environment[operand] for operand in operation.operands]
                if operation.name == "util.return":
                    return values
                if operation.name in ("cf.br", "cf.cond_br"):
                    block, incoming = self.branch(operation, values)
                    break
                results = self.step(operation, values)
                environment.update(zip(operation.results, results, strict=True))
            else:
                self.refuse(operation, f"unknown terminator {operation.name}", "report this module")

    def branch(self, operation: Any, values: list[Any]) -> tuple[Any, list[Any]]:
        """Return the block that a branch goes to, and the values for its arguments."""
        successors = list(operation.successors)
        if operation.name == "cf.br":
            return successors[0], values
        condition, *rest = values
        if not isinstance(condition, int):
            self.refuse(
                operation,
                "host control flow that depends on data",
                "compute both branches and select, or unroll the loop in the model",
            )
        count = len(successors[0].arguments)
        return (successors[0], rest[:count]) if condition else (successors[1], rest[count:])

    def step(self, operation: Any, values: list[Any]) -> list[Any]:
        """Run one operation that is no terminator; return its results."""
        name = operation.name
        handler = _HANDLERS.get(name)
        if handler is not None:
            results: list[Any] = handler(self, operation, values)
            return results
        if name.startswith(("arith.", "hal.fence.", "math.")) or name in _IGNORED:
            return [_OPAQUE] * len(operation.results)
        if name.startswith("scf."):
            self.refuse(
                operation,
                f"host control flow ({name})",
                "compute both branches and select, or unroll the loop in the model",
            )
        self.refuse(operation, f"{name} needs a host", "keep the function to static tensor code")

    def number(self, operation: Any, value: Any, what: str) -> int:
        if not isinstance(value, int):
            self.refuse(
                operation, f"dynamic sizes: {what} is not known", "compile with static shapes"
            )
        return value

    # --- values --------------------------------------------------------------

    def constant(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        attribute = operation.attributes["value"]
        if isinstance(attribute, ir.BoolAttr):
            return [int(attribute.value)]
        return [int(attribute.value) if isinstance(attribute, ir.IntegerAttr) else _OPAQUE]

    def arithmetic(self, operation: Any, values: list[Any]) -> list[Any]:
        if not all(isinstance(value, int) for value in values):
            return [_OPAQUE]
        return [_ARITHMETIC[operation.name](*values)]

    def element_type(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        return [str(ir.TypeAttr(operation.attributes["type"]).value)]

    def call(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        callee = str(ir.FlatSymbolRefAttr(operation.attributes["callee"]).value)
        function = self.symbols.get(callee)
        if function is None or not function.regions[0].blocks:
            self.refuse(operation, f"call of @{callee}, which has no body", "inline it")
        return self.run(function, values)

    def load(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        name = str(ir.FlatSymbolRefAttr(operation.attributes["global"]).value)
        if str(operation.results[0].type) in ("!hal.device", "!hal.executable"):
            return [_OPAQUE]
        if name in self.globals:
            return [self.globals[name]]
        declared = self.symbols[name]
        if "is_mutable" in declared.attributes:
            self.refuse(
                declared,
                f"state between calls in @{name}",
                "pass the state as an argument and return its new value",
            )
        if "initial_value" in declared.attributes:
            value = declared.attributes["initial_value"]
            known = isinstance(value, ir.IntegerAttr)
            self.globals[name] = int(value.value) if known else _OPAQUE
            return [self.globals[name]]
        initializer = next((one for one in self.initializers if _stores(one, name)), None)
        if initializer is None:
            self.refuse(declared, f"@{name} is never initialized", "report this module")
        loading, self.loading = self.loading, True
        self.run(initializer, ())
        self.loading = loading
        return [self.globals[name]]

    def store(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        name = str(ir.FlatSymbolRefAttr(operation.attributes["global"]).value)
        if not self.loading:
            self.refuse(
                operation,
                f"state between calls in @{name}",
                "pass the state as an argument and return its new value",
            )
        self.globals[name] = values[0]
        return []

    # --- buffers -------------------------------------------------------------

    def host_data(self, operation: Any, values: list[Any]) -> list[Any]:
        self.constants.append(operation)
        return [_HostData(len(self.constants) - 1)]

    def import_data(self, operation: Any, values: list[Any]) -> list[Any]:
        source = next(value for value in values if isinstance(value, _HostData))
        offset = self.number(operation, values[-2], "an offset")
        return [1, _Buffer(_Memory(None, constant=source.constant), offset)]

    def check_view(self, operation: Any, values: list[Any]) -> list[Any]:
        argument, element, _, *shape = values
        if isinstance(argument, _Argument):
            extents = tuple(
                self.number(operation, extent, f"the shape of argument {argument.index}")
                for extent in shape
            )
            self.input_types[argument.index] = (str(element), extents)
        return []

    def view_buffer(self, operation: Any, values: list[Any]) -> list[Any]:
        if isinstance(values[0], _View):
            return [values[0].buffer]
        return [_Buffer(self.input(values[0].index))]

    def check_buffer(self, operation: Any, values: list[Any]) -> list[Any]:
        buffer = values[0]
        if isinstance(buffer, _Buffer) and buffer.memory.argument is not None:
            buffer.memory.bytes = self.number(
                operation, values[-1], f"the size of argument {buffer.memory.argument}"
            )
        return []

    def allocate(self, operation: Any, values: list[Any]) -> list[Any]:
        if self.loading:
            self.refuse(
                operation,
                "values computed when the module is loaded",
                "fold them into the weights (--iree-opt-const-eval)",
            )
        memory = _Memory(self.number(operation, values[-1], "the size of an allocation"))
        self.allocations.append(memory)
        return [_Buffer(memory)]

    def subspan(self, operation: Any, values: list[Any]) -> list[Any]:
        buffer, offset, _ = values
        return [_Buffer(buffer.memory, buffer.offset + self.number(operation, offset, "an offset"))]

    def make_view(self, operation: Any, values: list[Any]) -> list[Any]:
        buffer, offset, length, element, _, *shape = values
        offset = self.number(operation, offset, "an offset of a result")
        return [
            _View(
                _Buffer(buffer.memory, buffer.offset + offset),
                self.number(operation, length, "the size of a result"),
                str(element),
                tuple(self.number(operation, extent, "the shape of a result") for extent in shape),
            )
        ]

    # --- commands ------------------------------------------------------------

    def create(self, operation: Any, values: list[Any]) -> list[Any]:
        return [_CommandBuffer()]

    def reference(self, operation: Any, target: Any, offset: Any, length: Any) -> _Reference:
        if isinstance(target, int):
            target = _Slot(target)
        elif isinstance(target, _HostData):
            target = _Buffer(_Memory(None, constant=target.constant))
        elif not isinstance(target, _Buffer):
            self.refuse(operation, "a command on a buffer that is not known", "report this module")
        return _Reference(
            target,
            self.number(operation, offset, "an offset"),
            self.number(operation, length, "a length"),
        )

    def fill(self, operation: Any, values: list[Any]) -> list[Any]:
        commands, target, offset, length, pattern = values
        commands.commands.append(self.filling(operation, target, offset, length, pattern))
        return []

    def filling(
        self, operation: Any, target: Any, offset: Any, length: Any, pattern: Any
    ) -> _Recorded:
        width = max(_width(operation.operands[len(operation.operands) - 1].type), 8) // 8
        number = self.number(operation, pattern, "the pattern of a fill")
        data = (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        return _Recorded(
            lambda spans: Fill(spans[0], data), [self.reference(operation, target, offset, length)]
        )

    def copy(self, operation: Any, values: list[Any]) -> list[Any]:
        commands, source, source_offset, target, target_offset, length = values
        commands.commands.append(
            self.copying(operation, source, source_offset, target, target_offset, length)
        )
        return []

    def copying(
        self,
        operation: Any,
        source: Any,
        source_offset: Any,
        target: Any,
        target_offset: Any,
        length: Any,
    ) -> _Recorded:
        return _Recorded(
            lambda spans: Copy(spans[0], spans[1]),
            [
                self.reference(operation, source, source_offset, length),
                self.reference(operation, target, target_offset, length),
            ],
        )

    def update(self, operation: Any, values: list[Any]) -> list[Any]:
        commands, source, _, source_offset, target, target_offset, length = values
        commands.commands.append(
            self.copying(operation, source, source_offset, target, target_offset, length)
        )
        return []

    def lookup(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        path = ir.SymbolRefAttr(operation.attributes["entry_point"]).value
        return [str(path[-1])]

    def dispatch(self, operation: Any, values: list[Any]) -> list[Any]:
        from iree.compiler import ir

        sizes = list(ir.DenseI32ArrayAttr(operation.attributes["operandSegmentSizes"]))
        parts: list[list[Any]] = []
        rest = values
        for size in sizes:
            parts.append(rest[:size])
            rest = rest[size:]
        (commands,), _, (kernel,), x, y, z, constants, buffers, offsets, lengths = parts
        if not isinstance(kernel, str):
            self.refuse(operation, "a dispatch of a kernel that is not known", "report this module")
        grid = [self.number(operation, part[0], "a workgroup count") for part in (x, y, z)]
        words = tuple(
            self.number(operation, value, "a dispatch constant") & 0xFFFFFFFF for value in constants
        )
        references = [
            self.reference(operation, *binding)
            for binding in zip(buffers, offsets, lengths, strict=True)
        ]
        workgroups = (grid[0], grid[1], grid[2])
        commands.commands.append(
            _Recorded(lambda spans: Dispatch(kernel, workgroups, words, tuple(spans)), references)
        )
        return []

    def execute_indirect(self, operation: Any, values: list[Any]) -> list[Any]:
        recorded, rest = values[4], values[5:]
        count = len(rest) // 3
        table = [
            _Buffer(
                buffer.memory, buffer.offset + self.number(operation, offset, "a binding offset")
            )
            for buffer, offset in zip(rest[:count], rest[count : 2 * count], strict=True)
        ]
        self.submit(operation, recorded, table)
        return []

    def execute(self, operation: Any, values: list[Any]) -> list[Any]:
        for recorded in values[4:]:
            self.submit(operation, recorded, [])
        return []

    def submit(self, operation: Any, recorded: Any, table: list[_Buffer]) -> None:
        if self.loading:
            self.refuse(
                operation,
                "values computed when the module is loaded",
                "fold them into the weights (--iree-opt-const-eval)",
            )
        if not isinstance(recorded, _CommandBuffer):
            self.refuse(operation, "a command buffer that is not known", "report this module")
        self.commands += [(command, table) for command in recorded.commands]

    def queue_fill(self, operation: Any, values: list[Any]) -> list[Any]:
        _, _, _, _, target, offset, length, pattern = values
        recorded = self.filling(operation, target, offset, length, pattern)
        self.submit(operation, _CommandBuffer([recorded]), [])
        return []

    def queue_copy(self, operation: Any, values: list[Any]) -> list[Any]:
        recorded = self.copying(operation, *values[4:9])
        self.submit(operation, _CommandBuffer([recorded]), [])
        return []

    def await_fence(self, operation: Any, values: list[Any]) -> list[Any]:
        return [0]


def tensor_bytes(element: str, shape: Sequence[int]) -> int:
    """Return the bytes of a dense tensor; i1 takes a byte."""
    inner = element.removeprefix("complex<").removesuffix(">")
    bits = int("".join(filter(str.isdigit, inner))) * (2 if inner != element else 1)
    return math.prod(shape) * max(bits // 8, 1)


def _length(memory: _Memory) -> int:
    return memory.bytes or 0


def _overlap(one: Span, other: Span) -> bool:
    return one.place == other.place and (
        one.offset < other.offset + other.length and other.offset < one.offset + one.length
    )


def _width(kind: Any) -> int:
    from iree.compiler import ir

    return int(kind.width) if isinstance(kind, ir.IntegerType) else 0


def _stores(initializer: Any, name: str) -> bool:
    from iree.compiler import ir

    return any(
        operation.operation.name == "util.global.store"
        and ir.FlatSymbolRefAttr(operation.operation.attributes["global"]).value == name
        for block in initializer.regions[0].blocks
        for operation in block.operations
    )


_ARITHMETIC: dict[str, Callable[..., int]] = {
    "arith.addi": lambda a, b: a + b,
    "arith.subi": lambda a, b: a - b,
    "arith.muli": lambda a, b: a * b,
    "arith.index_cast": lambda a: a,
    "arith.index_castui": lambda a: a,
    "arith.extsi": lambda a: a,
    "arith.select": lambda c, a, b: a if c else b,
}

#: Without an effect on the target; their results are opaque.
_IGNORED = frozenset(
    {
        "hal.buffer.length",
        "hal.buffer_usage",
        "hal.buffer_view.dim",
        "hal.buffer_view.element_type",
        "hal.buffer_view.encoding_type",
        "hal.buffer_view.rank",
        "hal.command_buffer.begin_debug_group",
        "hal.command_buffer.end_debug_group",
        "hal.command_buffer.execution_barrier",
        "hal.command_buffer.finalize",
        "hal.device.allocator",
        "hal.device.queue.barrier",
        "hal.device.queue.dealloca",
        "hal.device.queue.flush",
        "hal.devices.count",
        "hal.devices.get",
        "hal.encoding_type",
        "hal.memory_type",
        "util.null",
        "util.status.check_ok",
    }
)

_HANDLERS: dict[str, Callable[[_Reader, Any, list[Any]], list[Any]]] = {
    "arith.constant": _Reader.constant,
    **dict.fromkeys(_ARITHMETIC, _Reader.arithmetic),
    "hal.allocator.allocate": _Reader.allocate,
    "hal.allocator.import": _Reader.import_data,
    "hal.buffer.assert": _Reader.check_buffer,
    "hal.buffer.subspan": _Reader.subspan,
    "hal.buffer_view.assert": _Reader.check_view,
    "hal.buffer_view.buffer": _Reader.view_buffer,
    "hal.buffer_view.create": _Reader.make_view,
    "hal.command_buffer.copy_buffer": _Reader.copy,
    "hal.command_buffer.create": _Reader.create,
    "hal.command_buffer.dispatch": _Reader.dispatch,
    "hal.command_buffer.fill_buffer": _Reader.fill,
    "hal.command_buffer.update_buffer": _Reader.update,
    "hal.device.queue.alloca": _Reader.allocate,
    "hal.device.queue.copy": _Reader.queue_copy,
    "hal.device.queue.execute": _Reader.execute,
    "hal.device.queue.execute.indirect": _Reader.execute_indirect,
    "hal.device.queue.fill": _Reader.queue_fill,
    "hal.device.queue.update": _Reader.queue_copy,
    "hal.element_type": _Reader.element_type,
    "hal.executable.lookup.function": _Reader.lookup,
    "hal.fence.await": _Reader.await_fence,
    "util.buffer.constant": _Reader.host_data,
    "util.call": _Reader.call,
    "util.global.load": _Reader.load,
    "util.global.store": _Reader.store,
}
