# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The pipeline cut in pieces equals the stock compiler's when the serenity passes are off.

This is the guard for every new release of IREE: if a release changes its stream phase,
or which of its options a textual pipeline has to be given, these tests say so. `off` measures and
reports like any other compilation, so the whole driver is in play.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from driver_support import ELIDE, PHASES, TARGET, Compilers
from models import MODELS

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.networks import build

OFF = "--serenity-schedule=off"

#: User options for the phases that the driver splits, and for those around them.
OPTIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "O0": ("--iree-opt-level=O0",),
    "O2": ("--iree-opt-level=O2",),
    "O3": ("--iree-opt-level=O3",),
    "data-tiling": ("--iree-opt-data-tiling",),
    "strip-assertions": ("--iree-opt-strip-assertions",),
    "no-const-eval": ("--iree-opt-const-eval=false",),
    "const-expr-hoisting-off": ("--iree-opt-const-expr-hoisting=false",),
    "max-concurrency": ("--iree-stream-partitioning-favor=max-concurrency",),
    "debug-partitioning": ("--iree-stream-partitioning-favor=debug",),
    "unfused-bindings": ("--iree-scheduling-optimize-bindings=false",),
    "async-initialization": ("--iree-scheduling-initialization-mode=async",),
    "alignment": ("--iree-stream-resource-min-offset-alignment=512",),
    "small-range": ("--iree-stream-resource-max-range=65536",),
    "small-allocations": ("--iree-stream-resource-max-allocation-size=65536",),
    "index-32": ("--iree-stream-resource-index-bits=32",),
    "discrete": ("--iree-stream-resource-memory-model=discrete",),
    "alias-mutable": ("--iree-stream-resource-alias-mutable-bindings",),
    "emulate-memset": ("--iree-stream-emulate-memset",),
    "async-external": ("--iree-execution-model=async-external",),
    "inline-dynamic": ("--iree-execution-model=inline-dynamic",),
    "no-multi-use-fusion": ("--iree-dispatch-creation-fuse-multi-use=false",),
    "padding-fusion": ("--iree-dispatch-creation-enable-fuse-padding-into-linalg-consumer-ops",),
    "aggressive-fusion": ("--iree-dispatch-creation-enable-aggressive-fusion",),
    "trace-dispatches": ("--iree-flow-trace-dispatch-tensors",),
    "one-thread": ("--mlir-disable-threading",),
    "unverified": ("--verify=false",),
    "caller-s-transients": ("--iree-torch-externalize-transients",),
    "torch-sync-abi": ("--iree-torch-emit-async-entry-points=false",),
    "f64-kept": ("--iree-input-demote-f64-to-f32=false",),
    "debug-info": ("--mlir-print-debuginfo",),
    "watched": ("--mlir-print-ir-after=iree-stream-schedule-allocation",),
    "timing": ("--mlir-timing",),
}

#: The options that our driver has to forward, or that change which code path it takes.
REDUCED = (
    "max-concurrency",
    "unfused-bindings",
    "async-initialization",
    "alignment",
    "async-external",
    "inline-dynamic",
    "caller-s-transients",
    "watched",
)

NETWORKS = ("swiftnet_c", "randwire_c100_b", "darts_normal")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The corpus as files."""
    directory = tmp_path_factory.mktemp("corpus")
    paths = {}
    for name, text in MODELS.items():
        paths[name] = directory / f"{name}.mlir"
        paths[name].write_text(text())
    return paths


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three networks, after import."""
    directory = tmp_path_factory.mktemp("networks")
    paths = {}
    for name in NETWORKS:
        paths[name] = load_model(build(name), directory).rename(directory / f"{name}.mlir")
    return paths


#: Rows that the stock compiler refuses, by model and option, and its message.
REFUSED = {
    ("mixed_types", "async-external"): "'util.return' op has 5 operands, but enclosing",
    # VMVX compiles no half floats; the other rows of this model end at the stream phase.
    ("mixed_types", "module"): "'vm.add.f32' op operand #0 must be 32-bit float",
}


def _assert_equal(compilers: Compilers, *flags: str | Path, refused: str | None = None) -> None:
    stock = compilers.stock(*flags)
    off = compilers.ours(*flags, OFF)
    # A row that both compilers refuse compares nothing: a renamed flag must not pass.
    if refused is None:
        assert stock.code == 0 and stock.out, stock.err
    else:
        assert stock.code != 0 and refused in stock.err
        assert refused in off.err
    assert off.code == stock.code, off.err
    assert off.out == stock.out


@pytest.mark.parametrize("name", MODELS)
def test_stream_phase(name: str, compilers: Compilers, sources: dict[str, Path]) -> None:
    _assert_equal(compilers, sources[name], *TARGET, "--compile-to=stream")


@pytest.mark.parametrize("name", MODELS)
def test_module(name: str, compilers: Compilers, sources: dict[str, Path]) -> None:
    refused = REFUSED.get((name, "module"))
    _assert_equal(compilers, sources[name], *TARGET, refused=refused)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, compilers: Compilers, networks: dict[str, Path]) -> None:
    _assert_equal(compilers, networks[name], *TARGET, "--compile-to=stream")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_modules_of_networks(name: str, compilers: Compilers, networks: dict[str, Path]) -> None:
    _assert_equal(compilers, networks[name], *TARGET)


@pytest.mark.parametrize("phase", PHASES[1:-1])
def test_phases(phase: str, compilers: Compilers, sources: dict[str, Path]) -> None:
    _assert_equal(compilers, sources["control_flow"], *TARGET, f"--compile-to={phase}")


@pytest.mark.parametrize("option", REDUCED)
@pytest.mark.parametrize("name", ["jax_nhwc", "torch_nchw", "mutable_global"])
def test_options(name: str, option: str, compilers: Compilers, sources: dict[str, Path]) -> None:
    _assert_equal(compilers, sources[name], *TARGET, "--compile-to=stream", *OPTIONS[option])


def _pairs() -> list[tuple[str, str]]:
    """Every option with a third of the models, every model with a third of the options."""
    return [
        (name, option)
        for i, name in enumerate(MODELS)
        for j, option in enumerate(OPTIONS)
        if (i + j) % 3 == 0
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), _pairs())
def test_all_options(
    name: str, option: str, compilers: Compilers, sources: dict[str, Path]
) -> None:
    _assert_equal(
        compilers,
        sources[name],
        *TARGET,
        "--compile-to=stream",
        *OPTIONS[option],
        refused=REFUSED.get((name, option)),
    )


@pytest.mark.parametrize("name", ["two_functions", "several_results", "computed_global"])
@pytest.mark.parametrize("option", ["max-concurrency", "unfused-bindings"])
def test_modules_with_options(
    name: str, option: str, compilers: Compilers, sources: dict[str, Path]
) -> None:
    _assert_equal(compilers, sources[name], *TARGET, *OPTIONS[option])


def test_native_code(compilers: Compilers, sources: dict[str, Path]) -> None:
    flags = [
        "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu",
        "--iree-llvmcpu-target-cpu=generic",
    ]
    _assert_equal(compilers, sources["jax_nhwc"], *flags)
    _assert_equal(compilers, sources["int8_network"], *flags, "--compile-to=hal", *ELIDE)


def test_the_comparison_can_fail(compilers: Compilers, sources: dict[str, Path]) -> None:
    flags = [sources["jax_nhwc"], *TARGET, "--compile-to=stream"]
    assert compilers.ours_output(*flags, "--serenity-schedule=on", "--serenity-rewrite=off") != (
        compilers.stock_output(*flags)
    )
