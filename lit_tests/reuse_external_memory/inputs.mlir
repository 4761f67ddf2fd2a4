// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-reuse-external-memory,serenity-pack)' --split-input-file | FileCheck %s --check-prefixes=CHECK,KEEP
// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-reuse-external-memory{inputs=overwrite},serenity-pack)' --split-input-file | FileCheck %s --check-prefixes=CHECK,OVERWRITE

// Tests that a buffer lies in a consumed input, from its last
// use on: @a reads the input, %b is made after that and takes its 4096 bytes.
// 4096 (%a) remain in the slab of 8192.

// CHECK-LABEL: @consumed
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c4096
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro %[[IN:.+]][%c0
//  CHECK-NEXT: wo %[[SLAB:.+]][
//       CHECK: stream.cmd.dispatch @ex::@b
//  CHECK-NEXT: ro %[[SLAB]]
//  CHECK-NEXT: wo %[[IN]]
//       CHECK: stream.cmd.dispatch @ex::@c
//  CHECK-NEXT: ro %[[IN]]
util.func public @consumed(%view: !hal.buffer_view) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that an input that is not consumed is kept, unless the option says that
// all may be overwritten.

//     CHECK-LABEL: @not_consumed
//            KEEP: stream.resource.alloca uninitialized : !stream.resource<transient>{%c8192
//       OVERWRITE: stream.resource.alloca uninitialized : !stream.resource<transient>{%c4096
util.func public @not_consumed(%view: !hal.buffer_view) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that an input that is returned as it is, is not overwritten though it
// is marked.

// CHECK-LABEL: @returned
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c8192
util.func public @returned(%view: !hal.buffer_view) -> (!stream.resource<external>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%b[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %x, %r, %t : !stream.resource<external>, !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that an argument that is imported twice is not overwritten: the other
// import may be read later.

// CHECK-LABEL: @imported_twice
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>{%c8192
util.func public @imported_twice(%view: !hal.buffer_view) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %y = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}, %y as %in2: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c64} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%b[%c0 to %c4096 for %c4096], %in2[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}, !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
