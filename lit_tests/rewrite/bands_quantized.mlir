// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{rewrite=off bands=2})' --split-input-file | FileCheck %s

// Tests that a chain of integer contractions is computed in two bands of rows.
// The accumulator of 32 bits never is stored, and neither is the whole of the
// value of 8 bits behind it: a band of 4 rows has 8 x 4 x 8 = 256 bytes, the
// whole has 512. The barrier, which keeps the second contraction from pulling
// the quantization over, is made again in each band. The sum of the weights is
// a constant: it does not end the segment.

// CHECK-LABEL: @barrier_between
//       CHECK: %[[SUM:.+]] = linalg.generic {{.+}} ins(%{{.+}} : tensor<8x1x1x1xi8>)
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 1, 4, 8]
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xi32>
//       CHECK: %[[Q:.+]] = linalg.generic {{.+}} ins(%[[A]], %[[SUM]] : tensor<1x8x4x8xi32>, tensor<8xi32>)
//       CHECK: %[[B:.+]] = util.optimization_barrier {serenity.barrier} %[[Q]] : tensor<1x8x4x8xi8>
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[B]], %{{.+}} -> tensor<1x1x4x8xi32>
//       CHECK: tensor.insert_slice
//       CHECK: tensor.extract_slice %arg0{{.+}} [1, 1, 4, 8]
//       CHECK: %[[Q2:.+]] = linalg.generic {{.+}} ins(%{{.+}}, %[[SUM]] : tensor<1x8x4x8xi32>, tensor<8xi32>)
//       CHECK: %[[B2:.+]] = util.optimization_barrier {serenity.barrier} %[[Q2]] : tensor<1x8x4x8xi8>
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[B2]], %{{.+}} -> tensor<1x1x4x8xi32>
//       CHECK: tensor.insert_slice
//       CHECK: util.return
#all = affine_map<(n, f, h, w) -> (n, f, h, w)>
#channel = affine_map<(n, f, h, w) -> (f)>
util.func public @barrier_between(%x: tensor<1x1x8x8xi8>) -> tensor<1x1x8x8xi32> {
  %zero = arith.constant 0 : i32
  %w = arith.constant dense<3> : tensor<8x1x1x1xi8>
  %v = arith.constant dense<2> : tensor<1x8x1x1xi8>
  %h = tensor.empty() : tensor<1x1x8x8xi32>
  %o = linalg.fill ins(%zero : i32) outs(%h : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  %e = tensor.empty() : tensor<1x8x8x8xi32>
  %z = linalg.fill ins(%zero : i32) outs(%e : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %f = tensor.empty() : tensor<8xi32>
  %y = linalg.fill ins(%zero : i32) outs(%f : tensor<8xi32>) -> tensor<8xi32>
  %sum = linalg.generic {indexing_maps = [affine_map<(f, c, h, w) -> (f, c, h, w)>, affine_map<(f, c, h, w) -> (f)>], iterator_types = ["parallel", "reduction", "reduction", "reduction"]}
      ins(%w : tensor<8x1x1x1xi8>) outs(%y : tensor<8xi32>) {
  ^bb0(%in: i8, %out: i32):
    %wide = arith.extsi %in : i8 to i32
    %s = arith.addi %out, %wide : i32
    linalg.yield %s : i32
  } -> tensor<8xi32>
  %g = tensor.empty() : tensor<1x8x8x8xi8>
  %q = linalg.generic {indexing_maps = [#all, #channel, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %sum : tensor<1x8x8x8xi32>, tensor<8xi32>) outs(%g : tensor<1x8x8x8xi8>) {
  ^bb0(%in: i32, %share: i32, %out: i8):
    %d = arith.subi %in, %share : i32
    %t = arith.trunci %d : i32 to i8
    linalg.yield %t : i8
  } -> tensor<1x8x8x8xi8>
  %b = util.optimization_barrier {serenity.barrier} %q : tensor<1x8x8x8xi8>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%b, %v : tensor<1x8x8x8xi8>, tensor<1x8x1x1xi8>) outs(%o : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  util.return %c : tensor<1x1x8x8xi32>
}

// -----

// Tests that a barrier that is not of serenity ends the segment: the barrier of
// a user holds a value as a whole.

// CHECK-LABEL: @barrier_of_the_user
//       CHECK: util.optimization_barrier %{{.+}} : tensor<1x8x8x8xi8>
//   CHECK-NOT: tensor.insert_slice
//       CHECK: util.return
util.func public @barrier_of_the_user(%x: tensor<1x1x8x8xi8>) -> tensor<1x1x8x8xi32> {
  %zero = arith.constant 0 : i32
  %w = arith.constant dense<3> : tensor<8x1x1x1xi8>
  %v = arith.constant dense<2> : tensor<1x8x1x1xi8>
  %h = tensor.empty() : tensor<1x1x8x8xi32>
  %o = linalg.fill ins(%zero : i32) outs(%h : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  %e = tensor.empty() : tensor<1x8x8x8xi32>
  %z = linalg.fill ins(%zero : i32) outs(%e : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %g = tensor.empty() : tensor<1x8x8x8xi8>
  %q = linalg.generic {indexing_maps = [affine_map<(n, f, h, w) -> (n, f, h, w)>, affine_map<(n, f, h, w) -> (n, f, h, w)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x8x8x8xi32>) outs(%g : tensor<1x8x8x8xi8>) {
  ^bb0(%in: i32, %out: i8):
    %t = arith.trunci %in : i32 to i8
    linalg.yield %t : i8
  } -> tensor<1x8x8x8xi8>
  %b = util.optimization_barrier %q : tensor<1x8x8x8xi8>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%b, %v : tensor<1x8x8x8xi8>, tensor<1x8x1x1xi8>) outs(%o : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  util.return %c : tensor<1x1x8x8xi32>
}

// -----

// Tests that a dequantized value is not stored where one operation reads it:
// that computes it in its own dispatch. Argument and result are no transient
// memory, so bands would lower nothing.

// CHECK-LABEL: @dequantized
//   CHECK-NOT: tensor.insert_slice
//       CHECK: util.return
#all = affine_map<(n, f, h, w) -> (n, f, h, w)>
util.func public @dequantized(%x: tensor<1x8x8x8xi8>) -> tensor<1x8x6x6xf32> {
  %low = arith.constant -1.0e+30 : f32
  %e = tensor.empty() : tensor<1x8x8x8xf32>
  %d = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x8x8xi8>) outs(%e : tensor<1x8x8x8xf32>) {
  ^bb0(%in: i8, %out: f32):
    %f = arith.sitofp %in : i8 to f32
    linalg.yield %f : f32
  } -> tensor<1x8x8x8xf32>
  %window = tensor.empty() : tensor<3x3xf32>
  %g = tensor.empty() : tensor<1x8x6x6xf32>
  %z = linalg.fill ins(%low : f32) outs(%g : tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
  %p = linalg.pooling_nchw_max {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%d, %window : tensor<1x8x8x8xf32>, tensor<3x3xf32>) outs(%z : tensor<1x8x6x6xf32>) -> tensor<1x8x6x6xf32>
  util.return %p : tensor<1x8x6x6xf32>
}

// -----

// Tests that a dequantized value that two operations read is not stored either:
// IREE copies what dequantizes it into the dispatches of both. If its 2,048
// bytes were counted, bands of the expansion behind it, of 1,024 bytes, would
// not lower the peak.

// CHECK-LABEL: @expanded_behind
//       CHECK: %[[D:.+]] = linalg.generic {{.+}} outs(%{{.+}} : tensor<1x8x8x8xf32>)
//       CHECK: linalg.generic {{.+}} ins(%[[D]] : tensor<1x8x8x8xf32>) outs(%{{.+}} : tensor<8xf32>)
//       CHECK: %[[E:.+]] = linalg.generic {{.+}} outs(%{{.+}} : tensor<1x8x8x8xf32>)
//       CHECK: linalg.generic {{.+}} ins(%[[E]], %{{.+}} : tensor<1x8x8x8xf32>, tensor<8xf32>)
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x16x{{[1-7]}}x8xi32>
//       CHECK: tensor.insert_slice
//       CHECK: util.return
#all = affine_map<(n, f, h, w) -> (n, f, h, w)>
#channel = affine_map<(n, f, h, w) -> (f)>
util.func public @expanded_behind(%x: tensor<1x1x8x8xi8>) -> tensor<1x1x8x8xi32> {
  %zero = arith.constant 0 : i32
  %none = arith.constant 0.0 : f32
  %u = arith.constant dense<3> : tensor<8x1x1x1xi8>
  %v = arith.constant dense<2> : tensor<16x8x1x1xi8>
  %w = arith.constant dense<1> : tensor<1x16x1x1xi8>
  %e = tensor.empty() : tensor<1x8x8x8xi32>
  %z = linalg.fill ins(%zero : i32) outs(%e : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %u : tensor<1x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %g = tensor.empty() : tensor<1x8x8x8xi8>
  %q = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x8x8x8xi32>) outs(%g : tensor<1x8x8x8xi8>) {
  ^bb0(%in: i32, %out: i8):
    %n = arith.trunci %in : i32 to i8
    linalg.yield %n : i8
  } -> tensor<1x8x8x8xi8>
  %f = tensor.empty() : tensor<1x8x8x8xf32>
  %d = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%q : tensor<1x8x8x8xi8>) outs(%f : tensor<1x8x8x8xf32>) {
  ^bb0(%in: i8, %out: f32):
    %n = arith.sitofp %in : i8 to f32
    linalg.yield %n : f32
  } -> tensor<1x8x8x8xf32>
  %s = tensor.empty() : tensor<8xf32>
  %y = linalg.fill ins(%none : f32) outs(%s : tensor<8xf32>) -> tensor<8xf32>
  %pool = linalg.generic {indexing_maps = [#all, #channel], iterator_types = ["reduction", "parallel", "reduction", "reduction"]}
      ins(%d : tensor<1x8x8x8xf32>) outs(%y : tensor<8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %sum = arith.addf %out, %in : f32
    linalg.yield %sum : f32
  } -> tensor<8xf32>
  %p = linalg.generic {indexing_maps = [#all, #channel, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%d, %pool : tensor<1x8x8x8xf32>, tensor<8xf32>) outs(%g : tensor<1x8x8x8xi8>) {
  ^bb0(%in: f32, %gate: f32, %out: i8):
    %m = arith.mulf %in, %gate : f32
    %n = arith.fptosi %m : f32 to i8
    linalg.yield %n : i8
  } -> tensor<1x8x8x8xi8>
  %h = tensor.empty() : tensor<1x16x8x8xi32>
  %i = linalg.fill ins(%zero : i32) outs(%h : tensor<1x16x8x8xi32>) -> tensor<1x16x8x8xi32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %v : tensor<1x8x8x8xi8>, tensor<16x8x1x1xi8>) outs(%i : tensor<1x16x8x8xi32>) -> tensor<1x16x8x8xi32>
  %j = tensor.empty() : tensor<1x16x8x8xi8>
  %k = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b : tensor<1x16x8x8xi32>) outs(%j : tensor<1x16x8x8xi8>) {
  ^bb0(%in: i32, %out: i8):
    %n = arith.trunci %in : i32 to i8
    linalg.yield %n : i8
  } -> tensor<1x16x8x8xi8>
  %l = tensor.empty() : tensor<1x1x8x8xi32>
  %o = linalg.fill ins(%zero : i32) outs(%l : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%k, %w : tensor<1x16x8x8xi8>, tensor<1x16x1x1xi8>) outs(%o : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  util.return %c : tensor<1x1x8x8xi32>
}

// -----

// Tests that the plan is made with accumulators next to what quantizes them,
// where raising has made both of them first: a band has one accumulator at a
// time.

// CHECK-LABEL: @accumulators_first
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xi32>
//  CHECK-NEXT: tensor.empty
//  CHECK-NEXT: linalg.generic {{.+}} ins(%[[A]] : tensor<1x8x4x8xi32>)
//       CHECK: %[[B:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x4x8xi32>
//  CHECK-NEXT: tensor.empty
//  CHECK-NEXT: linalg.generic {{.+}} ins(%[[B]] : tensor<1x8x4x8xi32>)
//       CHECK: util.return
#all = affine_map<(n, f, h, w) -> (n, f, h, w)>
util.func public @accumulators_first(%x: tensor<1x1x8x8xi8>) -> tensor<1x1x8x8xi32> {
  %zero = arith.constant 0 : i32
  %w = arith.constant dense<3> : tensor<8x1x1x1xi8>
  %v = arith.constant dense<2> : tensor<1x8x1x1xi8>
  %h = tensor.empty() : tensor<1x1x8x8xi32>
  %o = linalg.fill ins(%zero : i32) outs(%h : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  %e = tensor.empty() : tensor<1x8x8x8xi32>
  %z = linalg.fill ins(%zero : i32) outs(%e : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %b = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%x, %w : tensor<1x1x8x8xi8>, tensor<8x1x1x1xi8>) outs(%z : tensor<1x8x8x8xi32>) -> tensor<1x8x8x8xi32>
  %q = tensor.empty() : tensor<1x8x8x8xi8>
  %p = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x8x8x8xi32>) outs(%q : tensor<1x8x8x8xi8>) {
  ^bb0(%in: i32, %out: i8):
    %n = arith.trunci %in : i32 to i8
    linalg.yield %n : i8
  } -> tensor<1x8x8x8xi8>
  %r = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b : tensor<1x8x8x8xi32>) outs(%q : tensor<1x8x8x8xi8>) {
  ^bb0(%in: i32, %out: i8):
    %n = arith.trunci %in : i32 to i8
    linalg.yield %n : i8
  } -> tensor<1x8x8x8xi8>
  %c = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%p, %v : tensor<1x8x8x8xi8>, tensor<1x8x1x1xi8>) outs(%o : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  %d = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>} ins(%r, %v : tensor<1x8x8x8xi8>, tensor<1x8x1x1xi8>) outs(%c : tensor<1x1x8x8xi32>) -> tensor<1x1x8x8xi32>
  util.return %d : tensor<1x1x8x8xi32>
}
