// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-rewrite='rewrite=always' --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests that nothing is cut along a dynamic dimension.

// A hidden layer of dynamic width.

util.func public @width(%x: tensor<4x8xf32>, %up: tensor<8x?xf32>, %down: tensor<?x4xf32>) -> tensor<4x4xf32> {
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %up, %c1 : tensor<8x?xf32>
  %e = tensor.empty(%n) : tensor<4x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x?xf32>) -> tensor<4x?xf32>
  %g = arith.constant dense<0.0> : tensor<4x4xf32>
  %h = linalg.matmul ins(%x, %up : tensor<4x8xf32>, tensor<8x?xf32>) outs(%f : tensor<4x?xf32>) -> tensor<4x?xf32>
  %y = linalg.matmul ins(%h, %down : tensor<4x?xf32>, tensor<?x4xf32>) outs(%g : tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %y : tensor<4x4xf32>
}

// -----

// Channels that are padded by a dynamic number of zeros.

util.func public @padded(%x: tensor<?x8xf32>, %k: index) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.01> : tensor<16x4xf32>
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %p = tensor.pad %x low[0, %k] high[0, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %zero : f32
  } : tensor<?x8xf32> to tensor<?x16xf32>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %y = linalg.matmul ins(%p, %w : tensor<?x16xf32>, tensor<16x4xf32>) outs(%f : tensor<?x4xf32>) -> tensor<?x4xf32>
  util.return %y : tensor<?x4xf32>
}
