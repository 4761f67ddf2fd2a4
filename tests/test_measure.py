# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The measurement, and the rules of docs/memory_model.md on the stock compiler."""

from __future__ import annotations

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from models import MODELS

from serenity_mlir.compiling.compiler import LOCAL_FLAGS, compile_str
from serenity_mlir.compiling.signatures import (
    ArgumentType,
    Signature,
    read_signatures,
)
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.inputs import random_inputs
from serenity_mlir.measuring.measurement import MeasurementError, MeasurementServer, measure

pytestmark = pytest.mark.one_release


class Module:
    def __init__(self, text: str, folder: Path):
        self.source = folder / "model.mlir"
        self.source.write_text(text)
        self.vmfb = compile_str(text, serenity=None, extra_args=LOCAL_FLAGS)
        self.text = text
        self.folder = folder

    def stream(self) -> str:
        flags = [*LOCAL_FLAGS, "--compile-to=stream"]
        return compile_str(self.text, serenity=None, extra_args=flags).decode()

    def run(self, function: str | None = None, inputs=None, *, calls: int = 1, **options):
        if inputs is None:
            signatures = {found.name: found for found in read_signatures(self.source)}
            name = function or next(iter(signatures))
            inputs = random_inputs(signatures[name], 3, **options)
        return measure(self.vmfb, inputs, function, calls=calls)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    built: dict[str, Module] = {}

    def get(name: str) -> Module:
        if name not in built:
            built[name] = Module(MODELS[name](), tmp_path_factory.mktemp(name))
        return built[name]

    return get


def allocations(ir: str, kind: str) -> list[int]:
    """Sizes of the `stream.resource.alloca`s of a lifetime; they must be static."""
    pattern = rf"stream\.resource\.alloca .*!stream\.resource<{kind}>{{%c(\d+)}}"
    return [int(size) for size in re.findall(pattern, ir)]


# --- the sum of the classes is the runtime's peak -----------------------------


@pytest.mark.parametrize(
    "name", ["jax_nhwc", "torch_nchw", "int8_network", "several_results", "repeated_results"]
)
def test_one_region_peak_is_inputs_results_and_slab(module, name):
    model = module(name)
    ir = model.stream()
    (slab,) = allocations(ir, "transient")
    (results,) = allocations(ir, "external")
    found = model.run()
    assert found.persistent_bytes == 0
    assert found.call.result_bytes == results
    assert found.transient_peak_bytes == slab
    assert found.peak_bytes == found.call.input_bytes + results + slab


def test_every_function_has_its_own_slab(module):
    model = module("two_functions")
    slabs = allocations(model.stream(), "transient")
    found = [model.run(name) for name in ("small", "large")]
    assert [one.transient_peak_bytes for one in found] == slabs
    assert [one.call.input_bytes for one in found] == [8 * 32 * 4, 2 * 40 * 32 * 4]
    assert found[0].functions == ("small", "large")


def test_inputs_are_not_rounded_and_several_results_are(module):
    found = module("mixed_types").run()
    # f64 is demoted to f32 on the way in.
    assert found.call.input_bytes == 120 + 60 + 480 + 4 + 120
    assert found.call.result_bytes == 128 + 512 + 64 + 128 + 64
    assert found.transient_peak_bytes == 0


def test_results_that_are_arguments_or_repeated_take_nothing(module):
    found = module("repeated_results").run()
    assert found.call.result_bytes == 8 * 32 * 4 + 32 * 7 * 4
    first, argument, again, constant = found.outputs
    np.testing.assert_array_equal(first, again)
    assert argument.shape == (8, 32)
    assert constant.shape == (32, 7)


def test_a_variables_new_value_is_transient(module):
    model = module("mutable_global")
    (slab,) = allocations(model.stream(), "transient")
    found = model.run("main", calls=3)
    variable = 24 * 32 * 4
    assert found.persistent_bytes == variable
    for call in found.calls:
        assert call.before_bytes == variable
        assert call.transient_peak_bytes == slab + variable
        assert call.retained_bytes == 0
    reset = model.run("reset", [])
    assert reset.transient_peak_bytes == variable
    assert reset.outputs == ()


def test_a_server_gives_every_measurement_a_process_of_its_own(module):
    model = module("mutable_global")
    inputs = random_inputs(read_signatures(model.source)[0], 3)
    alone = measure(model.vmfb, inputs, "main", calls=2)
    with MeasurementServer() as server:
        several = [measure(model.vmfb, inputs, "main", calls=2, server=server) for _ in range(2)]
        with pytest.raises(MeasurementError, match="no function 'absent'"):
            measure(model.vmfb, inputs, "absent", server=server)
        several.append(measure(model.vmfb, inputs, "main", calls=2, server=server))
    for found in several:
        assert found.calls == alone.calls
        assert found.peak_bytes == alone.peak_bytes
        np.testing.assert_array_equal(found.outputs[0], alone.outputs[0])


def test_a_server_ends_what_takes_too_long(module):
    model = module("no_tensors")
    with MeasurementServer() as server:
        with pytest.raises(MeasurementError, match="longer than"):
            measure(model.vmfb, [1, 2], timeout=1e-6, server=server)
        assert measure(model.vmfb, [1, 2], server=server).outputs == (3,)


def test_calls_see_the_state_of_the_calls_before_and_processes_do_not(module):
    model = module("mutable_global")
    found = model.run("main", calls=2)
    assert not np.array_equal(*[outputs[0] for outputs in found.call_outputs])
    again = model.run("main", calls=2)
    for one, other in zip(found.call_outputs, again.call_outputs, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_computed_globals_are_persistent(module):
    model = module("computed_global")
    found = model.run()
    assert found.persistent_bytes == 32 * 32 * 4
    assert found.load_peak_bytes >= found.persistent_bytes
    (slab,) = allocations(model.stream(), "transient")
    assert found.transient_peak_bytes == slab


@pytest.mark.parametrize("take", [0, 1])
def test_values_between_regions_add_to_the_slab(module, take):
    model = module("control_flow")
    x = np.ones((24, 32), np.float32)
    found = model.run("main", [x, take])
    value, slab = 24 * 32 * 4, max(allocations(model.stream(), "transient"))
    assert found.peak_bytes == x.nbytes + value + value + slab


@pytest.mark.parametrize(("count", "carried"), [(1, 0), (2, 1), (5, 1)])
def test_a_loop_keeps_one_more_copy_of_what_it_carries(module, count, carried):
    model = module("loop")
    found = model.run("main", [np.ones((24, 32), np.float32), count])
    (slab,) = allocations(model.stream(), "transient")
    assert found.transient_peak_bytes == slab + carried * 24 * 32 * 4


@pytest.mark.parametrize("rows", [1, 7, 33])
def test_dynamic_sizes_follow_the_call(module, rows):
    found = module("dynamic_batch").run(dynamic_size=rows)
    (output,) = found.outputs
    assert output.shape == (rows, 32)
    assert found.external_bytes == 2 * rows * 32 * 4
    # At least one of the wide values between the products.
    assert found.transient_peak_bytes >= rows * 96 * 4


def test_no_tensors_no_bytes(module):
    found = module("no_tensors").run("main", [6, 7])
    assert found.outputs == (48,)
    assert found.peak_bytes == 0


# --- values -------------------------------------------------------------------


def test_values_of_all_types_pass_unchanged(module):
    a = np.array(np.arange(60).reshape(6, 10) / 8, np.float16)
    b = np.eye(6, 10, dtype=np.bool_)
    c = np.arange(-30, 30, dtype=np.int64).reshape(6, 10) * 2**40
    d = np.float32(1.25).reshape(())
    e = np.arange(60).reshape(6, 10).astype(ml_dtypes.bfloat16)
    found = module("mixed_types").run("main", [a, b, c, np.array(d), e, 1.5])
    h, j, k, m, n, scalar = found.outputs
    np.testing.assert_array_equal(h, a + a)
    np.testing.assert_array_equal(j, c + c)
    assert k.shape == () and k == 2.5
    assert m.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(m.astype(np.float32), (e * e).astype(np.float32))
    assert n.dtype == np.bool_
    np.testing.assert_array_equal(n, ~b)
    assert scalar == 3.0


def test_int8_arithmetic(module):
    x = np.zeros((1, 12, 12, 8), np.int8)
    (zero,) = module("int8_network").run("main", [x]).outputs
    assert zero.dtype == np.int8
    assert not zero.any()
    (some,) = module("int8_network").run("main", [x + 100]).outputs
    assert some.any()


def test_non_contiguous_inputs_are_taken_by_value(module):
    x = np.arange(2 * 8 * 32, dtype=np.float32).reshape(32, 16)[:, ::2].T / 512
    (expected,) = module("two_functions").run("small", [np.ascontiguousarray(x)]).outputs
    (found,) = module("two_functions").run("small", [x]).outputs
    np.testing.assert_array_equal(found, expected)


def test_measurements_repeat_exactly(module):
    first, second = module("jax_nhwc").run(), module("jax_nhwc").run()
    assert first.calls == second.calls
    np.testing.assert_array_equal(first.outputs[0], second.outputs[0])


def test_a_path_serves_as_well_as_bytes(module, tmp_path):
    path = tmp_path / "module with space.vmfb"
    path.write_bytes(module("no_tensors").vmfb)
    assert measure(path, [1, 2]).outputs == (3,)


# --- errors -------------------------------------------------------------------


def test_several_functions_must_be_named(module):
    with pytest.raises(MeasurementError, match="small, large"):
        measure(module("two_functions").vmfb, [])
    with pytest.raises(MeasurementError, match=r"no function 'huge'.*small, large"):
        measure(module("two_functions").vmfb, [], "huge")


def test_wrong_shape_names_the_runtimes_reason(module):
    with pytest.raises(MeasurementError, match="INVALID_ARGUMENT"):
        measure(module("two_functions").vmfb, [np.zeros((4, 4), np.float32)], "small")


def test_garbage_is_no_module():
    with pytest.raises(MeasurementError):
        measure(b"no module", [])


def test_missing_file_and_bad_arguments(tmp_path, module):
    with pytest.raises(MeasurementError, match="no such module"):
        measure(tmp_path / "absent.vmfb", [])
    with pytest.raises(ValueError, match="calls"):
        measure(b"", [], calls=0)
    with pytest.raises(MeasurementError, match="dtype"):
        measure(module("no_tensors").vmfb, [np.array(["text"]), 1])


def test_unknown_driver(module):
    with pytest.raises(MeasurementError):
        measure(module("no_tensors").vmfb, [1, 2], driver="no-such-driver")


def test_time_limit(module):
    endless = [np.ones((24, 32), np.float32), 2**31 - 1]
    with pytest.raises(MeasurementError, match="longer than"):
        measure(module("loop").vmfb, endless, timeout=2)


# --- signatures ---------------------------------------------------------------


def test_signatures_of_native_modules(module):
    assert [str(kind) for kind in read_signatures(module("mixed_types").source)[0].arguments] == [
        "tensor<6x10xf16>",
        "tensor<6x10xi1>",
        "tensor<6x10xi64>",
        "tensor<f32>",
        "tensor<6x10xbf16>",
        "f32",
    ]


def test_flags_that_change_types_change_signatures(module):
    flags = ["--iree-input-demote-f64-to-f32=false"]
    (signature,) = read_signatures(module("mixed_types").source, flags)
    assert str(signature.arguments[3]) == "tensor<f64>"


def test_signature_of_a_torch_module_has_no_fences(module):
    (signature,) = read_signatures(module("torch_nchw").source)
    assert signature == Signature("main", (ArgumentType("f32", (2, 6, 14, 14)),))


def test_dynamic_extents_are_known_to_be_dynamic(module):
    (signature,) = read_signatures(module("dynamic_batch").source)
    assert signature.arguments == (ArgumentType("f32", (None, 32)),)
    assert str(signature.arguments[0]) == "tensor<?x32xf32>"


def test_unused_arguments_have_their_type(tmp_path):
    """The caller makes a buffer for them all the same, and the prediction counts it."""
    source = tmp_path / "unused.mlir"
    source.write_text(
        "func.func @main(%a: tensor<5x6xi8>, %b: tensor<?x4xf32>, %n: i32,\n"
        "    %c: tensor<?x4xf32> {some.attribute = 1}) -> tensor<?x4xf32> {\n"
        "  %0 = math.tanh %b : tensor<?x4xf32>\n"
        "  return %0 : tensor<?x4xf32>\n"
        "}\n"
    )
    (signature,) = read_signatures(source)
    types = ["tensor<5x6xi8>", "tensor<?x4xf32>", "i32", "tensor<?x4xf32>"]
    assert [str(kind) for kind in signature.arguments] == types


def test_random_inputs():
    signature = Signature(
        "f", (ArgumentType("f32", (None, 4)), ArgumentType("i8", (300,)), ArgumentType("i32", None))
    )
    first = random_inputs(signature, 1, dynamic_size=3)
    assert first[0].shape == (3, 4)
    assert first[1].min() < -64 < 64 < first[1].max()
    assert isinstance(first[2], int)
    for one, other in zip(first, random_inputs(signature, 1, dynamic_size=3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first[0], random_inputs(signature, 2, dynamic_size=3)[0])
    assert random_inputs(signature, 1, shapes={0: (6, 4)})[0].shape == (6, 4)


@pytest.mark.parametrize("shapes", [{0: (3, 5)}, {0: (3,)}, {2: (1,)}, {9: (1,)}])
def test_shapes_that_do_not_fit_are_refused(shapes):
    signature = Signature(
        "f", (ArgumentType("f32", (None, 4)), ArgumentType("i8", (3,)), ArgumentType("i32", None))
    )
    with pytest.raises(SerenityError) as caught:
        random_inputs(signature, 1, shapes=shapes)
    assert caught.value.exit_code == 2


def test_modules_that_do_not_parse(tmp_path):
    path = tmp_path / "broken.mlir"
    path.write_text("func.func @f( {")
    with pytest.raises(SerenityError) as caught:
        read_signatures(path)
    assert caught.value.exit_code == 1
    assert caught.value.diagnostics
