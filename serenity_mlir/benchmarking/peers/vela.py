# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Vela, the compiler for Arm's Ethos-U: the SRAM that its allocation of an int8 model takes.

Vela writes a summary as a table; the column ``sram_memory_used`` is in units of 1024 bytes. Inputs
and outputs lie in the same memory. Nothing is run: there are no outputs to compare.
"""

from __future__ import annotations

import csv
import subprocess
import sys

from . import onnx_to_tflite, protocol

#: The middle one of the Ethos-U55, with 128 multiply-accumulates per cycle.
_ACCELERATOR = "ethos-u55-128"


def measure(request: protocol.Request) -> protocol.Answer:
    """Converts the model and lets Vela allocate its memory."""
    model = request.directory / "model.tflite"
    model.write_bytes(onnx_to_tflite.convert(request))
    folder = request.directory / "vela"
    command = [sys.executable, "-m", "ethosu.vela", str(model)]
    command += [f"--accelerator-config={_ACCELERATOR}", f"--output-dir={folder}"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    summaries = sorted(folder.glob("*_summary_*.csv"))
    if process.returncode != 0 or not summaries:
        lines = (process.stderr or process.stdout).strip().splitlines()
        raise protocol.Unsupported(f"Vela: {lines[-1] if lines else 'no summary'}")
    with open(summaries[0], newline="") as stream:
        row = next(csv.DictReader(stream))
    bytes_used = round(float(row["sram_memory_used"]) * 1024)
    return protocol.Answer({"sram": protocol.Figure(None, bytes_used)}, [], [])


if __name__ == "__main__":
    protocol.serve(["ethos-u-vela", "onnx2tf", "tensorflow"], measure)
