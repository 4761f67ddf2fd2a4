// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' | FileCheck %s

// Tests that static dimensions are rewritten beside a dynamic one, whose extent
// is taken from where the function has it.

// The convolution over two parts of 1 and 2 channels, which are padded and
// accumulated one channel after the other. A barrier between two steps has the
// extent beside it, since IREE does not look for that behind a barrier.

// CHECK-LABEL: @channel_wise
//  CHECK-SAME: %[[N:.*]]: index, %[[X:.*]]: tensor<?x1x8x8xf32>, %[[Y:.*]]: tensor<?x2x8x8xf32>
//   CHECK-NOT: tensor.concat
//       CHECK: tensor.pad %[[X]]
//       CHECK: linalg.conv_2d_nchw_fchw {{.*}} tensor<?x1x10x10xf32>, tensor<4x1x3x3xf32>
//       CHECK: %[[DIM:.*]] = tensor.dim %[[Y]]
//       CHECK: tensor.extract_slice %[[Y]][0, 0, 0, 0] [%[[DIM]], 1, 8, 8] [1, 1, 1, 1]
//       CHECK: %[[SUM:.*]] = util.optimization_barrier {serenity.barrier} {{.*}} : tensor<?x4x8x8xf32>
//       CHECK: flow.tensor.tie_shape %[[SUM]] : tensor<?x4x8x8xf32>{%[[N]]}
//       CHECK: linalg.conv_2d_nchw_fchw {{.*}} tensor<?x1x10x10xf32>, tensor<4x1x3x3xf32>
util.func public @channel_wise(%n: index, %x: tensor<?x1x8x8xf32>, %y: tensor<?x2x8x8xf32>) -> tensor<?x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<?x1x8x8xf32>, tensor<?x2x8x8xf32>) -> tensor<?x3x8x8xf32>
  %p = tensor.pad %c low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<?x3x8x8xf32> to tensor<?x3x10x10xf32>
  %e = tensor.empty(%n) : tensor<?x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %w : tensor<?x3x10x10xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  util.return %r : tensor<?x4x8x8xf32>
}

// A hidden layer of 32 elements is made and accumulated in four parts of 8; the
// init of the parts has the extent that the layer's has.

// CHECK-LABEL: @streamed
//  CHECK-SAME: %[[X:.*]]: tensor<?x4xf32>
//       CHECK: %[[N:.*]] = tensor.dim %[[X]]
//       CHECK: tensor.empty(%[[N]]) : tensor<?x8xf32>
//       CHECK: linalg.matmul {{.*}} tensor<?x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<?x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<?x8xf32>, tensor<8x4xf32>
//       CHECK: linalg.matmul {{.*}} tensor<?x8xf32>, tensor<8x4xf32>
util.func public @streamed(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %up = arith.constant dense<0.01> : tensor<4x32xf32>
  %down = arith.constant dense<0.01> : tensor<32x4xf32>
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %e = tensor.empty(%n) : tensor<?x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  %h = linalg.matmul ins(%x, %up : tensor<?x4xf32>, tensor<4x32xf32>) outs(%f : tensor<?x32xf32>) -> tensor<?x32xf32>
  %y = linalg.matmul ins(%h, %down : tensor<?x32xf32>, tensor<32x4xf32>) outs(%x : tensor<?x4xf32>) -> tensor<?x4xf32>
  util.return %y : tensor<?x4xf32>
}

// Columns of a product over a dynamic inner dimension: slices of the operand
// read its rows by a tensor.dim.

// CHECK-LABEL: @inner_dimension
//  CHECK-SAME: %[[V:.*]]: tensor<1x?xf32>, %[[P:.*]]: tensor<?x64xf32>
//       CHECK: %[[ROWS:.*]] = tensor.dim %[[P]]
//       CHECK: tensor.extract_slice %[[P]][0, 0] [%[[ROWS]], 16] [1, 1] : tensor<?x64xf32> to tensor<?x16xf32>
//       CHECK: linalg.matmul {{.*}} tensor<1x?xf32>, tensor<?x16xf32>
util.func public @inner_dimension(%v: tensor<1x?xf32>, %p: tensor<?x64xf32>) -> tensor<1x64xf32> {
  %w = arith.constant dense<0.01> : tensor<64x64xf32>
  %f = arith.constant dense<0.0> : tensor<1x64xf32>
  %a = linalg.matmul ins(%v, %p : tensor<1x?xf32>, tensor<?x64xf32>) outs(%f : tensor<1x64xf32>) -> tensor<1x64xf32>
  %b = linalg.matmul ins(%a, %w : tensor<1x64xf32>, tensor<64x64xf32>) outs(%f : tensor<1x64xf32>) -> tensor<1x64xf32>
  util.return %b : tensor<1x64xf32>
}

// A sum of three tensors of one dynamic type.

// CHECK-LABEL: @sum
//       CHECK: arith.addf
//       CHECK: util.optimization_barrier {serenity.barrier} {{.*}} : tensor<?x4xf32>
//       CHECK: flow.tensor.tie_shape
//       CHECK: arith.addf
#id = affine_map<(d0, d1) -> (d0, d1)>
util.func public @sum(%n: index, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>, %z: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %a = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %y : tensor<?x4xf32>, tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %s = arith.addf %i, %j : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>
  %b = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %z : tensor<?x4xf32>, tensor<?x4xf32>) outs(%e : tensor<?x4xf32>) {
  ^bb0(%i: f32, %j: f32, %o: f32):
    %s = arith.addf %i, %j : f32
    linalg.yield %s : f32
  } -> tensor<?x4xf32>
  util.return %b : tensor<?x4xf32>
}
