// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file 2>&1 | FileCheck %s

// Tests that two results of one dispatch that lie in one buffer are both there
// for a reader of either: IREE names the first result where it reads the whole
// buffer. A reader that came before the second result would read what was in
// memory before. Both stay in their places (2048 bytes), without a copy.

// CHECK: remark: region keeps the order that IREE gave it: two results of a dispatch tied to one operand
// CHECK-LABEL: util.func public @main
//       CHECK: %[[WHOLE:.+]] = stream.async.alloca
//       CHECK: %[[PARTS:.+]]:2 = stream.async.dispatch @ex::@parts(%{{.+}}[{{.+}}], %[[WHOLE]][%c1024{{.*}} to %c2048{{.*}} for {{.+}}], %[[WHOLE]][%c0{{.*}} to %c1024{{.*}} for {{.+}}])
//   CHECK-NOT: stream.async.update
//       CHECK: stream.async.dispatch @ex::@use(%[[PARTS]]#
//   CHECK-NOT: stream.async.update
//       CHECK: serenity.peak_bytes = 2048 : i64
stream.executable private @ex {
  stream.executable.export public @parts
  stream.executable.export public @use
  builtin.module {
    func.func @parts(%in: !stream.binding, %out0: !stream.binding, %out1: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %out0[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<256xf32>>
      %2 = stream.binding.subspan %out1[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<256xf32>>
      return
    }
    func.func @use(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<512xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16xf32>>
      return
    }
  }
}
util.func public @main(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0:2 = "stream.async.dispatch"(%in, %whole, %whole, %c64, %c2048, %c2048, %c0, %c1024, %c0, %c64, %c2048, %c1024, %c64, %c1024, %c1024, %c2048, %c2048) <{entry_points = [@ex::@parts], operandSegmentSizes = array<i32: 0, 3, 3, 3, 3, 3, 2>, tied_operands = [1 : index, 2 : index]}> : (!stream.resource<external>, !stream.resource<transient>, !stream.resource<transient>, index, index, index, index, index, index, index, index, index, index, index, index, index, index) -> (!stream.resource<transient>, !stream.resource<transient>)
    %1 = stream.async.dispatch @ex::@use(%0#0[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %1 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a region is left alone in which both results are tied to the same
// operand, with a remark.

// CHECK-LABEL: util.func public @tied_to_one_operand
//   CHECK-NOT: serenity.peak_bytes
util.func public @tied_to_one_operand(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0:2 = stream.async.dispatch @ex::@parts(%in[%c0 to %c64 for %c64], %whole[%c0 to %c2048 for %c2048]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c2048}) -> (%whole{%c2048}, %whole{%c2048})
    %1 = stream.async.dispatch @ex::@use(%0#0[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %1 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
