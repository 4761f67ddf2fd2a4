# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory of a call with inputs and results, inputs kept and overwritten, as a table in Markdown.

    python benchmarks/inputs_and_outputs.py [--peers FILE.json] [--rows FILE.json]
        [--time-limit SECONDS] [NETWORK...]

Every network of `serenity networks` is compiled to its slabs twice, with ``--serenity-inputs=keep``
and ``overwrite``; the bytes are ``peak_bytes`` of the report, which `serenity check` compares with
the runtime's allocator. ``--peers`` has the bytes of other systems as
``{"networks": {NETWORK: {SYSTEM: {"with_io": BYTES}}}}``; systems whose name contains "int8" are
left out, and "serenity" stands for earlier versions. ``--rows`` keeps the rows, so that networks
that it has are not measured again. The ratio is that of the smallest other system to serenity with
inputs overwritten. The last lines name the networks on which a system needs less,
and the geometric means against the smallest system of each network. Exits with 1 if overwriting
inputs needs more than keeping them, or either more than stock or an earlier version.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from serenity_mlir import networks
from serenity_mlir.benchmarking.paper import PEAKS
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
        return min(
            ((value, name) for name, value in self.peers.items() if not _is_ours(name)),
            default=None,
        )

    @property
    def earlier(self) -> int | None:
        """The bytes of the best earlier version, which kept inputs."""
        return min((value for name, value in self.peers.items() if _is_ours(name)), default=None)


def _is_ours(system: str) -> bool:
    return system.startswith("serenity")


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


def measure_network(name: str, time_limit: float) -> tuple[int, int, int]:
    """Returns the peak of a call: of stock, with inputs kept and with inputs overwritten."""
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as folder:
        path = Path(folder) / f"{name}.onnx"
        onnx.save(networks.build(name), path)
        model = import_model(path, Path(folder)).path
        kept, stock = call_bytes(model, Path(folder), "keep", time_limit)
        overwritten, _ = call_bytes(model, Path(folder), "overwrite", time_limit)
    return stock, kept, overwritten


def read_peers(path: str | None) -> dict[str, dict[str, int]]:
    """Returns the bytes with inputs and results of each system, by network."""
    if path is None:
        return {}
    found: dict[str, dict[str, int]] = {}
    for network, systems in json.loads(Path(path).read_text())["networks"].items():
        found[network] = {}
        for system, values in systems.items():
            if "int8" in system:
                continue
            given = [value for key, value in values.items() if key.endswith("with_io")]
            if given:
                found[network][system] = min(given)
    return found


def print_row(row: Row) -> None:
    smallest = row.smallest
    theirs = "- | - | -"
    if smallest:
        theirs = f"{smallest[0]:,} | {smallest[1]} | {smallest[0] / row.overwritten:.2f}"
    print(
        f"| {row.name} | {row.stock:,} | {row.kept:,} | {row.overwritten:,} | {theirs} |",
        flush=True,
    )


def print_summary(rows: Sequence[Row]) -> None:
    for title in ("kept", "overwritten"):
        larger = []
        ratios: dict[str, list[float]] = {"all": [], "without the paper's nine cells": []}
        for row in rows:
            if row.smallest is None:
                continue
            ours: int = getattr(row, title)
            ratios["all"].append(row.smallest[0] / ours)
            if row.name not in PEAKS:
                ratios["without the paper's nine cells"].append(row.smallest[0] / ours)
            if row.smallest[0] < ours:
                larger.append(f"{row.name} ({row.smallest[1]})")
        means = [
            f"{statistics.geometric_mean(values):.2f} ({of}, {len(values)} networks)"
            for of, values in ratios.items()
            if values
        ]
        if means:
            print(
                f"\nInputs {title}: another system is smaller on {len(larger)} of"
                f" {len(ratios['all'])}{': ' if larger else ''}{', '.join(larger)}; geometric mean"
                f" of the smallest other system over serenity: {', '.join(means)}."
            )
    known = [row for row in rows if row.earlier is not None]
    if known:
        more = [row.name for row in known if row.kept > (row.earlier or 0)]
        print(
            f"\nInputs kept: more than an earlier version on {len(more)} of {len(known)}"
            f"{': ' if more else ''}{', '.join(more)}."
        )


def is_worse(row: Row) -> bool:
    known = [row.stock] if row.earlier is None else [row.stock, row.earlier]
    return row.overwritten > row.kept or row.kept > min(known)


def read_rows(path: Path | None) -> dict[str, tuple[int, int, int]]:
    """Returns the bytes of networks that were measured: stock, inputs kept and overwritten."""
    if path is None or not path.exists():
        return {}
    return {name: (row[0], row[1], row[2]) for name, row in json.loads(path.read_text()).items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--peers", metavar="FILE.json")
    parser.add_argument("--rows", type=Path, metavar="FILE.json")
    parser.add_argument("--time-limit", type=float, default=60, metavar="SECONDS")
    options: Any = parser.parse_args(arguments)
    peers = read_peers(options.peers)
    names = options.networks or networks.names()
    print("| network | stock | inputs kept | inputs overwritten | smallest other | | ratio |")
    print("|---|---:|---:|---:|---:|---|---:|")
    rows = []
    measured = read_rows(options.rows)
    for name in names:
        if name not in measured:
            measured[name] = measure_network(name, options.time_limit)
            if options.rows:
                options.rows.write_text(json.dumps(measured, indent=1))
        rows.append(Row(name, *measured[name], peers.get(name, {})))
        print_row(rows[-1])
    print_summary(rows)
    return int(any(map(is_worse, rows)))


if __name__ == "__main__":
    sys.exit(main())
