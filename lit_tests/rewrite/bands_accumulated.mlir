// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{bands=2})' | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2})' | FileCheck %s --check-prefix=OFF

// Tests that a global pool takes its operand band by band: four rows of eight
// are made and added, then the other four are made in their place. The window,
// whose shape alone counts, is cut as the rows are. The barrier keeps the
// second step in a dispatch of its own, which writes over the first's result.

// CHECK-LABEL: @global_pool
//       CHECK: %[[ZERO:.+]] = linalg.fill {{.+}} -> tensor<1x8x1x1xf32>
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 3, 4, 8]
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xf32>
//       CHECK: %[[SUM:.+]] = linalg.pooling_nchw_sum {{.+}} ins(%[[A]], %{{.+}} : tensor<1x8x4x8xf32>, tensor<4x8xf32>) outs(%[[ZERO]]
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 3, 4, 8]
//       CHECK: %[[B:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xf32>
//       CHECK: %[[SO_FAR:.+]] = util.optimization_barrier {serenity.barrier} %[[SUM]]
//       CHECK: %[[ALL:.+]] = linalg.pooling_nchw_sum {{.+}} ins(%[[B]], %{{.+}}) outs(%[[SO_FAR]]
//       CHECK: util.return %[[ALL]]

// Tests that without leave to reorder sums nothing is added band by band.

// OFF-LABEL: @global_pool
//       OFF: linalg.pooling_nchw_sum {{.+}} ins(%{{.+}}, %{{.+}} : tensor<1x8x8x8xf32>, tensor<8x8xf32>)
util.func public @global_pool(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x1x1xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x3x1x1xf32>
  %e = tensor.empty() : tensor<1x8x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x3x8x8xf32>, tensor<8x3x1x1xf32>) outs(%z : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %f = tensor.empty() : tensor<1x8x1x1xf32>
  %y = linalg.fill ins(%zero : f32) outs(%f : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %k = tensor.empty() : tensor<8x8xf32>
  %s = linalg.pooling_nchw_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%a, %k : tensor<1x8x8x8xf32>, tensor<8x8xf32>) outs(%y : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  util.return %s : tensor<1x8x1x1xf32>
}

// Tests that a barrier keeps the product from becoming part of the reduction:
// it is written over its operand then, of which a band is there once.

// CHECK-LABEL: @squared
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xf32>
//       CHECK: %[[B:.+]] = linalg.generic {{.+}} ins(%[[A]] : tensor<1x8x4x8xf32>)
//       CHECK: %[[BAND:.+]] = util.optimization_barrier {serenity.barrier} %[[B]]
//       CHECK: linalg.pooling_nchw_sum {{.+}} ins(%[[BAND]],
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @squared(%x: tensor<1x3x8x8xf32>) -> tensor<1x8x1x1xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x3x1x1xf32>
  %e = tensor.empty() : tensor<1x8x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x3x8x8xf32>, tensor<8x3x1x1xf32>) outs(%z : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x8x8x8xf32>) outs(%e : tensor<1x8x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %square = arith.mulf %in, %in : f32
    linalg.yield %square : f32
  } -> tensor<1x8x8x8xf32>
  %f = tensor.empty() : tensor<1x8x1x1xf32>
  %y = linalg.fill ins(%zero : f32) outs(%f : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %k = tensor.empty() : tensor<8x8xf32>
  %s = linalg.pooling_nchw_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%b, %k : tensor<1x8x8x8xf32>, tensor<8x8xf32>) outs(%y : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  util.return %s : tensor<1x8x1x1xf32>
}
