# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The time that serenity_mlir adds to a compilation.

Whole processes are timed, stock and serenity in turn, so that changes of the machine's speed
meet both; the median of the ratios of neighbours is printed. The report's `seconds` tell where
the time goes.

    python benchmarks/overhead.py swiftnet_a randwire_c10_a --repeats 5
    python benchmarks/overhead.py --launcher --repeats 200

Without names: the networks of the paper. `--flag=FLAG` replaces the target's flags for both
compilers, `--serenity='--serenity-rewrite=off'` those of serenity_mlir.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serenity_mlir import networks
from serenity_mlir._native import native_tool
from serenity_mlir.compiling import compiler
from serenity_mlir.compiling.importing import load_model

TARGET = [
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
]


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Returns wall-clock and processor seconds of one run."""
    before = os.times()
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user - before.children_user
    return wall, cpu + after.children_system - before.children_system


def paired(
    first: Sequence[str], second: Sequence[str], repeats: int, after: Callable[[], None]
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Times both commands `repeats` times in turn; the first alternates."""
    pairs = []
    for repeat in range(repeats):
        if repeat % 2:
            b, a = seconds(second), seconds(first)
        else:
            a, b = seconds(first), seconds(second)
        after()
        pairs.append((a, b))
    return pairs


def median_ratio(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]], k: int) -> float:
    """Returns the median of second over first; `k` is 0 for wall clock, 1 for processor time."""
    return statistics.median(b[k] / a[k] for a, b in pairs)


def searches(report: dict[str, Any]) -> float:
    """Returns the seconds of all searches for an order that the chosen module needed."""
    return sum(
        region["seconds"] or 0.0
        for function in report["functions"]
        for region in function["regions"]
    )


def networks_table(
    names: Sequence[str], repeats: int, flags: Sequence[str], own: list[str]
) -> None:
    """Prints a row per network."""
    stock, ours = compiler.stock_compiler(), native_tool("serenity-compile")
    print(
        "| network | stock s | serenity s | ratio | ratio CPU | stock after slabs | "
        "serenity after slabs | "
        "stock candidate | reordered candidate | candidates to flow | candidates to slabs | "
        "searches | offsets |"
    )
    print("|---|" + "---:|" * 12)
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as directory:
        for name in names:
            source = load_model(name, Path(directory))
            output = str(Path(directory) / "out.vmfb")
            report_file = Path(directory) / "report.json"
            common = [str(source), *flags, "-o", output]
            reports: list[dict[str, Any]] = []
            pairs = paired(
                [stock, *common],
                [ours, *common, *own, f"--serenity-report={report_file}"],
                repeats,
                lambda file=report_file, into=reports: into.append(json.loads(file.read_text())),
            )
            prefix, _ = seconds([stock, *common, "--compile-to=stream"])

            def middle(key: str, of: list[dict[str, Any]] = reports) -> float:
                return statistics.median(report["seconds"].get(key, 0.0) for report in of)

            rest = statistics.median(a[0] for a, _ in pairs) - prefix
            parts = [rest, middle("from_stream")]
            parts += [
                middle(k) for k in ("stock_candidate", "reordered_candidate", "candidate_flow")
            ]
            parts += [middle("candidate_slabs"), statistics.median(map(searches, reports))]
            parts.append(middle("offsets"))
            print(
                f"| {name} | {statistics.median(a[0] for a, _ in pairs):.2f} "
                f"| {statistics.median(b[0] for _, b in pairs):.2f} "
                f"| {median_ratio(pairs, 0):.3f} | {median_ratio(pairs, 1):.3f} | "
                + " | ".join(f"{part:.3f}" for part in parts)
                + " |",
                flush=True,
            )


def launcher_table(repeats: int) -> None:
    """Prints what the launcher adds to the stock tool where no serenity flag is given."""
    stock, launcher = compiler.stock_compiler(), native_tool("iree-compile")
    ours = native_tool("serenity-compile")
    print("| command | stock ms | serenity ms | difference ms (median of pairs) |")
    print("|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="serenity-bench-") as directory:
        source = Path(directory) / "identity.mlir"
        source.write_text("func.func @f(%x: i32) -> i32 {\n  return %x : i32\n}\n")
        module = [str(source), *TARGET, "-o", "/dev/null"]
        rows = [
            ("`--version`, launcher", [stock, "--version"], [launcher, "--version"]),
            ("scalar function, launcher", [stock, *module], [launcher, *module]),
            (
                "scalar function, `serenity-compile`",
                [stock, *module],
                [ours, "--serenity-schedule", *module],
            ),
        ]
        for name, first, second in rows:
            pairs = paired(first, second, repeats, lambda: None)
            difference = statistics.median(b[0] - a[0] for a, b in pairs)
            print(
                f"| {name} | {1e3 * statistics.median(a[0] for a, _ in pairs):.1f} "
                f"| {1e3 * statistics.median(b[0] for _, b in pairs):.1f} "
                f"| {1e3 * difference:+.2f} |",
                flush=True,
            )


def main() -> int:
    """Runs the benchmark that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "networks", nargs="*", metavar="NETWORK", help="those of the paper if none is given"
    )
    parser.add_argument("--repeats", type=int, default=5, help="pairs per row (default 5)")
    parser.add_argument("--launcher", action="store_true", help="time start-up instead")
    parser.add_argument(
        "--serenity",
        default="--serenity-schedule",
        help="serenity flags, separated by blanks",
    )
    parser.add_argument(
        "--flag", action="append", default=[], help="a flag for both compilers; repeatable"
    )
    options = parser.parse_args()
    unknown = set(options.networks) - set(networks.names())
    if unknown or options.repeats < 1:
        parser.error(f"unknown networks {sorted(unknown)}; known are {', '.join(networks.names())}")
    if options.launcher:
        launcher_table(options.repeats)
    else:
        names = options.networks or networks.names("paper")
        flags = options.flag or TARGET
        networks_table(names, options.repeats, flags, options.serenity.split())
    return 0


if __name__ == "__main__":
    sys.exit(main())
