# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity-compile` as a replacement of `iree-compile`: every flag works as in the stock tool.

Wherever the stock tool does something of its own, it is run with the same arguments and the two
are compared.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import ADD_MODULE
from driver_support import ELIDE, PHASES, TARGET, Compilers, slabs, without_times
from models import MODELS
from report_support import chosen_kind

#: Without it the bytecode names files and lines, which differ in a module read back from a file.
STRIP = "--iree-vm-bytecode-module-strip-source-map"

#: Slab of the cell below: the stock compiler's, and the least that any order of it can have.
STOCK_SLAB = 187_776


@pytest.fixture(scope="module")
def compilers(stock_compile: str, serenity_compile: str) -> Compilers:
    return Compilers(stock_compile, serenity_compile)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cell with concatenations whose slab we make smaller."""
    path = tmp_path_factory.mktemp("cell") / "cell.mlir"
    path.write_text(MODELS["jax_nhwc"]())
    return path


@pytest.fixture(scope="module")
def cell_slab(compilers: Compilers, cell: Path) -> int:
    """The slab that our compiler gives the cell; smaller than the stock compiler's."""
    stock = slabs(compilers.stock_output(cell, *TARGET, "--compile-to=stream", *ELIDE))
    ours = slabs(compilers.ours_output(cell, *TARGET, "--compile-to=stream", *ELIDE))
    assert stock == [STOCK_SLAB]
    assert len(ours) == 1 and ours[0] < STOCK_SLAB
    return ours[0]


@pytest.fixture(scope="module")
def stock_phases(
    compilers: Compilers, cell: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The cell as the stock compiler writes it after each phase."""
    directory = tmp_path_factory.mktemp("phases")
    paths = {}
    for phase in PHASES[1:-1]:
        paths[phase] = directory / f"{phase}.mlir"
        flags = [cell, *TARGET, STRIP, f"--compile-to={phase}"]
        paths[phase].write_bytes(compilers.stock_output(*flags))
    return paths


# --- phases -------------------------------------------------------------------


@pytest.mark.parametrize("phase", PHASES[1:6])
def test_compile_to_a_phase_before_ours_is_stock(
    phase: str, compilers: Compilers, cell: Path, stock_phases: dict[str, Path]
) -> None:
    assert compilers.ours_output(cell, *TARGET, STRIP, f"--compile-to={phase}") == (
        stock_phases[phase].read_bytes()
    )


@pytest.mark.parametrize("phase", PHASES[6:-1])
def test_compile_to_a_phase_of_ours_and_on_with_the_stock_compiler(
    phase: str,
    compilers: Compilers,
    cell: Path,
    cell_slab: int,
    stock_phases: dict[str, Path],
    tmp_path: Path,
) -> None:
    ours = tmp_path / "ours.mlir"
    text = compilers.ours_output(cell, *TARGET, STRIP, f"--compile-to={phase}")
    ours.write_bytes(text)
    # Nothing of ours is left for a compiler that does not know it.
    assert b"serenity" not in text or phase == "flow"
    assert text != stock_phases[phase].read_bytes()
    if phase in PHASES[7:10]:
        assert slabs(text) == [cell_slab]
    flags = [*TARGET, f"--compile-from={phase}", STRIP]
    again = compilers.stock_output(ours, *flags)
    if phase == "flow":
        # Order survives in text, the decision against waves does not: IREE's own choice again.
        sizes = slabs(
            compilers.stock_output(ours, *TARGET, "--compile-from=flow", "--compile-to=stream")
        )
        assert len(sizes) == 1
    elif phase != "vm":  # whose text the stock compiler does not read back the same either
        assert again == compilers.ours_output(cell, *TARGET, STRIP)


@pytest.mark.parametrize("phase", PHASES[1:4])
def test_compile_from_a_phase_before_ours(
    phase: str, compilers: Compilers, cell: Path, stock_phases: dict[str, Path]
) -> None:
    from_phase = compilers.ours_output(
        stock_phases[phase], *TARGET, f"--compile-from={phase}", STRIP
    )
    assert from_phase == compilers.ours_output(cell, *TARGET, STRIP)
    assert from_phase != compilers.stock_output(cell, *TARGET, STRIP)


@pytest.mark.parametrize("phase", PHASES[4:7])
def test_compile_from_a_phase_that_has_fused_already(
    phase: str, compilers: Compilers, cell: Path, stock_phases: dict[str, Path], tmp_path: Path
) -> None:
    # Fusion and rewriting are decided before; order, placement and offsets are ours.
    flags = [stock_phases[phase], *TARGET, f"--compile-from={phase}"]
    report = compilers.report(tmp_path / "report.json", *flags)
    (size,) = slabs(compilers.ours_output(*flags, "--compile-to=stream", *ELIDE))
    assert size < STOCK_SLAB
    (function,) = report["functions"]
    assert function["transient_peak_bytes"] == size
    assert chosen_kind(function) == "serenity"


@pytest.mark.parametrize("phase", PHASES[7:-1])
def test_compile_from_a_phase_after_ours_is_stock(
    phase: str, compilers: Compilers, stock_phases: dict[str, Path], tmp_path: Path
) -> None:
    flags = [stock_phases[phase], *TARGET, f"--compile-from={phase}"]
    report = tmp_path / "report.json"
    assert compilers.ours_output(*flags, f"--serenity-report={report}") == (
        compilers.stock_output(*flags)
    )
    assert json.loads(report.read_text())["functions"] == []


@pytest.mark.parametrize(("start", "end"), [("input", "stream"), ("abi", "flow"), ("abi", "hal")])
def test_from_one_phase_to_another(
    start: str, end: str, compilers: Compilers, cell: Path, stock_phases: dict[str, Path]
) -> None:
    both = [f"--compile-from={start}", f"--compile-to={end}"]
    assert compilers.ours_output(stock_phases[start], *TARGET, STRIP, *both) == (
        compilers.ours_output(cell, *TARGET, STRIP, f"--compile-to={end}")
    )


@pytest.mark.parametrize(
    "flags",
    [
        ["--compile-to=start"],
        ["--compile-from=hal", "--compile-to=flow"],
        ["--compile-from=stream", "--compile-to=stream"],
        ["--compile-to=nowhere"],
        ["--compile-from=nowhere"],
        ["--compile-from=flow"],  # of a module that is not there yet
    ],
)
def test_impossible_phases_fail_as_in_stock(
    flags: list[str], compilers: Compilers, cell: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    args = [cell, *TARGET, *flags, *ELIDE, "-o", output]
    stock = compilers.stock(*args)
    assert not output.exists()
    ours = compilers.ours(*args)
    assert not output.exists()
    assert stock.code != 0
    assert ours == stock


# --- output -------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that compiles as quickly as any."""
    path = tmp_path_factory.mktemp("small") / "add.mlir"
    path.write_text(ADD_MODULE)
    return path


def test_output_goes_to_standard_output_unless_named(
    compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.vmfb"
    assert compilers.ours(small, *TARGET, "-o", output) == (0, b"", "")
    module = output.read_bytes()
    assert len(module) > 1000
    for args in (["-o", "-"], ["-o=-"], []):
        run = compilers.ours(small, *TARGET, *args)
        assert run == (0, module, ""), args
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("form", [["-o", "FILE"], ["-o=FILE"], ["--o", "FILE"], ["--o=FILE"]])
def test_spellings_of_the_output_flag(
    form: list[str], compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    for name, run in (("stock", compilers.stock), ("ours", compilers.ours)):
        output = tmp_path / name
        result = run(small, *TARGET, *[part.replace("FILE", str(output)) for part in form])
        assert result == (0, b"", "")
        assert output.stat().st_size > 1000


@pytest.mark.parametrize("name", ["missing/out.vmfb", "a-file/out.vmfb", ".", ""])
def test_output_that_cannot_be_opened(
    name: str, compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    stock, ours = (
        run(small, *TARGET, "-o", name, cwd=tmp_path) for run in (compilers.stock, compilers.ours)
    )
    assert stock.code == 1 and "cannot open output file" in stock.err
    assert ours == stock
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_output_that_may_not_be_written(compilers: Compilers, small: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    kept = tmp_path / "kept"
    kept.write_text("kept")
    kept.chmod(0o400)
    for output in (locked / "out", kept):
        runs = [r(small, *TARGET, "-o", output) for r in (compilers.stock, compilers.ours)]
        assert runs[0].code == 1 and runs[0] == runs[1]
    assert kept.read_text() == "kept"


def test_existing_output_is_replaced_with_its_mode(
    compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    fresh, existing, linked, link = (tmp_path / n for n in ("fresh", "existing", "linked", "link"))
    existing.write_text("x" * 1_000_000)
    existing.chmod(0o640)
    linked.write_text("old")
    link.symlink_to("linked")
    for output in (fresh, existing, link):
        assert compilers.ours(small, *TARGET, "-o", output).code == 0
    assert fresh.read_bytes() == existing.read_bytes() == linked.read_bytes()
    assert stat.S_IMODE(existing.stat().st_mode) == 0o640
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o666 & ~mask
    assert link.is_symlink() and os.readlink(link) == "linked"
    assert len(list(tmp_path.iterdir())) == 4


def test_link_to_a_file_that_is_not_there_yet(
    compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to("later")
    assert compilers.ours(small, *TARGET, "-o", link).code == 0
    assert link.is_symlink()
    assert (tmp_path / "later").stat().st_size > 1000


def test_devices_and_pipes_are_written_in_place(
    compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    assert compilers.ours(small, *TARGET, "-o", "/dev/null") == (0, b"", "")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    module = compilers.ours_output(small, *TARGET)
    assert compilers.ours(small, *TARGET, "-o", "/dev/stdout") == (0, module, "")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        assert compilers.ours(small, *TARGET, "-o", fifo).code == 0
        assert reader.communicate()[0] == module
    assert fifo.is_fifo()


def test_output_beside_another_process(compilers: Compilers, small: Path, tmp_path: Path) -> None:
    # Who had the old file open still sees the old one, whole.
    output = tmp_path / "out"
    output.write_text("old")
    with output.open() as old:
        assert compilers.ours(small, *TARGET, "-o", output).code == 0
        assert old.read() == "old"


def test_full_device(compilers: Compilers, small: Path) -> None:
    stock, ours = (
        run(small, *TARGET, "-o", "/dev/full") for run in (compilers.stock, compilers.ours)
    )
    assert ours.code == stock.code != 0


@pytest.mark.parametrize("name", ["-", "/dev/stdin", None])
def test_standard_input(name: str | None, compilers: Compilers, small: Path) -> None:
    args = [*([name] if name else []), *TARGET]
    stock, ours = (
        run(*args, input=small.read_bytes()) for run in (compilers.stock, compilers.ours)
    )
    assert ours == stock
    assert (stock.code == 0) == (name is not None)


# --- formats ------------------------------------------------------------------


@pytest.mark.parametrize("output", ["vm-asm", "vm-c", "vm-bytecode"])
def test_output_formats(output: str, compilers: Compilers, cell: Path) -> None:
    flags = [cell, *TARGET, f"--output-format={output}"]
    stock_text = compilers.stock_output(*flags)
    off = compilers.ours_output(*flags, "--serenity-schedule=off")
    scheduled = compilers.ours_output(*flags)
    if output == "vm-c":
        # The stock tool itself numbers variables in one way or another from run to run.
        texts = [re.sub(rb"\bv\d+\b", b"v", text) for text in (stock_text, off, scheduled)]
        stock_text, off, scheduled = (b"\n".join(sorted(t.splitlines())) for t in texts)
    assert off == stock_text
    assert scheduled != stock_text
    mark = {"vm-asm": b"vm.module public @jit_cell", "vm-c": b"#include", "vm-bytecode": b"IREE"}
    assert mark[output] in scheduled and mark[output] in stock_text


def test_bytecode_of_mlir(
    compilers: Compilers, cell: Path, cell_slab: int, stock_phases: dict[str, Path], tmp_path: Path
) -> None:
    for phase in ("input", "stream", "vm"):
        flags = [cell, *TARGET, f"--compile-to={phase}", "--emit-mlir-bytecode"]
        bytecode = compilers.ours_output(*flags)
        assert bytecode.startswith(b"ML\xefR"), phase
        path = tmp_path / f"{phase}.mlirbc"
        path.write_bytes(bytecode)
        # Reading it back gives the module that is written as text.
        from_bytecode = compilers.ours_output(path, *TARGET, f"--compile-from={phase}", STRIP)
        if phase == "input":
            assert from_bytecode == compilers.ours_output(cell, *TARGET, STRIP)
    versioned = compilers.ours_output(
        cell,
        *TARGET,
        "--compile-to=flow",
        "--emit-mlir-bytecode",
        "--emit-mlir-bytecode-version=5",
    )
    assert versioned.startswith(b"ML\xefR")
    assert slabs(
        compilers.ours_output(
            tmp_path / "input.mlirbc", *TARGET, "--compile-from=input", "--compile-to=stream"
        )
    ) == [cell_slab]


@pytest.mark.parametrize("mode", ["std", "vm", "hal-executable", "precompile"])
def test_compile_modes(
    mode: str, compilers: Compilers, cell: Path, stock_phases: dict[str, Path], tmp_path: Path
) -> None:
    source = cell
    if mode == "vm":
        source = stock_phases["vm"]
    elif mode == "hal-executable":
        dump = f"--iree-hal-dump-executable-sources-to={tmp_path}"
        compilers.stock_output(cell, *TARGET, "--compile-to=executable-sources", dump)
        source = sorted(tmp_path.glob("*.mlir"))[0]
    flags = [source, *TARGET, f"--compile-mode={mode}"]
    ours, stock = compilers.ours_output(*flags), compilers.stock_output(*flags)
    # Only one of them has the phases that our passes lie between.
    assert (ours == stock) == (mode != "std")


def test_split_input_file(compilers: Compilers, tmp_path: Path) -> None:
    names = ["several_results", "two_functions", "jax_nhwc"]
    source = tmp_path / "split.mlir"
    source.write_text("// -----\n".join(MODELS[name]() for name in names))
    flags = [source, *TARGET, "--split-input-file", "--compile-to=stream", *ELIDE]
    report = tmp_path / "report.json"
    stock = compilers.stock_output(*flags)
    assert compilers.ours_output(*flags, "--serenity-schedule=off") == stock
    ours = compilers.ours_output(*flags, f"--serenity-report={report}")
    sizes = []
    functions = []
    for name in names:
        path = tmp_path / f"{name}.mlir"
        path.write_text(MODELS[name]())
        sizes += slabs(compilers.ours_output(path, *TARGET, "--compile-to=stream", *ELIDE))
        one = compilers.report(tmp_path / "one.json", path, *TARGET, "--compile-to=stream")
        functions += [(f["name"], f["transient_peak_bytes"]) for f in one["functions"]]
    assert slabs(ours) == sizes
    # The report speaks of all pieces, in order.
    assert [
        (f["name"], f["transient_peak_bytes"]) for f in json.loads(report.read_text())["functions"]
    ] == functions


def test_split_input_file_with_an_error(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "split.mlir"
    source.write_text(f"{ADD_MODULE}\n// -----\n{BROKEN}\n// -----\n{ADD_MODULE}")
    output = tmp_path / "out"
    args = [source, *TARGET, "--split-input-file", "-o", output]
    stock = compilers.stock(*args)
    assert stock.code == 1 and "within split at" in stock.err
    assert compilers.ours(*args) == stock
    assert not output.exists()


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
    assert serenity[-5:] == [
        "serenity-schedule",
        "serenity-schedule-regions",
        "serenity-waves",
        "serenity-pack",
        "serenity-clone-callees",
    ]
    # Every pass of the stock tool's; nothing but ours besides. How often depends on the number
    # of dispatches.
    assert {name for _, name in ours} ^ {name for _, name in stock} == set(serenity)
    # What is shown is what is compiled, in the order of the pipeline.
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
    for flag in ("--verify=false", "--verify=0", "--no-verify"):
        stock, ours = compilers.stock(cell, *TARGET, flag), compilers.ours(cell, *TARGET, flag)
        assert ours.code == stock.code
        if stock.code == 0:
            assert ours.out == plain
        else:
            assert ours == stock


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

#: Fails to verify.
BROKEN = "func.func @f(%x: i32) -> i64 {\n  return %x : i32\n}\n"

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
    """Sends a signal to a compilation that is between two passes of ours; returns its exit code.

    It prints the module, which has more bytes than a pipe holds, to a pipe that nobody reads on.
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


# --- flags of ours ------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        ["--serenity"],
        ["--serenity-"],
        ["--serenity-shedule"],
        ["--serenity-schedule=maybe"],
        ["--serenity-schedule="],
        ["--serenity-rewrite=yes"],
        ["--serenity-rewrite"],
        ["--serenity-max-recompute=-1"],
        ["--serenity-max-recompute=nan"],
        ["--serenity-offsets=tflite"],
        ["--serenity-scheduler=dp"],
        ["--serenity-time-limit=soon"],
        ["--serenity-time-limit=-1"],
        ["--serenity-time-limit=nan"],
        ["--serenity-time-limit="],
        ["--serenity-state-limit=-1"],
        ["--serenity-state-limit=1e3"],
        ["--serenity-memory-budget=0"],
        ["--serenity-memory-budget=256kb"],
        ["--serenity-memory-budget=1.5MB"],
        ["--serenity-memory-budget=99999999999GiB"],
        ["--serenity-budget-policy=ignore"],
        ["--serenity-report="],
        ["--serenity-report"],
        ["--serenity-print-ir-after=canonicalize"],
        ["-serenity-schedule", "--serenity-rewrite=auto", "-serenity-nothing=1"],
    ],
)
def test_bad_flags_of_ours(
    flags: list[str], compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run = compilers.ours(small, *TARGET, "-o", output, *flags)
    assert (run.code, run.out) == (2, b"")
    assert run.err.startswith("PROGRAM: error: ")
    assert flags[-1].split("=")[0].lstrip("-") in run.err
    if len(flags[-1].split("=")) == 2:
        assert f"'{flags[-1].split('=')[1]}'" in run.err or "unknown" in run.err
    known = ["schedule[=on|off]", "rewrite=auto|off|always", "memory-budget=BYTES"]
    assert all(f"--serenity-{flag}" in run.err for flag in known) or "needs a value" in run.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["--help", "--help-hidden", "-help"])
def test_help_has_a_section_of_ours(command: str, compilers: Compilers) -> None:
    ours = compilers.ours(command)
    stock = compilers.stock(command)
    assert ours.code == stock.code == 0
    text = ours.out.decode()
    section = text[: text.index("OVERVIEW: ")]
    assert section.startswith("Serenity options")
    for flag in ("schedule", "rewrite", "offsets", "scheduler", "time-limit", "state-limit"):
        assert f"--serenity-{flag}" in section
    for flag in ("memory-budget", "budget-policy", "report", "print-ir-after"):
        assert f"--serenity-{flag}" in section
    assert max(map(len, section.splitlines())) <= 100
    rest = text[len(section) :].replace("serenity-compile", "iree-compile")
    assert rest == stock.out.decode()


def test_version(compilers: Compilers) -> None:
    assert compilers.ours("--version") == compilers.stock("--version")


def test_values_in_the_next_argument(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    forms = [
        ["--compile-to", "stream", "--serenity-report", str(report), "--serenity-offsets", "exact"],
        ["-compile-to=stream", f"-serenity-report={report}", "-serenity-offsets", "exact"],
    ]
    outputs = []
    for form in forms:
        report.unlink(missing_ok=True)
        run = compilers.ours(cell, *TARGET, *form)
        assert run.code == 0, run.err
        assert json.loads(report.read_text())["functions"]
        outputs.append(run.out)
    assert outputs[0] == outputs[1]
    # A value that looks like a flag of ours is none.
    odd = tmp_path / "--serenity-schedule=off"
    run = compilers.ours(cell, *TARGET, "--serenity-rewrite=off", "-o", odd.name, cwd=tmp_path)
    assert run.code == 0
    assert odd.read_bytes() == compilers.ours_output(cell, *TARGET)


def test_what_follows_two_dashes_is_no_flag(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "--serenity-x.mlir"
    source.write_text(ADD_MODULE)
    flags = ["--serenity-schedule", *TARGET, "-o", "/dev/null", "--", source.name]
    assert compilers.ours(*flags, cwd=tmp_path) == (0, b"", "")


def test_the_last_of_repeated_flags_wins(compilers: Compilers, cell: Path, cell_slab: int) -> None:
    flags = [cell, *TARGET, "--compile-to=stream", *ELIDE, "--serenity-rewrite=off"]
    for last, size in (("on", cell_slab), ("off", STOCK_SLAB)):
        first = "off" if last == "on" else "on"
        output = compilers.ours_output(
            *flags, f"--serenity-schedule={first}", f"--serenity-schedule={last}"
        )
        assert slabs(output) == [size]


def test_response_files(compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path) -> None:
    (tmp_path / "inner.rsp").write_text(
        "--serenity-rewrite=off\n'--compile-to=stream' -o out\\ file"
    )
    (tmp_path / "outer.rsp").write_text(
        "\n".join([*TARGET, *ELIDE, "@inner.rsp", '"--serenity-report=re port.json"'])
    )
    run = compilers._run(compilers.ours_path, ["@outer.rsp", str(cell)], b"", tmp_path)
    assert run == (0, b"", "")
    assert slabs((tmp_path / "out file").read_text()) == [cell_slab]
    report = json.loads((tmp_path / "re port.json").read_text())
    assert report["functions"][0]["transient_peak_bytes"] == cell_slab
    # LLVM's parser leaves what is no file as it is: an input of that name.
    missing = compilers.ours("@missing.rsp", *TARGET, cwd=tmp_path)
    assert missing == compilers.stock("@missing.rsp", *TARGET, cwd=tmp_path)
    assert missing.code == 1
    (tmp_path / "loop.rsp").write_text("@loop.rsp")
    loop = compilers.ours("@loop.rsp", cwd=tmp_path)
    assert loop.code == 2 and "recursive" in loop.err


def test_every_flag_of_ours_implies_the_schedule(
    compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path
) -> None:
    for flag in ("--serenity-rewrite=off", f"--serenity-report={tmp_path / 'r.json'}"):
        assert slabs(compilers.ours_output(cell, *TARGET, "--compile-to=stream", *ELIDE, flag)) == [
            cell_slab
        ]


def test_offsets_of_iree_are_never_better(compilers: Compilers, cell: Path, cell_slab: int) -> None:
    sizes = {}
    for offsets in ("exact", "greedy", "iree"):
        (sizes[offsets],) = slabs(
            compilers.ours_output(
                cell, *TARGET, "--compile-to=stream", *ELIDE, f"--serenity-offsets={offsets}"
            )
        )
    assert sizes["exact"] == cell_slab
    assert sizes["exact"] <= sizes["greedy"] <= STOCK_SLAB
    assert sizes["exact"] <= sizes["iree"] <= STOCK_SLAB


# --- the memory budget (test_budget.py has the rest) ---------------------------


def test_a_missed_budget_leaves_files_alone(
    compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path
) -> None:
    plain = compilers.ours_output(cell, *TARGET)
    output, report = tmp_path / "out", tmp_path / "report.json"
    args = [cell, *TARGET, "-o", output, f"--serenity-report={report}"]
    met = compilers.ours(*args, f"--serenity-memory-budget={cell_slab}")
    assert (met.code, met.out) == (0, b"")
    assert output.read_bytes() == plain
    report.unlink()
    missed = compilers.ours(*args, f"--serenity-memory-budget={cell_slab - 1}")
    assert missed.code == 3
    # The output of the successful run is still there; the report tells why it was missed.
    assert output.read_bytes() == plain
    assert json.loads(report.read_text())["functions"][0]["transient_peak_bytes"] == cell_slab
    output.unlink()
    assert compilers.ours(*args, "--serenity-memory-budget=1KiB").code == 3
    assert not output.exists()


# --- the launcher -------------------------------------------------------------


def test_launcher_with_a_flag_of_ours(
    launcher: str, compilers: Compilers, cell: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = [launcher, str(cell), *TARGET, "--serenity-rewrite=off", "-o", str(output)]
    subprocess.run(command, check=True)
    assert output.read_bytes() == compilers.ours_output(cell, *TARGET)


def test_launcher_without_a_flag_of_ours(
    launcher: str, compilers: Compilers, cell: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    subprocess.run([launcher, str(cell), *TARGET, "-o", str(output)], check=True)
    assert output.read_bytes() == compilers.stock_output(cell, *TARGET)


def test_launcher_switched_off(launcher: str, small: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [launcher, str(small), *TARGET, "--serenity-schedule", "-o", str(tmp_path / "out")],
        env={**os.environ, "SERENITY_DISABLE": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert "Unknown command line argument '--serenity-schedule'" in process.stderr
    assert not list(tmp_path.iterdir())


# --- flags of the user that concern what we do --------------------------------


#: The fusion that IREE chooses by itself, asked for by the user: not ours to vary.
OWN_FUSION = (
    "--iree-dispatch-creation-fuse-multi-use=true",
    "--iree-dispatch-creation-enable-fuse-padding-into-linalg-consumer-ops=false",
)


@pytest.mark.parametrize("favor", ["max-concurrency", "min-peak-memory", "debug"])
def test_partitioning_of_the_user(
    favor: str, compilers: Compilers, cell: Path, tmp_path: Path
) -> None:
    favored = f"--iree-stream-partitioning-favor={favor}"
    flags = [cell, *TARGET, *OWN_FUSION, "--compile-to=stream", favored, *ELIDE]
    stock = compilers.stock_output(*flags)
    run = compilers.ours(*flags, f"--serenity-report={tmp_path / 'report.json'}")
    assert run.code == 0
    (size,) = slabs(run.out)
    assert size < slabs(stock)[0]
    waves = [text.count(b"stream.cmd.concurrent") for text in (stock, run.out)]
    assert waves[0] == waves[1]
    assert (waves[0] > 0) == (favor != "debug")
    if favor != "debug":
        assert re.search(r"cell\.mlir:\d+:\d+: remark: .*stream\.async\.concurrent", run.err)
    (function,) = json.loads((tmp_path / "report.json").read_text())["functions"]
    assert function["stock_transient_peak_bytes"] == slabs(stock)[0]
    assert function["transient_peak_bytes"] == size
    # With our fusion too.
    flags = [cell, *TARGET, "--compile-to=stream", favored, *ELIDE]
    free = compilers.ours_output(*flags)
    assert slabs(free)[0] <= size
    assert (free.count(b"stream.cmd.concurrent") > 0) == (favor != "debug")


def test_fusion_of_the_user(
    compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path
) -> None:
    fusions = []
    for flags in ((), OWN_FUSION):
        report = compilers.report(
            tmp_path / "report.json", cell, *TARGET, *flags, "--compile-to=stream"
        )
        (function,) = report["functions"]
        assert cell_slab <= function["transient_peak_bytes"] < STOCK_SLAB
        fusions.append({candidate["multi_use_fusion"] for candidate in function["candidates"]})
    assert fusions == [{None, False}, {None}]


@pytest.mark.parametrize(
    "model", ["host-only", "async-internal", "async-external", "inline-static", "inline-dynamic"]
)
def test_execution_models(
    model: str, compilers: Compilers, cell: Path, cell_slab: int, tmp_path: Path
) -> None:
    source = cell
    if model == "host-only":
        source = tmp_path / "host.mlir"
        source.write_text(MODELS["no_tensors"]())
    flags = [source, *TARGET, f"--iree-execution-model={model}", *ELIDE]
    stock, ours = compilers.stock(*flags), compilers.ours(*flags)
    assert ours.code == stock.code
    if model == "host-only":
        assert ours == stock and stock.code == 0
        return
    if stock.code:
        # This target does not link statically; both say so.
        assert model == "inline-static" and ours.err == stock.err
    to_stream = [*flags, "--compile-to=stream"]
    assert compilers.ours_output(*to_stream, "--serenity-schedule=off") == (
        compilers.stock_output(*to_stream)
    )
    assert slabs(compilers.ours_output(*to_stream)) == [cell_slab]


@pytest.mark.slow
def test_constants_are_evaluated_in_the_form_that_is_chosen(
    compilers: Compilers, tmp_path: Path
) -> None:
    # While forms are compared, constants are not: it would take most of the time.
    text = MODELS["jax_nhwc"]()
    assert text.count('"stablehlo.concatenate"') == 1
    path = tmp_path / "scaled.mlir"
    path.write_text(
        text.replace(
            "    %zero = ",
            """    %w4 = stablehlo.tanh %w3 : tensor<3x3x40x8xf32>
    %zero = """,
        ).replace("(%5, %w3)", "(%5, %w4)")
    )
    assert "%w4)" in path.read_text()
    report = tmp_path / "report.json"
    flags = (
        *TARGET,
        "--compile-to=stream",
        "--serenity-rewrite=auto",
        f"--serenity-report={report}",
    )
    evaluated = compilers.ours_output(path, *flags, *ELIDE)
    functions = json.loads(report.read_text())["functions"]
    assert [entry["initializer"] for entry in functions] == [False]
    kinds = {rewrite["kind"] for rewrite in functions[0]["rewrites"]}
    assert {"channel-wise", "kernel-wise"} & kinds
    left = compilers.ours_output(path, *flags, *ELIDE, "--iree-opt-const-eval=false")
    functions = json.loads(report.read_text())["functions"]
    assert sorted(entry["initializer"] for entry in functions) == [False, True]
    assert slabs(evaluated)[0] == min(slabs(left))


@pytest.mark.parametrize(
    "flags",
    [
        ["--iree-opt-level=O0"],
        ["--iree-opt-level=O2"],
        ["--iree-opt-level=O3"],
        ["--iree-opt-data-tiling"],
        ["--iree-scheduling-optimize-bindings=false"],
        ["--iree-stream-resource-min-offset-alignment=256"],
        ["--iree-stream-resource-memory-model=discrete"],
        ["--iree-dispatch-creation-fuse-multi-use=false"],
        ["--iree-stream-resource-index-bits=32"],
    ],
    ids=lambda flags: flags[0].removeprefix("--iree-"),
)
def test_options_of_the_phases_around_us(
    flags: list[str], compilers: Compilers, cell: Path, tmp_path: Path
) -> None:
    to_stream = [cell, *TARGET, *flags, "--compile-to=stream"]
    stock = slabs(compilers.stock_output(*to_stream, *ELIDE))
    ours = slabs(compilers.ours_output(*to_stream, *ELIDE))
    assert len(stock) == len(ours) == 1
    assert ours[0] < stock[0]
    report = compilers.report(tmp_path / "report.json", *to_stream)
    assert report["functions"][0]["transient_peak_bytes"] == ours[0]
    assert report["functions"][0]["stock_transient_peak_bytes"] == stock[0]


def test_alignment_of_offsets(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    flag = "--iree-stream-resource-min-offset-alignment=1024"
    report = compilers.report(tmp_path / "report.json", cell, *TARGET, flag)
    (region,) = report["functions"][0]["regions"]
    assert region["slab_bytes"] % 1024 == 0
    assert {buffer["offset"] % 1024 for buffer in region["buffers"]} == {0}


def test_parameters_in_archives(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "torch.mlir"
    source.write_text(MODELS["torch_nchw"]())
    files: dict[str, list[Path]] = {}
    for name, run in (("stock", compilers.stock), ("ours", compilers.ours)):
        # The module names them, so both get the same names.
        paths = [tmp_path / n for n in ("weights.irpa", "splat.irpa", "encoder.mlir", "out.vmfb")]
        result = run(
            source,
            *TARGET,
            f"--iree-parameter-export=w={paths[0]}",
            "--iree-parameter-export-minimum-size=0",
            f"--iree-parameter-splat={paths[1]}",
            f"--iree-parameter-encoder-output-file={paths[2]}",
            "-o",
            paths[3],
        )
        assert result.code == 0 and "error" not in result.err, name
        files[name] = [
            path.rename(tmp_path / f"{name}.{path.name}") for path in paths if path.exists()
        ]
    assert len(files["stock"]) >= 3
    for stock, ours in zip(files["stock"], files["ours"], strict=True):
        assert (stock.read_bytes() == ours.read_bytes()) == (stock.suffix != ".vmfb"), stock.name
    text = compilers.ours_output(
        source,
        *TARGET,
        f"--iree-parameter-export=w={tmp_path / 'again.irpa'}",
        "--iree-parameter-export-minimum-size=0",
        "--compile-to=stream",
    )
    plain = compilers.ours_output(source, *TARGET, "--compile-to=stream")
    assert slabs(text) == slabs(plain)


def test_transients_of_the_caller(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "torch.mlir"
    source.write_text(MODELS["torch_nchw"]())
    flags = [source, *TARGET, "--iree-torch-externalize-transients", *ELIDE]
    to_stream = [*flags, "--compile-to=stream"]
    stock, ours = compilers.stock_output(*to_stream), compilers.ours_output(*to_stream)
    # The caller asks for the size and provides the memory.
    assert slabs(stock) == slabs(ours) == []
    sizes = [
        int(size)
        for text in (stock, ours)
        for size in re.findall(rb"iree\.abi\.transients\.size\.constant = (\d+)", text)
    ]
    assert len(sizes) == 2 and 0 < sizes[1] < sizes[0]
    assert compilers.ours_output(*to_stream, "--serenity-schedule=off") == stock
    assert compilers.ours(*flags, "-o", "/dev/null").code == 0
    # The predicted size is what the caller is told.
    report = compilers.report(tmp_path / "report.json", *flags)
    (region,) = report["functions"][0]["regions"]
    assert region["slab_bytes"] == sizes[1]


_TWO_DEVICES = """
module {
  func.func @main(%x: tensor<64x64xf32>, %w: tensor<64x64xf32>) -> tensor<64x64xf32> {
    %cst = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<64x64xf32>
    %f = linalg.fill ins(%cst : f32) outs(%e : tensor<64x64xf32>) -> tensor<64x64xf32>
    %0 = linalg.matmul ins(%x, %w : tensor<64x64xf32>, tensor<64x64xf32>)
      outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
    %1 = linalg.matmul ins(%0, %w : tensor<64x64xf32>, tensor<64x64xf32>)
      outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
    %2 = flow.tensor.transfer %1 : tensor<64x64xf32> to #hal.device.promise<@b>
    %3 = linalg.matmul ins(%2, %2 : tensor<64x64xf32>, tensor<64x64xf32>)
      outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
    %4 = linalg.matmul ins(%3, %2 : tensor<64x64xf32>, tensor<64x64xf32>)
      outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
    %5 = flow.tensor.transfer %4 : tensor<64x64xf32> to #hal.device.promise<@a>
    return %5 : tensor<64x64xf32>
  }
}
"""


def test_two_devices(compilers: Compilers, tmp_path: Path) -> None:
    source = tmp_path / "two.mlir"
    source.write_text(_TWO_DEVICES)
    flags = [
        source,
        "--iree-hal-target-device=a=local[0]",
        "--iree-hal-target-device=b=local[1]",
        TARGET[1],
    ]
    stock = compilers.stock_output(*flags, "--compile-to=stream")
    assert compilers.ours_output(*flags, "--compile-to=stream", "--serenity-schedule=off") == stock
    ours = compilers.ours_output(*flags, "--compile-to=stream")
    for device in (b"device.affinity<@a>", b"device.affinity<@b>"):
        assert device in stock and device in ours
    assert sum(slabs(ours)) <= sum(slabs(stock))
    assert compilers.ours(*flags, "-o", "/dev/null").code == 0


def test_other_spellings_of_the_target(compilers: Compilers, small: Path) -> None:
    flags = [small, "--iree-hal-target-backends=vmvx"]
    assert compilers.ours_output(*flags, "--serenity-schedule=off") == (
        compilers.stock_output(*flags)
    )


# --- the report ---------------------------------------------------------------


def test_report_on_standard_output(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report = compilers.report(file, cell, *TARGET)
    run = compilers.ours(cell, *TARGET, "-o", "/dev/null", "--serenity-report=-")
    assert run.code == 0
    assert without_times(json.loads(run.out)) == without_times(report)


def test_report_that_cannot_be_written(compilers: Compilers, small: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    flags = ["-o", output, f"--serenity-report={tmp_path / 'missing' / 'report.json'}"]
    run = compilers.ours(small, *TARGET, *flags)
    assert run.code == 2
    assert "missing/report.json" in run.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["module.vmfb", "./module.vmfb", "model.mlir", "link.json", ""])
def test_report_never_overwrites_model_or_module(
    name: str, compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.mlir"
    model.write_text(small.read_text())
    (tmp_path / "link.json").symlink_to(model)
    output = tmp_path / "module.vmfb"
    output.write_text("older")
    for flags in (["-o", output], [f"-o={output}"]):
        report = f"{tmp_path}/{name}"
        run = compilers.ours(model, *TARGET, *flags, f"--serenity-report={report}")
        assert run.code == 2
        wanted = "is a folder" if not name else "is also the"
        assert wanted in run.err and "name a" in run.err, run.err
        assert model.read_text() == small.read_text()
        assert output.read_text() == "older"


def test_report_of_stock(compilers: Compilers, cell: Path, tmp_path: Path) -> None:
    report = compilers.report(tmp_path / "report.json", cell, *TARGET, "--serenity-schedule=off")
    (function,) = report["functions"]
    assert function["transient_peak_bytes"] == STOCK_SLAB
    assert function["stock_transient_peak_bytes"] == STOCK_SLAB
    assert [c["kind"] for c in function["candidates"]] == ["stock"]


@pytest.mark.slow
def test_flag_combinations_agree(compilers: Compilers, cell: Path, cell_slab: int) -> None:
    """Every pair of the flags that change how the driver runs its phases gives the same module."""
    flags = [
        "--mlir-disable-threading",
        "--verify=false",
        "--serenity-print-ir-after=serenity-pack",
        "--mlir-timing",
        "--mlir-print-local-scope",
    ]
    plain = compilers.ours_output(cell, *TARGET, STRIP)
    for first, second in itertools.combinations(flags, 2):
        run = compilers.ours(cell, *TARGET, STRIP, first, second)
        assert run.code == 0 and run.out == plain, (first, second)
