// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s

// Tests the forms that importers really give.

// Tests torch's weights: private globals with an initial value. Every slice
// becomes a global of its own; the bias is a broadcast, which only the first
// part takes.

// CHECK-LABEL: @torch_weights
//   CHECK-DAG: util.global private @weight_slice_1_0 = dense<{{.*}}1.000000e+00{{.*}}3.000000e+00{{.*}}> : tensor<2x1x1x1xf32>
//   CHECK-DAG: util.global private @weight_slice_1_1 = dense<{{.*}}2.000000e+00{{.*}}4.000000e+00{{.*}}> : tensor<2x1x1x1xf32>
//       CHECK: util.func
//   CHECK-NOT: util.global.load immutable @weight :
//   CHECK-DAG: %[[W0:[a-z0-9_]+]] = util.global.load immutable @weight_slice_1_0 : tensor<2x1x1x1xf32>
//   CHECK-DAG: %[[W1:[a-z0-9_]+]] = util.global.load immutable @weight_slice_1_1 : tensor<2x1x1x1xf32>
//   CHECK-DAG: %[[BIAS:[a-z0-9_]+]] = linalg.broadcast
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}%[[W0]] : {{.*}}outs(%[[BIAS]]
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}%[[W1]] :
//   CHECK-NOT: util.global.load immutable @weight :
//       CHECK: util.return
module @torch_weights {
util.global private @weight = dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]> : tensor<2x2x1x1xf32>
util.global private @bias = dense<[0.5, 0.25]> : tensor<2xf32>
util.func public @f(%x: tensor<1x1x8x8xf32>, %y: tensor<1x1x8x8xf32>) -> tensor<1x2x8x8xf32> {
  %w = util.global.load immutable @weight : tensor<2x2x1x1xf32>
  %b = util.global.load immutable @bias : tensor<2xf32>
  %e = tensor.empty() : tensor<1x2x8x8xf32>
  %z = linalg.broadcast ins(%b : tensor<2xf32>) outs(%e : tensor<1x2x8x8xf32>) dimensions = [0, 2, 3]
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x2x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w : tensor<1x2x8x8xf32>, tensor<2x2x1x1xf32>) outs(%z : tensor<1x2x8x8xf32>) -> tensor<1x2x8x8xf32>
  util.return %r : tensor<1x2x8x8xf32>
}
}

// -----

// Tests torch's unfolded batch normalisation: a generic whose operands have one
// element per channel. They are cut with the channels.

// CHECK-LABEL: @batch_norm
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}}, %{{.+}} : tensor<1x1x8x8xf32>, tensor<1x1x1xf32>)
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}}, %{{.+}} : tensor<1x2x8x8xf32>, tensor<2x1x1xf32>)
//   CHECK-DAG: arith.constant dense<3.000000e+00> : tensor<1x1x1xf32>
//   CHECK-NOT: tensor<1x3x8x8xf32>
//       CHECK: util.return
util.func public @batch_norm(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %w = arith.constant dense<1.0> : tensor<4x3x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %scale = arith.constant dense<[[[3.0]], [[4.0]], [[5.0]]]> : tensor<3x1x1xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %e = tensor.empty() : tensor<1x3x8x8xf32>
  %n = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d1, 0, 0)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%c, %scale : tensor<1x3x8x8xf32>, tensor<3x1x1xf32>) outs(%e : tensor<1x3x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    linalg.yield %m : f32
  } -> tensor<1x3x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%n, %w : tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}

// -----

// Tests JAX's concatenation, a chain of insertions, in front of its depthwise
// and pointwise convolutions with the channels last.

// CHECK-LABEL: @jax
//   CHECK-DAG: linalg.depthwise_conv_2d_nhwc_hwc {{.*}}tensor<1x8x8x2xf32>, tensor<3x3x2xf32>
//   CHECK-DAG: linalg.depthwise_conv_2d_nhwc_hwc {{.*}}tensor<1x8x8x4xf32>, tensor<3x3x4xf32>
//   CHECK-DAG: linalg.conv_2d_nhwc_hwcf {{.*}}tensor<1x6x6x2xf32>, tensor<1x1x2x5xf32>
//   CHECK-DAG: linalg.conv_2d_nhwc_hwcf {{.*}}tensor<1x6x6x4xf32>, tensor<1x1x4x5xf32>
//   CHECK-NOT: tensor.insert_slice
//       CHECK: util.return
util.func public @jax(%x: tensor<1x8x8x2xf32>, %y: tensor<1x8x8x4xf32>) -> tensor<1x6x6x5xf32> {
  %w0 = arith.constant dense<1.0> : tensor<3x3x6xf32>
  %z0 = arith.constant dense<0.0> : tensor<1x6x6x6xf32>
  %w1 = arith.constant dense<1.0> : tensor<1x1x6x5xf32>
  %z1 = arith.constant dense<0.0> : tensor<1x6x6x5xf32>
  %e = tensor.empty() : tensor<1x8x8x6xf32>
  %a = tensor.insert_slice %y into %e[0, 0, 0, 2] [1, 8, 8, 4] [1, 1, 1, 1] : tensor<1x8x8x4xf32> into tensor<1x8x8x6xf32>
  %c = tensor.insert_slice %x into %a[0, 0, 0, 0] [1, 8, 8, 2] [1, 1, 1, 1] : tensor<1x8x8x2xf32> into tensor<1x8x8x6xf32>
  %d = linalg.depthwise_conv_2d_nhwc_hwc {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w0 : tensor<1x8x8x6xf32>, tensor<3x3x6xf32>) outs(%z0 : tensor<1x6x6x6xf32>) -> tensor<1x6x6x6xf32>
  %r = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%d, %w1 : tensor<1x6x6x6xf32>, tensor<1x1x6x5xf32>) outs(%z1 : tensor<1x6x6x5xf32>) -> tensor<1x6x6x5xf32>
  util.return %r : tensor<1x6x6x5xf32>
}

// -----

// Tests that a concatenation of concatenations is one of three parts, that the
// layout may change on the way, and a product that was a 1x1 convolution.

// CHECK-LABEL: @layouts
//   CHECK-DAG: tensor<1x8x2x8xf32> into tensor<8x2x8xf32>
//   CHECK-DAG: tensor<1x8x1x8xf32> into tensor<8x1x8xf32>
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}}, %{{.+}} : tensor<8x2x8xf32>, tensor<4x2xf32>)
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}}, %{{.+}} : tensor<8x1x8xf32>, tensor<4x1xf32>)
//   CHECK-NOT: tensor.concat
//       CHECK: util.return
util.func public @layouts(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>, %u: tensor<1x1x8x8xf32>) -> tensor<8x4x8xf32> {
  %w = arith.constant dense<1.0> : tensor<4x4xf32>
  %z = arith.constant dense<0.0> : tensor<8x4x8xf32>
  %xy = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %c = tensor.concat dim(1) %xy, %u : (tensor<1x3x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x4x8x8xf32>
  %e = tensor.empty() : tensor<1x8x4x8xf32>
  %t = linalg.transpose ins(%c : tensor<1x4x8x8xf32>) outs(%e : tensor<1x8x4x8xf32>) permutation = [0, 2, 1, 3]
  %s = tensor.collapse_shape %t [[0, 1], [2], [3]] : tensor<1x8x4x8xf32> into tensor<8x4x8xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(h, f, w, k) -> (h, k, w)>, affine_map<(h, f, w, k) -> (f, k)>, affine_map<(h, f, w, k) -> (h, f, w)>], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%s, %w : tensor<8x4x8xf32>, tensor<4x4xf32>) outs(%z : tensor<8x4x8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %n = arith.addf %out, %m : f32
    linalg.yield %n : f32
  } -> tensor<8x4x8xf32>
  util.return %r : tensor<8x4x8xf32>
}

// -----

// Tests a convolution in groups: the channels are expanded to groups first, and
// the concatenation boundary lies between two of them (2 + 4 channels in groups of two).

// CHECK-LABEL: @groups
//   CHECK-DAG: tensor<1x2x8x8xf32> into tensor<1x1x2x8x8xf32>
//   CHECK-DAG: tensor<1x4x8x8xf32> into tensor<1x2x2x8x8xf32>
//   CHECK-DAG: linalg.conv_2d_ngchw_gfchw {{.*}}tensor<1x1x2x8x8xf32>, tensor<1x5x2x1x1xf32>
//   CHECK-DAG: linalg.conv_2d_ngchw_gfchw {{.*}}tensor<1x2x2x8x8xf32>, tensor<2x5x2x1x1xf32>
//       CHECK: tensor.concat dim(1)
//  CHECK-SAME: -> tensor<1x3x5x8x8xf32>
util.func public @groups(%x: tensor<1x2x8x8xf32>, %y: tensor<1x4x8x8xf32>) -> tensor<1x3x5x8x8xf32> {
  %w = arith.constant dense<1.0> : tensor<3x5x2x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x3x5x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x2x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x6x8x8xf32>
  %g = tensor.expand_shape %c [[0], [1, 2], [3], [4]] output_shape [1, 3, 2, 8, 8] : tensor<1x6x8x8xf32> into tensor<1x3x2x8x8xf32>
  %r = linalg.conv_2d_ngchw_gfchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%g, %w : tensor<1x3x2x8x8xf32>, tensor<3x5x2x1x1xf32>) outs(%z : tensor<1x3x5x8x8xf32>) -> tensor<1x3x5x8x8xf32>
  util.return %r : tensor<1x3x5x8x8xf32>
}

// -----

// Tests that pooling over a concatenation is pooling of the parts, and that
// strides and dilations are kept.

// CHECK-LABEL: @pooled
//   CHECK-DAG: linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%{{.+}} : tensor<1x1x8x8xf32>
//   CHECK-DAG: linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%{{.+}} : tensor<1x2x8x8xf32>
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {dilations = dense<2> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%{{.+}} : tensor<1x1x4x4xf32>, tensor<4x1x2x2xf32>)
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {dilations = dense<2> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%{{.+}} : tensor<1x2x4x4xf32>, tensor<4x2x2x2xf32>)
//   CHECK-NOT: tensor.concat
//       CHECK: util.return
util.func public @pooled(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>) -> tensor<1x4x2x2xf32> {
  %low = arith.constant 0xFF800000 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x2x2xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x2x2xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %e = tensor.empty() : tensor<1x3x4x4xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
  %k = tensor.empty() : tensor<2x2xf32>
  %p = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}
      ins(%c, %k : tensor<1x3x8x8xf32>, tensor<2x2xf32>) outs(%i : tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<2> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x3x4x4xf32>, tensor<4x3x2x2xf32>) outs(%z : tensor<1x4x2x2xf32>) -> tensor<1x4x2x2xf32>
  util.return %r : tensor<1x4x2x2xf32>
}
