# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The bytes of a module's constants, as IREE itself lays them out."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serenity_mlir.compiling.compiler import stock_compiler
from serenity_mlir.errors import SerenityError

__all__ = ["evaluate_constants"]


def evaluate_constants(operations: Sequence[Any], directory: Path) -> list[bytes]:
    """Return the contents of ``util.buffer.constant`` operations.

    A module of functions that return them is compiled and run: IREE has one place that knows how
    every element type, resource and composite is laid out, and it has no Python interface.

    Args:
      operations: of one context.
      directory: for the module.

    Raises:
      SerenityError: IREE does not compile or run it.
    """
    from iree import runtime
    from iree.compiler import ir

    if not operations:
        return []
    source, target = directory / "constants.mlirbc", directory / "constants.vmfb"
    context = operations[0].context
    with context, ir.Location.unknown():
        module = ir.Module.create()
        for i, operation in enumerate(operations):
            returned = operation.results[0].type
            text = f"() -> ({returned})"
            function = ir.Operation.create(
                "util.func",
                regions=1,
                attributes={
                    "sym_name": ir.StringAttr.get(f"constant_{i}"),
                    "function_type": ir.TypeAttr.get(ir.Type.parse(text)),
                },
                ip=ir.InsertionPoint(module.body),
            )
            block = function.regions[0].blocks.append()
            copy = operation.clone(ip=ir.InsertionPoint(block))
            ir.Operation.create(
                "util.return", operands=list(copy.results), ip=ir.InsertionPoint(block)
            )
        with open(source, "wb") as stream:
            module.operation.write_bytecode(stream)
    command = [stock_compiler(), str(source), "--compile-from=hal", "-o", str(target)]
    process = subprocess.run(command, capture_output=True, check=False)
    if process.returncode != 0:
        raise SerenityError(
            "the weights cannot be read: " + process.stderr.decode("utf-8", "replace").rstrip()
        )
    instance = runtime.VmInstance()
    loaded = runtime.VmModule.copy_buffer(instance, target.read_bytes())
    vm_context = runtime.VmContext(instance, modules=[loaded])
    found = []
    for i in range(len(operations)):
        results = runtime.VmVariantList(1)
        function = loaded.lookup_function(f"constant_{i}")
        vm_context.invoke(function, runtime.VmVariantList(0), results)
        buffer = results.get_as_ref(0).deref(runtime.VmBuffer)
        found.append(bytes(memoryview(buffer)))
    return found
