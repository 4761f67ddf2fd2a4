// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' --split-input-file | FileCheck %s

// Tests that parts of no elements are left alone.

// CHECK-LABEL: @no_elements
//       CHECK: tensor.concat
//       CHECK: linalg.matmul
//   CHECK-NOT: linalg.matmul
util.func public @no_elements(%x: tensor<8x0xf32>, %y: tensor<8x0xf32>) -> tensor<8x4xf32> {
  %w = arith.constant dense<1.0> : tensor<0x4xf32>
  %z = arith.constant dense<0.0> : tensor<8x4xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x0xf32>, tensor<8x0xf32>) -> tensor<8x0xf32>
  %r = linalg.matmul ins(%c, %w : tensor<8x0xf32>, tensor<0x4xf32>) outs(%z : tensor<8x4xf32>) -> tensor<8x4xf32>
  util.return %r : tensor<8x4xf32>
}

// -----

// Tests the same behind a change of layout.

// CHECK-LABEL: @no_elements_reshaped
//       CHECK: tensor.expand_shape
//       CHECK: linalg.matmul
//   CHECK-NOT: linalg.matmul
util.func public @no_elements_reshaped(%x: tensor<0xf32>, %y: tensor<0xf32>) -> tensor<8x4xf32> {
  %w = arith.constant dense<1.0> : tensor<0x4xf32>
  %z = arith.constant dense<0.0> : tensor<8x4xf32>
  %c = tensor.concat dim(0) %x, %y : (tensor<0xf32>, tensor<0xf32>) -> tensor<0xf32>
  %s = tensor.expand_shape %c [[0, 1]] output_shape [8, 0] : tensor<0xf32> into tensor<8x0xf32>
  %r = linalg.matmul ins(%s, %w : tensor<8x0xf32>, tensor<0x4xf32>) outs(%z : tensor<8x4xf32>) -> tensor<8x4xf32>
  util.return %r : tensor<8x4xf32>
}

// -----

// Tests that no parts are made of a convolution without uses, or used only by an
// operation without uses; it is erased.

// CHECK-LABEL: @dead_sites
//  CHECK-NEXT: util.return
#channels = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @dead_sites(%x: tensor<1x1x4x4xf32>, %y: tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32> {
  %w = arith.constant dense<[[[[1.0]], [[2.0]], [[-3.0]]], [[[4.0]], [[5.0]], [[6.0]]]]> : tensor<2x3x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x2x4x4xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x3x4x4xf32>
  %r = linalg.conv_2d_nchw_fchw ins(%c, %w : tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32>)
      outs(%z : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %d = tensor.concat dim(1) %y, %x : (tensor<1x2x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x3x4x4xf32>
  %s = linalg.conv_2d_nchw_fchw ins(%d, %w : tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32>)
      outs(%z : tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %e = tensor.empty() : tensor<1x2x4x4xf32>
  %t = linalg.generic {indexing_maps = [#channels, #channels], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<1x2x4x4xf32>) outs(%e : tensor<1x2x4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %n = arith.negf %in : f32
    linalg.yield %n : f32
  } -> tensor<1x2x4x4xf32>
  util.return %y : tensor<1x2x4x4xf32>
}

// -----

// Tests that an operation without uses is erased, with the unused ones in it.

// CHECK-LABEL: @dead_inside
//   CHECK-NOT: tensor.extract %
//       CHECK: util.return
#id = affine_map<(d0) -> (d0)>
util.func public @dead_inside(%a: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<8xf32> {
  %e = tensor.empty() : tensor<8xf32>
  %d = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %i = linalg.index 0 : index
    %k = arith.constant 3.0 : f32
    %v = tensor.extract %b[%i] : tensor<8xf32>
    linalg.yield %in : f32
  } -> tensor<8xf32>
  util.return %b : tensor<8xf32>
}
