# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Other systems, asked about the same ONNX file.

Each runs as a worker of its own (`peers`), in an interpreter that has its packages: this one, or
another where the packages of several systems exclude each other. A system that is not installed is
skipped with the reason. The meaning of each figure, and how it is read, stands in `PEERS` and in
``docs/peers.md``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.errors import SerenityError

__all__ = [
    "PEERS",
    "Figure",
    "Peer",
    "PeerMissingError",
    "UnsupportedModelError",
    "peer_versions",
    "run_peer",
    "worker_digest",
]

Array = npt.NDArray[Any]

_WORKERS = Path(__file__).resolve().parent

#: Appends the folder of the workers to the interpreter's path, so that nothing there can hide a
#: package of the peer, and starts one.
_START = (
    "import runpy, sys; folder, name = sys.argv[1:3]; del sys.argv[1:3]; sys.path.append(folder); "
    "runpy.run_module(f'peers.{name}', run_name='__main__', alter_sys=True)"
)

_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


class PeerMissingError(SerenityError):
    """A peer's packages are not installed."""


class UnsupportedModelError(SerenityError):
    """A peer, or its worker, cannot take a model, however often it is asked."""


@dataclass(frozen=True)
class Figure:
    """One reading of a peer.

    Attributes:
      title: as it stands in tables.
      settings: names of the worker's figures that it is the least of.
      kind: slab, or which sum.
      meaning: the bytes it counts and how it is read.
    """

    title: str
    settings: tuple[str, ...]
    kind: str
    meaning: str


@dataclass(frozen=True)
class Peer:
    """A system to compare with.

    Attributes:
      name: on the command line, and of the extra ``peer-NAME`` that installs it.
      title: as it stands in texts.
      module: of the worker.
      packages: distributions without which it cannot run.
      figures: those that are reported.
      storage: elements of the activations: ``float32``, as in the ONNX file, or ``int8``, for which
        the worker has the model quantized.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    figures: tuple[Figure, ...]
    storage: str = "float32"


_ORT_ALL = ("basic", "extended", "all", "basic, no reuse", "extended, no reuse", "all, no reuse")

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "litert",
            "LiteRT",
            "litert",
            ("ai-edge-litert", "onnx2tf", "tensorflow", "memray"),
            (
                Figure(
                    "LiteRT, XNNPACK",
                    ("xnnpack",),
                    "slab",
                    "LiteRT's default on CPUs: the workspace that XNNPACK allocates (read with "
                    "memray below xnn_plan_memory), and LiteRT's own arena between parts of the "
                    "graph that XNNPACK leaves out. Inputs and outputs lie outside of it.",
                ),
                Figure(
                    "LiteRT, arena",
                    ("reference arena",),
                    "slab",
                    "Reference kernels, no delegate: the extent of the addresses of all tensors "
                    "in the arena. Inputs and outputs are in it, and the memory of an input is "
                    "not used again; only the figure with them is read.",
                ),
            ),
        ),
        Peer(
            "tflite-micro",
            "TensorFlow Lite Micro",
            "tflite_micro_runtime",
            ("tflite-micro", "onnx2tf", "tensorflow"),
            (
                Figure(
                    "TFLM, head",
                    ("head",),
                    "slab",
                    "Recording allocator: the part of the arena that the greedy planner lays out, "
                    "with inputs, outputs and scratch buffers of kernels. The memory of an input "
                    "is used again; only the figure with them is read.",
                ),
                Figure(
                    "TFLM, arena",
                    ("arena",),
                    "slab and the interpreter's own data",
                    "The same and the tail, where the interpreter keeps its own data for good: "
                    "the smallest array that the model runs in.",
                ),
            ),
        ),
        Peer(
            "tflite-micro-int8",
            "TensorFlow Lite Micro, int8",
            "tflite_micro_runtime",
            ("tflite-micro", "onnx2tf", "tensorflow"),
            (
                Figure(
                    "TFLM, int8, head",
                    ("head",),
                    "slab",
                    "The head of a model that TensorFlow's converter stores in int8, inputs and "
                    "outputs too, with ranges read from random inputs of seed 0.",
                ),
                Figure(
                    "TFLM, int8, arena",
                    ("arena",),
                    "slab and the interpreter's own data",
                    "The same and the tail.",
                ),
            ),
            "int8",
        ),
        Peer(
            "vela",
            "Vela, Ethos-U55",
            "vela",
            ("ethos-u-vela", "onnx2tf", "tensorflow"),
            (
                Figure(
                    "Vela, SRAM",
                    ("sram",),
                    "slab",
                    "The same file, compiled for an Ethos-U55 of 128 multiply-accumulates per "
                    "cycle: sram_memory_used of Vela's summary, which has inputs and outputs in "
                    "it and is not run.",
                ),
            ),
            "int8",
        ),
        Peer(
            "executorch",
            "ExecuTorch",
            "executorch_runtime",
            ("executorch", "torch", "onnx2torch", "memray"),
            (
                Figure(
                    "ExecuTorch",
                    ("planned",),
                    "slab",
                    "Portable kernels, the default memory planner: bytes of the planned arenas. "
                    "With inputs and outputs in the plan, the planner's default, which uses the "
                    "memory of an input again; without, both are the caller's.",
                ),
                Figure(
                    "ExecuTorch, XNNPACK",
                    ("xnnpack",),
                    "slab",
                    "Parts of the graph delegated to XNNPACK: the planned arenas and the workspace "
                    "that XNNPACK allocates (read with memray below xnn_plan_memory), which the "
                    "plan does not show.",
                ),
            ),
        ),
        Peer(
            "xla",
            "XLA (JAX)",
            "xla",
            ("jax", "jaxlib", "jaxonnxruntime"),
            (
                Figure(
                    "XLA",
                    ("temp",),
                    "slab",
                    "memory_analysis().temp_size_in_bytes of the executable for the CPU: what "
                    "buffer assignment sets aside beside arguments and results.",
                ),
            ),
        ),
        Peer(
            "tvm",
            "Apache TVM (Relax)",
            "tvm_relax",
            ("apache-tvm",),
            (
                Figure(
                    "TVM",
                    ("default", "zero"),
                    "sum of storages, alive as long as the virtual machine",
                    "Sum of the storages after StaticPlanBlockMemory, the lesser of TVM's default "
                    "pipeline and of the same after the graph optimisations of its pipeline "
                    "'zero'. Outputs are allocated apart.",
                ),
            ),
        ),
        Peer(
            "onnxruntime",
            "ONNX Runtime",
            "onnx_runtime",
            ("onnxruntime", "memray"),
            (
                Figure(
                    "ORT, default",
                    ("all",),
                    "live sum of single allocations",
                    "CPU provider, arena and memory pattern off, so that each allocation is what "
                    "it needs: the exact peak of one run, tensors and workspaces, read with "
                    "memray. Default graph optimisations (all) and reuse of buffers.",
                ),
                Figure(
                    "ORT, least",
                    _ORT_ALL,
                    "live sum of single allocations",
                    "The same, the least of six settings: optimisations basic, extended and all, "
                    "each with and without the planner's reuse of buffers (enable_mem_reuse), "
                    "which holds some buffers longer than their values live.",
                ),
            ),
        ),
    )
}


def _environment() -> dict[str, str]:
    """Returns the environment of a peer's interpreter: nothing that changes its imports."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "IREE_TOOL_PATH")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**environment, "JAX_PLATFORMS": "cpu", "PYTHONNOUSERSITE": "1"}


def peer_versions(peer: Peer, python: str) -> dict[str, str]:
    """Returns the versions of a peer's packages in an interpreter.

    Raises:
      PeerMissingError: some are not installed, or the interpreter does not run.
    """
    try:
        process = subprocess.run(
            [python, "-c", _VERSIONS, *peer.packages],
            capture_output=True,
            text=True,
            env=_environment(),
            check=True,
        )
        found: dict[str, str | None] = json.loads(process.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise PeerMissingError(f"{peer.title}: {python} does not run: {error}") from None
    missing = [name for name, version in found.items() if version is None]
    if missing:
        raise PeerMissingError(
            f"{peer.title}: {', '.join(missing)} not installed for {python}; "
            f"pip install 'serenity-mlir[peer-{peer.name}]', or name an interpreter that has "
            f"them: --peer-python {peer.name}=PATH"
        )
    return {name: version for name, version in found.items() if version is not None}


def worker_digest(peer: Peer) -> str:
    """Returns a digest of a peer's worker, which changes with the way its memory is read."""
    source = _WORKERS / "peers" / f"{peer.module}.py"
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[-400:] or "no message"


def _first_line(text: str) -> str:
    """Returns how a message begins; converters append whole modules."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return textwrap.shorten(lines[0], 200, placeholder=" ...") if lines else "no message"


def run_peer(
    peer: Peer,
    python: str,
    model: Path,
    inputs: Sequence[Array],
    directory: Path,
    *,
    timeout: float | None = None,
) -> tuple[Mapping[str, Any], list[Array]]:
    """Measures one ONNX model.

    Args:
      peer: out of `PEERS`.
      python: an interpreter with the peer's packages.
      model: the ONNX file.
      inputs: an array per input of the graph, in its order.
      directory: an empty one, for the worker.
      timeout: seconds after which it is ended.

    Returns:
      The worker's answer (``figures``, ``versions``, ``notes``), and its outputs.

    Raises:
      UnsupportedModelError: the peer cannot take the model.
      SerenityError: it failed, or took too long.
    """
    names = [f"input{index}.npy" for index in range(len(inputs))]
    for name, array in zip(names, inputs, strict=True):
        np.save(directory / name, array)
    request = {"model": str(model.resolve()), "inputs": names, "storage": peer.storage}
    (directory / "request.json").write_text(json.dumps(request), "utf-8")
    command = [python, "-c", _START, str(_WORKERS), peer.module, str(directory.resolve())]
    try:
        # Its own folder, because some converters leave files where they run.
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            cwd=directory,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SerenityError(f"{peer.title} took longer than {timeout:g} seconds") from None
    answer_path = directory / "answer.json"
    if not answer_path.exists():
        told = _last_lines(process.stderr)
        raise SerenityError(f"{peer.title} ended with code {process.returncode}: {told}")
    answer = json.loads(answer_path.read_text("utf-8"))
    if "error" in answer:
        raise SerenityError(f"{peer.title}: {_first_line(answer['error'])}")
    if "unsupported" in answer:
        raise UnsupportedModelError(f"{peer.title}: {_first_line(answer['unsupported'])}")
    outputs = [np.load(directory / name) for name in answer.pop("outputs")]
    return answer, outputs


def default_python(name: str, given: Mapping[str, str]) -> str:
    """Returns the interpreter for a peer: the one given for it, the one for all, or this one.

    Raises:
      SerenityError: there is no such program (exit code 2).
    """
    python = given.get(name) or given.get("") or sys.executable
    found = shutil.which(python)
    if found is None:
        raise SerenityError(f"--peer-python {name}={python}: no such program", exit_code=2)
    return found
