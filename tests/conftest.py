# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fixtures that several test files share. All tests run against the installed package."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from driver_support import ELIDE, PHASES, STOCK_SLAB, STRIP, TARGET, Compilers, slabs
from models import MODELS

REPOSITORY = Path(__file__).resolve().parent.parent

#: A module with one function and one dispatch; needs no transient memory.
ADD_MODULE = """\
func.func @add(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %sum = arith.addf %a, %b : tensor<4x4xf32>
  return %sum : tensor<4x4xf32>
}
"""

#: Four matrix products in a row, the second result added to the last: one region with transient
#: buffers of 64 KiB (64x256) and 16 KiB (64x64).
DIAMOND_MODULE = """\
func.func @diamond(%x: tensor<64x64xf32>, %w: tensor<64x256xf32>, %v: tensor<256x64xf32>)
    -> tensor<64x64xf32> {
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<64x256xf32>
  %i0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %a = linalg.matmul ins(%x, %w : tensor<64x64xf32>, tensor<64x256xf32>)
      outs(%i0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %e1 = tensor.empty() : tensor<64x64xf32>
  %i1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %b = linalg.matmul ins(%a, %v : tensor<64x256xf32>, tensor<256x64xf32>)
      outs(%i1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %c = linalg.matmul ins(%b, %w : tensor<64x64xf32>, tensor<64x256xf32>)
      outs(%i0 : tensor<64x256xf32>) -> tensor<64x256xf32>
  %d = linalg.matmul ins(%c, %v : tensor<64x256xf32>, tensor<256x64xf32>)
      outs(%i1 : tensor<64x64xf32>) -> tensor<64x64xf32>
  %r = arith.addf %b, %d : tensor<64x64xf32>
  return %r : tensor<64x64xf32>
}
"""

RunTool = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_configure(config: pytest.Config) -> None:
    # A variable in the developer's environment would change the configuration under test.
    for name in ("SERENITY_DISABLE", "SERENITY_IREE_LIBS", "IREE_TOOL_PATH", "IREE_SAVE_TEMPS"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def launcher() -> str:
    """The path of serenity_mlir's `iree-compile`."""
    from serenity_mlir._native import native_tool

    return native_tool("iree-compile")


@pytest.fixture(scope="session")
def serenity_compile() -> str:
    """The path of the native `serenity-compile`."""
    from serenity_mlir._native import native_tool

    return native_tool("serenity-compile")


@pytest.fixture(scope="session")
def serenity_opt() -> str:
    """The path of the native `serenity-opt`."""
    from serenity_mlir._native import native_tool

    return native_tool("serenity-opt")


@pytest.fixture(scope="session")
def stock_compile() -> str:
    """The path of the stock `iree-compile`, spelled as IREE's own find_tool spells it."""
    from serenity_mlir.compiling.compiler import stock_compiler

    return stock_compiler()


@pytest.fixture(scope="session")
def run_tool() -> RunTool:
    """Runs a command to its end and returns the completed process, with text output.

    `environment` is added to the test's own. Nothing is read from the terminal.
    """

    def run(
        command: Sequence[str | os.PathLike[str]],
        *,
        input: str = "",
        environment: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [os.fspath(part) for part in command],
            input=input,
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            check=False,
            timeout=600,
        )

    return run


@pytest.fixture
def add_module(tmp_path: Path) -> Path:
    """A file with `ADD_MODULE`."""
    path = tmp_path / "add.mlir"
    path.write_text(ADD_MODULE)
    return path


@pytest.fixture
def diamond_module(tmp_path: Path) -> Path:
    """A file with `DIAMOND_MODULE`."""
    path = tmp_path / "diamond.mlir"
    path.write_text(DIAMOND_MODULE)
    return path


# --- the compile driver --------------------------------------------------------


@pytest.fixture(scope="module")
def compilers(stock_compile: str, serenity_compile: str) -> Compilers:
    return Compilers(stock_compile, serenity_compile)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cell with concatenations whose slab we make smaller."""
    path = tmp_path_factory.mktemp("cell") / "cell.mlir"
    path.write_text(MODELS["jax_nhwc"]())
    return path


@pytest.fixture(scope="module")
def cell_slab(compilers: Compilers, cell: Path) -> int:
    """The slab that our compiler gives the cell; smaller than the stock compiler's."""
    stock = slabs(compilers.stock_output(cell, *TARGET, "--compile-to=stream", *ELIDE))
    ours = slabs(compilers.ours_output(cell, *TARGET, "--compile-to=stream", *ELIDE))
    assert stock == [STOCK_SLAB]
    assert len(ours) == 1 and ours[0] < STOCK_SLAB
    return ours[0]


@pytest.fixture(scope="module")
def stock_phases(
    compilers: Compilers, cell: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The cell as the stock compiler writes it after each phase."""
    directory = tmp_path_factory.mktemp("phases")
    paths = {}
    for phase in PHASES[1:-1]:
        paths[phase] = directory / f"{phase}.mlir"
        flags = [cell, *TARGET, STRIP, f"--compile-to={phase}"]
        paths[phase].write_bytes(compilers.stock_output(*flags))
    return paths


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that compiles as quickly as any."""
    path = tmp_path_factory.mktemp("small") / "add.mlir"
    path.write_text(ADD_MODULE)
    return path
