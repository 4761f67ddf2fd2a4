// RUN: serenity-opt %s --serenity-pack --split-input-file --verify-diagnostics | FileCheck %s

// Tests that packs that cannot be laid out stay as they are, with a remark.

// CHECK-LABEL: @all_sizes_dynamic
//       CHECK: stream.resource.pack slices({
//  CHECK-NEXT:   [0, 1] = %arg0
util.func public @all_sizes_dynamic(%size: index) -> index {
  // expected-remark @below {{slices keep the offsets that IREE gives them: all sizes are dynamic}}
  %pack:2 = stream.resource.pack slices({
    [0, 1] = %size
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK-LABEL: @reversed_lifetime
//       CHECK: stream.resource.pack slices({
util.func public @reversed_lifetime() -> index {
  %c64 = arith.constant 64 : index
  // expected-remark @below {{slices keep the offsets that IREE gives them}}
  %pack:2 = stream.resource.pack slices({
    [3, 1] = %c64
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK-LABEL: @sum_overflows
//       CHECK: stream.resource.pack slices({
util.func public @sum_overflows() -> index {
  %huge = arith.constant 9223372036854775744 : index
  // expected-remark @below {{slices keep the offsets that IREE gives them}}
  %pack:3 = stream.resource.pack slices({
    [0, 1] = %huge,
    [0, 1] = %huge
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK-LABEL: @negative_size
//       CHECK: stream.resource.pack slices({
util.func public @negative_size() -> index {
  %negative = arith.constant -64 : index
  // expected-remark @below {{slices keep the offsets that IREE gives them}}
  %pack:2 = stream.resource.pack slices({
    [0, 1] = %negative
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK-LABEL: @latest_step
//       CHECK: stream.resource.pack slices({
util.func public @latest_step() -> index {
  %c64 = arith.constant 64 : index
  // expected-remark @below {{slices keep the offsets that IREE gives them}}
  %pack:2 = stream.resource.pack slices({
    [0, 9223372036854775807] = %c64
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK-LABEL: @no_slices
//       CHECK: stream.resource.pack slices({
util.func public @no_slices() -> index {
  // expected-remark @below {{slices keep the offsets that IREE gives them}}
  %pack = stream.resource.pack slices({
  }) : index
  util.return %pack : index
}
