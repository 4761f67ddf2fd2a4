# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random valid programs, each a function of (seed, index) and the generator's version alone.

A program is made of *motifs*: small patterns of networks and of tensor code, applied to values
drawn from a pool of those made so far, so that lifetimes overlap and tensors are shared. The
patterns that rewriting is for (concatenation before a convolution or a product, sums of several
tensors) come more often than chance would bring them.

Every family of motifs is a module with a class that extends the one before it.

Python's generator seeded with a string does not depend on the hash seed, and only the draws whose
algorithm is the same in all supported Pythons are used.
"""

from __future__ import annotations

import random

from serenity_mlir.fuzzing.generator.liveness import remove_dead
from serenity_mlir.fuzzing.generator.programs import Programs
from serenity_mlir.fuzzing.program import Program

__all__ = ["GENERATOR_VERSION", "generate", "remove_dead"]

#: Version 1 has none of the families `dynamic`, `loops`, `indexing`, `quantised` and `storage`;
#: those before 4 have no networks with a dynamic batch; those before 5 draw convolutional ones for
#: VMVX, too, where the stock compiler's modules do not run; those before 6 have no value that goes
#: down a level of resolution and up again beside itself; those before 7 have no
#: squeeze-and-excitation.
GENERATOR_VERSION = 7


def generate(
    seed: int, index: int, *, vmvx: bool = False, version: int = GENERATOR_VERSION
) -> Program:
    """Return program number `index` of a seed.

    Args:
      seed: of a series of programs.
      index: of the program.
      vmvx: leave out operations that the VMVX backend does not compile (floats of 16 bits, negation
        and absolute value of floats) or gets wrong: its registers have 32 bits, and bytes
        computed in them (not loaded) are not extended by their sign before they are compared,
        shifted or made positive.
      version: of the generator, at most `GENERATOR_VERSION`; the programs of a version stay.
    """
    return Programs(random.Random(f"serenity fuzz {seed} {index}"), vmvx, version).program()
