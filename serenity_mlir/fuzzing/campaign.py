# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Many programs: generated, compared in batches, failures reduced and written down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir.fuzzing.execution import compare_execution
from serenity_mlir.fuzzing.generator import GENERATOR_VERSION, generate
from serenity_mlir.fuzzing.program import Program
from serenity_mlir.fuzzing.reducing import reduce_program
from serenity_mlir.fuzzing.structure import (
    REFUSED,
    TARGETS,
    Problem,
    Tools,
    compare_structure,
)
from serenity_mlir.measuring.measurement import MeasurementServer

__all__ = ["MODES", "RUNS", "Settings", "Totals", "batches", "run_batch"]

#: The values of ``--serenity-rewrite``, batch by batch (structure) or program by program (runs).
MODES = ("auto", "off", "auto", "always")

#: Where programs are run.
RUNS = ("none", "vmvx", "llvm-cpu")


@dataclass(frozen=True)
class Settings:
    """The settings of a campaign.

    Attributes:
      seed: of the programs.
      run: one of `RUNS`; ``none`` compares the structure in the stream phase.
      rewrite: one of the modes for all programs, or ``mix``.
      group: programs per module, where the structure is compared.
      batch: programs per process of a compiler, and per line of results.
      keep: folder for reproducers; None writes none, and does not reduce.
      generator: version of the generator.
    """

    seed: int = 0
    run: str = "none"
    rewrite: str = "mix"
    group: int = 1
    batch: int = 40
    keep: str | None = None
    generator: int = GENERATOR_VERSION

    def mode(self, number: int) -> str:
        """The mode of a batch or program."""
        return MODES[number % len(MODES)] if self.rewrite == "mix" else self.rewrite

    def program(self, index: int) -> Program:
        """Program number `index`, such that the backend compiles it."""
        return generate(self.seed, index, vmvx=self.run == "vmvx", version=self.generator)


def batches(settings: Settings, first: int, count: int) -> list[str]:
    """Name the batches that hold programs ``first`` to ``first + count - 1``."""
    last = first + count
    starts = range(first, last, settings.batch)
    return [f"seed {settings.seed}: {i} to {min(i + settings.batch, last) - 1}" for i in starts]


def run_batch(name: str, settings: Settings) -> dict[str, Any]:
    """Compare the programs of a batch.

    Args:
      name: one of `batches`.
      settings: of the campaign.

    Returns:
      ``programs``, ``operations``, ``functions``: how many; ``refused``: the programs that the
      stock compiler does not take, with ``index`` and ``text``; ``failures``: one per program that
      is not as promised, with ``index``, ``mode``, ``kind``, ``text`` and ``reproducer`` (a path,
      or None).
    """
    first, last = (int(word) for word in name.partition(": ")[2].split(" to "))
    programs = {index: settings.program(index) for index in range(first, last + 1)}
    tools = Tools()
    modes = {
        index: settings.mode(index if settings.run != "none" else first // settings.batch)
        for index in programs
    }
    with MeasurementServer() as server:
        if settings.run == "none":
            found = compare_structure(programs, modes[first], tools, (), settings.group)
        else:
            found = {
                index: compare_execution(
                    program, modes[index], settings.run, tools, server, f"{settings.seed} {index}"
                )
                for index, program in programs.items()
            }
        failures = []
        for index, problems in found.items():
            if not problems or problems[0].kind == REFUSED:
                continue
            reproducer = None
            if settings.keep is not None:
                reproducer = _keep(settings, index, modes[index], problems, tools, server)
            failures.append(
                {
                    "index": index,
                    "mode": modes[index],
                    "kind": problems[0].kind,
                    "text": "; ".join(problem.text for problem in problems),
                    "reproducer": reproducer,
                }
            )
    return {
        "programs": len(programs),
        "functions": sum(len(program.entry_points) for program in programs.values()),
        "operations": sum(program.count() for program in programs.values()),
        "refused": [
            {"index": index, "text": problems[0].text}
            for index, problems in sorted(found.items())
            if problems and problems[0].kind == REFUSED
        ],
        "failures": failures,
    }


def _keep(
    settings: Settings,
    index: int,
    mode: str,
    problems: Sequence[Problem],
    tools: Tools,
    server: MeasurementServer,
) -> str:
    """Reduce a failing program and write it down; return the path."""
    assert settings.keep is not None
    kind = problems[0].kind

    def find(program: Program) -> list[Problem]:
        if settings.run == "none":
            return compare_structure({0: program}, mode, tools)[0]
        key = f"{settings.seed} {index}"
        return compare_execution(program, mode, settings.run, tools, server, key)

    def fails(program: Program) -> bool:
        return any(problem.kind == kind for problem in find(program))

    program = settings.program(index)
    note = ""
    if not fails(program):
        note = "// Fails only in one module with its neighbours.\n"
    else:
        program = reduce_program(program, fails)
        problems = find(program)
    folder = Path(settings.keep)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed{settings.seed}_{index}_{mode}_{kind.replace(' ', '_')}.mlir"
    again = f"serenity fuzz --generator {settings.generator} --seed {settings.seed}"
    again += f" --first {index} --count 1 --run {settings.run}"
    if settings.run == "none":
        flags = " ".join(TARGETS["vmvx"])
        command = f"serenity-compile {flags} --compile-to=stream --serenity-rewrite={mode} %s -o -"
    else:
        flags = " ".join(f"--flag={flag}" for flag in TARGETS[settings.run])
        command = f"serenity check {flags} --serenity-rewrite={mode} %s"
    lines = [f"// {problem.kind}: {problem.text}" for problem in problems]
    heading = "\n".join([*lines, f"// {command}", f"// As generated: {again} --rewrite {mode}"])
    path.write_text(f"{heading}\n{note}{program.text()}", "utf-8")
    return str(path)


class Totals:
    """Sums over the batches of a campaign."""

    def __init__(self) -> None:
        self.programs = self.functions = self.operations = 0
        self.refused: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []

    def add(self, results: Iterable[dict[str, Any]]) -> None:
        """Count in the results of batches."""
        for result in results:
            self.programs += result["programs"]
            self.functions += result["functions"]
            self.operations += result["operations"]
            self.refused += result["refused"]
            self.failures += result["failures"]

    def reasons(self) -> dict[str, list[int]]:
        """The stock compiler's refusals with their programs; numbers in texts are ignored."""
        found: dict[str, list[int]] = {}
        for item in sorted(self.refused, key=lambda item: int(item["index"])):
            reason = re.sub(r"\d+", "N", item["text"].splitlines()[0])
            found.setdefault(reason, []).append(item["index"])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the sums as JSON data."""
        return {
            "programs": self.programs,
            "functions": self.functions,
            "operations": self.operations,
            "stock_refuses": sorted(self.refused, key=lambda item: int(item["index"])),
            "failures": self.failures,
        }
