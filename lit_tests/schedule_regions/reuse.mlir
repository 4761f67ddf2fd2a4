// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule-regions{reuse=true})' --split-input-file | FileCheck %s --check-prefixes=CHECK,REUSE
// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s --check-prefixes=CHECK,ALONE

// Tests that a result is written as late as possible if its memory serves other
// values. @grow makes 4096 bytes, @shrink 64 of them, @last a result of 64
// bytes from those; @first makes a result of 4096 bytes. The results are one
// allocation. If @first comes last, the 4096 bytes of @grow and the 64 bytes of
// @shrink lie in its 4096 + 64 bytes, and nothing is left for the slab. Without
// reuse results do not count, so the order stays: 4096 + 64 bytes while @shrink
// runs.

//  CHECK-LABEL: @results_are_written_late
//        ALONE: @ex::@first
//        CHECK: @ex::@grow
//   CHECK-NEXT: @ex::@shrink
//   CHECK-NEXT: @ex::@last
//   REUSE-NEXT: @ex::@first
//        ALONE: serenity.peak_bytes = 4160 : i64
//        REUSE: serenity.lower_bound_bytes = 0 : i64
//   REUSE-SAME: serenity.optimal = true
//   REUSE-SAME: serenity.peak_bytes = 0 : i64
util.func public @results_are_written_late(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r:2, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> (!stream.resource<external>{%c4096}, !stream.resource<external>{%c64}) {
    %0 = stream.async.dispatch @ex::@first(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c4096}
    %1 = stream.async.dispatch @ex::@grow(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@shrink(%1[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %3 = stream.async.dispatch @ex::@last(%2[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0, %3 : !stream.resource<external>{%c4096}, !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r#0, %r#1, %t : !stream.resource<external>, !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that the bound knows that a buffer lies in a result as a whole or not
// at all. Three buffers of 1024 bytes are alive while @c runs; the result of
// 1536 bytes is free then, and takes one of them: 2 * 1024 = 2048 bytes remain,
// which is proved. Counting free bytes alone would prove 3072 - 1536 = 1536.

// CHECK-LABEL: @buffers_fit_as_a_whole
//       REUSE: serenity.lower_bound_bytes = 2048 : i64
//  REUSE-SAME: serenity.optimal = true
//  REUSE-SAME: serenity.peak_bytes = 2048 : i64
//       ALONE: serenity.peak_bytes = 3072 : i64
util.func public @buffers_fit_as_a_whole(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c1024 = arith.constant 1024 : index
  %c1536 = arith.constant 1536 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c1024}) -> !stream.resource<external>{%c1536} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c1024 for %c1024]) : (!stream.resource<external>{%c1024}) -> !stream.resource<transient>{%c1024}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c1024}
    %c = stream.async.dispatch @ex::@c(%a[%c0 to %c1024 for %c1024], %b[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}, !stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c1024}
    %d = stream.async.dispatch @ex::@d(%c[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<external>{%c1536}
    stream.yield %d : !stream.resource<external>{%c1536}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
