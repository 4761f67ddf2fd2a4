// REQUIRES: iree-3.13
// RUN: serenity-opt %s --serenity-store-quantized --split-input-file | FileCheck %s

// Tests a sum of two dequantized values: the integers of the one made first are
// stored, so that it does not wait in 32 bits for the other; the sum is fused
// with what makes the other.

// CHECK-LABEL: @sum_of_two
//       CHECK: %[[A:.+]] = iree_linalg_ext.quantize_affine
//       CHECK: %[[B:.+]] = util.optimization_barrier {serenity.barrier} %[[A]] : tensor<4xi8>
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} ins(%[[B]],
//       CHECK: %[[C:.+]] = iree_linalg_ext.quantize_affine
//   CHECK-NOT: util.optimization_barrier
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} ins(%[[C]],
util.func public @sum_of_two(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%y, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %m: f32, %out: f32):
    %n = arith.addf %l, %m : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  util.return %c : tensor<4xf32>
}

// -----

// Tests that a product that IREE computes in integers needs no barrier: it reads
// the integers as they are.

// CHECK-LABEL: @integer_product
//   CHECK-NOT: util.optimization_barrier
//       CHECK: linalg.matmul
util.func public @integer_product(%x: tensor<4x4xf32>) -> tensor<4x3xf32> {
  %s = arith.constant 0.3 : f32
  %zero = arith.constant 0.0 : f32
  %w8 = arith.constant dense<3> : tensor<4x3xi8>
  %g = tensor.empty() : tensor<4x4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4x4xf32>, f32) outs(%g : tensor<4x4xi8>) -> tensor<4x4xi8>
  %e = tensor.empty() : tensor<4x4xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<4x4xi8>, f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %v = tensor.empty() : tensor<4x3xf32>
  %w = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%w8, %s : tensor<4x3xi8>, f32) outs(%v : tensor<4x3xf32>) -> tensor<4x3xf32>
  %i = linalg.fill ins(%zero : f32) outs(%v : tensor<4x3xf32>) -> tensor<4x3xf32>
  %m = linalg.matmul ins(%a, %w : tensor<4x4xf32>, tensor<4x3xf32>) outs(%i : tensor<4x3xf32>) -> tensor<4x3xf32>
  util.return %m : tensor<4x3xf32>
}

// -----

// Tests that a product of a contraction's value and a quantized function of it,
// as in x * sigmoid(x), is an epilogue of the contraction: neither is stored.

// CHECK-LABEL: @product_with_own_function
//   CHECK-NOT: util.optimization_barrier
//       CHECK: util.return
util.func public @product_with_own_function(%w: tensor<4x4xf32>, %z: tensor<4xf32>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %zero = arith.constant 0.0 : f32
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %x = linalg.matvec ins(%w, %z : tensor<4x4xf32>, tensor<4xf32>) outs(%i : tensor<4xf32>) -> tensor<4xf32>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %out: f32):
    %n = math.tanh %l : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%t, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %m: f32, %out: f32):
    %n = arith.mulf %l, %m : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %y = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %y : tensor<4xi8>
}

// -----

// Tests that the integers are stored where the function has another reader: it
// is not computed where the product is.

// CHECK-LABEL: @function_with_two_readers
//       CHECK: %[[A:.+]] = iree_linalg_ext.quantize_affine
//       CHECK: util.optimization_barrier {serenity.barrier} %[[A]] : tensor<4xi8>
util.func public @function_with_two_readers(%w: tensor<4x4xf32>, %z: tensor<4xf32>) -> (tensor<4xi8>, tensor<4xi8>) {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %zero = arith.constant 0.0 : f32
  %i = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %x = linalg.matvec ins(%w, %z : tensor<4x4xf32>, tensor<4xf32>) outs(%i : tensor<4xf32>) -> tensor<4xf32>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %out: f32):
    %n = math.tanh %l : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%t, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %m: f32, %out: f32):
    %n = arith.mulf %l, %m : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %y = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %y, %r : tensor<4xi8>, tensor<4xi8>
}

// -----

// Tests that the integers are stored where no contraction made the value.

// CHECK-LABEL: @function_of_no_contraction
//       CHECK: %[[A:.+]] = iree_linalg_ext.quantize_affine
//       CHECK: util.optimization_barrier {serenity.barrier} %[[A]] : tensor<4xi8>
util.func public @function_of_no_contraction(%x: tensor<4xf32>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %out: f32):
    %n = math.tanh %l : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%t, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%l: f32, %m: f32, %out: f32):
    %n = arith.mulf %l, %m : f32
    linalg.yield %n : f32
  } -> tensor<4xf32>
  %y = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %y : tensor<4xi8>
}
