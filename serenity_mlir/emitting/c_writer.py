# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A `Program` as C99: NAME.h, the interface, and NAME.c, tables of commands that it interprets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

from serenity_mlir.emitting.hal_reader import tensor_bytes
from serenity_mlir.emitting.kernels import Kernel
from serenity_mlir.emitting.math_functions import define_math_function
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

__all__ = ["ALIGNMENT", "Layout", "template", "write_header", "write_source"]

#: Of every memory, in bytes: IREE's offsets are multiples of it.
ALIGNMENT = 64

_C_TYPES = {
    "i1": "uint8_t",
    "i8": "int8_t",
    "i16": "int16_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "si8": "int8_t",
    "si16": "int16_t",
    "si32": "int32_t",
    "si64": "int64_t",
    "ui8": "uint8_t",
    "ui16": "uint16_t",
    "ui32": "uint32_t",
    "ui64": "uint64_t",
    # C99 has no type for them.
    "f16": "uint16_t",
    "bf16": "uint16_t",
    "f32": "float",
    "f64": "double",
    "complex<f32>": "float",
    "complex<f64>": "double",
}


def template(name: str) -> str:
    """Return a file of the package's templates."""
    return (resources.files("serenity_mlir.emitting") / "templates" / name).read_text("utf-8")


@dataclass(frozen=True)
class _Array:
    """One array of the interface: a tensor, or an allocation with several of them."""

    name: str
    place: Place
    tensors: tuple[tuple[str, Tensor], ...]
    bytes: int

    @property
    def plain(self) -> bool:
        """Whether it is one tensor and nothing else."""
        return len(self.tensors) == 1 and self.tensors[0][1].span.length == self.bytes


@dataclass(frozen=True)
class Layout:
    """A program under the names of its C interface.

    Attributes:
      name: prefix of every symbol, a C identifier.
      program: the commands it runs.
      kernels: by name; the objects' symbols are NAME_kernel_I, I by `Program.kernels`.
      arrays: of inputs and results, those in the arena aside.
      held: inputs and results in the arena, as C names.
      weights_bytes: of NAME_weights: the constants, each aligned.
    """

    name: str
    program: Program
    kernels: dict[str, Kernel]
    arrays: tuple[_Array, ...] = field(init=False)
    held: tuple[tuple[str, Tensor], ...] = field(init=False)
    weights_offsets: tuple[int, ...] = field(init=False)
    weights_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        offsets, end = [], 0
        for data in self.program.constants:
            end += -end % ALIGNMENT
            offsets.append(end)
            end += len(data)
        object.__setattr__(self, "weights_offsets", tuple(offsets))
        object.__setattr__(self, "weights_bytes", end)
        object.__setattr__(self, "arrays", tuple(self._arrays()))
        object.__setattr__(self, "held", tuple(self._held()))

    def _arrays(self) -> list[_Array]:
        program = self.program
        arrays = []
        for i, tensor in enumerate(program.inputs):
            if tensor is not None and tensor.span.place.memory is not Memory.ARENA:
                name = f"{self.name}_input_{i}"
                arrays.append(
                    _Array(name, tensor.span.place, ((name, tensor),), program.input_bytes[i])
                )
        for i, size in enumerate(program.result_bytes):
            inside = [
                (f"{self.name}_output_{k}", tensor)
                for k, tensor in enumerate(program.results)
                if tensor.span.place.index == i
            ]
            inside.sort(key=lambda entry: entry[1].span.offset)
            alone = len(inside) == 1 and inside[0][1].span.length == size
            name = inside[0][0] if alone else f"{self.name}_results_{i}"
            arrays.append(_Array(name, Place(Memory.RESULT, i), tuple(inside), size))
        return arrays

    def _held(self) -> list[tuple[str, Tensor]]:
        program = self.program
        if program.held is None:
            return []
        inputs = [(f"{self.name}_input_{i}", one) for i, one in enumerate(program.inputs) if one]
        return inputs + [(f"{self.name}_output_{i}", one) for i, one in enumerate(program.results)]

    @property
    def upper(self) -> str:
        """Prefix of every macro."""
        return self.name.upper()

    @property
    def external_bytes(self) -> int:
        """Bytes of inputs and results, without alignment, in the arena or not."""
        return self.separate_bytes + sum(tensor.span.length for _, tensor in self.held)

    @property
    def separate_bytes(self) -> int:
        """Bytes of inputs and results outside of the arena, without alignment."""
        return sum(array.bytes for array in self.arrays)

    @property
    def arena(self) -> str:
        """The C object that is the arena, a pointer if the caller gives it."""
        return f"{self.name}_memory" if self.held else f"{self.name}_arena"

    def weights(self) -> bytes:
        """Return the content of NAME_weights."""
        data = bytearray(self.weights_bytes)
        for offset, constant in zip(self.weights_offsets, self.program.constants, strict=True):
            data[offset : offset + len(constant)] = constant
        return bytes(data)


def _c_type(tensor: Tensor) -> str:
    if tensor.element not in _C_TYPES:
        raise SerenityError(
            f"elements of type {tensor.element} have no type in C; use {', '.join(_C_TYPES)}"
        )
    return _C_TYPES[tensor.element]


def _count(tensor: Tensor) -> int:
    """Elements of the C array; an empty tensor has one, since C has no empty arrays."""
    double = 2 if tensor.element.startswith("complex") else 1
    return max(math.prod(tensor.shape) * double, 1)


# --- the header --------------------------------------------------------------


def _tensor_macros(layout: Layout, kind: str, i: int, tensor: Tensor) -> list[str]:
    prefix = f"{layout.upper}_{kind}_{i}"
    lines = [
        f"/* tensor<{''.join(f'{extent}x' for extent in tensor.shape)}{tensor.element}> */",
        f"#define {prefix}_ELEMENTS {math.prod(tensor.shape)}",
        f"#define {prefix}_BYTES {tensor_bytes(tensor.element, tensor.shape)}",
        f"#define {prefix}_RANK {len(tensor.shape)}",
    ]
    lines += [f"#define {prefix}_DIM_{k} {extent}" for k, extent in enumerate(tensor.shape)]
    if tensor.shape:
        lines.append(f"#define {prefix}_SHAPE {{{', '.join(map(str, tensor.shape))}}}")
    return lines


def _struct(layout: Layout, array: _Array) -> list[str]:
    """Return the definition of a structure that has its tensors at their offsets."""
    lines, end = [f"struct {array.name} {{"], 0
    for name, tensor in array.tensors:
        if tensor.span.offset > end:
            lines.append(f"  uint8_t before_{_member(layout, name)}[{tensor.span.offset - end}];")
        lines.append(f"  {_c_type(tensor)} {_member(layout, name)}[{_count(tensor)}];")
        end = tensor.span.offset + max(tensor.span.length, 1)
    if array.bytes > end:
        lines.append(f"  uint8_t rest[{array.bytes - end}];")
    return [*lines, "};"]


def _union(layout: Layout) -> list[str]:
    """Return the definition of the arena as a union with the inputs and results in it."""
    lines = [
        "/* The arena, and the inputs and outputs in it, at their offsets. */",
        f"union {layout.arena} {{",
        f"  uint8_t arena[{layout.upper}_ARENA_BYTES];",
    ]
    for name, tensor in layout.held:
        before = f"uint8_t before[{tensor.span.offset}]; " if tensor.span.offset else ""
        array = f"{_c_type(tensor)} data[{_count(tensor)}];"
        lines.append(f"  struct {{ {before}{array} }} {_member(layout, name)};")
    return [*lines, "};"]


def _member(layout: Layout, name: str) -> str:
    return name.removeprefix(layout.name + "_")


def _declarations(layout: Layout, pointers: bool) -> list[str]:
    lines = []
    for array in layout.arrays:
        if array.plain:
            tensor = array.tensors[0][1]
            kind = _c_type(tensor)
            shape = "" if pointers else f"[{_count(tensor)}]"
        else:
            kind, shape = f"struct {array.name}", ""
        star = "*" if pointers else ""
        lines.append(f"extern {kind} {star}{array.name}{shape};")
        if not array.plain:
            arrow = "->" if pointers else "."
            lines += [
                f"#define {name} ({array.name}{arrow}{_member(layout, name)})"
                for name, _ in array.tensors
            ]
    if layout.held:
        arrow = "->" if pointers else "."
        lines += [
            f"extern union {layout.arena} {'*' if pointers else ''}{layout.arena};",
            f"#define {layout.name}_arena ({layout.arena}{arrow}arena)",
            *(
                f"#define {name} ({layout.arena}{arrow}{_member(layout, name)}.data)"
                for name, _ in layout.held
            ),
        ]
    elif layout.program.arena_bytes:
        name = layout.arena
        lines.append(
            f"extern uint8_t *{name};"
            if pointers
            else f"extern uint8_t {name}[{layout.upper}_ARENA_BYTES];"
        )
    return lines


def write_header(layout: Layout, title: str, overwritten: Sequence[int] = ()) -> str:
    """Return NAME.h.

    Args:
      layout: the program to declare.
      title: the model's name, for the comment.
      overwritten: the inputs that do not keep their values.
    """
    name, upper, program = layout.name, layout.upper, layout.program
    held = bool(layout.held)
    lines = [
        f"/* {title}: the interface of {name}.c. Written by `serenity emit-c`; do not edit. */",
        f"#ifndef {upper}_H_",
        f"#define {upper}_H_",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "/* Bytes. The arena holds everything transient between the calls of kernels"
        + (",\n * and the inputs and outputs. */" if held else ". */"),
        f"#define {upper}_ARENA_BYTES {program.arena_bytes}",
        f"#define {upper}_WEIGHTS_BYTES {layout.weights_bytes}",
        f"#define {upper}_INPUTS_AND_OUTPUTS_BYTES {layout.external_bytes}",
        "/* Of every array below, in bytes. */",
        f"#define {upper}_ALIGNMENT {ALIGNMENT}",
        "",
        f"#define {upper}_INPUTS {len(program.inputs)}",
        f"#define {upper}_OUTPUTS {len(program.results)}",
    ]
    for i, tensor in enumerate(program.inputs):
        if tensor is None:
            lines.append(f"/* Input {i} is not used; it has no array. */")
        else:
            lines += _tensor_macros(layout, "INPUT", i, tensor)
    for i, tensor in enumerate(program.results):
        lines += _tensor_macros(layout, "OUTPUT", i, tensor)
    lines += [
        "",
        "/* What the functions below return. */",
        f"#define {upper}_OK 0",
        "/* A pointer is null or not aligned. */",
        f"#define {upper}_ERROR_MEMORY 1",
        "/* A kernel failed; the outputs are not valid. */",
        f"#define {upper}_ERROR_KERNEL 2",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
    ]
    for array in layout.arrays:
        if not array.plain:
            lines += [*_struct(layout, array), ""]
    if layout.held:
        lines += [*_union(layout), ""]
    lines += [
        f"/* With {upper}_CALLER_MEMORY defined, here and where {name}.c is compiled, the caller",
        f" * sets these pointers before {name}_init; otherwise they are static arrays. */",
        f"#ifdef {upper}_CALLER_MEMORY",
        *_declarations(layout, True),
        "#else",
        *_declarations(layout, False),
        "#endif",
        "",
        "/* Call once, before the first inference. */",
        f"int {name}_init(void);",
        "/* One inference, from the inputs to the outputs.",
        f" * {_said_of_inputs(overwritten)}",
        *([" * Read the outputs before you write the next inputs: they may share bytes."] * held),
        " */",
        f"int {name}_invoke(void);",
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        f"#endif /* {upper}_H_ */",
        "",
    ]
    return "\n".join(lines)


def _said_of_inputs(overwritten: Sequence[int]) -> str:
    if not overwritten:
        return "The inputs keep their values."
    plural = "s" if len(overwritten) > 1 else ""
    listed = ", ".join(map(str, overwritten))
    return f"It overwrites input{plural} {listed}: write anew before every call."


# --- the source --------------------------------------------------------------


class _Tables:
    """The constant tables of NAME.c, in which equal parts are kept once."""

    def __init__(self, layout: Layout, places: Sequence[Place]) -> None:
        self.layout = layout
        self.places = list(places)
        self.bindings: list[tuple[int, int, int]] = []
        self.constants: list[int] = []
        self.calls: dict[str, int] = {}

    def span(self, span: Span) -> tuple[int, int, int]:
        offset = span.offset
        place = span.place
        if place.memory is Memory.CONSTANT:
            offset += self.layout.weights_offsets[place.index]
            place = Place(Memory.CONSTANT)
        return self.places.index(place), offset, span.length

    def add(self, command: Command) -> str:
        """Return a command's row."""
        if isinstance(command, Fill):
            pattern = int.from_bytes(command.pattern, "little")
            words: tuple[int, ...] = (pattern,)
            kernel, grid, size = "0", (len(command.pattern), 0, 0), (0, 0, 0)
        elif isinstance(command, Copy):
            words = ()
            kernel, grid, size = "0", (0, 0, 0), (0, 0, 0)
        else:
            assert isinstance(command, Dispatch)
            words = command.constants
            index = self.layout.program.kernels.index(command.kernel)
            kernel, grid = f"{self.layout.name}_kernel_{index}", command.workgroups
            size = self.layout.kernels[command.kernel].workgroup_size
        first_binding = _place(self.bindings, [self.span(span) for span in command.spans])
        first_constant = _place(self.constants, list(words))
        numbers = (*grid, *size, len(command.spans), len(words))
        # Parts and bands call one kernel many times.
        call = f"{{{kernel}, {', '.join(map(str, numbers))}}}"
        number = self.calls.setdefault(call, len(self.calls))
        return f"{{{number}, {first_binding}, {first_constant}}}"

    def definitions(self, rows: Sequence[str]) -> list[str]:
        """Return the tables in C; C has no empty ones."""
        bindings = [f"{{{place}, {offset}, {length}}}" for place, offset, length in self.bindings]
        constants = [f"{constant}u" for constant in self.constants]
        lines = []
        for kind, name, entries, width in (
            ("binding", "bindings", bindings or ["{0, 0, 0}"], 4),
            ("uint32_t", "constants", constants or ["0"], 8),
            ("call", "calls", list(self.calls) or ["{0, 0, 0, 0, 0, 0, 0, 0, 0}"], 1),
            ("command", "commands", list(rows) or ["{0, 0, 0}"], 4),
        ):
            head = f"static const {kind} {name}[{len(entries)}] = {{"
            lines += [head, *_rows(entries, width), "};", ""]
        return lines[:-1]

    @property
    def index_type(self) -> str:
        """The narrowest type for places in the tables."""
        most = max(len(self.calls), len(self.bindings), len(self.constants))
        return "uint16_t" if most < 1 << 16 else "uint32_t"


def _place(
    table: list[object] | list[int] | list[tuple[int, int, int]], part: Sequence[object]
) -> int:
    """Return where a table has `part`, which is appended if it has not."""
    rows: list[object] = table  # type: ignore[assignment]
    part = list(part)
    for start in range(len(rows) - len(part) + 1):
        if rows[start : start + len(part)] == part:
            return start
    rows.extend(part)
    return len(rows) - len(part)


def _rows(rows: Sequence[str], width: int = 1) -> list[str]:
    return ["    " + ", ".join(rows[i : i + width]) + "," for i in range(0, len(rows), width)]


def _memories(layout: Layout) -> list[str]:
    """Return the definitions of the arrays, or of the pointers to the caller's."""
    upper, arena = layout.upper, bool(layout.program.arena_bytes)
    pointers, arrays = [], []
    for array in layout.arrays:
        if array.plain:
            tensor = array.tensors[0][1]
            pointers.append(f"{_c_type(tensor)} *{array.name};")
            arrays.append(f"ALIGNED {_c_type(tensor)} {array.name}[{_count(tensor)}];")
        else:
            pointers.append(f"struct {array.name} *{array.name};")
            arrays.append(f"ALIGNED struct {array.name} {array.name};")
    if layout.held:
        kind = f"union {layout.arena}"
        pointers.append(f"{kind} *{layout.arena};")
        arrays.append(f"ALIGNED {upper}_ARENA_ATTRIBUTES {kind} {layout.arena};")
    elif arena:
        pointers.append(f"uint8_t *{layout.name}_arena;")
        arrays.append(
            f"ALIGNED {upper}_ARENA_ATTRIBUTES uint8_t {layout.name}_arena[{upper}_ARENA_BYTES];"
        )
    return [
        f"#ifdef {upper}_CALLER_MEMORY",
        *pointers,
        "#else",
        *arrays,
        "#endif",
    ]


def write_source(layout: Layout, title: str, math_functions: Sequence[str]) -> str:
    """Return NAME.c.

    Args:
      layout: the program it runs.
      title: the model's name, for the comment.
      math_functions: those that the kernels call (`math_functions.MATH_FUNCTIONS`).
    """
    places = [array.place for array in layout.arrays]
    if layout.program.arena_bytes:
        places.append(Place(Memory.ARENA))
    if layout.program.constants:
        places.append(Place(Memory.CONSTANT))
    tables = _Tables(layout, places)
    rows = [tables.add(command) for command in layout.program.commands]
    lines = [
        *_preamble(layout, title, tables.index_type),
        "",
        *_declared_kernels(layout),
        "",
        *_memories(layout),
        "",
        *_layout_checks(layout),
        *tables.definitions(rows),
        "",
        *template("interpreter.c").rstrip().splitlines(),
        "",
        *_entry_points(layout, len(rows)),
    ]
    if math_functions:
        lines += [
            "",
            "/* The kernels call these where the processor has no instruction for them. */",
        ]
        helpers: set[str] = set()
        for function in math_functions:
            lines += ["", define_math_function(function, f"{layout.name}_", helpers).rstrip()]
    return "\n".join(lines) + "\n"


def _preamble(layout: Layout, title: str, index_type: str) -> list[str]:
    name, upper = layout.name, layout.upper
    return [
        f"/* {title}, compiled ahead of time: the order of its kernels and where their buffers",
        f" * lie. The kernels and the weights are in {name}.o. Written by `serenity emit-c`; do",
        " * not edit. */",
        f'#include "{name}.h"',
        "",
        "#include <string.h>",
        "",
        "#if defined(__GNUC__) || defined(__clang__)",
        f"#define ALIGNED __attribute__((aligned({upper}_ALIGNMENT)))",
        "#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L",
        f"#define ALIGNED _Alignas({upper}_ALIGNMENT)",
        "#else",
        '#error "define ALIGNED as the attribute that aligns a variable with this compiler"',
        "#endif",
        "",
        '/* For example __attribute__((section(".dtcm"))): where the arena goes. */',
        f"#ifndef {upper}_ARENA_ATTRIBUTES",
        f"#define {upper}_ARENA_ATTRIBUTES",
        "#endif",
        "",
        *template("kernel_abi.h").rstrip().splitlines(),
        "",
        "typedef struct {",
        "  kernel_function kernel; /* null: a fill of one buffer, or a copy between two */",
        "  uint32_t x, y, z;       /* workgroups; of a fill, the bytes of its pattern */",
        "  uint32_t size_x, size_y;",
        "  uint16_t size_z;",
        "  uint8_t binding_count, constant_count;",
        "} call;",
        "",
        "typedef struct {",
        f"  {index_type} call, first_binding, first_constant;",
        "} command;",
        "",
        "typedef struct {",
        "  uint8_t place;",
        "  size_t offset, length;",
        "} binding;",
    ]


def _declared_kernels(layout: Layout) -> list[str]:
    lines = []
    for i, kernel in enumerate(layout.program.kernels):
        lines += [
            f"/* {kernel} */",
            f"int {layout.name}_kernel_{i}(const kernel_environment *, const kernel_dispatch *,",
            "    const kernel_workgroup *);",
        ]
    if layout.program.constants:
        size = f"{layout.upper}_WEIGHTS_BYTES"
        lines.append(f"extern const uint8_t {layout.name}_weights[{size}];")
    return lines


def _entry_points(layout: Layout, count: int) -> list[str]:
    """Return NAME_init and NAME_invoke, which runs `count` commands."""
    name, upper, program = layout.name, layout.upper, layout.program
    addresses = [array.name if array.plain else f"&{array.name}" for array in layout.arrays]
    pointers = [array.name for array in layout.arrays]
    if program.arena_bytes:
        addresses.append(f"{name}_arena")
        pointers.append(layout.arena)
    most = max([1, *(len(command.spans) for command in program.commands)])
    lines = [f"int {name}_init(void) {{", f"#ifdef {upper}_CALLER_MEMORY"]
    for pointer in pointers:
        lines += [
            f"  if ({pointer} == 0 || (uintptr_t){pointer} % {upper}_ALIGNMENT != 0) {{",
            f"    return {upper}_ERROR_MEMORY;",
            "  }",
        ]
    lines += [
        "#endif",
        f"  return {upper}_OK;",
        "}",
        "",
        f"int {name}_invoke(void) {{",
        f"#ifdef {upper}_CALLER_MEMORY",
        f"  void *const places[] = {{{', '.join(_places(layout, pointers))}}};",
        "#else",
        f"  void *const places[] = {{{', '.join(_places(layout, addresses))}}};",
        "#endif",
        f"  for (size_t i = 0; i < {count}; ++i) {{",
        "    const command *c = &commands[i];",
        "    const call *k = &calls[c->call];",
        f"    void *pointers[{most}];",
        f"    size_t lengths[{most}];",
        "    for (size_t j = 0; j < k->binding_count; ++j) {",
        "      const binding *b = &bindings[c->first_binding + j];",
        "      pointers[j] = (uint8_t *)places[b->place] + b->offset;",
        "      lengths[j] = b->length;",
        "    }",
        "    if (k->kernel != 0) {",
        "      if (dispatch(k, constants + c->first_constant, pointers, lengths) != 0) {",
        f"        return {upper}_ERROR_KERNEL;",
        "      }",
        "    } else if (k->binding_count == 1) {",
        "      fill((uint8_t *)pointers[0], lengths[0], constants + c->first_constant, k->x);",
    ]
    if most > 1:
        lines += ["    } else {", "      memcpy(pointers[1], pointers[0], lengths[0]);"]
    return [*lines, "    }", "  }", f"  return {upper}_OK;", "}"]


def _places(layout: Layout, memories: Sequence[str]) -> list[str]:
    if layout.program.constants:
        # Kernels take every buffer as `void *`; they do not write to this one.
        return [*memories, f"(void *)(uintptr_t){layout.name}_weights"]
    return list(memories) or ["0"]


def _layout_checks(layout: Layout) -> list[str]:
    lines = []
    if layout.held:
        kind = f"union {layout.arena}"
        lines.append(
            f"KERNEL_ABI_CHECK(arena_bytes, sizeof({kind}) == {layout.upper}_ARENA_BYTES);"
        )
        lines += [
            f"KERNEL_ABI_CHECK({_member(layout, name)}_offset, "
            f"offsetof({kind}, {_member(layout, name)}.data) == {tensor.span.offset});"
            for name, tensor in layout.held
        ]
    for array in layout.arrays:
        if array.plain:
            continue
        lines.append(
            f"KERNEL_ABI_CHECK({_member(layout, array.name)}_bytes, "
            f"sizeof(struct {array.name}) >= {array.bytes});"
        )
        lines += [
            f"KERNEL_ABI_CHECK({_member(layout, name)}_offset, "
            f"offsetof(struct {array.name}, {_member(layout, name)}) == {tensor.span.offset});"
            for name, tensor in array.tensors
        ]
    return [*lines, ""] if lines else []
