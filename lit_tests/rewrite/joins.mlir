// RUN: serenity-opt %s --serenity-rewrite='join=on' --split-input-file | FileCheck %s
// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s --check-prefix=ALONE

// Tests that two small parts are taken in one step, since the peak is where the
// large part between them is alive. They are put together behind barriers, so
// that each is computed as before; the weights are gathered from both sides of
// the large part's (1 and 6). With the large part either would be too much.

// CHECK-LABEL: @around_a_large_part
//   CHECK-DAG: %[[W02:[a-z0-9_]+]] = arith.constant dense<{{.*}}1.000000e+00{{.*}}6.000000e+00{{.*}}> : tensor<1x2x1x1xf32>
//   CHECK-DAG: %[[W1:[a-z0-9_]+]] = arith.constant dense<{{.*}}2.000000e+00{{.*}}5.000000e+00{{.*}}> : tensor<1x4x1x1xf32>
//   CHECK-DAG: %[[A:[a-z0-9_]+]] = util.optimization_barrier {serenity.barrier} %{{.+}} : tensor<1x1x8x8xf32>
//   CHECK-DAG: %[[C:[a-z0-9_]+]] = tensor.concat dim(1) %{{.+}}, %{{.+}} : (tensor<1x1x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x2x8x8xf32>
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}ins(%[[C]], %[[W02]] : {{.+}})
//   CHECK-DAG: linalg.conv_2d_nchw_fchw {{.*}}ins(%{{.+}}, %[[W1]] : {{.+}})
//   CHECK-NOT: tensor<1x1x1x1xf32>
//       CHECK: util.return
// ALONE-LABEL: @around_a_large_part
//   ALONE-NOT: tensor.concat
util.func public @around_a_large_part(%x: tensor<1x2x8x8xf32>) -> tensor<1x1x8x8xf32> {
  %wa = arith.constant dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>
  %wb = arith.constant dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]], [[[5.0]], [[6.0]]], [[[7.0]], [[8.0]]]]> : tensor<4x2x1x1xf32>
  %wc = arith.constant dense<[[[[3.0]], [[4.0]]]]> : tensor<1x2x1x1xf32>
  %w = arith.constant dense<[[[[1.0]], [[2.0]], [[3.0]], [[4.0]], [[5.0]], [[6.0]]]]> : tensor<1x6x1x1xf32>
  %z1 = arith.constant dense<0.0> : tensor<1x1x8x8xf32>
  %z4 = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z1 : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wb : tensor<1x2x8x8xf32>, tensor<4x2x1x1xf32>) outs(%z4 : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wc : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z1 : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  %all = tensor.concat dim(1) %a, %b, %c : (tensor<1x1x8x8xf32>, tensor<1x4x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x6x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%all, %w : tensor<1x6x8x8xf32>, tensor<1x6x1x1xf32>) outs(%z1 : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  util.return %r : tensor<1x1x8x8xf32>
}

// -----

// Tests that accumulation steps are not merged where the peak is: one after the
// other needs one of them at a time.

// CHECK-LABEL: @at_the_peak
//   CHECK-NOT: tensor.concat
//       CHECK: util.return
util.func public @at_the_peak(%x: tensor<1x2x8x8xf32>) -> tensor<1x1x8x8xf32> {
  %wa = arith.constant dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>
  %wb = arith.constant dense<[[[[3.0]], [[4.0]]]]> : tensor<1x2x1x1xf32>
  %w = arith.constant dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x1x8x8xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wb : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  %both = tensor.concat dim(1) %a, %b : (tensor<1x1x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x2x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%both, %w : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  util.return %r : tensor<1x1x8x8xf32>
}

// -----

// Tests that arguments are not merged into one step: there is no place beside one
// another to make them in, and copies are no better than another step.

// CHECK-LABEL: @arguments
//   CHECK-NOT: tensor.concat
//       CHECK: util.return
util.func public @arguments(%x: tensor<1x1x8x8xf32>, %y: tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32> {
  %w = arith.constant dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x1x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x1x8x8xf32>) -> tensor<1x2x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w : tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) outs(%z : tensor<1x1x8x8xf32>) -> tensor<1x1x8x8xf32>
  util.return %r : tensor<1x1x8x8xf32>
}
