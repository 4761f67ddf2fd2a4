# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Inputs and results inside the arena. All sizes are bytes; time is counted in commands.

The compiler has laid the slab out, and its offsets are part of the kernels, so they stay. An input
occupies memory until the last command that touches it, an allocation of results from the first one
on; both are placed where the slab is free at that time, or behind it. Code on a microcontroller
runs one command after the other, so two lifetimes meet only if they share a command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from serenity_mlir.core.offsets import pack
from serenity_mlir.emitting.program import (
    Command,
    Dispatch,
    Fill,
    Held,
    Memory,
    Place,
    Program,
    Span,
    Tensor,
)
from serenity_mlir.reports.reporting import RegionReport

__all__ = ["hold_inputs_and_results"]

#: Of every input and result in the arena, as of IREE's own buffers.
_ALIGNMENT = 64

#: Nodes of the search for a layout; what it has found by then is taken.
_NODE_LIMIT = 200_000


@dataclass(frozen=True)
class _Life:
    """Bytes of memory from command `lower` until before command `upper`."""

    lower: int
    upper: int
    bytes: int
    #: In the arena; None if it is free to be chosen.
    offset: int | None = None


def hold_inputs_and_results(
    program: Program, region: RegionReport | None, keep_inputs: bool = False
) -> Program:
    """Return the program with its inputs and its results inside the arena.

    Args:
      program: with memories of their own for them.
      region: the compiler's report on the slab; where it is None or does not describe the
        program's commands one by one, the whole slab counts as occupied all the time.
      keep_inputs: whether inputs must have their values after the call.

    Returns:
      A program with `Program.held`: no memory but the arena and the constants.
      ``arena_bytes`` is at most the sum of what the memories took before, each rounded up to 64.
    """
    end = len(program.commands)
    lives = _slab_lives(program, region, end)
    places = [Place(Memory.INPUT, i) for i, size in enumerate(program.input_bytes) if size]
    places += [Place(Memory.RESULT, i) for i, size in enumerate(program.result_bytes) if size]
    lives += [_external_life(program, place, end, keep_inputs) for place in places]
    offsets = _lay_out(lives, program.arena_bytes)
    moved = dict(zip(places, offsets[len(offsets) - len(places) :], strict=True))
    highest = [offset + life.bytes for life, offset in zip(lives, offsets, strict=True)]
    size = max([program.arena_bytes, *highest])
    return replace(
        program,
        inputs=tuple(tensor and _moved_tensor(tensor, moved) for tensor in program.inputs),
        results=tuple(_moved_tensor(tensor, moved) for tensor in program.results),
        input_bytes=(0,) * len(program.input_bytes),
        result_bytes=(),
        arena_bytes=size + -size % _ALIGNMENT,
        commands=tuple(_moved_command(command, moved) for command in program.commands),
        held=Held(program.arena_bytes, _overwritten(places, lives, offsets)),
    )


def _slab_lives(program: Program, region: RegionReport | None, end: int) -> list[_Life]:
    """Return the occupied parts of the slab."""
    if not program.arena_bytes:
        return []
    whole = [_Life(0, max(end, 1), program.arena_bytes, 0)]
    if region is None or not _describes(region, program):
        return whole
    touched: dict[int, list[int]] = {}
    for command, operation in enumerate(region.operations):
        for buffer in operation.buffers:
            touched.setdefault(buffer, []).append(command)
    lives = []
    for number, slot in enumerate(region.buffers):
        commands = touched.get(number)
        if not commands or slot.offset + slot.bytes > program.arena_bytes:
            return whole
        lives.append(_Life(commands[0], commands[-1] + 1, slot.bytes, slot.offset))
    return lives


def _describes(region: RegionReport, program: Program) -> bool:
    """Return whether a report lists the commands of the program, one by one and in its order."""
    recorded = program.commands[: len(program.commands) - program.appended_copies]
    if len(recorded) != len(region.operations):
        return False
    for command, operation in zip(recorded, region.operations, strict=True):
        memories = {span.place.memory for span in command.spans}
        accesses = (*operation.external_uses, *operation.external_defs)
        kinds = {region.externals[access.buffer].kind for access in accesses}
        if (
            (Memory.ARENA in memories) != bool(operation.buffers)
            or (Memory.INPUT in memories) != ("input" in kinds)
            or (Memory.RESULT in memories) != ("result" in kinds)
        ):
            return False
    return True


def _external_life(program: Program, place: Place, end: int, keep_inputs: bool) -> _Life:
    is_input = place.memory is Memory.INPUT
    size = (program.input_bytes if is_input else program.result_bytes)[place.index]
    touching = [
        number
        for number, command in enumerate(program.commands)
        if any(span.place == place for span in command.spans)
    ]
    if is_input:
        last = touching[-1] + 1 if touching else 0
        return _Life(0, max(end if keep_inputs else last, 1), size)
    return _Life(touching[0] if touching else 0, max(end, 1), size)


def _lay_out(lives: Sequence[_Life], slab_bytes: int) -> list[int]:
    """Return offsets that keep what is fixed: the best found, at most one behind the other."""
    behind, stacked = slab_bytes, []
    for life in lives:
        behind += -behind % _ALIGNMENT
        stacked.append(behind if life.offset is None else life.offset)
        behind += life.bytes if life.offset is None else 0
    if all(life.offset is not None for life in lives):
        return stacked
    lower, upper = [life.lower for life in lives], [life.upper for life in lives]
    size = [life.bytes + -life.bytes % _ALIGNMENT for life in lives]
    found = pack(
        lower,
        upper,
        size,
        alignment=[_ALIGNMENT if life.offset is None else 1 for life in lives],
        fixed_offset=[-1 if life.offset is None else life.offset for life in lives],
        node_limit=_NODE_LIMIT,
        time_limit=60.0,
    )
    return [int(offset) for offset in found.offsets] if found.height_bytes <= behind else stacked


def _overwritten(
    places: Sequence[Place], lives: Sequence[_Life], offsets: Sequence[int]
) -> tuple[int, ...]:
    """Return the inputs in whose bytes something else lies at some time."""
    first = len(lives) - len(places)
    found = []
    for i, place in enumerate(places, first):
        shared = (
            offsets[k] < offsets[i] + lives[i].bytes and offsets[i] < offsets[k] + lives[k].bytes
            for k in range(len(lives))
            if k != i
        )
        if place.memory is Memory.INPUT and any(shared):
            found.append(place.index)
    return tuple(found)


def _moved(span: Span, moved: Mapping[Place, int]) -> Span:
    if span.place not in moved:
        return span
    return Span(Place(Memory.ARENA), moved[span.place] + span.offset, span.length)


def _moved_tensor(tensor: Tensor, moved: Mapping[Place, int]) -> Tensor:
    return replace(tensor, span=_moved(tensor.span, moved))


def _moved_command(command: Command, moved: Mapping[Place, int]) -> Command:
    if isinstance(command, Dispatch):
        return replace(command, bindings=tuple(_moved(span, moved) for span in command.bindings))
    if isinstance(command, Fill):
        return replace(command, target=_moved(command.target, moved))
    return replace(
        command, source=_moved(command.source, moved), target=_moved(command.target, moved)
    )
