# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity emit-c` and `serenity check --target`: on this machine, and on emulated boards."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from typer.testing import CliRunner

from serenity_mlir.cli import app
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.emitting.c_writer import Layout, write_source
from serenity_mlir.emitting.checking import check_target
from serenity_mlir.emitting.elf import ElfObject
from serenity_mlir.emitting.hal_reader import entry_points, read_program, tensor_bytes
from serenity_mlir.emitting.kernels import Kernel, read_kernels
from serenity_mlir.emitting.math_functions import MATH_FUNCTIONS, define_math_function
from serenity_mlir.emitting.program import (
    Copy,
    Dispatch,
    Fill,
    Memory,
    Place,
    Program,
    Span,
    Tensor,
)
from serenity_mlir.emitting.project import (
    Emission,
    _check_kernels,
    emit,
    emit_c,
    load_source,
    write_directory,
)
from serenity_mlir.emitting.targets import TARGETS, find_tool
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.checking import compile_model

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")

#: A host module after the `hal` phase, the parts that matter: two command buffers' worth of
#: commands on a slab of 256 bytes, one allocation with both results, and 8 bytes of weights.
HAL_MODULE = """
util.global private @weights : !hal.buffer
util.initializer {
  %device = util.null : !hal.device
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %affinity = arith.constant -1 : i64
  %type = hal.memory_type<"DeviceVisible|DeviceLocal"> : i32
  %usage = hal.buffer_usage<"Transfer"> : i32
  %data = util.buffer.constant : !util.buffer = dense<[1, 2, 3, 4, 5, 6, 7, 8]> : vector<8xi8>
  %allocator = hal.device.allocator<%device : !hal.device> : !hal.allocator
  %did_import, %mapped = hal.allocator.import<%allocator : !hal.allocator>
      source(%data : !util.buffer)[%c0, %c8] affinity(%affinity) type(%type) usage(%usage)
      : i1, !hal.buffer
  cf.cond_br %did_import, ^bb1, ^bb1
^bb1:
  util.global.store %mapped, @weights : !hal.buffer
  util.return
}
util.func private @record(%size: index) -> !hal.command_buffer {
  %device = util.null : !hal.device
  %affinity = arith.constant -1 : i64
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c3 = arith.constant 3 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %pattern = arith.constant -2 : i16
  %weights = util.global.load @weights : !hal.buffer
  %cmd = hal.command_buffer.create device(%device : !hal.device) mode("None")
      categories("Transfer|Dispatch") affinity(%affinity) bindings(%c3) : !hal.command_buffer
  hal.command_buffer.fill_buffer<%cmd : !hal.command_buffer>
      target(%c2 : index)[%c64, %size] pattern(%pattern : i16) flags("None")
  hal.command_buffer.copy_buffer<%cmd : !hal.command_buffer>
      source(%weights : !hal.buffer)[%c0] target(%c1 : index)[%c64] length(%c8) flags("None")
  hal.command_buffer.copy_buffer<%cmd : !hal.command_buffer>
      source(%c0 : index)[%c8] target(%c1 : index)[%c0] length(%c8) flags("None")
  hal.command_buffer.finalize<%cmd : !hal.command_buffer>
  util.return %cmd : !hal.command_buffer
}
util.func public @main(%x: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %device = util.null : !hal.device
  %fence = util.null : !hal.fence
  %affinity = arith.constant -1 : i64
  %pool = arith.constant 0 : i64
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c256 = arith.constant 256 : index
  %type = hal.memory_type<"DeviceVisible|DeviceLocal"> : i32
  %usage = hal.buffer_usage<"Transfer"> : i32
  %f32 = hal.element_type<f32> : i32
  %dense = hal.encoding_type<dense_row_major> : i32
  hal.buffer_view.assert<%x : !hal.buffer_view> message("x") shape([%c2, %c2]) type(%f32)
      encoding(%dense)
  %buffer = hal.buffer_view.buffer<%x : !hal.buffer_view> : !hal.buffer
  %allocator = hal.device.allocator<%device : !hal.device> : !hal.allocator
  hal.buffer.assert<%buffer : !hal.buffer> message("x") allocator(%allocator : !hal.allocator)
      minimum_length(%c16) type(DeviceVisible) usage("Transfer")
  %cmd = util.call @record(%c32) : (index) -> !hal.command_buffer
  %results = hal.device.queue.alloca<%device : !hal.device> affinity(%affinity) wait(%fence)
      signal(%fence) pool(%pool) type(%type) usage(%usage) flags("None") : !hal.buffer{%c128}
  %slab = hal.device.queue.alloca<%device : !hal.device> affinity(%affinity) wait(%fence)
      signal(%fence) pool(%pool) type(%type) usage(%usage) flags("None") : !hal.buffer{%c256}
  hal.device.queue.execute.indirect<%device : !hal.device> affinity(%affinity) wait(%fence)
      signal(%fence) commands(%cmd) bindings([
        (%buffer : !hal.buffer)[%c0, %c16],
        (%results : !hal.buffer)[%c0, %c128],
        (%slab : !hal.buffer)[%c0, %c256]
      ]) flags("None")
  hal.device.queue.dealloca<%device : !hal.device> affinity(%affinity) wait(%fence)
      signal(%fence) buffer(%slab : !hal.buffer) flags("None")
  %one = hal.buffer_view.create buffer(%results : !hal.buffer)[%c64, %c8] shape([%c2])
      type(%f32) encoding(%dense) : !hal.buffer_view
  %two = hal.buffer_view.create buffer(%results : !hal.buffer)[%c0, %c8] shape([%c2])
      type(%f32) encoding(%dense) : !hal.buffer_view
  util.return %one, %two : !hal.buffer_view, !hal.buffer_view
}
"""


def read(text: str, function: str = "main"):
    from iree.compiler import ir

    with ir.Context():
        module = ir.Module.parse(text)
        assert function in entry_points(module)
        return read_program(module, function, lambda operations: [b"?" * 8 for _ in operations])


# --- the reader ---------------------------------------------------------------


def test_the_reader_places_commands_on_static_memory():
    program = read(HAL_MODULE)
    slab, results = Place(Memory.ARENA), Place(Memory.RESULT)
    assert program.arena_bytes == 256
    assert program.result_bytes == (128,)
    assert program.input_bytes == (16,)
    assert program.constants == (b"?" * 8,)
    assert program.inputs == (Tensor("f32", (2, 2), Span(Place(Memory.INPUT), 0, 16)),)
    # -2 as i16 is 0xFFFE, little-endian in memory.
    assert program.commands == (
        Fill(Span(slab, 64, 32), b"\xfe\xff"),
        Copy(Span(Place(Memory.CONSTANT), 0, 8), Span(results, 64, 8)),
        Copy(Span(Place(Memory.INPUT), 8, 8), Span(results, 0, 8)),
    )
    assert [tensor.span.offset for tensor in program.results] == [64, 0]


def test_a_result_that_is_returned_twice_or_is_an_input_is_copied():
    twice = read(HAL_MODULE.replace("util.return %one, %two", "util.return %one, %one"))
    assert twice.result_bytes == (128, 8)
    assert twice.commands[-1] == Copy(
        Span(Place(Memory.RESULT), 64, 8), Span(Place(Memory.RESULT, 1), 0, 8)
    )
    itself = read(HAL_MODULE.replace("util.return %one, %two", "util.return %x, %two"))
    assert itself.commands[-1] == Copy(
        Span(Place(Memory.INPUT), 0, 16), Span(Place(Memory.RESULT, 1), 0, 16)
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pool(%pool) type(%type) usage(%usage) flags(\"None\") : !hal.buffer{%c256}",
         "pool(%pool) type(%type) usage(%usage) flags(\"None\") : !hal.buffer{%unknown}",
         "dynamic sizes: the size of an allocation is not known"),
        ("%cmd = util.call @record(%c32)", "%cmd = util.call @record(%unknown)",
         "dynamic sizes: a length is not known"),
        ("util.return %one, %two",
         "cf.cond_br %unknown_bit, ^bb1, ^bb2\n^bb1:\n  util.return %one, %two : "
         "!hal.buffer_view, !hal.buffer_view\n^bb2:\n  util.return %two, %one",
         "host control flow that depends on data"),
        ("!hal.buffer_view) -> (!hal", "!hal.buffer_view, %n: i32) -> (!hal",
         "argument 1 is a scalar (i32)"),
        ("!hal.buffer_view) -> (!hal", "!hal.buffer_view, %n: !hal.buffer) -> (!hal",
         "which emit-c declares itself"),
        ("util.global private @weights", "util.global private mutable @weights",
         "state between calls in @weights"),
        ("  %one = hal", "  %other = hal.device.queue.alloca<%device : !hal.device> "
         "affinity(%affinity) wait(%fence) signal(%fence) pool(%pool) type(%type) usage(%usage) "
         "flags(\"None\") : !hal.buffer{%c256}\n  %one = hal",
         "it allocates 2 transient buffers in separate execution regions"),
    ],
    ids=["size", "length", "branch", "scalar", "arena", "state", "regions"],
)  # fmt: skip
def test_the_reader_refuses_in_one_sentence(old: str, new: str, message: str):
    assert old in HAL_MODULE
    text = HAL_MODULE.replace(old, new)
    # A number that only a run shows.
    unknown = (
        "  %unknown = hal.buffer_view.dim<%x : !hal.buffer_view>[0] : index\n"
        "  %unknown_bit = arith.cmpi eq, %unknown, %unknown : index\n"
    )
    if "%unknown" in text:
        text = text.replace(
            "  %fence = util.null : !hal.fence\n", "  %fence = util.null : !hal.fence\n" + unknown
        )
    with pytest.raises(SerenityError) as caught:
        read(text)
    said = str(caught.value)
    assert message in said and said.startswith("main: ") and "; " in said
    assert "\n" not in said


def test_bytes_of_tensors():
    assert tensor_bytes("f32", (2, 3)) == 24
    assert tensor_bytes("i1", (5,)) == 5
    assert tensor_bytes("bf16", ()) == 2
    assert tensor_bytes("complex<f32>", (2,)) == 16


def test_a_model_with_several_entry_points_wants_one_named(tmp_path: Path):
    path = tmp_path / "two.mlir"
    body = "(%a: tensor<4xf32>) -> tensor<4xf32> {\n  return %a : tensor<4xf32>\n}\n"
    path.write_text(f"func.func @one{body}func.func @two{body}")
    with pytest.raises(SerenityError, match="2 entry points, one, two; choose one with --function"):
        load_source(str(path), tmp_path, None, [])
    assert load_source(str(path), tmp_path, "two", []).signature.name == "two"
    with pytest.raises(SerenityError, match="no entry point 'three'"):
        load_source(str(path), tmp_path, "three", [])


def test_a_dynamic_shape_is_refused_before_compiling(tmp_path: Path):
    path = tmp_path / "dynamic.mlir"
    path.write_text("func.func @f(%a: tensor<?xf32>) -> tensor<?xf32> {\n"
                    "  return %a : tensor<?xf32>\n}\n")  # fmt: skip
    said = r"dynamic sizes: argument 0 of f is tensor<\?xf32>; fix it with --fix-dim arg0:axis0=N"
    with pytest.raises(SerenityError, match=said):
        load_source(str(path), tmp_path, None, [])
    fixed = load_source(str(path), tmp_path, None, [], {"arg0:axis0": 5})
    assert fixed.signature.arguments[0].shape == (5,)


def test_commands_that_call_one_kernel_share_the_call():
    arena = Place(Memory.ARENA)
    commands = tuple(
        Dispatch("k", (1, 1, 1), (offset,), (Span(arena, offset, 64),)) for offset in (0, 64)
    )
    program = Program("main", (), (), (), (), 128, (), commands)
    layout = Layout("m", program, {"k": kernel(constant_count=1)})
    source = write_source(layout, "m", [])
    assert "call calls[1] = {\n    {m_kernel_0, 1, 1, 1, 1, 1, 1, 1, 1},\n};" in source
    assert "command commands[2] = {\n    {0, 0, 0}, {0, 1, 1},\n};" in source


# --- kernels ------------------------------------------------------------------


def kernel(**fields) -> Kernel:
    fields = {"local_memory_pages": 0, "constant_count": 0, "binding_count": 1, **fields}
    return Kernel("k", None, workgroup_size=(1, 1, 1), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"local_memory_pages": 2}, "wants 8,192 bytes of workgroup local memory"),
        ({"constant_count": 1}, "takes 1 constants and 1 bindings and is given 0 and 1"),
        ({"binding_count": 2}, "takes 0 constants and 2 bindings and is given 0 and 1"),
    ],
)
def test_kernels_that_do_not_fit_their_dispatches_are_refused(fields, message: str):
    program = dataclasses.replace(
        read(HAL_MODULE),
        commands=(Dispatch("k", (1, 1, 1), (), (Span(Place(Memory.ARENA), 0, 8),)),),
    )
    _check_kernels(program, {"k": kernel()})
    with pytest.raises(SerenityError, match=message):
        _check_kernels(program, {"k": kernel(**fields)})
    with pytest.raises(SerenityError, match="kernel k is not in the library"):
        _check_kernels(program, {})


# --- emitted code on this machine ---------------------------------------------

#: Two convolutions with a fill between and a sum over both: one slab, weights, a `max`.
NETWORK = """
func.func @network(%x: tensor<1x3x10x10xf32>) -> (tensor<1x4x8x8xf32>, tensor<1x4x6x6xf32>) {
  %w = arith.constant dense<WEIGHTS> : tensor<4x3x3x3xf32>
  %v = arith.constant dense<MORE> : tensor<4x4x3x3xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %c = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>)
      outs(%i : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(n, c, h, w) -> (n, c, h, w)>,
                                         affine_map<(n, c, h, w) -> (n, c, h, w)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%c : tensor<1x4x8x8xf32>) outs(%e : tensor<1x4x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %floor = math.floor %in : f32
    %top = arith.maximumf %floor, %zero : f32
    linalg.yield %top : f32
  } -> tensor<1x4x8x8xf32>
  %e2 = tensor.empty() : tensor<1x4x6x6xf32>
  %i2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  %d = linalg.conv_2d_nchw_fchw ins(%f, %v : tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>)
      outs(%i2 : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  %s = linalg.conv_2d_nchw_fchw ins(%c, %v : tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>)
      outs(%d : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  return %f, %s : tensor<1x4x8x8xf32>, tensor<1x4x6x6xf32>
}
"""


def nested(values: np.ndarray) -> str:
    return repr(values.tolist())


def network_text() -> str:
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 8, (4, 3, 3, 3)).astype(np.float32) / 8
    more = rng.integers(-8, 8, (4, 4, 3, 3)).astype(np.float32) / 8
    return NETWORK.replace("WEIGHTS", nested(weights)).replace("MORE", nested(more))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "network.mlir"
    path.write_text(network_text())
    return path


@pytest.fixture(scope="module")
def emission(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Emission:
    work = tmp_path_factory.mktemp("emission")
    source = load_source(str(model), work, None, [])
    return emit(source, "network", TARGETS["host"], [], SerenityOptions(), work / "serenity")


@needs_cc
def test_code_on_this_machine_computes_what_the_runtime_computes(model: Path):
    result = check_target(str(model), "host")
    assert result.ok, result.disagreements
    assert result.difference is not None and result.difference.bitwise
    assert result.host_difference.bitwise
    run = result.serenity_run
    assert run.linked_bytes == run.touched_bytes == result.serenity.predicted_bytes > 0
    assert run.damaged_bytes == 0 and run.repeatable and run.stack_bytes > 0
    assert result.to_dict()["serenity"]["touched_bytes"] == run.touched_bytes


TYPES = """
func.func @main(%a: tensor<6xi8>, %b: tensor<6xi32>, %unused: tensor<3xf32>)
    -> (tensor<6xi32>, tensor<5xi16>, tensor<6xi8>, tensor<3xf64>, tensor<4xi1>) {
  %sum = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>,
                                          affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%a, %b : tensor<6xi8>, tensor<6xi32>) outs(%b : tensor<6xi32>) {
  ^bb0(%x: i8, %y: i32, %out: i32):
    %wide = arith.extsi %x : i8 to i32
    %s = arith.addi %wide, %y : i32
    linalg.yield %s : i32
  } -> tensor<6xi32>
  %filled = arith.constant dense<-3> : tensor<5xi16>
  %stored = arith.constant dense<[0.5, -1.25, 1.0e300]> : tensor<3xf64>
  %bits = arith.constant dense<[true, false, false, true]> : tensor<4xi1>
  return %sum, %filled, %a, %stored, %bits
      : tensor<6xi32>, tensor<5xi16>, tensor<6xi8>, tensor<3xf64>, tensor<4xi1>
}
"""


@needs_cc
def test_element_types_fills_constants_and_inputs_returned_as_they_are(tmp_path: Path):
    (tmp_path / "types.mlir").write_text(TYPES)
    result = check_target(str(tmp_path / "types.mlir"), "host")
    assert result.ok, result.disagreements
    assert result.host_difference.bitwise
    program = result.serenity.layout.program
    # An unused argument costs nothing.
    assert program.inputs[2] is None
    header = result.serenity.content["types.h"].decode()
    assert "extern int8_t types_input_0[6];" in header and "types_input_2[" not in header


ACCUMULATING = """
func.func @main(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>, %sum: tensor<4x4xf32>)
    -> tensor<4x4xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<4x4xf32>, tensor<4x4xf32>)
      outs(%sum : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}
"""


@needs_cc
def test_the_header_says_which_inputs_are_overwritten(tmp_path: Path, emission: Emission):
    (tmp_path / "accumulating.mlir").write_text(ACCUMULATING)
    result = check_target(str(tmp_path / "accumulating.mlir"), "host")
    assert result.ok, result.disagreements
    header = result.serenity.content["accumulating.h"].decode()
    assert "It overwrites input 2: write anew before every call." in header
    assert "The inputs keep their values." in emission.content["network.h"].decode()


def test_the_same_model_gives_the_same_files(model: Path, emission: Emission, tmp_path: Path):
    source = load_source(str(model), tmp_path, None, [])
    again = emit(source, "network", TARGETS["host"], [], SerenityOptions(), tmp_path / "again")
    assert again.content == emission.content
    assert {*again.content} == {
        "network.h", "network.c", "network.o", "main.c", "Makefile", "README.md"
    }  # fmt: skip
    everything = b"".join(again.content.values())
    assert str(tmp_path).encode() not in everything and b"serenity-emit" not in everything


HEADER_USER = """
#include "network.h"
static_assert(NETWORK_INPUT_0_BYTES == 4 * NETWORK_INPUT_0_ELEMENTS, "f32");
static_assert(sizeof(NETWORK_USE(network_output_1)) == NETWORK_OUTPUT_1_BYTES, "result");
int use() { NETWORK_USE(network_input_0)[0] = 1; return network_init() + network_invoke(); }
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler (c++)")
@pytest.mark.parametrize("caller", [False, True], ids=["arrays", "pointers"])
def test_cpp_takes_the_header(emission: Emission, tmp_path: Path, caller: bool):
    write_directory(tmp_path / "network", emission.content)
    use = "NETWORK_USE(name)=name"
    text = HEADER_USER
    if caller:
        # A pointer has no size of an array, unless the result is a member of a structure.
        text = "\n".join(line for line in text.splitlines() if "sizeof" not in line)
    (tmp_path / "network" / "user.cpp").write_text(text)
    command = ["c++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    defines = [f"-D{use}", *(["-DNETWORK_CALLER_MEMORY"] if caller else [])]
    subprocess.run([*command, *defines, "user.cpp"], cwd=tmp_path / "network", check=True)


CALLER = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "network.h"
int main(void) {
  char *memory = aligned_alloc(64, 1 << 20);
  if (network_init() != NETWORK_ERROR_MEMORY) return 10;
  network_input_0 = (float *)memory;
%s
  network_arena = (uint8_t *)(memory + 65536) + 1;
  if (network_init() != NETWORK_ERROR_MEMORY) return 11;
  network_arena -= 1;
  if (network_init() != NETWORK_OK) return 12;
  memset(network_input_0, 0, NETWORK_INPUT_0_BYTES);
  if (network_invoke() != NETWORK_OK) return 13;
  for (int i = 0; i < NETWORK_OUTPUT_0_ELEMENTS; ++i) if (network_output_0[i] != 0) return 14;
  return 0;
}
"""


@needs_cc
def test_the_caller_gives_the_memory(emission: Emission, tmp_path: Path):
    write_directory(tmp_path / "network", emission.content)
    arrays = [array for array in emission.layout.arrays if "input" not in array.name]
    setting = "\n".join(
        f"  {array.name} = (void *)(memory + {131072 * (i + 1)});" for i, array in enumerate(arrays)
    )
    (tmp_path / "network" / "caller.c").write_text(CALLER % setting)
    files = ["caller.c", "network.c", "network.o"]
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-DNETWORK_CALLER_MEMORY"]
    subprocess.run([*command, *files, "-o", "caller"], cwd=tmp_path / "network", check=True)
    subprocess.run(["./caller"], cwd=tmp_path / "network", check=True)


BOTH = """
#include "one.h"
#include "two.h"
int main(void) {
  for (int i = 0; i < ONE_INPUT_0_ELEMENTS; ++i)
    one_input_0[i] = two_input_0[i] = (float)(i % 7) - 3;
  if (one_init() || two_init() || one_invoke() || two_invoke()) return 1;
  for (int i = 0; i < ONE_OUTPUT_1_ELEMENTS; ++i) if (one_output_1[i] != two_output_1[i]) return 2;
  return 0;
}
"""


@needs_cc
def test_two_models_in_one_program(model: Path, tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    source = load_source(str(model), work, None, [])
    for name, options in (("one", SerenityOptions()), ("two", None)):
        emitted = emit(source, name, TARGETS["host"], [], options, work / name)
        for file, data in emitted.content.items():
            if file.startswith(name):
                (tmp_path / file).write_bytes(data)
    (tmp_path / "both.c").write_text(BOTH)
    files = ["both.c", "one.c", "one.o", "two.c", "two.o"]
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", *files, "-o", "both"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run(["./both"], cwd=tmp_path, check=True)


@needs_cc
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_command_writes_a_folder_that_make_builds(model: Path, tmp_path: Path):
    folder = tmp_path / "out"
    arguments = ["emit-c", str(model), "-o", str(folder), "--target=host"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "arena" in result.output and "network.h" in result.output
    # The file that make's own rules would compile from network.c is not touched.
    before = (folder / "network.o").read_bytes()
    (folder / "network.c").touch()
    run = subprocess.run(["make", "run"], cwd=folder, capture_output=True, text=True, check=True)
    assert "network: done" in run.stdout
    assert (folder / "network.o").read_bytes() == before
    # Over files written before, but not over files changed since.
    (folder / "Makefile").unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (folder / "Makefile").exists()
    (folder / "main.c").write_text("mine\n")
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and "main.c: not written by emit-c" in refused.output
    assert (folder / "main.c").read_text() == "mine\n"


def test_a_folder_appears_complete_or_not_at_all(emission: Emission, tmp_path: Path, monkeypatch):
    def fail(self: Path, data: bytes) -> int:
        if self.name == "main.c":
            raise OSError(28, "No space left on device", str(self))
        return write(self, data)

    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(SerenityError, match="No space left on device"):
        write_directory(tmp_path / "out", emission.content)
    assert list(tmp_path.iterdir()) == []


PRODUCT = """
func.func @main(%a: tensor<64x256xf32>, %b: tensor<256x256xf32>) -> tensor<64x256xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64x256xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<64x256xf32>) -> tensor<64x256xf32>
  %sum = linalg.matmul ins(%a, %b : tensor<64x256xf32>, tensor<256x256xf32>)
      outs(%init : tensor<64x256xf32>) -> tensor<64x256xf32>
  return %sum : tensor<64x256xf32>
}
"""


def test_one_workgroup_runs_a_whole_kernel_unless_asked_otherwise(tmp_path: Path):
    path = tmp_path / "product.mlir"
    path.write_text(PRODUCT)
    source = load_source(str(path), tmp_path, None, [])
    counts = []
    for i, flags in enumerate(([], ["--iree-llvmcpu-disable-distribution=false"])):
        emitted = emit(source, "product", TARGETS["host"], flags, None, tmp_path / str(i))
        (dispatch,) = emitted.layout.program.commands
        assert isinstance(dispatch, Dispatch)
        counts.append(dispatch.workgroups)
    assert counts[0] == (1, 1, 1) and max(counts[1]) > 1


def test_stock_and_serenity_differ_in_the_arena_only_to_the_better(tmp_path: Path, model: Path):
    emitted = emit_c(str(model), tmp_path / "out", "host")
    assert emitted.stock is not None
    assert emitted.emission.arena_bytes <= emitted.stock.arena_bytes
    data = emitted.to_dict()
    assert data["serenity"]["arena_bytes"] == emitted.emission.predicted_bytes
    for side in (data["stock"], data["serenity"]):
        assert 0 < side["kernels"] <= side["dispatches"]


def test_usage_errors(tmp_path: Path, model: Path):
    cases = {
        "no target 'z80'; targets are cortex-m4": ["--target=z80"],
        "is no prefix of C identifiers": ["--target=host", "--name=3d"],
        "no such option: --tarets": ["--target=host", "--tarets"],
    }
    for message, arguments in cases.items():
        result = CliRunner().invoke(
            app, ["emit-c", str(model), "-o", str(tmp_path / "o"), *arguments]
        )
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.output.replace("│", " ").split()), result.output
    result = CliRunner().invoke(app, ["check", str(model), "--target=cortex-m4"])
    assert result.exit_code == 2 and "--emulate" in result.output


def test_missing_tools_are_named_with_their_packages(monkeypatch, model: Path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SerenityError, match="apt-get install gcc-arm-none-eabi libnewlib") as one:
        check_target(str(model), "cortex-m4")
    assert one.value.exit_code == 2
    with pytest.raises(SerenityError, match="apt-get install qemu-system-arm"):
        find_tool(*(TARGETS["cortex-m4"].emulator[0], TARGETS["cortex-m4"].emulator_packages))


@needs_cc
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_example_builds_with_make(tmp_path: Path):
    folder = tmp_path / "example"
    shutil.copytree(
        REPOSITORY / "examples" / "microcontroller", folder, ignore=shutil.ignore_patterns("build")
    )
    serenity = f"SERENITY={sys.executable} -m serenity_mlir"
    command = ["make", "run", serenity]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "at rest, in motion: as expected"


# --- objects ------------------------------------------------------------------


def test_an_object_is_written_as_it_was_read(emission: Emission):
    content = emission.content["network.o"]
    again = ElfObject(content, "network.o")
    assert again.to_bytes() == content
    # The kernels and the weights, nothing of IREE's tables or of its helper functions.
    names = {symbol.name for symbol in again.symbols if symbol.binding == 1}
    kernels = {f"network_kernel_{i}" for i in range(len(emission.layout.program.kernels))}
    assert names - {f"network_{name}" for name in MATH_FUNCTIONS} == kernels | {"network_weights"}
    assert not any("library_query" in section.name for section in again.sections)
    weights = again.symbol("network_weights")
    assert weights.section is not None and weights.section.alignment == 64
    assert weights.section.flags == 2  # SHF_ALLOC: neither writable nor code


def test_what_is_no_object_is_refused(emission: Emission):
    content = emission.content["network.o"]
    with pytest.raises(SerenityError, match="not a little-endian ELF object"):
        ElfObject(b"MZ" + content[2:], "x.o")
    for cut in (20, 100, len(content) // 2):
        with pytest.raises(SerenityError, match="damaged ELF object"):
            ElfObject(content[:cut], "x.o")


def test_libraries_with_imports_or_of_another_version_are_refused(model: Path, tmp_path: Path):
    library = tmp_path / "kernels.o"
    flags = [*TARGETS["host"].flags, "--compile-to=hal"]
    flags.append(f"--iree-llvmcpu-static-library-output-path={library}")
    compile_model(model, tmp_path / "module.mlir", flags, None)
    content = library.read_bytes()
    kernels = read_kernels(ElfObject(content, "kernels.o"))
    assert len(kernels) >= 2 and all(one.binding_count >= 2 for one in kernels.values())

    def change(suffix: str, offset: int, value: int) -> ElfObject:
        found = ElfObject(content, "kernels.o")
        section = next(one for one in found.sections if one.name.endswith(suffix))
        data = bytearray(section.data)
        struct.pack_into("<I", data, offset, value)
        section.data = bytes(data)
        return found

    with pytest.raises(SerenityError, match="version 7, emit-c knows 6"):
        read_kernels(change("_library_query_v0_header", 0, 7))
    with pytest.raises(SerenityError, match="1 function of the host's runtime"):
        read_kernels(change("_library_query_v0", 8, 1))


# --- mathematical functions ---------------------------------------------------

#: Every boundary between the cases of the definitions, and the format's values beyond numbers.
NUMBERS = [0.0, -0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 3.5, 1e-40, 8388607.5, 8388608.0, 1e30,
           4503599627370495.5, 1e300, float("inf"), float("nan")]  # fmt: skip


@needs_cc
def test_mathematical_functions_are_those_of_the_c_library(tmp_path: Path):
    helpers: set[str] = set()
    lines = [
        "#include <math.h>",
        "#include <stdint.h>",
        "#include <stdio.h>",
        "#include <string.h>",
    ]
    lines += [define_math_function(name, "own_", helpers) for name in sorted(MATH_FUNCTIONS)]
    lines += ["int main(void) {", "  int wrong = 0;"]
    numbers = [sign * number for number in NUMBERS for sign in (1, -1)]
    values = ", ".join(
        {"inf": "INFINITY", "-inf": "-INFINITY", "nan": "NAN", "-nan": "-NAN"}.get(str(n), repr(n))
        for n in numbers
    )
    lines.append(f"  static const double values[{len(numbers)}] = {{{values}}};")
    for name in sorted(MATH_FUNCTIONS):
        kind = "float" if name.endswith("f") else "double"
        two = name.startswith(("fmax", "fmin"))
        arguments = f"({kind})values[i]" + (f", ({kind})values[k]" if two else "")
        # Which of two zeros is the larger is open.
        same = "a == b" if two else "a == b && !signbit(a) == !signbit(b)"
        lines += [
            f"  for (int i = 0; i < {len(numbers)}; ++i)",
            f"    for (int k = 0; k < {len(numbers) if two else 1}; ++k) {{",
            f"      {kind} a = own_{name}({arguments}), b = {name}({arguments});",
            f"      if (!({same}) && !(isnan(a) && isnan(b))) {{",
            f'        printf("{name} %g: %g %g\\n", values[i], (double)a, (double)b); ++wrong;',
            "      }",
            "    }",
        ]
    lines += ["  return wrong != 0;", "}"]
    (tmp_path / "check.c").write_text("\n".join(lines) + "\n")
    # roundeven is younger than C99.
    command = ["cc", "-std=gnu2x", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-builtin"]
    subprocess.run([*command, "check.c", "-lm", "-o", "check"], cwd=tmp_path, check=True)
    run = subprocess.run(["./check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


# --- emulated boards ----------------------------------------------------------


def needs_tools(name: str):
    target = TARGETS[name]
    tools = (target.compiler, target.emulator[0])
    missing = [tool for tool in tools if shutil.which(tool) is None]
    packages = " ".join([*target.packages, *target.emulator_packages])
    return pytest.mark.skipif(
        bool(missing), reason=f"no {' or '.join(missing)}; apt-get install {packages}"
    )


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(name, marks=needs_tools(name))
        for name in ("cortex-m4", "cortex-m7", "cortex-m55", "riscv32")
    ],
)
def test_a_network_on_an_emulated_board(target: str, model: Path):
    result = check_target(str(model), target)
    assert result.ok, result.disagreements
    run = result.serenity_run
    assert run.linked_bytes == run.touched_bytes == result.serenity.predicted_bytes > 0
    assert run.damaged_bytes == 0
    assert run.instructions is not None and run.instructions > 10_000
    assert 0 < run.stack_bytes < 4096
    # The least RAM is the arena, inputs, outputs, 4,096 bytes of stack, and little else.
    least = run.linked_bytes + result.serenity.layout.external_bytes + 4096
    assert run.ram_bytes is not None and least <= run.ram_bytes < least + 256


@needs_tools("cortex-m4")
@pytest.mark.slow
def test_swiftnet_fits_where_the_stock_compiler_does_not():
    result = check_target("swiftnet_c", "cortex-m4")
    assert result.ok, result.disagreements
    run, stock = result.serenity_run, result.stock_run
    assert run.linked_bytes == result.serenity.predicted_bytes
    # The last buffer may end within its last 64 bytes.
    assert run.linked_bytes - 64 < run.touched_bytes <= run.linked_bytes
    assert stock is not None and run.ram_bytes is not None and stock.ram_bytes is not None
    assert 2 * run.ram_bytes < stock.ram_bytes
    assert result.serenity.sizes.flash < 1.5 * result.stock.sizes.flash


@needs_tools("cortex-m4")
@pytest.mark.slow
def test_a_quantized_network_on_an_emulated_board(tmp_path: Path):
    pytest.importorskip("onnxruntime", reason="onnxruntime, which quantizes, is not installed")
    path = tmp_path / "ds_cnn_int8.onnx"
    arguments = ["networks", "build", "ds_cnn", "--quantize", "int8", "-o", str(path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    result = check_target(str(path), "cortex-m4")
    assert result.ok, result.disagreements
    run = result.serenity_run
    assert run.linked_bytes == result.serenity.predicted_bytes
    # A quarter of float32's 64,000 bytes, and little more.
    assert run.linked_bytes < 64000 / 2
