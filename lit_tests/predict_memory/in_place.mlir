// RUN: serenity-opt %s --serenity-predict-memory='last-use=on' | FileCheck %s

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that the sum takes the place of the operand that dies with it.

// CHECK-LABEL: @epilogue_in_place
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @epilogue_in_place(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %k = util.optimization_barrier %a : tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%b, %k : tensor<16x16xf32>, tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %q: f32, %out: f32):
    %n = arith.addf %p, %q : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%s, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// Tests that the epilogue of an accumulation takes the place of the sum.

// CHECK-LABEL: @accumulation_epilogue_in_place
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @accumulation_epilogue_in_place(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%a : tensor<16x16xf32>) -> tensor<16x16xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%p: f32, %out: f32):
    %n = arith.maximumf %p, %zero : f32
    linalg.yield %n : f32
  } -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%r, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}
