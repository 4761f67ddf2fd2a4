# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Messages of the compiler in the user's terms: their file, their names of dimensions.

The compiler reads an import, a temporary file that the user has never seen. Within `shown_as`, what
the package prints or keeps of its messages names the model instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["command_in_users_terms", "in_users_terms", "shown_as"]


@dataclass(frozen=True)
class _Terms:
    source: str
    model: str
    dimensions: Mapping[str, str] = field(default_factory=dict)


_terms: ContextVar[_Terms | None] = ContextVar("_terms", default=None)


@contextmanager
def shown_as(
    source: Path, model: str, dimensions: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Show the file that the compiler reads as `model` while the context lasts.

    Args:
      source: the file.
      model: the user's name for it. A place in an import (line and column) is left out: they have
        no such lines.
      dimensions: the user's names of dimensions by ``argI:axisJ``.
    """
    token = _terms.set(_Terms(str(source), model, dimensions or {}))
    try:
        yield
    finally:
        _terms.reset(token)


def in_users_terms(text: str) -> str:
    """Return a compiler's messages, or a report, with the model's own name in them."""
    terms = _terms.get()
    if terms is None:
        return text
    if terms.source != terms.model:
        text = re.sub(rf"{re.escape(terms.source)}(?::\d+)?(?::\d+)?", lambda _: terms.model, text)
    for position, name in terms.dimensions.items():
        text = re.sub(rf"\b{re.escape(position)}\b", name.replace("\\", r"\\"), text)
    return text


def command_in_users_terms(command: Sequence[str]) -> list[str]:
    """Return a command with ``<import of MODEL>`` for the temporary file that it read."""
    terms = _terms.get()
    if terms is None or terms.source == terms.model:
        return list(command)
    shown = f"<import of {terms.model}>"
    return [shown if word == terms.source else word for word in command]
