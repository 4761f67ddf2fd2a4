# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predicted against built peaks of candidates, as a table in Markdown.

    python benchmarks/predictions.py [--reports DIR] [NETWORK...]

Compiles the networks (all without names) to their slabs by default and compares the peaks that the
fusion model predicts of candidates with those of the candidates that IREE has built. With
``--reports`` it reads ``DIR/NETWORK.json`` instead where that is there, and keeps the reports of
the others there: `serenity bench` writes such a folder, and ``history.py --reports``.

Columns: candidates that were predicted, trial compilations, candidates that were built and have a
prediction, those of them that need as much as predicted, the median of the differences and the
furthest below and above, as a share of the built bytes; bytes of the chosen candidate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from history import FLAGS, STATE_LIMIT, TIME_LIMIT

from serenity_mlir import networks
from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.predictions import (
    PredictionCounts,
    count_predictions,
    predicted_and_built,
)
from serenity_mlir.reports.reporting import Report, load_report

HEAD = (
    "| network | predicted | trials | built | equal | median | below | above | chosen, predicted | "
    "chosen, built |"
)


def report_of(name: str, folder: Path) -> Report:
    """Returns the report of a network, from `folder` or compiled into it."""
    path = folder / f"{name}.json"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="serenity-predictions-") as place:
            source = load_model(name, Path(place))
            options = SerenityOptions(report=path, state_limit=STATE_LIMIT, time_limit=TIME_LIMIT)
            output = str(Path(place) / "out.mlir")
            compile_file(source, output_file=output, extra_args=FLAGS, serenity=options)
    return load_report(path)


def percent(value: float | None) -> str:
    """Returns a share in words."""
    return "-" if value is None else f"{100 * value:.1f} %"


def cells(counts: PredictionCounts) -> list[str]:
    """Returns the columns from the number of built candidates on."""
    return [
        str(counts.built),
        str(counts.built - counts.mispredicted),
        percent(counts.median_error),
        percent(counts.least_error),
        percent(counts.greatest_error),
    ]


def rows(names: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """Returns the cells of the table, one network after the other, and those of all together."""
    every: list[tuple[int, int]] = []
    for name in names:
        report = report_of(name, folder)
        if len(report.called) != 1:
            continue  # predictions are sums over the functions of a module
        function = report.called[0]
        pairs = [(predicted, built) for _, predicted, built in predicted_and_built(function)]
        every += pairs
        chosen = chosen_candidate(function)
        yield [
            name,
            str(report.search.predictions) if report.search else "-",
            str(report.search.trial_compilations) if report.search else "-",
            *cells(count_predictions(pairs)),
            f"{chosen.predicted_bytes:,}" if chosen and chosen.predicted_bytes else "-",
            f"{function.transient_peak_bytes:,}" if function.transient_peak_bytes else "-",
        ]
    yield ["all", "", "", *cells(count_predictions(every)), "", ""]


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="all if none is given")
    parser.add_argument("--reports", type=Path, metavar="DIR", help="read and keep reports there")
    options = parser.parse_args()
    unknown = set(options.networks) - set(networks.names())
    if unknown:
        parser.error(f"unknown networks {sorted(unknown)}; known are {', '.join(networks.names())}")
    with tempfile.TemporaryDirectory(prefix="serenity-predictions-") as place:
        folder = options.reports or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        print(HEAD, flush=True)
        print("|---|" + "---:|" * (HEAD.count("|") - 2), flush=True)
        for row in rows(options.networks or networks.names(), folder):
            print("| " + " | ".join(row) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
