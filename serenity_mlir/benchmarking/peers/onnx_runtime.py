# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ONNX Runtime, CPU provider: the exact peak of its allocations.

Arena and memory pattern are off, so that every tensor and workspace is one aligned allocation of
the size it needs. memray records them during one run; the peak is the largest sum alive together.
"""

from __future__ import annotations

import itertools

import memray
import onnxruntime

from . import protocol

#: Graph optimisation levels; ONNX Runtime's default is "all", which may go to blocked layouts.
LEVELS = {
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
ALIGNED = ("POSIX_MEMALIGN", "MEMALIGN", "ALIGNED_ALLOC")


def _peaks(path: str) -> tuple[int, int]:
    """Returns the peak of all aligned allocations, and of those freed again, in bytes."""
    lives: list[tuple[int, int, int | None]] = []  # Birth, bytes, death.
    alive: dict[int, tuple[int, int]] = {}
    for time, record in enumerate(memray.FileReader(path).get_allocation_records()):
        if memray.AllocatorType(record.allocator).name in ALIGNED:
            alive[record.address] = (time, record.size)
        elif record.address in alive:
            birth, size = alive.pop(record.address)
            lives.append((birth, size, time))
    lives += [(birth, size, None) for birth, size in alive.values()]

    def peak(chosen: list[tuple[int, int, int | None]]) -> int:
        events = [(birth, size) for birth, size, _ in chosen]
        events += [(death, -size) for _, size, death in chosen if death is not None]
        sizes = (size for _, size in sorted(events))
        return max(itertools.accumulate(sizes), default=0)

    return peak(lives), peak([life for life in lives if life[2] is not None])


def measure(request: protocol.Request) -> protocol.Answer:
    """Runs the model once per setting."""
    figures: dict[str, protocol.Figure] = {}
    outputs: list[protocol.Array] = []
    for (level, constant), reuse in itertools.product(LEVELS.items(), (True, False)):
        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.enable_mem_reuse = reuse
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, constant)
        session = onnxruntime.InferenceSession(
            str(request.model), options, providers=["CPUExecutionProvider"]
        )
        names = [value.name for value in session.get_inputs()]
        feeds = dict(zip(names, request.inputs, strict=True))
        name = level if reuse else f"{level}, no reuse"
        record = str(request.directory / f"{name.replace(', ', '-').replace(' ', '-')}.memray")
        # The outputs stay alive until the records are complete.
        with memray.Tracker(record):
            outputs = session.run(None, feeds)
        with_outputs, without = _peaks(record)
        figures[name] = protocol.Figure(
            without_io=without, with_io=with_outputs + protocol.total_bytes(request.inputs)
        )
    return protocol.Answer(figures, outputs)


if __name__ == "__main__":
    protocol.serve(["onnxruntime", "memray"], measure)
