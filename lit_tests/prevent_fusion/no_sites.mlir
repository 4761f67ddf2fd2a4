// RUN: serenity-opt %s --serenity-prevent-fusion --split-input-file | FileCheck %s

// Tests that nothing is inserted where fusion only saves a buffer: behind a
// producer with a single elementwise user that reads nothing else.

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: @chain
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
util.func public @chain(%x: tensor<8xf32>) -> tensor<8xf32> {
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = math.exp %in : f32
    linalg.yield %n : f32
  } -> tensor<8xf32>
  util.return %b : tensor<8xf32>
}

// -----

// Tests that nothing is inserted behind a producer that a product reads and
// begins with: without the producer in its dispatch, code generation for
// processors refuses the product.

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: @own_initial_value
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
util.func public @own_initial_value(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %e = tensor.empty() : tensor<4x4xf32>
  %a = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = math.exp %in : f32
    linalg.yield %n : f32
  } -> tensor<4x4xf32>
  %b = linalg.matmul ins(%a, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%a : tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %b : tensor<4x4xf32>
}

// -----

// Tests that nothing is inserted behind a product that begins with an argument
// that it reads: alone in a dispatch, IREE ends by a signal on it.

#id = affine_map<(d0, d1) -> (d0, d1)>

// CHECK-LABEL: @reads_own_initial_value
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
util.func public @reads_own_initial_value(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>, %y: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %a = linalg.matmul ins(%x, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%x : tensor<4x4xf32>) -> tensor<4x4xf32>
  %e = tensor.empty() : tensor<4x4xf32>
  %b = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%a, %y : tensor<4x4xf32>, tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) {
  ^bb0(%in0: f32, %in1: f32, %out: f32):
    %n = arith.addf %in0, %in1 : f32
    linalg.yield %n : f32
  } -> tensor<4x4xf32>
  util.return %b : tensor<4x4xf32>
}
