// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests that a buffer dies before the next large one is made. In the order
// given both large buffers are alive at once: 4096 + 4096 + 64 = 8256 bytes
// while @shrink_a runs. One after the other: 4096 + 64 while @shrink_a runs,
// 64 + 4096 + 64 = 4224 while @shrink_b runs, which is the least, because
// @shrink_b needs that much whatever the order, or @shrink_a does.
// The result is external: its 64 bytes do not count.

// CHECK-LABEL: @one_large_buffer_at_a_time
//       CHECK: stream.async.dispatch @ex::@grow_[[FIRST:[ab]]](
//  CHECK-NEXT: stream.async.dispatch @ex::@shrink_[[FIRST]](
//  CHECK-NEXT: stream.async.dispatch @ex::@grow_
//  CHECK-NEXT: stream.async.dispatch @ex::@shrink_
//  CHECK-NEXT: stream.async.dispatch @ex::@add
//  CHECK-NEXT: stream.yield
//       CHECK: serenity.lower_bound_bytes = 4224 : i64
//  CHECK-SAME: serenity.optimal = true
//  CHECK-SAME: serenity.peak_bytes = 4224 : i64
//  CHECK-SAME: serenity.scheduled
util.func public @one_large_buffer_at_a_time(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
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

// -----

// Tests that sizes round up to 64 bytes before they are added: 100 -> 128, and
// that an order that is already of least peak stays: 128 + 128 while @second
// runs; its result replaces its operand.

// CHECK-LABEL: @chain_keeps_its_order
//       CHECK: @ex::@first
//  CHECK-NEXT: @ex::@second
//  CHECK-NEXT: @ex::@third
//       CHECK: serenity.peak_bytes = 256 : i64
util.func public @chain_keeps_its_order(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c100 = arith.constant 100 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c100}) -> !stream.resource<external>{%c100} {
    %0 = stream.async.dispatch @ex::@first(%in[%c0 to %c100 for %c100]) : (!stream.resource<external>{%c100}) -> !stream.resource<transient>{%c100}
    %1 = stream.async.dispatch @ex::@second(%0[%c0 to %c100 for %c100]) : (!stream.resource<transient>{%c100}) -> !stream.resource<transient>{%c100}
    %2 = stream.async.dispatch @ex::@third(%1[%c0 to %c100 for %c100]) : (!stream.resource<transient>{%c100}) -> !stream.resource<external>{%c100}
    stream.yield %2 : !stream.resource<external>{%c100}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that arguments and results cost nothing: no slab is needed.

// CHECK-LABEL: @nothing_transient
//       CHECK: @ex::@only
//       CHECK: serenity.optimal = true
//  CHECK-SAME: serenity.peak_bytes = 0 : i64
util.func public @nothing_transient(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.dispatch @ex::@only(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a dispatch of two results holds both until the last user of each:
// @split makes 4096 + 64 bytes. @use_large goes first, because it frees 4096
// for 64; then 64 + 64 + 4096 while @grow_again runs: 4224, against
// 4096 + 64 + 4096 = 8256 in the order given.

// CHECK-LABEL: @two_results
//       CHECK: %[[BOTH:.+]]:2 = stream.async.dispatch @ex::@split
//  CHECK-NEXT: stream.async.dispatch @ex::@use_large(%[[BOTH]]#0
//  CHECK-NEXT: stream.async.dispatch @ex::@grow_again(%[[BOTH]]#1
//       CHECK: serenity.peak_bytes = 4224 : i64
util.func public @two_results(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0:2 = stream.async.dispatch @ex::@split(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64})
    %1 = stream.async.dispatch @ex::@grow_again(%0#1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@use_large(%0#0[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %3 = stream.async.dispatch @ex::@join(%1[%c0 to %c4096 for %c4096], %2[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %3 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a result that no command writes is handed out all the same.

// CHECK-LABEL: @nothing_written
//       CHECK: stream.async.execute
//   CHECK-DAG: %[[MADE:.+]] = stream.async.dispatch @ex::@a
//   CHECK-DAG: %[[EMPTY:.+]] = stream.async.alloca
//       CHECK: stream.yield %[[MADE]], %[[EMPTY]] :
util.func public @nothing_written(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r:2, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> (!stream.resource<external>{%c64}, !stream.resource<external>{%c64}) {
    %0 = stream.async.alloca : !stream.resource<external>{%c64}
    %1 = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %1, %0 : !stream.resource<external>{%c64}, !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r#0, %r#1, %t : !stream.resource<external>, !stream.resource<external>, !stream.timepoint
}
