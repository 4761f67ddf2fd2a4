// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests that a region is ordered where dispatches read a part of a buffer of
// dynamic size: an access to the whole. As given, both large buffers exist
// together with the first small result; in order each is read before the next
// one is made.

// CHECK-LABEL: @read_part
//       CHECK: dispatch @ex::@large(%{{.+}})
//       CHECK: %[[A:.+]] = stream.async.dispatch @ex::@small(%{{.+}}[%[[LOWER:.+]] to %[[UPPER:.+]] for %
//       CHECK: dispatch @ex::@large(%{{.+}})
//       CHECK: %[[B:.+]] = stream.async.dispatch @ex::@small(%{{.+}}[%[[LOWER]] to %[[UPPER]] for %
//       CHECK: dispatch @ex::@add(%[[A]]{{.+}}, %[[B]]
util.func public @read_part(%x: !stream.resource<external>, %size: index, %lower: index, %upper: index, %length: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %bytes = arith.muli %size, %c64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.dispatch @ex::@large(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%bytes}
    %1 = stream.async.dispatch @ex::@large(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%bytes}
    %2 = stream.async.dispatch @ex::@small(%0[%lower to %upper for %length]) : (!stream.resource<transient>{%bytes}) -> !stream.resource<transient>{%c64}
    %3 = stream.async.dispatch @ex::@small(%1[%lower to %upper for %length]) : (!stream.resource<transient>{%bytes}) -> !stream.resource<transient>{%c64}
    %4 = stream.async.dispatch @ex::@add(%2[%c0 to %c64 for %c64], %3[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %4 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that writes to parts of a buffer at places that are known only at run
// time stay in their order, since they may overlap, and before the reader of
// all of it; the static size of the buffer does not matter.

// CHECK-LABEL: @written_parts
//       CHECK: %[[W:.+]] = stream.async.alloca
//       CHECK: %[[W0:.+]] = stream.async.dispatch @ex::@write_0(%{{.+}}, %[[W]][%[[LOWER:.+]] to
//       CHECK: %[[W1:.+]] = stream.async.dispatch @ex::@write_1(%{{.+}}, %[[W0]][%
//       CHECK: dispatch @ex::@read(%[[W1]][%c0
util.func public @written_parts(%x: !stream.resource<external>, %lower: index, %upper: index, %length: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.alloca : !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@write_0(%in[%c0 to %c64 for %c64], %0[%lower to %upper for %length]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c1024}) -> %0{%c1024}
    %2 = stream.async.dispatch @ex::@write_1(%in[%c0 to %c64 for %c64], %1[%lower to %upper for %length]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c1024}) -> %1{%c1024}
    %3 = stream.async.dispatch @ex::@read(%2[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<external>{%c64}
    stream.yield %3 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
