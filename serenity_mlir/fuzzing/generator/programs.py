# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whole programs: entry points, private functions, and the table of motifs."""

from __future__ import annotations

from collections.abc import Callable

from serenity_mlir.fuzzing.generator.liveness import remove_dead
from serenity_mlir.fuzzing.generator.networks import Networks
from serenity_mlir.fuzzing.program import Function, Program, Type, Value

__all__ = ["Programs"]


class Programs(Networks):
    """Draws programs."""

    def program(self) -> Program:
        """Draw the program."""
        rng = self.rng
        for i in range(rng.choice([0, 0, 0, 0, 0, 0, 1, 1, 2])):
            self.functions.append(self.helper(f"helper{i}"))
            self.callable.append(self.functions[-1])
        counts = [1, 1, 2, 2, 3] if self.theme == "dynamic" else [1] * 9 + [2, 2, 3]
        names = ["main", "second", "third"][: rng.choice(counts)]
        # Small, because time goes by operations, and a defect rarely needs many to show.
        for name in names:
            size = rng.choice([1, 1, 1, 1, 2, 2, 2, 3, 4]) if len(names) == 1 else 1
            self.functions.append(self.entry(name, size))
        program = Program(self.functions, self.globals)
        remove_dead(program)
        return program

    def first_types(self) -> list[Type]:
        """Types of the tensor arguments of a function."""
        rng = self.rng
        count = rng.choice([1, 1, 1, 2, 2, 3])
        if self.image:
            size = rng.choice([3, 4, 5, 6, 8])
            batch = None if self.dynamic else 1
            types = []
            for _ in range(count):
                types.append(self.image_type(batch, rng.choice([1, 2, 3, 4, 6, 8]), size, size))
            return types
        rows = None if self.dynamic else rng.choice([1, 2, 4, 5, 8, 12])
        return [
            Type((rows, rng.choice([1, 2, 3, 4, 6, 8, 12, 16])), self.element) for _ in range(count)
        ]

    def entry(self, name: str, motifs: int) -> Function:
        """Draw an entry point of so many motifs."""
        rng = self.rng
        if self.theme == "dynamic":
            self.dynamic = rng.random() < 0.5
        self.begin([Value(of) for of in self.first_types()])
        if rng.random() < 0.25:
            self.scalar_argument()
        # First one that leaves tensors alive side by side.
        first: list[Callable[[], object]]
        first = [self.concatenation, self.total, self.fan_out, self.motif]
        if self.version >= 6 and self.image:
            first.append(self.level)
        if self.version >= 7 and self.image:
            first.append(self.excited)
        if self.theme != "none" and rng.random() < 0.75:
            first = self.families(simple=False)[self.theme]
        rng.choice(first)()
        for _ in range(motifs - 1):
            self.motif()
        block = self.scope.block
        used = {id(v) for op in block.walk() for v in op.operands}
        used |= {id(v) for op in block.walk() for inner in op.blocks for v in inner.results}
        made = [v for op in block.operations for v in op.results if v.type.shape is not None]
        leaves = [v for v in made if id(v) not in used][-4:]
        results = leaves or [rng.choice(made or self.tensors())]
        if rng.random() < 0.2:
            results.append(rng.choice(made or self.tensors()))
        if rng.random() < 0.04:
            results.append(rng.choice([v for v in block.arguments if v.type.shape is not None]))
        if rng.random() < 0.04:
            results.append(results[0])
        block.results = results
        storage = self.stored_results(results) if self.version >= 2 else []
        return Function(name, block, storage=storage)

    def helper(self, name: str) -> Function:
        """A private function of one or two tensors."""
        rng = self.rng
        self.begin([Value(of) for of in self.first_types()[:2]])
        # Calls inside calls are rare enough to be left to the entry points.
        for _ in range(rng.choice([1, 1, 2])):
            self.motif(simple=True)
        block = self.scope.block
        block.results = [rng.choice([v for op in block.operations for v in op.results])]
        return Function(name, block, public=False, noinline=rng.random() < 0.6)

    def families(self, simple: bool) -> dict[str, list[Callable[[], object]]]:
        """The motifs of every theme; `simple` ones alone."""
        found: dict[str, list[Callable[[], object]]] = {
            "dynamic": [self.dynamic_inner_dimension, self.reduced_time_axis, self.attention],
            "loops": [self.moving_part],
            "quantised": [self.integer_chain, self.qdq_chain],
            "indexing": [self.embedding, self.gather],
            "storage": [],
        }
        # A convolution of a dynamic batch that is fused with elementwise operations exhausts the
        # memory where IREE 3.13 compiles it for VMVX.
        refused = self.version >= 5 and self.vmvx and self.image
        if self.version >= 4 and not refused:
            found["dynamic"] += [self.batched_network, self.batched_network]
        if not simple:
            found["loops"] += [self.recurrence, self.recurrence, self.cache]
            found["storage"].append(self.empty)
            if self.depth == 0:
                found["loops"] += [self.loop, self.branch]
        return found

    def motif(self, simple: bool = False) -> None:
        """Apply a random motif."""
        rng = self.rng
        choices: list[tuple[int, Callable[[], object]]] = [
            (5, self.concatenation),
            (4, self.total),
            (3, self.bottleneck),
            (1, self.self_product),
            (4, lambda: self.layer(self.pick_main())),
            (4, lambda: self.unary(self.pick_main())),
            (3, self.binary),
            (2, self.broadcast_binary),
            (2, self.several_results),
            (2, self.in_place_chain),
            (2, self.cut_out),
            (2, self.reshaping),
            (2, self.padding),
            (1, self.permuted),
            (2, self.reduction),
            (1, self.reversal),
            (1, self.fan_out),
            (1, self.constant_operand),
            (1, lambda: self.add("barrier", [value := self.pick_main()], value.type)),
        ]
        if not simple:
            if self.callable:
                choices.append((6, self.call))
            choices += [(2, self.variable)]
            if self.depth == 0:
                choices += [(2, self.branch), (2, self.loop)]
        if self.version >= 6:
            choices.append((3, self.level))
        if self.version >= 2:
            for theme, motifs in self.families(simple).items():
                choices += [(4 if theme == self.theme else 1, motif) for motif in motifs]
        total = sum(weight for weight, _ in choices)
        at = rng.randrange(total)
        for weight, motif in choices:
            if at < weight:
                motif()
                return
            at -= weight
