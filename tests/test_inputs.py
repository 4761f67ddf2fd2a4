# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Inputs of `serenity check`: random ones, valid for their readers, and the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from serenity_mlir.compiling.importing import load_model
from serenity_mlir.compiling.signatures import ArgumentType, Signature, read_signatures
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring.inputs import load_inputs, random_inputs, read_inputs
from serenity_mlir.measuring.measurement import Storage

CASES = Path(__file__).parent / "models" / "cases"
TABLE = np.arange(28, dtype=np.float32).reshape(7, 4)
I64, I32, F32 = TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT


def onnx_inputs(tmp_path, nodes, inputs, outputs, constants=(), **options):
    """The inputs drawn for an ONNX graph, from three seeds."""
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes],
        "main",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (signature,) = read_signatures(load_model(model, tmp_path))
    return [random_inputs(signature, seed, **options) for seed in range(3)]


def mlir_inputs(tmp_path, text, **options):
    path = tmp_path / "model.mlir"
    path.write_text(text)
    (signature,) = read_signatures(path)
    return [random_inputs(signature, seed, **options) for seed in range(3)]


GATHER = [("Gather", ["w", "i"], ["y"])]

# Name: nodes, inputs, outputs, constants; position of the indices, smallest and largest value.
ONNX = {
    "gather": (GATHER, [("i", I64, [20, 5])], [("y", F32, [20, 5, 4])], [("w", TABLE)], 0, 0, 6),
    "cast_and_reshaped": (
        [
            ("Cast", ["i"], ["j"], {"to": I64}),
            ("Reshape", ["j", "s"], ["k"]),
            ("Gather", ["w", "k"], ["y"]),
        ],
        [("i", I32, [20, 5])],
        [("y", F32, [100, 4])],
        [("w", TABLE), ("s", np.int64([100]))],
        0,
        0,
        6,
    ),
    # 2 is added: 0 to 4.
    "shifted_up": (
        [("Add", ["i", "o"], ["j"]), ("Gather", ["w", "j"], ["y"])],
        [("i", I64, [100])],
        [("y", F32, [100, 4])],
        [("w", TABLE), ("o", np.int64([2]))],
        0,
        0,
        4,
    ),
    # 1 is subtracted: 1 to 7.
    "shifted_down": (
        [("Sub", ["i", "o"], ["j"]), ("Gather", ["w", "j"], ["y"])],
        [("i", I64, [100])],
        [("y", F32, [100, 4])],
        [("w", TABLE), ("o", np.int64([1]))],
        0,
        1,
        7,
    ),
    # The smaller of two tables decides.
    "two_tables": (
        [
            *[("Gather", ["w", "i"], ["a"]), ("Gather", ["v", "i"], ["b"])],
            ("Add", ["a", "b"], ["y"]),
        ],
        [("i", I64, [100])],
        [("y", F32, [100, 4])],
        [("w", TABLE), ("v", TABLE[:3])],
        0,
        0,
        2,
    ),
    "elements": (
        [("GatherElements", ["x", "i"], ["y"], {"axis": 1})],
        [("x", F32, [30, 6]), ("i", I64, [30, 4])],
        [("y", F32, [30, 4])],
        [],
        1,
        0,
        5,
    ),
    # Coordinates of two dimensions: valid in both.
    "coordinates": (
        [("GatherND", ["x", "i"], ["y"])],
        [("x", F32, [3, 6, 2]), ("i", I64, [40, 2])],
        [("y", F32, [40, 2])],
        [],
        1,
        0,
        2,
    ),
    "one_hot": (
        [("OneHot", ["i", "d", "v"], ["y"])],
        [("i", I64, [100])],
        [("y", F32, [100, 9])],
        [("d", np.int64(9)), ("v", np.float32([0, 1]))],
        0,
        0,
        8,
    ),
    # Not by zero.
    "divisors": (
        [("Div", ["x", "i"], ["y"])],
        [("x", I32, [50]), ("i", I32, [50])],
        [("y", I32, [50])],
        [],
        1,
        1,
        4,
    ),
}


@pytest.mark.parametrize("name", ONNX)
def test_indices_of_onnx_operators_are_valid(name, tmp_path):
    nodes, inputs, outputs, constants, position, low, high = ONNX[name]
    drawn = [
        values[position] for values in onnx_inputs(tmp_path, nodes, inputs, outputs, constants)
    ]
    # All of the range, and nothing else: at least 120 values in three seeds.
    assert (min(map(np.min, drawn)), max(map(np.max, drawn))) == (low, high)


def test_a_slice_stays_within_its_tensor(tmp_path):
    drawn = onnx_inputs(
        tmp_path,
        [("Slice", ["x", "s", "e", "a"], ["y"])],
        [("x", F32, [8, 6]), ("s", I64, [1])],
        [("y", F32, ["k", 6])],
        [("e", np.int64([8])), ("a", np.int64([0]))],
    )
    assert all(0 <= values[1][0] < 8 for values in drawn)


@pytest.mark.parametrize(
    ("shape", "indices", "updates", "axis"),
    [
        ([9, 6], [5, 1], [5, 6], None),
        ([3, 6], [5, 2], [5], None),
        ([9, 6], [5, 6], [5, 6], 0),
        ([9, 6], [9, 4], [9, 4], 1),
    ],
)
def test_a_scatter_writes_no_place_twice(shape, indices, updates, axis, tmp_path):
    kind = "ScatterND" if axis is None else "ScatterElements"
    for _, drawn, _ in onnx_inputs(
        tmp_path,
        [(kind, ["x", "i", "u"], ["y"], {} if axis is None else {"axis": axis})],
        [("x", F32, shape), ("i", I64, indices), ("u", F32, updates)],
        [("y", F32, shape)],
    ):
        assert drawn.min() >= 0
        if axis is None:
            assert (drawn < shape[: indices[-1]]).all()
            assert len(np.unique(drawn, axis=0)) == len(drawn)
        else:
            # The smaller dimension decides.
            assert drawn.max() == 5
            along = np.sort(drawn, axis=axis)
            assert (np.diff(along, axis=axis) > 0).all()


def test_dynamic_sizes_of_tables_count(tmp_path):
    drawn = onnx_inputs(
        tmp_path,
        GATHER,
        [("w", F32, ["V", 4]), ("i", I64, ["B"])],
        [("y", F32, ["B", 4])],
        shapes={0: (5, 4), 1: (60,)},
    )
    found = [values[1] for values in drawn]
    assert (min(map(np.min, found)), max(map(np.max, found))) == (0, 4)


INDEXED = """
#rows = affine_map<(d0, d1) -> (d0)>
#all = affine_map<(d0, d1) -> (d0, d1)>
func.func @main(%ids: tensor<90xi32>, %start: tensor<i32>, %from: index, %t: tensor<30x4xf32>,
                %to: tensor<8x1xi32>) -> (tensor<90x4xf32>, tensor<5x4xf32>, tensor<30x4xf32>) {
  %e = tensor.empty() : tensor<90x4xf32>
  %g = linalg.generic {indexing_maps = [#rows, #all], iterator_types = ["parallel", "parallel"]}
      ins(%ids : tensor<90xi32>) outs(%e : tensor<90x4xf32>) {
  ^bb0(%id: i32, %o: f32):
    %x = arith.index_cast %id : i32 to index
    %l = linalg.index 1 : index
    %v = tensor.extract %t[%x, %l] : tensor<30x4xf32>
    linalg.yield %v : f32
  } -> tensor<90x4xf32>
  %s = tensor.extract %start[] : tensor<i32>
  %si = arith.index_cast %s : i32 to index
  %a = tensor.extract_slice %t[%si, 0] [5, 4] [1, 1] : tensor<30x4xf32> to tensor<5x4xf32>
  %u = tensor.extract_slice %t[%from, 0] [8, 4] [1, 1] : tensor<30x4xf32> to tensor<8x4xf32>
  %c = iree_linalg_ext.scatter dimension_map = [0] unique_indices(true)
      ins(%u, %to : tensor<8x4xf32>, tensor<8x1xi32>) outs(%t : tensor<30x4xf32>) {
  ^bb0(%n: f32, %old: f32):
    iree_linalg_ext.yield %n : f32
  } -> tensor<30x4xf32>
  return %g, %a, %c : tensor<90x4xf32>, tensor<5x4xf32>, tensor<30x4xf32>
}"""


def test_indices_in_mlir_are_valid(tmp_path):
    drawn = mlir_inputs(tmp_path, INDEXED)
    ids = np.concatenate([values[0] for values in drawn])
    assert (ids.min(), ids.max()) == (0, 29)
    for _, start, offset, _, to in drawn:
        assert 0 <= start <= 30 - 5
        assert 0 <= offset <= 30 - 8
        assert len(np.unique(to)) == 8 and to.min() >= 0 and to.max() <= 29


def test_integers_that_index_nothing_stay_small(tmp_path):
    kind = "tensor<64xi32>"
    text = f"""func.func @main(%x: {kind}) -> {kind} {{
      %y = arith.muli %x, %x : {kind}
      return %y : {kind}
    }}"""
    found = [values[0] for values in mlir_inputs(tmp_path, text)]
    assert (min(map(np.min, found)), max(map(np.max, found))) == (0, 3)


def test_a_clamped_index_is_valid_whatever_it_is(tmp_path):
    text = """
    func.func @main(%t: tensor<30xf32>, %i: i32) -> f32 {
      %zero = arith.constant 0 : i32
      %last = arith.constant 29 : i32
      %a = arith.maxsi %i, %zero : i32
      %b = arith.minsi %a, %last : i32
      %x = arith.index_cast %b : i32 to index
      %v = tensor.extract %t[%x] : tensor<30xf32>
      return %v : f32
    }"""
    assert all(values[1] in range(4) for values in mlir_inputs(tmp_path, text))


def test_the_two_row_embedding(tmp_path):
    (signature,) = read_signatures(load_model(CASES / "two_row_embedding.onnx", tmp_path))
    (drawn,) = random_inputs(signature)
    assert set(np.unique(drawn)) == {0, 1}


def test_storage_for_results_is_provided():
    (signature,) = read_signatures(CASES / "caller_storage_results.mlir")
    drawn = random_inputs(signature)
    assert drawn[1] == Storage(64 * 128 * 4)


# --- the user's own ------------------------------------------------------------

SIGNATURE = Signature(
    "main",
    (
        ArgumentType("f32", (None, 3)),
        ArgumentType("!hal.buffer", None, arena=True),
        ArgumentType("i64", (2,)),
        ArgumentType("f32", None),
    ),
)
GIVEN = (np.ones((5, 3), np.float32), np.int64([1, 2]), np.float32(0.5))


@pytest.mark.parametrize(
    "names",
    [
        ("x", "tokens", "scale"),
        ("arr_0", "arr_1", "arr_2"),
        ("0", "1", "2"),
        ("arg0", "input1", "2"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "main:"])
def test_inputs_by_name_or_order(names, prefix, tmp_path):
    file = tmp_path / "inputs.npz"
    arrays = {prefix + name: array for name, array in zip(names, GIVEN, strict=True)}
    np.savez(file, **dict(reversed(arrays.items())))
    values = read_inputs(SIGNATURE, load_inputs(file), ("x", "tokens", "scale"))
    np.testing.assert_array_equal(values[0], GIVEN[0])
    np.testing.assert_array_equal(values[2], GIVEN[1])
    assert values[3] == 0.5


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"arr_0": GIVEN[0].astype(np.float64)}, r"arr_0: tensor<\?x3xf32> takes float32"),
        ({"arr_0": np.ones((5, 4), np.float32)}, "does not take the shape 5x4"),
        ({"arr_1": np.int32([1, 2])}, "arr_1: tensor<2xi64> takes int64, not int32"),
        ({"arr_2": np.ones(2, np.float32)}, "arr_2: f32 takes one number"),
        ({"arr_3": np.ones(2)}, "no argument for arr_3; the arguments are arr_0"),
        ({"arr_1": None}, "no array for arr_1: tensor<2xi64>; the arguments are"),
    ],
)
def test_inputs_that_do_not_fit(changed, told):
    arrays = {f"arr_{i}": array for i, array in enumerate(GIVEN)} | changed
    with pytest.raises(SerenityError, match=told) as caught:
        read_inputs(SIGNATURE, {k: v for k, v in arrays.items() if v is not None})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no archive"])
def test_files_that_hold_no_inputs(content, tmp_path):
    file = tmp_path / "inputs.npz"
    file.write_bytes(content)
    for path in (file, tmp_path / "absent.npz"):
        with pytest.raises(SerenityError, match=path.name) as caught:
            load_inputs(path)
        assert caught.value.exit_code == 2
