# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Combines records and computes figures from them: one way of counting for every system."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from serenity_mlir._versions import iree_version, serenity_version
from serenity_mlir.benchmarking import work
from serenity_mlir.benchmarking.document import ratio_cell
from serenity_mlir.benchmarking.peer_runs import PEERS, Figure
from serenity_mlir.benchmarking.session import Selection
from serenity_mlir.reports.reporting import FunctionReport, ReportError, load_report
from serenity_mlir.running import Record

__all__ = [
    "COUNTED",
    "IREE",
    "OURS",
    "OVERWRITING",
    "Counting",
    "Failure",
    "Results",
    "collect",
    "geometric_mean",
    "load_function",
    "mean_cell",
]

#: Whether a graph's inputs and outputs are counted, for all systems alike.
Counting = Literal["without_io", "with_io"]

#: The same in words.
COUNTED: dict[Counting, str] = {
    "without_io": "without inputs and outputs",
    "with_io": "with inputs and outputs",
}

IREE = "IREE default"
OURS = "serenity"
#: With ``--serenity-inputs=overwrite``, where inputs and outputs are counted.
OVERWRITING = "serenity, inputs overwritten"


def _overwriting_problems(run: Mapping[str, Any]) -> list[str]:
    """Returns what does not hold of a network that ran with inputs overwritten."""
    problems = [f"inputs overwritten: {problem}" for problem in run["disagreements"]]
    if not run["bitwise_equal"] and len(set(run["fusion"])) == 1:
        problems.append(
            "inputs overwritten: outputs differ from those with kept ones by "
            f"{run['largest_difference']:.2g} with --serenity-rewrite=off"
        )
    return problems


@dataclass(frozen=True)
class Failure:
    """A measurement that gave no figure.

    Attributes:
      step: name of the step.
      title: the same for people.
      network: the one that was measured.
      reason: why.
    """

    step: str
    title: str
    network: str
    reason: str


@dataclass(frozen=True)
class Results:
    """All that was measured; sizes in bytes, times in seconds unless their name says otherwise.

    Attributes:
      date: of the report, UTC.
      versions: by package.
      machine: processor and system.
      networks: names, in order.
      sizes: result of `work.measure_bytes` by network.
      runs: of `work.measure_run`.
      overwriting: of `work.measure_overwriting`.
      schedulers: of `work.measure_scheduling`.
      peers: of `work.measure_peer`, by peer and network.
      quantized: of `work.measure_quantized`.
      storage: integers of the activations of these.
      failures: the work that gave no result.
      skipped: why peers were not asked.
    """

    date: str
    versions: Mapping[str, str]
    machine: str
    networks: Sequence[str]
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    overwriting: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedulers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    peers: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    quantized: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    storage: str | None = None
    failures: Sequence[Failure] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns the results as JSON data."""
        return {
            "schema": 1,
            "date": self.date,
            "versions": dict(self.versions),
            "machine": self.machine,
            "networks": list(self.networks),
            "bytes": dict(self.sizes),
            "runs": dict(self.runs),
            "overwriting": dict(self.overwriting),
            "schedulers": dict(self.schedulers),
            "peers": dict(self.peers),
            "quantized": dict(self.quantized),
            "storage": self.storage,
            "systems": {
                counting: {name: dict(self.systems(name, counting)) for name in self.networks}
                for counting in ("without_io", "with_io")
            },
            "failures": [vars(failure) for failure in self.failures],
            "skipped": dict(self.skipped),
        }

    @property
    def our_failures(self) -> dict[str, str]:
        """Failures of serenity_mlir, by network: no figure, or a prediction that did not hold."""
        found = {
            failure.network: failure.reason
            for failure in self.failures
            if not failure.step.startswith("peer-")
        }
        for name, problems in self.disagreements.items():
            found[name] = "; ".join(problems)
        return found

    @property
    def disagreements(self) -> dict[str, list[str]]:
        """What serenity_mlir promises and what was measured otherwise, by network."""
        found: dict[str, list[str]] = {}
        for name, sizes in self.sizes.items():
            kept = self.systems(name, "with_io").get(OURS)
            overwriting = sizes.get("overwriting_peak_bytes")
            if kept is not None and overwriting is not None and overwriting > kept:
                found[name] = [f"{overwriting:,} bytes with inputs overwritten, {kept:,} with kept"]
        for name, run in self.runs.items():
            found.setdefault(name, []).extend(run["disagreements"])
        for name, run in self.overwriting.items():
            found.setdefault(name, []).extend(_overwriting_problems(run))
        for name, of in self.quantized.items():
            if of["run"] is not None:
                problems = [f"{self.storage}: {problem}" for problem in of["run"]["disagreements"]]
                found.setdefault(name, []).extend(problems)
        return {name: problems for name, problems in found.items() if problems}

    def in_sets(self, *sets: str | None) -> list[str]:
        """Returns the networks of these sets that have figures; None is for files."""
        return [n for n in self.networks if n in self.sizes and self.sizes[n]["set"] in sets]

    def figures(self, storage: str = "float32") -> list[Figure]:
        """Returns the figures of the peers with activations of a type that gave any result."""
        return [
            figure
            for name, peer in PEERS.items()
            if self.peers.get(name) and peer.storage == storage
            for figure in peer.figures
        ]

    def peer_bytes(
        self, network: str, counting: Counting, storage: str = "float32"
    ) -> dict[str, int]:
        """Returns the bytes of activations, of a type, of every peer that has a figure."""
        found: dict[str, int] = {}
        for name, of_peer in self.peers.items():
            answer = of_peer.get(network)
            if answer is None or PEERS[name].storage != storage:
                continue
            for figure in PEERS[name].figures:
                values = [
                    answer["figures"][setting][counting]
                    for setting in figure.settings
                    if setting in answer["figures"]
                ]
                known = [value for value in values if value is not None]
                if known:
                    found[figure.title] = min(known)
        return found

    def systems(self, network: str, counting: Counting) -> dict[str, int]:
        """Returns the bytes of float32 activations of every system that has a figure."""
        found: dict[str, int] = {}
        sizes = self.sizes.get(network)
        if sizes is not None:
            external = sizes["external_bytes"] if counting == "with_io" else 0
            for system, key in ((IREE, "stock"), (OURS, "serenity")):
                if sizes["transient_peak_bytes"][key] is not None and external is not None:
                    found[system] = sizes["transient_peak_bytes"][key] + external
            overwriting = sizes.get("overwriting_peak_bytes")
            if counting == "with_io" and overwriting is not None:
                found[OVERWRITING] = overwriting
        return {**found, **self.peer_bytes(network, counting)}

    def ratios(
        self, system: str, networks: Iterable[str], counting: Counting, base: str = OURS
    ) -> list[float]:
        """Returns a system's bytes over those of `base`, for the networks where both are known."""
        found = []
        for network in networks:
            of = self.systems(network, counting)
            if system in of and of.get(base):
                found.append(of[system] / of[base])
        return found

    def least_other(self, network: str, counting: Counting) -> int | None:
        """Returns the bytes of the smallest system that is neither IREE nor serenity."""
        ours = (IREE, OURS, OVERWRITING)
        of = self.systems(network, counting)
        return min((size for system, size in of.items() if system not in ours), default=None)

    def not_smallest(self, counting: Counting) -> dict[str, list[str]]:
        """Returns the other systems that need less than serenity by default, by network."""
        found = {}
        for network in self.networks:
            of = self.systems(network, counting)
            smaller = [
                system
                for system, size in of.items()
                if OURS in of and system != OVERWRITING and size < of[OURS]
            ]
            if smaller:
                found[network] = smaller
        return found


def geometric_mean(values: Sequence[float]) -> float | None:
    """Returns the geometric mean, None of nothing."""
    return statistics.geometric_mean(values) if values else None


def mean_cell(values: Sequence[float | None]) -> str:
    """Returns the geometric mean of the values that are known, and their number, for a table."""
    known = [value for value in values if value is not None]
    return f"{ratio_cell(geometric_mean(known))} ({len(known)})" if known else "-"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _last_line(text: str | None) -> str:
    lines = [line for line in (text or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no message"


_TITLES = {
    "bytes": "compilation to memory",
    "runs": "compilation and run",
    "overwriting": "run with inputs overwritten",
    "scheduling": "schedulers",
    "quantized": "quantized version",
}


def collect(
    selection: Selection,
    records: Mapping[str, Mapping[str, Record]],
    skipped: Mapping[str, str],
) -> Results:
    """Puts the records of all steps together, under the date of today.

    Args:
      selection: of the run.
      records: by step and network, from `session.run`.
      skipped: from `session.plan`.
    """
    failures = []
    by_step: dict[str, dict[str, Mapping[str, Any]]] = {}
    for step, of_step in records.items():
        kept = by_step.setdefault(step, {})
        peer = PEERS.get(step.removeprefix("peer-"))
        title = peer.title if peer is not None else _TITLES.get(step, step)
        for name, record in of_step.items():
            if record.result is None:
                failures.append(Failure(step, title, name, _last_line(record.error)))
            elif "unsupported" in record.result:
                failures.append(Failure(step, title, name, record.result["unsupported"]))
            else:
                kept[name] = record.result
    peers = {name: by_step[f"peer-{name}"] for name in PEERS if f"peer-{name}" in by_step}
    versions = {"serenity-mlir": serenity_version(), "iree-base-compiler": iree_version() or "?"}
    for of_peer in peers.values():
        for answer in of_peer.values():
            versions.update(answer["versions"])
    system = f"{platform.system()} {platform.machine()}"
    return Results(
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        versions=versions,
        machine=f"{_processor()}, {len(os.sched_getaffinity(0))} processors, {system}",
        networks=[work.model_name(model) for model in selection.models],
        sizes=by_step.get("bytes", {}),
        runs=by_step.get("runs", {}),
        overwriting=by_step.get("overwriting", {}),
        schedulers=by_step.get("scheduling", {}),
        peers=peers,
        quantized=by_step.get("quantized", {}),
        storage=selection.storage,
        failures=failures,
        skipped=skipped,
    )


def load_function(reports: Path, network: str) -> FunctionReport | None:
    """Returns the entry of the compiler's report on a network's function; None without one."""
    try:
        report = load_report(reports / f"{network}.json")
    except (OSError, ReportError):
        return None
    functions = report.called
    return functions[0] if len(functions) == 1 else None
