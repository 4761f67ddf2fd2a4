// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-rewrite --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests that a convolution that cannot be split stays as it is, and that the
// remark says why.

// The height is concatenated, over which the window of the kernel slides.

util.func public @windowed(%x: tensor<1x3x4x8xf32>, %y: tensor<1x3x4x8xf32>) -> tensor<1x4x6x6xf32> {
  %w = arith.constant dense<1.0> : tensor<4x3x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x6x6xf32>
  %c = tensor.concat dim(2) %x, %y : (tensor<1x3x4x8xf32>, tensor<1x3x4x8xf32>) -> tensor<1x3x8x8xf32>
  // expected-remark @below {{serenity-rewrite: linalg.conv_2d_nchw_fchw over a concatenation is not rewritten: the concatenated dimension is read through a window}}
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%c, %w : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>) outs(%z : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
  util.return %r : tensor<1x4x6x6xf32>
}

// -----

// Weights that are an argument could be sliced only at run time.

util.func public @weights_from_outside(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  // expected-remark @below {{not rewritten: an operand that would have to be cut is not a constant}}
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%c, %w : tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}

// -----

// Channels that are padded with zeros belong to no part.

util.func public @padded_channels(%x: tensor<1x1x8x8xf32>, %y: tensor<1x2x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x4x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x1x8x8xf32>, tensor<1x2x8x8xf32>) -> tensor<1x3x8x8xf32>
  %p = tensor.pad %c low[0, 0, 0, 0] high[0, 1, 0, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x3x8x8xf32> to tensor<1x4x8x8xf32>
  // expected-remark @below {{not rewritten: the concatenated dimension is padded}}
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %w : tensor<1x4x8x8xf32>, tensor<4x4x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}

// -----

// A concatenation along a dynamic dimension.

util.func public @dynamic(%x: tensor<4x?xf32>, %y: tensor<4x2xf32>, %w: tensor<?x8xf32>, %z: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %c = tensor.concat dim(1) %x, %y : (tensor<4x?xf32>, tensor<4x2xf32>) -> tensor<4x?xf32>
  // expected-remark @below {{not rewritten: a shape is not static along the dimension that is cut}}
  %r = linalg.matmul ins(%c, %w : tensor<4x?xf32>, tensor<?x8xf32>) outs(%z : tensor<4x8xf32>) -> tensor<4x8xf32>
  util.return %r : tensor<4x8xf32>
}

// -----

// No concatenation, no remark.

util.func public @nothing_to_do(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>, %z: tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32> {
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  util.return %r : tensor<1x4x8x8xf32>
}
