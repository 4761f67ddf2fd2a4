# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How far two runs' outputs may be apart.

Integers must be equal. Floats of a function whose sums were rewritten, or whose dispatches were
formed otherwise, may round otherwise: each result is judged by the larger of

- `RELATIVE_TOLERANCE` times the result's largest magnitude, and
- `SENSITIVITY_FACTOR` times the change of the stock module's own result when its inputs change by
  up to `PERTURBATION_ULPS` units in the last place, at most `LARGEST_RELATIVE_TOLERANCE` times the
  result's largest magnitude.

A result that is tiny beside the values it is computed from needs the second (the sigmoid of a large
negative number): its rounding errors are relative to those values, not to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from serenity_mlir.measuring.measurement import Value

__all__ = ["Difference", "compare_outputs", "output_problems", "perturb"]

#: Of the result's largest magnitude. Narrow types cannot hold that much; they get eight units in
#: the last place.
RELATIVE_TOLERANCE = 1e-5

#: Change of each float input, in units in the last place, that probes the stock module.
PERTURBATION_ULPS = 4

#: Times the probed change. A rewritten network rounds otherwise in every layer, not in its inputs
#: alone.
SENSITIVITY_FACTOR = 8

#: No sensitivity excuses more than this share of the result's largest magnitude.
LARGEST_RELATIVE_TOLERANCE = 1e-2

#: Integers of a quantized network that differ by more are not explained by rounding.
_MOST_STEPS = 4

#: What may make them differ by less, and how to find out.
_CONTRACTION = (
    "quantized values may differ by a few where kernels contract products and sums to fused "
    "multiply-adds; check with --iree-llvmcpu-target-cpu=generic, which has none on x86-64"
)


@dataclass(frozen=True)
class Difference:
    """How far apart two runs' outputs are.

    Attributes:
      largest: largest absolute difference of any element of the result that is worst beside its
        tolerance; 0 if bitwise equal.
      bitwise: whether all bytes are equal.
      tolerable: whether all integers are equal, and all floats within the tolerance for rewritten
        functions.
      problem: the mismatch that prevents comparison: numbers, types or shapes of results.
      tolerance: of the same result, absolute.
      source: the derivation of the tolerance, in words.
      integers: whether that result's elements are integers.
    """

    largest: float
    bitwise: bool
    tolerable: bool
    problem: str | None = None
    tolerance: float = 0.0
    source: str = ""
    integers: bool = False

    @property
    def excess(self) -> float:
        """The difference over its tolerance."""
        if not self.largest:
            return 0.0
        return self.largest / self.tolerance if self.tolerance else float("inf")


def _epsilon(dtype: np.dtype[Any]) -> float:
    if dtype.kind in "fc":
        return float(np.finfo(dtype).eps)
    return 2.0**-7  # bfloat16, which numpy does not know


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind not in "iub"


def perturb(inputs: Sequence[Value], seed: int) -> list[Value] | None:
    """Return `inputs` with every float changed by up to `PERTURBATION_ULPS`; None without floats.

    Zeros stay zeros: padding and masks are exact.
    """
    rng = np.random.default_rng(seed)
    changed: list[Value] = []
    any_float = False
    for value in inputs:
        if isinstance(value, np.ndarray) and value.size and _is_float(value.dtype):
            steps = rng.integers(1, PERTURBATION_ULPS + 1, value.shape)
            steps = steps * rng.choice((-1, 1), value.shape)
            wide: type[Any] = np.complex128 if value.dtype.kind == "c" else np.float64
            factor = 1 + steps * _epsilon(value.dtype)
            changed.append((value.astype(wide) * factor).astype(value.dtype))
            any_float = True
        else:
            changed.append(value)
    return changed if any_float else None


def _distance(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """Return the largest absolute difference; infinite where only one is finite."""
    finite = np.isfinite(left)
    # Infinities and NaNs must stand in the same places.
    same = np.array_equal(left[~finite], right[~finite], equal_nan=True)
    if not same or not np.isfinite(right[finite]).all():
        return float("inf")
    return float(np.abs(left[finite] - right[finite]).max()) if finite.any() else 0.0


def _tolerance(
    expected: npt.NDArray[Any], index: int, perturbed: Sequence[npt.NDArray[Any]], epsilon: float
) -> tuple[float, str]:
    """Return the tolerance for result `index`, and its source in words."""
    finite = expected[np.isfinite(expected)]
    scale = float(np.abs(finite).max()) if finite.size else 0.0
    relative = max(RELATIVE_TOLERANCE, 8 * epsilon)
    tolerance = relative * scale
    source = f"{relative:.3g} of the largest magnitude of result {index}, {scale:.3g}"
    sensitivity = max((_distance(expected, other) for other in perturbed), default=0.0)
    most = max(LARGEST_RELATIVE_TOLERANCE, relative) * scale
    allowed = min(SENSITIVITY_FACTOR * sensitivity, most)
    if allowed > tolerance:
        tolerance = allowed
        source = (
            f"{SENSITIVITY_FACTOR} times the change of the stock module's result {index}, "
            f"{sensitivity:.3g}, when inputs change by up to {PERTURBATION_ULPS} units in the last "
            "place"
        )
        if allowed == most:
            source += f"; limited to {most / scale:.3g} of its largest magnitude, {scale:.3g}"
    return tolerance, source


def _compare_arrays(
    expected: npt.NDArray[Any],
    actual: npt.NDArray[Any],
    index: int,
    perturbed: Sequence[npt.NDArray[Any]],
) -> Difference:
    if expected.tobytes() == actual.tobytes():
        return Difference(0.0, True, True)
    if not _is_float(expected.dtype):
        distance = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
        source = f"result {index} is of integers"
        return Difference(float(distance.max()), False, False, None, 0.0, source, True)
    wide: type[Any] = np.complex128 if expected.dtype.kind == "c" else np.float64
    left = expected.astype(wide)
    tolerance, source = _tolerance(
        left, index, [other.astype(wide) for other in perturbed], _epsilon(expected.dtype)
    )
    largest = _distance(left, actual.astype(wide))
    return Difference(largest, False, largest <= tolerance, None, tolerance, source)


def compare_outputs(
    expected: Sequence[Value],
    actual: Sequence[Value],
    perturbed: Sequence[Sequence[Value]] = (),
) -> Difference:
    """Compare the results of two runs, element by element.

    Whether the tolerance applies is the caller's decision (`Difference.bitwise` and
    `Difference.tolerable`).

    Args:
      expected: the stock module's results.
      actual: those of the other module.
      perturbed: the stock module's results on perturbed inputs (`perturb`), from any number of
        runs; without, the tolerance is relative to each result's largest magnitude alone.
    """
    if len(expected) != len(actual):
        problem = f"{len(expected)} results and {len(actual)}"
        return Difference(float("inf"), False, False, problem)
    total = Difference(0.0, True, True)
    for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
        first, second = np.asarray(left), np.asarray(right)
        if first.dtype != second.dtype or first.shape != second.shape:
            problem = (
                f"result {index} is {first.dtype}{list(first.shape)} and "
                f"{second.dtype}{list(second.shape)}"
            )
            return Difference(float("inf"), False, False, problem)
        others = [np.asarray(run[index]) for run in perturbed]
        # A result whose shape depends on the values says nothing about these.
        others = [other for other in others if other.shape == first.shape]
        one = _compare_arrays(first, second, index, others)
        worst = max(total, one, key=lambda found: found.excess)
        total = Difference(
            worst.largest,
            total.bitwise and one.bitwise,
            total.tolerable and one.tolerable,
            None,
            worst.tolerance,
            worst.source,
            worst.integers,
        )
    return total


def output_problems(difference: Difference, rewritten: bool) -> list[str]:
    """Return one sentence if the outputs differ by more than they may."""
    if difference.problem:
        return [f"outputs cannot be compared: {difference.problem}"]
    if difference.bitwise or (rewritten and difference.tolerable):
        return []
    problem = f"outputs differ by up to {difference.largest:.3g}"
    if rewritten:
        problem += (
            f", beyond the tolerance for rewritten functions, {difference.tolerance:.3g} "
            f"({difference.source})"
        )
    else:
        problem += ", and must not differ"
    if difference.integers and difference.largest <= _MOST_STEPS:
        problem += f"; {_CONTRACTION}"
    return [problem]
