# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Predicted and measured bytes: reading a report, and finding where the runtime disagrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serenity_mlir.measuring.measurement import CallMemory, Measurement
from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.formulas import BytesFormula
from serenity_mlir.reports.reporting import FunctionReport, Report

__all__ = [
    "Prediction",
    "find_disagreements",
    "find_unpredicted",
    "read_formulas",
    "read_prediction",
    "runtime_retained_bytes",
]


@dataclass(frozen=True)
class Prediction:
    """The predictions of the report for one function, in bytes; None where not static.

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
        Not known, and so False, of several regions and dynamic inputs or results.
        """
        if self.peak_bytes is None:
            return self.regions <= 1 or self.external_bytes is not None
        classes = (self.persistent_bytes, self.external_bytes, self.transient_peak_bytes)
        known = [value for value in classes if value is not None]
        return len(known) == len(classes) and self.peak_bytes == sum(known)


def read_prediction(
    report: Report | None, function: str, extents: Mapping[str, int] | None = None
) -> Prediction | None:
    """Return the prediction of a report for an entry point.

    Args:
      report: of the compilation.
      function: the name that users call.
      extents: of the dynamic dimensions of the arguments, by the names that the report has for
        them; sizes that depend on them are None without.

    Returns:
      None without a report, or if it has no such function.
    """
    try:
        found = report.function(function) if report is not None else None
    except KeyError:
        found = None
    if report is None or found is None:
        return None
    regions = found.regions
    # Numbers of a region with buffers of dynamic size are those at the hints.
    sized = regions if found.bytes_formula is None else ()
    transient, stock = found.transient_peak_bytes, found.stock_transient_peak_bytes
    if found.bytes_formula is not None and extents is not None:
        transient = found.bytes_formula.bytes(extents)
    if found.stock_bytes_formula is not None and extents is not None:
        stock = found.stock_bytes_formula.bytes(extents)
    return Prediction(
        persistent_bytes=report.persistent_bytes,
        external_bytes=found.external_bytes,
        transient_peak_bytes=transient,
        stock_transient_peak_bytes=stock,
        stock_call_peak_bytes=found.stock_call_peak_bytes,
        # None is unknown: values that earlier calls left in variables may come on top.
        peak_bytes=found.peak_bytes,
        exact=found.peak_is_exact,
        slab_bytes=max((region.slab_bytes for region in sized), default=None),
        lower_bound_bytes=max((region.lower_bound_bytes for region in sized), default=None),
        optimal=all(region.optimal for region in sized) if sized else None,
        rewritten=_may_round(found, report),
        regions=len(regions),
        overwritten_inputs=found.overwritten_inputs,
        stock_overwritten_inputs=found.stock_overwritten_inputs,
    )


def read_formulas(report: Report, function: str) -> tuple[BytesFormula | None, BytesFormula | None]:
    """Return the formulas of an entry point's transient peak: serenity's and stock's.

    Both are None where the peak does not depend on dimensions.
    """
    try:
        found = report.function(function)
    except KeyError:
        return None, None
    return found.bytes_formula, found.stock_bytes_formula


def _may_round(found: FunctionReport, report: Report) -> bool:
    """Whether floats may round otherwise than in stock.

    Sums of integers do not round. Of a quantized network the values between dispatches are
    integers, so that dispatches formed otherwise compute the same.
    """
    rewrites = (*found.rewrites, *report.rewrites)
    if any(not (rewrite.element_type or "f").startswith("i") for rewrite in rewrites):
        return True
    chosen = chosen_candidate(found)
    quantized = chosen is not None and chosen.storage != "as-given"
    return "fusion" in found.used and not quantized


def _compare_class(
    what: str, predicted: int | None, measured: int, *, exact: bool = True
) -> list[str]:
    if predicted is None or predicted == measured or (not exact and measured <= predicted):
        return []
    relation = "" if exact else "at most "
    return [f"{what}: predicted {relation}{predicted:,} bytes, the runtime took {measured:,}"]


def runtime_retained_bytes(stock: Measurement, serenity: Measurement) -> int:
    """Return the bytes that every call leaves behind for good, of the stock module too.

    A variable that gets its first buffer grows once; memory that grows with every call of both
    modules is kept by the runtime, and in no prediction (docs/memory_model.md, rule 15).
    """
    return max(min(call.retained_bytes for call in (*stock.calls, *serenity.calls)), 0)


def _nearest(predicted: int | None, least: int, most: int) -> int:
    """Return the number from `least` to `most` that is nearest to the prediction."""
    return most if predicted is None else min(max(predicted, least), most)


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
    retained = runtime_retained_bytes(stock, serenity)
    for number, call in enumerate(serenity.calls, 1):
        found = _call_problems(prediction, call, retained, (number - 1) * retained)
        problems += [f"call {number}, {text}" for text in found]
    if stock.functions != serenity.functions:
        problems.append(f"exported functions differ: {stock.functions} and {serenity.functions}")
    return problems + _stock_problems(prediction, stock, serenity)


def _stock_problems(prediction: Prediction, stock: Measurement, serenity: Measurement) -> list[str]:
    """Check the prediction for the stock compiler, and that serenity is never worse."""
    # With several regions the stock module's classes need not add up, even if those
    # of serenity do: its measured transient memory is a lower bound then.
    classes = (prediction.external_bytes, prediction.stock_transient_peak_bytes)
    known = [value for value in classes if value is not None]
    whole = prediction.stock_call_peak_bytes
    comparable = (
        prediction.exact
        and prediction.additive
        and (prediction.regions <= 1 if whole is None else whole == sum(known))
    )
    problems: list[str] = []
    retained = runtime_retained_bytes(stock, serenity)
    if prediction.exact:
        measured = stock.call.peak_bytes - stock.call.before_bytes
        problems = _compare_class(
            "peak of a call of the stock compiler",
            whole,
            _nearest(whole, measured - retained, measured),
        )
        problems += _compare_class(
            "transient peak of the stock compiler",
            prediction.stock_transient_peak_bytes,
            _nearest(
                prediction.stock_transient_peak_bytes,
                stock.transient_peak_bytes,
                stock.transient_peak_bytes + retained,
            ),
            exact=comparable,
        )
    ours, theirs = prediction.transient_peak_bytes, prediction.stock_transient_peak_bytes
    if comparable or (prediction.regions <= 1 and (ours is None or theirs is None)):
        ours, theirs = serenity.transient_peak_bytes, stock.transient_peak_bytes
    if ours is not None and theirs is not None and ours > theirs:
        problems.append(
            f"transient peak: {ours:,} bytes are more than the stock compiler's {theirs:,}"
        )
    ours, theirs = (found.call.peak_bytes - found.call.before_bytes for found in (serenity, stock))
    if not prediction.exact and len(known) == len(classes):
        # Memory depends on the run: less in the worst run may be more in another.
        theirs = max(theirs, sum(known))
    if ours > theirs:
        problems.append(
            "peak of a call with inputs and results: "
            f"{ours:,} bytes are more than the stock compiler's {theirs:,}"
        )
    return problems


def _call_problems(
    prediction: Prediction, call: CallMemory, retained: int, earlier: int
) -> list[str]:
    """Compare one call; the runtime keeps `retained` bytes of it, and `earlier` of those before.

    At the peak of the call that may be memory which it uses, or memory that it has given up.
    """
    exact = prediction.exact
    problems = _compare_class(
        "external", prediction.external_bytes, call.external_bytes, exact=exact
    )
    problems += [
        f"input {number} was overwritten, but the report says that it is kept"
        for number in call.changed_inputs
        if number not in prediction.overwritten_inputs
    ]
    if prediction.peak_bytes is not None:
        # Less is alive where a variable's first buffer was larger than its later ones; if more is,
        # an earlier call has left something behind.
        persistent = prediction.persistent_bytes
        missing = 0 if persistent is None else max(persistent - call.before_bytes, 0)
        peak = prediction.peak_bytes - missing
        measured = _nearest(peak, call.peak_bytes - retained - earlier, call.peak_bytes)
        problems += _compare_class("peak", peak, measured, exact=exact)
    # Where the classes do not add up, the runtime shows transient memory only within the peak: less
    # than predicted says nothing, more is wrong in any case.
    return problems + _compare_class(
        "transient peak",
        prediction.transient_peak_bytes,
        _nearest(
            prediction.transient_peak_bytes,
            call.transient_peak_bytes,
            call.transient_peak_bytes + retained,
        ),
        exact=exact and prediction.additive,
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
