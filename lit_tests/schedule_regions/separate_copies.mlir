// RUN: serenity-opt %s --serenity-schedule-regions='max-recompute=0' | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions='rewrite=off' | FileCheck %s --check-prefix=NONE

stream.executable private @ex {
  stream.executable.export public @rows workgroups() -> (index, index, index) {
    %c1 = arith.constant 1 : index
    stream.return %c1, %c1, %c1 : index, index, index
  }
  builtin.module {
    // Half of the rows, from a row that the caller names.
    func.func @rows(%arg0: !stream.binding, %arg1: index, %arg2: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %arg0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<32x64xf32>>
      %1 = stream.binding.subspan %arg2[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x64xf32>>
      %2 = iree_tensor_ext.dispatch.workload.ordinal %arg1, 0 : index
      %3 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [%2, 0], sizes = [16, 64], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<32x64xf32>> -> tensor<16x64xf32>
      iree_tensor_ext.dispatch.tensor.store %3, %1, offsets = [0, 0], sizes = [16, 64], strides = [1, 1] : tensor<16x64xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16x64xf32>>
      return
    }
  }
}

// Tests that both bands of the second segment get slices (4096 bytes) of their
// own. Kept, the slice of the first band lives beside that of the second one,
// and both beside the result of the first segment: 2 * 4096 + 3 * 64 = 8384.
// Made again, one lives at a time: 4096 + 3 * 64 = 4288.

// CHECK-LABEL: @two_segments
//       CHECK: %[[A0:.+]] = stream.async.dispatch @ex::@rows(
//  CHECK-NEXT: stream.async.dispatch @other::@first(%[[A0]]
//  CHECK-NEXT: %[[A1:.+]] = stream.async.dispatch @ex::@rows(
//  CHECK-NEXT: stream.async.dispatch @other::@first(%[[A1]]
//       CHECK: stream.async.dispatch @other::@join(
//  CHECK-NEXT: %[[B0:.+]] = stream.async.dispatch @ex::@rows(
//  CHECK-NEXT: stream.async.dispatch @other::@second(%[[B0]]
//  CHECK-NEXT: %[[B1:.+]] = stream.async.dispatch @ex::@rows(
//  CHECK-NEXT: stream.async.dispatch @other::@second(%[[B1]]
//       CHECK: serenity.peak_bytes = 4288 : i64
//  NONE-LABEL: @two_segments
//        NONE: serenity.peak_bytes = 8384 : i64
util.func public @two_segments(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %c8192 = arith.constant 8192 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c8192}) -> !stream.resource<external>{%c64} {
    %a0 = stream.async.dispatch @ex::@rows(%in[%c0 to %c8192 for %c8192], %c0) : (!stream.resource<external>{%c8192}, index) -> !stream.resource<transient>{%c4096}
    %f0 = stream.async.dispatch @other::@first(%a0[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %a1 = stream.async.dispatch @ex::@rows(%in[%c0 to %c8192 for %c8192], %c16) : (!stream.resource<external>{%c8192}, index) -> !stream.resource<transient>{%c4096}
    %f1 = stream.async.dispatch @other::@first(%a1[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %y = stream.async.dispatch @other::@join(%f0[%c0 to %c64 for %c64], %f1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %s0 = stream.async.dispatch @other::@second(%a0[%c0 to %c4096 for %c4096], %y[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %s1 = stream.async.dispatch @other::@second(%a1[%c0 to %c4096 for %c4096], %y[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@join(%s0[%c0 to %c64 for %c64], %s1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a slice is kept where its source is overwritten before the second
// reader: it holds other rows then.

// CHECK-LABEL: @source_overwritten
//       CHECK: stream.async.dispatch @ex::@rows(
//   CHECK-NOT: stream.async.dispatch @ex::@rows(
//       CHECK: stream.async.dispatch @other::@second(
util.func public @source_overwritten(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %c8192 = arith.constant 8192 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %m = stream.async.dispatch @other::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c8192}
    %a = stream.async.dispatch @ex::@rows(%m[%c0 to %c8192 for %c8192], %c0) : (!stream.resource<transient>{%c8192}, index) -> !stream.resource<transient>{%c4096}
    %f = stream.async.dispatch @other::@first(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %n = stream.async.dispatch @other::@change(%m[%c0 to %c8192 for %c8192], %f[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c8192}, !stream.resource<transient>{%c64}) -> %m{%c8192}
    %s = stream.async.dispatch @other::@shrink(%n[%c0 to %c8192 for %c8192]) : (!stream.resource<transient>{%c8192}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @other::@second(%a[%c0 to %c4096 for %c4096], %s[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
