// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule-regions,iree-stream-schedule-allocation,serenity-pack)' --serenity-report=%t.json | FileCheck %s
// RUN: FileCheck %s --check-prefix=REPORT < %t.json
// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,util.func(iree-stream-layout-slices),cse)' | FileCheck %s --check-prefix=STOCK

// Tests that what serenity-schedule-regions predicts is the slab that IREE
// allocates after serenity-pack: 4096 + 64 + 64 = 4224 bytes, where IREE's own
// passes take both large buffers at once: 4096 + 4096 + 64 = 8256.

// CHECK-LABEL: @f
//       CHECK: %[[SLAB:.+]] = arith.constant 4224 : index
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%[[SLAB]]}
//   CHECK-NOT: stream.resource.pack

// STOCK-LABEL: @f
//       STOCK: %[[SLAB:.+]] = arith.constant 8256 : index
//       STOCK: stream.resource.alloca uninitialized : !stream.resource<transient>{%[[SLAB]]}

// Live bytes at the five steps: the first large buffer; with its small result;
// that and the second large buffer; all three; both small ones while @add runs.

//       REPORT: "schema": 2
//       REPORT: "name": "f"
//       REPORT: "predicted_bytes": 4224
//  REPORT-NEXT: "slab_bytes": 4224
//  REPORT-NEXT: "lower_bound_bytes": 4224
//  REPORT-NEXT: "optimal": true
//       REPORT: "offsets_optimal": true
//       REPORT: "left_alone": null
//       REPORT: "live_bytes": [4096, 4160, 4160, 4224, 128]
//       REPORT: "buffers": [
//  REPORT-NEXT: "first": 0, "last": 1, "bytes": 4096,
//  REPORT-NEXT: "first": 1, "last": 4, "bytes": 64,
//  REPORT-NEXT: "first": 2, "last": 3, "bytes": 4096,
//  REPORT-NEXT: "first": 3, "last": 4, "bytes": 64,
util.func public @f(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %0 = stream.async.dispatch @ex::@shrink_a(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %1 = stream.async.dispatch @ex::@shrink_b(%b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@add(%0[%c0 to %c64 for %c64], %1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
