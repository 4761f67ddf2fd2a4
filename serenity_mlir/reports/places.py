# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls operations by the nodes and lines of the model that they come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

__all__ = ["node_name", "short_place", "with_places"]

_FILE = re.compile(r'^loc\("((?:[^"\\]|\\.)*)":(\d+):\d+\)$')
_NAME = re.compile(r'^loc\("((?:[^"\\]|\\.)+)"(?:\(.*\))?\)$', re.DOTALL)


def short_place(location: str | None) -> str | None:
    """Shortens an MLIR location for people.

    ``loc("conv1"("model.mlir":5:12))`` becomes ``conv1``, the name of a node of the model, and
    ``loc("folder/model.mlir":5:12)`` becomes ``model.mlir:5``. None if it names no place.
    """
    if location is None:
        return None
    if file := _FILE.match(location):
        return f"{PurePath(file[1]).name}:{file[2]}"
    return node_name(location)


def node_name(location: str | None) -> str | None:
    """Returns the name of the model's node at an MLIR location, None if it has none."""
    name = _NAME.match(location) if location is not None else None
    return name[1] if name else None


def with_places(labels: Sequence[str], locations: Sequence[str | None]) -> tuple[str, ...]:
    """Returns the labels with the place in the model where they come from.

    The name of a node of the model comes first, with the label behind it. A line of a file stands
    behind labels that occur at several lines.

    Args:
      labels: Labels of the operations, one each.
      locations: The MLIR location of each operation, None if it has none.
    """
    places = [short_place(location) for location in locations]
    distinct = Counter(label for label, _ in set(zip(labels, places, strict=True)))

    def placed(label: str, location: str | None, place: str | None) -> str:
        if node := node_name(location):
            return f"{node} ({label})"
        return f"{label} ({place})" if place is not None and distinct[label] > 1 else label

    return tuple(map(placed, labels, locations, places))
