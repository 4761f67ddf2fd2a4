// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-reuse-external-memory,serenity-pack)' --split-input-file | FileCheck %s

// Tests that a buffer that dies before the result is written lies in it: of
// 64 + 4096 bytes (@b reads %a and writes %1) 4096 remain in the slab, since
// nothing of the result's 64 bytes is written before @c.

// CHECK-LABEL: @one_result
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c4096
//       CHECK: stream.cmd.execute
//  CHECK-SAME: as %[[IN:.+]]: !stream.resource<external>{%{{.+}}}, %{{.+}} as %[[RESULT:.+]]: !stream.resource<external>{%{{.+}}}, %{{.+}} as %[[TRANSIENT:.+]]: !stream.resource<transient>
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro %[[IN]]
//  CHECK-NEXT: wo %[[RESULT]]
//       CHECK: stream.cmd.dispatch @ex::@b
//  CHECK-NEXT: ro %[[RESULT]]
//  CHECK-NEXT: wo %[[TRANSIENT]]
//       CHECK: stream.cmd.dispatch @ex::@c
//  CHECK-NEXT: ro %[[TRANSIENT]]
//  CHECK-NEXT: wo %[[RESULT]]
util.func public @one_result(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %1 = stream.async.dispatch @ex::@b(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%1[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that two results of one allocation are one piece of memory: %a with
// 4096 bytes fits into neither of them, but into both. All of it dies before
// the first is written, and %b (64 bytes) remains.

// CHECK-LABEL: @across_results
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c64
//       CHECK: stream.cmd.execute
//  CHECK-SAME: !stream.resource<external>{%[[BOTH:.+]]}, %{{.+}} as %{{.+}}: !stream.resource<external>{%[[BOTH]]}, %{{.+}} as %[[TRANSIENT:.+]]: !stream.resource<transient>
//       CHECK: stream.cmd.dispatch @ex::@a
//       CHECK: wo %[[RESULTS:.+]][%{{.+}} for %c4096] : !stream.resource<external>{%[[BOTH]]}
//       CHECK: stream.cmd.dispatch @ex::@b
//  CHECK-NEXT: ro %[[RESULTS]]
//  CHECK-NEXT: wo %[[TRANSIENT]]
//       CHECK: stream.cmd.dispatch @ex::@c
//  CHECK-NEXT: ro %[[TRANSIENT]]
//  CHECK-NEXT: wo %[[RESULTS]]
//       CHECK: stream.cmd.dispatch @ex::@d
//  CHECK-NEXT: ro %[[TRANSIENT]]
//  CHECK-NEXT: wo %[[RESULTS]]
util.func public @across_results(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c2048 = arith.constant 2048 : index
  %c4096 = arith.constant 4096 : index
  %r:2, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> (!stream.resource<external>{%c2048}, !stream.resource<external>{%c2048}) {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@c(%b[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c2048}
    %3 = stream.async.dispatch @ex::@d(%b[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c2048}
    stream.yield %2, %3 : !stream.resource<external>{%c2048}, !stream.resource<external>{%c2048}
  } => !stream.timepoint
  util.return %r#0, %r#1, %t : !stream.resource<external>, !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that no slab is allocated where all buffers lie in the result: %a is
// read by @copy before the result's second half is written.

// CHECK-LABEL: @no_slab
//   CHECK-NOT: !stream.resource<transient>
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro
//  CHECK-NEXT: wo %[[RESULT:.+]][%c64
//       CHECK: stream.cmd.copy %[[RESULT]][%c64{{.*}}], %[[RESULT]][%c0
//       CHECK: stream.cmd.fill %{{.+}}, %[[RESULT]][%c64
//   CHECK-NOT: dealloca
//       CHECK: util.return
util.func public @no_slab(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c0_i32 = arith.constant 0 : i32
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c128} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %e = stream.async.alloca : !stream.resource<external>{%c128}
    %1 = stream.async.copy %a[%c0 to %c64], %e[%c0 to %c64], %c64 : !stream.resource<transient>{%c64} -> %e as !stream.resource<external>{%c128}
    %2 = stream.async.fill %c0_i32, %1[%c64 to %c128 for %c64] : i32 -> %1 as !stream.resource<external>{%c128}
    stream.yield %2 : !stream.resource<external>{%c128}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a buffer that is read while the result is written stays in the
// slab.

// CHECK-LABEL: @still_read
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c64
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro
//  CHECK-NEXT: wo %{{.+}} : !stream.resource<transient>
util.func public @still_read(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@c(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a value that another region reads is no result to write
// transient buffers into: the first region keeps its 64 + 64 bytes. In the
// second, %a lies in the result.

// CHECK-LABEL: @two_regions
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c128
//       CHECK: stream.resource.alloca uninitialized await({{.+}}) => !stream.resource<transient>{%c64
util.func public @two_regions(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %v, %s = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %c = stream.async.dispatch @ex::@c(%b[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    stream.yield %c : !stream.resource<transient>{%c64}
  } => !stream.timepoint
  %r, %t = stream.async.execute await(%s) => with(%v as %in: !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %c = stream.async.dispatch @ex::@c(%b[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %c : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
