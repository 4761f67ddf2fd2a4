# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that the C++ tests of functions on IR pass: fusion, memory, regions, sites."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from cpp_support import build_or_skip, run

# Compiling the passes takes a minute or two.
pytestmark = pytest.mark.slow

#: Each program and its output, where everything is as worked out by hand.
PROGRAMS = {
    "FunctionMemoryTest": "memory is counted as by hand\n",
    "FusionModelTest": "fusion is modelled as by hand\n",
    "QuantizedRaiseTest": "constants and insertions are as by hand\n",
    "RegionReaderTest": "regions are read as by hand\n",
    "RegionWriterTest": "regions are written as by hand\n",
    "RewriteSitesTest": "sites are split as by hand\n",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ir")
    build_or_skip(
        *(folder, "ir_tests"),
        *("-DSERENITY_BUILD_IR_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}"),
        *("-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"),
    )
    return folder / "tests" / "ir"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_finds_no_difference(name: str, programs: Path) -> None:
    assert run(programs / name) == PROGRAMS[name]


def test_every_test_program_is_run_here() -> None:
    assert {path.stem for path in (REPOSITORY / "tests" / "ir").glob("*Test.cpp")} == set(PROGRAMS)
