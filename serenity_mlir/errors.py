# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The exceptions of serenity_mlir, with the compiler's diagnostics as data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = [
    "Diagnostic",
    "SerenityError",
    "UnsupportedEnvironmentError",
    "compilation_error",
    "parse_diagnostics",
]

_SEVERITIES = ("error", "warning", "remark", "note")


@dataclass(frozen=True)
class Diagnostic:
    """One message of the compiler.

    Attributes:
      severity: ``"error"``, ``"warning"``, ``"remark"`` or ``"note"``.
      message: The text without location and severity; lines that the compiler adds below (the
        source line, a caret) are not part of it.
      file: The file named by the location (``"<stdin>"`` or ``"-"`` for standard input), or None.
      line: Line in ``file``, from 1, or None.
      column: Column in ``line``, from 1, or None.
      notes: The notes that the compiler attached, in order.
    """

    severity: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    notes: tuple[Diagnostic, ...] = ()

    def __str__(self) -> str:
        """The message in the compiler's own form, notes on lines of their own."""
        place = ""
        if self.file is not None:
            place = self.file
            if self.line is not None:
                place += f":{self.line}:{self.column or 0}"
            place += ": "
        return "\n".join([f"{place}{self.severity}: {self.message}", *map(str, self.notes)])


class SerenityError(RuntimeError):
    """A tool of serenity_mlir, or the IREE compiler under it, failed.

    Attributes:
      diagnostics: The messages found in the tool's output, in order; notes are attached to the
        message before them. May be empty, for instance after a crash.
      exit_code: The exit status: 1 compilation failed, 2 wrong usage, 3 memory budget missed, 4
        check failed; negative if a signal ended the process.
      command: The command, quoted for a POSIX shell. Run from the same folder it fails in the same
        way (input that was passed as a string is then read from standard input).
      stderr: All that the tool printed to standard error.
    """

    def __init__(
        self,
        message: str,
        *,
        diagnostics: Sequence[Diagnostic] = (),
        exit_code: int = 1,
        command: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)
        self.exit_code = exit_code
        self.command = command
        self.stderr = stderr

    def __reduce__(self) -> tuple[object, ...]:
        """Keeps the attributes when the exception crosses to another process."""
        return (_rebuild, (str(self), self.diagnostics, self.exit_code, self.command, self.stderr))


def _rebuild(
    message: str,
    diagnostics: tuple[Diagnostic, ...],
    exit_code: int,
    command: str,
    stderr: str,
) -> SerenityError:
    return SerenityError(
        message, diagnostics=diagnostics, exit_code=exit_code, command=command, stderr=stderr
    )


class UnsupportedEnvironmentError(ImportError):
    """The platform, or the installed IREE, is not one that serenity_mlir works with."""


@dataclass
class _Open:
    """A diagnostic that may still get notes."""

    severity: str
    message: str
    file: str | None
    line: int | None
    column: int | None
    notes: list[Diagnostic] = field(default_factory=list)

    def close(self) -> Diagnostic:
        return Diagnostic(
            self.severity, self.message, self.file, self.line, self.column, tuple(self.notes)
        )


_SEVERITY = "|".join(_SEVERITIES)
# file:line:column: severity: message. A location without a place prints as <unknown>:0, and any
# other location as loc(...).
_LOCATED = re.compile(
    rf"^(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<severity>{_SEVERITY}): "
)
_LOC = re.compile(rf"^loc\((?P<loc>.*)\): (?P<severity>{_SEVERITY}): ")
_FILE_IN_LOC = re.compile(r'"(?P<file>[^"]+)":(?P<line>\d+):(?P<column>\d+)')
_BARE = re.compile(rf"^(?:[\w.+/-]+: )?(?P<severity>{_SEVERITY}): ")
# LLVM's command line library and the compiler's own main program name no severity.
_TOOL = re.compile(r"^(?:[^\s:]*/)?(?:iree|serenity)-[a-z-]+: (?P<message>.+)$")
_INPUT = re.compile(r"^error opening input file: (?P<message>.+)$")


def _parse_line(text: str) -> _Open | None:
    if match := _LOCATED.match(text):
        file, line = match["file"], int(match["line"])
        column = int(match["column"]) if match["column"] else None
        known = file != "<unknown>"
        return _Open(
            match["severity"],
            text[match.end() :],
            file if known else None,
            line if known and line > 0 else None,
            column if known and line > 0 else None,
        )
    if match := _LOC.match(text):
        inner = _FILE_IN_LOC.search(match["loc"])
        return _Open(
            match["severity"],
            text[match.end() :],
            inner["file"] if inner else None,
            int(inner["line"]) if inner else None,
            int(inner["column"]) if inner else None,
        )
    if match := _BARE.match(text):
        return _Open(match["severity"], text[match.end() :], None, None, None)
    if (match := _TOOL.match(text)) or (match := _INPUT.match(text)):
        message = match["message"]
        return _Open(
            "note" if message.startswith("Did you mean") else "error", message, None, None, None
        )
    return None


def parse_diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """Returns the diagnostics in the output of a compiler.

    Args:
      text: Standard error of ``iree-compile``, ``serenity-compile`` or ``serenity-opt``.

    Returns:
      Errors, warnings and remarks in the order printed, each with the notes that follow it. Lines
      that are no diagnostics (source excerpts, printed IR, stack traces) are skipped.
    """
    found: list[_Open] = []
    for line in text.splitlines():
        diagnostic = _parse_line(line)
        if diagnostic is None:
            continue
        if diagnostic.severity == "note" and found:
            found[-1].notes.append(diagnostic.close())
        else:
            found.append(diagnostic)
    return tuple(diagnostic.close() for diagnostic in found)


def compilation_error(command: Sequence[str], code: int, errors: str) -> SerenityError:
    """Returns the error for a compilation that failed.

    Args:
      command: The command that was run.
      code: Its exit code; negative if a signal ended it.
      errors: Its output on standard error.
    """
    quoted = shlex.join(command)
    how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return SerenityError(
        f"compilation {how}\n{errors.rstrip()}\nCommand: {quoted}",
        diagnostics=parse_diagnostics(errors),
        exit_code=code,
        command=quoted,
        stderr=errors,
    )
