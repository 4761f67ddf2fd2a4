# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Flags that cannot act on a compilation say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ADD_MODULE
from driver_support import TARGET, Compilers, Run, slabs
from models import weights

from serenity_mlir.reports.reporting import load_report

CASES = Path(__file__).parent / "models" / "cases"


@pytest.fixture(scope="module")
def phases(compilers: Compilers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A module as source and at the phases from which few or none of the serenity passes run."""
    folder = tmp_path_factory.mktemp("phases")
    source = folder / "start.mlir"
    source.write_text(ADD_MODULE)
    found = {"start": source}
    for phase in ("flow", "stream"):
        found[phase] = folder / f"{phase}.mlir"
        assert (
            compilers.stock(source, *TARGET, f"--compile-to={phase}", "-o", found[phase]).code == 0
        )
    return found


@pytest.mark.parametrize(
    ("start", "flags", "cause"),
    [
        ("stream", ["--compile-from=stream"], "--compile-from=stream no pass of serenity runs"),
        ("start", ["--compile-to=flow"], "--compile-to=flow no memory is laid out"),
        ("start", ["--compile-to=preprocessing"], "--compile-to=preprocessing no pass of serenity"),
    ],
)
def test_a_budget_that_cannot_be_checked(
    compilers: Compilers,
    phases: dict[str, Path],
    tmp_path: Path,
    start: str,
    flags: list[str],
    cause: str,
) -> None:
    out = tmp_path / "out"
    budget = ["--serenity-schedule", "--serenity-memory-budget=4096"]
    failed = compilers.ours(phases[start], *TARGET, *flags, *budget, "-o", out)
    assert failed.code == 3 and not out.exists()
    assert f"error: the memory budget of 4096 bytes cannot be checked: with {cause}" in failed.err
    assert "--serenity-budget-policy=warn" in failed.err
    warned = compilers.ours(
        phases[start], *TARGET, *flags, *budget, "--serenity-budget-policy=warn", "-o", out
    )
    assert warned.code == 0 and out.exists()
    assert "warning: the memory budget of 4096 bytes cannot be checked" in warned.err


@pytest.mark.parametrize(
    ("start", "flags", "idle"),
    [
        ("stream", ["--compile-from=stream", "--serenity-schedule"], "--serenity-schedule has"),
        (
            "stream",
            ["--compile-from=stream", "--serenity-rewrite=always", "--serenity-offsets=greedy"],
            "--serenity-rewrite, --serenity-offsets have",
        ),
        ("start", ["--compile-to=flow", "--serenity-offsets=iree"], "--serenity-offsets has"),
        ("flow", ["--compile-from=flow", "--serenity-rewrite=always"], "--serenity-rewrite has"),
        # A step that is switched off does not run.
        ("stream", ["--compile-from=stream", "--serenity-schedule=off"], ""),
        ("flow", ["--compile-from=flow", "--serenity-rewrite=off"], ""),
        ("start", ["--compile-to=stream", "--serenity-rewrite=auto"], ""),
    ],
)
def test_flags_without_effect_are_named(
    compilers: Compilers, phases: dict[str, Path], start: str, flags: list[str], idle: str
) -> None:
    run = compilers.ours(phases[start], *TARGET, *flags, "-o", "/dev/null")
    assert run.code == 0, run.err
    assert ("no effect" in run.err) == bool(idle)
    if idle:
        assert f"{idle} no effect" in run.err


#: Sizes depend on axis 0 of argument 0 alone: argument 1 is static, argument 2 is not read.
ONE_DYNAMIC_AXIS = """
func.func @main(%x: tensor<?x8xf32>, %y: tensor<4x8xf32>, %z: tensor<?xf32>)
    -> (tensor<?x8xf32>, tensor<4x8xf32>) {
  %0 = math.exp %x : tensor<?x8xf32>
  %1 = math.exp %y : tensor<4x8xf32>
  return %0, %1 : tensor<?x8xf32>, tensor<4x8xf32>
}
"""


@pytest.mark.parametrize("phase", ["flow", "stream"])
@pytest.mark.parametrize("kind", ["hint", "bound"])
def test_hints_and_bounds_for_dimensions_that_no_size_depends_on(
    compilers: Compilers, tmp_path: Path, phase: str, kind: str
) -> None:
    source = tmp_path / "model.mlir"
    source.write_text(ONE_DYNAMIC_AXIS)
    report = tmp_path / "report.json"
    names = [f"arg{name}" for name in ("0:axis0", "0:axis1", "1:axis0", "2:axis0", "9:axis0")]
    hints = [f"--serenity-dim-{kind}={name}=7" for name in names]
    command = [source, *TARGET, f"--compile-to={phase}", "-o", "/dev/null"]
    run = compilers.ours(*command, *hints, f"--serenity-report={report}")
    assert run.code == 0, run.err
    warnings = [
        f"--serenity-dim-{kind}={name}=7 has no effect: no size in the module depends on {name}; "
        "sizes depend on arg0:axis0"
        for name in names[1:]
    ]
    shown = [line for line in run.err.splitlines() if f"dim-{kind}" in line]
    assert [line.split("warning: ")[1] for line in shown] == warnings
    assert [text for text in load_report(report).remarks if f"dim-{kind}" in text] == warnings
    assert "no effect" not in compilers.ours(*command, hints[0]).err


def test_a_hint_for_a_module_of_static_sizes(compilers: Compilers, phases: dict[str, Path]) -> None:
    hint = "--serenity-dim-hint=arg0:axis0=7"
    run = compilers.ours(phases["start"], *TARGET, "--compile-to=stream", hint, "-o", "/dev/null")
    assert run.code == 0, run.err
    (warning,) = [line for line in run.err.splitlines() if "no effect" in line]
    assert warning.endswith(
        f"warning: {hint} has no effect: no size in the module depends on arg0:axis0; "
        "all sizes are static or computed during the call"
    )


def test_a_slab_above_the_allocation_limit_is_named(compilers: Compilers) -> None:
    model = CASES / "dynamic_and_static_function.mlir"
    command = [model, *TARGET, "--compile-to=stream", "-o", "/dev/null", "--serenity-schedule"]
    limit = "--iree-stream-resource-max-allocation-size"
    run = compilers.ours(*command, f"{limit}=1024")
    assert run.code == 0
    # Four pieces of 512 floats: 2,048 bytes in function @ffn; 256 bytes in @dyn are below it.
    assert f"function 'ffn' has a slab of 2048 bytes, more than {limit}=1024" in run.err
    assert "function 'dyn'" not in run.err
    assert "has a slab" not in compilers.ours(*command, f"{limit}=2048").err


def test_the_allocation_limit_acts_as_in_the_stock_compiler(
    compilers: Compilers, tmp_path: Path
) -> None:
    """Constants are split by it, a slab never is; the flag named in the warning holds the limit."""
    square = "tensor<16x16xf32>"
    source = tmp_path / "model.mlir"
    constants = "".join(f"  %w{i} = arith.constant {weights(i, (16, 16))}\n" for i in range(3))
    products = "".join(
        f"  %x{i + 1} = linalg.matmul ins(%x{i}, %{other} : {square}, {square}) "
        f"outs(%z : {square}) -> {square}\n"
        for i, other in enumerate(["w0", "w1", "x1", "w2"])
    )
    source.write_text(
        f"func.func @main(%x0: {square}) -> {square} {{\n"
        f"  %z = arith.constant dense<0.0> : {square}\n{constants}{products}"
        f"  return %x4 : {square}\n}}\n"
    )
    command = [source, *TARGET, "--compile-to=stream", "-o", "-"]
    # A constant, and each of three products that are alive together, has 1,024 bytes. One of these
    # lies in the memory of the result.
    limit = "--iree-stream-resource-max-allocation-size=1024"

    def constants_and_slabs(run: Run) -> tuple[int, list[int]]:
        assert run.code == 0, run.err
        text = run.out.decode()
        return text.count("util.global private"), slabs(text)

    stock, limited = compilers.stock(*command), compilers.stock(*command, limit)
    ours = compilers.ours(*command, limit)
    unlimited, (held, (slab,)) = constants_and_slabs(stock), constants_and_slabs(limited)
    assert slab == 3072 and unlimited[1] == [slab] and unlimited[0] < held
    assert constants_and_slabs(ours) == (held, [2048])
    (warning,) = [line for line in ours.err.splitlines() if "has a slab" in line]
    assert warning.endswith("--serenity-memory-budget=1024 does")
    refused = compilers.ours(*command, limit, "--serenity-memory-budget=1024")
    assert refused.code == 3 and "exceeds its memory budget by 1024 bytes" in refused.err
