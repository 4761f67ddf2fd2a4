// RUN: serenity-opt %s --serenity-predict-memory --split-input-file | FileCheck %s

// Tests that the parts of a concatenation are made in their place: two products
// of 1,024 bytes each are the concatenation, 2,048 bytes, without copies.

// CHECK-LABEL: @concatenation
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @concatenation(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %b = linalg.matmul ins(%x, %x : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %c = tensor.concat dim(0) %a, %b : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<32x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x32xf32>
  %y = linalg.matmul ins(%v, %c : tensor<16x32xf32>, tensor<32x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  util.return %y : tensor<16x16xf32>
}

// -----

// Tests that a part that is the argument is copied: the concatenation is 2,048
// bytes, and an argument is not counted.

// CHECK-LABEL: @concatenation_of_an_argument
//  CHECK-SAME: serenity.predicted_peak_bytes = 2048 : i64
util.func public @concatenation_of_an_argument(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %c = tensor.concat dim(0) %a, %x : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<32x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x32xf32>
  %y = linalg.matmul ins(%v, %c : tensor<16x32xf32>, tensor<32x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  util.return %y : tensor<16x16xf32>
}

// -----

// Tests that a slice is made in the tensor that it is inserted into, 1,024
// bytes, rather than in 256 bytes of its own.

// CHECK-LABEL: @insertion
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @insertion(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %s = tensor.empty() : tensor<4x16xf32>
  %i = linalg.fill ins(%zero : f32) outs(%s : tensor<4x16xf32>) -> tensor<4x16xf32>
  %u = arith.constant dense<2.0> : tensor<4x16xf32>
  %b = linalg.matmul ins(%u, %x : tensor<4x16xf32>, tensor<16x16xf32>) outs(%i : tensor<4x16xf32>) -> tensor<4x16xf32>
  %c = tensor.insert_slice %b into %a[8, 0] [4, 16] [1, 1] : tensor<4x16xf32> into tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%c, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}

// -----

// Tests that reshapes are other names of the same 1,024 bytes.

// CHECK-LABEL: @view
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @view(%x: tensor<16x16xf32>) -> tensor<32x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %flat = tensor.collapse_shape %a [[0, 1]] : tensor<16x16xf32> into tensor<256xf32>
  %r = tensor.expand_shape %flat [[0, 1]] output_shape [32, 8] : tensor<256xf32> into tensor<32x8xf32>
  %v = arith.constant dense<1.0> : tensor<8x4xf32>
  %f = tensor.empty() : tensor<32x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<32x4xf32>) -> tensor<32x4xf32>
  %y = linalg.matmul ins(%r, %v : tensor<32x8xf32>, tensor<8x4xf32>) outs(%g : tensor<32x4xf32>) -> tensor<32x4xf32>
  util.return %y : tensor<32x4xf32>
}

// -----

#id = affine_map<(d0, d1) -> (d0, d1)>

// Tests that an elementwise operation of constants alone takes no memory: the
// product of 1,024 bytes is the only transient value.

// CHECK-LABEL: @folded
//  CHECK-SAME: serenity.predicted_peak_bytes = 1024 : i64
util.func public @folded(%x: tensor<16x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %k = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%w : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%i: f32, %o: f32):
    %s = math.sqrt %i : f32
    linalg.yield %s : f32
  } -> tensor<16x16xf32>
  %a = linalg.matmul ins(%x, %k : tensor<16x16xf32>, tensor<16x16xf32>) outs(%init : tensor<16x16xf32>) -> tensor<16x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %f = tensor.empty() : tensor<16x4xf32>
  %g = linalg.fill ins(%zero : f32) outs(%f : tensor<16x4xf32>) -> tensor<16x4xf32>
  %y = linalg.matmul ins(%a, %v : tensor<16x16xf32>, tensor<16x4xf32>) outs(%g : tensor<16x4xf32>) -> tensor<16x4xf32>
  util.return %y : tensor<16x4xf32>
}
