# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which differences of outputs are rounding, and which are wrong results."""

from __future__ import annotations

import numpy as np
import pytest

from serenity_mlir.measuring.tolerance import (
    LARGEST_RELATIVE_TOLERANCE,
    SENSITIVITY_FACTOR,
    compare_outputs,
    output_problems,
    perturb,
)

pytestmark = pytest.mark.one_release


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_tiny_sigmoid_is_judged_by_its_sensitivity():
    # 5.9e-5 in magnitude, 9.3e-10 apart: 1.6e-5 of it. The stock module itself moves by 4e-10.
    stock, ours, moved = f32(5.9e-5), f32(5.9e-5 + 9.3e-10), f32(5.9e-5 + 4e-10)
    assert not compare_outputs([stock], [ours]).tolerable
    found = compare_outputs([stock], [ours], [[stock], [moved]])
    assert found.tolerable
    assert found.tolerance == pytest.approx(SENSITIVITY_FACTOR * 4e-10, rel=0.01)
    assert "change of the stock module's result 0" in found.source
    # A wrong result stays wrong.
    wrong = compare_outputs([stock], [f32(5.9e-5 + 1e-8)], [[moved]])
    assert not wrong.tolerable
    (told,) = output_problems(wrong, rewritten=True)
    assert "differ by up to 1e-08" in told and f"{wrong.tolerance:.3g}" in told


def test_no_sensitivity_excuses_a_wrong_result():
    # A stock module that jumps by its whole magnitude.
    stock, moved = f32(1, 2), f32(-1, 0)
    found = compare_outputs([stock], [f32(1, 2.1)], [[moved]])
    assert not found.tolerable
    assert found.tolerance == 2 * LARGEST_RELATIVE_TOLERANCE
    assert "limited to 0.01 of its largest magnitude" in found.source
    nothing = compare_outputs([f32(0)], [f32(1e-30)], [[f32(1)]])
    assert not nothing.tolerable


def test_integers_have_no_tolerance():
    found = compare_outputs([np.int8([5])], [np.int8([6])], [[np.int8([9])]])
    assert not found.tolerable and found.largest == 1
    (told,) = output_problems(found, rewritten=True)
    assert "result 0 is of integers" in told


@pytest.mark.parametrize("rewritten", [True, False])
def test_rounding_explains_a_few_steps_of_quantized_values_alone(rewritten: bool):
    few = compare_outputs([np.int8([5])], [np.int8([8])])
    (told,) = output_problems(few, rewritten)
    assert "differ by up to 3" in told and "--iree-llvmcpu-target-cpu=generic" in told
    for expected, actual in ((np.int8([5]), np.int8([20])), (f32(5), f32(8))):
        (told,) = output_problems(compare_outputs([expected], [actual]), rewritten)
        assert "generic" not in told


def test_the_worst_result_beside_its_own_tolerance_is_told():
    large, small = f32(1e6), f32(1e-6)
    found = compare_outputs([large, small], [f32(1e6 + 1), f32(1.1e-6)])
    assert not found.tolerable
    assert found.largest == pytest.approx(1e-7, rel=0.01) and "result 1" in found.source


def test_functions_that_were_not_rewritten_must_not_differ():
    found = compare_outputs([f32(1)], [f32(1.0000001)])
    assert found.tolerable and output_problems(found, rewritten=True) == []
    assert output_problems(found, rewritten=False) == [
        f"outputs differ by up to {found.largest:.3g}, and must not differ"
    ]


def test_perturbed_inputs_are_a_few_units_away():
    inputs = [np.ones(100, np.float32), np.int32([1, 2]), np.zeros(3, np.float32), 3]
    changed = perturb(inputs, 0)
    assert changed is not None
    apart = np.abs(changed[0] - 1) / np.finfo(np.float32).eps
    assert apart.min() > 0 and apart.max() <= 4
    assert changed[1] is inputs[1] and changed[3] == 3
    assert not changed[2].any()
    assert perturb([np.int64([1]), 2], 0) is None
