# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks on a microcontroller: measured on an emulated board, written into the documentation.

    python benchmarks/microcontroller.py [--records DIR] [NETWORK[:VARIANT]...]
    python benchmarks/microcontroller.py --check

Every network (all of `NETWORKS` without names) is emitted for a Cortex-M4 by the stock compiler and
by serenity and run as `serenity check NETWORK --target=cortex-m4 --emulate` does. ``:int8``
quantizes it as `serenity networks build NETWORK --quantize int8 --per-channel --integer-io` does
(`pip install 'serenity-mlir[quantize]'`), ``:width8`` and ``:width4`` let both compilers compute
with vectors of so many bytes, where 16 are IREE's default. ``--records`` has what `serenity bench
--peers tflite-micro,tflite-micro-int8` recorded in ``OUTPUT/records`` about TensorFlow Lite
Micro's arena for the same networks (docs/peers.md); without, the figures are kept that the rows
have, since they do not depend on the compiler.

The rows are kept in ``benchmarks/microcontroller.json``. The tables of
``docs/howto/microcontroller.md`` between the comments that name this script, and the picture beside
that page, are written from them; ``--check`` writes nothing, and exits with 1 if the page states
other figures than the rows. Exits with 1, too, if a network cannot be measured or a promise does
not hold on the board. Nothing is timed: instructions are counted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from history import STATE_LIMIT
from publish import put_block

from serenity_mlir import networks
from serenity_mlir._versions import iree_version
from serenity_mlir.benchmarking.document import Table, Text, bytes_cell, ratio_cell, to_markdown
from serenity_mlir.benchmarking.work import NO_TIME_LIMIT
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.emitting.checking import check_target
from serenity_mlir.emitting.harness import COMPARED_STACK_BYTES
from serenity_mlir.networks.quantizing import quantize
from serenity_mlir.running import run_many

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "benchmarks" / "microcontroller.json"
PAGE = ROOT / "docs" / "howto" / "microcontroller.md"
PICTURE = PAGE.with_suffix(".svg")
BEGIN = "<!-- Written by benchmarks/microcontroller.py -->\n"

TARGET = "cortex-m4"

#: The networks of the tables, in their order.
NETWORKS = (
    "swiftnet_c",
    "randwire_c100_b",
    "mobilenet_v1_025_96",
    "ds_cnn",
    "resnet8",
    "swiftnet_c:int8",
    "mobilenet_v1_025_96:int8",
    "ds_cnn:int8",
    "resnet8:int8",
    "ds_cnn:width8",
    "ds_cnn:width4",
)

#: Variants that are other flags of both compilers: title and flags.
FLAGS = {
    f"width{width}": (
        f"vectors of {width} bytes",
        [f"--iree-llvmcpu-target-vector-width-in-bytes={width}"],
    )
    for width in (8, 4)
}

#: The network of the picture.
PICTURED = "swiftnet_c"

Row = dict[str, Any]


# --- measuring ---------------------------------------------------------------


def read_peers(folder: Path) -> dict[str, Row]:
    """Returns the bytes of TensorFlow Lite Micro's arena as `serenity bench` recorded them.

    It stores the float32 network in 8 bits itself.

    Args:
      folder: with ``peer-tflite-micro.jsonl`` and ``peer-tflite-micro-int8.jsonl``.
    """
    found: dict[str, Row] = {}
    for peer, variant in (("tflite-micro", ""), ("tflite-micro-int8", ":int8")):
        for line in (folder / f"peer-{peer}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            answer = record.get("result")
            if answer and "figures" in answer:
                figures = {name: one["with_io"] for name, one in answer["figures"].items()}
                version = answer["versions"]["tflite-micro"]
                found[record["model"] + variant] = {**figures, "version": version}
    return found


def measure_row(model: str) -> Row:
    """Measures ``NETWORK`` or ``NETWORK:VARIANT``; returns its row, all sizes in bytes."""
    name, _, variant = model.partition(":")
    _, flags = FLAGS.get(variant, ("", []))
    network = networks.build(name, 0)
    if variant == "int8":
        network = quantize(network, "int8", per_channel=True, seed=0, integer_border=True)
    options = SerenityOptions(state_limit=STATE_LIMIT, time_limit=NO_TIME_LIMIT)
    with tempfile.TemporaryDirectory(prefix="serenity-microcontroller-") as temporary:
        path = Path(temporary) / f"{name}.onnx"
        onnx.save(network, str(path))
        result = check_target(path, TARGET, flags=flags, serenity=options)
    return {
        **result.to_dict(),
        "model": model,
        "iree": iree_version(),
        "date": datetime.date.today().isoformat(),
    }


# --- the page ----------------------------------------------------------------


def _title(model: str) -> str:
    name, _, variant = model.partition(":")
    title, _ = FLAGS.get(variant, (variant, []))
    return f"`{name}`, {title}" if title else f"`{name}`"


def _pair(row: Row, of: str, scale: float = 1) -> str:
    """Returns a figure of both compilers, in units of `scale`."""

    def text(side: Row | None) -> str:
        value = None if side is None else side[of]
        if value is None:
            return "-"
        return f"{value:,}" if scale == 1 else f"{value / scale:.1f}"

    return f"{text(row['stock'])} / {text(row['serenity'])}"


def _ratio(row: Row, of: str) -> str:
    stock, ours = row["stock"], row["serenity"]
    return ratio_cell(None if stock is None else ours[of] / stock[of])


def _arena(row: Row) -> str:
    """Returns the bytes of the arenas, with those touched where they are fewer."""

    def text(side: Row | None) -> str:
        if side is None:
            return "-"
        linked, touched = side["linked_bytes"], side["touched_bytes"]
        return f"{linked:,}" if touched == linked else f"{linked:,} ({touched:,} touched)"

    return f"{text(row['stock'])} / {text(row['serenity'])}"


def _difference(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1g}" if value else "0"


def _with_io(side: Row) -> int:
    return int(side["arena_bytes"]) + int(side["inputs_and_outputs_bytes"])


def page_block(rows: Mapping[str, Row]) -> str:
    """Returns the lines of the page that state figures, of the networks that have a row."""
    shown = {model: rows[model] for model in NETWORKS if model in rows}
    memory, flash = [], []
    for model, row in shown.items():
        stock, ours, tflm = row["stock"], row["serenity"], row.get("tflm")
        both = bytes_cell(None if stock is None else _with_io(stock))
        memory.append(
            [
                _title(model),
                _arena(row),
                f"{both} / {_with_io(ours):,}",
                f"{tflm['head']:,} / {tflm['arena']:,}" if tflm else "-",
                _pair(row, "smallest_ram_bytes"),
                f"{_difference(row['largest_difference'])} / "
                f"{_difference(row['largest_difference_from_host'])}",
            ]
        )
        flash.append(
            [
                _title(model),
                _pair(row, "kernels"),
                _pair(row, "dispatches"),
                _pair(row, "text_bytes"),
                _ratio(row, "text_bytes"),
                _pair(row, "rodata_bytes"),
                _pair(row, "instructions", 1e6),
                _ratio(row, "instructions"),
                _pair(row, "stack_bytes"),
            ]
        )
    dates = sorted({row["date"] for row in shown.values()})
    versions = sorted({row["tflm"]["version"] for row in shown.values() if row.get("tflm")})
    said = [f"IREE {', '.join(sorted({row['iree'] for row in shown.values()}))}"]
    said += [f"TensorFlow Lite Micro {', '.join(versions)}"] if versions else []
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "never"
    return to_markdown(
        [
            Text(
                f"Measured {when}, {', '.join(said)}. Two figures in a cell are `stock / serenity`."
            ),
            Table(
                [
                    "RAM, bytes",
                    "arena: predicted = linked = touched",
                    "with inputs and outputs",
                    "TensorFlow Lite Micro: head / arena",
                    "least RAM",
                    "outputs differ from stock / host",
                ],
                memory,
            ),
            Table(
                [
                    "flash and time",
                    "kernels",
                    "dispatches",
                    "code, `.text`",
                    "ratio",
                    "constants, `.rodata`",
                    "million instructions",
                    "ratio",
                    "stack",
                ],
                flash,
            ),
        ]
    )


# --- the picture -------------------------------------------------------------

_STYLE = (
    ".a{fill:#2a6f97}.i{fill:#89c2d9}.k{fill:#cbd5dc}.w{fill:#e9c46a}.c{fill:#f4a261}"
    "rect{stroke:#fff}.l{fill:#111}.s{fill:#555}.t{font-weight:bold;fill:#333}"
    ".a+text{fill:#fff}@media (prefers-color-scheme: dark){.s,.t{fill:#ccc}}"
)

#: Of the highest bar, in pixels.
_HEIGHT = 290

#: A part of a bar: class of its colour, what it is, bytes.
Part = tuple[str, str, int]


def _bar(x: int, title: str, parts: Sequence[Part], scale: float) -> list[str]:
    lines = [f'<text x="{x + 70}" y="46" text-anchor="middle" class="t">{title}</text>']
    y = 60.0
    for colour, label, size in parts:
        height = size * scale
        middle = y + height / 2 + 4
        lines.append(
            f'<rect x="{x}" y="{y:.1f}" width="140" height="{height:.1f}" class="{colour}"/>'
        )
        if height > 14:
            lines.append(
                f'<text x="{x + 70}" y="{middle:.1f}" text-anchor="middle" class="l">{label}</text>'
                f'<text x="{x + 148}" y="{middle:.1f}" class="s">{size:,}</text>'
            )
        else:
            lines.append(f'<text x="{x + 148}" y="{middle:.1f}" class="s">{label}, {size:,}</text>')
        y += height
    return lines


def picture(row: Row) -> str:
    """Returns the memory map of a network as SVG: RAM, beside other systems, and flash."""
    stock, ours, tflm = row["stock"], row["serenity"], row.get("tflm")

    def ram(side: Row) -> list[Part]:
        return [
            ("a", "arena", side["arena_bytes"]),
            ("i", "inputs, outputs", side["inputs_and_outputs_bytes"]),
            ("k", "stack", COMPARED_STACK_BYTES),
        ]

    bars = [("stock", ram(stock))] if stock else []
    if tflm:
        own = tflm["arena"] - tflm["head"]
        parts = [("a", "head", tflm["head"]), ("k", "interpreter's data", own)]
        bars.append(("TensorFlow Lite Micro", parts))
    bars.append(("serenity", ram(ours)))
    flash: list[Part] = [
        ("w", "weights", ours["weights_bytes"]),
        ("w", "constants", ours["rodata_bytes"] - ours["weights_bytes"]),
        ("c", "code", ours["text_bytes"]),
    ]

    def total(parts: Sequence[Part]) -> int:
        return sum(size for _, _, size in parts)

    scale = _HEIGHT / max(total(parts) for _, parts in bars)
    lines = ['<text x="10" y="20" class="t">RAM</text>']
    x = 10
    for title, parts in bars:
        lines += _bar(x, f"{title}, {total(parts):,}", parts, scale)
        x += 260
    lines.append(f'<text x="{x}" y="20" class="t">Flash</text>')
    lines += _bar(x, f"serenity, {total(flash):,}", flash, _HEIGHT / total(flash))
    caption = (
        f"{row['model']}, float32, on a Cortex-M4; bytes. All of it is known when "
        "the program is linked: no heap, nothing is allocated while it runs."
    )
    lines.append(f'<text x="10" y="386" class="s">{caption}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x + 250} 400" '
        'font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="Memory map of {row["model"]} on a Cortex-M4">\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(lines) + "\n</svg>\n"
    )


# --- the command line ----------------------------------------------------------


def read_rows(path: Path = ROWS) -> dict[str, Row]:
    """Returns the rows of the networks that were measured."""
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def is_current(rows: Mapping[str, Row]) -> bool:
    """Returns whether the page and the picture state the figures of the rows."""
    page, drawn = PAGE.read_text("utf-8"), PICTURE.read_text("utf-8")
    return put_block(page, page_block(rows), BEGIN) == page and picture(rows[PICTURED]) == drawn


def _measure_all(models: Sequence[str], rows: dict[str, Row]) -> list[str]:
    """Measures networks into `rows`; returns a sentence for everything that does not hold."""
    failures = []
    for record in run_many(measure_row, models, jobs=1):
        if record.result is None:
            reason = (record.error or "").strip().splitlines()[-1:]
            failures.append(f"{record.model}: {''.join(reason)}")
            continue
        before = rows.get(record.model, {})
        rows[record.model] = {**record.result, "tflm": before.get("tflm")}
        failures += [f"{record.model}: {text}" for text in record.result["disagreements"]]
        print(f"{record.model}: measured", file=sys.stderr, flush=True)
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK[:VARIANT]", help="default: all")
    parser.add_argument("--records", type=Path, metavar="DIR", help="of serenity bench")
    parser.add_argument("--check", action="store_true", help="compare, measure and write nothing")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.networks) - set(NETWORKS)):
        parser.error(f"no network {unknown[0]!r}; known are: {', '.join(NETWORKS)}")
    rows = read_rows()
    if options.check:
        if not is_current(rows):
            print(f"{PAGE.name} states other figures than {ROWS.name}: run this script")
            return 1
        return 0
    failures = _measure_all(options.networks or NETWORKS, rows)
    if options.records is not None:
        peers = read_peers(options.records)
        for model, row in rows.items():
            # Other variants than int8 are flags of IREE.
            known = model if model in peers else model.partition(":")[0]
            row["tflm"] = peers.get(known, row["tflm"])
    rows = {model: rows[model] for model in NETWORKS if model in rows}
    ROWS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    block = page_block(rows)
    print(block, end="")
    PAGE.write_text(put_block(PAGE.read_text("utf-8"), block, BEGIN), "utf-8")
    if PICTURED in rows:
        PICTURE.write_text(picture(rows[PICTURED]), "utf-8")
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
