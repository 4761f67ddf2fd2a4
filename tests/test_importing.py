# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The kinds of models, and the message when one cannot be imported."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ADD_MODULE

from serenity_mlir import SerenityOptions, compile, networks
from serenity_mlir.compiling.importing import load_model, model_name
from serenity_mlir.compiling.signatures import read_signatures
from serenity_mlir.errors import SerenityError


def types(path: Path) -> dict[str, list[str]]:
    """The entry points of an import and their arguments: IREE must be able to read it."""
    return {found.name: list(map(str, found.arguments)) for found in read_signatures(path)}


ADD_TYPES = {"add": ["tensor<4x4xf32>", "tensor<4x4xf32>"]}


def refusal(model, directory: Path, args=None) -> SerenityError:
    with pytest.raises(SerenityError) as caught:
        load_model(model, directory, args)
    return caught.value


# --- MLIR ----------------------------------------------------------------------


def test_mlir_as_text_bytes_path_and_module(tmp_path, add_module):
    from iree.compiler import ir

    assert load_model(add_module, tmp_path) == add_module
    assert load_model(str(add_module), tmp_path) == add_module
    with ir.Context():
        module = ir.Module.parse(ADD_MODULE)
    stream = io.BytesIO()
    module.operation.write_bytecode(stream)
    bytecode = stream.getvalue()
    for model in (ADD_MODULE, ADD_MODULE.encode(), bytecode, memoryview(bytecode), module):
        assert types(load_model(model, tmp_path)) == ADD_TYPES


# --- ONNX ----------------------------------------------------------------------


def relu_model(opset: int = 17):
    from onnx import TensorProto, helper

    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "net", tensors[:1], tensors[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [9, 17])
def test_onnx_in_memory_and_in_a_file(opset, tmp_path):
    model = relu_model(opset)
    assert types(load_model(model, tmp_path)) == {"net": ["tensor<2x3xf32>"]}
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    path = load_model(tmp_path / "net.onnx", tmp_path)
    assert path.parent == tmp_path and path.suffix == ".mlir"


def test_a_network_by_its_name(tmp_path):
    path = load_model("swiftnet_c", tmp_path)
    shape = networks.info("swiftnet_c").inputs.popitem()[1]
    assert types(path) == {"swiftnet_c": [f"tensor<{'x'.join(map(str, shape))}xf32>"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no graph"),
        (b"not a model", "DecodeError"),
        (b"\x08\x08" + b"\xff" * 40, "DecodeError"),
    ],
)
def test_a_corrupt_onnx_file_gives_one_line(content, reason, tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    error = refusal(path, tmp_path)
    assert str(error).startswith(f"{path}: ") and reason in str(error)
    assert "\n" not in str(error)
    assert error.exit_code == 1


def test_an_invalid_onnx_model_is_refused_with_onnx_s_reason(tmp_path):
    model = relu_model()
    model.graph.node[0].input[0] = "z"
    error = refusal(model, tmp_path)
    assert "model.onnx: the ONNX import failed: ValidationError: " in str(error)
    assert error.exit_code == 1


def test_onnx_is_imported_as_iree_s_program_does(tmp_path):
    from iree.compiler import ir

    from serenity_mlir.compiling.importing import _import_large_onnx

    def without_locations(path: Path) -> str:
        with ir.Context():
            return str(ir.Module.parse(path.read_text()))

    for opset in (9, 17):
        source = tmp_path / "net.onnx"
        source.write_bytes(relu_model(opset).SerializeToString())
        ours = without_locations(load_model(source, tmp_path))
        theirs = _import_large_onnx(source, tmp_path / "theirs.mlir", opset < 17)
        assert ours == without_locations(theirs)
    source.write_bytes(b"junk")
    with pytest.raises(SerenityError, match=r"the ONNX import failed: .*DecodeError") as caught:
        _import_large_onnx(source, tmp_path / "theirs.mlir", False)
    assert "\n" not in str(caught.value) and "Traceback" in caught.value.stderr
    assert "import_onnx" in caught.value.command


def test_messages_name_the_nodes_of_an_onnx_model(tmp_path):
    """A budget that nothing fits: a product's result lives until the sum that reads it."""
    from onnx import TensorProto, helper

    square = helper.make_tensor_value_info("x", TensorProto.FLOAT, [16, 16])
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["p"], name="first"),
        helper.make_node("MatMul", ["p", "x"], ["q"]),
        helper.make_node("MatMul", ["q", "p"], ["y"], name="first"),
    ]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, 16])
    graph = helper.make_graph(nodes, "net", [square], [result])
    opset = [helper.make_opsetid("", 17)]
    source = tmp_path / "net.onnx"
    source.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    text = load_model(source, tmp_path).read_text()
    assert all(f'loc("{name}")' in text for name in ("first", "q", "first#2"))
    with pytest.raises(SerenityError) as caught:
        compile(source, serenity=SerenityOptions(memory_budget=64))
    lines = caught.value.stderr.splitlines()
    assert lines[0].startswith(f"{source}: error: 'net' exceeds its memory budget by ")
    (peak,) = [line for line in lines if "live at the peak" in line]
    assert peak.startswith(f"{source}: remark: ") and "first (@" in peak and "q (@" in peak


def test_a_truncated_onnx_file_gives_one_line(tmp_path):
    whole = networks.build("swiftnet_c").SerializeToString()
    path = tmp_path / "half.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    error = refusal(path, tmp_path)
    assert "\n" not in str(error) and "half.onnx" in str(error)


# --- PyTorch -------------------------------------------------------------------


@pytest.fixture
def torch():
    pytest.importorskip("iree.turbine", reason="iree-turbine is not installed")
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.slow  # Importing iree-turbine takes seconds.
def test_pytorch_modules_programs_and_files(torch, tmp_path, caplog):
    model = torch.nn.Linear(3, 5).eval()
    wanted = {"main": ["tensor<2x3xf32>"]}
    assert types(load_model(model, tmp_path, [(2, 3)])) == wanted
    assert types(load_model(model, tmp_path, [torch.ones(2, 3)])) == wanted
    assert types(load_model(model, tmp_path, (np.ones((2, 3), np.float32),))) == wanted
    program = torch.export.export(model, (torch.ones(2, 3),))
    assert types(load_model(program, tmp_path)) == wanted
    torch.export.save(program, tmp_path / "linear.pt2")
    assert types(load_model(tmp_path / "linear.pt2", tmp_path)) == wanted
    assert not [record for record in caplog.records if record.name.startswith("serenity_mlir")]
    load_model(torch.nn.Linear(3, 5), tmp_path, [(2, 3)])
    assert "training mode" in caplog.text
    assert refusal(model, tmp_path).exit_code == 2
    assert "example arguments" in str(refusal(model, tmp_path))
    # The message of torch.export is passed on: the shapes do not fit.
    error = refusal(model, tmp_path, [(2, 4)])
    assert error.exit_code == 1 and str(error).startswith("torch.export failed: ")


def names_of_operations(path: Path) -> set[str]:
    """Returns the names at which the operations of a module stand."""
    from iree.compiler import ir

    found = set()

    def visit(operation):
        if name := re.match(r'loc\("([^"]+)"(?!:)', str(operation.location)):
            found.add(name[1])
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        context.allow_unregistered_dialects = True
        ir.Module.parse(path.read_bytes()).operation.walk(visit)
    return found


@pytest.mark.slow
def test_operations_of_pytorch_are_called_by_modules_and_nodes(torch, tmp_path):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))

        def forward(self, x):
            for block in self.blocks:
                x = torch.relu(block(x))
            return x

    program = torch.export.export(Twice().eval(), (torch.ones(2, 4),))
    traces = [node.meta.get("stack_trace") for node in program.graph.nodes]
    found = names_of_operations(load_model(program, tmp_path))
    # Both blocks are of one line of `forward`.
    assert {"blocks.0/linear", "relu", "blocks.1/linear_1", "relu_1"} <= found
    assert [node.meta.get("stack_trace") for node in program.graph.nodes] == traces


@pytest.mark.slow
def test_a_corrupt_pt2_file_is_named(torch, tmp_path):
    path = tmp_path / "broken.pt2"
    path.write_bytes(b"nothing")
    error = refusal(path, tmp_path)
    assert error.exit_code == 1 and str(path) in str(error)


# --- JAX -----------------------------------------------------------------------


def test_jax_functions_and_exports(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    export = pytest.importorskip("jax.export")

    def double(x):
        return 2 * x

    wanted = {"main": ["tensor<2x3xf32>"]}
    shape = jax.ShapeDtypeStruct((2, 3), np.float32)
    for function in (double, jax.jit(double)):
        for example in ((2, 3), shape, np.ones((2, 3), np.float32)):
            assert types(load_model(function, tmp_path, [example])) == wanted
    exported = export.export(jax.jit(double))(shape)
    assert types(load_model(exported, tmp_path)) == wanted
    # Operations are called as JAX names them, by functions and scopes.
    assert "jit(double)/mul" in names_of_operations(load_model(exported, tmp_path))
    lowered = jax.jit(double).lower(shape).compiler_ir("stablehlo")
    assert types(load_model(lowered, tmp_path)) == wanted
    assert refusal(double, tmp_path).exit_code == 2
    error = refusal(lambda x, y: x @ y, tmp_path, [(2, 3), (2, 3)])
    assert error.exit_code == 1 and str(error).startswith("jax.export failed: TypeError")


# --- refusals ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none.mlir", "none.onnx", "none.pt2"])
def test_a_missing_file(name, tmp_path):
    error = refusal(tmp_path / name, tmp_path)
    assert (str(error), error.exit_code) == (f"{tmp_path / name}: no such file", 2)


def test_other_files_and_folders(tmp_path):
    (tmp_path / "model.txt").touch()
    for path, text in ((tmp_path / "model.txt", "unknown kind"), (tmp_path, "a folder")):
        error = refusal(path, tmp_path)
        assert error.exit_code == 2 and str(error).startswith(f"{path}: {text}")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("swiftnet-c", "did you mean swiftnet_c"), ("#", "see `serenity networks list`")],
)
def test_neither_a_file_nor_a_network(name, hint, tmp_path):
    error = refusal(Path(name), tmp_path)
    assert error.exit_code == 2
    assert str(error).startswith(f"{name}: neither a file nor a network of the package; {hint}")


@pytest.mark.parametrize("name", ["junk.mlir", "junk.mlirbc"])
def test_files_that_cannot_be_mlir(name, tmp_path):
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\0\0")
    error = refusal(tmp_path / name, tmp_path)
    assert str(error) == f"{tmp_path / name}: neither MLIR text nor bytecode"
    assert error.exit_code == 1


def test_other_objects(tmp_path):
    for model in (7, None, [ADD_MODULE], dict):
        error = refusal(model, tmp_path)
        assert error.exit_code == 2 and "onnx.ModelProto" in str(error)


def test_arguments_where_none_belong(tmp_path, add_module):
    error = refusal(add_module, tmp_path, [(4, 4), (4, 4)])
    assert error.exit_code == 2 and "has its arguments in it" in str(error)


@pytest.mark.parametrize(
    ("blocked", "model", "args", "extra"),
    [
        ("jax", len, [(2,)], "jax"),
        ("torch.export", "model.pt2", None, "torch"),
        ("onnx", "model.onnx", None, "onnx"),
    ],
)
def test_a_framework_that_is_absent(blocked, model, args, extra, tmp_path, monkeypatch):
    if isinstance(model, str):
        (tmp_path / model).touch()
        model = tmp_path / model
    monkeypatch.setitem(sys.modules, blocked, None)
    error = refusal(model, tmp_path, args)
    assert error.exit_code == 2
    assert f"-m pip install 'serenity-mlir[{extra}]'" in str(error)


def test_names_of_models(tmp_path):
    assert model_name(tmp_path / "a.mlir") == str(tmp_path / "a.mlir")
    assert model_name("swiftnet_c") == "swiftnet_c"
    assert model_name(ADD_MODULE) == "str"
    assert model_name(test_names_of_models) == "test_names_of_models"
    assert model_name(relu_model()) == "ModelProto"
