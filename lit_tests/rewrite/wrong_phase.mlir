// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-rewrite --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after
// RUN: FileCheck %s < %t.after

// Tests that modules of other phases pass through unchanged and silently: the
// pass has nothing to do where there is no linalg operation.

// CHECK: flow.dispatch
util.func public @flow(%a: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = flow.dispatch @ex::@entry(%a) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %0 : tensor<4x4xf32>
}

// -----

// CHECK: stream.async.execute
util.func public @async(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.dispatch @ex::@only(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// CHECK: stream.resource.pack
util.func public @allocated(%size: index) -> index {
  %pack:2 = stream.resource.pack slices({
    [0, 1] = %size
  }) : index
  util.return %pack#0 : index
}

// -----

// CHECK: vm.module
vm.module @vm {
  vm.func @nothing() {
    vm.return
  }
}

// -----

// Tests the empty module.

// CHECK: module {
// CHECK-NEXT: }
module {
}
