# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Concurrent dispatch groups: formed again where they cost nothing, and safe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver_support import TARGET, Compilers, slabs
from models import MODELS

from serenity_mlir.reports.reporting import (
    AccessReport,
    OperationReport,
    RegionReport,
    Report,
    load_report,
)

STREAM = (*TARGET, "--compile-to=stream")


def compile_model(
    compilers: Compilers, name: str, directory: Path, *flags: str
) -> tuple[Report, bytes]:
    source, output, report = (directory / file for file in ("m.mlir", "out", "report.json"))
    source.write_text(MODELS[name]())
    compilers.report(report, source, *STREAM, *flags, "-o", output)
    return load_report(report), output.read_bytes()


def touched(
    region: RegionReport, operation: OperationReport, write: bool
) -> Iterator[tuple[int, int, int]]:
    """The bytes that an operation reads and writes: a space (0: the slab), start and end."""

    def spans(accesses: tuple[AccessReport, ...], slab: bool) -> Iterator[tuple[int, int, int]]:
        for access in accesses:
            assert access.offset is not None and access.bytes is not None
            start = access.offset + (region.buffers[access.buffer].offset if slab else 0)
            yield 0 if slab else 1 + access.buffer, start, start + access.bytes

    yield from spans(operation.defs, True)
    yield from spans(operation.external_defs, False)
    if not write:
        yield from spans(operation.uses, True)
        yield from spans(operation.external_uses, False)


def conflicts(region: RegionReport, a: OperationReport, b: OperationReport) -> bool:
    """Whether one writes bytes, at their place in the slab, that the other one touches."""
    return any(
        left[0] == right[0] and left[1] < right[2] and right[1] < left[2]
        for first, second in ((a, b), (b, a))
        for left in touched(region, first, write=True)
        for right in touched(region, second, write=False)
    )


def waves(region: RegionReport) -> list[list[OperationReport]]:
    groups = itertools.groupby(region.operations, key=lambda operation: operation.step)
    return [group for _, members in groups if len(group := list(members)) > 1]


@pytest.mark.parametrize(
    "name", ["jax_nhwc", "torch_nchw", "two_functions", "several_results", "mutable_global"]
)
def test_waves_are_free_and_safe(name: str, compilers: Compilers, tmp_path: Path) -> None:
    ours, text = compile_model(compilers, name, tmp_path)
    apart, text_apart = compile_model(compilers, name, tmp_path, "--serenity-waves=off")
    assert slabs(text) == slabs(text_apart)
    for function, other in zip(ours.functions, apart.functions, strict=True):
        assert function.transient_peak_bytes == other.transient_peak_bytes
        for region, alone in zip(function.regions, other.regions, strict=True):
            assert region.slab_bytes == alone.slab_bytes
            assert (
                max(region.live_bytes, default=0) == region.predicted_bytes == alone.predicted_bytes
            )
            formed = waves(region)
            assert len(formed) == region.concurrent_groups
            assert sum(map(len, formed)) == region.concurrent_operations
            for wave in formed:
                for a, b in itertools.combinations(wave, 2):
                    assert not conflicts(region, a, b), (a.name, b.name)
            # The order is the same, but for the commands that run together.
            names = [operation.name for operation in region.operations]
            assert names == [operation.name for operation in alone.operations]
            if "order" in function.used:
                assert alone.concurrent_groups == 0


def test_some_are_kept(compilers: Compilers, tmp_path: Path) -> None:
    report, text = compile_model(compilers, "jax_nhwc", tmp_path)
    (region,) = report.functions[0].regions
    assert "order" in report.functions[0].used and region.concurrent_groups > 0
    assert text.count(b"stream.cmd.concurrent") == region.concurrent_groups


def test_the_users_partitioning_wins(compilers: Compilers, tmp_path: Path) -> None:
    flag = "--iree-stream-partitioning-favor=debug"
    report, text = compile_model(compilers, "jax_nhwc", tmp_path, flag)
    assert report.functions[0].regions[0].concurrent_groups == 0
    assert b"stream.cmd.concurrent" not in text


def test_stock_regions_tell_their_waves(compilers: Compilers, tmp_path: Path) -> None:
    report, _ = compile_model(compilers, "jax_nhwc", tmp_path, "--serenity-schedule=off")
    (function,) = report.functions
    stock = compilers.stock_output(tmp_path / "m.mlir", *STREAM)
    assert function.stock_regions[0].concurrent_groups == stock.count(b"stream.cmd.concurrent")
    assert function.regions[0].concurrent_groups == function.stock_regions[0].concurrent_groups
