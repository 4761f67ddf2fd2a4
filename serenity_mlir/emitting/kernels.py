# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kernels of a static library, read from the tables that IREE's runtime would read.

The layout is that of version 6 of IREE's ``iree/hal/local/executable_library.h``, as IREE 3.12 and
3.13 write it. `templates/kernel_abi.h` has the part of it that the emitted code uses at run time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from serenity_mlir._versions import SUPPORTED_IREE
from serenity_mlir.emitting.elf import STT_FUNC, ElfObject, Section, Symbol
from serenity_mlir.errors import SerenityError

__all__ = ["ABI_VERSION", "Kernel", "read_kernels"]

#: ``IREE_HAL_EXECUTABLE_LIBRARY_VERSION``.
ABI_VERSION = 6

#: Bytes of an entry of the table of attributes.
_ATTRIBUTES_BYTES = 64

_QUERY = "_library_query"

_EM_ARM = 40


@dataclass(frozen=True)
class Kernel:
    """One dispatch function.

    Attributes:
      name: as dispatches name it.
      symbol: where its code is.
      local_memory_pages: scratch memory that it needs per workgroup, in pages of 4096 bytes.
      constant_count: 32-bit constants that it reads.
      binding_count: buffers that it accesses.
      workgroup_size: as it expects it.
    """

    name: str
    symbol: Symbol
    local_memory_pages: int
    constant_count: int
    binding_count: int
    workgroup_size: tuple[int, int, int]


def read_kernels(library: ElfObject) -> dict[str, Kernel]:
    """Return the kernels of a library by name.

    Raises:
      SerenityError: its tables are of another version, or kernels need imports.
    """
    queries = [symbol for symbol in library.symbols if symbol.name.endswith(_QUERY)]
    if len(queries) != 1 or queries[0].section is None:
        raise SerenityError(f"{library.name}: {len(queries)} functions *{_QUERY}, expected one")
    query = queries[0].name
    table = library.symbol(f"{query}_v0").section
    assert table is not None
    pointer = library.pointer_bytes

    header = library.pointer(table, 0)
    assert header is not None
    version = struct.unpack_from("<I", header[0].data, header[1])[0]
    if version != ABI_VERSION:
        raise SerenityError(
            f"{library.name}: executable library of version {version}, emit-c knows {ABI_VERSION}; "
            f"use IREE {' or '.join(f'{major}.{minor}' for major, minor in SUPPORTED_IREE)}"
        )
    # struct { header*; struct { u32 count; symbols*; } imports; struct { u32 count; ptrs*; attrs*;
    # params*; occupancy*; names*; ... } exports; ... }
    imports = struct.unpack_from("<I", table.data, pointer)[0]
    if imports:
        listed = library.pointer(table, 2 * pointer) is not None
        listing = f" ({', '.join(_names(library, table, 2 * pointer, imports))})" if listed else ""
        raise SerenityError(
            f"{library.name}: kernels call {imports} function{'' if imports == 1 else 's'} of the "
            f"host's runtime{listing}; leave out --iree-llvmcpu-enable-ukernels and other flags "
            "that link to functions of the runtime"
        )
    exports = 3 * pointer
    count = struct.unpack_from("<I", table.data, exports)[0]
    functions = library.pointer(table, exports + pointer)
    attributes = library.pointer(table, exports + 2 * pointer)
    names = _names(library, table, exports + 5 * pointer, count)
    assert functions is not None
    found = {}
    for i, name in enumerate(names):
        pages = constants = bindings = 0
        size = (1, 1, 1)
        if attributes is not None:
            data, at = attributes[0].data, attributes[1] + i * _ATTRIBUTES_BYTES
            _, pages, constants, bindings, *rest = struct.unpack_from("<QHBBIIH", data, at)
            # Zeros stand for a size that the caller chooses.
            size = (max(rest[0], 1), max(rest[1], 1), max(rest[2], 1))
        target = library.pointer(functions[0], functions[1] + i * pointer)
        assert target is not None
        symbol = _function_at(library, *target)
        found[name] = Kernel(name, symbol, pages, constants, bindings, size)
    return found


def _function_at(library: ElfObject, section: Section, offset: int) -> Symbol:
    # The lowest bit of an address of Thumb code is set, in symbols and in addends.
    mask = ~1 if library.machine == _EM_ARM else ~0
    for symbol in library.symbols:
        same = symbol.section is section and symbol.value & mask == offset & mask
        if same and symbol.kind == STT_FUNC:
            return symbol
    raise SerenityError(f"{library.name}: no function at {section.name}+{offset}")


def _names(library: ElfObject, table: Section, offset: int, count: int) -> list[str]:
    where = library.pointer(table, offset)
    if where is None:
        raise SerenityError(f"{library.name}: the library has no names")
    found = []
    for i in range(count):
        text = library.pointer(where[0], where[1] + i * library.pointer_bytes)
        assert text is not None
        data = text[0].data
        found.append(data[text[1] : data.index(b"\0", text[1])].decode())
    return found
