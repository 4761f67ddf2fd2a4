# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Quality over time: the bytes of every network, release by release, and a check against the last.

    python benchmarks/history.py append [--release VERSION] [--replace] [NETWORK...]
    python benchmarks/history.py check [--quick] [NETWORK...]

``--reports DIR`` keeps the report of each default compilation in ``DIR/NETWORK.json``.

``history.jsonl`` has one line per network, release of serenity_mlir and release of IREE. ``append``
compiles the networks (all without names) that have no line for the installed releases yet, and adds
theirs; with ``--replace`` it measures those of this release anew, so that a change that is meant
shows in the diff. ``check`` compiles (all that have a line, the `QUICK` ones, or those named) and
exits with 1 if one needs more bytes than in its last line for this IREE release, lost its proof, or
needs more states for the same bytes. Bytes and states are exact: nothing is timed, and the searches
end by states, never by the clock.

Columns, in bytes of transient memory of a call (the slab; inputs and results not counted; float32,
batch 1, weights from seed 0, IREE's llvm-cpu for a generic CPU):

* ``stock_bytes``: IREE's default;
* ``order_bytes``: ``--serenity-rewrite=off``, results bit for bit as stock;
* ``default_bytes``: ``--serenity-schedule``;
* ``order_optimal``, ``default_optimal``: all regions proved to be of least peak for their commands;
* ``order_states``, ``default_states``: states expanded by the final searches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from serenity_mlir import networks
from serenity_mlir._versions import iree_version, serenity_version
from serenity_mlir.benchmarking.work import NO_TIME_LIMIT
from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import Report, load_report

HISTORY = Path(__file__).resolve().parent / "history.jsonl"

#: A generic CPU, so that the figures do not depend on the machine.
FLAGS = [
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=generic",
    "--compile-to=stream",
]

#: States per search: the networks that are proved at all need far fewer.
STATE_LIMIT = 1_000_000

#: Checked with every change: seconds each, and every kind of decision is among them.
QUICK = (
    "swiftnet_a",
    "swiftnet_b",
    "swiftnet_c",
    "inception_v3_e",
    "fpn_resnet18_16",
    "randwire_ws_16",
)

MODES = (("order", "off"), ("default", "auto"))

Line = dict[str, Any]


def facts(report: Report, mode: str) -> Line:
    """Returns the columns of one compilation."""
    functions = report.called
    regions = [region for function in functions for region in function.regions]
    return {
        "stock_bytes": _largest(function.stock_transient_peak_bytes for function in functions),
        f"{mode}_bytes": _largest(function.transient_peak_bytes for function in functions),
        f"{mode}_optimal": all(region.optimal for region in regions),
        f"{mode}_states": sum(region.states for region in regions),
    }


def _largest(values: Iterable[int | None]) -> int:
    known = [value for value in values if value is not None]
    return max(known, default=0)


def measure(name: str, release: str, reports: Path | None = None) -> Line:
    """Compiles a network both ways and returns its line; the last report goes to `reports`."""
    line: Line = {"network": name, "serenity": release, "iree": iree_version()}
    with tempfile.TemporaryDirectory(prefix="serenity-history-") as folder:
        source = load_model(name, Path(folder))
        for mode, rewrite in MODES:
            report = Path(folder) / f"{mode}.json"
            options = SerenityOptions(
                rewrite=rewrite,  # type: ignore[arg-type]
                report=report,
                state_limit=STATE_LIMIT,
                time_limit=NO_TIME_LIMIT,
            )
            output = str(Path(folder) / "out.mlir")
            compile_file(source, output_file=output, extra_args=FLAGS, serenity=options)
            line.update(facts(load_report(report), mode))
        if reports is not None:
            reports.mkdir(parents=True, exist_ok=True)
            (reports / f"{name}.json").write_bytes(report.read_bytes())
    return line


def read(path: Path = HISTORY) -> list[Line]:
    """Returns the lines, oldest first."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text("utf-8").splitlines() if text]


def last(lines: Iterable[Line], name: str, iree: str | None) -> Line | None:
    """Returns a network's newest line for an IREE release, of which the patch level is ignored."""

    def release(version: str | None) -> list[str]:
        return (version or "").split(".")[:2]

    found = None
    for line in lines:
        if line["network"] == name and release(line["iree"]) == release(iree):
            found = line
    return found


def regressions(old: Line, new: Line) -> list[str]:
    """Says what got worse from one line to the next; nothing if nothing did."""
    found = []
    for mode, _ in MODES:
        was, now = old[f"{mode}_bytes"], new[f"{mode}_bytes"]
        if now > was:
            found.append(f"{mode}: {was:,} -> {now:,} bytes")
        # Fewer bytes come from another candidate: the proof spoke of the orders of the former one.
        if now == was and old[f"{mode}_optimal"] and not new[f"{mode}_optimal"]:
            found.append(f"{mode}: was proved optimal and is not any more")
        if now == was and new[f"{mode}_states"] > old[f"{mode}_states"]:
            found.append(
                f"{mode}: {old[f'{mode}_states']:,} -> {new[f'{mode}_states']:,} states for the "
                "same bytes"
            )
    return found


def append(
    names: Sequence[str], release: str, replace: bool = False, reports: Path | None = None
) -> int:
    """Adds the missing lines; each is on disk as soon as it is known.

    Args:
      names: of the networks.
      release: of serenity_mlir, for the lines.
      replace: measure anew what has a line for this release.
      reports: folder for the reports.
    """

    def same(line: Line, name: str) -> bool:
        key = (line["network"], line["serenity"], line["iree"])
        return key == (name, release, iree_version())

    for name in names:
        if not replace and any(same(line, name) for line in read()):
            print(f"{name}: has a line for {release} with IREE {iree_version()}", flush=True)
            continue
        line = measure(name, release, reports)
        kept = [old for old in read() if not same(old, name)]
        text = "".join(json.dumps(entry) + "\n" for entry in [*kept, line])
        temporary = HISTORY.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(HISTORY)
        print(json.dumps(line), flush=True)
    return 0


def check(names: Sequence[str], reports: Path | None = None) -> int:
    """Returns 1 if a network got worse than its last line, or has none."""
    worse = 0
    lines = read()
    for name in names:
        old = last(lines, name, iree_version())
        if old is None:
            print(f"{name}: no line for IREE {iree_version()}; use append", flush=True)
            worse += 1
            continue
        new = measure(name, serenity_version(), reports)
        found = regressions(old, new)
        worse += bool(found)
        verdict = "; ".join(found) if found else "no worse"
        print(
            f"{name}: stock {new['stock_bytes']:,}, order {new['order_bytes']:,}, default "
            f"{new['default_bytes']:,} bytes: {verdict}",
            flush=True,
        )
    return 1 if worse else 0


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("command", choices=("append", "check"))
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all if none is given")
    parser.add_argument(
        "--release",
        default=serenity_version(),
        help="of serenity_mlir, for append (default: that installed, %(default)s)",
    )
    parser.add_argument("--replace", action="store_true", help="measure this release's anew")
    parser.add_argument("--quick", action="store_true", help="only those that take seconds")
    parser.add_argument("--reports", type=Path, metavar="DIR", help="keep the reports there")
    options = parser.parse_intermixed_args()
    unknown = set(options.networks) - set(networks.names())
    if unknown:
        parser.error(f"unknown networks {sorted(unknown)}; known are {', '.join(networks.names())}")
    names = options.networks or (QUICK if options.quick else networks.names())
    if options.command == "append":
        return append(names, options.release, options.replace, options.reports)
    if not options.networks and not options.quick:
        known = {line["network"] for line in read()}
        names = [name for name in names if name in known]
    return check(names, options.reports)


if __name__ == "__main__":
    sys.exit(main())
