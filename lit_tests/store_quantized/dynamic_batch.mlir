// REQUIRES: iree-3.13
// RUN: serenity-opt %s --serenity-store-quantized --split-input-file | FileCheck %s

// Tests that values with a dynamic batch are stored in their integers as those
// of static shape are. What is made anew has the extents of what it replaces.

// Of a max pool: 16 rows of 4 become 2 x 2 windows of integers.

// CHECK-LABEL: @max_pool
//  CHECK-SAME: (%[[N:.+]]: index, %[[X:.+]]: tensor<?x1x4x4xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: %[[P:.+]] = tensor.pad %[[X]]
//       CHECK: tensor<?x1x4x4xi8> to tensor<?x1x6x6xi8>
//       CHECK: %[[E:.+]] = tensor.empty(%[[N]]) : tensor<?x1x4x4xi8>
//       CHECK: %[[I:.+]] = linalg.fill ins(%{{.+}} : i8) outs(%[[E]]
//       CHECK: %[[R:.+]] = linalg.generic {{.+}} ins(%[[P]], %{{.+}} : tensor<?x1x6x6xi8>, tensor<3x3xi8>) outs(%[[I]]
//       CHECK: arith.maxsi
//       CHECK: util.return %[[R]]
#id = affine_map<(a, b, c, d) -> (a, b, c, d)>
#one = affine_map<(a, b, c, d) -> ()>
util.func public @max_pool(%n: index, %x: tensor<?x1x4x4xi8>) -> tensor<?x1x4x4xi8> {
  %s = arith.constant 0.5 : f32
  %z = arith.constant 3 : i64
  %low = arith.constant 0xFF800000 : f32
  %e = tensor.empty(%n) : tensor<?x1x4x4xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #one, #id], quant_min = -128, quant_max = 127>
      ins(%x, %s, %z : tensor<?x1x4x4xi8>, f32, i64) outs(%e : tensor<?x1x4x4xf32>) -> tensor<?x1x4x4xf32>
  %p = tensor.pad %f low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %low : f32
  } : tensor<?x1x4x4xf32> to tensor<?x1x6x6xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<?x1x4x4xf32>) -> tensor<?x1x4x4xf32>
  %w = tensor.empty() : tensor<3x3xf32>
  %m = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<?x1x6x6xf32>, tensor<3x3xf32>) outs(%i : tensor<?x1x4x4xf32>) -> tensor<?x1x4x4xf32>
  %g = tensor.empty(%n) : tensor<?x1x4x4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #one, #one, #id], quant_min = -128, quant_max = 127>
      ins(%m, %s, %z : tensor<?x1x4x4xf32>, f32, i64) outs(%g : tensor<?x1x4x4xi8>) -> tensor<?x1x4x4xi8>
  util.return %q : tensor<?x1x4x4xi8>
}

// -----

// Of a transposition and of a concatenation along a static dimension, whose
// parts are quantized one by one.

// CHECK-LABEL: @transposed_and_joined
//  CHECK-SAME: (%[[N:.+]]: index, %[[X:.+]]: tensor<?x2x3xi8>, %[[Y:.+]]: tensor<?x1x2xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: %[[T:.+]] = linalg.transpose ins(%[[X]] : tensor<?x2x3xi8>) outs(%{{.+}} : tensor<?x3x2xi8>)
//   CHECK-NOT: quantize_affine
//       CHECK: %[[C:.+]] = tensor.concat dim(1) %[[T]], %[[Y]] : (tensor<?x3x2xi8>, tensor<?x1x2xi8>) -> tensor<?x4x2xi8>
//       CHECK: util.return %[[C]]
#id = affine_map<(a, b, c) -> (a, b, c)>
#one = affine_map<(a, b, c) -> ()>
util.func public @transposed_and_joined(%n: index, %x: tensor<?x2x3xi8>, %y: tensor<?x1x2xi8>) -> tensor<?x4x2xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty(%n) : tensor<?x2x3xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<?x2x3xi8>, f32) outs(%e : tensor<?x2x3xf32>) -> tensor<?x2x3xf32>
  %h = tensor.empty(%n) : tensor<?x1x2xf32>
  %k = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%y, %s : tensor<?x1x2xi8>, f32) outs(%h : tensor<?x1x2xf32>) -> tensor<?x1x2xf32>
  %i = tensor.empty(%n) : tensor<?x3x2xf32>
  %t = linalg.transpose ins(%f : tensor<?x2x3xf32>) outs(%i : tensor<?x3x2xf32>) permutation = [0, 2, 1]
  %c = tensor.concat dim(1) %t, %k : (tensor<?x3x2xf32>, tensor<?x1x2xf32>) -> tensor<?x4x2xf32>
  %g = tensor.empty(%n) : tensor<?x4x2xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<?x4x2xf32>, f32) outs(%g : tensor<?x4x2xi8>) -> tensor<?x4x2xi8>
  util.return %q : tensor<?x4x2xi8>
}

// -----

// A barrier hides the extents of its result, which are written beside it.

// CHECK-LABEL: @sum_of_two
//  CHECK-SAME: (%[[N:[^:]+]]: index
//       CHECK: %[[A:.+]] = iree_linalg_ext.quantize_affine
//       CHECK: %[[B:.+]] = util.optimization_barrier {serenity.barrier} %[[A]] : tensor<?xi8>
//       CHECK: %[[T:.+]] = flow.tensor.tie_shape %[[B]] : tensor<?xi8>{%[[N]]}
//       CHECK: iree_linalg_ext.dequantize_affine {{.+}} ins(%[[T]],
#id = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>
util.func public @sum_of_two(%n: index, %x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty(%n) : tensor<?xf32>
  %g = tensor.empty(%n) : tensor<?xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<?xf32>, f32) outs(%g : tensor<?xi8>) -> tensor<?xi8>
  %a = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%q, %s : tensor<?xi8>, f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%y, %s : tensor<?xf32>, f32) outs(%g : tensor<?xi8>) -> tensor<?xi8>
  %b = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%r, %s : tensor<?xi8>, f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %c = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]} ins(%a, %b : tensor<?xf32>, tensor<?xf32>) outs(%e : tensor<?xf32>) {
  ^bb0(%l: f32, %m: f32, %out: f32):
    %o = arith.addf %l, %m : f32
    linalg.yield %o : f32
  } -> tensor<?xf32>
  util.return %c : tensor<?xf32>
}

// -----

// Tests that one value read as two types does not cancel: its batch is dynamic
// on one side and 4 on the other.

// CHECK-LABEL: @other_type
//       CHECK: dequantize_affine
//       CHECK: iree_linalg_ext.quantize_affine
#id = affine_map<(d0) -> (d0)>
#one = affine_map<(d0) -> ()>
util.func public @other_type(%n: index, %x: tensor<?xi8>) -> tensor<4xi8> {
  %s = arith.constant 0.5 : f32
  %e = tensor.empty(%n) : tensor<?xf32>
  %f = iree_linalg_ext.dequantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%x, %s : tensor<?xi8>, f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %c = tensor.cast %f : tensor<?xf32> to tensor<4xf32>
  %g = tensor.empty() : tensor<4xi8>
  %q = iree_linalg_ext.quantize_affine <indexing_maps = [#id, #one, #id], quant_min = -128, quant_max = 127>
      ins(%c, %s : tensor<4xf32>, f32) outs(%g : tensor<4xi8>) -> tensor<4xi8>
  util.return %q : tensor<4xi8>
}
