# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The passes in pass managers of IREE's Python bindings."""

import pytest
from iree.compiler import ir, passmanager

from serenity_mlir import passes

# Two branches of 4096 bytes, each reduced to 64: together 8192 + 64 bytes in
# the order as given, 4096 + 64 + 64 if one branch is finished first.
MODULE = """
util.func public @main(%x: tensor<16xf32>) -> tensor<16xf32> {
  %a = flow.dispatch @big::@big(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %b = flow.dispatch @big::@big(%x) : (tensor<16xf32>) -> tensor<1024xf32>
  %0 = flow.dispatch @small::@small(%a) : (tensor<1024xf32>) -> tensor<16xf32>
  %1 = flow.dispatch @small::@small(%b) : (tensor<1024xf32>) -> tensor<16xf32>
  %r = flow.dispatch @add::@add(%0, %1) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32>
  util.return %r : tensor<16xf32>
}
flow.executable private @big { flow.executable.export public @big }
flow.executable private @small { flow.executable.export public @small }
flow.executable private @add { flow.executable.export public @add }
"""


def run(text: str, *names: str, **options: object) -> str:
    with ir.Context() as context:
        context.allow_unregistered_dialects = True
        module = ir.Module.parse(text)
        manager = passmanager.PassManager("builtin.module")
        for name in names:
            passes.add(manager, name, **options)  # type: ignore[arg-type]
        manager.run(module.operation)
        return str(module)


@pytest.mark.parametrize("scheduler", ["exact", "serenity", "heuristic"])
def test_schedule_orders_a_function(scheduler: str) -> None:
    printed = run(MODULE, "serenity-schedule", scheduler=scheduler)
    assert "serenity.estimated_peak_bytes = 4224" in printed
    order = [line.split("@")[1] for line in printed.splitlines() if "flow.dispatch" in line]
    assert [name.rstrip(":") for name in order] == ["big", "small", "big", "small", "add"]


def test_all_passes_leave_a_module_without_tensors_alone() -> None:
    text = "util.func public @main(%x: i32) -> i32 {\n  util.return %x : i32\n}"
    with ir.Context():
        before = str(ir.Module.parse(text))
    assert run(text, *passes.names()) == before


def test_unknown_names_and_options_are_refused() -> None:
    with ir.Context():
        manager = passmanager.PassManager("builtin.module")
        with pytest.raises(ValueError, match="known are serenity-store-quantized"):
            passes.add(manager, "serenity-nothing")
        with pytest.raises(ValueError, match="expected exact, greedy or iree"):
            passes.add(manager, "serenity-pack", offsets="best")
        with pytest.raises(ValueError, match="'-1' of time-limit; expected seconds"):
            passes.add(manager, "serenity-pack", time_limit=-1)
        with pytest.raises(ValueError, match="unknown option 'scheduler'; known are offsets"):
            passes.add(manager, "serenity-pack", scheduler="exact")
        with pytest.raises(ValueError, match="invalid value"):
            passes.add(manager, "serenity-pack", offsets="exact time-limit=1")
