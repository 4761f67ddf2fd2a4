# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checked access to the fields of a report in JSON; errors name the field and its value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = [
    "JsonObject",
    "ReportError",
    "read_count",
    "read_decimal",
    "read_text",
    "wrong_value",
]

_T = TypeVar("_T")


class ReportError(ValueError):
    """A report that cannot be read, or that is not of the form of docs/report.md.

    Attributes:
      field: The field at fault, such as ``"functions[0].regions[1].slab_bytes"``; empty where the
        file as a whole is.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class JsonObject:
    """A JSON object on the way to a dataclass; knows its place for messages."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise wrong_value(place, "an object", value)
        self._value = value
        self._place = place

    def _field(self, name: str) -> tuple[Any, str]:
        place = f"{self._place}.{name}" if self._place else name
        if name not in self._value:
            raise ReportError(f"{place}: the field is missing", field=place)
        return self._value[name], place

    def text(self, name: str) -> str:
        """Return a string."""
        return read_text(*self._field(name))

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None for null."""
        value, place = self._field(name)
        return None if value is None else read_text(value, place)

    def count(self, name: str) -> int:
        """Return an integer that is not negative."""
        return read_count(*self._field(name))

    def optional_count(self, name: str) -> int | None:
        """Return an integer that is not negative, or None for null."""
        value, place = self._field(name)
        return None if value is None else read_count(value, place)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value, place = self._field(name)
        if not isinstance(value, bool):
            raise wrong_value(place, "true or false", value)
        return value

    def optional_flag(self, name: str) -> bool | None:
        """Return true or false, or None for null."""
        return None if self._field(name)[0] is None else self.flag(name)

    def optional(self, name: str, read: Callable[[Any, str], _T]) -> _T | None:
        """Reads a field that may be null."""
        value, place = self._field(name)
        return None if value is None else read(value, place)

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """Return one of the known strings."""
        value, place = self._field(name)
        if value not in known:
            raise wrong_value(place, "one of " + ", ".join(known), value)
        return read_text(value, place)

    def decimal(self, name: str) -> float | None:
        """Return a number, or None for null."""
        return read_decimal(*self._field(name))

    def items(self, name: str, read: Callable[[Any, str], _T]) -> tuple[_T, ...]:
        """Return the items of an array."""
        value, place = self._field(name)
        if not isinstance(value, list):
            raise wrong_value(place, "an array", value)
        return tuple(read(item, f"{place}[{i}]") for i, item in enumerate(value))

    def mapping(self, name: str, read: Callable[[Any, str], _T]) -> dict[str, _T]:
        """Return the fields of an object whose names are not fixed."""
        value, place = self._field(name)
        if not isinstance(value, dict):
            raise wrong_value(place, "an object", value)
        return {key: read(item, f"{place}.{key}") for key, item in value.items()}


def wrong_value(place: str, expected: str, found: Any) -> ReportError:
    """Return the error for a value that is not as expected."""
    text = json.dumps(found)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return ReportError(f"{place or 'report'}: expected {expected}, found {shown}", field=place)


def read_text(value: Any, place: str) -> str:
    """Return a string.

    Raises:
      ReportError: it is something else.
    """
    if not isinstance(value, str):
        raise wrong_value(place, "a string", value)
    return value


def read_count(value: Any, place: str) -> int:
    """Return an integer that is not negative.

    Raises:
      ReportError: it is something else.
    """
    # bool is an int in Python, but not in JSON.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise wrong_value(place, "an integer that is not negative", value)
    return value


def read_decimal(value: Any, place: str) -> float | None:
    """Return a number, or None for null.

    Raises:
      ReportError: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise wrong_value(place, "a number or null", value)
    return float(value)
