# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Relocatable ELF objects: read, reduced to the reachable sections, extended, written.

The compiler's object holds the kernels, the tables through which IREE's runtime finds them, and
helper functions that no kernel may use. A firmware wants the kernels and the weights, under names
that do not clash with another model's. No tool of the target's toolchain is needed for that.

Only the objects that LLVM writes for little-endian targets are read: ELF32 and ELF64, one symbol
table, REL or RELA relocations, fewer than 65,280 sections.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from serenity_mlir.errors import SerenityError

__all__ = ["ElfObject", "Section", "Symbol"]

SHT_PROGBITS = 1
SHT_SYMTAB = 2
SHT_STRTAB = 3
SHT_RELA = 4
SHT_NOBITS = 8
SHT_REL = 9
SHT_GROUP = 17
SHF_WRITE = 0x1
SHF_ALLOC = 0x2
SHF_EXECINSTR = 0x4
SHF_LINK_ORDER = 0x80
SHF_GROUP = 0x200
SHN_UNDEF = 0
SHN_LORESERVE = 0xFF00
STB_LOCAL = 0
STB_GLOBAL = 1
STT_OBJECT = 1
STT_FUNC = 2
STT_SECTION = 3
STT_FILE = 4

_HEADER = {1: "<16sHHIIIIIHHHHHH", 2: "<16sHHIQQQIHHHHHH"}
_SECTION = {1: "<IIIIIIIIII", 2: "<IIQQQQIIQQ"}
_SYMBOL = {1: "<IIIBBH", 2: "<IBBHQQ"}


@dataclass
class Section:
    """A section; `link` and `info` are other sections where the format has indexes of them.

    Attributes:
      data: its bytes; as many zeros where the file has none (SHT_NOBITS).
      relocations: of this section's bytes.
    """

    name: str
    kind: int
    flags: int
    data: bytes
    alignment: int
    entry_size: int = 0
    link: Section | None = None
    relocations: list[Relocation] = field(default_factory=list)
    relocation_kind: int = 0

    @property
    def allocated(self) -> bool:
        """Whether it takes memory on the target."""
        return bool(self.flags & SHF_ALLOC)


@dataclass
class Symbol:
    """A symbol; `section` is None where it is undefined or absolute (`index` tells which)."""

    name: str
    value: int
    size: int
    binding: int
    kind: int
    other: int
    section: Section | None
    index: int = SHN_UNDEF

    @property
    def undefined(self) -> bool:
        """Whether another object has to define it."""
        return self.section is None and self.index == SHN_UNDEF


@dataclass
class Relocation:
    """A place in a section that depends on a symbol; `addend` is None where the bytes hold it."""

    offset: int
    symbol: Symbol
    kind: int
    addend: int | None


class ElfObject:
    """A relocatable object.

    Args:
      content: the file.
      name: its name in messages.

    Raises:
      SerenityError: it is not an object of the kinds in the module's description.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self.sections: list[Section] = []
        self.symbols: list[Symbol] = []
        if content[:4] != b"\x7fELF" or content[4] not in (1, 2) or content[5] != 1:
            raise SerenityError(f"{name}: not a little-endian ELF object")
        self.elf_class: int = content[4]
        try:
            self._read(content)
        except (struct.error, IndexError, ValueError) as error:
            raise SerenityError(f"{name}: damaged ELF object ({error})") from error

    @property
    def pointer_bytes(self) -> int:
        """Bytes of an address: 4 or 8."""
        return 4 if self.elf_class == 1 else 8

    # --- reading -------------------------------------------------------------

    def _read(self, content: bytes) -> None:
        header = struct.unpack_from(_HEADER[self.elf_class], content)
        self._ident, kind, self.machine = header[0], header[1], header[2]
        self._version, self._flags = header[3], header[7]
        start, count, names_index = header[6], header[12], header[13]
        if kind != 1:
            raise ValueError("not relocatable")
        entry = _SECTION[self.elf_class]
        raw = [
            struct.unpack_from(entry, content, start + i * struct.calcsize(entry))
            for i in range(count)
        ]
        names = raw[names_index]
        table = content[names[4] : names[4] + names[5]]
        found: dict[int, Section] = {}
        for i, fields in enumerate(raw):
            if i == 0 or fields[1] in (SHT_SYMTAB, SHT_STRTAB, SHT_REL, SHT_RELA):
                continue
            if fields[1] == SHT_GROUP or fields[2] & SHF_GROUP:
                raise ValueError("section groups are not supported")
            name, kind, flags, _, offset, size, _, _, alignment, entry_size = fields
            data = bytes(size) if kind == SHT_NOBITS else content[offset : offset + size]
            found[i] = Section(_text(table, name), kind, flags, data, alignment, entry_size)
        for i, section in found.items():
            if section.flags & SHF_LINK_ORDER:
                section.link = found[raw[i][6]]
        self.sections = list(found.values())
        tables = [i for i, fields in enumerate(raw) if fields[1] == SHT_SYMTAB]
        if len(tables) != 1:
            raise ValueError(f"{len(tables)} symbol tables")
        self._read_symbols(content, raw[tables[0]], raw, found)
        for fields in raw:
            if fields[1] in (SHT_REL, SHT_RELA):
                self._read_relocations(content, fields, found[fields[7]])

    def _read_symbols(
        self,
        content: bytes,
        fields: tuple[int, ...],
        raw: list[tuple[int, ...]],
        found: dict[int, Section],
    ) -> None:
        strings = raw[fields[6]]
        table = content[strings[4] : strings[4] + strings[5]]
        entry = _SYMBOL[self.elf_class]
        for at in range(fields[4], fields[4] + fields[5], struct.calcsize(entry)):
            if self.elf_class == 1:
                name, value, size, info, other, index = struct.unpack_from(entry, content, at)
            else:
                name, info, other, index, value, size = struct.unpack_from(entry, content, at)
            section = found.get(index) if index < SHN_LORESERVE else None
            self.symbols.append(
                Symbol(_text(table, name), value, size, info >> 4, info & 15, other, section, index)
            )

    def _read_relocations(self, content: bytes, fields: tuple[int, ...], of: Section) -> None:
        of.relocation_kind = fields[1]
        entry = self._relocation_format(fields[1])
        for at in range(fields[4], fields[4] + fields[5], struct.calcsize(entry)):
            offset, info, *rest = struct.unpack_from(entry, content, at)
            shift = 8 if self.elf_class == 1 else 32
            symbol, kind = info >> shift, info & ((1 << shift) - 1)
            addend = rest[0] if rest else None
            of.relocations.append(Relocation(offset, self.symbols[symbol], kind, addend))

    def _relocation_format(self, kind: int) -> str:
        if self.elf_class == 1:
            return "<IIi" if kind == SHT_RELA else "<II"
        return "<QQq" if kind == SHT_RELA else "<QQ"

    # --- looking -------------------------------------------------------------

    def symbol(self, name: str) -> Symbol:
        """Return the defined symbol of this name.

        Raises:
          SerenityError: there is none.
        """
        for symbol in self.symbols:
            if symbol.name == name and symbol.section is not None:
                return symbol
        raise SerenityError(f"{self.name}: no symbol {name!r}")

    def pointer(self, section: Section, offset: int) -> tuple[Section, int] | None:
        """Return where the pointer at an offset of a section leads; None if it is null."""
        for relocation in section.relocations:
            if relocation.offset == offset:
                target = relocation.symbol
                if target.section is None:
                    raise SerenityError(f"{self.name}: {section.name} points to {target.name!r}")
                addend = relocation.addend
                if addend is None:
                    form = "<I" if self.elf_class == 1 else "<Q"
                    addend = struct.unpack_from(form, section.data, offset)[0]
                return target.section, target.value + addend
        return None

    def undefined(self) -> list[str]:
        """Return the names that other objects have to define, sorted."""
        return sorted(symbol.name for symbol in self.symbols if symbol.name and symbol.undefined)

    def allocated(self) -> Iterator[Section]:
        """Iterate over the sections that take memory on the target."""
        return (section for section in self.sections if section.allocated)

    # --- changing ------------------------------------------------------------

    def keep_reachable(self, roots: Iterable[Symbol]) -> None:
        """Remove sections and symbols that the roots do not need, and all debug information.

        Sections without memory on the target that describe the object (the ABI's attributes, the
        note about the stack) stay. Unwind tables go: no kernel throws.
        """
        roots = list(roots)
        work = [root.section for root in roots if root.section is not None]
        keep: set[int] = set()
        while work:
            section = work.pop()
            if id(section) in keep:
                continue
            keep.add(id(section))
            work += [
                relocation.symbol.section
                for relocation in section.relocations
                if relocation.symbol.section is not None
            ]
        self.sections = [
            section
            for section in self.sections
            if id(section) in keep or not (section.allocated or _is_debug(section))
        ]
        needed = {id(root) for root in roots}
        for section in self.sections:
            needed.update(id(relocation.symbol) for relocation in section.relocations)
        present = {id(section) for section in self.sections}
        self.symbols = [
            symbol
            for i, symbol in enumerate(self.symbols)
            if i == 0
            or id(symbol) in needed
            # ARM's and RISC-V's marks of code and data steer disassemblers and byte order.
            or (symbol.name.startswith(("$", ".L")) and id(symbol.section) in present)
        ]

    def add_object(self, name: str, data: bytes, section: str, alignment: int) -> Symbol:
        """Add a constant with a global symbol in a read-only section of its own."""
        added = Section(section, SHT_PROGBITS, SHF_ALLOC, data, alignment)
        self.sections.append(added)
        symbol = Symbol(name, 0, len(data), STB_GLOBAL, STT_OBJECT, 0, added)
        self.symbols.append(symbol)
        return symbol

    def rename(self, old: str, new: str) -> None:
        """Give the symbol of this name, defined or not, another one."""
        for symbol in self.symbols:
            if symbol.name == old:
                symbol.name = new

    def export(self, symbol: Symbol, name: str) -> None:
        """Define a global symbol for where a local one stands."""
        self.symbols.append(replace(symbol, name=name, binding=STB_GLOBAL))

    # --- writing -------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the file. The same object always gives the same bytes."""
        symbols = sorted(self.symbols[1:], key=lambda symbol: symbol.binding != STB_LOCAL)
        symbols.insert(0, self.symbols[0])
        index_of = {id(symbol): i for i, symbol in enumerate(symbols)}
        numbers: dict[int, int] = {}
        count = 1
        for section in self.sections:
            numbers[id(section)] = count
            count += 2 if section.relocations else 1
        symtab, strtab = count, count + 1
        strings = _Strings()
        table = b"".join(self._symbol_bytes(symbol, numbers, strings) for symbol in symbols)
        locals_count = sum(symbol.binding == STB_LOCAL for symbol in symbols)

        # (name, type, flags, data, link, info, alignment, entry size), in order.
        rows: list[tuple[str, int, int, bytes, int, int, int, int]] = []
        for section in self.sections:
            link = 0 if section.link is None else numbers[id(section.link)]
            rows.append(
                (
                    section.name,
                    section.kind,
                    section.flags,
                    section.data,
                    link,
                    0,
                    section.alignment,
                    section.entry_size,
                )
            )
            if section.relocations:
                kind = section.relocation_kind
                entry = self._relocation_format(kind)
                data = b"".join(
                    self._relocation_bytes(entry, relocation, index_of)
                    for relocation in section.relocations
                )
                prefix = ".rela" if kind == SHT_RELA else ".rel"
                # 0x40, SHF_INFO_LINK: `info` is a section.
                rows.append(
                    (
                        prefix + section.name,
                        kind,
                        0x40,
                        data,
                        symtab,
                        numbers[id(section)],
                        self.pointer_bytes,
                        struct.calcsize(entry),
                    )
                )
        entry_size = struct.calcsize(_SYMBOL[self.elf_class])
        rows.append(
            (".symtab", SHT_SYMTAB, 0, table, strtab, locals_count, self.pointer_bytes, entry_size)
        )
        return self._file_bytes(rows, strings)

    def _symbol_bytes(self, symbol: Symbol, numbers: dict[int, int], strings: _Strings) -> bytes:
        index = symbol.index if symbol.section is None else numbers[id(symbol.section)]
        name, info = strings.add(symbol.name), symbol.binding << 4 | symbol.kind
        entry, value, size = _SYMBOL[self.elf_class], symbol.value, symbol.size
        if self.elf_class == 1:
            return struct.pack(entry, name, value, size, info, symbol.other, index)
        return struct.pack(entry, name, info, symbol.other, index, value, size)

    def _relocation_bytes(
        self, entry: str, relocation: Relocation, index_of: dict[int, int]
    ) -> bytes:
        shift = 8 if self.elf_class == 1 else 32
        info = index_of[id(relocation.symbol)] << shift | relocation.kind
        rest = () if relocation.addend is None else (relocation.addend,)
        return struct.pack(entry, relocation.offset, info, *rest)

    def _file_bytes(
        self, rows: list[tuple[str, int, int, bytes, int, int, int, int]], strings: _Strings
    ) -> bytes:
        names = [strings.add(row[0]) for row in rows]
        own_name = strings.add(".strtab")
        rows.append((".strtab", SHT_STRTAB, 0, strings.data(), 0, 0, 1, 0))
        names.append(own_name)
        header_size = struct.calcsize(_HEADER[self.elf_class])
        body, headers = bytearray(), [bytes(struct.calcsize(_SECTION[self.elf_class]))]
        for name, (_, kind, flags, data, link, info, alignment, entry_size) in zip(
            names, rows, strict=True
        ):
            body += bytes(-(header_size + len(body)) % max(alignment, 1))
            headers.append(
                struct.pack(
                    _SECTION[self.elf_class],
                    name,
                    kind,
                    flags,
                    0,
                    header_size + len(body),
                    len(data),
                    link,
                    info,
                    alignment,
                    entry_size,
                )
            )
            if kind != SHT_NOBITS:
                body += data
        body += bytes(-(header_size + len(body)) % 8)
        header = struct.pack(
            _HEADER[self.elf_class],
            self._ident,
            1,
            self.machine,
            self._version,
            0,
            0,
            header_size + len(body),
            self._flags,
            header_size,
            0,
            0,
            len(headers[0]),
            len(headers),
            len(headers) - 1,
        )
        return header + bytes(body) + b"".join(headers)


class _Strings:
    """A string table under construction."""

    def __init__(self) -> None:
        self._data = bytearray(b"\0")
        self._offsets: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """Return the offset of a string, which is in the table afterwards."""
        if text not in self._offsets:
            self._offsets[text] = len(self._data)
            self._data += text.encode() + b"\0"
        return self._offsets[text]

    def data(self) -> bytes:
        """Return the table."""
        return bytes(self._data)


def _text(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _is_debug(section: Section) -> bool:
    return section.name.startswith((".debug", ".comment"))
