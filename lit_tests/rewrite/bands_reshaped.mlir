// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2 max-recompute=1})' | FileCheck %s

// Tests that bands reach through reshapes that put rows next to dimensions of
// one element, and that the window of a pool over channels is none over rows,
// since the convolution before it has decided what rows are: a normalization
// over channels as importers write it. Bands of 4 rows of 8 need 6 rows of the
// operand, of which one is in the pad; nothing is computed twice behind the
// convolution.

// CHECK-LABEL: @normalized_over_channels
//       CHECK: %[[X0:.+]] = tensor.extract_slice %{{.+}}[0, 0, %{{.+}}, 0] [1, 3, 5, 8]
//       CHECK: %[[P0:.+]] = tensor.pad %[[X0]] low[0, 0, 1, 1] high[0, 0, 0, 1]
//       CHECK: %[[A0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x4x4x8xf32>
//       CHECK: %[[E0:.+]] = tensor.expand_shape %[[A0]] {{\[}}[0], [1, 2], [3], [4]] output_shape [1, 1, 4, 4, 8] : tensor<1x4x4x8xf32> into tensor<1x1x4x4x8xf32>
//       CHECK: tensor.pad %[[E0]] low[0, 0, 1, 0, 0] high[0, 0, 1, 0, 0]
//       CHECK: %[[T0:.+]] = linalg.transpose {{.+}} outs({{.+}} : tensor<1x6x4x8x1xf32>)
//       CHECK: %[[S0:.+]] = linalg.pooling_ndhwc_sum {{.+}} ins(%[[T0]], {{.+}}) outs({{.+}} : tensor<1x4x4x8x1xf32>)
//       CHECK: %[[C0:.+]] = tensor.collapse_shape %[[S0]] {{\[}}[0], [1], [2], [3, 4]] : tensor<1x4x4x8x1xf32> into tensor<1x4x4x8xf32>
//       CHECK: %[[D0:.+]] = linalg.generic {{.+}} ins(%[[A0]], %[[C0]] : tensor<1x4x4x8xf32>, tensor<1x4x4x8xf32>)
//       CHECK: %[[Y0:.+]] = tensor.insert_slice %[[D0]] into %{{.+}}[0, 0, %{{.+}}, 0] [1, 4, 4, 8]
//       CHECK: %[[D1:.+]] = linalg.generic
//       CHECK: %[[Y1:.+]] = tensor.insert_slice %[[D1]] into %[[Y0]][0, 0, %{{.+}}, 0] [1, 4, 4, 8]
//       CHECK: util.return %[[Y1]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @normalized_over_channels(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x3x8x8xf32> to tensor<1x3x10x10xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %w : tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %expanded = tensor.expand_shape %a [[0], [1, 2], [3], [4]] output_shape [1, 1, 4, 8, 8] : tensor<1x4x8x8xf32> into tensor<1x1x4x8x8xf32>
  %q = tensor.pad %expanded low[0, 0, 1, 0, 0] high[0, 0, 1, 0, 0] {
  ^bb0(%h: index, %i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x1x4x8x8xf32> to tensor<1x1x6x8x8xf32>
  %te = tensor.empty() : tensor<1x6x8x8x1xf32>
  %t = linalg.transpose ins(%q : tensor<1x1x6x8x8xf32>) outs(%te : tensor<1x6x8x8x1xf32>) permutation = [0, 2, 3, 4, 1]
  %k = tensor.empty() : tensor<3x1x1xf32>
  %se = tensor.empty() : tensor<1x4x8x8x1xf32>
  %sz = linalg.fill ins(%zero : f32) outs(%se : tensor<1x4x8x8x1xf32>) -> tensor<1x4x8x8x1xf32>
  %s = linalg.pooling_ndhwc_sum {dilations = dense<1> : vector<3xi64>, strides = dense<1> : vector<3xi64>} ins(%t, %k : tensor<1x6x8x8x1xf32>, tensor<3x1x1xf32>) outs(%sz : tensor<1x4x8x8x1xf32>) -> tensor<1x4x8x8x1xf32>
  %c = tensor.collapse_shape %s [[0], [1], [2], [3, 4]] : tensor<1x4x8x8x1xf32> into tensor<1x4x8x8xf32>
  %d = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %c : tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) outs(%e : tensor<1x4x8x8xf32>) {
  ^bb0(%l: f32, %r: f32, %out: f32):
    %v = arith.divf %l, %r : f32
    linalg.yield %v : f32
  } -> tensor<1x4x8x8xf32>
  util.return %d : tensor<1x4x8x8xf32>
}
