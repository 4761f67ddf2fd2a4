// RUN: serenity-opt %s --serenity-predict-memory='last-use=on' --split-input-file | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that a sum is written over a consumed input that dies with it. The sum
// %s runs with the product %p, and lies in the memory of %x; of what remains,
// %a takes transient memory, then %b: 16 x 16 x 4 = 1,024 bytes.

// CHECK-LABEL: @residual
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @residual(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<16x16xf32>
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %p = linalg.matmul ins(%a, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%p, %x : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%l: f32, %q: f32, %o: f32):
    %v = arith.addf %l, %q : f32
    linalg.yield %v : f32
  } -> tensor<16x16xf32>
  %b = linalg.matmul ins(%s, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %y = linalg.matmul ins(%b, %s : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %r = hal.tensor.export %y "y" : tensor<16x16xf32> -> !hal.buffer_view
  util.return %r : !hal.buffer_view
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests the same with an input that is kept: %a and %s take memory together.

// CHECK-LABEL: @kept
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @kept(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import %view "x" : !hal.buffer_view -> tensor<16x16xf32>
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %p = linalg.matmul ins(%a, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%p, %x : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%l: f32, %q: f32, %o: f32):
    %v = arith.addf %l, %q : f32
    linalg.yield %v : f32
  } -> tensor<16x16xf32>
  %b = linalg.matmul ins(%s, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %y = linalg.matmul ins(%b, %s : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %r = hal.tensor.export %y "y" : tensor<16x16xf32> -> !hal.buffer_view
  util.return %r : !hal.buffer_view
}
