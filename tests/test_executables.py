# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The executables of rewritten modules: dispatches that differ in constants share one."""

from __future__ import annotations

import pytest

from serenity_mlir.compiling.compiler import SerenityOptions, compile_file
from serenity_mlir.compiling.importing import load_model
from serenity_mlir.reports.reporting import Report, load_report

TARGET = [
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=generic",
]


@pytest.fixture(scope="module")
def ds_cnn(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """DS-CNN at the stream phase, in bands and with its pointwise convolutions in parts."""
    folder = tmp_path_factory.mktemp("ds_cnn")
    report = folder / "report.json"
    text = compile_file(
        load_model("ds_cnn", folder),
        extra_args=[*TARGET, "--compile-to=stream"],
        serenity=SerenityOptions(report=report),
    )
    assert text is not None
    return text.decode(), load_report(report)


def test_parts_and_layers_share_executables(ds_cnn: tuple[str, Report]) -> None:
    text, report = ds_cnn
    (function,) = report.called
    (chosen,) = [candidate for candidate in function.candidates if candidate.chosen]
    parts = sum(rewrite.parts for rewrite in function.rewrites if rewrite.kind != "band")
    assert chosen.bands and parts >= 16
    dispatches = text.count("stream.cmd.dispatch ")
    executables = text.count("stream.executable private @")
    # Biases of 16 channels are 64 bytes, which IREE would copy into every dispatch.
    assert executables < dispatches / 2
    assert "util.optimization_barrier" not in text
