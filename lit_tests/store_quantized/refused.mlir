// REQUIRES: iree-3.13
// RUN: serenity-opt %s --serenity-store-quantized --split-input-file | FileCheck %s

// Tests that other parameters do not cancel.

// CHECK-LABEL: @other_scale
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @other_scale(%x: tensor<4xi8>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %t = arith.constant 0.25 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%f, %t : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}

// -----

// Tests that a scale that only the run knows does not cancel: it may be zero,
// and 0 / 0 is no integer.

// CHECK-LABEL: @scale_of_the_run
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @scale_of_the_run(%x: tensor<4xi8>, %s: f32) -> tensor<4xi8> {
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%f, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}

// -----

// Tests that a range that leaves out -128 does not cancel: the quantization
// would make -127 of it.

// CHECK-LABEL: @narrow_range
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @narrow_range(%x: tensor<4xi8>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -127, quant_max = 127>
      ins(%x, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -127, quant_max = 127>
      ins(%f, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}

// -----

// Tests that integers of 32 bits do not cancel: f32 does not tell all of them
// apart.

// CHECK-LABEL: @wide_integers
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @wide_integers(%x: tensor<4xi32>) -> tensor<4xi32> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -2147483648, quant_max = 2147483647>
      ins(%x, %s : tensor<4xi32>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi32>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -2147483648, quant_max = 2147483647>
      ins(%f, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi32>) -> tensor<4xi32>
  util.return %q : tensor<4xi32>
}

// -----

// Tests that a max pool of floats that may be NaN stays one: the pool passes a
// NaN on, and IREE quantizes it to the least integer.

// CHECK-LABEL: @pool_of_an_input
//       CHECK: linalg.pooling_nchw_max
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @pool_of_an_input(%f: tensor<1x1x4x4xf32>) -> tensor<1x1x2x2xi8> {
  %s = arith.constant 0.5 : f32
  %low = arith.constant 0xFF800000 : f32
  %h = tensor.empty() : tensor<1x1x2x2xf32>
  %i = linalg.fill ins(%low : f32) outs(%h : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %w = tensor.empty() : tensor<3x3xf32>
  %m = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%f, %w : tensor<1x1x4x4xf32>, tensor<3x3xf32>) outs(%i : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %g = tensor.empty() : tensor<1x1x2x2xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> (a, b, c, d)>], quant_min = -128, quant_max = 127>
      ins(%m, %s : tensor<1x1x2x2xf32>, f32) outs(%g : tensor<1x1x2x2xi8>) -> tensor<1x1x2x2xi8>
  util.return %q : tensor<1x1x2x2xi8>
}

// -----

// Tests that what others read in floats too stays there.

// CHECK-LABEL: @read_in_floats
//       CHECK: tensor.concat {{.+}} -> tensor<4xf32>
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @read_in_floats(%x: tensor<2xf32>, %y: tensor<2xf32>) -> (tensor<4xi8>, tensor<4xf32>) {
  %s = arith.constant 0.5 : f32
  %c = tensor.concat dim(0) %x, %y : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q, %c : tensor<4xi8>, tensor<4xf32>
}

// -----

// Tests that scales that differ along the concatenated dimension hold the
// concatenation in floats.

// CHECK-LABEL: @channels_concatenated
//       CHECK: tensor.concat {{.+}} -> tensor<4xf32>
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @channels_concatenated(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<4xi8> {
  %s = arith.constant dense<[0.5, 0.25, 0.5, 0.25]> : tensor<4xf32>
  %c = tensor.concat dim(0) %x, %y : (tensor<2xf32>, tensor<2xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, tensor<4xf32>) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}

// -----

// Tests that a product that IREE computes in floats stays in floats: moving the
// dequantization behind the reshape would make it an integer product, which
// rounds differently.

// CHECK-LABEL: @product_behind_a_reshape
//       CHECK: %[[F:.+]] = iree_linalg_ext.dequantize_affine {{.+}} -> tensor<2x2x4xf32>
//       CHECK: tensor.collapse_shape %[[F]] {{.+}} : tensor<2x2x4xf32> into tensor<4x4xf32>
util.func public @product_behind_a_reshape(%x: tensor<2x2x4xi8>) -> tensor<4x3xf32> {
  %s = arith.constant 0.3 : f32
  %t = arith.constant 0.1 : f32
  %zero = arith.constant 0.0 : f32
  %w8 = arith.constant dense<3> : tensor<4x3xi8>
  %e = tensor.empty() : tensor<2x2x4xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> ()>, affine_map<(a, b, c) -> (a, b, c)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<2x2x4xi8>, f32) outs(%e : tensor<2x2x4xf32>) -> tensor<2x2x4xf32>
  %c = tensor.collapse_shape %a [[0, 1], [2]] : tensor<2x2x4xf32> into tensor<4x4xf32>
  %v = tensor.empty() : tensor<4x3xf32>
  %w = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> ()>, affine_map<(a, b) -> (a, b)>], quant_min = -128, quant_max = 127>
      ins(%w8, %t : tensor<4x3xi8>, f32) outs(%v : tensor<4x3xf32>) -> tensor<4x3xf32>
  %i = linalg.fill ins(%zero : f32) outs(%v : tensor<4x3xf32>) -> tensor<4x3xf32>
  %m = linalg.matmul ins(%c, %w : tensor<4x4xf32>, tensor<4x3xf32>) outs(%i : tensor<4x3xf32>) -> tensor<4x3xf32>
  util.return %m : tensor<4x3xf32>
}

// -----

// Tests that integers of 4 bits stay as they are: IREE stores two in a byte.

// CHECK-LABEL: @four_bits
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
util.func public @four_bits(%x: tensor<4xi4>) -> tensor<4xi4> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -8, quant_max = 7>
      ins(%x, %s : tensor<4xi4>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi4>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -8, quant_max = 7>
      ins(%f, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi4>) -> tensor<4xi4>
  util.return %q : tensor<4xi4>
}
