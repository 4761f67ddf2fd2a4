# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The protocol of all workers: requests and answers.

A worker is started as ``python -m peers.NAME DIRECTORY`` by an interpreter that has the peer's
packages and need not have serenity_mlir or IREE, so nothing here imports more than numpy. The
directory holds ``request.json`` with the file names of the model and of one array per input, and
receives ``answer.json`` and one array per output.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Answer", "Array", "Figure", "Request", "Unsupported", "serve"]

Array = npt.NDArray[Any]


class Unsupported(Exception):
    """The peer, or its worker, cannot take this model."""


@dataclass(frozen=True)
class Request:
    """One model to measure.

    Attributes:
      model: path of the ONNX file.
      inputs: one array per input of the graph, in its order.
      directory: where the worker may write.
      storage: elements of the activations: ``float32``, as in the file, or ``int8``, for which the
        worker has the model quantized.
    """

    model: Path
    inputs: Sequence[Array]
    directory: Path
    storage: str


@dataclass(frozen=True)
class Figure:
    """Bytes of activations that a peer needs for one run, read in one way.

    Attributes:
      without_io: bytes without the graph's inputs and outputs; None where the peer gives them
        memory that it uses again for other values, so that they cannot be told apart.
      with_io: bytes with all inputs and outputs.
    """

    without_io: int | None
    with_io: int


@dataclass(frozen=True)
class Answer:
    """The findings of a worker.

    Attributes:
      figures: by the name of the setting.
      outputs: results for the inputs of the request, shapes as in the ONNX graph.
      notes: sentences on how this model was run, if there is anything to say.
    """

    figures: dict[str, Figure]
    outputs: Sequence[Array]
    notes: list[str] = field(default_factory=list)


def total_bytes(arrays: Sequence[Array]) -> int:
    """Returns the bytes of all arrays together."""
    return sum(array.nbytes for array in arrays)


def serve(packages: Sequence[str], measure: Callable[[Request], Answer]) -> None:
    """Serves the request in the directory that the first argument names.

    Args:
      packages: distributions whose versions belong to the answer.
      measure: the worker's own part. Its exception becomes the answer's ``unsupported`` if it is
        `Unsupported` or NotImplementedError, otherwise its ``error``.
    """
    directory = Path(sys.argv[1])
    request = json.loads((directory / "request.json").read_text("utf-8"))
    versions = {name: importlib.metadata.version(name) for name in packages}
    answer: dict[str, Any] = {"versions": versions}
    try:
        arrays = [np.load(directory / name) for name in request["inputs"]]
        found = measure(Request(Path(request["model"]), arrays, directory, request["storage"]))
        answer["figures"] = {
            name: {"without_io": figure.without_io, "with_io": figure.with_io}
            for name, figure in found.figures.items()
        }
        answer["outputs"] = []
        for index, array in enumerate(found.outputs):
            name = f"output{index}.npy"
            np.save(directory / name, np.asarray(array))
            answer["outputs"].append(name)
        answer["notes"] = found.notes
    except (Unsupported, NotImplementedError) as error:  # It would be so again.
        answer["unsupported"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    except Exception as error:  # The parent makes a row of it.
        answer["error"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    (directory / "answer.json").write_text(json.dumps(answer), "utf-8")
