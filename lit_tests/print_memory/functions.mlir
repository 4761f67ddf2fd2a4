// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-print-memory)' --verify-diagnostics | FileCheck %s

// Tests that the slab of a region and the result are told apart. In IREE's order
// both large buffers (4096 bytes each) are alive when @shrink_a writes 64 bytes
// more: 4096 + 4096 + 64 = 8256 bytes in the slab. @add returns 64 bytes. The
// module stays as it is.

// CHECK-LABEL: @main
//       CHECK: stream.resource.pack
// expected-remark @below {{'main' needs 8256 bytes of transient memory and returns 64 bytes; alive at the peak: result of 64 bytes (@add), slab of 8256 bytes (@grow_a)}}
util.func public @main(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
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

// Tests that a size of the run is named as such.

// expected-remark @below {{cannot tell the memory of 'dynamic': dynamically sized allocation}}
util.func public @dynamic(%x: !stream.resource<external>, %size: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%size}
    %2 = stream.async.dispatch @ex::@add(%a[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// Tests that a function that allocates nothing is not mentioned.

util.func public @nothing(%x: i32) -> i32 {
  util.return %x : i32
}
stream.executable private @ex {
  stream.executable.export public @grow_a
  stream.executable.export public @grow_b
  stream.executable.export public @shrink_a
  stream.executable.export public @shrink_b
  stream.executable.export public @add
}
