// RUN: serenity-opt %s --pass-pipeline='builtin.module(iree-stream-schedule-allocation,serenity-reuse-external-memory)' --split-input-file | FileCheck %s

// Tests that a result lies in an input that is not read any more: @a reads the
// input, @b writes the result of 4096 bytes there, and the function returns a
// view of it. %a remains in the slab; nothing is allocated for the result.

// CHECK-LABEL: @moved
//       CHECK: %[[INPUT:.+]] = stream.tensor.import consume
//   CHECK-NOT: stream.resource.alloca uninitialized : !stream.resource<external>
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<transient>
//       CHECK: %[[VIEW:.+]] = stream.resource.subview %[[INPUT]]
//       CHECK: stream.cmd.execute
//  CHECK-SAME: %[[INPUT]] as %[[IN:[^:]+]]:
//       CHECK: stream.cmd.dispatch @ex::@a
//  CHECK-NEXT: ro %[[IN]]
//       CHECK: stream.cmd.dispatch @ex::@b
//       CHECK: wo %[[IN]]
//       CHECK: %[[READY:.+]] = stream.timepoint.await %{{.+}} => %[[VIEW]]
//       CHECK: stream.tensor.export %[[READY]]
util.func public @moved(%view: !hal.buffer_view) -> !hal.buffer_view {
  %c0 = arith.constant 0 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c4096} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c4096}
    stream.yield %b : !stream.resource<external>{%c4096}
  } => !stream.timepoint
  %ready = stream.timepoint.await %t => %r : !stream.resource<external>{%c4096}
  %out = stream.tensor.export %ready : tensor<1024xf32> in !stream.resource<external>{%c4096} -> !hal.buffer_view
  util.return %out : !hal.buffer_view
}

// -----

// Tests that one of two results is moved: %r of 4096 bytes has room in the
// input, %s of 8192 bytes has not. The allocation shrinks from 12288 to 8192.

// CHECK-LABEL: @one_of_two
//       CHECK: %[[INPUT:.+]] = stream.tensor.import consume
//       CHECK: %[[LEFT:.+]], %{{.+}} = stream.resource.alloca uninitialized : !stream.resource<external>{%c8192
//       CHECK: %[[S:.+]] = stream.resource.subview %[[LEFT]][%c0
//       CHECK: %[[R:.+]] = stream.resource.subview %[[INPUT]][%c0
//       CHECK: stream.timepoint.await %{{.+}} => %[[R]], %[[S]]
util.func public @one_of_two(%view: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %c0 = arith.constant 0 : index
  %c4096 = arith.constant 4096 : index
  %c8192 = arith.constant 8192 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %s, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> (!stream.resource<external>{%c4096}, !stream.resource<external>{%c8192}) {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c8192}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c8192 for %c8192]) : (!stream.resource<transient>{%c8192}) -> !stream.resource<external>{%c4096}
    %2 = stream.async.dispatch @ex::@c(%a[%c0 to %c8192 for %c8192]) : (!stream.resource<transient>{%c8192}) -> !stream.resource<external>{%c8192}
    stream.yield %b, %2 : !stream.resource<external>{%c4096}, !stream.resource<external>{%c8192}
  } => !stream.timepoint
  %ready:2 = stream.timepoint.await %t => %r, %s : !stream.resource<external>{%c4096}, !stream.resource<external>{%c8192}
  %out = stream.tensor.export %ready#0 : tensor<1024xf32> in !stream.resource<external>{%c4096} -> !hal.buffer_view
  %out2 = stream.tensor.export %ready#1 : tensor<2048xf32> in !stream.resource<external>{%c8192} -> !hal.buffer_view
  util.return %out, %out2 : !hal.buffer_view, !hal.buffer_view
}

// -----

// Tests that a result that a variable keeps is not moved.

// CHECK-LABEL: @stored
//       CHECK: stream.resource.alloca uninitialized : !stream.resource<external>{%c4096
util.global private mutable @state : !stream.resource<external>
util.func public @stored(%view: !hal.buffer_view) -> !hal.buffer_view {
  %c0 = arith.constant 0 : index
  %c4096 = arith.constant 4096 : index
  %x = stream.tensor.import consume %view : !hal.buffer_view -> tensor<1024xf32> in !stream.resource<external>{%c4096}
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c4096}) -> !stream.resource<external>{%c4096} {
    %a = stream.async.dispatch @ex::@a(%in[%c0 to %c4096 for %c4096]) : (!stream.resource<external>{%c4096}) -> !stream.resource<transient>{%c4096}
    %b = stream.async.dispatch @ex::@b(%a[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c4096}
    stream.yield %b : !stream.resource<external>{%c4096}
  } => !stream.timepoint
  %ready = stream.timepoint.await %t => %r : !stream.resource<external>{%c4096}
  util.global.store %ready, @state : !stream.resource<external>
  %out = stream.tensor.export %ready : tensor<1024xf32> in !stream.resource<external>{%c4096} -> !hal.buffer_view
  util.return %out : !hal.buffer_view
}
