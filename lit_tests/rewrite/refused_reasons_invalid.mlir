// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-rewrite --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests the remaining reasons why a site is refused (refused_invalid.mlir has
// the others), and that nothing changes then.

// Slices that overlap are no concatenation.

util.func public @overlapping(%x: tensor<8x2xf32>, %y: tensor<8x2xf32>) -> tensor<8x4xf32> {
  %w = arith.constant dense<1.0> : tensor<3x4xf32>
  %z = arith.constant dense<0.0> : tensor<8x4xf32>
  %e = tensor.empty() : tensor<8x3xf32>
  %a = tensor.insert_slice %x into %e[0, 0] [8, 2] [1, 1] : tensor<8x2xf32> into tensor<8x3xf32>
  %c = tensor.insert_slice %y into %a[0, 1] [8, 2] [1, 1] : tensor<8x2xf32> into tensor<8x3xf32>
  // expected-remark @below {{not rewritten: the slices that are put together overlap, leave gaps or are cut along several dimensions}}
  %r = linalg.matmul ins(%c, %w : tensor<8x3xf32>, tensor<3x4xf32>) outs(%z : tensor<8x4xf32>) -> tensor<8x4xf32>
  util.return %r : tensor<8x4xf32>
}

// -----

// Collapsed behind the rows, a part's channels are not one slice any more.

util.func public @mixed_layout(%x: tensor<2x3x1xf32>, %y: tensor<2x3x2xf32>) -> tensor<2x4xf32> {
  %w = arith.constant dense<1.0> : tensor<9x4xf32>
  %z = arith.constant dense<0.0> : tensor<2x4xf32>
  %c = tensor.concat dim(2) %x, %y : (tensor<2x3x1xf32>, tensor<2x3x2xf32>) -> tensor<2x3x3xf32>
  %s = tensor.collapse_shape %c [[0], [1, 2]] : tensor<2x3x3xf32> into tensor<2x9xf32>
  // expected-remark @below {{not rewritten: a change of layout mixes the concatenated dimension with others}}
  %r = linalg.matmul ins(%s, %w : tensor<2x9xf32>, tensor<9x4xf32>) outs(%z : tensor<2x4xf32>) -> tensor<2x4xf32>
  util.return %r : tensor<2x4xf32>
}

// -----

// Groups of two channels, a concatenation boundary after three.

util.func public @crossed_groups(%x: tensor<1x3x8x8xf32>, %y: tensor<1x3x8x8xf32>) -> tensor<1x3x5x8x8xf32> {
  %w = arith.constant dense<1.0> : tensor<3x5x2x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x3x5x8x8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<1x3x8x8xf32>, tensor<1x3x8x8xf32>) -> tensor<1x6x8x8xf32>
  %g = tensor.expand_shape %c [[0], [1, 2], [3], [4]] output_shape [1, 3, 2, 8, 8] : tensor<1x6x8x8xf32> into tensor<1x3x2x8x8xf32>
  // expected-remark @below {{not rewritten: a group of channels straddles a concatenation boundary}}
  %r = linalg.conv_2d_ngchw_gfchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%g, %w : tensor<1x3x2x8x8xf32>, tensor<3x5x2x1x1xf32>) outs(%z : tensor<1x3x5x8x8xf32>) -> tensor<1x3x5x8x8xf32>
  util.return %r : tensor<1x3x5x8x8xf32>
}

// -----

// Two concatenations, cut after one and after two columns.

util.func public @disagreeing(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8xf32> {
  %z = arith.constant dense<0.0> : tensor<8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  %d = tensor.concat dim(1) %y, %x : (tensor<8x2xf32>, tensor<8x1xf32>) -> tensor<8x3xf32>
  // expected-remark @below {{not rewritten: two concatenations that meet are cut at different places}}
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%c, %d : tensor<8x3xf32>, tensor<8x3xf32>) outs(%z : tensor<8xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<8xf32>
  util.return %r : tensor<8xf32>
}

// -----

// Elements of four bits share their bytes.

util.func public @four_bits(%x: tensor<8x1xi4>, %y: tensor<8x2xi4>) -> tensor<8x2xi32> {
  %w = arith.constant dense<[[1, 2], [3, 4], [5, 6]]> : tensor<3x2xi4>
  %z = arith.constant dense<0> : tensor<8x2xi32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xi4>, tensor<8x2xi4>) -> tensor<8x3xi4>
  // expected-remark @below {{not rewritten: the elements of a constant are not whole bytes}}
  %r = linalg.matmul ins(%c, %w : tensor<8x3xi4>, tensor<3x2xi4>) outs(%z : tensor<8x2xi32>) -> tensor<8x2xi32>
  util.return %r : tensor<8x2xi32>
}

// -----

// What is added depends on where a column stands in the whole.

util.func public @position(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8xf32> {
  %z = arith.constant dense<0.0> : tensor<8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  // expected-remark @below {{not rewritten: the value depends on the position along the concatenated dimension}}
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%c : tensor<8x3xf32>) outs(%z : tensor<8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %i = linalg.index 1 : index
    %j = arith.index_cast %i : index to i32
    %k = arith.sitofp %j : i32 to f32
    %m = arith.mulf %a, %k : f32
    %s = arith.addf %out, %m : f32
    linalg.yield %s : f32
  } -> tensor<8xf32>
  util.return %r : tensor<8xf32>
}

// -----

// A difference is not a sum.

util.func public @not_associative(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8xf32> {
  %z = arith.constant dense<0.0> : tensor<8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  // expected-remark @below {{not rewritten: the body does not accumulate by one associative operation}}
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%c : tensor<8x3xf32>) outs(%z : tensor<8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %s = arith.subf %a, %out : f32
    linalg.yield %s : f32
  } -> tensor<8xf32>
  util.return %r : tensor<8xf32>
}

// -----

// Globals that may change hold no constant.

util.global private mutable @weight = dense<1.0> : tensor<3x4xf32>
util.func public @mutable_weights(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8x4xf32> {
  %w = util.global.load @weight : tensor<3x4xf32>
  %z = arith.constant dense<0.0> : tensor<8x4xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  // expected-remark @below {{not rewritten: an operand that would have to be cut is not a constant}}
  %r = linalg.matmul ins(%c, %w : tensor<8x3xf32>, tensor<3x4xf32>) outs(%z : tensor<8x4xf32>) -> tensor<8x4xf32>
  util.return %r : tensor<8x4xf32>
}

// -----

// What must not change, and gets no remark: a user's barrier, an update of a
// tensor that is no concatenation, a sum of two.

util.func public @untouched(%x: tensor<8x3xf32>, %y: tensor<8x2xf32>, %w: tensor<3x3xf32>) -> tensor<8x3xf32> {
  %b = util.optimization_barrier %x : tensor<8x3xf32>
  %u = tensor.insert_slice %y into %b[0, 1] [8, 2] [1, 1] : tensor<8x2xf32> into tensor<8x3xf32>
  %p = linalg.matmul ins(%u, %w : tensor<8x3xf32>, tensor<3x3xf32>) outs(%x : tensor<8x3xf32>) -> tensor<8x3xf32>
  %e = tensor.empty() : tensor<8x3xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%p, %x : tensor<8x3xf32>, tensor<8x3xf32>) outs(%e : tensor<8x3xf32>) {
  ^bb0(%a: f32, %c: f32, %out: f32):
    %d = arith.addf %a, %c : f32
    linalg.yield %d : f32
  } -> tensor<8x3xf32>
  util.return %s : tensor<8x3xf32>
}

// -----

// A sum of floats that becomes integers of 8 bits later.

util.func public @quantized_afterwards(%x: tensor<8x1xf32>, %y: tensor<8x2xf32>) -> tensor<8xi8> {
  %z = arith.constant dense<0.0> : tensor<8xf32>
  %c = tensor.concat dim(1) %x, %y : (tensor<8x1xf32>, tensor<8x2xf32>) -> tensor<8x3xf32>
  // expected-remark @below {{not rewritten: the sum is quantized later, so that rounding in another order could change it by a whole quantum}}
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%c : tensor<8x3xf32>) outs(%z : tensor<8xf32>) {
  ^bb0(%a: f32, %out: f32):
    %s = arith.addf %a, %out : f32
    linalg.yield %s : f32
  } -> tensor<8xf32>
  %g = tensor.empty() : tensor<8xi8>
  %q = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%r : tensor<8xf32>) outs(%g : tensor<8xi8>) {
  ^bb0(%a: f32, %out: i8):
    %t = arith.fptosi %a : f32 to i8
    linalg.yield %t : i8
  } -> tensor<8xi8>
  util.return %q : tensor<8xi8>
}
