// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite,cse)' --split-input-file | FileCheck %s

// Tests that a depthwise convolution over a concatenation is the concatenation
// of the depthwise convolutions of the parts, and that the next convolution
// then takes those parts: the concatenation is gone altogether.

// CHECK-LABEL: @depthwise_then_pointwise
//   CHECK-NOT: tensor<1x24x
//       CHECK: linalg.depthwise_conv_2d_nchw_chw
//   CHECK-NOT: tensor<1x24x
//       CHECK: linalg.conv_2d_nchw_fchw
//   CHECK-NOT: tensor<1x24x
//       CHECK: util.return
util.func public @depthwise_then_pointwise(%x: tensor<1x8x8x8xf32>, %y: tensor<1x16x8x8xf32>) -> tensor<1x4x6x6xf32> {
  %w0 = arith.constant dense<1.0> : tensor<24x3x3xf32>
  %z0 = arith.constant dense<0.0> : tensor<1x24x6x6xf32>
  %w1 = arith.constant dense<1.0> : tensor<4x24x1x1xf32>
  %z1 = arith.constant dense<0.0> : tensor<1x4x6x6xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x8x8x8xf32>, tensor<1x16x8x8xf32>) -> tensor<1x24x8x8xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w0 : tensor<1x24x8x8xf32>, tensor<24x3x3xf32>) outs(%z0 : tensor<1x24x6x6xf32>) -> tensor<1x24x6x6xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%d, %w1 : tensor<1x24x6x6xf32>, tensor<4x24x1x1xf32>) outs(%z1 : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  util.return %r : tensor<1x4x6x6xf32>
}
