// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests that every region of a function is scheduled for itself, also under
// host control flow, and that one that is not modelled does not spoil the
// others.

// CHECK-LABEL: @under_a_condition
//       CHECK: scf.if
//       CHECK:   @ex::@a
//       CHECK:   serenity.peak_bytes = 128 : i64
//       CHECK: } else {
//       CHECK:   @ex::@b
//       CHECK:   serenity.peak_bytes = 192 : i64
util.func public @under_a_condition(%x: !stream.resource<external>, %cond: i1) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c192 = arith.constant 192 : index
  %0:2 = scf.if %cond -> (!stream.resource<external>, !stream.timepoint) {
    %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
      %1 = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c128}
      %2 = stream.async.dispatch @ex::@c(%1[%c0 to %c128 for %c128]) : (!stream.resource<transient>{%c128}) -> !stream.resource<external>{%c64}
      stream.yield %2 : !stream.resource<external>{%c64}
    } => !stream.timepoint
    scf.yield %r, %t : !stream.resource<external>, !stream.timepoint
  } else {
    %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
      %1 = stream.async.dispatch @ex::@b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c192}
      %2 = stream.async.dispatch @ex::@c(%1[%c0 to %c192 for %c192]) : (!stream.resource<transient>{%c192}) -> !stream.resource<external>{%c64}
      stream.yield %2 : !stream.resource<external>{%c64}
    } => !stream.timepoint
    scf.yield %r, %t : !stream.resource<external>, !stream.timepoint
  }
  util.return %0#0, %0#1 : !stream.resource<external>, !stream.timepoint
}

// -----

// CHECK-LABEL: @one_of_two
//       CHECK: stream.async.transfer
//   CHECK-NOT: serenity.peak_bytes
//       CHECK: @ex::@a
//       CHECK: serenity.peak_bytes = 128 : i64
util.func public @one_of_two(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r0, %t0 = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.transfer %in : !stream.resource<external>{%c64} -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  %r1, %t1 = stream.async.execute await(%t0) => with(%r0 as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c128}
    %1 = stream.async.dispatch @ex::@c(%0[%c0 to %c128 for %c128]) : (!stream.resource<transient>{%c128}) -> !stream.resource<external>{%c64}
    stream.yield %1 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r1, %t1 : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that initializers are not scheduled: they run once, before any slab.

// CHECK-LABEL: util.initializer
//       CHECK: stream.async.execute
//   CHECK-NOT: serenity.
util.initializer {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c0_i32 = arith.constant 0 : i32
  %r, %t = stream.async.execute with() -> !stream.resource<constant>{%c64} {
    %0 = stream.async.splat %c0_i32 : i32 -> !stream.resource<transient>{%c64}
    %1 = stream.async.dispatch @ex::@a(%0[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<constant>{%c64}
    stream.yield %1 : !stream.resource<constant>{%c64}
  } => !stream.timepoint
  util.return
}

// -----

// Tests that a region without commands, and one that only passes its argument
// on, survive.

// CHECK-LABEL: @argument_is_result
//       CHECK: stream.yield %{{.+}} : !stream.resource<external>
//       CHECK: serenity.peak_bytes = 0 : i64
util.func public @argument_is_result(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> (%x as !stream.resource<external>{%c64}) {
    stream.yield %in : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
