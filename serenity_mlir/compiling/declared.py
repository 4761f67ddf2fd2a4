# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The options and passes that Options.def and Passes.def declare, as Python sees them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from serenity_mlir import _core

__all__ = ["check_fields", "flags_of", "option_text", "pass_names"]

# Always given: without a serenity flag a compilation is the stock compiler's.
_FIRST = "schedule"


def pass_names() -> tuple[str, ...]:
    """Returns the names of all passes, in pipeline order."""
    return tuple(declared.name for declared in _core.pass_declarations())


def option_text(value: object) -> str:
    """Returns the value of an option as the command line spells it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.15g}"
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _entries(name: str, value: object) -> list[object]:
    """Returns the values of a field, one for each flag."""
    kind = next(o.kind for o in _core.option_declarations() if o.name == name)
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{_field(name)} must be True or False; got {value!r}")
    if kind not in ("passes", "extents", "counts"):
        return [] if value is None else [value]
    if isinstance(value, (str, int)):
        what = {"passes": "pass names", "extents": "dimensions with extents"}.get(kind, "numbers")
        raise ValueError(
            f"{_field(name)} must be a sequence of {what}, not one {type(value).__name__}"
        )
    return list(value)  # type: ignore[call-overload, no-any-return]


def _field(name: str) -> str:
    return name.replace("-", "_")


def _values(options: Any) -> list[tuple[str, object, object]]:
    """Returns the flag without ``--serenity-``, the value and the default of every field."""
    return [
        (field.name.replace("_", "-"), getattr(options, field.name), field.default)
        for field in dataclasses.fields(options)
    ]


def check_fields(options: Any) -> None:
    """Checks a `SerenityOptions` by the rules of the compiler's command line.

    Raises:
      ValueError: For a value that the flag does not take.
    """
    for name, value, _ in _values(options):
        for entry in _entries(name, value):
            try:
                _core.check_option(name, option_text(entry))
            except ValueError as error:
                raise ValueError(f"{_field(name)}: {error}") from None


def flags_of(options: Any) -> list[str]:
    """Returns a `SerenityOptions` as flags; a bool only where it is not the default."""
    return [
        f"--serenity-{name}={option_text(entry)}"
        for name, value, default in _values(options)
        if not isinstance(value, bool) or value != default or name == _FIRST
        for entry in _entries(name, value)
    ]
