# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity emit-c --arena-holds-io`: inputs and outputs inside the arena."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serenity_mlir.cli import app
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.emitting.arena import hold_inputs_and_results
from serenity_mlir.emitting.checking import check_target
from serenity_mlir.emitting.program import Copy, Fill, Held, Memory, Place, Program, Span, Tensor
from serenity_mlir.emitting.project import Emission, emit, load_source, write_directory
from serenity_mlir.emitting.targets import TARGETS
from serenity_mlir.reports.reporting import (
    AccessReport,
    BufferReport,
    ExternalReport,
    OperationReport,
    RegionReport,
)

pytestmark = pytest.mark.one_release

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")

#: Three products in a row: x (1,024 bytes) -> a (2,048) -> b (2,048) -> result (1,024).
#: The slab holds a and b, 4,096 bytes. While a is made from x, b's half is free: x fits there.
#: While the result is made from b, a's half is free: the result fits there. 4,096 hold everything.
CHAIN = """
func.func @main(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w1 = arith.constant dense<0.25> : tensor<16x32xf32>
  %w2 = arith.constant dense<0.5> : tensor<32x32xf32>
  %w3 = arith.constant dense<0.125> : tensor<32x16xf32>
  %e1 = tensor.empty() : tensor<16x32xf32>
  %i1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<16x32xf32>) -> tensor<16x32xf32>
  %a = linalg.matmul ins(%x, %w1 : tensor<16x16xf32>, tensor<16x32xf32>)
      outs(%i1 : tensor<16x32xf32>) -> tensor<16x32xf32>
  %b = linalg.matmul ins(%a, %w2 : tensor<16x32xf32>, tensor<32x32xf32>)
      outs(%i1 : tensor<16x32xf32>) -> tensor<16x32xf32>
  %e2 = tensor.empty() : tensor<16x16xf32>
  %i2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<16x16xf32>) -> tensor<16x16xf32>
  %c = linalg.matmul ins(%b, %w3 : tensor<16x32xf32>, tensor<32x16xf32>)
      outs(%i2 : tensor<16x16xf32>) -> tensor<16x16xf32>
  return %c : tensor<16x16xf32>
}
"""

FLAGS = ["--serenity-rewrite=off"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "chain.mlir"
    path.write_text(CHAIN)
    return path


@pytest.fixture(scope="module")
def emission(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Emission:
    work = tmp_path_factory.mktemp("emission")
    source = load_source(str(model), work, None, [])
    options = SerenityOptions()
    target = TARGETS["host"]
    return emit(source, "chain", target, FLAGS, options, work / "serenity", arena_holds_io=True)


# --- the layout ----------------------------------------------------------------


def span(memory: Memory, offset: int, length: int) -> Span:
    return Span(Place(memory), offset, length)


def tensor(memory: Memory, length: int) -> Tensor:
    return Tensor("i8", (length,), span(memory, 0, length))


#: The input (64 bytes) is copied to the slab's first half; that is copied to its second half, of
#: which the result (64 bytes) is a copy.
PROGRAM = Program(
    function="main",
    inputs=(tensor(Memory.INPUT, 64),),
    results=(tensor(Memory.RESULT, 64),),
    input_bytes=(64,),
    result_bytes=(64,),
    arena_bytes=128,
    constants=(),
    commands=(
        Copy(span(Memory.INPUT, 0, 64), span(Memory.ARENA, 0, 64)),
        Copy(span(Memory.ARENA, 0, 64), span(Memory.ARENA, 64, 64)),
        Copy(span(Memory.ARENA, 64, 64), span(Memory.RESULT, 0, 64)),
    ),
)


def operation(uses: list[int], defs: list[int], reads: list[int], writes: list[int]):
    def accesses(buffers: list[int]) -> tuple[AccessReport, ...]:
        return tuple(AccessReport(buffer, 0, 64) for buffer in buffers)

    fields = [accesses(buffers) for buffers in (uses, defs, reads, writes)]
    return OperationReport("stream.cmd.copy", None, 0, *fields)


REGION = RegionReport(
    location=None,
    predicted_bytes=128,
    slab_bytes=128,
    lower_bound_bytes=128,
    optimal=True,
    proved_by="search",
    offsets_optimal=True,
    states=0,
    seconds=None,
    left_alone=None,
    live_bytes=(64, 128, 64),
    buffers=(BufferReport("a", 0, 1, 64, 0), BufferReport("b", 1, 2, 64, 64)),
    operations=(
        operation([], [0], [0], []),
        operation([0], [1], [], []),
        operation([1], [], [], [1]),
    ),
    externals=(ExternalReport(None, "input", 64), ExternalReport(None, "result", 64)),
)


def test_inputs_and_results_lie_where_the_slab_is_free():
    held = hold_inputs_and_results(PROGRAM, REGION)
    assert held.arena_bytes == 128
    assert held.inputs[0] is not None
    assert held.inputs[0].span == span(Memory.ARENA, 64, 64)  # b is not there yet
    assert held.results[0].span == span(Memory.ARENA, 0, 64)  # a is not there any more
    assert held.commands == (
        Copy(span(Memory.ARENA, 64, 64), span(Memory.ARENA, 0, 64)),
        Copy(span(Memory.ARENA, 0, 64), span(Memory.ARENA, 64, 64)),
        Copy(span(Memory.ARENA, 64, 64), span(Memory.ARENA, 0, 64)),
    )
    assert held.held == Held(slab_bytes=128, overwritten=(0,))


def test_inputs_that_must_be_kept_share_no_bytes():
    held = hold_inputs_and_results(PROGRAM, REGION, keep_inputs=True)
    assert held.inputs[0] is not None
    assert held.inputs[0].span == span(Memory.ARENA, 128, 64)
    assert held.results[0].span == span(Memory.ARENA, 0, 64)
    assert held.arena_bytes == 192
    assert held.held == Held(slab_bytes=128, overwritten=())


@pytest.mark.parametrize(
    "region",
    [
        None,
        replace(REGION, operations=REGION.operations[:2]),
        replace(REGION, operations=REGION.operations[::-1]),
    ],
    ids=["no report", "other commands", "another order"],
)
def test_without_a_report_of_its_commands_the_slab_is_occupied(region: RegionReport | None):
    held = hold_inputs_and_results(PROGRAM, region)
    # The input is dead when the result is written; both lie behind the slab.
    assert held.arena_bytes == 192
    assert held.inputs[0] is not None
    assert held.inputs[0].span == held.results[0].span == span(Memory.ARENA, 128, 64)
    assert held.held == Held(slab_bytes=128, overwritten=(0,))


def test_memory_is_reused_between_inputs_and_results_without_a_slab():
    # The result is written while the input is read: they cannot share bytes.
    copy = Copy(span(Memory.INPUT, 0, 64), span(Memory.RESULT, 0, 64))
    program = replace(PROGRAM, arena_bytes=0, commands=(copy,))
    assert hold_inputs_and_results(program, None).arena_bytes == 128
    # A result that is filled after the input was read can.
    read = Copy(span(Memory.INPUT, 0, 64), Span(Place(Memory.RESULT, 1), 0, 64))
    fill = Fill(span(Memory.RESULT, 0, 64), b"\0")
    second = Tensor("i8", (64,), Span(Place(Memory.RESULT, 1), 0, 64))
    program = replace(
        program,
        results=(*PROGRAM.results, second),
        result_bytes=(64, 64),
        commands=(read, fill),
    )
    held = hold_inputs_and_results(program, None)
    assert held.arena_bytes == 128
    assert held.held == Held(slab_bytes=0, overwritten=(0,))


# --- the code ------------------------------------------------------------------


def test_the_whole_chain_fits_into_the_bytes_of_its_slab(emission: Emission):
    assert emission.arena_bytes == emission.predicted_bytes == 4096
    header = emission.content["chain.h"].decode()
    assert "#define CHAIN_ARENA_BYTES 4096\n" in header
    assert "#define CHAIN_INPUTS_AND_OUTPUTS_BYTES 2048\n" in header
    assert "It overwrites input 0: write anew before every call." in header
    readme = emission.content["README.md"].decode()
    assert "| `chain_memory` |" not in readme and "| `chain_arena` | 4,096 | RAM" in readme
    assert "| `chain_output_0` | 1,024 | in the arena, from byte " in readme


@needs_cc
def test_outputs_are_right_and_the_guards_intact(model: Path):
    result = check_target(str(model), "host", serenity_flags=FLAGS, arena_holds_io=True)
    assert result.ok, result.disagreements
    assert result.difference is not None and result.difference.bitwise
    run = result.serenity_run
    assert run.linked_bytes == run.touched_bytes == 4096 and run.damaged_bytes == 0


@needs_cc
def test_kept_inputs_have_their_values_after_the_call(model: Path):
    flags = [*FLAGS, "--serenity-inputs=keep"]
    result = check_target(str(model), "host", serenity_flags=flags, arena_holds_io=True)
    assert result.ok, result.disagreements
    assert result.serenity_run.linked_bytes == 4096 + 1024
    header = result.serenity.content["chain.h"].decode()
    assert "The inputs keep their values." in header


CALLER = """
#include "chain.h"
#include <stdlib.h>
static double memory[(CHAIN_ARENA_BYTES + CHAIN_ALIGNMENT) / sizeof(double)];
int main(void) {
  uintptr_t at = (uintptr_t)memory;
  at += (CHAIN_ALIGNMENT - at % CHAIN_ALIGNMENT) % CHAIN_ALIGNMENT;
  if (chain_init() != CHAIN_ERROR_MEMORY) return 1;
  chain_memory = (union chain_memory *)at;
  if (chain_init() != CHAIN_OK) return 2;
  for (int call = 0; call < 2; ++call) {
    for (int i = 0; i < CHAIN_INPUT_0_ELEMENTS; ++i) chain_input_0[i] = 1.0f;
    if (chain_invoke() != CHAIN_OK) return 3;
    /* 16 * 0.25 = 4; 32 * 0.5 * 4 = 64; 32 * 0.125 * 64 = 256 */
    for (int i = 0; i < CHAIN_OUTPUT_0_ELEMENTS; ++i)
      if (chain_output_0[i] != 256.0f) return 4;
  }
  return 0;
}
"""


@needs_cc
@pytest.mark.parametrize("compiler", ["cc", "c++"])
def test_the_caller_gives_the_one_memory(compiler: str, emission: Emission, tmp_path: Path):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    folder = tmp_path / "chain"
    write_directory(folder, emission.content)
    flags = ["-Wall", "-Wextra", "-Werror", "-DCHAIN_CALLER_MEMORY"]
    subprocess.run(["cc", "-std=c99", *flags, "-c", "chain.c"], cwd=folder, check=True)
    (folder / "caller.cc").write_text(CALLER)
    language = "c" if compiler == "cc" else "c++"
    files = ["-x", language, "caller.cc", "-x", "none", "chain.o", "code.o", "-o", "caller"]
    (folder / "chain.o").rename(folder / "code.o")
    (folder / "chain.o").write_bytes(emission.content["chain.o"])
    subprocess.run([compiler, *flags, *files], cwd=folder, check=True)
    subprocess.run(["./caller"], cwd=folder, check=True)


@needs_cc
def test_the_command_prints_bytes_beside_the_arena(model: Path, tmp_path: Path):
    arguments = ["emit-c", str(model), "--target=host", "--arena-holds-io", *FLAGS]
    folder = tmp_path / "chain"
    result = CliRunner().invoke(app, [*arguments, "-o", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["serenity"]["inputs_and_outputs_in_arena"] is True
    assert found["serenity"]["arena_bytes"] == 4096
    assert found["stock"]["inputs_and_outputs_in_arena"] is False
    subprocess.run(["make", "run"], cwd=folder, check=True, capture_output=True)


def test_check_wants_a_target_for_an_arena(model: Path):
    result = CliRunner().invoke(app, ["check", str(model), "--arena-holds-io"])
    assert result.exit_code == 2 and "needs --target" in result.output
