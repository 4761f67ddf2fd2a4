# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs a network in one buffer whose size is fixed before the program runs.

All activations live in an array of the program's own; the runtime allocates nothing but inputs and
results. The compiler promises that they fit (a memory budget), the module tells how much it takes.

    python examples/arena.py [MODEL.onnx [BYTES]]

Without a model it builds SwiftNet's cell C and gives it 160,000 bytes; the stock compiler needs
240,960.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import iree.runtime as rt  # type: ignore[import-untyped, unused-ignore]
import numpy as np
import numpy.typing as npt

import serenity_mlir
from serenity_mlir import SerenityOptions
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.compiling.signatures import read_signatures
from serenity_mlir.measuring.inputs import random_inputs
from serenity_mlir.reports.reporting import load_report

#: IREE's HAL wants buffers to begin at a multiple of this.
ALIGNMENT = 64

#: The code is for the machine that compiles; memory does not depend on it.
TARGET = "--iree-llvmcpu-target-cpu=host"


def aligned_bytes(size: int) -> npt.NDArray[np.uint8]:
    """Returns `size` bytes at an aligned address: on a microcontroller, a static array."""
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class Network:
    """A compiled network that computes in memory of its user's."""

    def __init__(self, module: bytes, function: str, arena: npt.NDArray[np.uint8]) -> None:
        self.device = rt.get_device("local-sync", cache=False)
        instance = rt.VmInstance()
        hal = rt.create_hal_module(instance, self.device)
        vm_module = rt.VmModule.copy_buffer(instance, module)
        self.context = rt.VmContext(instance, [hal, vm_module])
        self.function = vm_module.lookup_function(function)

        # The size is in the reflection of the function that does the work; the wrapper that takes
        # no fences has none of its own.
        names = vm_module.function_names
        work = f"{function}$async" if f"{function}$async" in names else function
        reflection = vm_module.lookup_function(work).reflection
        self.arena_bytes = int(reflection["iree.abi.transients.size.constant"])
        if self.arena_bytes > arena.nbytes:
            raise ValueError(f"the network needs {self.arena_bytes} bytes, not {arena.nbytes}")
        self.arena = self.device.allocator.import_host_allocation(
            arena, int(rt.MemoryType.DEVICE_LOCAL), int(rt.BufferUsage.DEFAULT)
        )

    def __call__(self, *inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Runs the network once and returns a copy of its first result."""
        arguments = rt.VmVariantList(len(inputs) + 1)
        for value in inputs:
            view = self.device.allocator.allocate_buffer_copy(
                memory_type=int(rt.MemoryType.DEVICE_LOCAL),
                allowed_usage=int(rt.BufferUsage.DEFAULT),
                device=self.device,
                buffer=value,
                element_type=rt.HalElementType.FLOAT_32,
            )
            arguments.push_ref(view)
        arguments.push_ref(self.arena)
        results = rt.VmVariantList(1)
        self.context.invoke(self.function, arguments, results)
        view = results.get_as_ref(0).deref(rt.HalBufferView)
        return np.array(view.map().asarray(tuple(view.shape), np.dtype(np.float32)))


def main(arguments: list[str]) -> None:
    """Compiles the model into the given bytes, runs it there and compares."""
    arena_bytes = int(arguments[1]) if len(arguments) > 1 else 160_000
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments:
            model = Path(arguments[0])
        else:
            from serenity_mlir import networks

            model = directory / "swiftnet_c.onnx"
            model.write_bytes(networks.build("swiftnet_c").SerializeToString())

        # The program's one array: from here on its size is fixed.
        arena = aligned_bytes(arena_bytes)

        report_path = directory / "report.json"
        module = serenity_mlir.compile(
            model,
            extra_args=[TARGET, "--iree-torch-externalize-transients"],
            serenity=SerenityOptions(memory_budget=arena_bytes, report=report_path),
        )
        report = load_report(report_path)
        source = load_model(model, directory)
        (signature,) = read_signatures(source)
        promised = report.function(signature.name)
        means = ", ".join(promised.used) or "nothing"
        print(f"budget {arena_bytes:,} bytes, promised {promised.transient_peak_bytes:,} ({means})")

        network = Network(module, signature.name, arena)
        print(f"the module asks for {network.arena_bytes:,} bytes")
        stock = serenity_mlir.compile(model, extra_args=[TARGET], serenity=None)

    # The runtime's count is of the process, so the stock module runs after it was read.
    loaded = network.device.allocator.statistics["device_bytes_peak"]
    calls = [[np.asarray(value) for value in random_inputs(signature, seed)] for seed in range(3)]
    outputs = [network(*inputs) for inputs in calls]
    grown = network.device.allocator.statistics["device_bytes_peak"] - loaded
    external = sum(value.nbytes for value in (*calls[0], outputs[0]))
    print(f"beside the arena the runtime allocated {grown:,} bytes; i/o has {external:,}")
    for number, (inputs, output) in enumerate(zip(calls, outputs, strict=True)):
        expected = run_stock(stock, signature.name, inputs)
        difference = float(np.abs(output - expected).max())
        print(f"call {number}: largest difference to the stock compiler {difference:.3g}")


def run_stock(
    module: bytes, function: str, inputs: list[npt.NDArray[Any]]
) -> npt.NDArray[np.float32]:
    """Returns what the stock compiler's module computes, with memory of its own."""
    loaded = rt.load_vm_flatbuffer(module, driver="local-sync")
    return np.asarray(loaded[function](*inputs))


if __name__ == "__main__":
    main(sys.argv[1:])
