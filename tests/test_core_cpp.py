# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that the C++ tests of the core pass; `.ci/run` runs them under sanitizers as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPOSITORY
from cpp_support import build_or_skip, run

# Compiling the core takes most of a minute.
pytestmark = [pytest.mark.one_release, pytest.mark.slow]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    build_or_skip(
        *(folder, "all"),
        *("-DSERENITY_BUILD_CORE_ONLY=ON", "-DSERENITY_BUILD_CORE_TESTS=ON"),
        *("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS=-O1"),
    )
    return folder / "tests" / "core"


def test_solvers_agree_with_brute_force_on_random_instances(programs: Path) -> None:
    printed = run(programs / "DifferentialTest", "600")
    assert "seeds 1 to 600: 600 instances" in printed
    assert printed.endswith("no mismatch\n")


def test_scheduler_agrees_with_brute_force_on_every_small_graph(programs: Path) -> None:
    # Every 100th graph of seven operations, and all smaller ones.
    printed = run(programs / "SmallGraphsTest", "100")
    assert "8763 problems agree with brute force" in printed


def test_bands_are_planned_as_by_hand(programs: Path) -> None:
    assert run(programs / "BandPlanTest") == "bands are planned as by hand\n"


def test_allocations_are_simulated_as_by_hand(programs: Path) -> None:
    assert run(programs / "AllocationProgramTest") == "allocations are simulated as by hand\n"


def test_regions_are_planned_as_by_hand(programs: Path) -> None:
    assert run(programs / "RegionPlanTest") == "regions are planned as by hand\n"


def test_variants_are_chosen_as_by_hand(programs: Path) -> None:
    assert run(programs / "VariantChoiceTest") == "variants are chosen as by hand\n"


def test_the_search_is_limited_as_by_hand(programs: Path) -> None:
    assert run(programs / "WorkLimitTest") == "the search is limited as by hand\n"


def test_packings_from_memory_are_those_of_the_packer(programs: Path) -> None:
    assert run(programs / "PackMemoTest") == "packings from memory are those of the packer\n"


def test_offsets_of_run_time_sizes_never_overlap(programs: Path) -> None:
    printed = run(programs / "SymbolicOffsetsTest", "600")
    assert "600 instances at 12000 sizes" in printed
    assert printed.endswith("no mismatch\n")


def test_packing_beside_regions_agrees_with_an_enumeration_of_all_placements(
    programs: Path,
) -> None:
    printed = run(programs / "FixedRegionsTest", "20000")
    assert printed.startswith("20000 instances: ")
    assert printed.endswith("no mismatch\n")


def test_every_test_program_is_run_here(programs: Path) -> None:
    built = {source.stem for source in (REPOSITORY / "tests" / "core").glob("*Test.cpp")}
    assert built == {
        "AllocationProgramTest",
        "BandPlanTest",
        "DifferentialTest",
        "FixedRegionsTest",
        "PackMemoTest",
        "RegionPlanTest",
        "SmallGraphsTest",
        "SymbolicOffsetsTest",
        "VariantChoiceTest",
        "WorkLimitTest",
    }
    assert all((programs / name).is_file() for name in built)
