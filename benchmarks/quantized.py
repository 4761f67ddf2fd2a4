# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Memory and results of quantized networks, as tables in Markdown.

    python benchmarks/quantized.py [--storage int8|uint8] [--per-tensor] [--no-float] [--time]
        [--integer-io] [--inputs keep|overwrite] [--peers FILE.json] [--results FILE.jsonl]
        [--reports DIR] [NETWORK|MODEL.onnx...]

Every network (a name of `serenity networks`, or a float32 ONNX file of static shapes) is quantized
by ONNX Runtime (`pip install 'serenity-mlir[quantize]'`) from seed 0, compiled for a generic CPU by
IREE's default and with ``--serenity-schedule``, and both modules are run on the same input, as
`serenity check` does. Columns: bytes of the slab of a call, as the runtime allocates it (inputs and
results not counted), by IREE's default and with serenity; the bytes of the slab of the float32
network with serenity, from ``history.jsonl`` where it has the network and else as predicted;
whether all outputs are equal bit for bit; with ``--time`` the least processor time of a call on one
thread, in milliseconds.

``--peers`` adds a table of the peak of a call with inputs and results, beside other systems: those
that store activations in 8 bits, signed or not, in ``{"networks": {NETWORK: {"SYSTEM, int8":
{"..._with_io": BYTES}}}}``, and beside the paper's peaks of uint8 networks. Where the least of them
needs less, the buffers at the peak are named.

With ``--results`` the rows are kept in a file of JSON lines, and a row that is there from the same
model, options and versions is not measured again; ``--reports`` keeps the report of each
compilation in ``DIR/NETWORK.json``, for `serenity explain`. Exits with 1 if a network does not
compile, needs more than stock or has other results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from history import FLAGS, STATE_LIMIT, TIME_LIMIT, facts, last, read

from serenity_mlir import networks
from serenity_mlir._versions import iree_version
from serenity_mlir.benchmarking.paper import GRAPHS, PEAKS
from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.measuring.checking import CheckResult, check
from serenity_mlir.networks.quantizing import Storage, quantize
from serenity_mlir.reports.explaining import explain
from serenity_mlir.reports.reporting import load_report, parse_report
from serenity_mlir.running import run_many

#: Of every family, those that compile within minutes.
NETWORKS = (
    "swiftnet_a",
    "swiftnet_b",
    "swiftnet_c",
    "ds_cnn",
    "resnet8",
    "mobilenet_v1_025_96",
    "mobilenet_v2_035_144",
    "mcunet_050_160",
    "inception_v3_a",
    "inception_v3_e",
    "fpn_resnet18_16",
    "bifpn_d0",
    "retinanet_head",
    "mobilenet_v3_small",
    "nasnet_a_reduction",
    "randwire_ws_16",
    "unet_16",
)

TARGET = [flag for flag in FLAGS if not flag.startswith("--compile-to")]

Row = Mapping[str, Any]


def _load(name: str) -> onnx.ModelProto:
    return onnx.load(name) if name.endswith(".onnx") else networks.build(name, 0)


def _float_bytes(model: onnx.ModelProto, folder: Path) -> int:
    """Returns the bytes of the slab of a network as it is, compiled to the stream phase."""
    path, report = folder / "float.onnx", folder / "float.json"
    onnx.save(model, str(path))
    compile_file(
        str(load_model(str(path), folder)),
        output_file=str(folder / "out.mlir"),
        extra_args=FLAGS,
        serenity=SerenityOptions(report=report, state_limit=STATE_LIMIT, time_limit=TIME_LIMIT),
    )
    return int(facts(load_report(report), "default")["default_bytes"])


def _recorded_float_bytes(name: str) -> int | None:
    """Returns the bytes of the slab of a network as it is, as ``history.jsonl`` has them."""
    line = last(read(), name, iree_version())
    return None if line is None else int(line["default_bytes"])


def measure_row(
    name: str,
    *,
    storage: Storage,
    per_channel: bool,
    integer_io: bool,
    inputs: str,
    with_float: bool,
    timing: bool,
    reports: Path | None = None,
) -> dict[str, Any]:
    """Quantizes, compiles and runs a network; returns its row, all sizes in bytes."""
    model = _load(name)
    quantized = quantize(model, storage, per_channel=per_channel, seed=0, integer_border=integer_io)
    options = SerenityOptions(
        state_limit=STATE_LIMIT,
        time_limit=TIME_LIMIT,
        inputs=inputs,  # type: ignore[arg-type]
    )
    with tempfile.TemporaryDirectory(prefix="serenity-quantized-") as folder:
        path = Path(folder) / "network.onnx"
        onnx.save(quantized, str(path))
        result = check(path, flags=TARGET, serenity=options, timing=timing)
        (function,) = result.functions
        single = None
        if with_float:
            single = _recorded_float_bytes(name) or _float_bytes(model, Path(folder))
    if reports is not None:
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{Path(name).stem}.json").write_text(json.dumps(result.report), "utf-8")
    times = function.latencies["1 thread"] if function.latencies else None
    return {
        "stock": function.stock.transient_peak_bytes,
        "serenity": function.serenity.transient_peak_bytes,
        "stock_with_io": function.stock.call.peak_bytes,
        "serenity_with_io": function.serenity.call.peak_bytes,
        "float": single,
        "peak": _peak_in_words(result),
        "bitwise": function.difference.bitwise,
        "disagreements": list(function.disagreements),
        "milliseconds": [time.processor for time in times] if times else None,
    }


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, row: Row) -> list[str]:
    stock, ours, single = row["stock"], row["serenity"], row["float"]
    cells = [name, f"{stock:,}", f"{ours:,}", f"{stock / max(ours, 1):.2f}"]
    cells.append("-" if single is None else f"{single:,}")
    cells.append("equal" if row["bitwise"] else "differ")
    return cells + [f"{time:.2f}" for time in row["milliseconds"] or ()]


def print_means(rows: Sequence[Row]) -> None:
    """Prints the geometric means over all rows that have the figures."""
    gain = _geometric_mean([row["stock"] / max(row["serenity"], 1) for row in rows])
    shares = [row["serenity"] / row["float"] for row in rows if row["float"]]
    times = [row["milliseconds"] for row in rows if row["milliseconds"]]
    text = f"\n{len(rows)} networks, geometric means: {gain:.2f} times less than stock"
    if shares:
        text += f", {_geometric_mean(shares):.2f} of float32"
    if times:
        ratio = _geometric_mean([ours / stock for stock, ours in times])
        text += f", {ratio:.2f} of the processor time of stock"
    print(text)


def _eight_bits(known: Mapping[str, Any], network: str) -> dict[str, int]:
    """Returns the bytes of other systems that store activations in 8 bits, by system."""
    return {
        system: figure
        for system, figures in known.get(network, {}).items()
        if system.endswith(("int8", "uint8"))
        for key, figure in figures.items()
        if key.endswith("with_io") and not key.startswith("arena")
    }


def _paper(network: str) -> dict[str, int]:
    """Returns the peaks of the paper, of 1,000 bytes, where its network has elements of a byte."""
    if network not in GRAPHS or GRAPHS[network].element_bytes != 1 or network not in PEAKS:
        return {}
    peaks = PEAKS[network]
    return {
        "the paper, TensorFlow Lite": 1000 * peaks.tflite,
        "the paper": 1000 * peaks.rewritten,
    }


def print_peers(rows: Mapping[str, Row], path: str) -> None:
    """Prints peaks of calls, inputs and results included, beside other systems."""
    known = json.loads(Path(path).read_text("utf-8"))["networks"]
    peers = {name: _eight_bits(known, name) | _paper(name) for name in rows}
    systems = sorted({system for of in peers.values() for system in of})
    print("\n" + _line(["network", "stock", "serenity", *systems]))
    print("|---|" + "---:|" * (2 + len(systems)))
    for name, row in rows.items():
        figures = [peers[name].get(system) for system in systems]
        cells = [f"{figure:,}" if figure else "-" for figure in figures]
        print(_line([name, f"{row['stock_with_io']:,}", f"{row['serenity_with_io']:,}", *cells]))
    for name, row in rows.items():
        ours, least = row["serenity_with_io"], min(peers[name].values(), default=None)
        if least is not None and ours > least:
            external = ours - row["serenity"]
            print(
                f"\n{name} needs {ours - least:,} bytes more than the least: {external:,} of "
                f"inputs and results, which no value overwrites, and {row['peak']}"
            )


def _peak_in_words(result: CheckResult) -> str:
    """Names what is live at the peak of the largest slab."""
    (explanation,) = explain(parse_report(result.report))
    peaks = [peak for peak in explanation.peaks if peak is not None]
    if not peaks:
        return "nothing in a slab"
    peak = max(peaks, key=lambda peak: peak.bytes)
    live = [f"{b.bytes:,} {b.element_type or ''} of {b.label}" for b in peak.buffers]
    return f"at step {peak.step} of {peak.steps} " + ", ".join(live)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: 17 networks")
    parser.add_argument("--storage", choices=("int8", "uint8"), default="int8")
    parser.add_argument("--per-tensor", action="store_true", help="one scale per weight")
    parser.add_argument("--no-float", action="store_true", help="leave float32 out")
    parser.add_argument("--time", action="store_true", help="measure processor time")
    parser.add_argument("--integer-io", action="store_true", help="integer inputs and outputs")
    parser.add_argument("--inputs", choices=("keep", "overwrite"), default="keep")
    parser.add_argument("--peers", metavar="FILE", help="bytes of other systems")
    parser.add_argument("--results", metavar="FILE", help="keep rows, and take those that are kept")
    parser.add_argument("--reports", metavar="DIR", type=Path, help="keep the reports")
    arguments = parser.parse_args()
    settings = {
        "storage": arguments.storage,
        "per_channel": not arguments.per_tensor,
        "integer_io": arguments.integer_io,
        "inputs": arguments.inputs,
        "with_float": not arguments.no_float,
        "timing": arguments.time,
    }
    headings = ["network", f"stock {arguments.storage}", f"serenity {arguments.storage}"]
    headings += ["times less", "serenity float32", "results"]
    headings += ["stock ms", "serenity ms"] if arguments.time else []
    print(_line(headings))
    print("|---|---:|---:|---:|---:|---" + "|---:" * (len(headings) - 6) + "|", flush=True)
    rows: dict[str, Row] = {}
    failures: list[str] = []
    for record in run_many(
        partial(measure_row, **settings, reports=arguments.reports),
        arguments.networks or NETWORKS,
        settings=settings,
        results=arguments.results,
        jobs=1,
    ):
        name = Path(record.model).stem
        if record.result is None:
            reason = (record.error or "").strip().splitlines()[-1:]
            failures.append(f"{name}: {''.join(reason)}")
            continue
        row = rows[name] = record.result
        print(_line(_cells(name, row)), flush=True)
        failures += [f"{name}: {problem}" for problem in row["disagreements"]]
        if row["serenity"] > row["stock"] or not row["bitwise"]:
            failures.append(f"{name}: needs more than stock, or has other results")
    if rows:
        print_means(list(rows.values()))
        if arguments.peers:
            print_peers(rows, arguments.peers)
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
