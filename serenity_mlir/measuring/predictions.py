# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predicted and measured bytes: reading a report, and finding where the runtime disagrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serenity_mlir.measuring.measurement import CallMemory, Measurement

__all__ = ["Prediction", "find_disagreements", "find_unpredicted", "read_prediction"]


@dataclass(frozen=True)
class Prediction:
    """What the report says about one function, in bytes; None where not static.

    Attributes:
      persistent_bytes: of the whole module, alive after load.
      external_bytes: inputs and results.
      transient_peak_bytes: largest sum of transient memory in a call.
      stock_transient_peak_bytes: the same for the stock compiler.
      stock_call_peak_bytes: inputs, results and transient memory at the worst
        moment of a call as the stock compiler makes it.
      peak_bytes: all memory at the worst moment. The sum of the three classes
        unless the report says less: with several regions the results may not
        exist yet when the transient memory is largest.
      exact: False where the peak depends on branches or trip counts; it is an
        upper bound then.
      slab_bytes: the largest slab of the function's regions.
      lower_bound_bytes: no order of that region's operations needs less.
      optimal: whether all regions' orders are proved to be best.
      rewritten: whether floats may round otherwise than in stock: sums were
        rewritten, or dispatches formed otherwise, which IREE's code generator
        may round differently.
      regions: number of execution regions.
      overwritten_inputs: numbers of the arguments whose memory the call writes to.
      stock_overwritten_inputs: the same for the stock compiler.
    """

    persistent_bytes: int | None
    external_bytes: int | None
    transient_peak_bytes: int | None
    stock_transient_peak_bytes: int | None
    stock_call_peak_bytes: int | None
    peak_bytes: int | None
    exact: bool
    slab_bytes: int | None
    lower_bound_bytes: int | None
    optimal: bool | None
    rewritten: bool
    regions: int
    overwritten_inputs: tuple[int, ...] = ()
    stock_overwritten_inputs: tuple[int, ...] = ()

    @property
    def additive(self) -> bool:
        """Whether the peak is the sum of the classes.

        If not (several regions), results do not exist yet when the transient
        memory is largest, and peak - persistent - external is less than it.
        """
        classes = (self.persistent_bytes, self.external_bytes, self.transient_peak_bytes)
        known = [value for value in classes if value is not None]
        return self.peak_bytes is None or (
            len(known) == len(classes) and self.peak_bytes == sum(known)
        )


def _common(values: Sequence[int | None], combine: Any) -> int | None:
    """Combine values; None if there are none or one of them is unknown."""
    known = [value for value in values if value is not None]
    return int(combine(known)) if known and len(known) == len(values) else None


def read_prediction(report: Mapping[str, Any], function: str) -> Prediction | None:
    """Return what a report (schema 1) says about an entry point.

    Returns:
      None if the report has no such function.
    """
    found = None
    for entry in report.get("functions", ()):
        if not entry.get("initializer") and function in (
            entry.get("exported_as"),
            entry.get("name"),
        ):
            found = entry
            break
    if found is None:
        return None
    persistent = report.get("persistent_bytes")
    external = found.get("external_bytes")
    transient = found.get("transient_peak_bytes")
    peak = found.get("peak_bytes")
    # Null is unknown: what earlier calls have left in variables may come on top.
    if "peak_bytes" not in found and None not in (persistent, external, transient):
        peak = persistent + external + transient
    regions = found.get("regions", [])
    return Prediction(
        persistent_bytes=persistent,
        external_bytes=external,
        transient_peak_bytes=transient,
        stock_transient_peak_bytes=found.get("stock_transient_peak_bytes"),
        stock_call_peak_bytes=found.get("stock_call_peak_bytes"),
        peak_bytes=peak,
        # Between several regions the sum of the classes is only a bound.
        exact=bool(found.get("peak_is_exact", len(regions) <= 1)),
        slab_bytes=_common([region.get("slab_bytes") for region in regions], max),
        lower_bound_bytes=_common([region.get("lower_bound_bytes") for region in regions], max),
        optimal=all(region.get("optimal") for region in regions) if regions else None,
        rewritten=_may_round(found, report),
        regions=len(regions),
        overwritten_inputs=tuple(found.get("overwritten_inputs", ())),
        stock_overwritten_inputs=tuple(found.get("stock_overwritten_inputs", ())),
    )


def _may_round(found: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    """Whether floats may round otherwise than in stock.

    Sums of integers do not round. Of a quantized network the values between dispatches are
    integers, so that dispatches formed otherwise compute the same.
    """
    rewrites = [*found.get("rewrites", []), *report.get("rewrites", [])]
    if any(not (rewrite.get("element_type") or "f").startswith("i") for rewrite in rewrites):
        return True
    chosen = [item["name"] for item in found.get("candidates", []) if item.get("chosen")]
    quantized = any("quantized storage" in name.split(", ") for name in chosen)
    return "fusion" in found.get("used", []) and not quantized


def _compare_class(
    what: str, predicted: int | None, measured: int, *, exact: bool = True
) -> list[str]:
    if predicted is None or predicted == measured or (not exact and measured <= predicted):
        return []
    relation = "" if exact else "at most "
    return [f"{what}: predicted {relation}{predicted:,} bytes, the runtime took {measured:,}"]


def find_disagreements(
    prediction: Prediction | None, stock: Measurement, serenity: Measurement
) -> list[str]:
    """Return one sentence for every class of memory where prediction and runtime differ.

    A function that the report leaves out must not allocate anything but its
    inputs.
    """
    if prediction is None:
        call = serenity.call
        if call.transient_peak_bytes or call.result_bytes:
            return [f"the report has no function {serenity.function}, but it allocates memory"]
        return []

    problems = _compare_class("persistent", prediction.persistent_bytes, serenity.persistent_bytes)
    for number, call in enumerate(serenity.calls, 1):
        problems += [f"call {number}, {text}" for text in _call_problems(prediction, call)]
    if stock.functions != serenity.functions:
        problems.append(f"exported functions differ: {stock.functions} and {serenity.functions}")
    return problems + _stock_problems(prediction, stock, serenity)


def _stock_problems(prediction: Prediction, stock: Measurement, serenity: Measurement) -> list[str]:
    """Check what is said about the stock compiler, and that we are never worse."""
    # With several regions the stock module's classes need not add up, whatever
    # ours do: what its runtime shows of the transient memory is a lower bound.
    classes = (prediction.external_bytes, prediction.stock_transient_peak_bytes)
    known = [value for value in classes if value is not None]
    whole = prediction.stock_call_peak_bytes
    comparable = (
        prediction.exact
        and prediction.additive
        and (prediction.regions <= 1 if whole is None else whole == sum(known))
    )
    problems: list[str] = []
    if prediction.exact:
        problems = _compare_class(
            "peak of a call of the stock compiler",
            whole,
            stock.call.peak_bytes - stock.call.before_bytes,
        )
        problems += _compare_class(
            "transient peak of the stock compiler",
            prediction.stock_transient_peak_bytes,
            stock.transient_peak_bytes,
            exact=comparable,
        )
    ours, theirs = prediction.transient_peak_bytes, prediction.stock_transient_peak_bytes
    if comparable or ours is None or theirs is None:
        ours, theirs = serenity.transient_peak_bytes, stock.transient_peak_bytes
    if ours > theirs:
        problems.append(
            f"transient peak: {ours:,} bytes are more than the stock compiler's {theirs:,}"
        )
    return problems


def _call_problems(prediction: Prediction, call: CallMemory) -> list[str]:
    exact = prediction.exact
    problems = _compare_class(
        "external", prediction.external_bytes, call.external_bytes, exact=exact
    )
    additive = True
    if prediction.peak_bytes is not None:
        # Less is alive where a variable's first buffer was larger than its later ones; if more is,
        # an earlier call has left something behind.
        persistent = prediction.persistent_bytes
        missing = 0 if persistent is None else max(persistent - call.before_bytes, 0)
        peak = prediction.peak_bytes - missing
        problems += _compare_class("peak", peak, call.peak_bytes, exact=exact)
        additive = prediction.additive
    # Where the classes do not add up, the runtime shows transient memory only within the peak: less
    # than predicted says nothing, more is wrong in any case.
    return problems + _compare_class(
        "transient peak",
        prediction.transient_peak_bytes,
        call.transient_peak_bytes,
        exact=exact and additive,
    )


def find_unpredicted(prediction: Prediction | None) -> list[str]:
    """Return the classes of memory that the report leaves open, as the tables name them."""
    if prediction is None:
        return []
    classes = {
        "persistent": prediction.persistent_bytes,
        "external": prediction.external_bytes,
        "transient peak": prediction.transient_peak_bytes,
        "runtime peak": prediction.peak_bytes,
    }
    return [name for name, value in classes.items() if value is None]
