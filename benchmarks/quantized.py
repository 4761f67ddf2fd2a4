# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transient memory of quantized networks, as a table in Markdown.

    python benchmarks/quantized.py [--storage int8|uint8] [--per-tensor] [--no-float] [NETWORK...]

Every network is quantized by ONNX Runtime (`pip install 'serenity-mlir[quantize]'`) from seed 0 and
compiled to the stream phase for a generic CPU. Columns, in bytes of the slab of a call (inputs and
results not counted): IREE's default, ``--serenity-schedule``, and ``--serenity-schedule`` of the
same network in float32. A row is printed as soon as it is known, the geometric means at the end.
Exits with 1 if a network needs more than stock or does not compile. Nothing is run:
`serenity check` compares results.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from history import FLAGS, STATE_LIMIT, TIME_LIMIT, facts

from serenity_mlir import networks
from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.errors import SerenityError
from serenity_mlir.networks.quantizing import Storage, quantize
from serenity_mlir.reports.reporting import load_report

#: Of every family, those that compile within minutes.
NETWORKS = (
    "swiftnet_a",
    "swiftnet_b",
    "swiftnet_c",
    "ds_cnn",
    "resnet8",
    "mobilenet_v1_025_96",
    "mobilenet_v2_035_144",
    "inception_v3_a",
    "inception_v3_e",
    "fpn_resnet18_16",
    "mobilenet_v3_small",
    "randwire_c100_b",
    "randwire_ws_16",
    "darts_normal",
    "nasnet_a_cells",
)


def slabs(model: onnx.ModelProto) -> tuple[int, int]:
    """Returns the bytes of the slab by the stock compiler and with serenity."""
    with tempfile.TemporaryDirectory(prefix="serenity-quantized-") as name:
        folder = Path(name)
        path = folder / "network.onnx"
        onnx.save(model, str(path))
        report = folder / "report.json"
        options = SerenityOptions(report=report, state_limit=STATE_LIMIT, time_limit=TIME_LIMIT)
        compile_file(
            str(load_model(str(path), folder)),
            output_file=str(folder / "out.mlir"),
            extra_args=FLAGS,
            serenity=options,
        )
        line = facts(load_report(report), "default")
    return line["stock_bytes"], line["default_bytes"]


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(names: Sequence[str], storage: Storage, per_channel: bool, with_float: bool) -> int:
    """Prints the table; returns 1 if a network needs more than stock."""
    print(f"| network | stock {storage} | serenity {storage} | times less | serenity float32 |")
    print("|---|---:|---:|---:|---:|", flush=True)
    gains, shares = [], []
    worse = 0
    for name in names:
        model = networks.build(name, 0)
        try:
            stock, ours = slabs(quantize(model, storage, per_channel=per_channel, seed=0))
        except SerenityError:
            print(f"| {name} | does not compile | | | |", flush=True)
            worse = 1
            continue
        worse |= ours > stock
        gains.append(stock / max(ours, 1))
        of_float = "-"
        if with_float:
            _, single = slabs(model)
            shares.append(ours / max(single, 1))
            of_float = f"{single:,}"
        print(f"| {name} | {stock:,} | {ours:,} | {gains[-1]:.2f} | {of_float} |", flush=True)
    if not gains:
        return 1
    print(f"\n{len(gains)} networks, geometric mean: {_geometric_mean(gains):.2f} times less than")
    print("stock" + (f", {_geometric_mean(shares):.2f} of float32" if shares else ""))
    return int(worse)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: 15 networks")
    parser.add_argument("--storage", choices=("int8", "uint8"), default="int8")
    parser.add_argument("--per-tensor", action="store_true", help="one scale per weight")
    parser.add_argument("--no-float", action="store_true", help="leave out the last column")
    arguments = parser.parse_args()
    return table(
        arguments.networks or NETWORKS,
        arguments.storage,
        not arguments.per_tensor,
        not arguments.no_float,
    )


if __name__ == "__main__":
    sys.exit(main())
