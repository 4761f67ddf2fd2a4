# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compares the stream-phase modules of both compilers.

Many programs go through one process of each compiler (``--split-input-file``); their functions are
told apart by a prefix. If anything about a process is unusual, its programs are compiled again one
by one, so that a crash is laid to the program that causes it.
"""

from __future__ import annotations

import bisect
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serenity_mlir._native import iree_library_directory, native_tool, tool_environment
from serenity_mlir.fuzzing.program import Program
from serenity_mlir.fuzzing.stream_ir import FunctionMemory, read_stream_ir
from serenity_mlir.reports.reporting import FunctionReport, RegionReport, load_report

__all__ = [
    "REFUSED",
    "TARGETS",
    "Problem",
    "Tools",
    "compare_structure",
    "diagnose_failure",
    "find_complaints",
]

#: Flags that name a target; the stream phase is the same for both.
TARGETS = {
    "vmvx": (
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=vmvx",
    ),
    "llvm-cpu": (
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=host",
    ),
}

_SYMBOL = re.compile(r"(?:func\.func|util\.global) (?:private )?(?:mutable )?@c(\d+)_")

_WARNING = re.compile(r"\bwarning: |please report")

#: The only attribute that stays, in the reflection of a function (docs/memory_model.md): numbers of
#: the inputs that it writes to, which the stock compiler's may do as well.
_OVERWRITTEN_INPUTS = "serenity.overwritten_inputs"

#: The kind of a problem that is IREE's own.
REFUSED = "stock refuses"


@dataclass(frozen=True)
class Problem:
    """Something that is not as promised.

    Attributes:
      kind: a short name; a reproducer is reduced as long as this stays the same.
      text: the finding, with figures.
    """

    kind: str
    text: str


class Tools:
    """Both compilers, each run in processes of its own.

    Args:
      timeout: seconds per process.
    """

    def __init__(self, timeout: float = 600) -> None:
        self.timeout = timeout
        self.stock = str(Path(iree_library_directory()) / "iree-compile")
        self.ours = native_tool("serenity-compile")
        self._environment = tool_environment(self.ours)

    def run(self, tool: str, arguments: Sequence[str]) -> tuple[int | None, str]:
        """Run a compiler and return its exit code (None: took too long) and standard error."""
        try:
            process = subprocess.run(
                [tool, "--mlir-disable-threading", *arguments],
                capture_output=True,
                env=self._environment,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return process.returncode, process.stderr.decode(errors="replace")


def compare_structure(
    programs: Mapping[int, Program],
    mode: str,
    tools: Tools,
    flags: Sequence[str] = (),
    group: int = 1,
) -> dict[int, list[Problem]]:
    """Compile programs with both compilers to the stream phase and compare them.

    Args:
      programs: by number.
      mode: of ``--serenity-rewrite``.
      tools: the compilers.
      flags: more flags for both compilers.
      group: programs per module. A module costs each compiler some time whatever is in it.

    Returns:
      The problems of every program; empty lists where all is as promised.
    """
    culprits: set[int] = set()
    found = _compile_and_compare(programs, mode, tools, flags, group, culprits)
    if found is not None:
        return found
    if len(programs) > 1:
        answers: dict[int, list[Problem]] = {}
        numbers = [number for number in programs if number not in culprits]
        half = len(numbers) if culprits else len(numbers) // 2
        parts = [[number] for number in sorted(culprits)] + [numbers[:half], numbers[half:]]
        for part in parts:
            chosen = {number: programs[number] for number in part}
            answers.update(compare_structure(chosen, mode, tools, flags, group))
        return answers
    ((number, program),) = programs.items()
    return {number: _diagnose(program, mode, tools, flags)}


def _prefix(number: int) -> str:
    return f"c{number}_"


def _compile_and_compare(
    programs: Mapping[int, Program],
    mode: str,
    tools: Tools,
    flags: Sequence[str],
    group: int,
    culprits: set[int],
) -> dict[int, list[Problem]] | None:
    """Return the problems of all programs, or None if a compiler did not end well.

    The programs that the compiler's errors point to are added to `culprits`.
    """
    if not programs:
        return {}
    with tempfile.TemporaryDirectory(prefix="serenity-fuzz-") as name:
        directory = Path(name)
        source = directory / "programs.mlir"
        texts = [program.text(_prefix(number)) for number, program in programs.items()]
        modules = ["\n".join(texts[i : i + group]) for i in range(0, len(texts), group)]
        source.write_text("// -----\n".join(modules), "utf-8")
        common = [
            str(source),
            "--split-input-file",
            "--compile-to=stream",
            *TARGETS["vmvx"],
            *flags,
        ]
        stock, ours = directory / "stock.mlir", directory / "ours.mlir"
        report = directory / "report.json"
        code, stock_said = tools.run(tools.stock, [*common, "-o", str(stock)])
        if code != 0:
            culprits.update(_culprits(stock_said, source))
            return None
        code, said = tools.run(
            tools.ours,
            [*common, "-o", str(ours), f"--serenity-rewrite={mode}", f"--serenity-report={report}"],
        )
        if find_complaints(code, said, stock_said):
            culprits.update(_culprits(said, source))
            return None
        text = ours.read_text("utf-8")
        theirs, mine = read_stream_ir(stock.read_text("utf-8")), read_stream_ir(text)
        answers: dict[int, list[Problem]] = {number: [] for number in programs}
        if "serenity." in text.replace(_OVERWRITTEN_INPUTS, ""):
            if len(programs) > 1:
                return None
            answers[next(iter(programs))].append(
                Problem("marks left", "attributes of serenity are left in the module")
            )
        entries: dict[str, list[FunctionReport]] = {}
        for entry in load_report(report).called:
            entries.setdefault(entry.name.partition("_")[0], []).append(entry)
        for number in programs:
            prefix = _prefix(number)
            answers[number] += _compare_functions(
                {name: m for name, m in theirs.items() if name.startswith(prefix)},
                {name: m for name, m in mine.items() if name.startswith(prefix)},
                entries.get(prefix[:-1], []),
            )
        return answers


def _culprits(said: str, source: Path) -> set[int]:
    """Return the programs whose lines are named by errors and warnings."""
    starts: list[tuple[int, int]] = []
    with source.open(encoding="utf-8") as lines:
        for line_number, line in enumerate(lines, 1):
            if match := _SYMBOL.match(line):
                starts.append((line_number, int(match[1])))
    # The compiler counts from the start of the module, and names that line of the file.
    named = re.findall(
        rf"{re.escape(str(source))}:(\d+)(?: offset :(\d+))?:\d+: (?:error|warning)", said
    )
    first = [start for start, _ in starts]
    lines_named = [int(line) + int(within or 1) - 1 for line, within in named]
    places = [bisect.bisect_right(first, line) - 1 for line in lines_named]
    return {starts[place][1] for place in places if place >= 0}


def _diagnose(program: Program, mode: str, tools: Tools, flags: Sequence[str]) -> list[Problem]:
    """Return the problems of one program that a compiler refuses, crashes on or warns about."""
    with tempfile.TemporaryDirectory(prefix="serenity-fuzz-") as name:
        directory = Path(name)
        source = directory / "program.mlir"
        source.write_text(program.text(), "utf-8")
        common = [str(source), "--compile-to=stream", *TARGETS["vmvx"], "-o", "/dev/null", *flags]
        code, stock_said = tools.run(tools.stock, common)
        if code != 0:
            return [Problem(REFUSED, _first_error(stock_said, code))]
        code, said = tools.run(tools.ours, [*common, f"--serenity-rewrite={mode}"])
        if complaints := find_complaints(code, said, stock_said):
            return complaints
    # Well on its own, but not among others.
    again = _compile_and_compare({0: program}, mode, tools, flags, 1, set())
    return again[0] if again is not None else [Problem("unsteady", "the outcome varies")]


def diagnose_failure(code: int | None, said: str) -> Problem:
    """Name the failure of a compiler, from its exit code and standard error."""
    if code is None:
        return Problem("time", "the compiler takes too long")
    if code < 0:
        return Problem("crash", f"the compiler ended by signal {-code}")
    return Problem("refused", _first_error(said, code))


def find_complaints(code: int | None, said: str, stock_said: str) -> list[Problem]:
    """Return the problems of a compilation that succeeds with the stock compiler.

    A warning that the stock compiler does not give is a failure too: the driver falls back to the
    stock pipeline with a warning if it has crashed, or if IREE refuses the passes' output.

    Args:
      code: exit code; None for a compilation that takes too long.
      said: standard error.
      stock_said: standard error of the stock compiler.
    """
    if code != 0:
        return [diagnose_failure(code, said)]
    known = set(stock_said.splitlines())
    new = [line for line in said.splitlines() if _WARNING.search(line) and line not in known]
    return [Problem("warning", new[0])] if new else []


def _first_error(said: str, code: int | None) -> str:
    for line in said.splitlines():
        if "error:" in line:
            return line.partition("error: ")[2] or line
    return said.strip().splitlines()[0] if said.strip() else f"exit code {code}"


def _compare_functions(
    stock: Mapping[str, FunctionMemory],
    ours: Mapping[str, FunctionMemory],
    entries: Sequence[FunctionReport],
) -> list[Problem]:
    problems: list[Problem] = []
    reported = {entry.name: entry for entry in entries}
    for name, theirs in stock.items():
        mine = ours.get(name)
        if mine is None:
            problems.append(Problem("function lost", f"{name} is not in the module"))
            continue
        entry = reported.get(name)
        if entry is None:
            if mine.slabs:
                problems.append(Problem("not reported", f"{name} has slabs but no report"))
            continue
        problems += [
            Problem(p.kind, f"{name}: {p.text}") for p in _compare_function(theirs, mine, entry)
        ]
    return problems


def _compare_function(
    stock: FunctionMemory, ours: FunctionMemory, entry: FunctionReport
) -> list[Problem]:
    problems: list[Problem] = []

    def expect(holds: bool, kind: str, text: str) -> None:
        if not holds:
            problems.append(Problem(kind, text))

    peak, before = entry.transient_peak_bytes, entry.stock_transient_peak_bytes
    if ours.peak_bytes is not None:
        expect(
            peak == ours.peak_bytes, "peak", f"reported {peak}, the module has {ours.peak_bytes}"
        )
    # A copy of a private function whose result nobody reads has none: it releases that memory,
    # which is transient then.
    same_results = ours.result_bytes == stock.result_bytes
    if stock.peak_bytes is not None and same_results:
        expect(
            before == stock.peak_bytes,
            "stock peak",
            f"reported {before}, the stock module has {stock.peak_bytes}",
        )
    if ours.peak_bytes is not None and stock.peak_bytes is not None:
        needed, allowed = ours.peak_bytes, stock.peak_bytes
        if not same_results:
            needed, allowed = needed + ours.result_bytes, allowed + stock.result_bytes
        expect(needed <= allowed, "worse", f"{needed} bytes, the stock compiler {allowed}")
    if peak is not None and before is not None:
        expect(peak <= before, "worse", f"reported {peak} bytes, the stock compiler {before}")
    chosen = [c for c in entry.candidates if c.chosen]
    if entry.candidates:
        expect(len(chosen) == 1, "candidates", f"{len(chosen)} candidates are chosen")

    for region in entry.regions:
        slab = region.slab_bytes
        # Slabs of one size may share an allocation.
        if slab and slab not in ours.slabs and None not in ours.slabs:
            expect(False, "slab", f"a slab of {slab} bytes is reported, the module has none")
        problems += _check_region(region)
    return problems


def _check_region(region: RegionReport) -> list[Problem]:
    """Check that a region's figures agree with each other, and its buffers with them."""
    problems: list[Problem] = []

    def expect(holds: bool, text: str) -> None:
        if not holds:
            problems.append(Problem("region", f"{text} ({region.location})"))

    predicted, slab, bound = region.predicted_bytes, region.slab_bytes, region.lower_bound_bytes
    expect(bound <= predicted, f"bound {bound} is above the order's {predicted}")
    expect(predicted <= slab, f"{predicted} bytes are predicted, the slab has {slab}")
    if region.optimal:
        expect(bound == predicted, f"optimal, but bound {bound} is not {predicted}")
    buffers = region.buffers
    steps = max([len(region.live_bytes), *(b.last + 1 for b in buffers)], default=0)
    live = [0] * steps
    for number, buffer in enumerate(buffers):
        size = -(-buffer.bytes // 64) * 64
        for step in range(buffer.first, buffer.last + 1):
            live[step] += size
        end = buffer.offset + buffer.bytes
        expect(end <= slab, f"buffer {buffer.name} ends at {end} of {slab}")
        for other in buffers[:number]:
            overlap = (
                buffer.first <= other.last
                and other.first <= buffer.last
                and buffer.offset < other.offset + other.bytes
                and other.offset < end
            )
            expect(not overlap, f"buffers {buffer.name} and {other.name} overlap")
    if region.live_bytes and buffers:
        expect(live == list(region.live_bytes), "live bytes are not those of the buffers")
        expect(max(live) == predicted, f"{predicted} predicted, {max(live)} bytes are live")
    return problems
