# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiling from Python: IREE's ``compile_str`` and ``compile_file`` with memory optimisation.

Each call runs one ``serenity-compile`` process, as IREE's functions run one ``iree-compile``: the
compiler's global options can be set once per process only.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir._native import native_tool, tool_environment
from serenity_mlir.errors import SerenityError, parse_diagnostics

__all__ = [
    "LOCAL_FLAGS",
    "SerenityOptions",
    "build_command_line",
    "compile",
    "compile_file",
    "compile_str",
    "target_flags",
]

_log = logging.getLogger(__name__)

PASSES = (
    "serenity-rewrite",
    "serenity-schedule",
    "serenity-schedule-regions",
    "serenity-waves",
    "serenity-pack",
    "serenity-clone-callees",
)

#: How modules are compiled where the caller names no target: for this machine's CPU.
LOCAL_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)

_CHOICES = {
    "rewrite": ("auto", "off", "always"),
    "offsets": ("exact", "greedy", "iree"),
    "scheduler": ("exact", "serenity", "heuristic"),
    "waves": ("auto", "off"),
    "budget_policy": ("error", "warn"),
}


@dataclass(frozen=True)
class SerenityOptions:
    """What serenity_mlir does in a compilation. Each field is one ``--serenity-*`` flag.

    A field that is None gives no flag, and the compiler's default (in parentheses) holds.

    Attributes:
      schedule: ``--serenity-schedule=on|off``. Optimise; False compiles as stock and still reports
        (True).
      rewrite: ``--serenity-rewrite=``. Identity graph rewriting: ``"auto"`` where it pays,
        ``"off"``, ``"always"`` (``"auto"``).
      offsets: ``--serenity-offsets=``. ``"exact"``, ``"greedy"`` or ``"iree"`` (``"exact"``).
      scheduler: ``--serenity-scheduler=``. ``"exact"``, ``"serenity"`` (the paper's own algorithm)
        or ``"heuristic"`` (``"exact"``).
      waves: ``--serenity-waves=``. ``"auto"``: neighbouring commands run concurrently where that
        costs no byte; ``"off"``: one after the other (``"auto"``).
      time_limit: ``--serenity-time-limit=``. Seconds per function, after which the best answer so
        far is taken; 0 leaves the heuristics only (10).
      state_limit: ``--serenity-state-limit=``. States of a search; unlike the time limit it gives
        the same result on every machine; 0 is no limit (0).
      memory_budget: ``--serenity-memory-budget=``. The most bytes of transient memory that a
        function may need: a number of bytes, or text with a unit, KB/MB = 1000, KiB/MiB = 1024
        (no budget).
      budget_policy: ``--serenity-budget-policy=``. ``"error"`` (exit code 3) or ``"warn"`` where
        the budget is missed (``"error"``).
      report: ``--serenity-report=``. JSON file to write (none).
      print_ir_after: ``--serenity-print-ir-after=``, a flag for each. Passes of ours after which
        the IR goes to standard error (none).

    Raises:
      ValueError: From the constructor, if a value cannot be one of its flag's.
    """

    schedule: bool = True
    rewrite: str | None = None
    offsets: str | None = None
    scheduler: str | None = None
    waves: str | None = None
    time_limit: float | None = None
    state_limit: int | None = None
    memory_budget: int | str | None = None
    budget_policy: str | None = None
    report: str | os.PathLike[str] | None = None
    print_ir_after: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
        if not isinstance(self.schedule, bool):
            raise ValueError(f"schedule must be True or False; got {self.schedule!r}")
        if self.time_limit is not None and not 0 <= self.time_limit < float("inf"):
            raise ValueError(f"time_limit must be a number of seconds; got {self.time_limit}")
        if self.state_limit is not None and self.state_limit < 0:
            raise ValueError(f"state_limit must not be negative; got {self.state_limit}")
        budget = self.memory_budget
        if budget is not None and not re.fullmatch(r"0*[1-9]\d*([KMG]i?B|B)?", str(budget)):
            raise ValueError(
                "memory_budget must be a positive number of bytes, or text such as '256KiB' or "
                f"'256KB'; got {budget!r}"
            )
        if isinstance(self.print_ir_after, str):
            raise ValueError("print_ir_after must be a sequence of pass names, not one string")
        for name in self.print_ir_after:
            if name not in PASSES:
                raise ValueError(f"print_ir_after knows {', '.join(PASSES)}; got {name!r}")

    def flags(self) -> list[str]:
        """Returns the options as flags of ``serenity-compile``, in the order of the fields."""
        flags = [f"--serenity-schedule={'on' if self.schedule else 'off'}"]
        values = {
            "rewrite": self.rewrite,
            "offsets": self.offsets,
            "scheduler": self.scheduler,
            "waves": self.waves,
            "time-limit": None if self.time_limit is None else f"{self.time_limit:.15g}",
            "state-limit": self.state_limit,
            "memory-budget": self.memory_budget,
            "budget-policy": self.budget_policy,
            "report": None if self.report is None else os.fspath(self.report),
        }
        flags += [
            f"--serenity-{name}={value}" for name, value in values.items() if value is not None
        ]
        flags += [f"--serenity-print-ir-after={name}" for name in self.print_ir_after]
        return flags


def target_flags(flags: Sequence[str]) -> list[str]:
    """Returns `flags`, with `LOCAL_FLAGS` before them if they name no target."""
    names = ("hal-target-device", "hal-target-backends", "hal-local-target-device-backends")
    if any(name in flag.partition("=")[0] for flag in flags for name in names):
        return list(flags)
    return [*LOCAL_FLAGS, *flags]


def build_command_line(
    input_file: str,
    serenity: SerenityOptions | None,
    options: Any,
    temp_files: Any,
) -> list[str]:
    """Builds the command of one compilation; runs nothing.

    Args:
      input_file: The file to compile, ``"-"`` for standard input.
      serenity: Our options; None compiles with the stock ``iree-compile``.
      options: An ``iree.compiler.tools.core.CompilerOptions``.
      temp_files: An ``iree.compiler.tools.debugging.TempFileSaver``.

    Returns:
      The arguments, the program first: IREE's own, then ours, then ``options.extra_args``.
    """
    from iree.compiler.tools import core

    extra_args = list(options.extra_args)
    options.extra_args = ()
    try:
        command: list[str] = core.build_compile_command_line(input_file, temp_files, options)
    finally:
        options.extra_args = extra_args
    if serenity is None:
        # Whether or not the import hook has put the launcher in its place.
        command[0] = stock_compiler()
        return command + extra_args
    command[0] = native_tool("serenity-compile")
    return command + serenity.flags() + extra_args


def stock_compiler() -> str:
    """Returns the path of IREE's own ``iree-compile``, or of the one in a user's IREE_TOOL_PATH."""
    from iree.compiler.tools import binaries

    find_tool = getattr(binaries.find_tool, "_serenity_stock", binaries.find_tool)
    return str(find_tool("iree-compile"))


def _run(command: list[str], input_bytes: bytes | None, environment: dict[str, str]) -> bytes:
    quoted = shlex.join(command)
    _log.debug("running %s", quoted)
    start = time.perf_counter()
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            env=environment,
            input=input_bytes,
            stdin=subprocess.DEVNULL if input_bytes is None else None,
            check=False,
        )
    except OSError as error:
        raise SerenityError(
            f"cannot run the compiler: {error}\nCommand: {quoted}", exit_code=1, command=quoted
        ) from error
    errors = process.stderr.decode("utf-8", errors="replace")
    _log.debug("exit code %d after %.2f s", process.returncode, time.perf_counter() - start)
    if process.returncode == 0:
        # Warnings and remarks, as IREE's own functions pass them on.
        sys.stderr.write(errors)
        return process.stdout
    diagnostics = parse_diagnostics(errors)
    how = (
        f"was ended by signal {-process.returncode}"
        if process.returncode < 0
        else f"failed with exit code {process.returncode}"
    )
    raise SerenityError(
        f"compilation {how}\n{errors.rstrip()}\nCommand: {quoted}",
        diagnostics=diagnostics,
        exit_code=process.returncode,
        command=quoted,
        stderr=errors,
    )


def _compile(
    input_file: str,
    input_bytes: bytes | None,
    serenity: SerenityOptions | None,
    fields: dict[str, Any],
) -> bytes | None:
    from iree.compiler.tools import core
    from iree.compiler.tools.debugging import TempFileSaver

    with TempFileSaver.implicit() as temp_files:
        if input_bytes is not None:
            saved_input = temp_files.alloc_optional("core-input.mlir")
            if saved_input:
                Path(saved_input).write_bytes(input_bytes)
        options = core.CompilerOptions(**fields)
        saved_output = temp_files.alloc_optional("core-output.bin", export_as=options.output_file)
        if options.output_file:
            options.output_file = saved_output
        command = build_command_line(input_file, serenity, options, temp_files)
        saved_command = temp_files.alloc_optional("core-command-line.txt")
        if saved_command:
            Path(saved_command).write_text(shlex.join(command), encoding="utf-8")
        environment = dict(os.environ) if serenity is None else tool_environment(command[0])
        result = _run(command, input_bytes, environment)
        if options.output_file:
            return None
        if saved_output:
            Path(saved_output).write_bytes(result)
        return result


_DEFAULT = SerenityOptions()


def compile_str(
    input_str: str | bytes,
    *,
    serenity: SerenityOptions | None = _DEFAULT,
    **options: Any,
) -> bytes | None:
    """Compiles MLIR given as text or bytecode.

    Args:
      input_str: The module, as text or as the bytes of text or bytecode.
      serenity: What serenity_mlir does; None leaves everything to the stock compiler.
      **options: The fields of ``iree.compiler.tools.CompilerOptions`` (``target_backends``,
        ``input_type``, ``output_file``, ``extra_args`` and the rest), with the same meaning and
        defaults as in ``iree.compiler.tools.compile_str``.

    Returns:
      The compiled module, or None if ``output_file`` is given.

    Raises:
      SerenityError: If the compilation fails: with the diagnostics, the exit code and the command.
      TypeError: For an option that ``CompilerOptions`` has no field for.
      ValueError: For a value that an option does not have.
    """
    data = input_str.encode("utf-8") if isinstance(input_str, str) else bytes(input_str)
    return _compile("-", data, serenity, options)


def compile_file(
    input_file: str | os.PathLike[str],
    *,
    serenity: SerenityOptions | None = _DEFAULT,
    **options: Any,
) -> bytes | None:
    """Compiles a file of MLIR text or bytecode.

    Args:
      input_file: The file's path.
      serenity: What serenity_mlir does; None leaves everything to the stock compiler.
      **options: The fields of ``iree.compiler.tools.CompilerOptions``, as for `compile_str`.

    Returns:
      The compiled module, or None if ``output_file`` is given.

    Raises:
      SerenityError: If the compilation fails: with the diagnostics, the exit code and the command.
      TypeError: For an option that ``CompilerOptions`` has no field for.
      ValueError: For a value that an option does not have.
    """
    return _compile(os.fspath(input_file), None, serenity, options)


def compile(
    model: Any,
    args: Sequence[Any] | None = None,
    *,
    serenity: SerenityOptions | None = _DEFAULT,
    **options: Any,
) -> bytes | None:
    """Compiles a model as its framework has it.

    Args:
      model: A path (``.mlir``, ``.mlirbc``, ``.onnx``, ``.pt2``; a string without line breaks is a
        path), the name of a network of this package, MLIR as text or bytes, an
        ``onnx.ModelProto``, a ``torch.nn.Module`` or ``torch.export.ExportedProgram``, a function
        of JAX or ``jax.export.Exported``, or a ``Module`` of MLIR's Python bindings.
      args: Example arguments, by position, for exporting a ``torch.nn.Module`` or a function of
        JAX: tensors or arrays, or the shape alone as a tuple of integers, for float32. Their values
        do not matter.
      serenity: What serenity_mlir does; None leaves everything to the stock compiler.
      **options: The fields of ``iree.compiler.tools.CompilerOptions``, as for `compile_str`.
        If neither they nor a flag in ``extra_args`` name a target, it is this machine's CPU.

    Returns:
      The compiled module, or None if ``output_file`` is given.

    Raises:
      SerenityError: If the import or the compilation fails (exit code 1), there is no such file,
        the kind of model is unknown or its framework is not installed (2), or the memory budget is
        missed (3).
      TypeError: For an option that ``CompilerOptions`` has no field for.
    """
    import tempfile

    from serenity_mlir.compiling.importing import load_model

    if not options.get("target_backends"):
        options["extra_args"] = target_flags(options.get("extra_args", ()))
    if args is None and (isinstance(model, bytes) or (isinstance(model, str) and "\n" in model)):
        return compile_str(model, serenity=serenity, **options)
    with tempfile.TemporaryDirectory(prefix="serenity-") as directory:
        path = load_model(model, Path(directory), args)
        return compile_file(path, serenity=serenity, **options)
