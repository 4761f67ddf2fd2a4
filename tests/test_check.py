# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`serenity check`: its verdicts with made-up reports, and the real compiler's promises."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from models import MODELS
from report_support import make_function, make_region, make_report
from typer.testing import CliRunner

from serenity_mlir import networks
from serenity_mlir.cli import app
from serenity_mlir.compiling import compiler
from serenity_mlir.compiling.compiler import SerenityOptions
from serenity_mlir.errors import SerenityError
from serenity_mlir.measuring import checking
from serenity_mlir.measuring.checking import check
from serenity_mlir.measuring.measurement import CallMemory, Measurement
from serenity_mlir.measuring.predictions import find_disagreements, read_prediction
from serenity_mlir.measuring.tolerance import compare_outputs
from serenity_mlir.reports.reporting import parse_report


def compiler_is_built() -> bool:
    from serenity_mlir._native import native_tool

    try:
        native_tool("serenity-compile")
    except Exception:
        return False
    return True


needs_compiler = pytest.mark.skipif(
    not compiler_is_built(), reason="serenity-compile is not built; install the package first"
)


# --- outputs ------------------------------------------------------------------


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_equal_outputs_are_bitwise_equal():
    found = compare_outputs([f32(1, np.nan), 3], [f32(1, np.nan), 3])
    assert found.bitwise and found.tolerable and found.largest == 0


@pytest.mark.parametrize(
    ("expected", "actual", "tolerable"),
    [
        (f32(100, 0), f32(100, 0.0009), True),
        (f32(100, 0), f32(100, 0.0011), False),
        (f32(0, 0), f32(0, 1e-30), False),
        (f32(1, np.inf), f32(1.000001, np.inf), True),
        (f32(1, np.inf), f32(1, -np.inf), False),
        (f32(1, 2), f32(1, np.nan), False),
        (f32(1, np.nan), f32(1, 2), False),
        (f32(0.0), f32(-0.0), True),
        (np.float16([1, 2]), np.float16([1, 2.004]), True),
        (np.float16([1, 2]), np.float16([1, 2.1]), False),
        (
            np.array([1, 2], ml_dtypes.bfloat16),
            np.array([1, 2.015625], ml_dtypes.bfloat16),
            True,
        ),
        (np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 3], ml_dtypes.bfloat16), False),
        (np.int8([127, 0]), np.int8([127, 1]), False),
        (np.uint8([0]), np.uint8([255]), False),
        (np.array([True]), np.array([False]), False),
        (np.complex64([100j]), np.complex64([100.0005j]), True),
        (np.complex64([100j]), np.complex64([100.05j]), False),
    ],
)
def test_outputs_that_differ(expected, actual, tolerable):
    found = compare_outputs([expected], [actual])
    assert not found.bitwise
    assert found.tolerable == tolerable


def test_one_bad_result_among_good_ones_counts():
    good, bad = f32(1, 2), f32(1, 3)
    found = compare_outputs([good, good, good], [good, bad, good])
    assert (found.bitwise, found.tolerable, found.largest) == (False, False, 1.0)


def test_unsigned_differences_do_not_wrap():
    assert compare_outputs([np.uint8([1])], [np.uint8([3])]).largest == 2


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ([f32(1)], []),
        ([f32(1, 2)], [f32(1, 2).reshape(2, 1)]),
        ([f32(1)], [np.float64([1])]),
        ([1], [1.0]),
    ],
)
def test_results_of_other_types_cannot_be_compared(expected, actual):
    found = compare_outputs(expected, actual)
    assert found.problem and not found.tolerable and not found.bitwise


# --- verdicts -----------------------------------------------------------------

REPORT = make_report(
    [
        make_function(name="init", initializer=True, transient_peak_bytes=1),
        make_function(
            external_bytes=300,
            transient_peak_bytes=500,
            stock_transient_peak_bytes=800,
            peak_bytes=810,
            regions=[make_region(slab_bytes=500, lower_bound_bytes=448)],
        ),
    ],
    persistent_bytes=10,
)


def prediction(report, function="main"):
    return read_prediction(parse_report(report), function)


def measurement(persistent=10, inputs=100, results=200, transient=500, before=10, retained=0):
    peak = before + inputs + results + transient + retained
    call = CallMemory(before, inputs, results, peak, retained)
    return Measurement("main", ("main",), persistent, persistent, peak, 0, (call, call), ((), ()))


STOCK = measurement(transient=800)


def problems(ours: Measurement, report=REPORT, stock: Measurement = STOCK) -> list[str]:
    return find_disagreements(prediction(report), stock, ours)


def test_a_prediction_that_holds():
    assert problems(measurement()) == []


def test_prediction_is_read_from_the_function_not_the_initializer():
    found = prediction(REPORT)
    assert found is not None
    assert (found.transient_peak_bytes, found.slab_bytes, found.peak_bytes) == (500, 500, 810)
    assert found.optimal and found.exact and not found.rewritten
    assert prediction(REPORT, "main$async") == found
    assert prediction(REPORT, "other") is None


@pytest.mark.parametrize(("used", "expected"), [(["order"], False), (["order", "fusion"], True)])
def test_kernels_that_are_fused_otherwise_may_round_otherwise(used, expected):
    report = copy.deepcopy(REPORT)
    for function in report["functions"]:
        function["used"] = used
    found = prediction(report)
    assert found is not None and found.rewritten is expected


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"persistent": 11}, "persistent: predicted 10 bytes, the runtime took 11"),
        ({"inputs": 101}, "external: predicted 300 bytes, the runtime took 301"),
        ({"results": 190}, "external: predicted 300 bytes, the runtime took 290"),
        ({"transient": 501}, "transient peak: predicted 500 bytes, the runtime took 501"),
        ({"transient": 499}, "transient peak: predicted 500 bytes, the runtime took 499"),
        ({"transient": 900}, "more than the stock compiler's 800"),
        ({"retained": 64}, "peak: predicted 810 bytes, the runtime took 874"),
        ({"before": 74}, "peak: predicted 810 bytes, the runtime took 874"),
    ],
)
def test_every_class_of_memory_is_compared(wrong, text):
    assert any(text in problem for problem in problems(measurement(**wrong)))


def test_the_second_call_is_compared_too():
    good, bad = measurement(), measurement(transient=600)
    mixed = dataclasses.replace(good, calls=(good.calls[0], bad.calls[0]))
    found = problems(mixed)
    assert found and all(problem.startswith("call 2") for problem in found)


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        ((64, 64), (64, 64), None),
        # More than the stock module keeps, or where that keeps nothing, or not after every call.
        ((96, 96), (64, 64), "call 1, peak: predicted 810 bytes, the runtime took 842"),
        ((64, 64), (0, 0), "call 1, peak: predicted 810 bytes, the runtime took 874"),
        ((64, 0), (64, 0), "call 1, peak: predicted 810 bytes, the runtime took 874"),
        ((0, 64), (0, 64), "call 2, peak: predicted 810 bytes, the runtime took 874"),
    ],
)
def test_what_the_runtime_keeps_of_both_modules(ours, theirs, text):
    def measured(retained, transient):
        calls, before = [], 10
        for bytes in retained:
            one = measurement(before=before, retained=bytes, transient=transient)
            calls.append(one.call)
            before += bytes
        return dataclasses.replace(measurement(transient=transient), calls=tuple(calls))

    found = problems(measured(ours, 500), stock=measured(theirs, 800))
    assert (text in found) if text else (found == [])


def test_a_variable_that_shrinks_in_the_first_call():
    # 192 bytes at load, rounded up; 144 from then on, which are exact.
    function = {
        **REPORT["functions"][1],
        "external_bytes": 288,
        "transient_peak_bytes": 144,
        "stock_transient_peak_bytes": 144,
        "peak_bytes": 624,
    }
    report = make_report([function], persistent_bytes=192)
    calls = CallMemory(192, 144, 144, 624, -48), CallMemory(144, 144, 144, 576, 0)
    assert [call.transient_peak_bytes for call in calls] == [144, 144]
    found = Measurement("main", ("main",), 192, 192, 624, 0, calls, ((), ()))
    assert problems(found, report, found) == []
    # Something that an earlier call has left behind is another matter.
    grown = dataclasses.replace(calls[1], before_bytes=208, peak_bytes=640)
    grew = dataclasses.replace(found, calls=(calls[0], grown))
    assert problems(grew, report, found) == [
        "call 2, peak: predicted 624 bytes, the runtime took 640"
    ]


def test_a_wrong_prediction_for_the_stock_compiler():
    found = problems(measurement(), stock=measurement(transient=801))
    assert found == [
        "transient peak of the stock compiler: predicted 800 bytes, the runtime took 801"
    ]


def changed(**fields):
    report = copy.deepcopy(REPORT)
    report["functions"][1].update(fields)
    return report


def test_unknown_sizes_are_not_compared_but_known_ones_are():
    dynamic = changed(transient_peak_bytes=None, external_bytes=None, peak_bytes=None)
    assert problems(measurement(transient=123, inputs=7), dynamic) == []
    assert problems(measurement(persistent=5), dynamic)


def test_a_bound_may_be_missed_below_and_not_above():
    bound = changed(peak_is_exact=False)
    assert problems(measurement(transient=450), bound) == []
    assert problems(measurement(transient=501), bound)
    # A bound on transient memory holds for itself: less external memory is no excuse.
    assert problems(measurement(results=150, transient=550), bound) == [
        f"call {call}, transient peak: predicted at most 500 bytes, the runtime took 550"
        for call in (1, 2)
    ]
    assert problems(measurement(results=201, transient=400), bound)


def test_several_regions_are_a_bound_unless_the_report_gives_the_peak():
    regions = [make_region(slab_bytes=400), make_region(slab_bytes=450, optimal=False)]
    several = changed(regions=regions, peak_is_exact=False)
    assert problems(measurement(transient=450), several) == []
    assert problems(measurement(transient=501), several)
    told = changed(regions=regions, peak_bytes=760, peak_is_exact=True)
    assert problems(measurement(transient=450), told) == []
    assert problems(measurement(transient=451), told)
    assert problems(measurement(transient=449), told)
    found = prediction(told)
    assert found is not None and found.slab_bytes == 450 and found.optimal is False
    assert found.lower_bound_bytes == 0


def test_never_worse_is_judged_by_what_the_runtime_can_show():
    worse = changed(transient_peak_bytes=900, stock_transient_peak_bytes=800)
    assert any("more than" in text for text in problems(measurement(transient=900), worse))
    # Several regions: the classes need not add up, but the peak of the call must not grow.
    regions = [make_region(slab_bytes=400), make_region(slab_bytes=450)]
    several = changed(regions=regions, peak_bytes=710, peak_is_exact=True)
    assert problems(measurement(transient=400), several, measurement(transient=400)) == []
    (problem,) = problems(measurement(transient=400), several, measurement(transient=390))
    assert problem == (
        "peak of a call with inputs and results: 700 bytes are more than the stock compiler's 690"
    )
    # The stock module may show less than its transient peak, but not more.
    sums = changed(regions=regions, peak_is_exact=True)
    assert problems(measurement(), sums, measurement(transient=700)) == []
    assert problems(measurement(), sums, measurement(transient=801))
    lost = changed(regions=regions, peak_bytes=710, transient_peak_bytes=801, peak_is_exact=True)
    assert any("more than" in text for text in problems(measurement(transient=400), lost))


def test_where_memory_depends_on_the_run_the_worst_run_counts():
    # Inputs and results take 300 bytes (`measurement`), so that no call of the stock module needs
    # more than 800 with 500 transient. A call without a step of its loop may need less than that,
    # and less than ours.
    bounds = changed(transient_peak_bytes=450, stock_transient_peak_bytes=500, peak_is_exact=False)
    assert problems(measurement(transient=450), bounds, measurement(transient=100)) == []
    loose = changed(transient_peak_bytes=501, stock_transient_peak_bytes=500, peak_is_exact=False)
    assert any("more than" in text for text in problems(measurement(transient=501), loose))


def test_a_function_missing_in_the_report_must_not_allocate():
    empty = make_report([])
    assert problems(measurement(), empty)
    assert problems(measurement(transient=0), empty)
    assert problems(measurement(transient=0, results=0), empty) == []


# --- the whole command, with stock modules and reports of our own -------------


def stock_report(**functions):
    """The report of a compiler that changes nothing; (external, transient) per function."""
    persistent = functions.pop("persistent", 0)
    entries = [
        make_function(
            name=name,
            exported_as=name,
            external_bytes=external,
            transient_peak_bytes=transient,
            stock_transient_peak_bytes=transient,
            peak_bytes=None
            if None in (persistent, external, transient)
            else persistent + external + transient,
        )
        for name, (external, transient) in functions.items()
    ]
    return make_report(entries, persistent_bytes=persistent)


@pytest.fixture
def pretend(monkeypatch):
    """Let the compiler be the stock one, with a given report, or another module's text."""
    real = checking.compile_model
    seen: list[list[str]] = []
    # The verdict does not depend on the target; this one compiles fastest.
    vmvx = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=vmvx"]
    monkeypatch.setattr(compiler, "LOCAL_FLAGS", (*vmvx, "--iree-llvmcpu-target-cpu=host"))

    def install(report, text: str | None = None):
        def compile_model(path, output, flags, serenity):
            if serenity is None:
                return real(path, output, flags, None)
            seen.append(list(flags))
            if text is not None:
                path = output.with_suffix(".mlir")
                path.write_text(text)
            plain = [flag for flag in flags if not flag.startswith("--serenity-")]
            real(path, output, plain, None)
            return report

        monkeypatch.setattr(checking, "compile_model", compile_model)
        return seen

    return install


TWO = {"small": (2 * 1024, 7168), "large": (3 * 5120, 66560)}


def write(tmp_path: Path, name: str) -> str:
    path = tmp_path / f"{name}.mlir"
    path.write_text(MODELS[name]())
    return str(path)


def test_all_functions_are_checked(pretend, tmp_path):
    pretend(stock_report(**TWO))
    result = CliRunner().invoke(app, ["check", write(tmp_path, "two_functions"), "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert data["ok"]
    assert [function["name"] for function in data["functions"]] == ["small", "large"]
    assert data["functions"][1]["serenity"]["transient_peak_bytes"] == 66560
    assert data["functions"][1]["bitwise_equal"]


def test_a_wrong_report_of_one_function_exits_with_4(pretend, tmp_path):
    pretend(stock_report(**{**TWO, "large": (3 * 5120, 66560 - 64)}))
    model = write(tmp_path, "two_functions")
    result = CliRunner().invoke(app, ["check", model])
    assert result.exit_code == 4
    assert "predicted 66,496 bytes, the runtime took 66,560" in result.output
    only = CliRunner().invoke(app, ["check", model, "--function", "small"])
    assert only.exit_code == 0, only.output


def test_the_table_holds_what_was_asked_for(pretend, tmp_path):
    pretend(stock_report(**TWO))
    result = CliRunner().invoke(
        app, ["check", write(tmp_path, "two_functions"), "--function", "large", "--time"]
    )
    for text in (
        "IREE default",
        "predicted",
        "slab",
        "lower bound",
        "runtime peak",
        "ratio",
        "compile seconds",
        "largest output difference",
        "latency",
        "66,560",
    ):
        assert text in result.output


def test_other_outputs_exit_with_4(pretend, tmp_path):
    text = MODELS["two_functions"]()
    other = text.replace("arith.mulf %a, %b", "arith.subf %a, %b")
    assert other != text
    pretend(stock_report(**TWO), other)
    result = CliRunner().invoke(app, ["check", write(tmp_path, "two_functions"), "--json"])
    assert result.exit_code == 4
    small, large = json.loads(result.output)["functions"]
    assert small["disagreements"] == []
    assert any("outputs differ" in problem for problem in large["disagreements"])


def test_state_is_compared_over_two_calls(pretend, tmp_path):
    # The first call's result does not depend on the value that the call stores.
    text = """
    util.global private mutable @s = dense<0.0> : tensor<4xf32>
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %old = util.global.load @s : tensor<4xf32>
      %new = arith.addf %old, %x : tensor<4xf32>
      util.global.store %new, @s : tensor<4xf32>
      return %old : tensor<4xf32>
    }"""
    path = tmp_path / "state.mlir"
    path.write_text(text)
    pretend(stock_report(main=(32, 16), persistent=16), text.replace("addf", "subf"))
    result = check(path)
    assert not result.functions[0].difference.bitwise
    assert not result.ok


def test_flags_reach_the_right_compilations(pretend, tmp_path):
    seen = pretend(stock_report(main=(0, 0)))
    result = CliRunner().invoke(
        app,
        [
            "check",
            write(tmp_path, "no_tensors"),
            "--serenity-rewrite=off",
            "--iree-opt-level=O1",
            "--flag=--iree-llvmcpu-target-cpu=generic",
        ],
    )
    assert result.exit_code == 0, result.output
    (flags,) = seen
    assert "--serenity-rewrite=off" in flags
    assert "--iree-opt-level=O1" in flags
    assert flags.index("--iree-llvmcpu-target-cpu=generic") > flags.index(
        "--iree-llvmcpu-target-cpu=host"
    )


def test_a_target_of_the_users_own_replaces_ours():
    own = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=vmvx"]
    assert compiler.target_flags(own) == own
    assert compiler.target_flags(["--iree-opt-level=O1"])[-1] == "--iree-opt-level=O1"
    assert set(compiler.LOCAL_FLAGS) < set(compiler.target_flags(["--iree-opt-level=O1"]))


def test_what_was_not_predicted_is_said(pretend, tmp_path):
    pretend(stock_report(main=(None, None)))
    result = CliRunner().invoke(app, ["check", write(tmp_path, "dynamic_batch")])
    assert result.exit_code == 0, result.output
    assert "all predictions hold" not in result.output
    told = "no prediction for external, transient peak, runtime peak of main: dynamically sized "
    assert told + "(dimension 0 of argument 0); fix it with --fix-dim arg0:axis0=N" in result.output


def test_dynamic_sizes_from_the_command_line(pretend, tmp_path):
    pretend(stock_report(main=(None, None)))
    model = write(tmp_path, "dynamic_batch")
    for arguments, rows in (
        (["--dynamic-size", "5"], 5),
        (["--shape", "main:0=3x32", "--shape", "0=9x32"], 3),
    ):
        result = CliRunner().invoke(app, ["check", model, "--json", *arguments])
        assert result.exit_code == 0, result.output
        (function,) = json.loads(result.output)["functions"]
        assert function["arguments"] == [f"float32[{rows},32]"]
        assert function["predicted"]["transient_peak_bytes"] is None


def test_the_report_can_be_kept(pretend, tmp_path):
    report = stock_report(main=(0, 0))
    pretend(report)
    kept = tmp_path / "report.json"
    arguments = ["check", write(tmp_path, "no_tensors"), "--report", str(kept)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert json.loads(kept.read_text()) == report


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent.mlir"],
        ["model.txt"],
        ["model.mlir", "--shape", "0:1x2"],
        ["model.mlir", "--shape", "0=2x32"],
        ["model.mlir", "--shape", "7=1"],
        ["model.mlir", "--function", "absent"],
        ["model.mlir", "--unknown"],
        ["model.mlir", "surplus"],
        ["model.mlir", "--serenity-report=x.json"],
        ["model.mlir", "--seed", "-1"],
        [],
    ],
)
def test_wrong_usage_exits_with_2(arguments, pretend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pretend(stock_report())
    Path("model.mlir").write_text(MODELS["several_results"]())
    Path("model.txt").write_text("")
    result = CliRunner().invoke(app, ["check", *arguments])
    assert result.exit_code == 2, result.output


def test_the_model_is_not_overwritten_by_its_report(pretend, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pretend(stock_report(main=(0, 0)))
    model = write(tmp_path, "no_tensors")
    before = Path(model).read_bytes()
    (tmp_path / "link.json").symlink_to(model)
    for report in (Path(model).name, "link.json"):
        result = CliRunner().invoke(app, ["check", model, "--report", report])
        assert result.exit_code == 2 and f"{report} is the model" in result.output
    assert Path(model).read_bytes() == before


@pytest.mark.parametrize(
    ("option", "told"), [("--sed=3", "did you mean --seed?"), ("--O2", "--flag takes any")]
)
def test_a_misspelt_option_is_put_right(option, told, tmp_path):
    result = CliRunner().invoke(app, ["check", write(tmp_path, "no_tensors"), option])
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())


def test_models_that_do_not_compile_exit_with_1(tmp_path):
    path = tmp_path / "broken.mlir"
    path.write_text("func.func @main( {")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "error" in result.output


# --- the real compiler ---------------------------------------------------------

#: Bytes of slab that every network must at most need with rewriting off.
LARGEST_SLABS = {
    "swiftnet_a": 1_003_520,
    "swiftnet_b": 451_584,
    "swiftnet_c": 192_000,
    "darts_normal": 1_204_224,
    "randwire_c10_a": 1_597_440,
    "randwire_c10_b": 1_277_952,
    "randwire_c100_a": 1_517_568,
    "randwire_c100_b": 339_456,
    "randwire_c100_c": 339_456,
    "swiftnet": 1_505_280,
}

#: Bytes that IREE's own pipeline needs: the same in 3.12 and 3.13.
STOCK_SLABS = {
    "swiftnet_a": 1_936_384,
    "swiftnet_b": 749_568,
    "swiftnet_c": 240_960,
    "darts_normal": 2_001_408,
    "randwire_c10_a": 1_922_048,
    "randwire_c10_b": 1_501_440,
    "randwire_c100_a": 1_964_544,
    "randwire_c100_b": 473_088,
    "randwire_c100_c": 455_680,
    "swiftnet": 2_036_736,
}

#: Bytes that are proved to be needed where the slab is larger: the bound allows for more use of the
#: result's memory than any order makes of it.
UNPROVED_BOUNDS = {"swiftnet_b": 327_168}

REWRITE_OFF = SerenityOptions(rewrite="off")


# With the oldest IREE two of them will do: all ten take minutes.
QUICK_NETWORKS = ("swiftnet_c", "randwire_c100_b")
NETWORKS = [
    pytest.param(name, marks=() if name in QUICK_NETWORKS else pytest.mark.slow)
    for name in networks.names("paper")
]


@needs_compiler
@pytest.mark.parametrize("name", NETWORKS)
def test_the_promise_holds_on_the_networks(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(networks.build(name).SerializeToString())
    result = check(path, serenity=REWRITE_OFF)
    (found,) = result.functions
    assert found.disagreements == ()
    assert found.difference.bitwise
    predicted = found.prediction
    assert predicted is not None
    if name in UNPROVED_BOUNDS:
        assert predicted.lower_bound_bytes >= UNPROVED_BOUNDS[name]
    else:
        assert predicted.optimal
    assert predicted.slab_bytes == predicted.transient_peak_bytes
    assert predicted.slab_bytes == found.serenity.transient_peak_bytes
    assert predicted.slab_bytes <= LARGEST_SLABS[name]
    assert predicted.persistent_bytes == 0
    assert predicted.external_bytes == found.serenity.external_bytes
    assert found.stock.transient_peak_bytes == STOCK_SLABS[name]


@needs_compiler
@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_promise_holds_on_modules_nobody_tuned_for(name, tmp_path):
    result = check(write(tmp_path, name), serenity=REWRITE_OFF, seed=5, dynamic_size=7)
    for found in result.functions:
        assert found.disagreements == (), found.function
        assert found.difference.bitwise
        assert found.serenity.transient_peak_bytes <= found.stock.transient_peak_bytes
    assert result.ok


@needs_compiler
def test_inputs_behind_buffer_views_are_counted_too(tmp_path):
    square = "tensor<8x8xf32>"
    view = f"%xv = hal.tensor.import %x : !hal.buffer_view -> {square}"
    program = f"""
func.func @main(%x: !hal.buffer_view, %y: {square}) -> {square} {{
  {view}
  %z = arith.constant dense<0.0> : {square}
  %a = linalg.matmul ins(%xv, %y : {square}, {square}) outs(%z : {square}) -> {square}
  %b = linalg.matmul ins(%a, %xv : {square}, {square}) outs(%z : {square}) -> {square}
  return %b : {square}
}}
"""
    path = tmp_path / "model.mlir"
    path.write_text(program)
    (found,) = check(path).functions
    assert found.disagreements == ()
    assert found.prediction is not None
    assert found.prediction.external_bytes == found.serenity.external_bytes == 3 * 256
    # A view that is not imported may be of any size.
    path.write_text(program.replace(view, "").replace("%xv", "%y"))
    (found,) = check(path).functions
    assert found.disagreements == ()
    assert found.prediction is not None
    assert found.prediction.external_bytes is None


@needs_compiler
@pytest.mark.parametrize("name", ["jax_nhwc", "torch_nchw", "int8_network", "control_flow"])
def test_a_users_own_partitioning_is_kept(name, tmp_path):
    flags = ["--iree-stream-partitioning-favor=max-concurrency"]
    result = check(write(tmp_path, name), serenity=REWRITE_OFF, flags=flags)
    assert [found.disagreements for found in result.functions] == [()] * len(result.functions)


@needs_compiler
@pytest.mark.parametrize("name", ["jax_nhwc", "torch_nchw", "int8_network"])
def test_rewritten_modules_stay_within_the_tolerance(name, tmp_path):
    result = check(write(tmp_path, name))
    assert result.ok, [found.disagreements for found in result.functions]


@pytest.mark.one_release
@needs_compiler
def test_the_first_command_of_the_readme():
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +pip install \. && serenity (.+)$", readme, re.MULTILINE)
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    assert "all predictions hold" in result.output


@needs_compiler
def test_unknown_serenity_flags_are_refused(tmp_path):
    arguments = ["check", write(tmp_path, "no_tensors"), "--serenity-nonsense=1"]
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_missing_report_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(checking, "compile_file", lambda *_, **__: None)
    with pytest.raises(SerenityError, match="no usable report"):
        checking.compile_model(
            tmp_path / "x.mlir", tmp_path / "x.vmfb", [], SerenityOptions(rewrite="off")
        )
