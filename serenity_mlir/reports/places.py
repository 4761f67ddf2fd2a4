# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tells operations of the same name apart by their locations in the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

__all__ = ["short_place", "with_places"]

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
    name = _NAME.match(location)
    return name[1] if name else None


def with_places(labels: Sequence[str], locations: Sequence[str | None]) -> tuple[str, ...]:
    """Returns the labels, those that occur more than once with their location behind them.

    Nothing is added where all operations of a label stand at the same place.

    Args:
      labels: What to call the operations, one each.
      locations: The MLIR location of each operation, None if it has none.
    """
    places = [short_place(location) for location in locations]
    distinct = Counter(label for label, _ in set(zip(labels, places, strict=True)))
    return tuple(
        f"{label} ({place})" if place is not None and distinct[label] > 1 else label
        for label, place in zip(labels, places, strict=True)
    )
