# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity_mlir.compile*`, its options and its errors."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ADD_MODULE, DIAMOND_MODULE
from iree.compiler.tools import core
from iree.compiler.tools.debugging import TempFileSaver

import serenity_mlir
from serenity_mlir import _versions
from serenity_mlir.compiling.compiler import SerenityOptions, build_command_line
from serenity_mlir.compiling.declared import pass_names
from serenity_mlir.errors import (
    Diagnostic,
    SerenityError,
    UnsupportedEnvironmentError,
    parse_diagnostics,
)

LLVM_CPU: dict[str, Any] = {
    "target_backends": ["llvm-cpu"],
    "extra_args": ["--iree-llvmcpu-target-cpu=generic"],
}

# --- options ------------------------------------------------------------------


def test_every_option_is_a_flag() -> None:
    values: dict[str, Any] = {
        "schedule": False,
        "rewrite": "always",
        "max_recompute": 0.5,
        "offsets": "greedy",
        "inputs": "overwrite",
        "results_in_inputs": False,
        "consume": [0, 2],
        "scheduler": "heuristic",
        "waves": "off",
        "time_limit": 0.25,
        "state_limit": 100000,
        "dim_hint": ["arg0:axis0=7", "arg1:axis2=1"],
        "dim_bound": ["8", "batch=16"],
        "memory_budget": "256KiB",
        "budget_policy": "warn",
        "budget_counts": "all",
        "report": Path("out dir/r.json"),
        "cache": True,
        "print_ir_after": ["serenity-pack", "serenity-schedule"],
    }
    # A new field without a flag fails here.
    assert list(values) == [field.name for field in dataclasses.fields(SerenityOptions)]
    assert SerenityOptions(**values).flags() == [
        "--serenity-schedule=off",
        "--serenity-rewrite=always",
        "--serenity-max-recompute=0.5",
        "--serenity-offsets=greedy",
        "--serenity-inputs=overwrite",
        "--serenity-results-in-inputs=off",
        "--serenity-consume=0",
        "--serenity-consume=2",
        "--serenity-scheduler=heuristic",
        "--serenity-waves=off",
        "--serenity-time-limit=0.25",
        "--serenity-state-limit=100000",
        "--serenity-dim-hint=arg0:axis0=7",
        "--serenity-dim-hint=arg1:axis2=1",
        "--serenity-dim-bound=8",
        "--serenity-dim-bound=batch=16",
        "--serenity-memory-budget=256KiB",
        "--serenity-budget-policy=warn",
        "--serenity-budget-counts=all",
        "--serenity-report=out dir/r.json",
        "--serenity-cache=on",
        "--serenity-print-ir-after=serenity-pack",
        "--serenity-print-ir-after=serenity-schedule",
    ]
    documentation = inspect.getdoc(SerenityOptions) or ""
    for name in values:
        flag = f"``--serenity-{name.replace('_', '-')}="
        assert re.search(rf"^  {name}: {flag}", documentation, re.M), name


def test_default_options_are_one_flag() -> None:
    assert SerenityOptions().flags() == ["--serenity-schedule=on"]


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("rewrite", "on", "auto, off or always"),
        ("offsets", "tflite", "exact, greedy or iree"),
        ("scheduler", "", "exact, serenity or heuristic"),
        ("budget_policy", "ignore", "error or warn"),
        ("schedule", "off", "True or False"),
        ("time_limit", -1, "seconds"),
        ("time_limit", float("nan"), "seconds"),
        ("time_limit", float("inf"), "seconds"),
        ("state_limit", -1, "negative"),
        ("max_recompute", -0.5, "0.15"),
        ("memory_budget", -4, "256KiB"),
        ("memory_budget", 0, "256KiB"),
        ("memory_budget", 1.5, "256KiB"),
        ("memory_budget", "1.5MB", "256KiB"),
        ("memory_budget", "256 KB", "256KiB"),
        ("memory_budget", "256kb", "256KiB"),
        ("memory_budget", "12 parsecs", "256KiB"),
        ("memory_budget", "", "256KiB"),
        ("print_ir_after", "serenity-pack", "sequence"),
        ("print_ir_after", ["canonicalize"], "serenity-schedule-regions"),
    ],
)
def test_bad_options(field: str, value: object, names: str) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        SerenityOptions(**{field: value})  # type: ignore[arg-type]
    assert field in str(caught.value)


# --- command line -------------------------------------------------------------

_FIELDS: dict[str, Any] = {
    "output_file": "o ut.vmfb",
    "target_backends": ["llvm-cpu", "vmvx"],
    "input_type": "onnx",
    "output_format": "mlir-text",
    "extra_args": ["--a=1", "--b", "c"],
    "optimize": False,
    "output_mlir_debuginfo": False,
    "output_generic_mlir": True,
    "extended_diagnostics": True,
    "strip_debug_ops": True,
    "strip_source_map": True,
    "crash_reproducer_path": "crash.mlir",
    "enable_tflite_bindings": True,
    "enable_benchmark": True,
}


def test_command_line_has_every_field_of_iree(serenity_compile: str) -> None:
    assert set(_FIELDS) == {field.name for field in dataclasses.fields(core.CompilerOptions)}
    with TempFileSaver.implicit() as saver:
        options = core.CompilerOptions(**_FIELDS)
        stock = core.build_compile_command_line("in.mlir", saver, options)
        ours = build_command_line("in.mlir", SerenityOptions(rewrite="off"), options, saver)
    assert options.extra_args == _FIELDS["extra_args"]
    flags = ["--serenity-schedule=on", "--serenity-rewrite=off"]
    # The user's own arguments stay last: a repeated flag of theirs wins.
    assert ours == [serenity_compile, *stock[1:-3], *flags, *stock[-3:]]
    assert stock[-3:] == ["--a=1", "--b", "c"]


def test_command_line_without_us(stock_compile: str) -> None:
    with TempFileSaver.implicit() as saver:
        options = core.CompilerOptions(**_FIELDS)
        stock = core.build_compile_command_line("in.mlir", saver, options)
        assert build_command_line("in.mlir", None, options, saver) == [stock_compile, *stock[1:]]


# --- compiling ----------------------------------------------------------------


def test_compile_str_and_file(tmp_path: Path) -> None:
    source = tmp_path / "diamond.mlir"
    source.write_text(DIAMOND_MODULE)
    from_str = serenity_mlir.compile_str(DIAMOND_MODULE, **LLVM_CPU)
    from_bytes = serenity_mlir.compile_str(DIAMOND_MODULE.encode(), **LLVM_CPU)
    from_file = serenity_mlir.compile_file(source, **LLVM_CPU)
    assert from_str is not None and len(from_str) > 1000
    assert from_str == from_bytes
    assert from_file is not None and len(from_file) > 1000
    output = tmp_path / "out.vmfb"
    assert serenity_mlir.compile_file(source, output_file=str(output), **LLVM_CPU) is None
    assert output.read_bytes() == from_file


def test_without_us_the_result_is_iree_s() -> None:
    assert serenity_mlir.compile_str(ADD_MODULE, serenity=None, **LLVM_CPU) == core.compile_str(
        ADD_MODULE, **LLVM_CPU
    )


def test_flags_reach_the_compiler_through_iree_s_own_functions(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    extra = [*LLVM_CPU["extra_args"], f"--serenity-report={report}"]
    module = core.compile_str(DIAMOND_MODULE, target_backends=["llvm-cpu"], extra_args=extra)
    assert module == serenity_mlir.compile_str(
        DIAMOND_MODULE,
        serenity=SerenityOptions(report=tmp_path / "other.json"),
        **LLVM_CPU,
    )
    first = json.loads(report.read_text())
    assert first["schema"] == 2
    assert [f["name"] for f in first["functions"]] == [
        f["name"] for f in json.loads((tmp_path / "other.json").read_text())["functions"]
    ]


def test_compile_takes_paths_text_and_onnx(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    source = tmp_path / "add.mlir"
    source.write_text(ADD_MODULE)
    flags = {"extra_args": LLVM_CPU["extra_args"]}
    for model in (source, str(source), ADD_MODULE, ADD_MODULE.encode()):
        module = serenity_mlir.compile(model, **flags)
        assert module is not None and len(module) > 1000
    with pytest.raises(SerenityError, match=r"none\.mlir: no such file") as missing:
        serenity_mlir.compile("none.mlir")
    assert missing.value.exit_code == 2

    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "relu.onnx"
    onnx.save(model, path)
    for form in (model, path):
        module = serenity_mlir.compile(form, **flags)
        assert module is not None and len(module) > 1000
    path.write_bytes(b"not a model")
    with pytest.raises(SerenityError, match=r"relu\.onnx: reading the ONNX model failed"):
        serenity_mlir.compile(path, **flags)


def test_warnings_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert serenity_mlir.compile_str(ADD_MODULE, target_backends=["llvm-cpu"])
    # Without a target CPU the compiler warns.
    assert "warning: while creating CPU target" in capfd.readouterr().err


def test_saved_temporaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IREE_SAVE_TEMPS", str(tmp_path))
    module = serenity_mlir.compile_str(ADD_MODULE, target_backends=["vmvx"])
    saved = {path.name: path for path in tmp_path.rglob("core-*")}
    assert saved["core-input.mlir"].read_text() == ADD_MODULE
    assert saved["core-output.bin"].read_bytes() == module
    assert "--serenity-schedule=on" in saved["core-command-line.txt"].read_text()


# --- errors -------------------------------------------------------------------

_BROKEN = "func.func @f(%x: i32) -> i64 {\n  return %x : i32\n}\n"


def test_failure_is_data(tmp_path: Path) -> None:
    source = tmp_path / "bro ken.mlir"
    source.write_text(_BROKEN)
    output = tmp_path / "out.vmfb"
    with pytest.raises(SerenityError) as caught:
        serenity_mlir.compile_file(source, output_file=str(output), **LLVM_CPU)
    error = caught.value
    assert error.exit_code == 1
    first = error.diagnostics[0]
    assert (first.severity, first.file, first.line, first.column) == ("error", str(source), 2, 3)
    assert "i32" in first.message and first.message in str(error)
    assert not output.exists()
    # The command runs in a shell as it stands, and fails in the same way.
    again = subprocess.run(error.command, shell=True, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (1, error.stderr)


def test_failure_from_a_string_names_standard_input() -> None:
    with pytest.raises(SerenityError) as caught:
        serenity_mlir.compile_str(_BROKEN, **LLVM_CPU)
    assert caught.value.diagnostics[0].file == "<stdin>"
    again = subprocess.run(
        caught.value.command, shell=True, capture_output=True, text=True, input=_BROKEN
    )
    assert again.stderr == caught.value.stderr


def test_unknown_flags() -> None:
    with pytest.raises(SerenityError) as caught:
        serenity_mlir.compile_str(ADD_MODULE, extra_args=["--no-such-flag"])
    assert caught.value.exit_code == 1
    assert "--no-such-flag" in caught.value.diagnostics[0].message
    with pytest.raises(SerenityError) as caught:
        serenity_mlir.compile_str(ADD_MODULE, extra_args=["--serenity-no-such-flag"])
    assert caught.value.exit_code == 2
    # The message names the known flags: one for each of our options.
    known = set(re.findall(r"--serenity-([a-z-]+)[=\[]", caught.value.stderr))
    assert known == {f.name.replace("_", "-") for f in dataclasses.fields(SerenityOptions)}
    with pytest.raises(TypeError, match="no_such_field"):
        serenity_mlir.compile_str(ADD_MODULE, no_such_field=1)


@pytest.mark.parametrize(
    "options",
    [
        SerenityOptions(schedule=False),
        SerenityOptions(rewrite="off", offsets="iree", scheduler="serenity", time_limit=0),
        SerenityOptions(rewrite="always", offsets="greedy", scheduler="heuristic", state_limit=0),
        SerenityOptions(memory_budget="64MiB", time_limit=1e-3, state_limit=10),
        SerenityOptions(memory_budget=1, budget_policy="warn"),
        SerenityOptions(print_ir_after=pass_names()),
    ],
)
def test_the_compiler_takes_what_the_options_allow(options: SerenityOptions) -> None:
    module = serenity_mlir.compile_str(DIAMOND_MODULE, serenity=options, **LLVM_CPU)
    assert module is not None and len(module) > 1000


def test_a_missed_budget_is_an_error_of_its_own() -> None:
    with pytest.raises(SerenityError) as caught:
        serenity_mlir.compile_str(
            DIAMOND_MODULE, serenity=SerenityOptions(memory_budget=64), **LLVM_CPU
        )
    assert caught.value.exit_code == 3
    assert any("64" in d.message and d.severity == "error" for d in caught.value.diagnostics)


def test_errors_survive_pickling() -> None:
    note = Diagnostic("note", "n", "f", 3, 4)
    error = SerenityError(
        "m",
        diagnostics=[Diagnostic("error", "e", notes=(note,))],
        exit_code=3,
        command="c",
        stderr="s",
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.diagnostics, copy.exit_code, copy.command, copy.stderr) == (
        "m",
        error.diagnostics,
        3,
        "c",
        "s",
    )


def test_parse_diagnostics() -> None:
    text = """\
a b.mlir:3:7: error: 'arith.addf' op operand #0 must be float: got x: y
  %0 = arith.addf %a
      ^
a b.mlir:3:7: note: see current operation: "arith.addf"()
C:1:2: note: called from
<unknown>:0: warning: no place
loc("pool"("net.onnx":12:3)): remark: kept IREE's order
loc(fused["a", "b"]): error: nowhere
iree-compile: Unknown command line argument '--foo'.  Try: 'iree-compile --help'
iree-compile: Did you mean '--bar'?
serenity-compile: error: --serenity-offsets: 'x' is not one of exact, greedy, iree
error: bare
// -----// IR Dump After X //----- //
"""
    found = parse_diagnostics(text)
    assert [(d.severity, d.file, d.line, d.column) for d in found] == [
        ("error", "a b.mlir", 3, 7),
        ("warning", None, None, None),
        ("remark", "net.onnx", 12, 3),
        ("error", None, None, None),
        ("error", None, None, None),
        ("error", None, None, None),
        ("error", None, None, None),
    ]
    assert found[0].message == "'arith.addf' op operand #0 must be float: got x: y"
    assert [n.message for n in found[0].notes] == [
        'see current operation: "arith.addf"()',
        "called from",
    ]
    assert found[2].message == "kept IREE's order"
    assert [n.message for n in found[4].notes] == ["Did you mean '--bar'?"]
    assert found[5].message == "--serenity-offsets: 'x' is not one of exact, greedy, iree"
    assert str(found[0]).splitlines() == [
        "a b.mlir:3:7: error: 'arith.addf' op operand #0 must be float: got x: y",
        'a b.mlir:3:7: note: see current operation: "arith.addf"()',
        "C:1:2: note: called from",
    ]
    assert parse_diagnostics("") == ()


# --- versions and imports -----------------------------------------------------


@pytest.mark.parametrize("version", ["3.12.0", "3.13.0", "3.13.0rc20261016", "3.12.1.post2"])
def test_supported_versions(version: str) -> None:
    _versions.check_iree(version)


@pytest.mark.parametrize(
    "version", ["3.11.0", "3.14.0rc20270101", "2.13.0", "31.2", "nightly", "3"]
)
def test_unsupported_versions(version: str) -> None:
    with pytest.raises(UnsupportedEnvironmentError) as caught:
        _versions.check_iree(version)
    message = str(caught.value)
    assert f"found {version};" in message and "3.12 and 3.13" in message
    assert "-m pip install 'iree-base-compiler>=3.12,<3.14'" in message


def test_no_iree() -> None:
    with pytest.raises(ImportError, match=r"none is installed; run: .* -m pip install"):
        _versions.check_iree(None)


def test_platforms() -> None:
    _versions.check_platform("linux", "x86_64")
    _versions.check_platform("linux", "aarch64")
    for system, machine in (("darwin", "arm64"), ("win32", "AMD64"), ("linux", "riscv64")):
        with pytest.raises(UnsupportedEnvironmentError, match=f"this is {system} on {machine}"):
            _versions.check_platform(system, machine)


def test_the_version_is_checked_at_import() -> None:
    code = """
from importlib import metadata
real = metadata.version
metadata.version = lambda name: "3.99.0" if name == "iree-base-compiler" else real(name)
try:
    import serenity_mlir
except ImportError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "found 3.99.0; run:" in process.stdout, process.stderr


def test_import_is_light_and_names_are_there() -> None:
    code = """
import sys
import serenity_mlir
print([name for name in ("numpy", "iree.compiler", "onnx", "typer") if name in sys.modules])
for name in serenity_mlir.__all__:
    assert getattr(serenity_mlir, name) is not None, name
assert set(serenity_mlir.__all__) <= set(dir(serenity_mlir))
try:
    serenity_mlir.no_such_name
except AttributeError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [
        "[]",
        "module 'serenity_mlir' has no attribute 'no_such_name'",
    ]
