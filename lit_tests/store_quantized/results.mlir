// REQUIRES: iree-3.13
// RUN: serenity-opt %s --serenity-store-quantized --split-input-file | FileCheck %s

// Tests a concatenation that is dequantized for the result alone: every part is
// dequantized, into the memory of the result, and no concatenation of integers
// is stored. No barrier keeps a part in its integers.

// CHECK-LABEL: @result
//       CHECK: %[[A:.+]] = iree_linalg_ext.quantize_affine
//       CHECK: %[[B:.+]] = iree_linalg_ext.quantize_affine
//   CHECK-NOT: util.optimization_barrier
//       CHECK: %[[C:.+]] = iree_linalg_ext.dequantize_affine {{.+}} ins(%[[A]], {{.+}} -> tensor<2xf32>
//       CHECK: %[[D:.+]] = iree_linalg_ext.dequantize_affine {{.+}} ins(%[[B]], {{.+}} -> tensor<3xf32>
//       CHECK: %[[R:.+]] = tensor.concat dim(0) %[[C]], %[[D]] : (tensor<2xf32>, tensor<3xf32>) -> tensor<5xf32>
//       CHECK: util.return %[[R]]
util.func public @result(%x: tensor<2xf32>, %y: tensor<3xf32>) -> tensor<5xf32> {
  %s = arith.constant 0.5 : f32
  %c = tensor.concat dim(0) %x, %y : (tensor<2xf32>, tensor<3xf32>) -> tensor<5xf32>
  %g = tensor.empty() : tensor<5xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<5xf32>, f32) outs(%g : tensor<5xi8>) -> tensor<5xi8>
  %e = tensor.empty() : tensor<5xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<5xi8>, f32) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  util.return %f : tensor<5xf32>
}

// -----

// Tests that a concatenation that is read in its integers too is stored so: it
// is dequantized as a whole.

// CHECK-LABEL: @read_in_integers
//       CHECK: %[[C:.+]] = tensor.concat {{.+}} -> tensor<5xi8>
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} ins(%[[C]], {{.+}} -> tensor<5xf32>
util.func public @read_in_integers(%x: tensor<2xi8>, %y: tensor<3xi8>) -> (tensor<5xi8>, tensor<5xf32>) {
  %s = arith.constant 0.5 : f32
  %c = tensor.concat dim(0) %x, %y : (tensor<2xi8>, tensor<3xi8>) -> tensor<5xi8>
  %e = tensor.empty() : tensor<5xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<5xi8>, f32) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  util.return %c, %f : tensor<5xi8>, tensor<5xf32>
}

// -----

// Tests that what is read by another operation, here a sum, stays a
// concatenation of integers.

// CHECK-LABEL: @read_by_a_sum
//       CHECK: tensor.concat {{.+}} -> tensor<5xi8>
//       CHECK: iree_linalg_ext.dequantize_affine
//       CHECK: arith.addf
util.func public @read_by_a_sum(%x: tensor<2xi8>, %y: tensor<3xi8>, %z: tensor<5xf32>) -> tensor<5xf32> {
  %s = arith.constant 0.5 : f32
  %c = tensor.concat dim(0) %x, %y : (tensor<2xi8>, tensor<3xi8>) -> tensor<5xi8>
  %e = tensor.empty() : tensor<5xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<5xi8>, f32) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%f, %z : tensor<5xf32>, tensor<5xf32>) outs(%e : tensor<5xf32>) {
  ^bb0(%l: f32, %r: f32, %out: f32):
    %n = arith.addf %l, %r : f32
    linalg.yield %n : f32
  } -> tensor<5xf32>
  util.return %m : tensor<5xf32>
}

// -----

// Tests that scales that differ along the concatenated dimension hold the
// concatenation of integers.

// CHECK-LABEL: @channels
//       CHECK: tensor.concat {{.+}} -> tensor<5xi8>
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} -> tensor<5xf32>
util.func public @channels(%x: tensor<2xi8>, %y: tensor<3xi8>) -> tensor<5xf32> {
  %s = arith.constant dense<[0.5, 0.25, 0.5, 0.25, 0.5]> : tensor<5xf32>
  %c = tensor.concat dim(0) %x, %y : (tensor<2xi8>, tensor<3xi8>) -> tensor<5xi8>
  %e = tensor.empty() : tensor<5xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<5xi8>, tensor<5xf32>) outs(%e : tensor<5xf32>) -> tensor<5xf32>
  util.return %f : tensor<5xf32>
}
