// REQUIRES: iree-3.13
// RUN: serenity-opt %s --serenity-store-quantized --split-input-file | FileCheck %s

// Tests that quantizing what was dequantized with the same parameters gives the
// integers back.

// CHECK-LABEL: @cancels
//  CHECK-SAME: (%[[X:.+]]: tensor<4xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: util.return %[[X]]
util.func public @cancels(%x: tensor<4xi8>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i64
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s, %z : tensor<4xi8>, f32, i64) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%f, %s, %z : tensor<4xf32>, f32, i64) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}

// -----

// Tests that scales that differ per channel cancel too: one for each of two
// channels, of a power of two and not.

// CHECK-LABEL: @cancels_per_channel
//  CHECK-SAME: (%[[X:.+]]: tensor<2x4xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: util.return %[[X]]
util.func public @cancels_per_channel(%x: tensor<2x4xi8>) -> tensor<2x4xi8> {
  %s = arith.constant dense<[0.5, 0.3]> : tensor<2xf32>
  %e = tensor.empty() : tensor<2x4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<2x4xi8>, tensor<2xf32>) outs(%e : tensor<2x4xf32>) -> tensor<2x4xf32>
  %g = tensor.empty() : tensor<2x4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], quant_min = -128, quant_max = 127>
      ins(%f, %s : tensor<2x4xf32>, tensor<2xf32>) outs(%g : tensor<2x4xi8>) -> tensor<2x4xi8>
  util.return %q : tensor<2x4xi8>
}

// -----

// Tests that a max pool of dequantized values is a pool of integers, which
// starts from the least of them. The padding by minus infinity goes to the same
// integer, and the dequantization and the quantization cancel.

// CHECK-LABEL: @max_pool
//  CHECK-SAME: (%[[X:.+]]: tensor<1x1x4x4xi8>)
//   CHECK-DAG: %[[MIN:.+]] = arith.constant -128 : i8
//   CHECK-NOT: quantize_affine
//       CHECK: %[[P:.+]] = tensor.pad %[[X]]
//       CHECK: tensor.yield %{{.+}} : i8
//       CHECK: %[[I:.+]] = linalg.fill ins(%{{.+}} : i8)
//       CHECK: %[[R:.+]] = linalg.generic {{.+}} ins(%[[P]], %{{.+}} : tensor<1x1x6x6xi8>, tensor<3x3xi8>) outs(%[[I]]
//       CHECK: arith.maxsi
//       CHECK: util.return %[[R]]
util.func public @max_pool(%x: tensor<1x1x4x4xi8>) -> tensor<1x1x4x4xi8> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i64
  %low = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x1x4x4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> (a, b, c, d)>], quant_min = -128, quant_max = 127>
      ins(%x, %s, %z : tensor<1x1x4x4xi8>, f32, i64) outs(%e : tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %p = tensor.pad %f low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %low : f32
  } : tensor<1x1x4x4xf32> to tensor<1x1x6x6xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %w = tensor.empty() : tensor<3x3xf32>
  %m = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x1x6x6xf32>, tensor<3x3xf32>) outs(%i : tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %g = tensor.empty() : tensor<1x1x4x4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> (a, b, c, d)>], quant_min = -128, quant_max = 127>
      ins(%m, %s, %z : tensor<1x1x4x4xf32>, f32, i64) outs(%g : tensor<1x1x4x4xi8>) -> tensor<1x1x4x4xi8>
  util.return %q : tensor<1x1x4x4xi8>
}

// -----

// Tests that unsigned integers (which are signless, 0 to 255) are compared as
// such, from 0 on.

// CHECK-LABEL: @max_pool_unsigned
//   CHECK-DAG: arith.constant 0 : i8
//   CHECK-NOT: quantize_affine
//       CHECK: arith.maxui
util.func public @max_pool_unsigned(%x: tensor<1x1x4x4xi8>) -> tensor<1x1x2x2xi8> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 129 : i64
  %low = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<1x1x4x4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> (a, b, c, d)>], quant_min = 0, quant_max = 255, input_unsigned>
      ins(%x, %s, %z : tensor<1x1x4x4xi8>, f32, i64) outs(%e : tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %h = tensor.empty() : tensor<1x1x2x2xf32>
  %i = linalg.fill ins(%low : f32) outs(%h : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %w = tensor.empty() : tensor<3x3xf32>
  %m = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%f, %w : tensor<1x1x4x4xf32>, tensor<3x3xf32>) outs(%i : tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %g = tensor.empty() : tensor<1x1x2x2xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> ()>, affine_map<(a, b, c, d) -> (a, b, c, d)>], quant_min = 0, quant_max = 255, storage_unsigned>
      ins(%m, %s, %z : tensor<1x1x2x2xf32>, f32, i64) outs(%g : tensor<1x1x2x2xi8>) -> tensor<1x1x2x2xi8>
  util.return %q : tensor<1x1x2x2xi8>
}

// -----

// Tests that every part of a concatenation is quantized: the first cancels, the
// second, of another scale, is requantized in integers of 8 bits.

// CHECK-LABEL: @concatenation
//  CHECK-SAME: (%[[X:.+]]: tensor<2xi8>, %[[Y:.+]]: tensor<3xi8>)
//       CHECK: %[[DQ:.+]] = iree_linalg_ext.dequantize_affine {{.+}} ins(%[[Y]],
//       CHECK: %[[Q:.+]] = iree_linalg_ext.quantize_affine {{.+}} ins(%[[DQ]],
//       CHECK: %[[C:.+]] = tensor.concat dim(0) %[[X]], %[[Q]] : (tensor<2xi8>, tensor<3xi8>)
//       CHECK: util.return %[[C]]
util.func public @concatenation(%x: tensor<2xi8>, %y: tensor<3xi8>) -> tensor<5xi8> {
  %s = arith.constant 0.5 : f32
  %t = arith.constant 0.25 : f32
  %e = tensor.empty() : tensor<2xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<2xi8>, f32) outs(%e : tensor<2xf32>) -> tensor<2xf32>
  %h = tensor.empty() : tensor<3xf32>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%y, %t : tensor<3xi8>, f32) outs(%h : tensor<3xf32>) -> tensor<3xf32>
  %c = tensor.concat dim(0) %a, %b : (tensor<2xf32>, tensor<3xf32>) -> tensor<5xf32>
  %g = tensor.empty() : tensor<5xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<5xf32>, f32) outs(%g : tensor<5xi8>) -> tensor<5xi8>
  util.return %q : tensor<5xi8>
}

// -----

// Tests reshapes and transpositions: the quantization goes up through both, on
// maps of the rank it finds there.

// CHECK-LABEL: @reshape_and_transpose
//  CHECK-SAME: (%[[X:.+]]: tensor<2x3xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: %[[T:.+]] = linalg.transpose ins(%[[X]] : tensor<2x3xi8>)
//       CHECK: %[[C:.+]] = tensor.collapse_shape %[[T]] {{.+}} : tensor<3x2xi8> into tensor<6xi8>
//       CHECK: util.return %[[C]]
util.func public @reshape_and_transpose(%x: tensor<2x3xi8>) -> tensor<6xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<2x3xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>, affine_map<(d0, d1) -> (d0, d1)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<2x3xi8>, f32) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
  %h = tensor.empty() : tensor<3x2xf32>
  %t = linalg.transpose ins(%a : tensor<2x3xf32>) outs(%h : tensor<3x2xf32>) permutation = [1, 0]
  %c = tensor.collapse_shape %t [[0, 1]] : tensor<3x2xf32> into tensor<6xf32>
  %g = tensor.empty() : tensor<6xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<6xf32>, f32) outs(%g : tensor<6xi8>) -> tensor<6xi8>
  util.return %q : tensor<6xi8>
}

// -----

// Tests that a gather, which a resize to the nearest element is, gathers
// integers: four times as many elements, dequantized where they are read.

// CHECK-LABEL: @gather
//  CHECK-SAME: (%[[X:.+]]: tensor<4xi8>)
//       CHECK: %[[R:.+]] = linalg.generic
//       CHECK: tensor.extract %[[X]][%{{.+}}] : tensor<4xi8>
//       CHECK: %[[B:.+]] = util.optimization_barrier {serenity.barrier} %[[R]] : tensor<16xi8>
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} ins(%[[B]],
util.func public @gather(%x: tensor<4xi8>) -> tensor<f32> {
  %s = arith.constant 0.5 : f32
  %zero = arith.constant 0.0 : f32
  %c4 = arith.constant 4 : index
  %e = tensor.empty() : tensor<4xf32>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<4xi8>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %h = tensor.empty() : tensor<16xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%h : tensor<16xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %j = arith.divui %i, %c4 : index
    %v = tensor.extract %a[%j] : tensor<4xf32>
    linalg.yield %v : f32
  } -> tensor<16xf32>
  %k = tensor.empty() : tensor<f32>
  %l = linalg.fill ins(%zero : f32) outs(%k : tensor<f32>) -> tensor<f32>
  %m = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>], iterator_types = ["reduction"]} ins(%r : tensor<16xf32>) outs(%l : tensor<f32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.addf %in, %out : f32
    linalg.yield %n : f32
  } -> tensor<f32>
  util.return %m : tensor<f32>
}

// -----

// Tests that activations of 16 bits cancel like those of 8.

// CHECK-LABEL: @cancels_16_bits
//  CHECK-SAME: (%[[X:.+]]: tensor<4xi16>)
//   CHECK-NOT: quantize_affine
//       CHECK: util.return %[[X]]
util.func public @cancels_16_bits(%x: tensor<4xi16>) -> tensor<4xi16> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty() : tensor<4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -32768, quant_max = 32767>
      ins(%x, %s : tensor<4xi16>, f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %g = tensor.empty() : tensor<4xi16>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -32768, quant_max = 32767>
      ins(%f, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi16>) -> tensor<4xi16>
  util.return %q : tensor<4xi16>
}
