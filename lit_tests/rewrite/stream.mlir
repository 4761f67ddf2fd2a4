// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' --split-input-file | FileCheck %s

// Tests that a pointwise convolution takes the result of a depthwise one piece
// by piece: of the padded value and of what lies between the two convolutions
// no more than a piece exists at a time, and the partial sums share one
// accumulator. Nothing is computed twice.

// CHECK-LABEL: @separable
//  CHECK-SAME: (%[[X:.+]]: tensor<1x8x4x4xf32>)
//   CHECK-DAG: %[[X0:.+]] = tensor.extract_slice %[[X]][0, 0, 0, 0] [1, 2, 4, 4]
//   CHECK-DAG: %[[X3:.+]] = tensor.extract_slice %[[X]][0, 6, 0, 0] [1, 2, 4, 4]
//   CHECK-DAG: %[[P0:.+]] = tensor.pad %[[X0]]
//   CHECK-DAG: %[[D0:.+]] = linalg.depthwise_conv_2d_nchw_chw {{.+}} ins(%[[P0]],
//   CHECK-DAG: %[[R0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[D0]], %{{.+}} : tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>)
//   CHECK-DAG: %[[B0:.+]] = util.optimization_barrier {serenity.barrier} %[[R0]]
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.+}} outs(%[[B0]]
//   CHECK-NOT: tensor<1x8x6x6xf32>
//       CHECK: util.return
util.func public @separable(%x: tensor<1x8x4x4xf32>) -> tensor<1x3x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %wd = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %wp = arith.constant dense<2.0> : tensor<3x8x1x1xf32>
  %zd = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %zp = arith.constant dense<0.0> : tensor<1x3x4x4xf32>
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %wd : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%zd : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%d, %wp : tensor<1x8x4x4xf32>, tensor<3x8x1x1xf32>) outs(%zp : tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
  util.return %r : tensor<1x3x4x4xf32>
}

// -----

// Tests that a depthwise result with another user is not computed piece by
// piece a second time; it may still be overwritten, for its own users.

// CHECK-LABEL: @shared
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} tensor<1x8x4x4xf32>, tensor<3x8x1x1xf32>
//   CHECK-NOT: linalg.conv_2d_nchw_fchw
//       CHECK: util.return
util.func public @shared(%x: tensor<1x8x6x6xf32>) -> (tensor<1x3x4x4xf32>, tensor<1x8x4x4xf32>) {
  %wd = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %wp = arith.constant dense<2.0> : tensor<3x8x1x1xf32>
  %zd = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %zp = arith.constant dense<0.0> : tensor<1x3x4x4xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wd : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%zd : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%d, %wp : tensor<1x8x4x4xf32>, tensor<3x8x1x1xf32>) outs(%zp : tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
  util.return %r, %d : tensor<1x3x4x4xf32>, tensor<1x8x4x4xf32>
}
