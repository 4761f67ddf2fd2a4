# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory of a call with inputs and results, inputs kept and overwritten, as a table in Markdown.

    python benchmarks/inputs_and_outputs.py [--peers FILE.json] [--time-limit SECONDS] [NETWORK...]

Every network of `serenity networks` is compiled to its slabs twice, with ``--serenity-inputs=keep``
and ``overwrite``; the bytes are ``peak_bytes`` of the report, which `serenity check` compares with
the runtime's allocator. ``--peers`` has the bytes of other systems as
``{"networks": {NETWORK: {SYSTEM: {"with_io": BYTES}}}}``; systems whose name contains "int8" or
"serenity" are left out. The last lines name the networks on which a system needs less, and the
geometric means against the smallest system of each network. Exits with 1 if overwriting inputs
needs more than keeping them, or either more than stock.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from serenity_mlir import networks
from serenity_mlir.compiling.compiler import SerenityOptions, target_flags
from serenity_mlir.compiling.importing import import_model
from serenity_mlir.measuring.checking import compile_model
from serenity_mlir.reports.reporting import parse_report


@dataclass(frozen=True)
class Row:
    """Bytes of one call of a network, inputs and results included."""

    name: str
    stock: int
    kept: int
    overwritten: int
    peers: Mapping[str, int]

    @property
    def smallest(self) -> tuple[int, str] | None:
        """The bytes and the name of the smallest other system."""
        return min(((value, name) for name, value in self.peers.items()), default=None)


def call_bytes(model: Path, folder: Path, inputs: str, time_limit: float) -> tuple[int, int]:
    """Returns the peak of a call, and that of the stock compiler's module."""
    data = compile_model(
        model,
        folder / "module.mlirbc",
        [*target_flags(()), "--compile-to=stream", "--emit-mlir-bytecode"],
        SerenityOptions(inputs=inputs, time_limit=time_limit),  # type: ignore[arg-type]
    )
    (entry,) = parse_report(data).called
    if entry.peak_bytes is None or entry.stock_call_peak_bytes is None:
        raise SystemExit(f"{model.stem}: the peak of a call depends on the run")
    return entry.peak_bytes, entry.stock_call_peak_bytes


def measure_network(name: str, peers: Mapping[str, int], time_limit: float) -> Row:
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder:
        path = Path(folder) / f"{name}.onnx"
        onnx.save(networks.build(name), path)
        model = import_model(path, Path(folder)).path
        kept, stock = call_bytes(model, Path(folder), "keep", time_limit)
        overwritten, _ = call_bytes(model, Path(folder), "overwrite", time_limit)
    return Row(name, stock, kept, overwritten, peers)


def read_peers(path: str | None) -> dict[str, dict[str, int]]:
    """Returns the bytes with inputs and results of each system, by network."""
    if path is None:
        return {}
    found: dict[str, dict[str, int]] = {}
    for network, systems in json.loads(Path(path).read_text())["networks"].items():
        found[network] = {}
        for system, values in systems.items():
            if "int8" in system or system.startswith("serenity"):
                continue
            given = [value for key, value in values.items() if key.endswith("with_io")]
            if given:
                found[network][system] = min(given)
    return found


def print_row(row: Row) -> None:
    smallest = row.smallest
    theirs = f"{smallest[0]:,} | {smallest[1]}" if smallest else "- | -"
    print(
        f"| {row.name} | {row.stock:,} | {row.kept:,} | {row.overwritten:,} | {theirs} |",
        flush=True,
    )


def print_summary(rows: Sequence[Row]) -> None:
    for title in ("kept", "overwritten"):
        larger = []
        ratios = []
        for row in rows:
            ours: int = getattr(row, title)
            if row.smallest:
                ratios.append(math.log(row.smallest[0] / ours))
                if row.smallest[0] < ours:
                    larger.append(f"{row.name} ({row.smallest[1]})")
        if ratios:
            print(
                f"\nInputs {title}: another system is smaller on {len(larger)} of {len(ratios)}"
                f"{': ' if larger else ''}{', '.join(larger)}; geometric mean"
                f" {math.exp(sum(ratios) / len(ratios)):.2f} against the smallest of each network."
            )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--peers", metavar="FILE.json")
    parser.add_argument("--time-limit", type=float, default=60, metavar="SECONDS")
    options: Any = parser.parse_args(arguments)
    peers = read_peers(options.peers)
    names = options.networks or networks.names()
    print("| network | stock | inputs kept | inputs overwritten | smallest other | |")
    print("|---|---:|---:|---:|---:|---|")
    rows = []
    for name in names:
        rows.append(measure_network(name, peers.get(name, {}), options.time_limit))
        print_row(rows[-1])
    print_summary(rows)
    return int(any(row.overwritten > row.kept or row.kept > row.stock for row in rows))


if __name__ == "__main__":
    sys.exit(main())
