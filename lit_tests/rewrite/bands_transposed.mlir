// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2 max-recompute=1})' | FileCheck %s

// Tests a transposed convolution as it is imported: a convolution over the
// operand between zeros. Row r of the operand is row 2 r + 1 of nine. Rows 0 to
// 3 of the result read rows 0 to 4 of these, with rows 0 and 1 of the operand;
// rows 4 to 7 read rows 4 to 8, with rows 2 and 3. Both bands are alike.

// CHECK-LABEL: @transposed
//       CHECK: %[[FROM0:.+]] = util.optimization_barrier {serenity.barrier} %c0
//       CHECK: %[[X0:.+]] = tensor.extract_slice %arg0[0, 0, %[[FROM0]], 0] [1, 8, 2, 4]
//       CHECK: %[[Z0:.+]] = tensor.insert_slice %[[X0]] into %{{.+}}[0, 0, 1, 1] [1, 8, 2, 4] [1, 1, 2, 2] : tensor<1x8x2x4xf32> into tensor<1x8x5x9xf32>
//       CHECK: %[[Y0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[Z0]], %{{.+}} -> tensor<1x4x4x8xf32>
//       CHECK: %[[FROM1:.+]] = util.optimization_barrier {serenity.barrier} %c2
//       CHECK: %[[X1:.+]] = tensor.extract_slice %arg0[0, 0, %[[FROM1]], 0] [1, 8, 2, 4]
//       CHECK: tensor.insert_slice %[[X1]] into %{{.+}}[0, 0, 1, 1] [1, 8, 2, 4] [1, 1, 2, 2] : tensor<1x8x2x4xf32> into tensor<1x8x5x9xf32>
//   CHECK-NOT: tensor<1x8x9x9xf32>
//       CHECK: util.return
util.func public @transposed(%x: tensor<1x8x4x4xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x8x2x2xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %empty = tensor.empty() : tensor<1x8x9x9xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x8x9x9xf32>) -> tensor<1x8x9x9xf32>
  %i = tensor.insert_slice %x into %fill[0, 0, 1, 1] [1, 8, 4, 4] [1, 1, 2, 2]
      : tensor<1x8x4x4xf32> into tensor<1x8x9x9xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%i, %w : tensor<1x8x9x9xf32>, tensor<4x8x2x2xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}
