# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The readers of graph and offset instances on mutants of a small corpus; see tests/fuzz."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "fuzz"))

import readers

pytestmark = pytest.mark.one_release


@pytest.mark.parametrize("name", readers.TARGETS)
def test_corpus_has_both_kinds(name: str) -> None:
    answers = {readers.TARGETS[name](data) for data in readers.seeds(name)}
    assert answers == {True, False}


@pytest.mark.parametrize("name", readers.TARGETS)
def test_mutants_are_read_or_refused(name: str) -> None:
    accepted = readers.run_mutants(name, count=4000, seed=1)
    assert 40 < accepted < 3900


def test_found_by_mutants() -> None:
    from serenity_mlir.core.offsets import OffsetsError, parse_csv
    from serenity_mlir.core.scheduling import Problem, ProblemError

    digits = "9" * 5000
    with pytest.raises(ProblemError, match="an integer exceeds 64 bits: 99999999999999999999"):
        Problem.from_json(f'{{"version":1,"buffers":[{{"name":"a","bytes":{digits}}}]}}')
    with pytest.raises(ProblemError, match="'name' is no Unicode text"):
        Problem.from_json('{"version":1,"buffers":[],"operations":[{"name":"\\ud800"}]}')
    with pytest.raises(OffsetsError, match=r"^<string>:2: not CSV: field larger than"):
        parse_csv("id,lower,upper,size\n" + "x" * 140_000 + ",0,1,1\n")
