# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Offset packing: buffers with known lifetimes get addresses in one slab of least height.

A buffer is live in the half-open interval ``[lower, upper)``; buffers whose intervals overlap must
not overlap in memory. No packing is lower than the maximum over time of the live bytes. The search
goes back to Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine
Learning" (ASPLOS 2023); ``docs/offsets.md`` has the formulation. All sizes are in bytes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from serenity_mlir import _core
from serenity_mlir._files import write_whole

__all__ = [
    "RULES",
    "Algorithm",
    "Buffers",
    "Gap",
    "OffsetsError",
    "Packing",
    "maximum_live_bytes",
    "pack",
    "pack_buffers",
    "parse_csv",
    "read_csv",
    "verify",
    "write_csv",
]

Algorithm = Literal["exact", "greedy", "iree"]
Int64s = npt.NDArray[np.int64]

#: Inferences of the exact search that can be switched off with ``disable``.
RULES = (
    "section_inference",
    "dominance",
    "decomposition",
    "release_bound",
    "precedence",
    "full_sections",
    "joints",
    "symmetry",
    "memory",
)

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class OffsetsError(ValueError):
    """Buffers that cannot be packed as given; the message names the buffer or the line.

    Attributes:
      line: The line of the file, from 1, or None.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Gap:
    """A part of a lifetime in which a buffer is not wholly in use.

    Attributes:
      lower: First moment of the gap.
      upper: First moment after it.
      window_lower: First byte, from the buffer's offset, that is in use all the same.
      window_upper: First byte after those; equal to ``window_lower`` if none is in use.
    """

    lower: int
    upper: int
    window_lower: int = 0
    window_upper: int = 0


@dataclass(frozen=True)
class Buffers:
    """An instance: n buffers.

    Attributes:
      ids: Names, n of them, distinct.
      lower: First moment at which each is live, shape (n,).
      upper: First moment at which it is not any more, shape (n,).
      size: Bytes, shape (n,).
      alignment: Each offset is a multiple of it, shape (n,).
      fixed_offset: Offsets that are given, -1 where free, shape (n,).
      gaps: The gaps of each, n tuples.
    """

    ids: tuple[str, ...]
    lower: Int64s
    upper: Int64s
    size: Int64s
    alignment: Int64s
    fixed_offset: Int64s
    gaps: tuple[tuple[Gap, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Packing:
    """An assignment of offsets.

    Attributes:
      offsets: One per buffer, bytes, shape (n,).
      height_bytes: End of the uppermost buffer.
      lower_bound_bytes: No packing is lower.
      optimal: The height is proved to be the least.
      infeasible: A capacity was asked for, and it is proved that nothing fits into it; the offsets
        are those of a higher packing.
      proved_by: ``"live-bytes"``, ``"search"`` or empty.
      interrupted: A limit ended the search.
      nodes: Nodes of the search.
      seconds: Wall-clock time.
    """

    offsets: Int64s
    height_bytes: int
    lower_bound_bytes: int
    optimal: bool
    infeasible: bool = False
    proved_by: str = ""
    interrupted: bool = False
    nodes: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The form that ``serenity pack --json`` prints."""
        return {
            "height_bytes": self.height_bytes,
            "lower_bound_bytes": self.lower_bound_bytes,
            "optimal": self.optimal,
            "infeasible": self.infeasible,
            "proved_by": self.proved_by,
            "interrupted": self.interrupted,
            "offsets": [int(offset) for offset in self.offsets],
            "nodes": self.nodes,
            "seconds": self.seconds,
        }


def _int64s(name: str, values: npt.ArrayLike, n: int | None = None) -> Int64s:
    """Converts to int64 without changing a value; scalars are repeated ``n`` times."""
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype == np.bool_ or not np.issubdtype(array.dtype, np.integer):
        raise OffsetsError(f"{name}: expected integers, got {array.dtype}")
    if array.dtype.kind == "u" and array.size and int(array.max()) > _INT64_MAX:
        raise OffsetsError(f"{name}: {int(array.max())} does not fit into 64 bits")
    if array.ndim == 0 and n is not None:
        array = np.full(n, array)
    if array.ndim != 1:
        raise OffsetsError(f"{name}: expected one dimension, got shape {array.shape}")
    if n is not None and len(array) != n:
        raise OffsetsError(f"{name}: expected {n} values as for lower, got {len(array)}")
    return np.ascontiguousarray(array, dtype=np.int64)


def _options(
    *,
    algorithm: str = "exact",
    capacity: int | None = None,
    offset_alignment: int = 1,
    range_alignment: int = 1,
    time_limit: float = 10.0,
    node_limit: int = 0,
    disable: Iterable[str] = (),
) -> _core.PackOptions:
    options = _core.PackOptions()
    try:
        options.algorithm = _core.PackAlgorithm[algorithm.upper()]
    except KeyError:
        raise OffsetsError(
            f"unknown algorithm {algorithm!r}; known are exact, greedy and iree"
        ) from None
    for name, value in (
        ("capacity", capacity),
        ("offset_alignment", offset_alignment),
        ("range_alignment", range_alignment),
        ("node_limit", node_limit),
    ):
        if value is not None and not _INT64_MIN <= value <= _INT64_MAX:
            raise OffsetsError(f"{name}: {value} does not fit into 64 bits")
    options.capacity = capacity
    options.offset_alignment = offset_alignment
    options.range_alignment = range_alignment
    options.time_limit_seconds = time_limit
    options.node_limit = node_limit
    for rule in disable:
        if rule not in RULES:
            raise OffsetsError(f"unknown rule {rule!r}; known are {', '.join(RULES)}")
        setattr(options.rules, rule, False)
    return options


def _arguments(
    buffers: Buffers,
) -> tuple[Int64s, Int64s, Int64s, Int64s, Int64s, list[list[int]]]:
    gaps = [
        [i, gap.lower, gap.upper, gap.window_lower, gap.window_upper]
        for i, of_buffer in enumerate(buffers.gaps)
        for gap in of_buffer
    ]
    return (
        buffers.lower,
        buffers.upper,
        buffers.size,
        buffers.alignment,
        buffers.fixed_offset,
        gaps,
    )


def _make(
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    size: npt.ArrayLike,
    alignment: npt.ArrayLike = 1,
    fixed_offset: npt.ArrayLike | None = None,
    gaps: Sequence[Sequence[Gap]] | None = None,
) -> Buffers:
    lower = _int64s("lower", lower)
    n = len(lower)
    if gaps is not None and len(gaps) != n:
        raise OffsetsError(f"gaps: expected {n} sequences as for lower, got {len(gaps)}")
    return Buffers(
        ids=tuple(map(str, range(n))),
        lower=lower,
        upper=_int64s("upper", upper, n),
        size=_int64s("size", size, n),
        alignment=_int64s("alignment", alignment, n),
        fixed_offset=_int64s("fixed_offset", -1 if fixed_offset is None else fixed_offset, n),
        gaps=tuple(map(tuple, gaps)) if gaps is not None else ((),) * n,
    )


def pack(
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    size: npt.ArrayLike,
    *,
    alignment: npt.ArrayLike = 1,
    fixed_offset: npt.ArrayLike | None = None,
    gaps: Sequence[Sequence[Gap]] | None = None,
    algorithm: Algorithm = "exact",
    capacity: int | None = None,
    offset_alignment: int = 1,
    range_alignment: int = 1,
    time_limit: float = 10.0,
    node_limit: int = 0,
    disable: Iterable[str] = (),
) -> Packing:
    """Assigns offsets of least height to n buffers.

    Args:
      lower: First moment at which each buffer is live; integers, shape (n,).
      upper: First moment at which it is not any more; integers, shape (n,).
      size: Bytes, positive; integers, shape (n,).
      alignment: Each offset is a multiple of it; one integer or shape (n,).
      fixed_offset: Offsets that are given, -1 where free; one integer or shape (n,).
      gaps: Parts of the lifetimes in which a buffer is not wholly in use.
      algorithm: ``"exact"``; ``"greedy"``, the best of several first-fit orders; ``"iree"``, the
        packing of IREE's LayoutSlices pass for the buffers in the order given.
      capacity: Stop at the first packing that is at most so high, or when it is proved that there
        is none.
      offset_alignment: Every offset is a multiple of it as well.
      range_alignment: Every size is rounded up to a multiple of it.
      time_limit: Seconds, after which the best packing found is returned.
      node_limit: The same in nodes of the search, which makes the answer reproducible; 0: none.
      disable: Inferences of the search to leave out, of `RULES`.

    Returns:
      The packing; it is always valid, and ``optimal`` tells whether it is proved to be the lowest.

    Raises:
      OffsetsError: A lifetime is reversed or empty, a size or an alignment is not positive, fixed
        offsets overlap, a number does not fit, or shapes differ.
      KeyboardInterrupt: Ctrl-C during the search.
    """
    return pack_buffers(
        _make(lower, upper, size, alignment, fixed_offset, gaps),
        algorithm=algorithm,
        capacity=capacity,
        offset_alignment=offset_alignment,
        range_alignment=range_alignment,
        time_limit=time_limit,
        node_limit=node_limit,
        disable=disable,
    )


def pack_buffers(buffers: Buffers, **options: Any) -> Packing:
    """Like `pack`, with an instance as `read_csv` returns it and the keywords of `pack`."""
    core_options = _options(**options)
    try:
        result = _core.pack_slices(*_arguments(buffers), core_options)
    except ValueError as error:
        raise OffsetsError(str(error)) from None
    return Packing(
        offsets=np.asarray(result.offsets, dtype=np.int64),
        height_bytes=result.height_bytes,
        lower_bound_bytes=result.lower_bound_bytes,
        optimal=result.optimal,
        infeasible=result.infeasible,
        proved_by=result.proved_by,
        interrupted=result.interrupted,
        nodes=result.nodes,
        seconds=result.seconds,
    )


def verify(buffers: Buffers, offsets: npt.ArrayLike, **options: Any) -> str | None:
    """Returns the first conflict of a packing, or None if it is valid.

    Shares no code with `pack`. Takes its keywords ``capacity``, ``offset_alignment`` and
    ``range_alignment``; conflicts are overlaps, misalignment, a fixed offset that was moved, and an
    end beyond the capacity.
    """
    return _core.verify_offsets(
        *_arguments(buffers), _options(**options), _int64s("offsets", offsets)
    )


def maximum_live_bytes(buffers: Buffers, *, range_alignment: int = 1) -> int:
    """Returns the maximum over time of the bytes in use, sizes rounded to ``range_alignment``."""
    return int(
        _core.maximum_live_bytes(*_arguments(buffers), _options(range_alignment=range_alignment))
    )


# --- CSV ---

# MiniMalloc's names of columns; "end" holds the last moment, inclusive.
_COLUMNS = {
    "id": "id",
    "buffer": "id",
    "buffer_id": "id",
    "lower": "lower",
    "begin": "lower",
    "start": "lower",
    "upper": "upper",
    "end": "upper",
    "size": "size",
    "alignment": "alignment",
    "gaps": "gaps",
    "offset": "offset",
}


class _Line:
    """A line of the file, for messages."""

    def __init__(self, source: str, number: int) -> None:
        self.source, self.number = source, number

    def error(self, message: str) -> OffsetsError:
        return OffsetsError(f"{self.source}:{self.number}: {message}", line=self.number)

    def integer(self, column: str, text: str) -> int:
        text = text.strip()
        if not text:
            raise self.error(f"{column} is empty; expected an integer")
        try:
            value = int(text)
        except ValueError:
            raise self.error(f"{column} is not an integer: {text!r}") from None
        if "_" in text or not text.isascii():  # Python's extras
            raise self.error(f"{column} is not an integer: {text!r}")
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise self.error(f"{column} does not fit into 64 bits: {text}")
        return value


def _parse_gaps(line: _Line, text: str, inclusive: int, size: int) -> tuple[Gap, ...]:
    """Parses ``lower-upper[@window_lower:window_upper]``, several of them separated by blanks."""
    gaps = []
    for word in text.split():
        lifespan, at, window = word.partition("@")
        # The first may be negative: its sign does not separate.
        cut = lifespan.find("-", 1)
        if cut < 0 or (at and window.count(":") != 1):
            raise line.error(f"gap is not of the form LOWER-UPPER[@LOWER:UPPER]: {word!r}")
        bounds = window.split(":") if at else ["0", "0"]
        gap = Gap(
            line.integer("gap", lifespan[:cut]),
            line.integer("gap", lifespan[cut + 1 :]) + inclusive,
            line.integer("gap", bounds[0]),
            line.integer("gap", bounds[1]),
        )
        if gap.lower >= gap.upper:
            raise line.error(f"gap is reversed or empty: {word!r}")
        if not 0 <= gap.window_lower <= gap.window_upper <= size:
            raise line.error(f"gap has a window outside the buffer's {size} bytes: {word!r}")
        gaps.append(gap)
    return tuple(gaps)


def _parse_header(line: _Line, names: Sequence[str]) -> tuple[dict[str, int], int]:
    columns: dict[str, int] = {}
    inclusive = 0
    for i, raw in enumerate(names):
        name = raw.strip()
        column = _COLUMNS.get(name)
        if column is None:
            raise line.error(
                f"unknown column {name!r}; known are {', '.join(_COLUMNS)} "
                "(is the header line missing?)"
            )
        if column in columns:
            raise line.error(f"column {name!r} is given twice")
        columns[column] = i
        inclusive |= name == "end"
    for column in ("id", "lower", "upper", "size"):
        if column not in columns:
            raise line.error(f"column {column!r} is missing (is this the header line?)")
    return columns, int(inclusive)


def parse_csv(text: str, *, source: str = "<string>", fixed: bool = True) -> Buffers:
    """Parses MiniMalloc's CSV format; see `read_csv`.

    Args:
      text: The contents.
      source: Its name in messages.
      fixed: Take the ``offset`` column as fixed offsets; otherwise it is ignored.

    Raises:
      OffsetsError: The text is not of that form, or its buffers cannot be packed; names the line.
    """
    columns: dict[str, int] | None = None
    inclusive = 0
    ids: dict[str, int] = {}
    lines: list[_Line] = []
    rows: list[tuple[int, int, int, int, int]] = []
    gaps: list[tuple[Gap, ...]] = []
    reader = csv.reader(text.splitlines())
    while True:
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise _Line(source, reader.line_num).error(f"not CSV: {error}") from None
        line = _Line(source, reader.line_num)
        if not any(value.strip() for value in record):
            continue
        if columns is None:
            columns, inclusive = _parse_header(line, record)
            continue
        if len(record) != len(columns):
            raise line.error(f"expected {len(columns)} fields as in the header, got {len(record)}")
        value = {column: record[i] for column, i in columns.items()}
        name = value["id"].strip()
        if name in ids:
            raise line.error(f"id {name!r} was used in line {ids[name]} already")
        ids[name] = line.number
        lower = line.integer("lower", value["lower"])
        upper = line.integer("upper", value["upper"]) + inclusive
        size = line.integer("size", value["size"])
        aligned = line.integer("alignment", value.get("alignment", "1").strip() or "1")
        # An empty field is a free buffer among fixed ones.
        given = value.get("offset", "").strip() if fixed else ""
        fixed_at = line.integer("offset", given) if given else -1
        if lower >= upper:
            raise line.error(f"lifetime [{lower}, {upper}) is reversed or empty")
        if upper > _INT64_MAX:
            raise line.error("end does not fit into 64 bits")
        if size <= 0:
            raise line.error(f"size {size} is not positive")
        if aligned <= 0:
            raise line.error(f"alignment {aligned} is not positive")
        if given and fixed_at < 0:
            raise line.error(f"offset {fixed_at} is negative")
        if given and fixed_at % aligned:
            raise line.error(f"offset {fixed_at} is not a multiple of the alignment {aligned}")
        rows.append((lower, upper, size, aligned, fixed_at))
        gaps.append(_parse_gaps(line, value.get("gaps", ""), inclusive, size))
        lines.append(line)
    if columns is None:
        raise OffsetsError(
            f"{source}:1: the header line is missing; expected id,lower,upper,size", line=1
        )
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 5)
    columns_of = [np.ascontiguousarray(table[:, i]) for i in range(5)]
    buffers = Buffers(
        ids=tuple(ids),
        lower=columns_of[0],
        upper=columns_of[1],
        size=columns_of[2],
        alignment=columns_of[3],
        fixed_offset=columns_of[4],
        gaps=tuple(gaps),
    )
    problem = _core.check_slices(*_arguments(buffers), _options())
    if problem is not None:
        # "slice 7: ...": the same with line and name.
        subject, _, message = problem.partition(": ")
        words = subject.split()
        if len(words) == 2 and words[0] == "slice":
            message = _name_slices(message, buffers, lines)
            raise lines[int(words[1])].error(message)
        raise OffsetsError(f"{source}: {problem}")
    return buffers


def _name_slices(message: str, buffers: Buffers, lines: Sequence[_Line]) -> str:
    """Replaces "slice 3" by the buffer's name and line."""
    words = message.split()
    for i in range(len(words) - 1):
        if words[i] == "slice" and words[i + 1].isdigit():
            k = int(words[i + 1])
            words[i : i + 2] = [f"buffer {buffers.ids[k]!r} of line {lines[k].number}", ""]
    return " ".join(word for word in words if word)


def read_csv(path: str | os.PathLike[str], *, fixed: bool = True) -> Buffers:
    """Reads MiniMalloc's CSV format.

    The header names the columns, in any order: ``id`` (or ``buffer``, ``buffer_id``), ``lower`` (or
    ``begin``, ``start``), ``upper`` (exclusive; or ``end``, inclusive), ``size``, and optionally
    ``alignment``, ``gaps`` (``LOWER-UPPER`` or ``LOWER-UPPER@LOWER:UPPER`` with the bytes that stay
    in use, separated by blanks) and ``offset`` (fixed; an empty field is free).

    Args:
      path: The file.
      fixed: Take the ``offset`` column as fixed offsets; otherwise it is ignored.

    Raises:
      OffsetsError: The file is not of that form, or its buffers cannot be packed; names file and
        line.
      OSError: The file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise OffsetsError(f"{os.fspath(path)}: not a text file: {error}") from None
    return parse_csv(text, source=os.fspath(path), fixed=fixed)


def write_csv(
    path: str | os.PathLike[str], buffers: Buffers, offsets: npt.ArrayLike | None = None
) -> None:
    """Writes MiniMalloc's CSV format, with the offsets as a column if they are given.

    Raises:
      OSError: The file cannot be written; it is then as it was.
    """
    if offsets is not None:
        buffers = replace(buffers, fixed_offset=_int64s("offsets", offsets, len(buffers)))
    aligned = bool((buffers.alignment != 1).any())
    gapped = any(buffers.gaps)
    placed = bool((buffers.fixed_offset >= 0).any())
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    header = ["id", "lower", "upper", "size"]
    header += ["alignment"] * aligned + ["gaps"] * gapped + ["offset"] * placed
    writer.writerow(header)
    for i, name in enumerate(buffers.ids):
        row: list[object] = [name, buffers.lower[i], buffers.upper[i], buffers.size[i]]
        if aligned:
            row.append(buffers.alignment[i])
        if gapped:
            row.append(
                " ".join(
                    f"{gap.lower}-{gap.upper}"
                    + (
                        f"@{gap.window_lower}:{gap.window_upper}"
                        if gap.window_upper > gap.window_lower
                        else ""
                    )
                    for gap in buffers.gaps[i]
                )
            )
        if placed:
            row.append(buffers.fixed_offset[i] if buffers.fixed_offset[i] >= 0 else "")
        writer.writerow(row)
    write_whole(path, stream.getvalue())
