// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-waves,serenity-pack)' --split-input-file | FileCheck %s

// Tests that two commands that only read the input run at the same time: their
// results are live together anyhow. 4096 + 4096 + 16384 = 24576 bytes before and
// after.

// CHECK-LABEL: @independent
//       CHECK: %[[SLAB:.+]] = arith.constant 24576 : index
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%[[SLAB]]}
//       CHECK: stream.cmd.concurrent {
//  CHECK-NEXT: stream.cmd.dispatch @ex::@a
//       CHECK: stream.cmd.dispatch @ex::@b
//       CHECK: stream.cmd.dispatch @ex::@join
//   CHECK-NOT: stream.cmd.concurrent
//       CHECK: stream.cmd.dispatch @ex::@shrink
util.func public @independent(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %c16384 = arith.constant 16384 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %j = stream.async.dispatch @ex::@join(%a[%c0 to %c4096 for %c4096], %b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c16384}
    %0 = stream.async.dispatch @ex::@shrink(%j[%c0 to %c16384 for %c16384]) : (!stream.resource<transient>{%c16384}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that commands are not grouped where a concurrent dispatch group would
// cost memory: @shrink_a and @grow_b do not depend on one another, but together
// they need both large buffers, 8256 bytes instead of 4224.

// CHECK-LABEL: @too_large_together
//       CHECK: %[[SLAB:.+]] = arith.constant 4224 : index
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%[[SLAB]]}
//   CHECK-NOT: stream.cmd.concurrent
//       CHECK: util.return
util.func public @too_large_together(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %0 = stream.async.dispatch @ex::@shrink_a(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %1 = stream.async.dispatch @ex::@shrink_b(%b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@add(%0[%c0 to %c64 for %c64], %1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that copies into disjoint parts of one buffer may run together, although
// SSA chains them; and that the command which overwrites a part of it waits.

// CHECK-LABEL: @parts
//       CHECK: stream.cmd.execute
//  CHECK-NEXT: stream.cmd.concurrent {
//  CHECK-NEXT: stream.cmd.copy {{.+}}
//  CHECK-NEXT: stream.cmd.copy {{.+}}
//  CHECK-NEXT: }
//  CHECK-NEXT: stream.cmd.fill
//  CHECK-NEXT: stream.cmd.dispatch @ex::@use
//   CHECK-NOT: stream.cmd.concurrent
//       CHECK: util.return
util.func public @parts(%x: !stream.resource<external>, %y: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c96 = arith.constant 96 : index
  %c32 = arith.constant 32 : index
  %c128 = arith.constant 128 : index
  %c1_i32 = arith.constant 1 : i32
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}, %y as %other: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %e = stream.async.alloca : !stream.resource<transient>{%c128}
    %0 = stream.async.update %in, %e[%c0 to %c64] : !stream.resource<external>{%c64} -> %e as !stream.resource<transient>{%c128}
    %1 = stream.async.update %other, %0[%c64 to %c128] : !stream.resource<external>{%c64} -> %0 as !stream.resource<transient>{%c128}
    %2 = stream.async.fill %c1_i32, %1[%c64 to %c96 for %c32] : i32 -> %1 as !stream.resource<transient>{%c128}
    %3 = stream.async.dispatch @ex::@use(%2[%c0 to %c128 for %c128]) : (!stream.resource<transient>{%c128}) -> !stream.resource<external>{%c64}
    stream.yield %3 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a command does not join a group whose member writes what it reads,
// but may join another reader of the same buffer; the result of the first @use
// is overwritten in place only after the other one has read it.

// CHECK-LABEL: @hazards
//       CHECK: stream.cmd.dispatch @ex::@make
//       CHECK: stream.cmd.concurrent {
//  CHECK-NEXT: stream.cmd.dispatch @ex::@left
//       CHECK: stream.cmd.dispatch @ex::@right
//       CHECK: }
//       CHECK: }
//       CHECK: stream.cmd.dispatch @ex::@overwrite
//   CHECK-NOT: stream.cmd.concurrent
//       CHECK: util.return
util.func public @hazards(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %m = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %l = stream.async.dispatch @ex::@left(%m[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %g = stream.async.dispatch @ex::@right(%m[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c64}
    %o = stream.async.dispatch @ex::@overwrite(%m[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> %m{%c64}
    %f = stream.async.dispatch @ex::@final(%o[%c0 to %c64 for %c64], %l[%c0 to %c64 for %c64], %g[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %f : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that functions which the driver leaves to IREE keep what IREE made.

// CHECK-LABEL: @left_to_iree
//   CHECK-NOT: stream.cmd.concurrent
//       CHECK: util.return
util.func public @left_to_iree(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) attributes {serenity.variant = "offsets"} {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %b = stream.async.dispatch @ex::@b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %0 = stream.async.dispatch @ex::@join(%a[%c0 to %c64 for %c64], %b[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
