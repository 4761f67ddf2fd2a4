// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule-regions{scheduler=exact})' | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule-regions{scheduler=serenity})' | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-schedule-regions{scheduler=heuristic})' | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions --serenity-scheduler=heuristic | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions='time-limit=0' | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions='state-limit=1' | FileCheck %s
// RUN: serenity-opt %s --serenity-schedule-regions --serenity-schedule-regions > %t.twice
// RUN: serenity-opt %s --serenity-schedule-regions > %t.once
// RUN: diff %t.once %t.twice

// Tests that every algorithm finds the order of least peak of a region as small
// as this one: 1024 + 64 for one branch after the other, then 64 more for the
// result of the first: 1152. And that a second run changes nothing.

// CHECK-LABEL: @two_branches
//       CHECK: serenity.peak_bytes = 1152 : i64
util.func public @two_branches(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %0 = stream.async.dispatch @ex::@shrink_a(%a[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %1 = stream.async.dispatch @ex::@shrink_b(%b[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@add(%0[%c0 to %c64 for %c64], %1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
