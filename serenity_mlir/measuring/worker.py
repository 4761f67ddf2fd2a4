# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Run one module once and write down the counts of the allocator.

The child process of `serenity_mlir.measuring.measurement`: the allocator's statistics
run on within a process, even with a device of one's own, so every measurement
gets a process. Usage: ``python -m serenity_mlir.measuring.worker DIRECTORY``,
where the directory holds ``request.json`` and one raw file per tensor; the
answer is ``answer.json`` and one raw file per result. Raw bytes and IREE's
element types, because numpy files know no bfloat16.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import iree.runtime as rt  # type: ignore[import-untyped, unused-ignore]
import numpy as np

_DEVICE_MEMORY = int(rt.MemoryType.DEVICE_LOCAL)
_DEVICE_USAGE = int(rt.BufferUsage.DEFAULT) | int(rt.BufferUsage.MAPPING)


def _snapshot(device: Any) -> dict[str, int]:
    """Return the running totals of the device's allocator, in bytes."""
    statistics = device.allocator.statistics
    allocated = int(statistics["device_bytes_allocated"])
    freed = int(statistics["device_bytes_freed"])
    host_allocated = int(statistics["host_bytes_allocated"])
    host_freed = int(statistics["host_bytes_freed"])
    return {
        "peak": int(statistics["device_bytes_peak"]),
        "live": allocated - freed,
        "allocated": allocated,
        "host_peak": int(statistics["host_bytes_peak"]),
        "host_live": host_allocated - host_freed,
    }


def _allocate(device: Any, size: int) -> Any:
    return device.allocator.allocate_buffer(
        memory_type=_DEVICE_MEMORY, allowed_usage=_DEVICE_USAGE, allocation_size=size
    )


def _raise_live_to_peak(device: Any) -> tuple[Any, int]:
    """Allocate a filler such that the next growth shows in the peak.

    The peak is a maximum since the process began and cannot be reset. Where an
    earlier phase peaked above the bytes that are live now, the next phase would
    hide below it; with the filler, peak - filler is the peak of the next phase.
    """
    now = _snapshot(device)
    missing = now["peak"] - now["live"]
    if missing <= 0:
        return None, 0
    filler = _allocate(device, missing)
    return filler, _snapshot(device)["live"] - now["live"]


def _arena_query(module: Any, function: str) -> tuple[Any, int | None]:
    """Return the function that tells the size of the arena, and the size if constant.

    It is named in the reflection of the function that does the work: of
    NAME$async where that exists.
    """
    names = module.function_names
    for name in (function, f"{function}$async"):
        if name not in names:
            continue
        reflection = module.lookup_function(name).reflection
        query = reflection.get("iree.abi.transients.size")
        if query in names:
            constant = reflection.get("iree.abi.transients.size.constant")
            return module.lookup_function(query), None if constant is None else int(constant)
    return None, None


def _push_all(arguments: Any, values: list[Any]) -> None:
    for value in values:
        if isinstance(value, int):
            arguments.push_int(value)
        elif isinstance(value, float):
            arguments.push_float(value)
        else:
            arguments.push_ref(value)


def _ask_arena_size(context: Any, module: Any, function: str, inputs: list[Any]) -> int:
    """Ask the module how large the arena must be for these inputs, in bytes.

    Raises:
      ValueError: the module has no answer, or two.
    """
    query, constant = _arena_query(module, function)
    if query is None:
        raise ValueError(
            f"{function} was given an arena, but the module does not tell its size "
            "(iree.abi.transients.size)"
        )
    # It takes the arguments of the function, and reads their shapes at most.
    arguments = rt.VmVariantList(len(inputs) + 2)
    _push_all(arguments, inputs)
    if f"{function}$async" in module.function_names:
        for _ in range(2):
            arguments.push_ref(rt.HalFence(0))
    results = rt.VmVariantList(1)
    context.invoke(query, arguments, results)
    size = int(results.get_variant(0))
    if constant not in (None, size):
        raise ValueError(f"the module's reflection says {constant} bytes, its function {size}")
    return size


def _make_inputs(
    device: Any, directory: Path, requests: list[dict[str, Any]], storages: dict[int, Any]
) -> list[Any]:
    """Return the arguments; for an arena an empty buffer."""
    inputs: list[Any] = []
    for index, request in enumerate(requests):
        if request["kind"] in ("int", "float"):
            inputs.append(request["value"])
        elif request["kind"] == "arena":
            inputs.append(_allocate(device, 0))
        elif request["kind"] == "storage":
            inputs.append(storages[index])
        else:
            raw = np.fromfile(directory / f"input{index}.bin", dtype=request["storage"])
            view = device.allocator.allocate_buffer_copy(
                memory_type=_DEVICE_MEMORY,
                allowed_usage=_DEVICE_USAGE,
                device=device,
                buffer=raw.reshape(request["shape"]),
                element_type=request["element_type"],
            )
            inputs.append(view)
    return inputs


def _changed_inputs(
    directory: Path, requests: list[dict[str, Any]], inputs: list[Any]
) -> list[int]:
    """Return the numbers of the inputs whose contents have changed."""
    changed = []
    for index, (request, view) in enumerate(zip(requests, inputs, strict=True)):
        if request["kind"] in ("int", "float", "arena", "storage"):
            continue
        given = np.fromfile(directory / f"input{index}.bin", dtype=np.uint8)
        if given.size:
            held = view.map().asarray((given.size,), np.dtype(np.uint8))
            if not np.array_equal(held, given):
                changed.append(index)
    return changed


def _write_results(directory: Path, call: int, results: Any) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    for index in range(results.size):
        value = results.get_variant(index)
        if isinstance(value, rt.VmRef) and value.isinstance(rt.HalBufferView):
            view = value.deref(rt.HalBufferView)
            size = int(view.byte_length)
            raw = np.zeros(0, np.uint8)
            if size:
                raw = view.map().asarray((size,), np.dtype(np.uint8))
            raw.tofile(directory / f"result{call}_{index}.bin")
            answers.append(
                {
                    "kind": "tensor",
                    "shape": [int(extent) for extent in view.shape],
                    "element_type": int(view.element_type),
                }
            )
        elif isinstance(value, bool | int | float):
            answers.append({"kind": "scalar", "value": value})
        else:
            answers.append({"kind": "other", "type": type(value).__name__})
    return answers


def _run(directory: Path) -> dict[str, Any]:
    request = json.loads((directory / "request.json").read_text("utf-8"))
    answer: dict[str, Any] = {}

    device = rt.get_device(request["driver"], cache=False)
    if not device.allocator.has_statistics:
        return {"error": "this iree-base-runtime was built without allocator statistics"}
    instance = rt.VmInstance()
    answer["created"] = _snapshot(device)

    # One hal module and one context per measurement; the module's initializer
    # runs here, and its peak is the difference to `created`.
    hal = rt.create_hal_module(instance, device)
    module = rt.VmModule.mmap(instance, request["vmfb"])
    context = rt.VmContext(instance, [hal, module])
    answer["loaded"] = _snapshot(device)

    exported = [name for name in module.function_names if not name.startswith("__")]
    # NAME$async takes fences; a caller uses its wrapper NAME. Those that
    # tell the size of an arena are not entry points of the model.
    queries = {
        module.lookup_function(name).reflection.get("iree.abi.transients.size") for name in exported
    }
    names = [name for name in exported if not name.endswith("$async") and name not in queries]
    answer["functions"] = names
    wanted = request["function"]
    if wanted is None:
        if len(names) != 1:
            return {"error": f"name one of the module's functions: {', '.join(names) or 'none'}"}
        wanted = names[0]
    if wanted not in exported:
        return {"error": f"no function {wanted!r}; the module exports {', '.join(names)}"}
    function = module.lookup_function(wanted)
    answer["function"] = wanted

    # The caller's storage for results is there before and after a call, and no part of it.
    storages = {
        index: _allocate(device, item["bytes"])
        for index, item in enumerate(request["inputs"])
        if item["kind"] == "storage"
    }
    provided = _snapshot(device)["live"] - answer["loaded"]["live"]

    answer["calls"] = []
    for call in range(request["calls"]):
        before_inputs = _snapshot(device)
        inputs = _make_inputs(device, directory, request["inputs"], storages)
        without_arena = _snapshot(device)
        for index, item in enumerate(request["inputs"]):
            if item["kind"] == "arena":
                size = item["bytes"]
                if size is None:
                    size = _ask_arena_size(context, module, wanted, inputs)
                inputs[index] = _allocate(device, size)
        arguments = rt.VmVariantList(len(inputs))
        _push_all(arguments, inputs)
        with_inputs = _snapshot(device)
        filler, filler_bytes = _raise_live_to_peak(device)
        results = rt.VmVariantList(1)
        context.invoke(function, arguments, results)
        called = _snapshot(device)
        del filler
        answers = _write_results(directory, call, results)
        # In this order: memory that is freed with the results is theirs, and a
        # result that is an argument's own buffer counts as input.
        with_results = _snapshot(device)
        del results
        released = _snapshot(device)
        changed = _changed_inputs(directory, request["inputs"], inputs)
        del arguments, inputs
        answer["calls"].append(
            {
                "before": before_inputs["live"] - provided,
                "with_inputs": with_inputs["live"] - provided,
                "arena": with_inputs["live"] - without_arena["live"],
                "peak": called["peak"] - filler_bytes - provided,
                "with_results": with_results["live"] - provided,
                "released": released["live"] - provided,
                "after": _snapshot(device)["live"] - provided,
                "results": answers,
                "changed_inputs": changed,
            }
        )
    answer["finished"] = _snapshot(device)
    return answer


def _serve_one(directory: Path) -> None:
    try:
        answer = _run(directory)
    except Exception as error:  # the parent turns it into a MeasurementError
        answer = {"error": f"{type(error).__name__}: {error}"}
    (directory / "answer.json").write_text(json.dumps(answer), "utf-8")


def _serve() -> int:
    """Fork for every request on standard input; print the outcome of each child.

    A request is a line of JSON, [directory, seconds or null]. No device is made here, so that every
    child has an allocator, and statistics, of its own.
    """
    for line in sys.stdin:
        name, timeout = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with open(Path(name) / "stderr.txt", "wb") as errors:
                    os.dup2(errors.fileno(), 2)
                os.dup2(2, 1)  # the answers' pipe is not for a module's output
                if timeout is not None:
                    signal.setitimer(signal.ITIMER_REAL, timeout)
                _serve_one(Path(name))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


def main() -> int:
    """Serve the request in the directory named by the first argument, or many (``--serve``)."""
    if sys.argv[1] == "--serve":
        return _serve()
    _serve_one(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
