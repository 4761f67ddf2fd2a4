# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""An order found at the hints is refused where it needs more than the stock order elsewhere."""

from __future__ import annotations

from pathlib import Path

from driver_support import TARGET, Compilers

from serenity_mlir.reports.reporting import FunctionReport, load_report

CASE = Path(__file__).parent / "models" / "cases" / "order_worse_at_large_extents.mlir"

#: Bytes of the case: two static values, and each of two values per row.
A2, B1, ROW = 128 * 8 * 4, 128 * 128 * 4, 128 * 4


def stock_order(rows: int) -> int:
    """Bytes where %a2 is first: it is held beside %b1 and %b2."""
    return A2 + B1 + ROW * rows


def other_order(rows: int) -> int:
    """Bytes where %b2 is first: with %b1, or held beside %a1 and %a2."""
    return max(B1 + ROW * rows, 2 * ROW * rows + A2)


def compile_case(
    compilers: Compilers, folder: Path, hint: int | None
) -> tuple[FunctionReport, str]:
    path = folder / "report.json"
    flags = [] if hint is None else [f"--serenity-dim-hint=arg0:axis0={hint}"]
    run = compilers.ours(
        *(CASE, *TARGET, "--compile-to=stream", "-o", "/dev/null"),
        *(f"--serenity-report={path}", *flags),
    )
    assert run.code == 0, run.err
    (function,) = load_report(path).called
    return function, run.err


def test_an_order_that_is_worse_at_large_extents_is_refused(
    compilers: Compilers, tmp_path: Path
) -> None:
    # Better where the default hint is, worse where the check looks.
    assert other_order(64) < stock_order(64) and other_order(4096) > stock_order(4096)
    function, messages = compile_case(compilers, tmp_path, None)
    (remark,) = [line for line in messages.splitlines() if "keeps the stock order" in line]
    assert (
        "'main' keeps the stock order: where every dynamic dimension is 4096, the order found at "
        f"the hints needs {other_order(4096)} bytes, more than {stock_order(4096)}; "
        "another --serenity-dim-hint may find one that does not"
    ) in remark
    assert function.transient_peak_bytes is None and "order" not in function.used
    assert function.bytes_formula is not None
    assert function.bytes_formula.text == f"{A2 + B1} + {ROW}*d0"
    assert function.bytes_formula.hint_bytes == stock_order(64)


def test_no_order_is_refused_at_a_hint_where_the_stock_order_is_best(
    compilers: Compilers, tmp_path: Path
) -> None:
    function, messages = compile_case(compilers, tmp_path, 4096)
    assert "keeps the stock order" not in messages
    assert function.bytes_formula is not None
    assert function.bytes_formula.hint_bytes == stock_order(4096)
