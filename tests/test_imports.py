# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that the modules of serenity_mlir import each other in layers, without cycles."""

from __future__ import annotations

import ast
import graphlib

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.one_release


def imports() -> dict[str, set[str]]:
    """The modules of the package that each module imports when it is loaded."""
    paths = {}
    for path in (REPOSITORY / "serenity_mlir").rglob("*.py"):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for module, path in paths.items():
        found[module] = set()
        for node in ast.parse(path.read_text("utf-8")).body:
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                members = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in paths else node.module for name in members]
            found[module] |= {name for name in names if name in paths}
    return found


def test_there_is_no_import_cycle() -> None:
    graph = imports()
    assert len(graph) > 50 and any(graph.values())
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_core_imports_nothing_of_reports_networks_or_iree() -> None:
    allowed = {"serenity_mlir", "serenity_mlir._core", "serenity_mlir._files"}
    for module, names in imports().items():
        if module.startswith("serenity_mlir.core"):
            others = {name for name in names if not name.startswith("serenity_mlir.core")}
            assert others <= allowed, module
