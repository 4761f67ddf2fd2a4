# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity-compile` prints the same as `iree-compile`: IR, times, statistics, diagnostics."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from driver_support import BROKEN, ELIDE, STOCK_SLAB, TARGET, Compilers, slabs
from models import MODELS

pytestmark = pytest.mark.one_release

# --- watching the passes ------------------------------------------------------

_DUMP = re.compile(r"^// -----// IR Dump (Before|After) (\S+?):? ", re.M)


def _dumps(errors: str) -> list[tuple[str, str]]:
    return [(when, name.rstrip(":")) for when, name in _DUMP.findall(errors)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_printing_of_all_passes(
    when: str, compilers: Compilers, cell: Path, cell_slab: int
) -> None:
    flags = [
        cell,
        *TARGET,
        "--compile-to=executable-sources",
        f"--mlir-print-ir-{when}-all",
        "--mlir-disable-threading",
        *ELIDE,
        "-o",
        "/dev/null",
    ]
    stock = _dumps(compilers.stock(*flags).err)
    run = compilers.ours(*flags)
    ours = _dumps(run.err)
    assert len(stock) > 100
    serenity = [name for _, name in ours if name.startswith("serenity-")]
    assert serenity[-6:] == [
        "serenity-schedule",
        "serenity-schedule-regions",
        "serenity-reuse-external-memory",
        "serenity-waves",
        "serenity-pack",
        "serenity-clone-callees",
    ]
    # Every pass of the stock tool's; only serenity's besides. How often depends on the number
    # of dispatches.
    assert {name for _, name in ours} ^ {name for _, name in stock} == set(serenity)
    # The printed passes are those that ran, in the order of the pipeline.
    order = [name for _, name in ours if name.startswith("serenity-") or "Schedule" in name]
    assert order.index("serenity-schedule") < order.index("ScheduleExecutionPass")
    assert order.index("ScheduleConcurrencyPass") < order.index("serenity-schedule-regions")
    assert order.index("serenity-schedule-regions") < order.index("ScheduleAllocationPass")
    assert re.findall(r"resource\.alloca .*<transient>\{%c(\d+)", run.err)[-1] == str(cell_slab)
    # Watching changes nothing.
    plain = compilers.ours_output(cell, *TARGET, "--compile-to=executable-sources")
    assert compilers.ours(*flags[:-2], "-o", "-").out == (
        compilers.ours_output(cell, *TARGET, "--compile-to=executable-sources", *ELIDE)
    )
    assert slabs(plain) == [cell_slab]


def test_printing_after_one_of_our_passes(compilers: Compilers, cell: Path, cell_slab: int) -> None:
    passes = [
        "serenity-schedule",
        "serenity-schedule-regions",
        "serenity-reuse-external-memory",
        "serenity-waves",
        "serenity-pack",
        "serenity-clone-callees",
    ]
    plain = compilers.ours_output(cell, *TARGET)
    for name in passes:
        flags = [cell, *TARGET, f"--serenity-print-ir-after={name}", *ELIDE]
        run = compilers.ours(*flags)
        assert (run.code, run.out) == (0, plain)
        assert [n for _, n in _dumps(run.err)] == [name]
    # The flag can be repeated; passes come in their own order.
    flags = [f"--serenity-print-ir-after={name}" for name in reversed(passes)]
    run = compilers.ours(cell, *TARGET, *flags, *ELIDE)
    assert [n for _, n in _dumps(run.err)] == passes
    assert "flow.dispatch" in run.err
    assert "stream.async.execute" in run.err
    assert "stream.resource.alloca uninitialized" in run.err


def test_printing_after_one_of_iree_s_passes(compilers: Compilers, cell: Path) -> None:
    for flag in (
        "--mlir-print-ir-after=iree-stream-schedule-allocation",
        "--mlir-print-ir-before=iree-stream-layout-slices",
    ):
        flags = [cell, *TARGET, flag, *ELIDE, "-o", "/dev/null"]
        stock, ours = compilers.stock(*flags), compilers.ours(*flags)
        assert stock.code == ours.code == 0
        assert set(_dumps(stock.err)) == set(_dumps(ours.err)) != set()


def test_timing(compilers: Compilers, cell: Path) -> None:
    for display in ([], ["--mlir-timing-display=list"], ["--mlir-timing-display=tree"]):
        run = compilers.ours(cell, *TARGET, "--mlir-timing", *display, "-o", "/dev/null")
        assert run.code == 0
        assert "Execution time report" in run.err
        for name in ("serenity-schedule", "serenity-schedule-regions", "serenity-pack"):
            assert re.search(rf"^ +\d+\.\d+ .*{name}$", run.err, re.M), (name, display)
        assert "ScheduleAllocationPass" in run.err


def test_statistics_of_the_schedule(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    file = tmp_path / "statistics"
    for style in ("csv", "pretty", "verbose"):
        flags = [
            cell,
            *TARGET,
            f"--iree-scheduling-dump-statistics-format={style}",
            f"--iree-scheduling-dump-statistics-file={file}",
            *ELIDE,
        ]
        module = compilers.stock_output(*flags)
        stock = file.read_text()
        file.unlink()
        assert compilers.ours_output(*flags, "--serenity-schedule=off") == module
        assert file.read_text() == stock, style
        file.unlink()
        assert compilers.ours_output(*flags) == compilers.ours_output(cell, *TARGET)
        ours = file.read_text()
        assert ours and ours.count("\n") < 3 * stock.count("\n") + 10
        if style == "csv":
            # Written once, whatever variants were tried; with as many dispatches.
            assert ours.count("; Aggregate Statistics") == 1
            assert _aggregate(ours)["Transient Size"] < _aggregate(stock)["Transient Size"]
    # IREE's pass does not know this style when it is run alone; the module is the same.
    file.unlink()
    json_flags = [flag.replace("=verbose", "=json") for flag in map(str, flags)]
    run = compilers.ours(*json_flags)
    assert (run.code, run.out) == (0, compilers.ours_output(cell, *TARGET))
    assert "warning: " in run.err and "use csv" in run.err
    # Without a file they go to standard error.
    flags = [cell, *TARGET, "--iree-scheduling-dump-statistics-format=csv", "-o", "/dev/null"]
    assert compilers.ours(*flags, "--serenity-schedule=off").err == compilers.stock(*flags).err


def _aggregate(csv: str) -> dict[str, int]:
    """Returns the aggregate statistics."""
    lines = csv.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith('"Constants"'))
    names = [name.strip('"') for name in lines[start].split(",")]
    return dict(zip(names, map(int, lines[start + 1].split(",")), strict=True))


@pytest.mark.parametrize("schedule", ["on", "off"])
def test_dump_of_the_phases(
    schedule: str, compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path
) -> None:
    files: dict[str, dict[str, bytes]] = {}
    for name, run in (("stock", compilers.stock), ("ours", compilers.ours)):
        directory = tmp_path / name / "made on demand"
        flags = [cell, *TARGET, f"--dump-compilation-phases-to={directory}", "-o", "/dev/null"]
        if name == "ours":
            flags.append(
                "--serenity-schedule=off" if schedule == "off" else "--serenity-rewrite=off"
            )
        assert run(*flags) == (0, b"", "")
        files[name] = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert sorted(files["ours"]) == sorted(files["stock"])
    assert "jit_cell.7.stream.mlir" in files["ours"]
    assert slabs(files["ours"]["jit_cell.7.stream.mlir"]) == [
        cell_slab if schedule == "on" else STOCK_SLAB
    ]
    for name, content in files["stock"].items():
        early = int(name.split(".")[1]) < 7
        assert (files["ours"][name] == content) == (early or schedule == "off"), name


def test_dumps_of_executables(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    listings = []
    for schedule in (None, "off", "on"):
        directory = tmp_path / str(schedule)
        flags = [cell, *TARGET, f"--iree-hal-dump-executable-files-to={directory}"]
        if schedule is None:
            compilers.stock_output(*flags)
        else:
            compilers.ours_output(*flags, f"--serenity-schedule={schedule}")
        listings.append(sorted(path.name for path in directory.iterdir()))
    assert listings[0] == listings[1] != []
    # The same kinds of files, of other dispatches.
    names = [[re.sub(r"_dispatch_\d+", "_dispatch_N", name) for name in ls] for ls in listings]
    assert set(names[0]) <= set(names[2])


def test_remarks_of_llvm(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    runs = []
    for run in (compilers.stock, compilers.ours):
        file = tmp_path / "remarks.yaml"
        file.unlink(missing_ok=True)
        flags = ["--remarks-filter=.*", f"--remarks-output-file={file}", "-o", "/dev/null"]
        result = run(cell, *TARGET, *flags)
        runs.append((result.code, result.out, file.exists()))
    assert runs[0] == runs[1]
    assert runs[0][0] == 0


def test_without_verification(compilers: Compilers, cell: Path) -> None:
    plain = compilers.ours_output(cell, *TARGET)
    codes = []
    for flag in ("--verify=false", "--verify=0", "--no-verify"):
        stock, ours = compilers.stock(cell, *TARGET, flag), compilers.ours(cell, *TARGET, flag)
        assert ours.code == stock.code
        # Some spellings are not IREE's; the first is, so that one module at least is compared.
        codes.append(stock.code)
        if stock.code == 0:
            assert ours.out == plain
        else:
            assert ours == stock
    assert codes[0] == 0


def test_crash_reproducer(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    file = tmp_path / "crash.mlir"
    flags = [cell, *TARGET, f"--mlir-pass-pipeline-crash-reproducer={file}"]
    assert compilers.ours_output(*flags) == compilers.ours_output(cell, *TARGET)
    assert not file.exists()


def test_one_thread_or_many(compilers: Compilers, cell: Path) -> None:
    assert compilers.ours_output(cell, *TARGET, "--mlir-disable-threading") == (
        compilers.ours_output(cell, *TARGET)
    )


# --- diagnostics --------------------------------------------------------------


#: Each fails in another part of the pipeline.
_FAILING = {
    "parser": "func.func @f( {\n",
    "verifier": BROKEN,
    "input": """
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "stablehlo.custom_call"(%x) {call_target_name = "nothing"} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
""",
    "hal": """
func.func private @extern(%x: tensor<4xf32>) -> tensor<4xf32>
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @extern(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = call @extern(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
""",
}


@pytest.mark.parametrize("name", _FAILING)
def test_diagnostics_are_those_of_stock(name: str, compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "failing module.mlir"
    source.write_text(_FAILING[name])
    output = tmp_path / "out"
    output.write_text("what was there before")
    args = [source, *TARGET, "-o", output, f"--serenity-report={tmp_path / 'report.json'}"]
    stock = compilers.stock(*args[:-1])
    assert stock.code == 1
    assert re.search(r"failing module\.mlir:\d+:\d+: error: ", stock.err), stock.err
    output.write_text("what was there before")
    assert compilers.ours(*args) == stock
    assert output.read_text() == "what was there before"
    # No report of a failure, nothing temporary.
    assert {path.name for path in tmp_path.iterdir()} == {output.name, source.name}
    run = compilers.ours("-", *TARGET, "-o", output, input=source.read_bytes())
    assert run == compilers.stock("-", *TARGET, "-o", output, input=source.read_bytes())


@pytest.mark.parametrize("schedule", ["on", "off"])
@pytest.mark.parametrize("watch", [[], ["--serenity-print-ir-after=serenity-pack"]])
def test_diagnostics_of_the_stream_phase_appear_once(
    watch: list[str], schedule: str, compilers: Compilers, tmp_path: Path
) -> None:
    # Two passes find the same error, the second one in the stream phase; neither fails for it.
    source = tmp_path / "global.mlir"
    source.write_text("""
util.global private @g = dense<1.0> : tensor<4xf32>
util.initializer {
  %0 = util.unfoldable_constant dense<2.0> : tensor<4xf32>
  util.global.store %0, @g : tensor<4xf32>
  util.return
}
util.func public @f() -> tensor<4xf32> {
  %0 = util.global.load @g : tensor<4xf32>
  util.return %0 : tensor<4xf32>
}
""")
    flags = [source, *TARGET, "--compile-to=stream", "-o", "/dev/null"]
    stock = compilers.stock(*flags)
    message = "error: immutable global '@g' is initialized both by"
    assert stock.err.count(message) == 2
    ours = compilers.ours(*flags, f"--serenity-schedule={schedule}", *watch)
    assert ours.code == stock.code
    assert ours.err.count(message) == 2
    if not watch:
        assert ours == stock


@pytest.mark.parametrize(
    "flags",
    [
        ["--iree-hal-target-device=nowhere"],
        ["--no-such-flag"],
        ["--iree-opt-level=O9"],
        ["--iree-stream-partitioning-favor=nothing"],
        ["--output-format=nothing", *TARGET],
        ["--compile-mode=nothing", *TARGET],
        ["--verify=perhaps", *TARGET],
        ["another.mlir", *TARGET],
        ["--compile-to"],
        ["--iree-input-type=nothing", *TARGET],
    ],
)
def test_bad_flags_of_iree_s_are_refused_as_by_stock(
    flags: list[str], compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    stock, ours = (run(small, "-o", output, *flags) for run in (compilers.stock, compilers.ours))
    assert stock.code == 1 and stock.err
    assert ours == stock
    assert not list(tmp_path.iterdir())


def test_missing_input(compilers: Compilers, tmp_path: Path) -> None:
    args = [tmp_path / "missing.mlir", *TARGET, "-o", tmp_path / "out"]
    stock = compilers.stock(*args)
    assert stock.code == 1 and "missing.mlir" in stock.err
    assert compilers.ours(*args) == stock
    assert not list(tmp_path.iterdir())


def test_warnings_appear_once(compilers: Compilers, small: Path) -> None:
    # Our variants are compiled in silence.
    flags = ["--iree-hal-target-backends=llvm-cpu", "--compile-to=hal", "-o", "/dev/null"]
    stock = compilers.stock(small, *flags)
    assert "warning" in stock.err
    assert compilers.ours(small, *flags) == stock
    flags = [*TARGET, "--iree-stream-partitioning-favor=max-concurrency", "-o", "/dev/null"]
    stock, ours = compilers.stock(small, *flags), compilers.ours(small, *flags)
    assert (stock.code, stock.err) == (ours.code, ours.err)


# --- complete or not at all ---------------------------------------------------


def _stopped_in_the_middle(
    compilers: Compilers, source: Path, output: Path, number: signal.Signals
) -> int:
    """Sends a signal to a compilation that is between two serenity passes; returns its exit code.

    It prints the module, which has more bytes than a pipe holds, to a pipe without a reader.
    """
    process = subprocess.Popen(
        [
            compilers.ours_path,
            str(source),
            *TARGET,
            "--serenity-print-ir-after=serenity-schedule-regions",
            f"--serenity-report={output}.json",
            "-o",
            str(output),
        ],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    with process.stderr as errors:
        assert b"IR Dump After serenity-schedule-regions" in errors.readline()
        process.send_signal(number)
        code = process.wait(timeout=60)
    return code


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, -signal.SIGTERM),
        (signal.SIGINT, 130),
    ],
)
def test_stopped_in_the_middle(
    number: signal.Signals, code: int, compilers: Compilers, tmp_path: Path
) -> None:
    source = tmp_path / "in.mlir"
    source.write_text(MODELS["control_flow"]())
    assert source.stat().st_size > 200_000
    output = tmp_path / "out.vmfb"
    assert _stopped_in_the_middle(compilers, source, output, number) == code
    assert list(tmp_path.iterdir()) == [source]
    output.write_text("old")
    assert _stopped_in_the_middle(compilers, source, output, number) == code
    assert output.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [source, output]
