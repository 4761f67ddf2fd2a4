// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=1 max-recompute=0})' --split-input-file --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests that what cannot be computed in bands of rows stays as it is, and that
// the remark says why, where the segment ends.

// Two windows that overlap need rows twice, which the limit forbids. As a whole
// the value between has 4 x 12 x 12 x 4 = 2,304 bytes. A band of one row needs
// 3 rows of it, 576 bytes, and 5 of the argument, 840, which are 896 rounded up
// to 64 and are alive together: 1,472.

util.func public @work_limit(%x: tensor<1x3x14x14xf32>) -> tensor<1x4x10x10xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %v = arith.constant dense<1.0> : tensor<4x4x3x3xf32>
  %e = tensor.empty() : tensor<1x4x12x12xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x12x12xf32>) -> tensor<1x4x12x12xf32>
  // expected-remark @below {{serenity-rewrite: linalg.conv_2d_nchw_fchw is not computed in bands of rows: a predicted peak of 1472 bytes instead of 2304 would take}}
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x3x14x14xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<1x4x12x12xf32>) -> tensor<1x4x12x12xf32>
  %f = tensor.empty() : tensor<1x4x10x10xf32>
  %y = linalg.fill ins(%zero : f32) outs(%f : tensor<1x4x10x10xf32>) -> tensor<1x4x10x10xf32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%a, %v : tensor<1x4x12x12xf32>, tensor<4x4x3x3xf32>) outs(%y : tensor<1x4x10x10xf32>) -> tensor<1x4x10x10xf32>
  util.return %b : tensor<1x4x10x10xf32>
}

// -----

// The elements of a table are read by the index of the row.

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @gathered_by_row(%x: tensor<1x4x8x8xf32>, %table: tensor<8xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x1x1xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %a = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // expected-remark @below {{linalg.generic is not computed in bands of rows: its body reads elements by the index of the row}}
  %b = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x4x8x8xf32>) outs(%e : tensor<1x4x8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %row = linalg.index 2 : index
    %f = tensor.extract %table[%row] : tensor<8xf32>
    %s = arith.addf %in, %f : f32
    linalg.yield %s : f32
  } -> tensor<1x4x8x8xf32>
  util.return %b : tensor<1x4x8x8xf32>
}

// -----

// A reshape mixes rows and columns; a mean over the image reduces the rows.

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d0, d1)>
util.func public @unknown(%x: tensor<1x4x8x8xf32>) -> (tensor<1x4x64xf32>, tensor<1x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x1x1xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %a = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %r = tensor.collapse_shape %a [[0], [1], [2, 3]] : tensor<1x4x8x8xf32> into tensor<1x4x64xf32>
  %f = tensor.empty() : tensor<1x4xf32>
  %y = linalg.fill ins(%zero : f32) outs(%f : tensor<1x4xf32>) -> tensor<1x4xf32>
  // expected-remark @below {{linalg.generic is not computed in bands of rows: it reduces, reorders or reshapes rows, or is not a known operation}}
  %m = linalg.generic {indexing_maps = [#id, #channel], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%a : tensor<1x4x8x8xf32>) outs(%y : tensor<1x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %s = arith.addf %in, %out : f32
    linalg.yield %s : f32
  } -> tensor<1x4xf32>
  util.return %r, %m : tensor<1x4x64xf32>, tensor<1x4xf32>
}

// -----

// The number of rows is known only when the function is called.

#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @dynamic(%x: tensor<1x4x8x8xf32>, %rows: index) -> tensor<1x4x?x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x1x1xf32>
  %e = tensor.empty() : tensor<1x4x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %a = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // expected-remark @below {{tensor.extract_slice is not computed in bands of rows: a shape is not static along the rows}}
  %s = tensor.extract_slice %a[0, 0, 0, 0] [1, 4, %rows, 8] [1, 1, 1, 1] : tensor<1x4x8x8xf32> to tensor<1x4x?x8xf32>
  util.return %s : tensor<1x4x?x8xf32>
}

// -----

// What lies between the elements is computed, too.

util.func public @between_computed(%x: tensor<1x4x4x4xf32>, %y: tensor<1x4x9x9xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %v = arith.constant dense<1.0> : tensor<4x1x1xf32>
  %e = tensor.empty() : tensor<1x4x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %a = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %v : tensor<1x4x4x4xf32>, tensor<4x1x1xf32>) outs(%f : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  %w = arith.constant dense<1.0> : tensor<4x4x2x2xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  // expected-remark @below {{tensor.insert_slice is not computed in bands of rows: it reduces, reorders or reshapes rows, or is not a known operation}}
  %i = tensor.insert_slice %a into %y[0, 0, 1, 1] [1, 4, 4, 4] [1, 1, 2, 2]
      : tensor<1x4x4x4xf32> into tensor<1x4x9x9xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%i, %w : tensor<1x4x9x9xf32>, tensor<4x4x2x2xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}
