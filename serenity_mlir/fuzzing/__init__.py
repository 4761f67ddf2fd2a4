# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Differential testing of the compiler with random programs (``docs/fuzzing.md``).

| module | what it does |
|---|---|
| `program` | programs as data |
| `printing`, `emitters` | their text |
| `generator` | a program from a seed and a number |
| `stream_ir` | transient memory read from the text of the stream phase |
| `structure` | both compilers' modules compared in the stream phase |
| `inputs` | arguments for a program's functions |
| `execution` | both compilers' modules run, results and bytes compared |
| `promises` | bounds and memory budgets held against the allocator |
| `judging` | whether the stock compiler itself is wrong |
| `reducing` | failing programs made small |
| `campaign` | many programs, in batches |
"""

from __future__ import annotations

from serenity_mlir.fuzzing.campaign import Settings, Totals, batches, run_batch
from serenity_mlir.fuzzing.generator import GENERATOR_VERSION, generate
from serenity_mlir.fuzzing.program import Program

__all__ = [
    "GENERATOR_VERSION",
    "Program",
    "Settings",
    "Totals",
    "batches",
    "generate",
    "run_batch",
]
