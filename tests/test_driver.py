# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity-compile` as a replacement of `iree-compile`: every flag works as in the stock tool.

Wherever the stock tool does something of its own, it is run with the same arguments and the two
are compared.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import ADD_MODULE
from driver_support import BROKEN, ELIDE, PHASES, STOCK_SLAB, STRIP, TARGET, Compilers, slabs
from models import MODELS
from report_support import chosen_kind

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
    # No serenity attribute is left for a compiler that does not know it.
    assert (b"serenity" in text) == (phase == "flow")
    assert text != stock_phases[phase].read_bytes()
    if phase in PHASES[7:10]:
        assert slabs(text) == [cell_slab]
    flags = [*TARGET, f"--compile-from={phase}", STRIP]
    again = compilers.stock_output(ours, *flags)
    if phase == "flow":
        # The order survives in text, the choice of no concurrency does not: IREE chooses again.
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
    # A reader that had the old file open still sees all of the old one.
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
