// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' | FileCheck %s

// Tests that a function with dynamic operands, which is left alone, does not
// keep the static function beside it from being rewritten: its hidden layer of
// 32 elements is made and accumulated in four parts of 8.

// CHECK-LABEL: @dynamic
//   CHECK-NOT: tensor.extract_slice
//       CHECK: linalg.matmul {{.*}} tensor<1x?xf32>, tensor<?x64xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x64xf32>, tensor<64x64xf32>
util.func public @dynamic(%v: tensor<1x?xf32>, %p: tensor<?x64xf32>) -> tensor<1x64xf32> {
  %w = arith.constant dense<0.01> : tensor<64x64xf32>
  %f = arith.constant dense<0.0> : tensor<1x64xf32>
  %a = linalg.matmul ins(%v, %p : tensor<1x?xf32>, tensor<?x64xf32>) outs(%f : tensor<1x64xf32>) -> tensor<1x64xf32>
  %b = linalg.matmul ins(%a, %w : tensor<1x64xf32>, tensor<64x64xf32>) outs(%f : tensor<1x64xf32>) -> tensor<1x64xf32>
  util.return %b : tensor<1x64xf32>
}

// CHECK-LABEL: @static
//       CHECK: linalg.matmul {{.*}} tensor<1x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x8xf32>, tensor<8x4xf32>
util.func public @static(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %up = arith.constant dense<0.01> : tensor<4x32xf32>
  %down = arith.constant dense<0.01> : tensor<32x4xf32>
  %f = arith.constant dense<0.0> : tensor<1x32xf32>
  %h = linalg.matmul ins(%x, %up : tensor<1x4xf32>, tensor<4x32xf32>) outs(%f : tensor<1x32xf32>) -> tensor<1x32xf32>
  %y = linalg.matmul ins(%h, %down : tensor<1x32xf32>, tensor<32x4xf32>) outs(%x : tensor<1x4xf32>) -> tensor<1x4xf32>
  util.return %y : tensor<1x4xf32>
}
