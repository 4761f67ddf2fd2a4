// RUN: serenity-opt %s --serenity-rewrite='rewrite=always' --split-input-file | FileCheck %s
// RUN: serenity-opt %s --serenity-rewrite --split-input-file | FileCheck %s --check-prefix=ALONE

// Without a prediction of the peak the pass alone leaves pieces to the driver.
// ALONE-NOT: extract_slice
// ALONE-NOT: insert_slice

// Tests that a depthwise convolution over a padded value is computed piece by
// piece in the place of that value, which nothing else reads: each piece is
// read from the tensor that the one before was put into, so that the old value
// is dead at once. The barrier keeps what is overwritten whole.

// CHECK-LABEL: @in_place
//       CHECK: %[[RELU:.+]] = linalg.generic
//       CHECK: %[[X:.+]] = util.optimization_barrier {serenity.barrier} %[[RELU]]
//       CHECK: %[[X0:.+]] = tensor.extract_slice %[[X]][0, 0, 0, 0] [1, 2, 4, 4]
//       CHECK: %[[P0:.+]] = tensor.pad %[[X0]] low[0, 0, 1, 1] high[0, 0, 1, 1]
//       CHECK: %[[D0:.+]] = linalg.depthwise_conv_2d_nchw_chw {{.+}} ins(%[[P0]], %{{.+}} : tensor<1x2x6x6xf32>, tensor<2x3x3xf32>)
//       CHECK: %[[Y0:.+]] = tensor.insert_slice %[[D0]] into %[[X]][0, 0, 0, 0] [1, 2, 4, 4]
//       CHECK: tensor.extract_slice %[[Y0]][0, 2, 0, 0] [1, 2, 4, 4]
//       CHECK: %[[Y1:.+]] = tensor.insert_slice %{{.+}} into %[[Y0]][0, 2, 0, 0]
//       CHECK: %[[Y2:.+]] = tensor.insert_slice %{{.+}} into %[[Y1]][0, 4, 0, 0]
//       CHECK: %[[Y3:.+]] = tensor.insert_slice %{{.+}} into %[[Y2]][0, 6, 0, 0]
//       CHECK: util.return %[[Y3]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @in_place(%x: tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %e = tensor.empty() : tensor<1x8x4x4xf32>
  %relu = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x4x4xf32>) outs(%e : tensor<1x8x4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %m = arith.maximumf %in, %zero : f32
    linalg.yield %m : f32
  } -> tensor<1x8x4x4xf32>
  %p = tensor.pad %relu low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %r = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%p, %w : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  util.return %r : tensor<1x8x4x4xf32>
}

// -----

// Tests that an argument, which the caller owns, and a result of another shape
// (stride 2) are left alone: the pieces go into a new tensor.

// CHECK-LABEL: @into_a_new_tensor
//  CHECK-SAME: (%[[X:.+]]: tensor<1x8x4x4xf32>)
//   CHECK-NOT: util.optimization_barrier
//       CHECK: tensor.extract_slice %[[X]][0, 0, 0, 0] [1, 2, 4, 4]
//       CHECK: tensor.extract_slice %[[X]][0, 6, 0, 0] [1, 2, 4, 4]
//       CHECK: %[[C:.+]] = tensor.concat dim(1) %{{.+}}, %{{.+}}, %{{.+}}, %{{.+}} : {{.+}} -> tensor<1x8x2x2xf32>
//       CHECK: util.return %[[C]]
util.func public @into_a_new_tensor(%x: tensor<1x8x4x4xf32>) -> tensor<1x8x2x2xf32> {
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x2x2xf32>
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %r = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<2> : vector<2xi64>}
      ins(%p, %w : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x2x2xf32>) -> tensor<1x8x2x2xf32>
  util.return %r : tensor<1x8x2x2xf32>
}

// -----

// Tests what is no site: a padded value with another user, channels that are
// padded themselves, channels that do not lie together in memory (NHWC, and a
// batch of two), too few of them.

// CHECK-LABEL: @refused
//   CHECK-NOT: tensor.extract_slice
//   CHECK-NOT: tensor.insert_slice
//       CHECK: util.return
util.func public @refused(%a: tensor<1x8x4x4xf32>, %b: tensor<1x6x4x4xf32>, %c: tensor<1x4x4x8xf32>, %d: tensor<2x8x4x4xf32>, %e: tensor<1x4x4x4xf32>)
    -> (tensor<1x8x4x4xf32>, tensor<1x8x6x6xf32>, tensor<1x8x4x4xf32>, tensor<1x4x4x8xf32>, tensor<2x8x4x4xf32>, tensor<1x4x4x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %w8 = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %w4 = arith.constant dense<1.0> : tensor<4x3x3xf32>
  %wlast = arith.constant dense<1.0> : tensor<3x3x8xf32>
  %z8 = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %z4 = arith.constant dense<0.0> : tensor<1x4x4x4xf32>
  %zlast = arith.constant dense<0.0> : tensor<1x4x4x8xf32>
  %zbatch = arith.constant dense<0.0> : tensor<2x8x4x4xf32>
  %pa = tensor.pad %a low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
  %ra = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%pa, %w8 : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z8 : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %pb = tensor.pad %b low[0, 1, 1, 1] high[0, 1, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x6x4x4xf32> to tensor<1x8x6x6xf32>
  %rb = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%pb, %w8 : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z8 : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
  %pc = tensor.pad %c low[0, 1, 1, 0] high[0, 1, 1, 0] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x4x4x8xf32> to tensor<1x6x6x8xf32>
  %rc = linalg.depthwise_conv_2d_nhwc_hwc {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%pc, %wlast : tensor<1x6x6x8xf32>, tensor<3x3x8xf32>) outs(%zlast : tensor<1x4x4x8xf32>) -> tensor<1x4x4x8xf32>
  %pd = tensor.pad %d low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<2x8x4x4xf32> to tensor<2x8x6x6xf32>
  %rd = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%pd, %w8 : tensor<2x8x6x6xf32>, tensor<8x3x3xf32>) outs(%zbatch : tensor<2x8x4x4xf32>) -> tensor<2x8x4x4xf32>
  %pe = tensor.pad %e low[0, 0, 1, 1] high[0, 0, 1, 1] {
  ^bb0(%i: index, %j: index, %k: index, %l: index):
    tensor.yield %zero : f32
  } : tensor<1x4x4x4xf32> to tensor<1x4x6x6xf32>
  %re = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%pe, %w4 : tensor<1x4x6x6xf32>, tensor<4x3x3xf32>) outs(%z4 : tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  util.return %ra, %pa, %rb, %rc, %rd, %re : tensor<1x8x4x4xf32>, tensor<1x8x6x6xf32>, tensor<1x8x4x4xf32>, tensor<1x4x4x8xf32>, tensor<2x8x4x4xf32>, tensor<1x4x4x4xf32>
}

// -----

// Tests that nothing takes the place of what was computed before a loop, which
// the next round reads again.

// CHECK-LABEL: @before_a_loop
//       CHECK: linalg.generic
//       CHECK: scf.for
//   CHECK-NOT: tensor.insert_slice
//       CHECK: tensor.concat dim(1)
//       CHECK: scf.yield
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
util.func public @before_a_loop(%x: tensor<1x8x4x4xf32>, %n: index) -> tensor<1x8x4x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %w = arith.constant dense<1.0> : tensor<8x3x3xf32>
  %z = arith.constant dense<0.0> : tensor<1x8x4x4xf32>
  %e = tensor.empty() : tensor<1x8x4x4xf32>
  %relu = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%x : tensor<1x8x4x4xf32>) outs(%e : tensor<1x8x4x4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %m = arith.maximumf %in, %zero : f32
    linalg.yield %m : f32
  } -> tensor<1x8x4x4xf32>
  %r = scf.for %k = %c0 to %n step %c1 iter_args(%last = %x) -> tensor<1x8x4x4xf32> {
    %p = tensor.pad %relu low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb0(%i: index, %j: index, %a: index, %b: index):
      tensor.yield %zero : f32
    } : tensor<1x8x4x4xf32> to tensor<1x8x6x6xf32>
    %d = linalg.depthwise_conv_2d_nchw_chw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
        ins(%p, %w : tensor<1x8x6x6xf32>, tensor<8x3x3xf32>) outs(%z : tensor<1x8x4x4xf32>) -> tensor<1x8x4x4xf32>
    scf.yield %d : tensor<1x8x4x4xf32>
  }
  util.return %r : tensor<1x8x4x4xf32>
}
