# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Messages of the compiler in the user's terms: their file, their names of dimensions.

The compiler reads an import, a temporary file that the user has never seen. Within `shown_as`, the
messages that the package prints or keeps name the model instead, and flags may name dimensions
as the model does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from serenity_mlir.errors import SerenityError

__all__ = ["command_in_users_terms", "flags_in_compilers_terms", "in_users_terms", "shown_as"]

#: Flags that name dimensions; LLVM takes the value from the next argument too.
_DIMENSION_FLAG = re.compile(r"(?P<flag>--?serenity-dim-(?:hint|bound))(?:=(?P<value>.*))?")

_POSITION = re.compile(r"arg\d+:axis\d+")


@dataclass(frozen=True)
class _Terms:
    source: str
    model: str
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=dict)


#: How MLIR begins a message whose location is a name, the node of an ONNX model for instance.
_NAMED = re.compile(
    r"^(?:<unknown>:0|loc\(unknown\)): (?P<kind>error|warning|remark|note): "
    r'(?:loc\([^"\n]*"(?P<node>[^"\n]+)".*?\): )?',
    re.MULTILINE,
)

_terms: ContextVar[_Terms | None] = ContextVar("_terms", default=None)


@contextmanager
def shown_as(
    source: Path, model: str, dimensions: Mapping[str, Sequence[str]] | None = None
) -> Iterator[None]:
    """Show the file that the compiler reads as `model` while the context lasts.

    Args:
      source: the file.
      model: the user's name for it. A place in an import (line and column) is left out: they have
        no such lines.
      dimensions: the user's names of dimensions by ``argI:axisJ``, the one to print first.
    """
    token = _terms.set(_Terms(str(source), model, dimensions or {}))
    try:
        yield
    finally:
        _terms.reset(token)


def _with_node(model: str, found: re.Match[str]) -> str:
    node = found["node"]
    place = f"{node}: " if node and not node.startswith("graph:") else ""
    return f"{model}: {found['kind']}: {place}"


def in_users_terms(text: str) -> str:
    """Return a compiler's messages, or a report, with the model's own name in them."""
    terms = _terms.get()
    if terms is None:
        return text
    if terms.source != terms.model:
        text = re.sub(rf"{re.escape(terms.source)}(?::\d+)?(?::\d+)?", lambda _: terms.model, text)
        text = _NAMED.sub(lambda found: _with_node(terms.model, found), text)
    for position, names in terms.dimensions.items():
        text = re.sub(rf"\b{re.escape(position)}\b", names[0].replace("\\", r"\\"), text)
    return text


def _positions(name: str, terms: _Terms) -> list[str]:
    """Return ``argI:axisJ`` of every dimension that the user calls `name`.

    Raises:
      SerenityError: there is none (exit code 2).
    """
    if _POSITION.fullmatch(name):
        return [name]
    found = [position for position, names in terms.dimensions.items() if name in names]
    if not found:
        known = ", ".join(dict.fromkeys(names[0] for names in terms.dimensions.values()))
        raise SerenityError(
            f"no dynamic dimension {name}; "
            + (f"the model has {known}" if known else "the model names none: use argI:axisJ"),
            exit_code=2,
        )
    return found


def flags_in_compilers_terms(flags: Sequence[str]) -> list[str]:
    """Return flags with ``argI:axisJ`` instead of the user's names of dimensions.

    A name that several arguments have makes a flag for each.

    Raises:
      SerenityError: the model has no dynamic dimension of a name (exit code 2).
    """
    terms = _terms.get()
    if terms is None:
        return list(flags)
    translated: list[str] = []
    rest = iter(flags)
    for flag in rest:
        match = _DIMENSION_FLAG.fullmatch(flag)
        value = next(rest, None) if match and match["value"] is None else match and match["value"]
        name, equals, extent = (value or "").rpartition("=")
        if match is None or not equals:
            translated += [flag] if value is None or "=" in flag else [flag, value]
            continue
        translated += [f"{match['flag']}={at}={extent}" for at in _positions(name, terms)]
    return translated


def command_in_users_terms(command: Sequence[str]) -> list[str]:
    """Return a command with ``<import of MODEL>`` for the temporary file that it read."""
    terms = _terms.get()
    if terms is None or terms.source == terms.model:
        return list(command)
    shown = f"<import of {terms.model}>"
    return [shown if word == terms.source else word for word in command]
