// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s

// Tests that weights of every width are cut at the right elements, also when
// they are kept as resources, which the compiler hands out printed only.

// Tests int8 that accumulates in int32.

// CHECK-LABEL: @quantised
//   CHECK-DAG: arith.constant dense<{{.*}}1{{.*}}4{{.*}}> : tensor<2x1x1x1xi8>
//   CHECK-DAG: arith.constant dense<{{.*}}2{{.*}}-3{{.*}}5{{.*}}6{{.*}}> : tensor<2x2x1x1xi8>
//       CHECK: util.optimization_barrier {serenity.barrier} %{{.+}} : tensor<1x2x4x4xi32>
util.func public @quantised(%x: tensor<1x1x4x4xi8>, %y: tensor<1x2x4x4xi8>) -> tensor<1x2x4x4xi32> {
  %w = arith.constant dense<[[[[1]], [[2]], [[-3]]], [[[4]], [[5]], [[6]]]]> : tensor<2x3x1x1xi8>
  %z = arith.constant dense<0> : tensor<1x2x4x4xi32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x4x4xi8>, tensor<1x2x4x4xi8>) -> tensor<1x3x4x4xi8>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %w : tensor<1x3x4x4xi8>, tensor<2x3x1x1xi8>) outs(%z : tensor<1x2x4x4xi32>) -> tensor<1x2x4x4xi32>
  util.return %r : tensor<1x2x4x4xi32>
}

// -----

// Tests float16 and bfloat16.

// CHECK-LABEL: @halves
//   CHECK-DAG: arith.constant dense<{{.*}}1.000000e+00{{.*}}> : tensor<1x4xf16>
//   CHECK-DAG: arith.constant dense<{{.*}}2.000000e+00{{.*}}> : tensor<2x4xf16>
//   CHECK-DAG: arith.constant dense<5.000000e-01> : tensor<1x4xbf16>
//   CHECK-DAG: arith.constant dense<{{.*}}7.500000e-01{{.*}}> : tensor<2x4xbf16>
util.func public @halves(%x: tensor<8x1xf16>, %y: tensor<8x2xf16>, %u: tensor<8x1xbf16>, %v: tensor<8x2xbf16>) -> (tensor<8x4xf16>, tensor<8x4xbf16>) {
  %w = arith.constant dense<[[1.0, 1.5, 1.0, 1.0], [2.0, 2.0, 2.0, 2.5], [2.0, 2.0, 2.0, 2.0]]> : tensor<3x4xf16>
  %z = arith.constant dense<0.0> : tensor<8x4xf16>
  %wb = arith.constant dense<[[0.5, 0.5, 0.5, 0.5], [0.75, 0.75, 0.75, 0.75], [0.75, 0.75, 0.75, 1.0]]> : tensor<3x4xbf16>
  %zb = arith.constant dense<0.0> : tensor<8x4xbf16>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf16>, tensor<8x2xf16>) -> tensor<8x3xf16>
  %r = linalg.matmul ins(%c, %w : tensor<8x3xf16>, tensor<3x4xf16>) outs(%z : tensor<8x4xf16>) -> tensor<8x4xf16>
  %d = tensor.concat dim(1) %u, %v : (tensor<8x1xbf16>, tensor<8x2xbf16>) -> tensor<8x3xbf16>
  %s = linalg.matmul ins(%d, %wb : tensor<8x3xbf16>, tensor<3x4xbf16>) outs(%zb : tensor<8x4xbf16>) -> tensor<8x4xbf16>
  util.return %r, %s : tensor<8x4xf16>, tensor<8x4xbf16>
}

// -----

// Tests a resource: 1.0 and 2.0, 3.0 in float32.

// CHECK-LABEL: @resource
//   CHECK-DAG: arith.constant dense<1.000000e+00> : tensor<1x1xf32>
//   CHECK-DAG: arith.constant dense<{{.*}}2.000000e+00{{.*}}3.000000e+00{{.*}}> : tensor<2x1xf32>
util.func public @resource(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8x1xf32> {
  %w = arith.constant dense_resource<weights> : tensor<3x1xf32>
  %z = arith.constant dense<0.0> : tensor<8x1xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  %r = linalg.matmul ins(%c, %w : tensor<8x3xf32>, tensor<3x1xf32>) outs(%z : tensor<8x1xf32>) -> tensor<8x1xf32>
  util.return %r : tensor<8x1xf32>
}

{-#
  dialect_resources: {
    builtin: {
      weights: "0x040000000000803F0000004000004040"
    }
  }
#-}

// -----

// Tests that weights which are a name alone are left alone: nothing is there to
// be cut.

// CHECK-LABEL: @elided
//       CHECK: tensor.concat
//       CHECK: linalg.matmul
//   CHECK-NOT: linalg.matmul
util.func public @elided(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8x1xf32> {
  %w = arith.constant dense_resource<__elided__> : tensor<3x1xf32>
  %z = arith.constant dense<0.0> : tensor<8x1xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  %r = linalg.matmul ins(%c, %w : tensor<8x3xf32>, tensor<3x1xf32>) outs(%z : tensor<8x1xf32>) -> tensor<8x1xf32>
  util.return %r : tensor<8x1xf32>
}
