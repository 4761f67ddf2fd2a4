// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2 max-recompute=1})' --split-input-file | FileCheck %s
// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s --check-prefix=ALONE

// Without being asked to the pass alone computes nothing in bands.
// ALONE-NOT: serenity.barrier
// ALONE-NOT: insert_slice

// Tests that two convolutions are computed in two bands of rows. The result has
// 8 rows, a band of it 4; these need 5 rows of the value between (rows 0 to 4
// and 3 to 7, padded at the border of the image only) and 6 of the operand
// (rows 0 to 5 and 2 to 7). Offsets stand behind barriers, so that the bands
// share what copies them.

// CHECK-LABEL: @two_convolutions
//       CHECK: linalg.fill
//       CHECK: %[[Y:.+]] = tensor.empty() : tensor<1x4x8x8xf32>
//       CHECK: %[[FROM0:.+]] = util.optimization_barrier {serenity.barrier} %c0
//       CHECK: %[[X0:.+]] = tensor.extract_slice %{{.+}}[0, 0, %[[FROM0]], 0] [1, 3, 6, 8]
//       CHECK: %[[P0:.+]] = tensor.pad %[[X0]] low[0, 0, 1, 1] high[0, 0, 0, 1]
//       CHECK: %[[A0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[P0]], %{{.+}} : tensor<1x3x7x10xf32>, tensor<4x3x3x3xf32>) outs({{.+}}) -> tensor<1x4x5x8xf32>
//       CHECK: %[[Q0:.+]] = tensor.pad %[[A0]] low[0, 0, 1, 1] high[0, 0, 0, 1]
//       CHECK: %[[B0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[Q0]], %{{.+}}) outs({{.+}}) -> tensor<1x4x4x8xf32>
//       CHECK: %[[TO0:.+]] = util.optimization_barrier
//       CHECK: %[[Y0:.+]] = tensor.insert_slice %[[B0]] into %[[Y]][0, 0, %[[TO0]], 0] [1, 4, 4, 8]
//       CHECK: %[[FROM1:.+]] = util.optimization_barrier {serenity.barrier} %c2
//       CHECK: %[[X1:.+]] = tensor.extract_slice %{{.+}}[0, 0, %[[FROM1]], 0] [1, 3, 6, 8]
//       CHECK: %[[P1:.+]] = tensor.pad %[[X1]] low[0, 0, 0, 1] high[0, 0, 1, 1]
//       CHECK: %[[A1:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[P1]], %{{.+}}) outs({{.+}}) -> tensor<1x4x5x8xf32>
//       CHECK: %[[Q1:.+]] = tensor.pad %[[A1]] low[0, 0, 0, 1] high[0, 0, 1, 1]
//       CHECK: %[[B1:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[Q1]], %{{.+}}) outs({{.+}}) -> tensor<1x4x4x8xf32>
//       CHECK: %[[TO1:.+]] = util.optimization_barrier {serenity.barrier} %c4
//       CHECK: %[[Y1:.+]] = tensor.insert_slice %[[B1]] into %[[Y0]][0, 0, %[[TO1]], 0] [1, 4, 4, 8]
//       CHECK: util.return %[[Y1]]
util.func public @two_convolutions(%x: tensor<1x3x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %v = arith.constant dense<1.0> : tensor<4x4x3x3xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x3x8x8xf32> to tensor<1x3x10x10xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %w : tensor<1x3x10x10xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %q = tensor.pad %a low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x4x8x8xf32> to tensor<1x4x10x10xf32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%q, %v : tensor<1x4x10x10xf32>, tensor<4x4x3x3xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %b : tensor<1x4x8x8xf32>
}

// -----

// Tests channels last: rows are dimension 1. Row r of the depthwise result,
// whose stride is 2, reads rows 2 r to 2 r + 2; rows 0 to 3 need rows 0 to 8 of
// 17, rows 4 to 7 rows 8 to 16. The bias is cut where it is broadcast.

// CHECK-LABEL: @channels_last
//       CHECK: %[[X0:.+]] = tensor.extract_slice %{{.+}}[0, %{{.+}}, 0, 0] [1, 9, 17, 3]
//       CHECK: %[[E0:.+]] = linalg.conv_2d_nhwc_hwcf {{.+}} ins(%[[X0]], %{{.+}}) outs(%{{.+}} : tensor<1x9x17x8xf32>)
//       CHECK: %[[D0:.+]] = linalg.depthwise_conv_2d_nhwc_hwc {{.+}} ins(%[[E0]], %{{.+}}) outs(%{{.+}} : tensor<1x4x8x8xf32>)
//       CHECK: tensor.insert_slice %[[D0]] into %{{.+}}[0, %{{.+}}, 0, 0] [1, 4, 8, 8]
//       CHECK: %[[FROM1:.+]] = util.optimization_barrier {serenity.barrier} %c8
//       CHECK: tensor.extract_slice %{{.+}}[0, %[[FROM1]], 0, 0] [1, 9, 17, 3]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d3)>
util.func public @channels_last(%x: tensor<1x17x17x3xf32>) -> tensor<1x8x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<1x1x3x8xf32>
  %v = arith.constant dense<1.0> : tensor<3x3x8xf32>
  %b = arith.constant dense<1.0> : tensor<8xf32>
  %e = tensor.empty() : tensor<1x17x17x8xf32>
  %bias = linalg.generic {indexing_maps = [#channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b : tensor<8xf32>) outs(%e : tensor<1x17x17x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<1x17x17x8xf32>
  %a = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x17x17x3xf32>, tensor<1x1x3x8xf32>) outs(%bias : tensor<1x17x17x8xf32>) -> tensor<1x17x17x8xf32>
  %f = tensor.empty() : tensor<1x8x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%f : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %d = linalg.depthwise_conv_2d_nhwc_hwc {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%a, %v : tensor<1x17x17x8xf32>, tensor<3x3x8xf32>) outs(%z : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  util.return %d : tensor<1x8x8x8xf32>
}

// -----

// Tests a residual sum: the skip reads the rows of the result alone, the
// branch beside it two more on each side for its window of dilation 2. Seven
// rows are four and three: the first four need rows 0 to 5 of the value that
// both read, the last three rows 2 to 6.

// CHECK-LABEL: @residual_sum
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 1, 6, 7]
//       CHECK: %[[A0:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x6x7xf32>
//       CHECK: %[[P0:.+]] = tensor.pad %[[A0]] low[0, 0, 2, 2] high[0, 0, 0, 2]
//       CHECK: %[[C0:.+]] = linalg.depthwise_conv_2d_nchw_chw {{.+}} ins(%[[P0]], %{{.+}} : tensor<1x8x8x11xf32>, tensor<8x3x3xf32>)
//       CHECK: %[[K0:.+]] = tensor.extract_slice %[[A0]][0, 0, 0, 0] [1, 8, 4, 7]
//       CHECK: linalg.generic {{.+}} ins(%[[C0]], %[[K0]] : tensor<1x8x4x7xf32>, tensor<1x8x4x7xf32>)
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 1, 5, 7]
//       CHECK: %[[A1:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x5x7xf32>
//       CHECK: tensor.pad %[[A1]] low[0, 0, 0, 2] high[0, 0, 2, 2]
//       CHECK: tensor.extract_slice %[[A1]][0, 0, 2, 0] [1, 8, 3, 7]
//       CHECK: linalg.generic {{.+}} : tensor<1x8x3x7xf32>, tensor<1x8x3x7xf32>)
//       CHECK: tensor.insert_slice {{.+}} [1, 8, 3, 7]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @residual_sum(%x: tensor<1x1x7x7xf32>) -> tensor<1x8x7x7xf32> {
  %zero = arith.constant 0.0 : f32
  %v = arith.constant dense<1.0> : tensor<8x1x1x1xf32>
  %w = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %e = tensor.empty() : tensor<1x8x7x7xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %v : tensor<1x1x7x7xf32>, tensor<8x1x1x1xf32>) outs(%z : tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
  %p = tensor.pad %a low[0, 0, 2, 2] high[0, 0, 2, 2] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x7x7xf32> to tensor<1x8x11x11xf32>
  %c = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<2> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %w : tensor<1x8x11x11xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x7x7xf32>) -> tensor<1x8x7x7xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%c, %a : tensor<1x8x7x7xf32>, tensor<1x8x7x7xf32>) outs(%e : tensor<1x8x7x7xf32>) {
  ^bb0(%in: f32, %skip: f32, %out: f32):
    %s = arith.addf %in, %skip : f32
    linalg.yield %s : f32
  } -> tensor<1x8x7x7xf32>
  util.return %y : tensor<1x8x7x7xf32>
}

// -----

// Tests a pool behind a concatenation of channels and a crop: row r of the crop
// is row r + 1 of the operand, so that rows 0 to 3 of the pool (stride 2, window
// 2) are rows 1 to 8 of 18.

// CHECK-LABEL: @crop_concat_pool
//       CHECK: %[[FROM0:.+]] = util.optimization_barrier {serenity.barrier} %c1
//       CHECK: %[[X0:.+]] = tensor.extract_slice %arg0[0, 0, %[[FROM0]], 0] [1, 4, 8, 16]
//       CHECK: %[[C0:.+]] = tensor.extract_slice %[[X0]][0, 0, 0, 0] [1, 4, 8, 16]
//       CHECK: %[[J0:.+]] = tensor.concat dim(1) %[[C0]], %{{.+}} -> tensor<1x8x8x16xf32>
//       CHECK: linalg.pooling_nchw_max {{.+}} ins(%[[J0]], %{{.+}}) outs({{.+}}) -> tensor<1x8x4x8xf32>
//       CHECK: util.optimization_barrier {serenity.barrier} %c9
util.func public @crop_concat_pool(%x: tensor<1x4x18x16xf32>, %y: tensor<1x4x16x16xf32>) -> tensor<1x8x8x8xf32> {
  %low = arith.constant 0xFF800000 : f32
  %c = tensor.extract_slice %x[0, 0, 1, 0] [1, 4, 16, 16] [1, 1, 1, 1] : tensor<1x4x18x16xf32> to tensor<1x4x16x16xf32>
  %j = tensor.concat dim(1) %c, %y : (tensor<1x4x16x16xf32>, tensor<1x4x16x16xf32>) -> tensor<1x8x16x16xf32>
  %e = tensor.empty() : tensor<1x8x8x8xf32>
  %z = linalg.fill ins(%low : f32) outs(%e : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  %k = tensor.empty() : tensor<2x2xf32>
  %m = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%j, %k : tensor<1x8x16x16xf32>, tensor<2x2xf32>) outs(%z : tensor<1x8x8x8xf32>) -> tensor<1x8x8x8xf32>
  util.return %m : tensor<1x8x8x8xf32>
}

// -----

// Tests that a band reads the indices that its rows have in the whole, as the
// divisor of an average without padding does: the second band of two begins at
// row 4. Indices of columns stay as they are.

// CHECK-LABEL: @index_of_a_row
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x4x4x8xf32>
//       CHECK: %[[ROW0:.+]] = linalg.index 2 : index
//       CHECK: %[[BEGIN0:.+]] = arith.constant 0 : index
//       CHECK: arith.addi %[[ROW0]], %[[BEGIN0]] : index
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x4x4x8xf32>
//       CHECK: %[[ROW1:.+]] = linalg.index 2 : index
//       CHECK: %[[BEGIN1:.+]] = arith.constant 4 : index
//       CHECK: %[[WHOLE:.+]] = arith.addi %[[ROW1]], %[[BEGIN1]] : index
//       CHECK: %[[COLUMN:.+]] = linalg.index 3 : index
//       CHECK: arith.addi %[[WHOLE]], %[[COLUMN]] : index
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @index_of_a_row(%x: tensor<1x1x8x8xf32>) -> tensor<1x4x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x1x1x1xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x1x8x8xf32>, tensor<4x1x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x4x8x8xf32>) outs(%e : tensor<1x4x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %row = linalg.index 2 : index
    %column = linalg.index 3 : index
    %sum = arith.addi %row, %column : index
    %i = arith.index_cast %sum : index to i32
    %f = arith.sitofp %i : i32 to f32
    %s = arith.addf %in, %f : f32
    linalg.yield %s : f32
  } -> tensor<1x4x8x8xf32>
  %low = arith.constant 0xFF800000 : f32
  %f = tensor.empty() : tensor<1x4x4x4xf32>
  %y = linalg.fill ins(%low : f32) outs(%f : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %k = tensor.empty() : tensor<2x2xf32>
  %c = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>} ins(%b, %k : tensor<1x4x8x8xf32>, tensor<2x2xf32>) outs(%y : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  util.return %c : tensor<1x4x4x4xf32>
}
