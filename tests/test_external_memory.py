# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that results and consumed inputs serve as memory, and that nothing else is overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_support import reused

import serenity_mlir
from serenity_mlir.measuring.checking import CheckResult, check

BYTES = 64 * 64 * 4

#: Values x -> a -> b -> c of BYTES each. Two results, of which the second is a part of c: their
#: 1.5 * BYTES are free until d is computed, where a and b are dead.
CHAIN = """
func.func public @main(%x: tensor<64x64xf32>{mark}, %y: tensor<64x64xf32>) -> {results} {{
  %w = arith.constant dense_resource<w> : tensor<64x64xf32>
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<64x64xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<64x64xf32>) -> tensor<64x64xf32>
  %a = linalg.matmul ins(%x, %w : tensor<64x64xf32>, tensor<64x64xf32>)
    outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
  %b = linalg.matmul ins(%a, %a : tensor<64x64xf32>, tensor<64x64xf32>)
    outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
  %c = linalg.matmul ins(%b, %a : tensor<64x64xf32>, tensor<64x64xf32>)
    outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
  %d = linalg.matmul ins(%c, %y : tensor<64x64xf32>, tensor<64x64xf32>)
    outs(%f : tensor<64x64xf32>) -> tensor<64x64xf32>
  %s = tensor.extract_slice %c[0, 0] [64, 32] [1, 1] : tensor<64x64xf32> to tensor<64x32xf32>
  return {values}
}}
{{-#
  dialect_resources: {{ builtin: {{ w: "0x04000000{weights}" }} }}
#-}}
"""


def chain(*, mark: str = "", returns_input: bool = False) -> str:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((64, 64)).astype(np.float32) / 8
    values = "%d, %s : tensor<64x64xf32>, tensor<64x32xf32>"
    results = "(tensor<64x64xf32>, tensor<64x32xf32>)"
    if returns_input:
        values = "%d, %x : tensor<64x64xf32>, tensor<64x64xf32>"
        results = "(tensor<64x64xf32>, tensor<64x64xf32>)"
    return CHAIN.format(
        mark=mark, results=results, values=values, weights=weights.tobytes().hex().upper()
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Checks a program once per kind."""
    folder = tmp_path_factory.mktemp("external")
    known: dict[str, CheckResult] = {}

    def run(text: str, *flags: str) -> CheckResult:
        key = "\0".join((text, *flags))
        if key not in known:
            path = folder / f"{len(known)}.mlir"
            path.write_text(text)
            known[key] = check(str(path), serenity_flags=["--serenity-rewrite=off", *flags])
        return known[key]

    return run


def test_results_serve_as_memory_and_inputs_are_kept(checked: Any) -> None:
    result = checked(chain())
    (found,) = result.functions
    assert found.disagreements == ()
    assert found.difference.bitwise
    # a, b and c are alive together in stock. The results have room for one of them, 1.5 * BYTES.
    assert found.stock.transient_peak_bytes == 3 * BYTES
    assert found.serenity.transient_peak_bytes == 2 * BYTES
    assert reused(result) == {("result", None)}
    assert [call.changed_inputs for call in found.serenity.calls] == [(), ()]
    assert found.prediction.overwritten_inputs == ()


@pytest.mark.parametrize("mark", ["{iree.abi.consume}", "{jax.buffer_donor = true}"])
def test_a_consumed_input_is_overwritten_and_named(checked: Any, mark: str) -> None:
    result = checked(chain(mark=f" {mark}"))
    (found,) = result.functions
    assert found.disagreements == ()
    assert found.difference.bitwise  # of a second call with inputs filled anew, too
    assert found.prediction.overwritten_inputs == (0,)
    assert {call.changed_inputs for call in found.serenity.calls} == {(0,)}
    kept = checked(chain()).functions[0].serenity
    assert found.serenity.transient_peak_bytes <= kept.transient_peak_bytes
    assert found.serenity.external_bytes <= kept.external_bytes
    assert found.serenity.peak_bytes < kept.peak_bytes
    assert ("input", 0) in reused(result)


def test_a_flag_consumes_all_inputs(checked: Any) -> None:
    (found,) = checked(chain(), "--serenity-inputs=overwrite").functions
    assert found.disagreements == ()
    assert found.difference.bitwise
    assert 0 in found.prediction.overwritten_inputs


def test_an_input_that_is_returned_is_kept(checked: Any) -> None:
    (found,) = checked(chain(returns_input=True), "--serenity-inputs=overwrite").functions
    assert found.disagreements == ()
    assert found.difference.bitwise
    assert 0 not in found.prediction.overwritten_inputs


def run_on_buffers(module: bytes, *numbers: int, extents: tuple[int, int] = (64, 64)) -> Any:
    """Calls the module on device buffers; equal numbers are the same buffer."""
    rt = pytest.importorskip("iree.runtime")
    config = rt.Config("local-sync")
    loaded = rt.load_vm_module(rt.VmModule.copy_buffer(config.vm_instance, module), config)
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(extents).astype(np.float32) for _ in range(max(numbers) + 1)]
    devices = [rt.asdevicearray(config.device, array) for array in arrays]
    outputs = [out.to_host() for out in loaded.main(*(devices[n] for n in numbers))]
    for device, array in zip(devices, arrays, strict=True):
        np.testing.assert_array_equal(device.to_host(), array)
    return outputs


def test_one_buffer_may_be_passed_twice_and_again(tmp_path: Path) -> None:
    path = tmp_path / "chain.mlir"
    path.write_text(chain())
    module = serenity_mlir.compile(str(path))
    assert module is not None
    twice = run_on_buffers(module, 0, 0)
    again = run_on_buffers(module, 0, 0)
    for one, other in zip(twice, again, strict=True):
        np.testing.assert_array_equal(one, other)
    stock = run_on_buffers(serenity_mlir.compile(str(path), serenity=None), 0, 0)
    for one, other in zip(twice, stock, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_an_input_smaller_than_its_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chain.mlir"
    path.write_text(chain())
    module = serenity_mlir.compile(str(path), consume=[0])
    assert module is not None
    with pytest.raises(Exception, match=r"(?i)invalid_argument|shape"):
        run_on_buffers(module, 0, 1, extents=(32, 64))


def test_consume_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "chain.mlir"
    path.write_text(chain())
    with pytest.raises(ValueError, match="consume"):
        serenity_mlir.compile(str(path), consume=[0], serenity=None)
    with pytest.raises(ValueError, match="consume"):
        serenity_mlir.compile(str(path), consume=["x"])  # type: ignore[list-item]
