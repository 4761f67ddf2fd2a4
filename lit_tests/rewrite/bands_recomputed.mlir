// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=1 max-recompute=0.2})' | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=1 max-recompute=0})' | FileCheck %s --check-prefix=KEPT

// Tests a level of a U-Net: the first convolution is read by the pool and,
// behind an operation that is not computed in bands, by the concatenation. It is
// computed again there from the argument, in bands, so that it never exists as a
// whole.

// CHECK-LABEL: @level
//   CHECK-NOT: linalg.conv_2d_nchw_fchw
//       CHECK: %[[X0:.+]] = tensor.extract_slice %arg0{{.+}} to tensor<1x1x2x16xf32>
//       CHECK: %[[S0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[X0]], {{.+}} -> tensor<1x4x2x16xf32>
//       CHECK: %[[P0:.+]] = linalg.pooling_nchw_max {{.+}} ins(%[[S0]], {{.+}} -> tensor<1x4x1x8xf32>
//       CHECK: tensor.insert_slice %[[P0]] into %{{.+}} into tensor<1x4x8x8xf32>
//       CHECK: linalg.generic
//       CHECK: tensor.insert_slice %{{.+}} [1, 1, 2, 2] : tensor<1x4x1x8xf32> into tensor<1x4x2x17xf32>
//       CHECK: %[[U1:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x4x1x16xf32>
//       CHECK: %[[X1:.+]] = tensor.extract_slice %arg0{{.+}} to tensor<1x1x1x16xf32>
//       CHECK: %[[S1:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[X1]], {{.+}} -> tensor<1x4x1x16xf32>
//       CHECK: tensor.concat dim(1) %[[S1]], %[[U1]]

// Without extra work it is kept.

// KEPT-LABEL: @level
//       KEPT: %[[S:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x4x16x16xf32>
//       KEPT: tensor.extract_slice %[[S]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @level(%x: tensor<1x1x16x16xf32>) -> tensor<1x2x16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %ws = arith.constant dense<1.0> : tensor<4x1x1x1xf32>
  %es = tensor.empty() : tensor<1x4x16x16xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<1x4x16x16xf32>) -> tensor<1x4x16x16xf32>
  %s = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %ws : tensor<1x1x16x16xf32>, tensor<4x1x1x1xf32>) outs(%zs : tensor<1x4x16x16xf32>) -> tensor<1x4x16x16xf32>
  %ep = tensor.empty() : tensor<1x4x8x8xf32>
  %zp = linalg.fill ins(%low : f32) outs(%ep : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %k = tensor.empty() : tensor<2x2xf32>
  %p = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}
      ins(%s, %k : tensor<1x4x16x16xf32>, tensor<2x2xf32>) outs(%zp : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %wq = arith.constant dense<1.0> : tensor<4x4x1x1xf32>
  %zq = linalg.fill ins(%zero : f32) outs(%ep : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %q = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %wq : tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) outs(%zq : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %table = arith.constant dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]> : tensor<8xf32>
  %m = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q : tensor<1x4x8x8xf32>) outs(%ep : tensor<1x4x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %row = linalg.index 2 : index
    %f = tensor.extract %table[%row] : tensor<8xf32>
    %sum = arith.addf %in, %f : f32
    linalg.yield %sum : f32
  } -> tensor<1x4x8x8xf32>
  %ef = tensor.empty() : tensor<1x4x17x17xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ef : tensor<1x4x17x17xf32>) -> tensor<1x4x17x17xf32>
  %spread = tensor.insert_slice %m into %zf[0, 0, 1, 1] [1, 4, 8, 8] [1, 1, 2, 2]
      : tensor<1x4x8x8xf32> into tensor<1x4x17x17xf32>
  %wu = arith.constant dense<1.0> : tensor<4x4x2x2xf32>
  %u = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%spread, %wu : tensor<1x4x17x17xf32>, tensor<4x4x2x2xf32>) outs(%zs : tensor<1x4x16x16xf32>) -> tensor<1x4x16x16xf32>
  %c = tensor.concat dim(1) %s, %u : (tensor<1x4x16x16xf32>, tensor<1x4x16x16xf32>) -> tensor<1x8x16x16xf32>
  %wy = arith.constant dense<1.0> : tensor<2x8x1x1xf32>
  %ey = tensor.empty() : tensor<1x2x16x16xf32>
  %zy = linalg.fill ins(%zero : f32) outs(%ey : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%c, %wy : tensor<1x8x16x16xf32>, tensor<2x8x1x1xf32>) outs(%zy : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  util.return %y : tensor<1x2x16x16xf32>
}
