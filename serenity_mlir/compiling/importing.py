# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From a model, as its framework has it, to a file that iree-compile reads.

Each framework's own exporter does the work: ``iree-import-onnx``, ``torch.export`` with
iree-turbine, ``jax.export``. They are optional, loaded when they are needed, and a missing one is
named with the command that installs it. Weights come along as constants: rewriting splits
convolutions, and for that it has to split their weights.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir._processes import run_command
from serenity_mlir.compiling.fixing import (
    DynamicDimension,
    fix_mlir,
    fix_onnx,
    onnx_argument_names,
    onnx_dynamic_dimensions,
)
from serenity_mlir.compiling.messages import shown_as
from serenity_mlir.compiling.quantized_operators import add_result_types, refuse_operators
from serenity_mlir.errors import SerenityError

__all__ = [
    "MODEL_KINDS",
    "SUFFIXES",
    "Imported",
    "import_model",
    "load_model",
    "model_name",
]

#: Ends of the names of files that hold models.
SUFFIXES = (".mlir", ".mlirbc", ".onnx", ".pt2")

#: For help texts and messages.
MODEL_KINDS = (
    "a path (.mlir, .mlirbc, .onnx, .pt2), the name of a network of the package, MLIR as text or "
    "bytes, an onnx.ModelProto, a torch.nn.Module or ExportedProgram, a function of JAX or "
    "jax.export.Exported, or a Module of MLIR's Python bindings"
)

#: Opset that older ONNX models are brought to; IREE's importer knows fewer operators before it.
_OPSET = 17

#: The first bytes of MLIR's bytecode.
_BYTECODE = b"ML\xefR"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Imported:
    """A model that iree-compile can read.

    Attributes:
      path: the file: the model itself, or its import.
      argument_names: names of the arguments, in order; empty where the model has none.
      dynamic: the dynamic dimensions of the arguments, where the model names any.
    """

    path: Path
    argument_names: tuple[str, ...] = ()
    dynamic: tuple[DynamicDimension, ...] = ()

    @property
    def dimension_names(self) -> dict[str, str]:
        """The model's own names of dynamic dimensions by ``argI:axisJ``."""
        return {dimension.position: dimension.name for dimension in self.dynamic}

    @property
    def dimension_aliases(self) -> dict[str, tuple[str, ...]]:
        """All names that `fixing` knows for a dynamic dimension by ``argI:axisJ``."""
        return {dimension.position: dimension.aliases for dimension in self.dynamic}


@dataclass
class _Job:
    """One import: the request, and the facts found on the way."""

    directory: Path
    fix_dims: Mapping[str, int]
    argument_names: tuple[str, ...] = ()
    dynamic: tuple[DynamicDimension, ...] = ()
    fixed: bool = False


def load_model(model: Any, directory: Path, args: Sequence[Any] | None = None) -> Path:
    """Return the file of `import_model`."""
    return import_model(model, directory, args).path


def import_model(
    model: Any,
    directory: Path,
    args: Sequence[Any] | None = None,
    *,
    fix_dims: Mapping[str, int] | None = None,
    flags: Sequence[str] = (),
) -> Imported:
    """Return a file that iree-compile reads: the model itself, or its import.

    Args:
      model: see `MODEL_KINDS`; text is MLIR if it has a line break, and a path otherwise.
        ``torch.export.save`` writes ``.pt2`` files.
      directory: where an import goes. Must be there as long as the result is used.
      args: example arguments for exporting a `torch.nn.Module` or a function of JAX, by position:
        tensors or arrays, `jax.ShapeDtypeStruct`, or the shape alone as a tuple of integers, for
        float32.
      fix_dims: extents for dynamic dimensions, see `fixing`.
      flags: of iree-compile, for the dialects that they choose.

    Raises:
      SerenityError: there is no such file, the kind is unknown, `args` are missing or given for
        a model that has its own, there is no such dimension, or a framework is not installed (exit
        code 2); the import failed (exit code 1).
    """
    job = _Job(directory, fix_dims or {})
    path = _run_importer(model, job, args)
    if job.fix_dims and not job.fixed:
        with shown_as(path, model_name(model)):
            path = fix_mlir(path, directory / f"{path.stem}.fixed.mlirbc", job.fix_dims, flags)
    return Imported(path, job.argument_names, job.dynamic)


def _run_importer(model: Any, job: _Job, args: Sequence[Any] | None) -> Path:
    importer = _importer(model)
    _log.info("importing %s", model_name(model))
    if importer in (_import_torch_module, _import_jax_function):
        if args is None:
            raise SerenityError(
                f"a {type(model).__name__} is exported by running it on example arguments; give "
                "them, or their shapes: compile(model, [(1, 3, 32, 32)])",
                exit_code=2,
            )
        path: Path = importer(model, job, list(args))
        return path
    if args is not None:
        raise SerenityError(
            f"a {type(model).__name__} has its arguments in it; example arguments are for a "
            "torch.nn.Module or a function of JAX",
            exit_code=2,
        )
    path = importer(model, job)
    return path


def model_name(model: Any) -> str:
    """Return the name of a model in messages and tables: its path or name, or its kind."""
    if isinstance(model, os.PathLike) or (isinstance(model, str) and "\n" not in model):
        return os.fspath(model)
    return str(getattr(model, "__name__", type(model).__name__))


def _importer(model: Any) -> Callable[..., Path]:
    """Return the function that imports a model of this kind."""
    if isinstance(model, bytes | bytearray | memoryview):
        return _write_mlir
    if isinstance(model, str):
        return _write_mlir if "\n" in model else _import_path
    if isinstance(model, os.PathLike):
        return _import_path
    if _is(model, "onnx", "ModelProto"):
        return _import_onnx_model
    if _is(model, "torch.nn", "Module"):
        return _import_torch_module
    if _is(model, "torch.export", "ExportedProgram"):
        return _import_exported_program
    if _is(model, "jax.export", "Exported"):
        return _import_jax_exported
    operation = getattr(model, "operation", None)
    if hasattr(operation, "write_bytecode"):
        return _import_bindings_module
    if callable(model) and not isinstance(model, type):
        return _import_jax_function
    raise SerenityError(
        f"cannot compile a {type(model).__module__}.{type(model).__qualname__}; a model is "
        f"{MODEL_KINDS}",
        exit_code=2,
    )


def _is(model: Any, module: str, name: str) -> bool:
    """Whether `model` is of a class of a framework, which then is loaded already."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(model, kind)


def _require(module: str, what: str, extra: str) -> Any:
    """Import a framework."""
    try:
        with _quiet():
            return importlib.import_module(module)
    except ImportError as error:
        raise SerenityError(
            f"{what} needs {module.partition('.aot')[0]}, which cannot be imported ({error}); "
            f"run: {sys.executable} -m pip install 'serenity-mlir[{extra}]'",
            exit_code=2,
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the frameworks' warnings about themselves: the user cannot change them."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield


@contextmanager
def _exporting(what: str) -> Iterator[None]:
    """Turn the exception of an exporter into a SerenityError with that exception as its cause."""
    try:
        with _quiet():
            yield
    except SerenityError:
        raise
    except Exception as error:
        raise SerenityError(f"{what} failed: {type(error).__name__}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the sentence of an exporter's message that gives the reason, without context."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    end = 1
    # "Verification failed:" announces the reason.
    while lines[end - 1].endswith(":") and end < len(lines):
        end += 1
    return " ".join(lines[:end])


def _import_path(path: str | os.PathLike[str], job: _Job) -> Path:
    path = Path(path)
    if path.is_file():
        if path.suffix in (".mlir", ".mlirbc"):
            return _checked_mlir(path)
        if path.suffix == ".onnx":
            return _import_onnx(path, job.directory / f"{path.stem}.mlir", job)
        if path.suffix == ".pt2":
            return _import_pt2(path, job)
    elif path.suffix not in SUFFIXES:
        from serenity_mlir import networks

        if str(path) in networks.names():
            return _import_onnx_model(networks.build(str(path)), job, str(path))
    if path.is_dir():
        raise SerenityError(f"{path}: a folder, not a model", exit_code=2)
    if path.suffix in SUFFIXES:
        raise SerenityError(f"{path}: no such file", exit_code=2)
    if path.exists():
        raise SerenityError(
            f"{path}: unknown kind of model; use a file ending in {', '.join(SUFFIXES)}",
            exit_code=2,
        )
    from serenity_mlir import networks

    close = difflib.get_close_matches(str(path), networks.names(), n=3)
    raise SerenityError(
        f"{path}: neither a file nor a network of the package; "
        + (f"did you mean {' or '.join(close)}?" if close else "see `serenity networks list`"),
        exit_code=2,
    )


def _checked_mlir(path: Path) -> Path:
    """Return `path` unless it cannot be MLIR: the compiler would print its content."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(1 << 12)
    except OSError as error:
        raise SerenityError(f"{path}: {error.strerror}", exit_code=2) from None
    if not head.startswith(_BYTECODE) and b"\0" in head:
        raise SerenityError(f"{path}: neither MLIR text nor bytecode")
    return path


def _write_mlir(text: str | bytes, job: _Job) -> Path:
    target = job.directory / "model.mlir"
    target.write_bytes(text.encode() if isinstance(text, str) else text)
    return target


def _import_bindings_module(module: Any, job: _Job) -> Path:
    # Also modules of another library's bindings, JAX's for instance: bytecode is common to all.
    target = job.directory / "model.mlirbc"
    with _exporting("writing the module"), open(target, "wb") as stream:
        module.operation.write_bytecode(stream)
    return target


# --- ONNX ----------------------------------------------------------------------


def _import_onnx_model(model: Any, job: _Job, name: str = "model") -> Path:
    source = job.directory / f"{name}.onnx"
    with _exporting("writing the ONNX model"):
        source.write_bytes(model.SerializeToString())
    return _import_onnx(source, job.directory / f"{name}.mlir", job)


def _import_onnx(source: Path, target: Path, job: _Job) -> Path:
    """Import as ``iree-import-onnx`` does, without the half second that the program's start takes.

    Weights in external files are found beside the model only.
    """
    onnx = _require("onnx", "an ONNX model", "onnx")
    from iree.compiler import ir
    from iree.compiler.extras import onnx_importer

    with _exporting(f"{source}: reading the ONNX model"):
        model = onnx.load(source)
    # A damaged file may read as an empty model.
    if not model.HasField("graph") or not model.opset_import:
        raise SerenityError(f"{source}: not an ONNX model, or cut short: it has no graph")
    if job.fix_dims:
        fix_onnx(model, job.fix_dims)
        job.fixed = True
    job.argument_names = onnx_argument_names(model)
    job.dynamic = tuple(onnx_dynamic_dimensions(model))
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    upgrade = bool(opsets) and opsets[0] < _OPSET
    with _exporting(f"{source}: the ONNX import"):
        try:
            if upgrade:
                model = onnx.version_converter.convert_version(model, _OPSET)
            onnx.checker.check_model(model)
            model = add_result_types(model)
        except ValueError:  # More than a message of 2 GB holds: that needs files.
            if job.fixed:
                source = job.directory / f"{source.stem}.fixed.onnx"
                onnx.save_model(model, source, save_as_external_data=True)
            return _import_large_onnx(source, target, upgrade)
        _name_nodes(model)
        refuse_operators(model, str(source))
        info = onnx_importer.ModelInfo(model)
        module = info.create_module(context=ir.Context()).operation
        onnx_importer.NodeImporter.define_function(info.main_graph, module).import_all()
        module.verify()
        # With locations: reports and messages call operations by the names of the model's nodes.
        text = module.get_asm(enable_debug_info=True, assume_verified=True)
        target.write_text(text + "\n", "utf-8")
    return target


def _name_nodes(model: Any) -> None:
    """Give every node a name of its own: its name, else that of its first result, numbered."""
    taken: Counter[str] = Counter()
    for node in model.graph.node:
        name = node.name or next(filter(None, node.output), node.op_type)
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}#{taken[name]}"


def _import_large_onnx(source: Path, target: Path, upgrade: bool) -> Path:
    """Run IREE's program."""
    command = [sys.executable, "-m", "iree.compiler.tools.import_onnx", str(source)]
    command += ["-o", str(target)]
    if upgrade:
        command.append(f"--opset-version={_OPSET}")
    _log.debug("running %s", shlex.join(command))
    process = run_command(command)
    if process.returncode != 0:
        # A traceback; its last line has the error.
        errors = process.stderr.decode("utf-8", "replace")
        lines = errors.strip().splitlines() or ["no message"]
        raise SerenityError(
            f"{source}: the ONNX import failed: {_exception_line(lines)}",
            exit_code=1,
            command=shlex.join(command),
            stderr=errors,
        )
    return target


def _exception_line(lines: Sequence[str]) -> str:
    """Return the line of a traceback that has the exception; its text may go on below."""
    after = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    for line in lines[after[-1] + 1 if after else 0 :]:
        if line and not line.startswith(" "):
            return line.rpartition("onnx.onnx_cpp2py_export.")[2]
    return lines[-1].strip()


# --- PyTorch -------------------------------------------------------------------


def _import_pt2(path: Path, job: _Job) -> Path:
    torch_export = _require("torch.export", "a .pt2 file", "torch")
    with _exporting(f"{path}: reading the exported program"):
        program = torch_export.load(path)
    return _import_exported_program(program, job)


def _import_torch_module(model: Any, job: _Job, args: list[Any]) -> Path:
    import torch

    if model.training:
        _log.warning(
            "the %s is in training mode, and is compiled so: call .eval() for inference",
            type(model).__name__,
        )
    with _exporting("torch.export"):
        tensors = tuple(
            torch.zeros(value)
            if _is_shape(value)
            else torch.as_tensor(value)
            if hasattr(value, "__array__")
            else value
            for value in args
        )
        program = torch.export.export(model, tensors)
    return _import_exported_program(program, job)


def _import_exported_program(program: Any, job: _Job) -> Path:
    aot = _require("iree.turbine.aot", "a model of PyTorch", "torch")
    target = job.directory / "model.mlirbc"
    with _exporting("the import with iree-turbine"):
        with _nodes_as_places(program):
            exported = aot.export(program)
        _name_operations(exported.mlir_module)
        exported.save_mlir(target)
    return target


#: The line that stands for a node's name where the importer takes files and lines alone.
_NAME_LINE = 2**31 - 1


@contextmanager
def _nodes_as_places(program: Any) -> Iterator[None]:
    """Let every node of a `torch.export.ExportedProgram` say its name for its place in a file.

    A node is called like the module that it comes from, a slash, and its own name:
    ``blocks.1/conv2d_2``. The importer makes MLIR's locations from traces of the Python stack, in
    which all blocks of a loop, and all modules of a class, have the same lines.
    """
    traces = []
    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            traces.append((node, node.meta.get("stack_trace")))
            stack = list(node.meta.get("nn_module_stack", {}).values())
            path = stack[-1][0] if stack else ""
            name = f"{path}/{node.name}" if path else node.name
            node.meta["stack_trace"] = f'File "{name}", line {_NAME_LINE}, in forward'
    try:
        yield
    finally:
        for node, trace in traces:
            if trace is None:
                del node.meta["stack_trace"]
            else:
                node.meta["stack_trace"] = trace


def _name_operations(module: Any) -> None:
    """Make the places of `_nodes_as_places` locations of names, as reports show them."""
    from iree.compiler import ir

    written = re.compile(rf'loc\("([^"]+)":{_NAME_LINE}:0\)')

    def name(operation: Any) -> Any:
        if found := written.fullmatch(str(operation.location)):
            operation.location = ir.Location.name(found[1], context=operation.context)
        return ir.WalkResult.ADVANCE

    module.walk(name)


# --- JAX -----------------------------------------------------------------------


def _import_jax_function(function: Callable[..., Any], job: _Job, args: list[Any]) -> Path:
    jax = _require("jax", "a function", "jax")
    _require("jax.export", "a function", "jax")
    with _exporting("jax.export"):
        shapes = [
            jax.ShapeDtypeStruct(value, "float32") if _is_shape(value) else value for value in args
        ]
        jitted = function if hasattr(function, "lower") else jax.jit(function)
        exported = jax.export.export(jitted, platforms=("cpu",))(*shapes)
    return _import_jax_exported(exported, job)


def _import_jax_exported(exported: Any, job: _Job) -> Path:
    if exported.nr_devices != 1:
        raise SerenityError(
            f"the function was exported for {exported.nr_devices} devices; only one is supported",
            exit_code=2,
        )
    # Not mlir_module_serialized: IREE reads that form of StableHLO with --iree-input-type=stablehlo
    # only (3.13), while everything else is recognised.
    return _write_mlir(exported.mlir_module(), job)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(extent) is int for extent in value)
