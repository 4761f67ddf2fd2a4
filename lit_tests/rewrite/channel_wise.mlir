// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s

// Tests that a convolution over a concatenation becomes one convolution per
// part, each adding to the result of the one before; the weights are cut where
// the channels are (1 and 2), and stay constants. The barrier keeps the partial
// sum from being fused away; the last one needs none.

// CHECK-LABEL: @two_parts
//  CHECK-SAME: (%[[X:.+]]: tensor<1x1x8x8xf32>, %[[Y:.+]]: tensor<1x2x8x8xf32>)
//   CHECK-DAG: %[[INIT:[a-z0-9_]+]] = arith.constant dense<0.000000e+00> : tensor<1x1x8x8xf32>
//   CHECK-DAG: %[[WX:[a-z0-9_]+]] = arith.constant dense<1.000000e+00> : tensor<1x1x1x1xf32>
//   CHECK-DAG: %[[WY:[a-z0-9_]+]] = arith.constant dense<{{.*}}2.000000e+00{{.*}}3.000000e+00{{.*}}> : tensor<1x2x1x1xf32>
//   CHECK-DAG: %[[PX:[a-z0-9_]+]] = linalg.conv_2d_nchw_fchw {{.*}}ins(%[[X]], %[[WX]] : {{.+}}) outs(%[[INIT]]
//   CHECK-DAG: %[[B:[a-z0-9_]+]] = util.optimization_barrier {serenity.barrier} %[[PX]]
//       CHECK: %[[R:[a-z0-9_]+]] = linalg.conv_2d_nchw_fchw {{.*}}ins(%[[Y]], %[[WY]] : {{.+}}) outs(%[[B]]
//   CHECK-NOT: util.optimization_barrier
//   CHECK-NOT: tensor.concat
//       CHECK: util.return %[[R]]
util.func public @two_parts(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>) -> tensor<1x1x8x8xf32> {
  %w = arith.constant dense<[[[[1.0]], [[2.0]], [[3.0]]]]> : tensor<1x3x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x1x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w : tensor<1x3x8x8xf32>, tensor<1x3x1x1xf32>) outs(%z : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  util.return %r : tensor<1x1x8x8xf32>
}

// -----

// Tests that the concatenation is looked for through padding of the other
// dimensions and through elementwise operations, which are cut likewise.

// CHECK-LABEL: @through_pad_and_elementwise
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}} : tensor<1x1x8x8xf32>)
//   CHECK-DAG: linalg.generic {{.+}} ins(%{{.+}} : tensor<1x2x8x8xf32>)
//   CHECK-DAG: tensor<1x1x8x8xf32> to tensor<1x1x10x10xf32>
//   CHECK-DAG: tensor<1x2x8x8xf32> to tensor<1x2x10x10xf32>
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}tensor<1x1x10x10xf32>, tensor<4x1x3x3xf32>
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}tensor<1x2x10x10xf32>, tensor<4x2x3x3xf32>
//   CHECK-NOT: tensor<1x3x
//       CHECK: util.return
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @through_pad_and_elementwise(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %e = tensor.empty() : tensor<1x3x8x8xf32>
  %relu = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%c : tensor<1x3x8x8xf32>) outs(%e : tensor<1x3x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %m = arith.maximumf %in, %zero : f32
    linalg.yield %m : f32
  } -> tensor<1x3x8x8xf32>
  %p = tensor.pad %relu low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x3x8x8xf32> to tensor<1x3x10x10xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}

// -----

// Tests the layout of JAX: channels last, and a concatenation that is a chain
// of tensor.insert_slice.

// CHECK-LABEL: @channels_last
//   CHECK-DAG: linalg.conv_2d_nhwc_hwcf {{.*}}ins(%{{.+}}, %{{.+}} : tensor<1x8x8x1xf32>, tensor<1x1x1x4xf32>)
//   CHECK-DAG: util.optimization_barrier
//   CHECK-DAG: linalg.conv_2d_nhwc_hwcf {{.*}}ins(%{{.+}}, %{{.+}} : tensor<1x8x8x2xf32>, tensor<1x1x2x4xf32>)
//   CHECK-NOT: tensor.insert_slice
//       CHECK: util.return
util.func public @channels_last(%x: tensor<1x8x8x1xf32>, %y: tensor<1x8x8x2xf32>) -> tensor<1x8x8x4xf32> {
  %w = arith.constant dense<1.0> : tensor<1x1x3x4xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x8x4xf32>
  %e = tensor.empty() : tensor<1x8x8x3xf32>
  %i0 = tensor.insert_slice %x into %e[0, 0, 0, 0] [1, 8, 8, 1] [1, 1, 1, 1] : tensor<1x8x8x1xf32> into tensor<1x8x8x3xf32>
  %i1 = tensor.insert_slice %y into %i0[0, 0, 0, 1] [1, 8, 8, 2] [1, 1, 1, 1] : tensor<1x8x8x2xf32> into tensor<1x8x8x3xf32>
  %r = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%i1, %w : tensor<1x8x8x3xf32>, tensor<1x1x3x4xf32>) outs(%z : tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xf32>
  util.return %r : tensor<1x8x8x4xf32>
}

// -----

// Tests a matrix product over a concatenated inner dimension of three parts.

// CHECK-LABEL: @product
//   CHECK-DAG: linalg.matmul ins(%{{.+}}, %{{.+}} : tensor<8x2xf32>, tensor<2x8xf32>)
//   CHECK-DAG: linalg.matmul ins(%{{.+}}, %{{.+}} : tensor<8x3xf32>, tensor<3x8xf32>)
//   CHECK-DAG: linalg.matmul ins(%{{.+}}, %{{.+}} : tensor<8x4xf32>, tensor<4x8xf32>)
//   CHECK-NOT: tensor<8x9xf32>
//       CHECK: util.return
util.func public @product(%x: tensor<8x2xf32>, %y: tensor<8x3xf32>, %u: tensor<8x4xf32>) -> tensor<8x8xf32> {
  %w = arith.constant dense<1.0> : tensor<9x8xf32>
  %z = arith.constant dense<0.0> : tensor<8x8xf32>
  %c = tensor.concat dim(1) %x, %y, %u : (tensor<8x2xf32>, tensor<8x3xf32>, tensor<8x4xf32>) -> tensor<8x9xf32>
  %r = linalg.matmul ins(%c, %w : tensor<8x9xf32>, tensor<9x8xf32>) outs(%z : tensor<8x8xf32>) -> tensor<8x8xf32>
  util.return %r : tensor<8x8xf32>
}
