# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Giving dynamic dimensions of a model's inputs an extent: ``--fix-dim NAME=N``.

The memory of a function can be planned where its sizes are known when it is compiled. In ONNX a
dynamic dimension usually has a name, which fixes it in every input, and the sizes of all values are
inferred again. Everything else is fixed in the IR at the ``input`` phase, where every importer's
model is linalg and tensor operations: the argument takes the static type, a ``tensor.cast`` gives
its readers the type they had, and canonicalization takes the static type from there to the results.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serenity_mlir._processes import run_command
from serenity_mlir.compiling.messages import command_in_users_terms, in_users_terms
from serenity_mlir.errors import SerenityError, compilation_error

__all__ = [
    "DynamicDimension",
    "fix_mlir",
    "fix_onnx",
    "onnx_argument_names",
    "onnx_dynamic_dimensions",
]

_POSITIONAL = re.compile(
    r"(?:(?P<function>.+):)?(?:arg)?(?P<argument>\d+)(?::axis|\.)(?P<axis>\d+)"
)


@dataclass(frozen=True)
class DynamicDimension:
    """A dimension of an argument that has no extent.

    Attributes:
      argument: position of the argument.
      axis: position of the dimension.
      name: its name in ``--fix-dim``: the dimension's own name, or ``INPUT:AXIS``, or
        ``argI:axisJ``.
      input: name of the argument, where it has one.
    """

    argument: int
    axis: int
    name: str
    input: str | None = None

    @property
    def position(self) -> str:
        """The name that fixes it in every kind of model."""
        return f"arg{self.argument}:axis{self.axis}"

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names that the model has for it, its own first."""
        by_input = (f"{self.input}:{self.axis}",) if self.input is not None else ()
        return tuple(dict.fromkeys((self.name, *by_input)))

    def __str__(self) -> str:
        """The dimension in words."""
        of = f"input {self.input!r}" if self.input is not None else f"argument {self.argument}"
        named = f" ({self.name})" if self.input is not None and ":" not in self.name else ""
        return f"dimension {self.axis}{named} of {of}"


def check_fixed(fix_dims: Mapping[str, int]) -> None:
    """Raise unless all extents are positive integers.

    Raises:
      SerenityError: one is not (exit code 2).
    """
    for name, extent in fix_dims.items():
        if type(extent) is not int or extent < 1:
            raise SerenityError(
                f"fix_dims: {name}={extent!r}: an extent is a positive integer", exit_code=2
            )


def _unknown(names: Sequence[str], known: Sequence[str]) -> SerenityError:
    told = ", ".join(sorted(names))
    plural = "dimensions" if len(names) > 1 else "dimension"
    return SerenityError(
        f"--fix-dim: no dynamic {plural} {told}; "
        + (f"the model has {', '.join(known)}" if known else "the model has no dynamic dimension"),
        exit_code=2,
    )


# --- ONNX ----------------------------------------------------------------------


def _onnx_inputs(model: Any) -> list[Any]:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants.update(tensor.values.name for tensor in model.graph.sparse_initializer)
    return [value for value in model.graph.input if value.name not in constants]


def onnx_argument_names(model: Any) -> tuple[str, ...]:
    """Return the names of an ``onnx.ModelProto``'s inputs, as arguments of its import."""
    return tuple(value.name for value in _onnx_inputs(model))


def onnx_dynamic_dimensions(model: Any) -> list[DynamicDimension]:
    """Return the dynamic dimensions of an ``onnx.ModelProto``'s inputs, in order."""
    found = []
    for position, value in enumerate(_onnx_inputs(model)):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if not dimension.HasField("dim_value") or dimension.dim_value < 0:
                own = dimension.dim_param
                # Some exporters call every dimension the same for want of a name.
                name = own if own.strip("?") else f"arg{position}:axis{axis}"
                found.append(DynamicDimension(position, axis, name, value.name))
    return found


def _subgraphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _subgraphs(inner)


def fix_onnx(model: Any, fix_dims: Mapping[str, int]) -> None:
    """Fix dimensions of an ``onnx.ModelProto`` in place, and drop the sizes inferred before.

    Args:
      model: the model; its sizes are to be inferred again afterwards.
      fix_dims: extents by the dimension's own name, by ``INPUT:AXIS`` or by ``argI:axisJ``.

    Raises:
      SerenityError: there is no such dynamic dimension (exit code 2).
    """
    check_fixed(fix_dims)
    dynamic = onnx_dynamic_dimensions(model)
    inputs = _onnx_inputs(model)
    by_name: dict[str, int] = {}
    unknown = []
    for name, extent in fix_dims.items():
        position = _POSITIONAL.fullmatch(name)
        matching = [
            dimension
            for dimension in dynamic
            if name in dimension.aliases
            or (
                position is not None
                and (dimension.argument, dimension.axis)
                == (int(position["argument"]), int(position["axis"]))
            )
        ]
        if not matching:
            unknown.append(name)
        for dimension in matching:
            place = inputs[dimension.argument].type.tensor_type.shape.dim[dimension.axis]
            if place.dim_param.strip("?"):
                by_name[place.dim_param] = extent
            place.dim_value = extent
    if unknown:
        raise _unknown(unknown, list(dict.fromkeys(dimension.name for dimension in dynamic)))
    # A name stands for one extent, wherever it is.
    for value in [*model.graph.input, *model.graph.output]:
        for place in value.type.tensor_type.shape.dim:
            if place.dim_param in by_name:
                place.dim_value = by_name[place.dim_param]
    for graph in _subgraphs(model.graph):
        del graph.value_info[:]


# --- MLIR ----------------------------------------------------------------------


def fix_mlir(
    source: Path, target: Path, fix_dims: Mapping[str, int], flags: Sequence[str] = ()
) -> Path:
    """Fix dimensions of a module's entry points, and write it as bytecode of the ``input`` phase.

    Args:
      source: MLIR text or bytecode of any dialect that iree-compile reads.
      target: the file to write.
      fix_dims: extents by ``argI:axisJ`` or ``I.J``, with ``FUNCTION:`` before it for one entry
        point; without, of every entry point where that dimension is dynamic.
      flags: further flags of iree-compile, of which those about inputs matter.

    Returns:
      `target`.

    Raises:
      SerenityError: there is no such dynamic dimension (exit code 2), or the module does not
        compile to the ``input`` phase (1).
    """
    from iree.compiler import ir, passmanager

    from serenity_mlir.compiling.compiler import stock_compiler

    check_fixed(fix_dims)
    command = [stock_compiler(), str(source), "--compile-to=input", "--emit-mlir-bytecode", *flags]
    process = run_command(command)
    if process.returncode != 0:
        errors = in_users_terms(process.stderr.decode("utf-8", "replace"))
        raise compilation_error(command_in_users_terms(command), process.returncode, errors)
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(process.stdout)
        fixed: set[str] = set()
        known: dict[str, None] = {}
        functions = [
            operation.operation
            for operation in module.body.operations
            if operation.operation.name in ("util.func", "func.func")
            and operation.operation.regions[0].blocks
        ]
        changed = []
        for function in functions:
            if _is_private(function):
                continue
            fixer = _FunctionFixer(function, fix_dims)
            fixer.run()
            fixed |= fixer.fixed
            known.update(dict.fromkeys(fixer.known))
            changed += [function] if fixer.fixed else []
        if missing := [name for name in fix_dims if name not in fixed]:
            raise _unknown(missing, list(known))
        _update_calls(module, functions)
        simplify = passmanager.PassManager.parse("builtin.module(canonicalize,cse,canonicalize)")
        simplify.run(module.operation)
        for function in changed:
            _narrow_results(function)
        _update_calls(module, functions)
        module.operation.verify()
        with open(target, "wb") as stream:
            module.operation.write_bytecode(stream)
    return target


def _is_private(function: Any) -> bool:
    return "sym_visibility" in function.attributes and "private" in str(
        function.attributes["sym_visibility"]
    )


def _name(function: Any) -> str:
    from iree.compiler import ir

    return str(ir.StringAttr(function.attributes["sym_name"]).value)


class _FunctionFixer:
    """Fixes the dimensions of one function's arguments.

    Attributes:
      fixed: the names among those asked for that were found.
      known: the names that are to be had.
    """

    def __init__(self, function: Any, fix_dims: Mapping[str, int]) -> None:
        self.function = function
        self.fix_dims = fix_dims
        self.fixed: set[str] = set()
        self.known: list[str] = []
        self._name = _name(function).removesuffix("$async")

    def _extent(self, argument: int, axis: int) -> int | None:
        for name, extent in self.fix_dims.items():
            match = _POSITIONAL.fullmatch(name)
            if (
                match is not None
                and match["function"] in (None, self._name)
                and (int(match["argument"]), int(match["axis"])) == (argument, axis)
            ):
                self.fixed.add(name)
                return extent
        return None

    def _static_type(self, position: int, kind: Any) -> Any:
        """Return the type of an argument with its dimensions fixed; `kind` where none is."""
        from iree.compiler import ir

        if not isinstance(kind, ir.RankedTensorType) or kind.has_static_shape:
            return kind
        shape = list(kind.shape)
        for axis, extent in enumerate(shape):
            if extent < 0:
                self.known.append(f"arg{position}:axis{axis}")
                given = self._extent(position, axis)
                shape[axis] = extent if given is None else given
        return ir.RankedTensorType.get(shape, kind.element_type, kind.encoding)

    def run(self) -> None:
        """Change arguments, or the imports of those that are views of buffers."""
        block = self.function.regions[0].blocks[0]
        position = 0
        for argument in block.arguments:
            if str(argument.type) == "!hal.fence":
                continue
            if str(argument.type) == "!hal.buffer_view":
                for use in list(argument.uses):
                    if use.owner.operation.name == "hal.tensor.import":
                        self._fix_import(position, use.owner.operation)
            else:
                self._fix_argument(position, argument, block)
            position += 1
        _update_type(self.function)

    def _fix_argument(self, position: int, argument: Any, block: Any) -> None:
        from iree.compiler import ir

        before = argument.type
        after = self._static_type(position, before)
        if after == before:
            return
        argument.set_type(after)
        cast = ir.Operation.create(
            "tensor.cast",
            results=[before],
            operands=[argument],
            ip=ir.InsertionPoint.at_block_begin(block),
        )
        argument.replace_all_uses_except(cast.result, cast)

    def _fix_import(self, position: int, op: Any) -> None:
        from iree.compiler import ir

        before = op.results[0].type
        after = self._static_type(position, before)
        if after == before:
            return
        # The dynamic extents are the operands of the second segment.
        segments = list(op.attributes["operandSegmentSizes"])
        sources, extents = segments[0], list(op.operands)[segments[0] : segments[0] + segments[1]]
        kept = [
            operand
            for operand, axis in zip(
                extents, [i for i, e in enumerate(before.shape) if e < 0], strict=True
            )
            if after.shape[axis] < 0
        ]
        operands = list(op.operands)
        operands[sources : sources + segments[1]] = kept
        attributes = {name: op.attributes[name] for name in _names(op.attributes)}
        segments[1] = len(kept)
        attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get(segments)
        attributes["target_encoding"] = ir.TypeAttr.get(after)
        at = ir.InsertionPoint(op)
        static = ir.Operation.create(
            "hal.tensor.import", results=[after], operands=operands, attributes=attributes, ip=at
        )
        cast = ir.Operation.create("tensor.cast", results=[before], operands=[static.result], ip=at)
        op.results[0].replace_all_uses_with(cast.result)
        op.erase()


def _names(attributes: Any) -> list[str]:
    # The bindings of IREE 3.12 iterate over named attributes, later ones over names.
    return [getattr(entry, "name", entry) for entry in attributes]


def _update_type(function: Any) -> None:
    """Set a function's type to that of its block's arguments and returned values."""
    from iree.compiler import ir

    blocks = list(function.regions[0].blocks)
    returned = ir.TypeAttr(function.attributes["function_type"]).value.results
    for block in blocks:
        last = block.operations[len(block.operations) - 1].operation
        if last.name in ("util.return", "func.return"):
            returned = [operand.type for operand in last.operands]
    arguments = [argument.type for argument in blocks[0].arguments]
    function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(arguments, returned))


def _narrow_results(function: Any) -> None:
    """Return the operand of a cast to a dynamic type, in a function with one return."""
    returns = []
    for block in function.regions[0].blocks:
        last = block.operations[len(block.operations) - 1].operation
        if last.name in ("util.return", "func.return"):
            returns.append(last)
    if len(returns) != 1 or ("tied_operands" in function.attributes):
        return
    for index, operand in enumerate(returns[0].operands):
        owner = getattr(operand.owner, "operation", None)  # None: a block's argument.
        if owner is not None and owner.name == "tensor.cast":
            source = owner.operands[0]
            if getattr(source.type, "has_static_shape", False):
                returns[0].operands[index] = source
    _update_type(function)


def _update_calls(module: Any, functions: Sequence[Any]) -> None:
    """Cast at calls of functions that have other types now."""
    from iree.compiler import ir

    types = {_name(one): ir.TypeAttr(one.attributes["function_type"]).value for one in functions}

    def visit(block: Any) -> None:
        for operation in list(block.operations):
            op = operation.operation
            for region in op.regions:
                for inner in region.blocks:
                    visit(inner)
            if op.name not in ("util.call", "func.call"):
                continue
            wanted = types.get(ir.FlatSymbolRefAttr(op.attributes["callee"]).value)
            if wanted is None:
                continue
            for index, kind in enumerate(wanted.inputs):
                if op.operands[index].type != kind:
                    cast = ir.Operation.create(
                        "tensor.cast",
                        results=[kind],
                        operands=[op.operands[index]],
                        ip=ir.InsertionPoint(op),
                    )
                    op.operands[index] = cast.result
            for result, kind in zip(op.results, wanted.results, strict=True):
                before = result.type
                if before != kind:
                    result.set_type(kind)
                    after = ir.InsertionPoint.after(op)
                    cast = ir.Operation.create(
                        "tensor.cast", results=[before], operands=[result], ip=after
                    )
                    result.replace_all_uses_except(cast.result, cast)

    for function in functions:
        for block in function.regions[0].blocks:
            visit(block)
