# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The text of ``serenity explain`` agrees with the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_support import make_candidate, make_candidates, make_function, make_region, make_report

from serenity_mlir.reports import explaining
from serenity_mlir.reports.candidates import candidate_label
from serenity_mlir.reports.reporting import RegionReport, parse_report

pytestmark = pytest.mark.one_release


def access(buffer: int, offset: int = 0, size: int = 64) -> dict[str, int]:
    return {"buffer": buffer, "offset": offset, "bytes": size}


def operation(name: str, step: int, uses: list[Any], defs: list[Any]) -> dict[str, Any]:
    return {
        "name": name,
        "location": None,
        "step": step,
        "uses": uses,
        "defs": defs,
        "external_uses": [],
        "external_defs": [],
    }


def region(**changes: Any) -> dict[str, Any]:
    """Two parts are copied into a concatenation; the left one is needed once more after it.

    Live: left from 0, right and the concatenation (128 bytes) from 1, the peak is step 2 to 3.
    """
    return {
        **make_region(predicted_bytes=256, slab_bytes=256, lower_bound_bytes=256),
        "live_bytes": [64, 256, 256, 256, 192, 64],
        "buffers": [
            {
                "name": "@left",
                "first": 0,
                "last": 5,
                "bytes": 64,
                "offset": 0,
                "element_type": None,
            },
            {
                "name": "@right",
                "first": 1,
                "last": 3,
                "bytes": 64,
                "offset": 64,
                "element_type": None,
            },
            {
                "name": "stream.cmd.copy",
                "first": 1,
                "last": 4,
                "bytes": 128,
                "offset": 128,
                "element_type": None,
            },
        ],
        "operations": [
            operation("@left", 0, [], [access(0)]),
            operation("@right", 1, [], [access(1)]),
            operation("stream.cmd.copy", 2, [access(0)], [access(2)]),
            operation("stream.cmd.copy", 3, [access(1)], [access(2, 64)]),
            operation("@whole", 4, [access(2, 0, 128)], []),
            operation("@again", 5, [access(0)], [access(0)]),
        ],
        **changes,
    }


def report(**changes: Any) -> dict[str, Any]:
    function = make_function(
        transient_peak_bytes=256, stock_transient_peak_bytes=512, peak_bytes=256
    )
    return make_report([{**function, "regions": [region()], **changes}])


def parsed(**changes: Any) -> RegionReport:
    return parse_report(report(regions=[region(**changes)])).functions[0].regions[0]


def test_dataflow_follows_the_parts_of_a_concatenation() -> None:
    assert explaining.dataflow(parsed()) == [
        (0, 2, 0),
        (1, 3, 1),
        (2, 4, 2),
        (3, 4, 2),
        (0, 5, 0),
    ]


def test_dataflow_ends_where_a_value_is_overwritten() -> None:
    operations = [
        operation("@a", 0, [], [access(0)]),
        operation("@b", 1, [access(0)], [access(0)]),
        operation("@c", 2, [access(0)], []),
    ]
    assert explaining.dataflow(parsed(operations=operations)) == [(0, 1, 0), (1, 2, 0)]


def test_peak() -> None:
    peak = explaining.peak_of(parsed())
    assert peak is not None
    assert (peak.step, peak.steps, peak.bytes, peak.operations) == (1, 6, 256, ("right",))
    whole, left, right = peak.buffers
    assert (whole.name, whole.label) == ("stream.cmd.copy", "concatenation for whole")
    assert (whole.bytes, whole.role) == (128, "holds")
    copy = "copy into the concatenation for whole"
    assert (whole.next_use, whole.next_step, whole.later_uses) == (copy, 2, 3)
    assert (left.role, left.next_step, left.last_use) == ("holds", 2, "again")
    assert (right.role, right.next_use, right.next_step) == ("writes", copy, 3)


def test_labels_say_what_copies_are_for() -> None:
    operations = [
        operation("stream.cmd.fill", 0, [], [access(0)]),
        operation("@pad", 1, [access(0)], [access(0)]),
        operation("stream.cmd.copy", 2, [access(0)], [access(1)]),
        operation("@user", 3, [access(1)], []),
        operation("stream.cmd.fill", 4, [], [access(2)]),
        {
            **operation("stream.cmd.copy", 5, [access(2)], []),
            "external_defs": [access(0)],
        },
    ]
    buffers = [
        {"name": name, "first": 0, "last": 5, "bytes": 64, "offset": 64 * i, "element_type": None}
        for i, name in enumerate(["@pad", "stream.cmd.copy", "stream.cmd.fill"])
    ]
    externals = [{"name": None, "kind": "result", "bytes": 64}]
    found = parsed(operations=operations, buffers=buffers, externals=externals)
    assert explaining.buffer_labels(found) == ("pad", "copy for user", "fill")
    assert explaining.operation_labels(found) == (
        "fill into pad",
        "pad",
        "copy for user",
        "user",
        "fill",
        "copy into the result",
    )


def test_labels_begin_with_the_node_of_the_model() -> None:
    """Layers share an entry point, as equal layers do. Lines of files tell them apart as well."""
    places = [
        'loc("layer1/conv"("model.mlir":3:5))',
        'loc("layer2/conv")',
        'loc("some/folder/model.mlir":7:11)',
        None,
    ]
    operations = [
        {**operation("@conv", 0, [], [access(0)]), "location": places[0]},
        {**operation("@conv", 1, [], [access(1)]), "location": places[1]},
        {**operation("@conv", 2, [access(0), access(1)], [access(2)]), "location": places[2]},
        {**operation("@sum", 3, [access(2)], []), "location": places[0]},
    ]
    buffers = [
        {
            "name": "@conv",
            "first": i,
            "last": last,
            "bytes": 64,
            "offset": 64 * i,
            "element_type": None,
        }
        for i, last in enumerate([2, 2, 3])
    ]
    found = parsed(operations=operations, buffers=buffers, live_bytes=[64, 128, 192, 64])
    peak = explaining.peak_of(found)
    assert peak is not None and peak.step == 2
    # Equally large ones in the order in which they begin.
    assert [live.label for live in peak.buffers] == [
        "layer1/conv (conv)",
        "layer2/conv (conv)",
        "conv (model.mlir:7)",
    ]
    assert peak.operations == ("conv (model.mlir:7)",)
    last = ["conv (model.mlir:7)"] * 2 + ["layer1/conv (sum)"]
    assert [live.last_use for live in peak.buffers] == last
    # At one line, or at none, the location tells nothing apart.
    same = [{**each, "location": places[2]} for each in operations]
    unplaced = [{**each, "location": None} for each in operations]
    for changed in same, unplaced:
        peak = explaining.peak_of(
            parsed(operations=changed, buffers=buffers, live_bytes=[64, 128, 192, 64])
        )
        assert peak is not None
        assert [live.label for live in peak.buffers] == ["conv"] * 3


def test_peak_without_operations_or_buffers() -> None:
    peak = explaining.peak_of(parsed(operations=[]))
    assert peak is not None and peak.operations == ()
    assert peak.buffers
    assert all(live.next_use is None and live.role == "holds" for live in peak.buffers)
    assert explaining.peak_of(parsed(buffers=[], operations=[])) is None


def stock(peak: int | None) -> dict[str, Any]:
    return make_candidate("stock", peak)


def offsets(peak: int | None) -> dict[str, Any]:
    return make_candidate("stock-order", peak)


def ours(peak: int | None, **changes: Any) -> dict[str, Any]:
    return make_candidate("serenity", peak, **changes)


@pytest.mark.parametrize(
    ("rows", "chosen", "expected"),
    [
        (
            [stock(512), offsets(500), ours(400)],
            2,
            [("stock", 512, 0), ("offsets", 500, 12), ("order", 400, 100)],
        ),
        ([stock(512), offsets(512)], 0, [("stock", 512, 0)]),
        ([stock(512), offsets(500), ours(510)], 1, [("stock", 512, 0), ("offsets", 500, 12)]),
        # Own order alone loses, the rewritten candidate gains; the candidate of another fusion is
        # no step, since the chosen one does not have its change.
        (
            [
                stock(512),
                offsets(500),
                ours(510),
                ours(450, in_place="last-use"),
                ours(300, multi_use_fusion=False),
                ours(256, in_place="last-use", rewrites={"sum": 3}),
            ],
            5,
            [
                ("stock", 512, 0),
                ("offsets", 500, 12),
                ("order", 510, -10),
                ("configuration", 450, 60),
                ("configuration", 256, 194),
            ],
        ),
        # Candidates that were not built have no peak, so they are no steps.
        (
            [stock(512), ours(None, built=False), ours(256, rewrites={"sum": 3})],
            2,
            [("stock", 512, 0), ("configuration", 256, 256)],
        ),
        ([stock(None), ours(100)], 1, []),
    ],
)
def test_gains(
    rows: list[dict[str, Any]], chosen: int, expected: list[tuple[str, int, int]]
) -> None:
    compared = make_candidates(*rows, chosen=chosen)
    function = parse_report(report(candidates=compared)).functions[0]
    gains = explaining.gains_of(function)
    assert [(gain.step, gain.bytes, gain.saved_bytes) for gain in gains] == expected
    for gain in gains:
        assert function.candidates[gain.candidate].transient_peak_bytes == gain.bytes
    if gains:
        assert sum(gain.saved_bytes for gain in gains) == 512 - gains[-1].bytes


def test_changes_are_named() -> None:
    band = {"from": 'loc("a")', "to": 'loc("b")', "count": 4}
    rows = (
        (stock(1), "stock"),
        (offsets(1), "stock order, own offsets"),
        (ours(1), "own order"),
        (
            ours(1, storage="integers", bands=[band], rewrites={"sum": 1, "channel-wise": 2}),
            "own order, quantized values stored as integers, bands of rows (1 segment), "
            "sum rewriting (1 site), channel-wise rewriting (2 sites)",
        ),
        (
            ours(1, storage="raised", deep_streams=True, merged_accumulations=2),
            "own order, quantized values stored and contracted as integers, streams through sums, "
            "2 merged accumulation steps",
        ),
        (
            ours(1, multi_use_fusion=False, unfused_producers=1, in_place="single-use"),
            "own order, multi-use fusion off, 1 unfused producer, in-place results at single uses",
        ),
        (ours(1, in_place="last-use"), "own order, in-place results at last uses"),
    )
    data = report(candidates=make_candidates(*(row for row, _ in rows)))
    found = parse_report(data).functions[0].candidates
    assert [candidate_label(candidate) for candidate in found] == [label for _, label in rows]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("@main$async_dispatch_7_conv_7x7x16x3x3_f32", "conv_7x7x16x3x3_f32 #7"),
        ('@"caf\u00e9$async_dispatch_12_slow_memcpy"', "slow_memcpy #12"),
        ("@f_dispatch_3", "dispatch #3"),
        ("stream.cmd.copy", "copy"),
        ("@grow_a", "grow_a"),
        ("slice 3", "slice 3"),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert explaining.short_name(name) == short


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (9999, "9,999 B"),
        (52224, "51.0 KiB"),
        (1936384, "1,891.0 KiB"),
        (50 << 20, "50.0 MiB"),
    ],
)
def test_units(count: int, text: str) -> None:
    assert explaining.format_bytes(count) == text


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serenity_mlir", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    compared = make_candidates(stock(512), offsets(500), ours(256), chosen=2)
    path.write_text(json.dumps(report(candidates=compared)))
    result = run(str(path))
    assert result.returncode == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "main: 256 bytes of transient memory; stock: 512, 2.00 times as much." in words
    assert "The peak is step 1 of 6, right: 256 bytes in 3 buffers." in words
    into = "copy into the concatenation for whole"
    assert f"64 right from step 1 written here; {into} needs it at step 3" in words
    assert "128 concatenation for whole from step 1" in words
    assert "at step 2 (2 later uses, the last at step 5)" in words
    assert "256 -244 order" in words
    (data,) = json.loads(run(str(path), "--json").stdout)
    assert data["peaks"][0]["bytes"] == 256
    assert [gain["saved_bytes"] for gain in data["gains"]] == [0, 12, 244]


def test_command_errors(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("{}")
    result = run(str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert "schema: the field is missing" in result.stderr


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimal": False, "lower_bound_bytes": 200}, "56 below this one"),
        (
            {"slab_bytes": 320, "offsets_optimal": False},
            "64 bytes above the live bytes, not proved",
        ),
        ({"left_alone": "operation 'x' is not modelled"}, "operation 'x' is not modelled"),
    ],
)
def test_limits_are_told(changes: dict[str, Any], told: str) -> None:
    (entry,) = explaining.explain(parse_report(report(regions=[region(**changes)])))
    assert any(told in note for note in entry.notes)


def test_a_kept_order_is_explained():
    """The slab of IREE's order has no bound, so there is nothing else to say about it."""
    kept = region(optimal=False, lower_bound_bytes=0, proved_by="")
    told = "the stock order and dispatches are kept: none of the other 2 candidates needs less."
    in_place = ours(300, in_place="last-use")
    for rows, chosen, expected in (
        ([stock(256), ours(256), in_place], 0, True),
        ([stock(256), ours(255), in_place], 0, False),
        ([stock(256), ours(256), in_place], 1, False),
        ([stock(256), ours(256), {**in_place, "transient_peak_bytes": None}], 0, False),
        ([stock(256)], 0, False),
    ):
        compared = make_candidates(*rows, chosen=chosen)
        parsed = parse_report(report(regions=[kept], candidates=compared))
        assert (told in explaining.explain(parsed)[0].notes) is expected, rows


def test_what_lies_between_regions_is_itemised():
    slab, value = (
        {"kind": kind, "name": name, "location": None, "bytes": size}
        for kind, name, size in (("slab", "@body", 256), ("value", "@carried", 1100))
    )
    data = report(transient_peak_bytes=1300, peak_allocations=[slab, value])
    notes = explaining.explain(parse_report(data))[0].notes
    # 256 + 1,100 - 1,300 = 56 bytes of results do not exist yet.
    told = "allocated at the peak: value between regions of @carried 1,100, slab of @body 256"
    assert f"{told}, less 56 for results allocated later, in bytes." in notes
    for one in ([], [slab]):
        notes = explaining.explain(parse_report(report(peak_allocations=one)))[0].notes
        assert not any("allocated at the peak" in note for note in notes)


def test_overwritten_inputs_are_told():
    data = report(overwritten_inputs=[0, 2], stock_overwritten_inputs=[0, 2])
    notes = explaining.explain(parse_report(data))[0].notes
    assert any("memory of input 0, 2, as the stock compiler's module does" in n for n in notes)
    notes = explaining.explain(parse_report(report()))[0].notes
    assert not any("memory of input" in note for note in notes)


def budget(met: bool | None, **changes: Any) -> dict[str, Any]:
    return {
        "met": met,
        "over_bytes": 0,
        "region": None,
        "step": None,
        "operations": [],
        "buffers": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("used", "of_function", "told"),
    [
        (["offsets", "order"], budget(True), ["no more than is needed: offsets, order;"]),
        ([], budget(True), ["the stock compiler's result fits"]),
        (["order"], budget(None), []),
        (
            ["order"],
            budget(
                False,
                over_bytes=56,
                region=0,
                step=1,
                buffers=[
                    {"buffer": 2, "bytes": 128, "shrink_bytes": 0, "live_at_peak": True},
                    {"buffer": 1, "bytes": 64, "shrink_bytes": 56, "live_at_peak": True},
                ],
            ),
            ["budget of 200 bytes by 56.", "have to shrink: right by 56 bytes."],
        ),
    ],
)
def test_budgets_are_told(used: list[str], of_function: dict[str, Any], told: list[str]) -> None:
    data = report(used=used, budget=of_function)
    data["budget"] = {"bytes": 200, "policy": "warn", "met": of_function["met"], "used": used}
    (entry,) = explaining.explain(parse_report(data))
    assert entry.used == tuple(used)
    notes = [note for note in entry.notes if "budget" in note or "shrink" in note]
    assert len(notes) == len(told)
    assert all(part in note for part, note in zip(told, notes, strict=True))


def _quantized(storage: str, element: str, updates: bool, reason: str | None) -> dict[str, Any]:
    """`@conv` at node `conv` writes 256 bytes, which the model quantizes at node `q`."""
    conv = operation("@conv", 0, [], [access(0, size=256)])
    again = operation("@part", 1, [access(0, size=256)] if updates else [], [access(0, size=256)])
    last = operation("@quantize", 2, [access(0, size=256)], [access(1)])
    operations = [
        {**conv, "location": 'loc("conv")'},
        *([{**again, "location": 'loc("conv")'}] if updates else []),
        {**last, "location": 'loc("q")'},
    ]
    buffers = [
        {"name": name, "first": 0, "last": 2, "bytes": size, "offset": 0, "element_type": kind}
        for name, size, kind in (("@conv", 256, element), ("@quantize", 64, "i8"))
    ]
    candidates = make_candidates(make_candidate("serenity", 256, storage=storage))
    value = {
        "location": 'loc("q")',
        "element_type": "i8",
        "computed_by": ['loc("q")', 'loc("conv")'],
        "reason": reason,
    }
    changed = report(
        regions=[region(operations=operations, buffers=buffers, live_bytes=[320, 320, 320])],
        candidates=candidates,
    )
    return {**changed, "quantized_values": [value]}


@pytest.mark.parametrize(
    ("storage", "element", "updates", "reason", "expected"),
    [
        ("as-given", "f32", False, None, "where the stock pipeline does"),
        ("raised", "i32", True, None, "accumulator: 1 command adds a part"),
        (
            "raised",
            "i32",
            False,
            None,
            "another dispatch corrects, scales and quantizes: q (quantize)",
        ),
        ("raised", "f32", False, "a NaN may reach the maximum", "a NaN may reach the maximum"),
        ("integers", "f32", False, None, "in floats by one dispatch"),
    ],
)
def test_values_in_32_bits_have_a_reason(
    storage: str, element: str, updates: bool, reason: str | None, expected: str
) -> None:
    data = _quantized(storage, element, updates, reason)
    (explanation,) = explaining.explain(parse_report(data))
    # The 8-bit result of `@quantize` is no such value.
    (wide,) = explanation.wide_values
    assert (wide.buffer, wide.bytes, wide.element_type) == (0, 256, element)
    assert (wide.stored_as, wide.quantization) == ("i8", "q")
    assert expected in wide.reason


def test_values_in_8_bits_are_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(_quantized("raised", "i8", False, None)), "utf-8")
    command = [sys.executable, "-m", "serenity_mlir", "explain", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "No value that the model quantizes is stored in 32 bits" in text
    assert "256  i8  conv (conv)" in text
