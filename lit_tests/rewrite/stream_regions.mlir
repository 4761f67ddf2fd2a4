// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' --split-input-file | FileCheck %s

// Tests what is computed piece by piece before an operation: whatever is used
// nowhere else, over branches that meet again, and pads of values that live on.

// An inverted bottleneck: the expansion, an activation that reads it twice, the
// pad and the depthwise convolution exist two channels at a time.

// CHECK-LABEL: @bottleneck
//  CHECK-SAME: (%[[X:.+]]: tensor<1x2x4x4xf32>)
//   CHECK-NOT: tensor<1x8x4x4xf32>
//   CHECK-NOT: tensor<1x8x6x6xf32>
//       CHECK: %[[E:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[X]], %{{.+}} : tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>)
//       CHECK: %[[S:.+]] = linalg.generic {{.+}} ins(%[[E]] : tensor<1x2x4x4xf32>)
//       CHECK: math.exp
//       CHECK: %[[A:.+]] = linalg.generic {{.+}} ins(%[[E]], %[[S]] :
//       CHECK: %[[P:.+]] = tensor.pad %[[A]]
//       CHECK: %[[D:.+]] = linalg.depthwise_conv_2d_nchw_chw {{.+}} ins(%[[P]], %{{.+}} : tensor<1x2x6x6xf32>, tensor<2x3x3xf32>)
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[D]], %{{.+}} : tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>)
//       CHECK: util.optimization_barrier {serenity.barrier}
//   CHECK-NOT: tensor<1x8x4x4xf32>
//       CHECK: util.return
util.func public @bottleneck(%x: tensor<1x2x4x4xf32>) -> tensor<1x3x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %we = arith.constant dense<1.0> : tensor<8x2x1x1xf32>
  %wd = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %wp = arith.constant dense<2.0> : tensor<3x8x1x1xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %zp = arith.constant dense<0.0> : tensor<1x3x4x4xf32>
  %empty = tensor.empty() : tensor<1x8x4x4xf32>
  %e = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %we : tensor<1x2x4x4xf32>, tensor<8x2x1x1xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %s = linalg.generic {
      indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%e : tensor<1x8x4x4xf32>) outs(%empty : tensor<1x8x4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.exp %in : f32
    linalg.yield %0 : f32
  } -> tensor<1x8x4x4xf32>
  %a = linalg.generic {
      indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>,
                       affine_map<(a, b, c, d) -> (a, b, c, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%e, %s : tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>) outs(%empty : tensor<1x8x4x4xf32>) {
  ^bb0(%in: f32, %in_0: f32, %out: f32):
    %0 = arith.mulf %in, %in_0 : f32
    linalg.yield %0 : f32
  } -> tensor<1x8x4x4xf32>
  %p = tensor.pad %a low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %wd : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%d, %wp : tensor<1x8x4x4xf32>, tensor<3x8x1x1xf32>) outs(%zp : tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
  util.return %r : tensor<1x3x4x4xf32>
}

// -----

// The same where the depthwise result is needed as a whole (as for squeeze and
// excitation): it is put together from pieces, and the expansion exists piece by
// piece still.

// CHECK-LABEL: @expanded_depthwise
//  CHECK-SAME: (%[[X:.+]]: tensor<1x2x4x4xf32>)
//   CHECK-NOT: tensor<1x8x6x6xf32>
//       CHECK: %[[E:.+]] = linalg.conv_2d_nchw_fchw {{.+}} ins(%[[X]], %{{.+}} : tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>)
//       CHECK: %[[P:.+]] = tensor.pad %[[E]]
//       CHECK: %[[D0:.+]] = linalg.depthwise_conv_2d_nchw_chw {{.+}} ins(%[[P]],
//       CHECK: %[[D:.+]] = tensor.concat dim(1) %[[D0]], %{{.+}}, %{{.+}}, %{{.+}} : {{.+}} -> tensor<1x8x4x4xf32>
//       CHECK: util.return %[[D]], %[[D]]
util.func public @expanded_depthwise(%x: tensor<1x2x4x4xf32>) -> (tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %we = arith.constant dense<1.0> : tensor<8x2x1x1xf32>
  %wd = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %e = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %we : tensor<1x2x4x4xf32>, tensor<8x2x1x1xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %p = tensor.pad %e low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %wd : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  util.return %d, %d : tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>
}

// -----

// Channels last: the pieces of the result would not lie one behind the other,
// so that putting them together were a copy.

// CHECK-LABEL: @channels_last
//       CHECK: linalg.depthwise_conv_2d_nhwc_hwc {{.+}} tensor<1x4x4x8xf32>
//   CHECK-NOT: linalg.depthwise_conv_2d_nhwc_hwc
//       CHECK: util.return
util.func public @channels_last(%x: tensor<1x6x6x2xf32>) -> (tensor<1x4x4x8xf32>, tensor<1x4x4x8xf32>) {
  %we = arith.constant dense<1.0> : tensor<1x1x2x8xf32>
  %wd = arith.constant dense<1.0> : tensor<3x3x8xf32>
  %z = arith.constant dense<0.0> : tensor<1x6x6x8xf32>
  %zd = arith.constant dense<0.0> : tensor<1x4x4x8xf32>
  %e = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %we : tensor<1x6x6x2xf32>, tensor<1x1x2x8xf32>) outs(%z : tensor<1x6x6x8xf32>) -> tensor<1x6x6x8xf32>
  %d = linalg.depthwise_conv_2d_nhwc_hwc {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%e, %wd : tensor<1x6x6x8xf32>, tensor<3x3x8xf32>) outs(%zd : tensor<1x4x4x8xf32>) -> tensor<1x4x4x8xf32>
  util.return %d, %d : tensor<1x4x4x8xf32>, tensor<1x4x4x8xf32>
}

// -----

// A value that lives on, and cannot be computed piece by piece itself, is padded
// piece by piece.

// CHECK-LABEL: @padded_and_kept
//   CHECK-NOT: tensor<1x8x6x6xf32>
//       CHECK: %[[V:.+]] = linalg.generic
//       CHECK: %[[S:.+]] = tensor.extract_slice %[[V]][0, 0, 0, 0] [1, 2, 4, 4]
//       CHECK: %[[P:.+]] = tensor.pad %[[S]]
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[P]], %{{.+}} : tensor<1x2x6x6xf32>, tensor<8x2x3x3xf32>)
//       CHECK: util.return %{{.+}}, %[[V]]
util.func public @padded_and_kept(%x: tensor<1x8x4x4xf32>) -> (tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %empty = tensor.empty() : tensor<1x8x4x4xf32>
  %v = linalg.generic {
      indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, c, d)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x4x4xf32>) outs(%empty : tensor<1x8x4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = linalg.index 1 : index
    %1 = arith.index_cast %0 : index to i64
    %2 = arith.sitofp %1 : i64 to f32
    %3 = arith.addf %in, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<1x8x4x4xf32>
  %p = tensor.pad %v low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x8x6x6xf32>, tensor<8x8x3x3xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  util.return %r, %v : tensor<1x8x4x4xf32>, tensor<1x8x4x4xf32>
}

// -----

// Where what is padded dies with it, pieces would keep it longer: the value,
// a piece and the result need more than the padded value and the result.

// CHECK-LABEL: @padded_and_dead
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} tensor<1x8x34x34xf32>, tensor<8x8x3x3xf32>
//   CHECK-NOT: linalg.conv_2d_nchw_fchw
//       CHECK: util.return
util.func public @padded_and_dead(%x: tensor<1x8x32x32xf32>) -> tensor<1x8x32x32xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x32x32xf32>
  %empty = tensor.empty() : tensor<1x8x32x32xf32>
  %v = linalg.generic {
      indexing_maps = [affine_map<(a, b, c, d) -> (a, b, c, d)>, affine_map<(a, b, c, d) -> (a, b, d, c)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x32x32xf32>) outs(%empty : tensor<1x8x32x32xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = linalg.index 1 : index
    %1 = arith.index_cast %0 : index to i64
    %2 = arith.sitofp %1 : i64 to f32
    %3 = arith.addf %in, %2 : f32
    linalg.yield %3 : f32
  } -> tensor<1x8x32x32xf32>
  %p = tensor.pad %v low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x32x32xf32> to tensor<1x8x34x34xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x8x34x34xf32>, tensor<8x8x3x3xf32>) outs(%z : tensor<1x8x32x32xf32>) -> tensor<1x8x32x32xf32>
  util.return %r : tensor<1x8x32x32xf32>
}

// -----

// A transposed convolution as it is imported: the operand between zeros, which
// is four times its size, exists piece by piece.

// CHECK-LABEL: @transposed
//  CHECK-SAME: (%[[X:.+]]: tensor<1x8x4x4xf32>)
//   CHECK-NOT: tensor<1x8x9x9xf32>
//       CHECK: %[[S:.+]] = tensor.extract_slice %[[X]][0, 0, 0, 0] [1, 2, 4, 4]
//       CHECK: %[[I:.+]] = tensor.insert_slice %[[S]] into %{{.+}}[0, 0, 1, 1] [1, 2, 4, 4] [1, 1, 2, 2] : tensor<1x2x4x4xf32> into tensor<1x2x9x9xf32>
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[I]], %{{.+}} : tensor<1x2x9x9xf32>, tensor<4x2x2x2xf32>)
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

// -----

// The last step of an accumulation does not write into a pad around its result:
// IREE does not compile that.

// CHECK-LABEL: @padded_sum
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%{{.+}}, %{{.+}} : tensor<1x2x9x9xf32>,
//       CHECK: linalg.conv_2d_nchw_fchw
//       CHECK: linalg.conv_2d_nchw_fchw
//       CHECK: %[[LAST:.+]] = linalg.conv_2d_nchw_fchw
//       CHECK: %[[SUM:.+]] = util.optimization_barrier {serenity.barrier} %[[LAST]]
//       CHECK: tensor.pad %[[SUM]]
util.func public @padded_sum(%x: tensor<1x8x4x4xf32>) -> tensor<1x4x10x10xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<4x8x2x2xf32>
  %z = arith.constant dense<0.0> : tensor<1x4x8x8xf32>
  %empty = tensor.empty() : tensor<1x8x9x9xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x8x9x9xf32>) -> tensor<1x8x9x9xf32>
  %i = tensor.insert_slice %x into %fill[0, 0, 1, 1] [1, 8, 4, 4] [1, 1, 2, 2]
      : tensor<1x8x4x4xf32> into tensor<1x8x9x9xf32>
  %r = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%i, %w : tensor<1x8x9x9xf32>, tensor<4x8x2x2xf32>) outs(%z : tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %p = tensor.pad %r low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<1x4x8x8xf32> to tensor<1x4x10x10xf32>
  util.return %p : tensor<1x4x10x10xf32>
}

// -----

// What something else needs too is not computed piece by piece.

// CHECK-LABEL: @used_elsewhere
//       CHECK: %[[E:.+]] = linalg.matmul {{.+}} tensor<4x16xf32>
//       CHECK: linalg.matmul ins(%[[E]],
//   CHECK-NOT: linalg.matmul
//       CHECK: util.return %{{.+}}, %[[E]]
util.func public @used_elsewhere(%x: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x16xf32>) {
  %w = arith.constant dense<1.0> : tensor<4x16xf32>
  %v = arith.constant dense<1.0> : tensor<16x4xf32>
  %z = arith.constant dense<0.0> : tensor<4x16xf32>
  %zr = arith.constant dense<0.0> : tensor<4x4xf32>
  %e = linalg.matmul ins(%x, %w : tensor<4x4xf32>, tensor<4x16xf32>) outs(%z : tensor<4x16xf32>) -> tensor<4x16xf32>
  %r = linalg.matmul ins(%e, %v : tensor<4x16xf32>, tensor<16x4xf32>) outs(%zr : tensor<4x4xf32>) -> tensor<4x4xf32>
  util.return %r, %e : tensor<4x4xf32>, tensor<4x16xf32>
}

// -----

// A value that is cut along both its dimensions: one piece of each.

// CHECK-LABEL: @cut_along_two
//       CHECK: %[[Y:.+]] = linalg.matmul {{.+}} -> tensor<16x16xf32>
//       CHECK: %[[C0:.+]] = tensor.extract_slice %[[Y]][0, 0] [16, 4]
//       CHECK: %[[E0:.+]] = linalg.generic {{.+}} ins(%[[C0]] :
//       CHECK: %[[R0:.+]] = tensor.extract_slice %[[Y]][0, 0] [4, 16]
//       CHECK: linalg.matmul ins(%[[E0]], %[[R0]] : tensor<16x4xf32>, tensor<4x16xf32>)
//       CHECK: %[[C1:.+]] = tensor.extract_slice %[[Y]][0, 4] [16, 4]
//       CHECK: %[[E1:.+]] = linalg.generic {{.+}} ins(%[[C1]] :
//       CHECK: %[[R1:.+]] = tensor.extract_slice %[[Y]][4, 0] [4, 16]
//       CHECK: linalg.matmul ins(%[[E1]], %[[R1]] : tensor<16x4xf32>, tensor<4x16xf32>)
util.func public @cut_along_two(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<0.25> : tensor<16x16xf32>
  %e = tensor.empty() : tensor<16x16xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<16x16xf32>) -> tensor<16x16xf32>
  %y = linalg.matmul ins(%x, %w : tensor<16x16xf32>, tensor<16x16xf32>) outs(%z : tensor<16x16xf32>) -> tensor<16x16xf32>
  %v = linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      ins(%y : tensor<16x16xf32>) outs(%e : tensor<16x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = math.exp %in : f32
    linalg.yield %0 : f32
  } -> tensor<16x16xf32>
  %r = linalg.matmul ins(%v, %y : tensor<16x16xf32>, tensor<16x16xf32>) outs(%z : tensor<16x16xf32>) -> tensor<16x16xf32>
  util.return %r : tensor<16x16xf32>
}

// -----

// What a loop reads is computed once, before the loop; so is what is padded in
// front of it.

// CHECK-LABEL: @read_in_a_loop
//       CHECK: linalg.matmul {{.+}} -> tensor<8x32xf32>
//       CHECK: tensor.pad
//       CHECK: scf.for
//   CHECK-NOT: tensor.extract_slice
//       CHECK: linalg.matmul ins({{.+}} : tensor<8x32xf32>, tensor<32x8xf32>)
//   CHECK-NOT: tensor.pad
//       CHECK: linalg.depthwise_conv_2d_nchw_chw {{.+}} ins({{.+}} : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>)
//       CHECK: scf.yield
util.func public @read_in_a_loop(%x: tensor<8x16xf32>, %i: tensor<1x8x4x4xf32>, %n: index) -> (tensor<8x8xf32>, tensor<1x8x4x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %w = arith.constant dense<0.25> : tensor<16x32xf32>
  %u = arith.constant dense<0.5> : tensor<32x8xf32>
  %wd = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<8x32xf32>
  %z8 = arith.constant dense<0.0> : tensor<8x8xf32>
  %zd = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %y = linalg.matmul ins(%x, %w : tensor<8x16xf32>, tensor<16x32xf32>) outs(%z : tensor<8x32xf32>) -> tensor<8x32xf32>
  %p = tensor.pad %i low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %r:2 = scf.for %k = %c0 to %n step %c1 iter_args(%acc = %z8, %last = %zd) -> (tensor<8x8xf32>, tensor<1x8x4x4xf32>) {
    %q = linalg.matmul ins(%y, %u : tensor<8x32xf32>, tensor<32x8xf32>) outs(%acc : tensor<8x8xf32>) -> tensor<8x8xf32>
    %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
        ins(%p, %wd : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%zd : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
    scf.yield %q, %d : tensor<8x8xf32>, tensor<1x8x4x4xf32>
  }
  util.return %r#0, %r#1 : tensor<8x8xf32>, tensor<1x8x4x4xf32>
}
