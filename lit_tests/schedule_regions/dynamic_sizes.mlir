// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests regions with buffers whose sizes are known only at run time: they count
// as large as they are at the hint, 64 for an extent of which nothing is known.

// As given, both products of 16 bytes per row are alive at once: 2 * 1024 bytes.
// One after the other, 1024 and both results of 64.

// CHECK-LABEL: @one_at_a_time
//  CHECK-SAME: %[[N:[^ ]+]]: index
//       CHECK: %[[SIZE:.+]] = arith.muli %[[N]], %{{.+}} : index
//       CHECK: %[[A:.+]] = stream.async.dispatch @ex::@grow_a{{.+}} -> !stream.resource<transient>{%[[SIZE]]}
//  CHECK-NEXT: stream.async.dispatch @ex::@shrink(%[[A]][%c0{{.*}} to %[[SIZE]] for %[[SIZE]]])
//  CHECK-NEXT: %[[B:.+]] = stream.async.dispatch @ex::@grow_b{{.+}} -> !stream.resource<transient>{%[[SIZE]]}
//  CHECK-NEXT: stream.async.dispatch @ex::@shrink(%[[B]][%c0{{.*}} to %[[SIZE]] for %[[SIZE]]])
//       CHECK: serenity.peak_bytes = 1152 : i64
util.func public @one_at_a_time(%x: !stream.resource<external>, %n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c64 = arith.constant 64 : index
  %size = arith.muli %n, %c16 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%size}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%size}
    %0 = stream.async.dispatch @ex::@shrink(%a[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<transient>{%c64}
    %1 = stream.async.dispatch @ex::@shrink(%b[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<transient>{%c64}
    %2 = stream.async.dispatch @ex::@add(%0[%c0 to %c64 for %c64], %1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// A value that is overwritten in place keeps its size, a splat and a clone of
// dynamic size too.

// CHECK-LABEL: @in_place_and_cloned
//       CHECK: %[[SPLAT:.+]] = stream.async.splat %{{.+}} -> !stream.resource<transient>{%[[N:.+]]}
//       CHECK: %[[CLONE:.+]] = stream.async.clone %[[SPLAT]] : !stream.resource<transient>{%[[N]]} -> !stream.resource<transient>{%[[N]]}
//       CHECK: %[[NEW:.+]] = stream.async.dispatch @ex::@update(%[[SPLAT]]{{.+}}) : {{.+}} -> %[[SPLAT]]{%[[N]]}
//       CHECK: stream.async.dispatch @ex::@add(%[[NEW]][%c0{{.*}} to %[[N]] for %[[N]]], %[[CLONE]][%c0{{.*}} to %[[N]] for %[[N]]])
//       CHECK: serenity.peak_bytes = 128 : i64
util.func public @in_place_and_cloned(%n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c0_i32 = arith.constant 0 : i32
  %r, %t = stream.async.execute with() -> !stream.resource<external>{%c64} {
    %0 = stream.async.splat %c0_i32 : i32 -> !stream.resource<transient>{%n}
    %1 = stream.async.clone %0 : !stream.resource<transient>{%n} -> !stream.resource<transient>{%n}
    %2 = stream.async.dispatch @ex::@update(%0[%c0 to %n for %n]) : (!stream.resource<transient>{%n}) -> %0{%n}
    %3 = stream.async.dispatch @ex::@add(%2[%c0 to %n for %n], %1[%c0 to %n for %n]) : (!stream.resource<transient>{%n}, !stream.resource<transient>{%n}) -> !stream.resource<external>{%c64}
    stream.yield %3 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Equal sizes are the same whichever values they are: products of one number
// that were written twice. The result of @grow is read as a whole, so that the
// region is understood: 8 bytes per row, 64 rows at the hint.

// CHECK-LABEL: @same_size_twice
//       CHECK: serenity.peak_bytes = 512 : i64
util.func public @same_size_twice(%x: !stream.resource<external>, %n: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %size = arith.muli %n, %c8 overflow<nsw> : index
  %again = arith.muli %n, %c8 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%size}
    %b = stream.async.dispatch @ex::@update(%a[%c0 to %again for %again]) : (!stream.resource<transient>{%again}) -> %a{%again}
    %0 = stream.async.dispatch @ex::@shrink(%b[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
