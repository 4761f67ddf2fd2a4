# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Names the buffers of a quantized network that store in 32 bits what the model stores in 8.

The model quantizes a value: it is computed from dequantized values by some operations, whose
results IREE would keep in floats or, where it computes in integers, in 32-bit accumulators. A
buffer of 32 bits that one of these operations writes is named here, with the reason. All sizes are
in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serenity_mlir.reports.candidates import chosen_candidate
from serenity_mlir.reports.places import short_place
from serenity_mlir.reports.reporting import FunctionReport, QuantizedValueReport, RegionReport

__all__ = ["WideValue", "wide_values"]

#: Types of 32 bits, in which IREE computes what is quantized later.
_WIDE = ("f32", "i32")


@dataclass(frozen=True)
class WideValue:
    """A buffer of 32 bits in the computation of a value that the model quantizes.

    Attributes:
      region: Index of the region.
      buffer: Index of the buffer in the region.
      label: Of the buffer, for people.
      bytes: Its size.
      element_type: ``"i32"`` or ``"f32"``.
      stored_as: The integers of the model, such as ``"i8"``.
      quantization: The node of the model that quantizes it, None if it has no name.
      reason: Why it is stored in 32 bits.
    """

    region: int
    buffer: int
    label: str
    bytes: int
    element_type: str
    stored_as: str
    quantization: str | None
    reason: str


def _find_value(
    locations: Sequence[str], values: Sequence[QuantizedValueReport]
) -> QuantizedValueReport | None:
    """Returns the value that the writers of a buffer compute: of several, the first named."""
    for location in locations:
        for value in values:
            if location in value.computed_by:
                return value
    return None


def _reason(
    region: RegionReport,
    buffer: int,
    value: QuantizedValueReport,
    storage: str,
    labels: Sequence[str],
) -> str:
    """Says why a buffer of 32 bits is stored in them."""
    if storage == "as-given":
        return "the chosen candidate stores values where the stock pipeline does"
    updates = sum(
        any(access.buffer == buffer for access in operation.defs)
        and any(access.buffer == buffer for access in operation.uses)
        for operation in region.operations
    )
    if region.buffers[buffer].element_type == "i32":
        if updates:
            return (
                f"accumulator: {updates} command{'s add' if updates > 1 else ' adds'} a part of "
                "an integer product, and the sum is quantized at the end"
            )
        readers = [
            label
            for operation, label in zip(region.operations, labels, strict=True)
            if any(access.buffer == buffer for access in operation.uses)
        ]
        behind = f": {readers[0]}" if readers else ""
        return f"accumulator that another dispatch corrects, scales and quantizes{behind}"
    if value.reason:
        return value.reason
    return "computed in floats by one dispatch and quantized by another"


def wide_values(
    function: FunctionReport,
    values: Sequence[QuantizedValueReport],
    buffer_labels: Sequence[Sequence[str]],
    operation_labels: Sequence[Sequence[str]],
) -> tuple[WideValue, ...]:
    """Returns the 32-bit buffers of a function that the model stores in fewer bits.

    Args:
      function: Of a report.
      values: The quantized values of that report.
      buffer_labels: Of the buffers, by region.
      operation_labels: Of the operations, by region.

    Returns:
      The largest first.
    """
    chosen = chosen_candidate(function)
    storage = chosen.storage if chosen else "as-given"

    def of_region(number: int, region: RegionReport) -> Iterator[WideValue]:
        locations: list[list[str]] = [[] for _ in region.buffers]
        for operation in region.operations:
            for access in operation.defs:
                if operation.location is not None:
                    locations[access.buffer].append(operation.location)
        for index, buffer in enumerate(region.buffers):
            value = _find_value(locations[index], values)
            if value is None or buffer.element_type not in _WIDE:
                continue
            yield WideValue(
                region=number,
                buffer=index,
                label=buffer_labels[number][index],
                bytes=buffer.bytes,
                element_type=buffer.element_type or "",
                stored_as=value.element_type,
                quantization=short_place(value.location),
                reason=_reason(region, index, value, storage, operation_labels[number]),
            )

    found = [
        value
        for number, region in enumerate(function.regions)
        for value in of_region(number, region)
    ]
    return tuple(sorted(found, key=lambda value: (-value.bytes, value.region, value.buffer)))
