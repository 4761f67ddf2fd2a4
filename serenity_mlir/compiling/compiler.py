# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiling from Python: IREE's ``compile_str`` and ``compile_file`` with memory optimisation.

Each call runs one ``serenity-compile`` process, as IREE's functions run one ``iree-compile``: the
compiler's global options can be set once per process only.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serenity_mlir._native import native_tool, tool_environment
from serenity_mlir._processes import run_command
from serenity_mlir.compiling.messages import (
    command_in_users_terms,
    flags_in_compilers_terms,
    in_users_terms,
    shown_as,
)
from serenity_mlir.compiling.options import SerenityOptions
from serenity_mlir.errors import SerenityError, compilation_error

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

#: How modules are compiled where the caller names no target: for this machine's CPU.
LOCAL_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


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
      The arguments, the program first: IREE's own, then those of serenity_mlir, then
      ``options.extra_args``.
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
    return command + flags_in_compilers_terms([*serenity.flags(), *extra_args])


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
        process = run_command(command, env=environment, input=input_bytes)
    except OSError as error:
        raise SerenityError(
            f"cannot run the compiler: {error}\nCommand: {quoted}", exit_code=1, command=quoted
        ) from error
    errors = in_users_terms(process.stderr.decode("utf-8", errors="replace"))
    _log.debug("exit code %d after %.2f s", process.returncode, time.perf_counter() - start)
    if process.returncode == 0:
        # Warnings and remarks, as IREE's own functions pass them on.
        sys.stderr.write(errors)
        return process.stdout
    raise compilation_error(command_in_users_terms(command), process.returncode, errors)


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
      serenity: Options of serenity_mlir; None leaves everything to the stock compiler.
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
      serenity: Options of serenity_mlir; None leaves everything to the stock compiler.
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
    fix_dims: Mapping[str, int] | None = None,
    consume: Sequence[int] = (),
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
      serenity: Options of serenity_mlir; None leaves everything to the stock compiler.
      fix_dims: Extents for dynamic dimensions of the inputs: in ONNX by the dimension's own name or
        by ``INPUT:AXIS``; in all models by ``argI:axisJ``, counted from 0.
      consume: Arguments, counted from 0, whose buffers the compiled function may overwrite once it
        has read them: their contents are undefined after a call. They must not share memory with
        other arguments. Without it all inputs are kept, but for those that JAX donates.
      **options: The fields of ``iree.compiler.tools.CompilerOptions``, as for `compile_str`.
        If neither they nor a flag in ``extra_args`` name a target, it is this machine's CPU.

    Returns:
      The compiled module, or None if ``output_file`` is given.

    Raises:
      SerenityError: If the import or the compilation fails (exit code 1), there is no such file,
        the kind of model is unknown, its framework is not installed or it has no such dimension
        (2), or the memory budget is missed (3).
      TypeError: For an option that ``CompilerOptions`` has no field for.
      ValueError: For arguments to consume that are not numbers, or if there is nothing that
        serenity_mlir does (`serenity` None).
    """
    import tempfile

    from serenity_mlir.compiling.importing import import_model, model_name

    if consume:
        if serenity is None:
            raise ValueError("consume needs serenity options; got serenity=None")
        serenity = dataclasses.replace(serenity, consume=tuple(consume))
    if not options.get("target_backends"):
        options["extra_args"] = target_flags(options.get("extra_args", ()))
    text = isinstance(model, bytes) or (isinstance(model, str) and "\n" in model)
    if args is None and text and not fix_dims:
        return compile_str(model, serenity=serenity, **options)
    with tempfile.TemporaryDirectory(prefix="serenity-") as directory:
        found = import_model(
            model, Path(directory), args, fix_dims=fix_dims, flags=options.get("extra_args", ())
        )
        with shown_as(found.path, model_name(model), found.dimension_aliases):
            return compile_file(found.path, serenity=serenity, **options)
