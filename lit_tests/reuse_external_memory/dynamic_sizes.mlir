// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-reuse-external-memory)' --split-input-file | FileCheck %s

// Tests results whose sizes are known only at run time: a buffer lies at the
// beginning of one where its size has no larger coefficient.

// As with static sizes: %a (64 bytes a row, like the result) is dead before @c
// writes the result; %1 (4096 a row) remains in the slab.

// CHECK-LABEL: @one_result
//       CHECK: %[[LARGE:.+]] = arith.muli %{{.+}}, %c4096
//       CHECK: stream.resource.pack slices({
//  CHECK-NEXT: = %[[LARGE]]
//  CHECK-NEXT: })
//       CHECK: stream.cmd.execute
//  CHECK-SAME: as %[[IN:.+]]: !stream.resource<external>{%{{.+}}}, %{{.+}} as %[[RESULT:.+]]: !stream.resource<external>{%[[SIZE:.+]]}, %{{.+}} as %[[TRANSIENT:.+]]: !stream.resource<transient>
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro %[[IN]]
//  CHECK-NEXT: wo %[[RESULT]][%c0{{.*}} for %[[SIZE]]]
//       CHECK: stream.cmd.dispatch @ex::@b
//  CHECK-NEXT: ro %[[RESULT]]
//  CHECK-NEXT: wo %[[TRANSIENT]]
//       CHECK: stream.cmd.dispatch @ex::@c
//  CHECK-NEXT: ro %[[TRANSIENT]]
//  CHECK-NEXT: wo %[[RESULT]]
util.func public @one_result(%x: !stream.resource<external>, %n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %small = arith.muli %n, %c64 : index
  %large = arith.muli %n, %c4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%small} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%small}
    %1 = stream.async.dispatch @ex::@b(%a[%c0 to %small for %small]) : (!stream.resource<transient>{%small}) -> !stream.resource<transient>{%large}
    %2 = stream.async.dispatch @ex::@c(%1[%c0 to %large for %large]) : (!stream.resource<transient>{%large}) -> !stream.resource<external>{%small}
    stream.yield %2 : !stream.resource<external>{%small}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a buffer that is larger in some calls stays in the slab: 64 bytes a
// row, beside a result of 4096 bytes, which is larger at the hint of 63 rows
// alone. So does one that is needed when the result is written: %1.

// CHECK-LABEL: @does_not_fit
//       CHECK: stream.resource.pack slices({
//  CHECK-NEXT: [0, 1] =
//  CHECK-NEXT: [1, 2] =
//  CHECK-NEXT: })
util.func public @does_not_fit(%x: !stream.resource<external>, %n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %small = arith.muli %n, %c64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c4096} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%small}
    %1 = stream.async.dispatch @ex::@b(%a[%c0 to %small for %small]) : (!stream.resource<transient>{%small}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@c(%1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c4096}
    stream.yield %2 : !stream.resource<external>{%c4096}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that two buffers share a result one after the other: %a and %2, which
// are as large as it. %1 remains, which lives beside both of them, and %3, which
// is read when the result is written.

// CHECK-LABEL: @one_after_the_other
//       CHECK: stream.resource.pack slices({
//  CHECK-NEXT: [1, 2] =
//  CHECK-NEXT: [3, 4] =
//  CHECK-NEXT: })
//       CHECK: stream.cmd.dispatch @ex::@a
//       CHECK: wo %[[RESULT:arg[0-9]+]]
//       CHECK: stream.cmd.dispatch @ex::@b
//  CHECK-NEXT: ro %[[RESULT]]
//       CHECK: stream.cmd.dispatch @ex::@c
//       CHECK: wo %[[RESULT]]
//       CHECK: stream.cmd.dispatch @ex::@d
//  CHECK-NEXT: ro %[[RESULT]]
//       CHECK: stream.cmd.dispatch @ex::@e
//       CHECK: wo %[[RESULT]]
util.func public @one_after_the_other(%x: !stream.resource<external>, %n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c16 = arith.constant 16 : index
  %size = arith.muli %n, %c64 : index
  %less = arith.muli %n, %c16 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%size} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%size}
    %1 = stream.async.dispatch @ex::@b(%a[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<transient>{%less}
    %2 = stream.async.dispatch @ex::@c(%1[%c0 to %less for %less]) : (!stream.resource<transient>{%less}) -> !stream.resource<transient>{%size}
    %3 = stream.async.dispatch @ex::@d(%2[%c0 to %size for %size], %in[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%size}, !stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %4 = stream.async.dispatch @ex::@e(%3[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%size}
    stream.yield %4 : !stream.resource<external>{%size}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
