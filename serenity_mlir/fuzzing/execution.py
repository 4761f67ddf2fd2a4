# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a program with both compilers, runs both modules, and compares results and bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serenity_mlir.fuzzing.inputs import (
    DATA,
    draw_bound,
    draw_extents,
    draw_inputs,
    extents_of,
    largest_extent,
)
from serenity_mlir.fuzzing.judging import is_stock_wrong, results_of
from serenity_mlir.fuzzing.program import Function, Program
from serenity_mlir.fuzzing.promises import (
    draw_bounded_budget,
    draw_budget,
    find_broken_bounds,
    find_exceeded_budget,
)
from serenity_mlir.fuzzing.structure import (
    REFUSED,
    TARGETS,
    Problem,
    Tools,
    diagnose_failure,
    find_complaints,
)
from serenity_mlir.measuring.measurement import (
    Measurement,
    MeasurementError,
    MeasurementServer,
    Value,
    measure,
)
from serenity_mlir.measuring.predictions import find_disagreements, read_prediction
from serenity_mlir.measuring.tolerance import compare_outputs, output_problems, perturb
from serenity_mlir.reports.reporting import Report, load_report

__all__ = ["compare_execution"]

#: Seconds for the calls of one function: these programs take milliseconds.
_RUN_TIMEOUT = 120.0

#: Exit code of a compilation whose memory budget is missed.
_BUDGET_MISSED = 3

#: Runs an entry point of a module on inputs, as often as the program needs.
_Run = Callable[[Path, Sequence[Value]], Measurement]


@dataclass(frozen=True)
class _Built:
    """A module compiled with serenity flags, with its report and its memory budget."""

    module: Path
    report: Report
    budget: int | None = None
    #: The largest extent of dynamic dimensions for which the budget holds; None: any.
    bound: int | None = None


@dataclass(frozen=True)
class _Case:
    """A program that is compiled in a folder, in one mode for one backend."""

    program: Program
    mode: str
    backend: str
    tools: Tools
    server: MeasurementServer
    key: str
    flags: Sequence[str]
    directory: Path

    def compile(self, tool: str, module: Path, *more: str) -> tuple[int | None, str]:
        """Compile the program; return exit code and standard error."""
        source = self.directory / "program.mlir"
        source.write_text(self.program.text(), "utf-8")
        flags = [str(source), *TARGETS[self.backend], *self.flags, *more, "-o", str(module)]
        return self.tools.run(tool, flags)

    def compile_ours(self, module: Path, *more: str) -> tuple[int | None, str, Report | None]:
        """Compile with serenity; return exit code, standard error and report, None if it failed."""
        report = module.with_suffix(".json")
        mode = f"--serenity-rewrite={self.mode}"
        code, said = self.compile(
            self.tools.ours, module, mode, f"--serenity-report={report}", *more
        )
        return code, said, load_report(report) if code == 0 else None

    def runner(self, function: Function) -> _Run:
        """Return a function that runs an entry point."""
        return partial(
            measure,
            function=function.name,
            # State shows from the second call on.
            calls=2 if any(item.mutable for item in self.program.globals) else 1,
            timeout=_RUN_TIMEOUT,
            server=self.server,
        )


def compare_execution(
    program: Program,
    mode: str,
    backend: str,
    tools: Tools,
    server: MeasurementServer,
    key: str,
    flags: Sequence[str] = (),
) -> list[Problem]:
    """Compile and run a program both ways.

    Args:
      program: the program to run.
      mode: of ``--serenity-rewrite``.
      backend: a key of `TARGETS`.
      tools: the compilers.
      server: of the measurements.
      key: of the inputs and the budget.
      flags: more flags for both compilers.

    Returns:
      The promises that are not kept.
    """
    with tempfile.TemporaryDirectory(prefix="serenity-fuzz-") as name:
        directory = Path(name)
        case = _Case(program, mode, backend, tools, server, key, flags, directory)
        stock, ours = directory / "stock.vmfb", directory / "ours.vmfb"
        code, stock_said = case.compile(tools.stock, stock)
        if code != 0:
            return [Problem(REFUSED, diagnose_failure(code, stock_said).text)]
        code, said, report = case.compile_ours(ours)
        complaints = find_complaints(code, said, stock_said)
        if complaints or report is None:
            return complaints
        if ours.read_bytes() == stock.read_bytes() and not report.functions:
            return []  # Nothing to schedule, and nothing done.
        problems: list[Problem] = []
        rewrites = report.rewrites or any(entry.rewrites for entry in report.functions)
        if mode == "off" and rewrites:
            problems.append(Problem("rewritten", "rewrites are reported though they are off"))
        modules = [_Built(ours, report)]
        problems += _compile_within_budget(case, modules, stock_said)
        problems += _compile_within_bounds(case, modules, stock_said)
        for function in program.entry_points:
            for kind in DATA:
                # Reals tell nothing more about a budget.
                chosen = modules if kind == "integers" else modules[:1]
                extents = draw_extents(function, key) if kind == "integers" else (None,)
                found = []
                for extent in extents:
                    found += _compare_calls(case, stock, chosen, function, kind, extent)
                    if found and found[0].kind == REFUSED:
                        return found
                problems += found
                if any(problem.kind == "run" for problem in found):
                    break
        return problems


def _add_within_budget(
    case: _Case, modules: list[_Built], stock_said: str, drawn: tuple[int, int], bound: int | None
) -> tuple[bool, list[Problem]]:
    """Compile with a budget, and a bound if there is one; add the module to `modules`.

    `drawn` is the budget and the bytes that suffice. Returns whether the budget is missed, and the
    problems; then, and with problems, nothing is added.
    """
    budget, enough = drawn
    flags = [f"--serenity-memory-budget={budget}"]
    if bound is not None:
        flags.insert(0, f"--serenity-dim-bound={bound}")
    module = case.directory / f"{'' if bound is None else 'bounded_'}budget.vmfb"
    code, said, report = case.compile_ours(module, *flags)
    if code == _BUDGET_MISSED:
        if module.exists():
            return True, [
                Problem("budget output", "the budget is missed, and a module was written")
            ]
        if enough <= budget:
            without = "were reported without one" if bound is None else f"suffice within {bound}"
            text = f"a budget of {budget:,} bytes is refused, {enough:,} {without}"
            return True, [Problem("budget refused", text)]
        return True, []
    complaints = find_complaints(code, said, stock_said)
    if not complaints and report is not None:
        modules.append(_Built(module, report, budget, bound))
    return False, [Problem(f"budget {problem.kind}", problem.text) for problem in complaints]


def _compile_within_budget(case: _Case, modules: list[_Built], stock_said: str) -> list[Problem]:
    """Compile with a drawn memory budget; add the module to `modules` if there is one."""
    drawn = draw_budget(modules[0].report, case.key)
    if drawn is None:
        return []
    return _add_within_budget(case, modules, stock_said, drawn, bound=None)[1]


def _compile_within_bounds(case: _Case, modules: list[_Built], stock_said: str) -> list[Problem]:
    """Compile a program with dynamic dimensions with a bound of them, then with a budget too.

    The module with the budget, or that with the bound where the budget is missed, is added to
    `modules`.
    """
    functions = case.program.entry_points
    if not any(value.type.dynamic for of in functions for value in of.body.arguments):
        return []
    bound = draw_bound(case.key)
    module = case.directory / "bound.vmfb"
    code, said, report = case.compile_ours(module, f"--serenity-dim-bound={bound}")
    complaints = find_complaints(code, said, stock_said)
    if complaints or report is None:
        return [Problem(f"bound {problem.kind}", problem.text) for problem in complaints]
    drawn = draw_bounded_budget(report, case.key)
    missed, problems = True, list[Problem]()
    if drawn is not None:
        missed, problems = _add_within_budget(case, modules, stock_said, drawn, bound)
    if missed:
        modules.append(_Built(module, report))
    return problems


def _compare_calls(
    case: _Case,
    stock: Path,
    modules: Sequence[_Built],
    function: Function,
    kind: str,
    extent: int | None,
) -> list[Problem]:
    """Call an entry point of all modules on inputs of one kind, and compare with stock's.

    `extent` is that of all dynamic dimensions, None for the one that is drawn.
    """
    inputs = draw_inputs(function, kind, case.key, extent)
    run = case.runner(function)
    where = f"{function.name}, {kind}" + (f", extent {extent}" if extent is not None else "")
    try:
        theirs = run(stock, inputs)
    except MeasurementError as error:
        return [Problem(REFUSED, f"the stock module does not run: {error}")]
    problems: list[Problem] = []
    for built in modules:
        try:
            mine = run(built.module, inputs)
        except MeasurementError as error:
            return [Problem("run", f"{where}: {error}")]
        extents = extents_of(inputs)
        prediction = read_prediction(built.report, function.name, extents)
        # Sums in another order, or other dispatches, whose kernels may round differently.
        rounded = prediction is not None and prediction.rewritten
        wrong = _compare_results(where, theirs, mine, rounded)
        if wrong and is_stock_wrong(
            case.program, case.backend, case.tools, run, inputs, theirs, case.directory
        ):
            return [Problem(REFUSED, f"{where}: the stock module's results are wrong")]
        if wrong and rounded and kind == "reals":
            perturbed = _perturbed(stock, run, inputs)
            wrong = _compare_results(where, theirs, mine, rounded, perturbed)
        entry = built.report.find_function(function.name)
        memory = find_disagreements(prediction, theirs, mine)
        memory += find_broken_bounds(entry, theirs, mine, extents)
        problems += [Problem("memory", f"{where}: {text}") for text in dict.fromkeys(memory)]
        within = built.bound is None or largest_extent(function, inputs) <= built.bound
        if built.budget is not None and within:
            exceeded = find_exceeded_budget(built.budget, function.name, mine)
            problems += [Problem("budget exceeded", text) for text in exceeded]
        problems += wrong
    return problems


def _perturbed(stock: Path, run: _Run, inputs: Sequence[Value]) -> list[list[Value]]:
    """Return the stock module's results on inputs that differ in the last bits.

    Where terms cancel, another order of a sum matters by much more than the last bits of the sum,
    but by no more than some units in the last place of every term (Higham, Accuracy and Stability
    of Numerical Algorithms, 4.2). Programs are short, so that inputs stand for terms.
    """
    found: list[list[Value]] = []
    for seed in range(3):
        changed = perturb(inputs, seed)
        if changed is None:
            return []
        try:
            found.append(results_of(run(stock, changed)))
        except MeasurementError:
            return []
    return found


def _compare_results(
    where: str,
    theirs: Measurement,
    mine: Measurement,
    rounded: bool,
    perturbed: Sequence[Sequence[Value]] = (),
) -> list[Problem]:
    difference = compare_outputs(results_of(theirs), results_of(mine), perturbed)
    return [Problem("results", f"{where}: {text}") for text in output_problems(difference, rounded)]
