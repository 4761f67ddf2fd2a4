# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The report: the native tools' output, its schema, documentation and typed reader agree."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import os
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from report_support import make_candidate, make_function, make_report

from serenity_mlir.reports import reporting
from serenity_mlir.reports.reporting import ReportError, load_report, parse_report

REPOSITORY = Path(__file__).resolve().parent.parent

#: Two large buffers that need not be alive together: 4096 + 64 + 64 bytes at the peak.
REGION = """
util.func public @{name}(%x: !stream.resource<external>)
    -> (!stream.resource<external>, !stream.timepoint) {{
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{{%c64}})
      -> !stream.resource<external>{{%c64}} {{
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64])
        : (!stream.resource<external>{{%c64}}) -> !stream.resource<transient>{{%c4096}}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64])
        : (!stream.resource<external>{{%c64}}) -> !stream.resource<transient>{{%c4096}}
    %0 = stream.async.dispatch @ex::@shrink_a(%a[%c0 to %c4096 for %c4096])
        : (!stream.resource<transient>{{%c4096}}) -> !stream.resource<transient>{{%c64}}
    %1 = stream.async.dispatch @ex::@shrink_b(%b[%c0 to %c4096 for %c4096])
        : (!stream.resource<transient>{{%c4096}}) -> !stream.resource<transient>{{%c64}}
    %2 = stream.async.dispatch @ex::@add(%0[%c0 to %c64 for %c64], %1[%c0 to %c64 for %c64])
        : (!stream.resource<transient>{{%c64}}, !stream.resource<transient>{{%c64}})
        -> !stream.resource<external>{{%c64}}
    stream.yield %2 : !stream.resource<external>{{%c64}}
  }} => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}}
"""

PIPELINE = "builtin.module(serenity-schedule-regions,iree-stream-schedule-allocation,serenity-pack)"


def native_opt() -> str:
    """serenity-opt: $SERENITY_OPT, as in the lit tests, or the installed one."""
    from serenity_mlir._native import native_tool

    return os.environ.get("SERENITY_OPT") or native_tool("serenity-opt")


def run_opt(source: bytes, report: Path, *flags: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [native_opt(), f"--serenity-report={report}", "-o", os.devnull, *flags],
        input=source,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.json"
    source = REGION.format(name="one") + REGION.format(name="two")
    result = run_opt(source.encode(), path, f"--pass-pipeline={PIPELINE}")
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture
def data(report_file: Path) -> Any:
    return json.loads(report_file.read_text(encoding="utf-8"))


def test_reads_what_the_passes_wrote(report_file: Path) -> None:
    report = load_report(report_file)
    assert report.schema == 2
    assert set(report.versions) >= {"serenity_mlir", "iree_compiler"}
    assert report.versions["iree_compiler"].startswith("3.")
    assert [function.name for function in report.functions] == ["one", "two"]
    (region,) = report.function("two").regions
    assert region.predicted_bytes == region.slab_bytes == region.lower_bound_bytes == 4224
    assert region.optimal and region.offsets_optimal and region.proved_by
    assert region.left_alone is None
    assert region.live_bytes == (4096, 4160, 4160, 4224, 128)
    assert max(region.live_bytes) == region.predicted_bytes


def test_buffers_explain_the_live_bytes_and_do_not_overlap(report_file: Path) -> None:
    (region,) = load_report(report_file).function("one").regions
    for step, live in enumerate(region.live_bytes):
        alive = [b for b in region.buffers if b.first <= step <= b.last]
        assert sum(buffer.bytes for buffer in alive) == live
        alive.sort(key=lambda buffer: buffer.offset)
        for below, above in itertools.pairwise(alive):
            assert below.offset + below.bytes <= above.offset
    assert max(b.offset + b.bytes for b in region.buffers) == region.slab_bytes


def test_operations_say_what_they_read_and_write(report_file: Path) -> None:
    (region,) = load_report(report_file).function("one").regions
    names = [buffer.name for buffer in region.buffers]

    def row(operation: reporting.OperationReport) -> tuple[str, int, list[str], list[str]]:
        return (
            operation.name,
            operation.step,
            [names[access.buffer] for access in operation.uses],
            [names[access.buffer] for access in operation.defs],
        )

    assert [row(operation) for operation in region.operations] == [
        ("@grow_a", 0, [], ["@grow_a"]),
        ("@shrink_a", 1, ["@grow_a"], ["@shrink_a"]),
        ("@grow_b", 2, [], ["@grow_b"]),
        ("@shrink_b", 3, ["@grow_b"], ["@shrink_b"]),
        ("@add", 4, ["@shrink_a", "@shrink_b"], []),
    ]
    first, *_, last = region.operations
    assert first.defs == (reporting.AccessReport(0, 0, 4096),)
    (read,), (written,) = first.external_uses, last.external_defs
    assert region.externals[read.buffer].bytes == region.externals[written.buffer].bytes == 64
    assert region.externals[written.buffer].kind == "result"
    assert last.buffers == (1, 3)


#: A concurrent group, a concatenation whose alloca is a step of its own, and an in-place update.
CONCURRENT = """
util.func public @concurrent(%x: !stream.resource<external>)
    -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64})
      -> !stream.resource<external>{%c64} {
    %ab:2 = stream.async.concurrent with(%in as %i: !stream.resource<external>{%c64})
        -> (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) {
      %0 = stream.async.dispatch @ex::@a(%i[%c0 to %c64 for %c64])
          : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
      %1 = stream.async.dispatch @ex::@b(%i[%c0 to %c64 for %c64])
          : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
      stream.yield %0, %1 : !stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}
    }
    %empty = stream.async.alloca : !stream.resource<transient>{%c128}
    %left = stream.async.update %ab#0, %empty[%c0 to %c64]
        : !stream.resource<transient>{%c64} -> %empty as !stream.resource<transient>{%c128}
    %both = stream.async.update %ab#1, %left[%c64 to %c128]
        : !stream.resource<transient>{%c64} -> %left as !stream.resource<transient>{%c128}
    %more = stream.async.dispatch @ex::@add(%both[%c0 to %c128 for %c128])
        : (!stream.resource<transient>{%c128}) -> %both{%c128}
    %out = stream.async.dispatch @ex::@sum(%more[%c0 to %c128 for %c128])
        : (!stream.resource<transient>{%c128}) -> !stream.resource<external>{%c64}
    stream.yield %out : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
"""


def test_steps_of_concurrent_groups_and_allocations(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    # In IREE's order: no pass reorders it.
    pipeline = "builtin.module(iree-stream-schedule-allocation,serenity-pack)"
    result = run_opt(CONCURRENT.encode(), path, f"--pass-pipeline={pipeline}")
    assert result.returncode == 0, result.stderr
    (region,) = load_report(path).function("concurrent").regions
    names = [buffer.name for buffer in region.buffers]
    assert sorted(names) == ["@a", "@add", "@b"]
    steps = [(operation.name, operation.step) for operation in region.operations]
    # The alloca of the concatenation is step 1.
    assert steps == [
        ("@a", 0),
        ("@b", 0),
        ("stream.cmd.copy", 2),
        ("stream.cmd.copy", 3),
        ("@add", 4),
        ("@sum", 5),
    ]
    whole = names.index("@add")
    assert (region.buffers[whole].first, region.buffers[whole].last) == (1, 5)
    right, add = region.operations[3], region.operations[4]
    assert right.defs == (reporting.AccessReport(whole, 64, 64),)
    assert [names[access.buffer] for access in right.uses] == ["@b"]
    assert [access.buffer for access in add.uses] == [whole]
    assert [access.buffer for access in add.defs] == [whole]


def test_only_times_differ_between_runs(report_file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    source = REGION.format(name="one") + REGION.format(name="two")
    run_opt(source.encode(), again, f"--pass-pipeline={PIPELINE}")

    def without_times(path: Path) -> str:
        def drop(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: drop(v) for k, v in value.items() if k != "seconds"}
            return [drop(item) for item in value] if isinstance(value, list) else value

        return json.dumps(drop(json.loads(path.read_text(encoding="utf-8"))))

    assert without_times(again) == without_times(report_file)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"caf\u00e9 \u4e2d \U0001f600"', "caf\u00e9 \u4e2d \U0001f600"),
        (
            r'"quote \" backslash \\ tab \09 line \0A bell \07"',
            'quote " backslash \\ tab \t line \n bell \x07',
        ),
        # Not UTF-8: a lone byte, an overlong slash, a surrogate, a sequence cut off by the end.
        (r'"\FF"', "\ufffd"),
        (r'"\C0\AF"', "\ufffd\ufffd"),
        (r'"\ED\A0\80"', "\ufffd\ufffd\ufffd"),
        (r'"x\F0\9F\98"', "x\ufffd\ufffd\ufffd"),
        (r'"\F4\90\80\80"', "\ufffd\ufffd\ufffd\ufffd"),
        (r'"\7F</script>"', "\x7f</script>"),
    ],
)
def test_any_name_survives(written: str, read: str, tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    result = run_opt(REGION.format(name=written).encode(), path, "--serenity-schedule-regions")
    assert result.returncode == 0, result.stderr
    assert load_report(path).functions[0].name == read


def test_no_report_of_a_failed_run(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert run_opt(b"func.func @f(", path, "--serenity-pack").returncode == 1
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    assert run_opt(b"func.func @f(", path, "--serenity-pack").returncode == 1
    assert path.read_text() == "old"


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "folder.json"
    result = run_opt(b"module {}", path, "--serenity-pack")
    assert result.returncode == 1
    assert str(path).encode() in result.stderr


def test_an_empty_module(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert run_opt(b"module {}", path, "--serenity-pack").returncode == 0
    report = load_report(path)
    assert report.functions == () and report.rewrites == () and report.persistent_bytes is None
    with pytest.raises(KeyError, match="it has none"):
        report.function("main")


# --- the reader --------------------------------------------------------------


def set_field(data: Any, field: str, value: Any) -> Any:
    """Returns a copy of `data` with the field at a path such as `functions.0.name` replaced."""
    changed = copy.deepcopy(data)
    target = changed
    *path, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    for part in path:
        target = target[part]
    if value is KeyError:
        del target[last]
    else:
        target[last] = value
    return changed


REGION_PATH = "functions.0.regions.0"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("schema", KeyError, "schema"),
        ("schema", "1", "schema"),
        ("versions", [], "versions"),
        ("versions.iree_compiler", 3, "versions.iree_compiler"),
        ("functions", {}, "functions"),
        ("functions.0", None, "functions[0]"),
        ("functions.1.name", None, "functions[1].name"),
        ("functions.0.initializer", 0, "functions[0].initializer"),
        ("functions.0.peak_bytes", KeyError, "functions[0].peak_bytes"),
        ("functions.0.transient_peak_bytes", 1.5, "functions[0].transient_peak_bytes"),
        (f"{REGION_PATH}.slab_bytes", "64", "functions[0].regions[0].slab_bytes"),
        (f"{REGION_PATH}.slab_bytes", None, "functions[0].regions[0].slab_bytes"),
        (f"{REGION_PATH}.slab_bytes", True, "functions[0].regions[0].slab_bytes"),
        (f"{REGION_PATH}.slab_bytes", -1, "functions[0].regions[0].slab_bytes"),
        (f"{REGION_PATH}.seconds", "0.1", "functions[0].regions[0].seconds"),
        (f"{REGION_PATH}.optimal", None, "functions[0].regions[0].optimal"),
        (f"{REGION_PATH}.live_bytes.2", "x", "functions[0].regions[0].live_bytes[2]"),
        (
            f"{REGION_PATH}.operations.1.uses.0.buffer",
            4,
            "functions[0].regions[0].operations[1].uses[0].buffer",
        ),
        (
            f"{REGION_PATH}.operations.0.external_uses.0.buffer",
            2,
            "functions[0].regions[0].operations[0].external_uses[0].buffer",
        ),
        (
            f"{REGION_PATH}.operations.1.step",
            KeyError,
            "functions[0].regions[0].operations[1].step",
        ),
        (f"{REGION_PATH}.buffers.1.offset", KeyError, "functions[0].regions[0].buffers[1].offset"),
        ("remarks", "none", "remarks"),
        ("seconds", 3, "seconds"),
        ("persistent_bytes", "many", "persistent_bytes"),
    ],
)
def test_errors_name_the_field(data: Any, field: str, value: Any, named: str) -> None:
    with pytest.raises(ReportError) as caught:
        parse_report(set_field(data, field, value))
    assert caught.value.field == named
    assert str(caught.value).startswith(named + ":")


def test_another_version_is_refused(data: Any) -> None:
    with pytest.raises(ReportError, match=r"has version 1 of the format; .* reads version 2"):
        parse_report(set_field(data, "schema", 1))


def test_unknown_fields_are_ignored(data: Any) -> None:
    assert parse_report(set_field(data, f"{REGION_PATH}.new_field", 1)) == parse_report(data)


def test_files_that_are_no_reports(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(ReportError, match="cannot read"):
        load_report(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ReportError, match="cannot read"):
        load_report(path)
    path.write_text("{")
    with pytest.raises(ReportError, match="is not JSON"):
        load_report(path)
    path.write_text('{"nodes": []}')
    with pytest.raises(ReportError, match=r"this is no report; .* --serenity-report") as caught:
        load_report(path)
    assert caught.value.field == "schema"
    path.write_text("[]")
    with pytest.raises(ReportError, match="expected an object"):
        load_report(path)


# --- schema and documentation -------------------------------------------------

PARTS = {
    "function": reporting.FunctionReport,
    "candidate": reporting.CandidateReport,
    "band": reporting.BandReport,
    "region": reporting.RegionReport,
    "buffer": reporting.BufferReport,
    "operation": reporting.OperationReport,
    "access": reporting.AccessReport,
    "external": reporting.ExternalReport,
    "quantizedValue": reporting.QuantizedValueReport,
    "recomputed": reporting.RecomputedReport,
    "rewrite": reporting.RewriteReport,
}


def field_names(part: type) -> set[str]:
    # "from" is no name of a field in Python.
    return {field.name.removesuffix("_location") for field in dataclasses.fields(part)}


def load_schema() -> Any:
    schema = resources.files("serenity_mlir.reports").joinpath("report.schema.json")
    return json.loads(schema.read_text("utf-8"))


@pytest.mark.parametrize("name", [*PARTS, ""])
def test_schema_and_dataclasses_have_the_same_fields(name: str) -> None:
    schema = load_schema()
    part = schema["$defs"][name] if name else schema
    expected = field_names(PARTS[name] if name else reporting.Report)
    assert set(part["properties"]) == set(part["required"]) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "other"),
        ("in_place", True),
        ("rewrites", {"sum": "1"}),
        ("bands", [{"from": 'loc("a")', "to": 'loc("b")'}]),
        ("built", None),
        ("predicted_bytes", "64"),
    ],
)
def test_candidates_are_checked(field: str, value: Any) -> None:
    candidate = make_candidate("serenity", 64)
    good = make_report([make_function(candidates=[candidate])])
    assert parse_report(good).functions[0].candidates[0].transient_peak_bytes == 64
    bad = set_field(good, f"functions.0.candidates.0.{field}", value)
    with pytest.raises(ReportError, match=rf"^functions\[0\]\.candidates\[0\]\.{field}"):
        parse_report(bad)


def test_written_objects_have_exactly_the_fields_of_the_schema(data: Any) -> None:
    assert set(data) == field_names(reporting.Report)
    for function in data["functions"]:
        assert set(function) == field_names(reporting.FunctionReport)
        for region in function["regions"]:
            assert set(region) == field_names(reporting.RegionReport)
            for buffer in region["buffers"]:
                assert set(buffer) == field_names(reporting.BufferReport)
            for operation in region["operations"]:
                assert set(operation) == field_names(reporting.OperationReport)
                for access in operation["uses"] + operation["defs"]:
                    assert set(access) == field_names(reporting.AccessReport)
            for external in region["externals"]:
                assert set(external) == field_names(reporting.ExternalReport)


def test_a_region_stands_at_one_place(data: Any) -> None:
    """Its location in the module is fused of those of all its operations."""
    places = [region["location"] for one in data["functions"] for region in one["regions"]]
    assert any(places)
    for place in filter(None, places):
        assert "fused" not in place and "callsite" not in place


def test_written_report_satisfies_the_schema(data: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(data, load_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(set_field(data, f"{REGION_PATH}.slab_bytes", "64"), load_schema())


def test_every_field_is_documented() -> None:
    text = (REPOSITORY / "docs" / "report.md").read_text(encoding="utf-8")
    names = field_names(reporting.Report).union(*map(field_names, PARTS.values()))
    missing = [name for name in sorted(names) if f"`{name}`" not in text]
    assert not missing


def test_the_documented_example_is_a_report() -> None:
    text = (REPOSITORY / "docs" / "report.md").read_text(encoding="utf-8")
    example = text.split("```json\n")[1].split("```")[0]
    report = parse_report(json.loads(example))
    (region,) = report.function("main").regions
    assert max(region.live_bytes) == region.predicted_bytes


def test_every_timing_key_is_documented() -> None:
    sources = (REPOSITORY / "passes" / "serenity" / "Driver").rglob("*.cpp")
    timed = {
        key
        for source in sources
        for key in re.findall(r'Stopwatch \w+\(\w+, "([^"]+)"\)', source.read_text("utf-8"))
    }
    text = (REPOSITORY / "docs" / "report.md").read_text(encoding="utf-8")
    assert timed == set(re.findall(r"^\| `(\w+)` \|", text.split("## Seconds")[1], re.MULTILINE))
