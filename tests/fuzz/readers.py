# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fuzz targets of the readers of graph instances (JSON) and offset instances (CSV).

    python tests/fuzz/readers.py graphs|buffers -runs=100000 tests/fuzz/corpus/graphs

runs under Atheris (libFuzzer for Python; all its flags work) where that is installed. The tests
call `run_mutants`, which needs nothing and does not look at coverage.

A reader returns an instance, or raises its own error with a message; anything else is a defect.
The instance must survive being written and read again, and the solver must take it.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from serenity_mlir.core import offsets, scheduling

CORPUS = Path(__file__).resolve().parent / "corpus"

#: Words that a blind mutation would hardly find.
WORDS = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r",
    b"\0",
    b"-",
    b"\xff",
    b"\xef\xbb\xbf",
    b"null",
    b"true",
    b"NaN",
    b"1e999",
    b"0.5",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"9" * 5000,
    b"\\ud800",
    b"\\u0000",
    b'"version":1',
    b'"uses":["a"]',
    b'"after":["p"]',
    b"x" * 140_000,
    b"[" * 2000,
    b"alignment",
    b"offset",
    b"gaps",
    b"1-3:0-4",
    b"id,lower,upper,size\n",
)


def graphs(data: bytes) -> bool:
    """Reads a graph instance; returns whether it is one."""
    try:
        problem = scheduling.Problem.from_json(data.decode("utf-8", "surrogateescape"))
    except scheduling.ProblemError as error:
        assert str(error)
        return False
    text = problem.to_json()
    assert scheduling.Problem.from_json(text) == problem
    if len(problem.operations) <= 50:
        result = scheduling.schedule(problem, state_limit=200)
        assert scheduling.simulate(problem, result.order).peak_bytes == result.peak_bytes
        json.dumps(result.to_dict())
    return True


def buffers(data: bytes) -> bool:
    """Reads an offset instance; returns whether it is one."""
    try:
        instance = offsets.parse_csv(data.decode("utf-8", "surrogateescape"))
    except offsets.OffsetsError as error:
        assert str(error)
        return False
    if len(instance) <= 50:
        packing = offsets.pack_buffers(instance, node_limit=200)
        assert offsets.verify(instance, packing.offsets) is None
        json.dumps(packing.to_dict())
    return True


TARGETS: dict[str, Callable[[bytes], bool]] = {"graphs": graphs, "buffers": buffers}


def seeds(name: str) -> list[bytes]:
    """Returns the corpus of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Returns the input with one to three changes, half of which keep its form."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(data))
        kind = rng.choice((0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7))
        if kind == 0:
            data = data[:at] + rng.choice(WORDS) + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + rng.randint(1, 8) :]
        elif kind == 2:
            numbers = list(re.finditer(rb"\d+", data))
            if numbers:
                found = rng.choice(numbers)
                data = data[: found.start()] + rng.choice(WORDS) + data[found.end() :]
        elif kind == 3:
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == 4:
            other = rng.choice(others)
            start = rng.randint(0, len(other))
            data = data[:at] + other[start : start + rng.randint(1, 60)] + data[at:]
        elif kind == 5:
            data = data[:at]
        else:
            # A number for a number, a word for a word.
            pattern = rb"\d+" if kind == 6 else rb'"[^"]*"'
            found_all = list(re.finditer(pattern, data))
            if found_all:
                old = rng.choice(found_all)
                small = str(rng.randint(0, 20)).encode()
                new = small if kind == 6 else rng.choice(found_all).group()
                data = data[: old.start()] + new + data[old.end() :]
    return data


def run_mutants(name: str, count: int, seed: int) -> int:
    """Runs a target on its corpus and on mutants of it; returns how many were instances.

    Raises:
      AssertionError: With the input, if the target does anything but read it or refuse it.
    """
    rng = random.Random(seed)
    corpus = seeds(name)
    accepted = 0
    inputs = [*corpus, *(mutate(rng.choice(corpus), corpus, rng) for _ in range(count))]
    for data in inputs:
        try:
            accepted += TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name}: {error!r} on {data[:2000]!r}") from error
    return accepted


def main(arguments: list[str]) -> None:
    """Runs a target under Atheris."""
    try:
        import atheris
    except ImportError:
        sys.exit("Atheris is not installed: python -m pip install atheris")
    target = TARGETS[arguments[1]]
    # The readers alone: with all of numpy it takes minutes to begin.
    with atheris.instrument_imports(include=["serenity_mlir"]):
        importlib.reload(scheduling)
        importlib.reload(offsets)

    def run(data: bytes) -> None:
        target(data)

    atheris.Setup([arguments[0], *arguments[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
