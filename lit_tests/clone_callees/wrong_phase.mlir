// RUN: serenity-opt %s --serenity-clone-callees | FileCheck %s

// Tests that calls of another dialect stay as they are: those of the input,
// before IREE makes its own of them.

//   CHECK-NOT: copy
//       CHECK: call @helper(
//       CHECK: call @helper(
//   CHECK-NOT: copy
func.func private @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @helper(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %1 = call @helper(%0) : (tensor<4xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
