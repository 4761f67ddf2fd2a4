# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transient memory read from the text of modules in the stream phase.

A second opinion on the compiler's report: it shares no code with the passes, reads the printed IR,
and knows no more than that allocations and releases happen in program order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FunctionMemory", "read_stream_ir"]

_FUNCTION = re.compile(r"^  util\.func (?:public |private )?@([\w$.]+|\"[^\"]*\")")
_CONSTANT = re.compile(r"^\s*(%\w+) = arith\.constant (-?\d+) : index")
_ALLOCA = re.compile(
    r"^\s*(%\w+), %\w+ = stream\.resource\.alloca .*!stream\.resource<(\w+)>\{(%\w+)\}"
)
_DEALLOCA = re.compile(r"stream\.resource\.dealloca .*=> (%\w+) : !stream\.resource<(\w+)>")
_RETURN = re.compile(r"^\s*util\.return (.*?) :")
_CONTROL = re.compile(
    r"^\s*(?:%[\w:, %]+ = )?(?:scf\.|cf\.|util\.call |arith\.select .*!stream\.resource)"
)


@dataclass(frozen=True)
class FunctionMemory:
    """The facts in the text about one function.

    Attributes:
      slabs: bytes of every transient allocation, in order; None for sizes that are no constants.
      straight: whether the function has neither branches nor loops nor calls, nor chooses between
        resources.
      peak_bytes: the most memory that the function has allocated at a time, less its results; None
        where the function is not straight or a size is no constant.
      result_bytes: bytes that it allocates for its results.
    """

    slabs: tuple[int | None, ...]
    straight: bool
    peak_bytes: int | None
    result_bytes: int


def read_stream_ir(text: str) -> dict[str, FunctionMemory]:
    """Read all functions of a module, or of several modules in one file.

    Args:
      text: the output of ``--compile-to=stream``.

    Returns:
      By name, initializers left out.
    """
    found: dict[str, FunctionMemory] = {}
    name: str | None = None
    body: list[str] = []
    for line in text.splitlines():
        if match := _FUNCTION.match(line):
            name, body = match[1], []
        elif line == "  }" and name is not None:
            found[name] = _read(body)
            name = None
        elif name is not None:
            body.append(line)
    return found


def _read(lines: list[str]) -> FunctionMemory:
    constants = {m[1]: int(m[2]) for m in map(_CONSTANT.match, lines) if m}
    slabs: list[int | None] = []
    straight, known = True, True
    released = {match[1] for match in map(_DEALLOCA.search, lines) if match}
    # A private function returns resources of any kind.
    returns = (match[1] for match in map(_RETURN.match, lines) if match)
    returned = {name for operands in returns for name in re.findall(r"%\w+", operands)}
    alive: dict[str, int] = {}
    live = peak = results = 0
    for line in lines:
        if _CONTROL.match(line):
            straight = False
        elif match := _ALLOCA.match(line):
            size = constants.get(match[3])
            if match[2] == "transient":
                slabs.append(size)
            if size is None:
                known = False
            if size is None:
                continue
            if match[1] not in released and (match[2] == "external" or match[1] in returned):
                results += size
            alive[match[1]] = size
            live += size
            peak = max(peak, live)
        elif match := _DEALLOCA.search(line):
            live -= alive.pop(match[1], 0)
        elif "stream.resource.alloca " in line:
            # Of a form that is not known here: better no number than a wrong one.
            slabs.append(None)
            known = False
    known = known and straight
    return FunctionMemory(tuple(slabs), straight, peak - results if known else None, results)
