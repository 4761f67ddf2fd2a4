# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The allocations of a compiled module, read from IREE's own allocator.

`measure` runs a module in a process of its own and splits the allocator's
peak into the classes of ``docs/memory_model.md``: persistent, external
(inputs and results) and transient.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir._processes import run_command
from serenity_mlir.errors import SerenityError

__all__ = [
    "Arena",
    "CallMemory",
    "Measurement",
    "MeasurementError",
    "MeasurementServer",
    "Storage",
    "measure",
]


@dataclass(frozen=True)
class Arena:
    """Stands for the buffer in which a function keeps its transient memory.

    Functions compiled with ``--iree-torch-externalize-transients``, or with an
    argument ``!hal.buffer {iree.abi.transients}``, take one from the caller.

    Attributes:
      bytes: its size; None for the size that the module asks for.
    """

    bytes: int | None = None


@dataclass(frozen=True)
class Storage:
    """Stands for the buffer that a function puts a result into (``iree.abi.output``).

    The caller has it before and after a call: it counts in no class of memory.

    Attributes:
      bytes: its size, that of the result.
    """

    bytes: int


Value = npt.NDArray[Any] | int | float | Arena | Storage

#: iree_hal_element_type_t of every dtype that numpy (or ml_dtypes) can hold.
#: The values are part of IREE's runtime ABI.
_ELEMENT_TYPES: dict[str, int] = {
    "bool": 0x13000008,
    "int8": 0x11000008,
    "uint8": 0x12000008,
    "int16": 0x11000010,
    "uint16": 0x12000010,
    "int32": 0x11000020,
    "uint32": 0x12000020,
    "int64": 0x11000040,
    "uint64": 0x12000040,
    "float16": 0x21000010,
    "float32": 0x21000020,
    "float64": 0x21000040,
    "bfloat16": 0x22000010,
    "complex64": 0x23000040,
    "complex128": 0x23000080,
}


class MeasurementError(SerenityError):
    """A module could not be loaded or run.

    `exit_code` is negative where a signal ended the measuring process.
    """


@dataclass(frozen=True)
class CallMemory:
    """Device memory of one call, in bytes.

    Attributes:
      before_bytes: live before the inputs were made: the module's own memory.
      input_bytes: allocated for the inputs, without an arena.
      result_bytes: freed when the results were dropped. A result that lives
        in an input's buffer or in a variable of the module counts 0.
      peak_bytes: largest sum alive at one time during the call, with all that
        was alive before it.
      retained_bytes: memory that the call left behind in the module (a variable
        that got its first buffer); may be negative.
      arena_bytes: the buffer that the caller provides for transient memory, 0
        if the function allocates by itself. It is part of the transient peak.
      changed_inputs: numbers of the arguments whose buffers held something else
        after the call.
    """

    before_bytes: int
    input_bytes: int
    result_bytes: int
    peak_bytes: int
    retained_bytes: int
    arena_bytes: int = 0
    changed_inputs: tuple[int, ...] = ()

    @property
    def external_bytes(self) -> int:
        """Inputs and results together."""
        return self.input_bytes + self.result_bytes

    @property
    def transient_peak_bytes(self) -> int:
        """The rest of the peak: the memory that only the call itself used.

        A result is allocated together with the slab of its region, and a
        variable's new value too, so both count as alive at the peak.
        """
        # Memory that the call frees in the end (a variable's larger old buffer) was alive too.
        kept = max(self.retained_bytes, 0)
        return self.peak_bytes - self.before_bytes - self.external_bytes - kept


@dataclass(frozen=True)
class Measurement:
    """The answer of `measure`; all sizes in bytes of device memory.

    Attributes:
      function: the function that was called.
      functions: all functions that the module offers.
      persistent_bytes: alive after load, before any input was made.
      load_peak_bytes: peak of the module's initializers.
      peak_bytes: `device_bytes_peak` of the whole run, as the runtime counts
        it. Not smaller than `load_peak_bytes`.
      host_peak_bytes: the same for host-local memory.
      calls: memory of every call.
      call_outputs: results of every call; they differ where there is state.
    """

    function: str
    functions: tuple[str, ...]
    persistent_bytes: int
    load_peak_bytes: int
    peak_bytes: int
    host_peak_bytes: int
    calls: tuple[CallMemory, ...]
    call_outputs: tuple[tuple[Value, ...], ...]

    @property
    def outputs(self) -> tuple[Value, ...]:
        """The results of the first call."""
        return self.call_outputs[0]

    @property
    def call(self) -> CallMemory:
        """The first call."""
        return self.calls[0]

    @property
    def external_bytes(self) -> int:
        """Inputs and results of the first call."""
        return self.call.external_bytes

    @property
    def transient_peak_bytes(self) -> int:
        """Transient peak of the first call."""
        return self.call.transient_peak_bytes


def _storage(dtype: np.dtype[Any]) -> str:
    """Return a plain numpy dtype of the same width, for raw files."""
    if dtype.name == "bool":
        return "uint8"
    return f"uint{8 * dtype.itemsize}" if dtype.kind not in "iufc" else dtype.str


def _numpy_dtype(element_type: int) -> np.dtype[Any]:
    for name, value in _ELEMENT_TYPES.items():
        # A signless integer (0x10......) comes back as signed.
        signless = value & 0x0F000000 == 0x01000000 and element_type == value - 0x01000000
        if element_type == value or signless:
            if name == "bfloat16":
                import ml_dtypes

                narrow: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
                return narrow
            return np.dtype(name)
    raise MeasurementError(f"results of element type {element_type:#x} are not supported")


def _write_inputs(directory: Path, inputs: Sequence[Value]) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = []
    for index, value in enumerate(inputs):
        if isinstance(value, Arena):
            requests.append({"kind": "arena", "bytes": value.bytes})
            continue
        if isinstance(value, Storage):
            requests.append({"kind": "storage", "bytes": value.bytes})
            continue
        if isinstance(value, bool | int | np.integer | np.bool_) and np.ndim(value) == 0:
            requests.append({"kind": "int", "value": int(value)})
            continue
        if isinstance(value, float | np.floating):
            requests.append({"kind": "float", "value": float(value)})
            continue
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        element_type = _ELEMENT_TYPES.get(array.dtype.name)
        if element_type is None:
            raise MeasurementError(
                f"input {index}: dtype {array.dtype} is not supported; "
                f"use one of {', '.join(_ELEMENT_TYPES)}"
            )
        array.tofile(directory / f"input{index}.bin")
        requests.append(
            {
                "kind": "tensor",
                "shape": list(array.shape),
                "storage": _storage(array.dtype),
                "element_type": element_type,
            }
        )
    return requests


def _read_results(directory: Path, call: int, answers: list[dict[str, Any]]) -> tuple[Value, ...]:
    outputs: list[Value] = []
    for index, answer in enumerate(answers):
        if answer["kind"] == "scalar":
            outputs.append(answer["value"])
        elif answer["kind"] == "tensor":
            raw = (directory / f"result{call}_{index}.bin").read_bytes()
            dtype = _numpy_dtype(answer["element_type"])
            outputs.append(np.frombuffer(raw, dtype).reshape(answer["shape"]))
        else:
            raise MeasurementError(
                f"result {index} is a {answer['type']}, neither a tensor nor a number"
            )
    return tuple(outputs)


def measure(
    vmfb: bytes | str | os.PathLike[str],
    inputs: Sequence[Value],
    function: str | None = None,
    driver: str = "local-sync",
    *,
    calls: int = 1,
    timeout: float | None = None,
    server: MeasurementServer | None = None,
) -> Measurement:
    """Run a module in a process of its own and read the allocator's statistics.

    The statistics run on within a process, also with a device of one's own, so
    no two measurements share one.

    Args:
      vmfb: the module, or a path to it.
      inputs: arrays become device buffers of exactly their size; Python
        numbers are passed as they are; an `Arena` becomes a buffer of the size
        that the module asks for, or of its own; a `Storage` one for a result.
      function: name of an exported function; may be left out where the module
        has one.
      driver: the runtime's HAL driver. The memory model of this package was
        established on `local-sync`; others may allocate more.
      calls: number of calls, each with buffers of its own; more than one
        shows the effect of state.
      timeout: seconds after which the process is ended; None waits.
      server: starts the process, where many measurements are made.

    Returns:
      Outputs and bytes by class of memory.

    Raises:
      MeasurementError: the module does not load, the function does not exist,
        the call failed or took longer than `timeout`.
      ValueError: `calls` is less than 1.
    """
    if calls < 1:
        raise ValueError(f"calls must be at least 1, got {calls}")
    with tempfile.TemporaryDirectory(prefix="serenity-measure-") as name:
        directory = Path(name)
        if isinstance(vmfb, bytes | bytearray | memoryview):
            path = directory / "module.vmfb"
            path.write_bytes(vmfb)
        else:
            path = Path(vmfb).resolve()
            if not path.is_file():
                raise MeasurementError(f"no such module: {path}")
        request = {
            "vmfb": str(path),
            "function": function,
            "driver": driver,
            "calls": calls,
            "inputs": _write_inputs(directory, inputs),
        }
        (directory / "request.json").write_text(json.dumps(request), "utf-8")

        start = _start_process if server is None else server.run
        code, said = start(directory, timeout)
        return _read_answer(directory, code, said)


def _worker_environment() -> dict[str, str]:
    # The child must find this very package, whatever the parent did to its
    # path; and no variable of the caller may move the compiler or tools.
    environment = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    search_path = [root, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, search_path))
    return environment


def _start_process(directory: Path, timeout: float | None) -> tuple[int, str]:
    """Serve a request in a new process; return its exit code and standard error."""
    command = [sys.executable, "-m", "serenity_mlir.measuring.worker", str(directory)]
    try:
        process = run_command(command, env=_worker_environment(), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise _too_long(timeout) from None
    return process.returncode, process.stderr.decode("utf-8", "replace")


def _too_long(timeout: float | None) -> MeasurementError:
    return MeasurementError(f"the module ran longer than {timeout} seconds")


class MeasurementServer:
    """Processes for many measurements without the time that Python and numpy take to start.

    One process imports the modules of a measurement and makes no device; it is forked for every
    measurement, so that each has a process, and statistics, of its own. Use it as a context
    manager and hand it to `measure`. Not for several threads at a time.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> MeasurementServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next measurement starts another."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._process = None

    def run(self, directory: Path, timeout: float | None) -> tuple[int, str]:
        """Serve the request in `directory`; return the exit code and standard error."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serenity_mlir.measuring.worker", "--serve"],
                env=_worker_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(directory), timeout]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._process = None
            raise MeasurementError(f"the server of measurements ended with code {code}")
        code = int(line)
        if code == -signal.SIGALRM:
            raise _too_long(timeout)
        said = directory / "stderr.txt"
        return code, said.read_text("utf-8", "replace") if said.exists() else ""


def _read_answer(directory: Path, code: int, said: str) -> Measurement:
    answer_path = directory / "answer.json"
    if code != 0 or not answer_path.exists():
        raise MeasurementError(
            f"the measuring process ended with code {code}: {said.strip() or 'no message'}",
            stderr=said,
            exit_code=code or 1,
        )
    answer = json.loads(answer_path.read_text("utf-8"))
    if "error" in answer:
        raise MeasurementError(answer["error"], stderr=said)

    return Measurement(
        function=answer["function"],
        functions=tuple(answer["functions"]),
        persistent_bytes=answer["loaded"]["live"],
        load_peak_bytes=answer["loaded"]["peak"],
        peak_bytes=max([answer["loaded"]["peak"]] + [call["peak"] for call in answer["calls"]]),
        host_peak_bytes=answer["finished"]["host_peak"],
        calls=tuple(
            CallMemory(
                before_bytes=call["before"],
                input_bytes=call["with_inputs"] - call["before"] - call["arena"],
                result_bytes=call["with_results"] - call["released"],
                peak_bytes=call["peak"],
                retained_bytes=call["released"] - call["with_inputs"],
                arena_bytes=call["arena"],
                changed_inputs=tuple(call["changed_inputs"]),
            )
            for call in answer["calls"]
        ),
        call_outputs=tuple(
            _read_results(directory, index, call["results"])
            for index, call in enumerate(answer["calls"])
        ),
    )
