# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which measurements there are, and doing them: one file of records per step, resumable."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serenity_mlir import _core, networks
from serenity_mlir._native import native_tool
from serenity_mlir._versions import iree_version, serenity_version
from serenity_mlir.benchmarking import work
from serenity_mlir.benchmarking.kept_reports import KeptReports
from serenity_mlir.benchmarking.paper import GRAPHS
from serenity_mlir.benchmarking.peer_runs import (
    PEERS,
    PeerMissingError,
    default_python,
    peer_versions,
    worker_digest,
)
from serenity_mlir.errors import SerenityError
from serenity_mlir.networks.quantizing import Storage
from serenity_mlir.running import Record, Work, content_digest, run_many

#: Limit of one search of the ablation, in expanded states.
SCHEDULING_STATES = 5_000_000

__all__ = ["Selection", "Step", "plan", "run", "select_models", "select_runs"]


@dataclass(frozen=True)
class Selection:
    """The selection of measurements.

    Attributes:
      models: names of networks, and paths of ONNX files.
      peers: names out of `peer_runs.PEERS`.
      peer_python: interpreters by peer; the key ``""`` is for all that have no key of their own.
      runs: models that are compiled to the end and run, too, with inputs kept and overwritten.
      timing: measure the latency of these.
      scheduling: time the paper's scheduler and the default one.
      storage: integers of the quantized versions that are compiled too; None: no such.
      run_quantized: run them too, if `runs` has any model.
      seconds: time limit per network and step.
      jobs: networks at a time. More than one disturbs latencies.
    """

    models: Sequence[str]
    peers: Sequence[str] = ()
    peer_python: Mapping[str, str] = field(default_factory=dict)
    runs: Sequence[str] = ()
    timing: bool = True
    scheduling: bool = True
    storage: Storage | None = None
    run_quantized: bool = True
    seconds: float = 600.0
    jobs: int = 1


@dataclass(frozen=True)
class Step:
    """One measurement, of several networks.

    Attributes:
      name: of its file of records.
      title: for people.
      work: the function that is called for each model.
      models: which.
      settings: values that results depend on beside model and work.
      versions: whether they depend on the versions of serenity_mlir and IREE, too.
    """

    name: str
    title: str
    work: Work
    models: Sequence[str]
    settings: Mapping[str, Any]
    versions: bool = True


def select_models(
    names: Sequence[str] = (), sets: Sequence[str] = (), families: Sequence[str] = ()
) -> list[str]:
    """Returns the networks of the package that are named, or of the sets and families.

    Args:
      names: names and paths of ONNX files; those that are given are taken as they are.
      sets: out of `networks.SETS`; all if empty.
      families: as ``serenity networks list`` shows them, in any case; all if empty.

    Raises:
      SerenityError: something is unknown, or nothing is left (exit code 2).
    """
    known = networks.names()
    for name in names:
        if name not in known and not (name.endswith(".onnx") and Path(name).is_file()):
            raise SerenityError(
                f"{name!r} is neither an ONNX file nor a network; see `serenity networks list`",
                exit_code=2,
            )
    for name in sets:
        if name not in networks.SETS:
            raise SerenityError(
                f"no set {name!r}; known are: {', '.join(networks.SETS)}", exit_code=2
            )
    if names:
        if sets or families:
            raise SerenityError("name networks, or sets and families, not both", exit_code=2)
        return list(dict.fromkeys(names))
    infos = [networks.info(name) for name in known]
    every = sorted({info.family for info in infos})
    wanted = {family.lower() for family in families}
    if unknown := wanted - {family.lower() for family in every}:
        raise SerenityError(
            f"no family {min(unknown)!r}; known are: {', '.join(every)}", exit_code=2
        )
    return [
        info.name
        for info in infos
        if (not sets or info.set in sets) and (not wanted or info.family.lower() in wanted)
    ]


def _set_of(model: str) -> str | None:
    return networks.info(model).set if model in networks.names() else None


def select_runs(models: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Returns those of `models` that are named or of a set that is named; all if nothing is.

    Raises:
      SerenityError: a name is neither (exit code 2).
    """
    chosen = set()
    for name in wanted:
        if name not in models and name not in networks.SETS:
            raise SerenityError(f"--run {name}: neither a chosen network nor a set", exit_code=2)
        chosen |= {name} if name in models else {m for m in models if _set_of(m) == name}
    return [model for model in models if not wanted or model in chosen]


def _digest(path: str) -> str:
    """Returns a digest that differs between builds of a binary of the same version."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


@functools.cache
def _network_digest(name: str) -> str:
    return hashlib.sha256(networks.build(name, seed=work.SEED).SerializeToString()).hexdigest()


def _identify(model: str, versions: bool) -> dict[str, Any]:
    """Returns the dependences of a model's results beside the settings of a step."""
    found: dict[str, Any] = {
        "content": _network_digest(model) if model in networks.names() else content_digest(model)
    }
    if versions:
        found["versions"] = [serenity_version(), iree_version()]
    return found


def plan(selection: Selection, output: Path) -> tuple[list[Step], dict[str, str]]:
    """Returns the steps, and why peers are skipped.

    Raises:
      SerenityError: an interpreter that was named does not exist (exit code 2).
    """
    digest = _digest(native_tool("serenity-compile"))
    shared = {"compiler": digest, "seed": work.SEED}
    kept = KeptReports(str(output / "compiled"), digest)
    steps = []
    if selection.runs:
        steps.append(
            Step(
                "runs",
                "runs",
                functools.partial(
                    work.measure_run,
                    output=str(output),
                    kept=kept,
                    timing=selection.timing,
                    seconds=selection.seconds,
                ),
                selection.runs,
                {**shared, "timing": selection.timing},
            )
        )
        steps.append(
            Step(
                "overwriting",
                "runs with inputs overwritten",
                functools.partial(work.measure_overwriting, kept=kept, seconds=selection.seconds),
                selection.runs,
                shared,
            )
        )
    # Last of the three: it reads what those have compiled.
    steps.append(
        Step(
            "bytes",
            "bytes",
            functools.partial(
                work.measure_bytes, output=str(output), kept=kept, seconds=selection.seconds
            ),
            selection.models,
            shared,
        )
    )
    graphs = [model for model in selection.models if model in GRAPHS]
    if selection.scheduling and graphs:
        limit = SCHEDULING_STATES
        steps.append(
            Step(
                "scheduling",
                "schedulers",
                functools.partial(work.measure_scheduling, states=limit),
                graphs,
                {"library": _digest(_core.__file__), "states": limit},
            )
        )
    skipped = {}
    if selection.storage is not None and importlib.util.find_spec("onnxruntime") is None:
        skipped["quantized"] = (
            "quantized versions: onnxruntime is not installed; "
            "run: pip install 'serenity-mlir[quantize]'"
        )
    elif selection.storage is not None:
        running = selection.run_quantized and bool(selection.runs)
        steps.append(
            Step(
                "quantized",
                f"{selection.storage} versions",
                functools.partial(
                    work.measure_quantized,
                    storage=selection.storage,
                    output=str(output),
                    running=running,
                    timing=running and selection.timing,
                    seconds=selection.seconds,
                ),
                selection.models,
                {
                    **shared,
                    "storage": selection.storage,
                    "running": running,
                    "timing": running and selection.timing,
                },
            )
        )
    for name in selection.peers:
        peer = PEERS[name]
        python = default_python(name, selection.peer_python)
        try:
            versions = peer_versions(peer, python)
        except PeerMissingError as error:
            skipped[name] = str(error)
            continue
        steps.append(
            Step(
                f"peer-{name}",
                peer.title,
                functools.partial(
                    work.measure_peer,
                    peer=name,
                    python=python,
                    output=str(output),
                    seconds=selection.seconds,
                ),
                selection.models,
                {"peer": name, "worker": worker_digest(peer), "versions": versions},
                versions=False,
            )
        )
    return steps, skipped


def run(
    steps: Sequence[Step],
    output: Path,
    jobs: int = 1,
    progress: Callable[[Step, Record], None] | None = None,
) -> dict[str, dict[str, Record]]:
    """Runs the missing steps and returns all records, by step and name of the model.

    Args:
      steps: from `plan`.
      output: folder; ``records/STEP.jsonl`` in it hold the work done before.
      jobs: models at a time.
      progress: called with every record, as it comes.

    Raises:
      SerenityError: the folder cannot be written, or another run is writing there (exit code 2).
    """
    records = output / "records"
    try:
        records.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SerenityError(f"{records}: {error.strerror}", exit_code=2) from None
    found: dict[str, dict[str, Record]] = {}
    for step in steps:
        of_step = found.setdefault(step.name, {})
        for record in _run_step(step, records, jobs):
            of_step[work.model_name(record.model)] = record
            if progress is not None:
                progress(step, record)
    return found


def _run_step(step: Step, records: Path, jobs: int) -> Iterator[Record]:
    yield from run_many(
        step.work,
        step.models,
        settings=step.settings,
        results=records / f"{step.name}.jsonl",
        jobs=jobs,
        identify=functools.partial(_identify, versions=step.versions),
    )
