# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Flags of `serenity-compile`: those of serenity_mlir, of IREE, and both together."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ADD_MODULE
from driver_support import ELIDE, STOCK_SLAB, STRIP, TARGET, Compilers, slabs, without_times
from models import MODELS

from serenity_mlir import _core

# --- serenity flags ------------------------------------------------------------


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
def test_bad_serenity_flags(
    flags: list[str], compilers: Compilers, small: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run = compilers.ours(small, *TARGET, "-o", output, *flags)
    assert (run.code, run.out) == (2, b"")
    assert run.err.startswith("PROGRAM: error: ")
    assert flags[-1].split("=")[0].lstrip("-") in run.err
    name, has_value, value = flags[-1].lstrip("-").partition("=")
    declared = {f"serenity-{option.name}" for option in _core.option_declarations()}
    if name in declared and not has_value:
        assert "needs a value" in run.err
    else:
        assert (f"'{value}'" if name in declared else "unknown flag") in run.err
        for flag in ("schedule[=on|off]", "rewrite=auto|off|always", "memory-budget=BYTES"):
            assert f"--serenity-{flag}" in run.err
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
    # A value that looks like a serenity flag is none.
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
    # LLVM's parser leaves an argument that is no file unchanged: an input of that name.
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


# --- flags of the user that concern the serenity passes -----------------------


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
    # Constants are evaluated for the chosen candidate alone: it would take most of the time.
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
    # The caller is told the predicted size.
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
