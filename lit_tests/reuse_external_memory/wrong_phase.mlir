// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-reuse-external-memory --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after
// RUN: FileCheck %s < %t.after

// Tests that modules of other phases pass through unchanged and silently: the
// pass has nothing to do where there is no slab.

// CHECK: linalg.matmul
func.func @linalg(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>, %c: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = linalg.matmul ins(%a, %b : tensor<4x4xf32>, tensor<4x4xf32>) outs(%c : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}

// -----

// CHECK: flow.dispatch
util.func public @flow(%a: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = flow.dispatch @ex::@entry(%a) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %0 : tensor<4x4xf32>
}

// -----

// CHECK: stream.async.splat
util.func public @async(%size: index) -> !stream.resource<*> {
  %c0_i32 = arith.constant 0 : i32
  %0 = stream.async.splat %c0_i32 : i32 -> !stream.resource<*>{%size}
  util.return %0 : !stream.resource<*>
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
