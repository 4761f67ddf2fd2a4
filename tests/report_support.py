# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reports as JSON data with every field, for tests that need some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serenity_mlir.measuring.checking import CheckResult
from serenity_mlir.reports.reporting import REPORT_SCHEMA


def make_region(**changes: Any) -> dict[str, Any]:
    """Returns a region without a slab."""
    return {
        "location": None,
        "predicted_bytes": 0,
        "slab_bytes": 0,
        "lower_bound_bytes": 0,
        "optimal": True,
        "proved_by": "search",
        "offsets_optimal": True,
        "states": 3,
        "seconds": None,
        "left_alone": None,
        "recomputed": [],
        "work": 0,
        "concurrent_groups": 0,
        "concurrent_operations": 0,
        "live_bytes": [],
        "buffers": [],
        "reused_memory": [],
        "operations": [],
        "externals": [],
        **changes,
    }


def make_function(**changes: Any) -> dict[str, Any]:
    """Returns a function that allocates nothing."""
    return {
        "name": "main$async",
        "exported_as": "main",
        "initializer": False,
        "transient_peak_bytes": 0,
        "stock_transient_peak_bytes": 0,
        "bytes_formula": None,
        "stock_bytes_formula": None,
        "stock_call_peak_bytes": None,
        "caller_arena_bytes": None,
        "external_bytes": 0,
        "peak_bytes": 0,
        "peak_is_exact": True,
        "peak_allocations": [],
        "overwritten_inputs": [],
        "stock_overwritten_inputs": [],
        "candidates": [],
        "used": [],
        "budget": None,
        "regions": [],
        "rewrites": [],
        "stock_regions": [],
        **changes,
    }


def make_formula(text: str, **dimensions: str) -> dict[str, Any]:
    """Returns a formula of bytes, with the dimension of an argument per symbol."""
    symbols = [
        {"name": name, "dimension": dimension, "hint": 64, "bound": None}
        for name, dimension in dimensions.items()
    ]
    return {
        "text": text,
        "symbols": symbols,
        "hint_bytes": 0,
        "bound_bytes": None,
        "unbounded_because": None,
    }


def make_candidate(kind: str, peak: int | None, **changes: Any) -> dict[str, Any]:
    """Returns a candidate of the stock configuration, not chosen."""
    return {
        "index": 0,
        "kind": kind,
        "storage": "as-given",
        "multi_use_fusion": None,
        "in_place": "none",
        "unfused_producers": 0,
        "deep_streams": False,
        "rewrites": {},
        "bands": [],
        "merged_accumulations": 0,
        "extra_work": 0.0,
        "predicted_bytes": None,
        "built": True,
        "mispredicted": False,
        "transient_peak_bytes": peak,
        "hint_bytes": None,
        "chosen": False,
        **changes,
    }


def make_candidates(*rows: dict[str, Any], chosen: int = 0) -> list[dict[str, Any]]:
    """Numbers candidates and chooses one."""
    return [{**row, "index": i, "chosen": i == chosen} for i, row in enumerate(rows)]


def make_report(functions: Sequence[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """Returns a report of these functions."""
    return {
        "schema": REPORT_SCHEMA,
        "versions": {},
        "functions": list(functions),
        "rewrites": [],
        "persistent_bytes": 0,
        "search": {
            "predictions": 0,
            "trial_compilations": 0,
            "cache_hits": 0,
            "cache_misses": 0,
        },
        "budget": None,
        "quantized_values": [],
        "remarks": [],
        "seconds": {},
        **changes,
    }


def peaks_by_kind(function: dict[str, Any]) -> dict[str, int | None]:
    """Returns the peaks of the stock configuration, by kind of candidate."""
    stock = make_candidate("", None)
    choices = [key for key in stock if key.endswith(("fusion", "place", "producers", "storage"))]
    choices += ["rewrites", "bands"]
    return {
        candidate["kind"]: candidate["transient_peak_bytes"]
        for candidate in function["candidates"]
        if all(candidate[key] == stock[key] for key in choices)
    }


def chosen_kind(function: dict[str, Any]) -> str:
    """Returns the kind of the one candidate that was chosen."""
    (chosen,) = [candidate for candidate in function["candidates"] if candidate["chosen"]]
    kind: str = chosen["kind"]
    return kind


def reused(result: CheckResult) -> set[tuple[str, int | None]]:
    """Returns the kinds of memory that buffers were placed in, inputs with their argument."""
    assert result.report is not None
    return {
        (item["memory"], item["argument"])
        for function in result.report["functions"]
        for region in function["regions"]
        for item in region["reused_memory"]
    }
