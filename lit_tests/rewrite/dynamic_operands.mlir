// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' | FileCheck %s

// Tests that static dimensions of operations are cut whose operands have a
// dynamic dimension beside them: slices take its extent from the operand.

// A sum over a dynamic extent, computed before that, read by a product. Of 64
// elements 16 are computed and added up at a time.

// CHECK-LABEL: @mean
//       CHECK: %[[N:.*]] = tensor.dim
//       CHECK: tensor.extract_slice {{.*}} [1, %[[N]], 16] [1, 1, 1] : tensor<1x?x64xf32> to tensor<1x?x16xf32>
//       CHECK: tensor.empty({{.*}}) : tensor<1x?x16xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x16xf32>, tensor<16x32xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x16xf32>, tensor<16x32xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x16xf32>, tensor<16x32xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x16xf32>, tensor<16x32xf32>

#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#mean = affine_map<(d0, d1, d2) -> (d0, d2)>
util.func public @mean(%x: tensor<1x?x64xf32>) -> tensor<1x32xf32> {
  %w = arith.constant dense<0.01> : tensor<64x32xf32>
  %f = arith.constant dense<0.0> : tensor<1x64xf32>
  %g = arith.constant dense<0.0> : tensor<1x32xf32>
  %one = arith.constant 1 : index
  %n = tensor.dim %x, %one : tensor<1x?x64xf32>
  %e = tensor.empty(%n) : tensor<1x?x64xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x?x64xf32>) outs(%e : tensor<1x?x64xf32>) {
  ^bb0(%i: f32, %o: f32):
    %s = arith.addf %i, %i : f32
    linalg.yield %s : f32
  } -> tensor<1x?x64xf32>
  %m = linalg.generic {indexing_maps = [#id, #mean], iterator_types = ["parallel", "reduction", "parallel"]}
      ins(%r : tensor<1x?x64xf32>) outs(%f : tensor<1x64xf32>) {
  ^bb0(%i: f32, %o: f32):
    %s = arith.addf %i, %o : f32
    linalg.yield %s : f32
  } -> tensor<1x64xf32>
  %b = linalg.matmul ins(%m, %w : tensor<1x64xf32>, tensor<64x32xf32>) outs(%g : tensor<1x32xf32>) -> tensor<1x32xf32>
  util.return %b : tensor<1x32xf32>
}

// A pooling window over a dynamic number of rows of which one is read: slices
// of two channels.

// CHECK-LABEL: @pool
//       CHECK: %[[N:.*]] = tensor.dim
//       CHECK: tensor.extract_slice {{.*}} [1, 2, %[[N]], 4] [1, 1, 1, 1] : tensor<1x8x?x4xf32> to tensor<1x2x?x4xf32>
//       CHECK: linalg.conv_2d_nchw_fchw {{.*}} tensor<1x2x1x2xf32>, tensor<3x2x1x1xf32>

util.func public @pool(%x: tensor<1x8x?x4xf32>, %window: tensor<3x3xf32>) -> tensor<1x3x1x2xf32> {
  %w = arith.constant dense<2.0> : tensor<3x8x1x1xf32>
  %f = arith.constant dense<0.0> : tensor<1x8x1x2xf32>
  %z = arith.constant dense<0.0> : tensor<1x3x1x2xf32>
  %p = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %window : tensor<1x8x?x4xf32>, tensor<3x3xf32>) outs(%f : tensor<1x8x1x2xf32>) -> tensor<1x8x1x2xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x8x1x2xf32>, tensor<3x8x1x1xf32>) outs(%z : tensor<1x3x1x2xf32>) -> tensor<1x3x1x2xf32>
  util.return %r : tensor<1x3x1x2xf32>
}

// An operand of unknown extent, whose loop another operand makes static, is
// read as a whole.

// CHECK-LABEL: @unknown_extent
//  CHECK-SAME: %[[X:.*]]: tensor<4x?xf32>
//       CHECK: linalg.generic {{.*}} ins(%[[X]], {{.*}} tensor<4x?xf32>, tensor<16x16xf32>)
//       CHECK: linalg.matmul {{.*}} tensor<4x16xf32>, tensor<16x8xf32>

#m = affine_map<(d0, d1, d2) -> (d0, d2)>
#n = affine_map<(d0, d1, d2) -> (d2, d1)>
#o = affine_map<(d0, d1, d2) -> (d0, d1)>
util.func public @unknown_extent(%x: tensor<4x?xf32>, %y: tensor<16x64xf32>) -> tensor<4x8xf32> {
  %w = arith.constant dense<0.01> : tensor<64x8xf32>
  %f = arith.constant dense<0.0> : tensor<4x64xf32>
  %g = arith.constant dense<0.0> : tensor<4x8xf32>
  %a = linalg.generic {indexing_maps = [#m, #n, #o], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %y : tensor<4x?xf32>, tensor<16x64xf32>) outs(%f : tensor<4x64xf32>) {
  ^bb0(%i: f32, %j: f32, %k: f32):
    %p = arith.mulf %i, %j : f32
    %s = arith.addf %p, %k : f32
    linalg.yield %s : f32
  } -> tensor<4x64xf32>
  %b = linalg.matmul ins(%a, %w : tensor<4x64xf32>, tensor<64x8xf32>) outs(%g : tensor<4x8xf32>) -> tensor<4x8xf32>
  util.return %b : tensor<4x8xf32>
}
