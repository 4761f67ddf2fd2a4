// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{bands=1 max-recompute=0.5})' | FileCheck %s
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{bands=1 max-recompute=0.5})' | FileCheck %s --check-prefix=WHOLE
// RUN: serenity-opt %s --pass-pipeline='builtin.module(serenity-rewrite{bands=1 max-recompute=0})' 2>&1 | FileCheck %s --check-prefix=KEPT

// Tests that squeeze-and-excitation is computed in two segments of bands: the
// first computes the value that is scaled and adds its rows to the sums of the
// pool, the second computes it again, with the product and the convolution
// behind it. It never exists as a whole.

// WHOLE-LABEL: @scaled
//   WHOLE-NOT: tensor<1x8x16x16xf32>
// WHOLE-LABEL: @two
//   WHOLE-NOT: tensor<1x16x16x8xf32>
// WHOLE-LABEL: @unknown

// CHECK-LABEL: @scaled
//   CHECK-NOT: tensor<1x8x16x16xf32>
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x{{.+}}x16xf32>
//       CHECK: linalg.pooling_nchw_sum {{.+}} ins(%[[A]], {{.+}} -> tensor<1x8x1x1xf32>
//       CHECK: %[[GATE:.+]] = linalg.generic {{.+}} : tensor<1x8x1x1xf32>) outs(
//       CHECK: math.exp
//       CHECK: %[[B:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x{{.+}}x16xf32>
//       CHECK: %[[C:.+]] = linalg.generic {{.+}} ins(%[[B]], %[[GATE]] :
//       CHECK: linalg.conv_2d_nchw_fchw {{.+}} ins(%[[C]], {{.+}} -> tensor<1x2x{{.+}}x16xf32>
//       CHECK: tensor.insert_slice

// KEPT-LABEL: @scaled
//       KEPT: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x16x16xf32>
//       KEPT: linalg.pooling_nchw_sum {{.+}} ins(%[[A]]
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#channel = affine_map<(d0, d1, d2, d3) -> (d0, d1, 0, 0)>
util.func public @scaled(%x: tensor<1x1x16x16xf32>) -> tensor<1x2x16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %wa = arith.constant dense<1.0> : tensor<8x1x1x1xf32>
  %ea = tensor.empty() : tensor<1x8x16x16xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<1x8x16x16xf32>) -> tensor<1x8x16x16xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x1x16x16xf32>, tensor<8x1x1x1xf32>) outs(%za : tensor<1x8x16x16xf32>) -> tensor<1x8x16x16xf32>
  %k = tensor.empty() : tensor<16x16xf32>
  %es = tensor.empty() : tensor<1x8x1x1xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %s = linalg.pooling_nchw_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%a, %k : tensor<1x8x16x16xf32>, tensor<16x16xf32>) outs(%zs : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %gate = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<1x8x1x1xf32>) outs(%es : tensor<1x8x1x1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %negative = arith.negf %in : f32
    %exp = math.exp %negative : f32
    %sum = arith.addf %exp, %one : f32
    %sigmoid = arith.divf %one, %sum : f32
    linalg.yield %sigmoid : f32
  } -> tensor<1x8x1x1xf32>
  %m = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %gate : tensor<1x8x16x16xf32>, tensor<1x8x1x1xf32>) outs(%ea : tensor<1x8x16x16xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %product = arith.mulf %in, %g : f32
    linalg.yield %product : f32
  } -> tensor<1x8x16x16xf32>
  %wy = arith.constant dense<1.0> : tensor<2x8x1x1xf32>
  %ey = tensor.empty() : tensor<1x2x16x16xf32>
  %zy = linalg.fill ins(%zero : f32) outs(%ey : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%m, %wy : tensor<1x8x16x16xf32>, tensor<2x8x1x1xf32>) outs(%zy : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  util.return %y : tensor<1x2x16x16xf32>
}

// Tests two blocks, channels last. The second value is made again of the small
// one between the blocks, which is kept for it.

// CHECK-LABEL: @two
//       CHECK: linalg.conv_2d_nhwc_hwcf {{.+}} -> tensor<1x4x16x8xf32>
//       CHECK: linalg.pooling_nhwc_sum {{.+}} -> tensor<1x1x1x8xf32>
//       CHECK: arith.minimumf
//       CHECK: linalg.conv_2d_nhwc_hwcf {{.+}} -> tensor<1x1x16x8xf32>
//       CHECK: tensor.insert_slice {{.+}} into tensor<1x16x16x2xf32>
//       CHECK: %[[ROWS:.+]] = tensor.extract_slice %[[SMALL:[a-z_0-9]+]][{{.+}} : tensor<1x16x16x2xf32>
//       CHECK: linalg.conv_2d_nhwc_hwcf {{.+}} ins(%[[ROWS]], {{.+}} -> tensor<1x1x16x8xf32>
//       CHECK: linalg.pooling_nhwc_sum {{.+}} -> tensor<1x1x1x8xf32>
//       CHECK: arith.minimumf
//       CHECK: %[[AGAIN:.+]] = tensor.extract_slice %[[SMALL]][{{.+}} : tensor<1x16x16x2xf32>
//       CHECK: %[[B:.+]] = linalg.conv_2d_nhwc_hwcf {{.+}} ins(%[[AGAIN]], {{.+}} -> tensor<1x1x16x8xf32>
//       CHECK: linalg.generic {{.+}} ins(%[[B]], %{{.+}} : tensor<1x1x16x8xf32>, tensor<1x1x1x8xf32>)
#last = affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d3)>
util.func public @two(%x: tensor<1x16x16x1xf32>) -> tensor<1x16x16x2xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %wa = arith.constant dense<1.0> : tensor<1x1x1x8xf32>
  %wb = arith.constant dense<1.0> : tensor<1x1x2x8xf32>
  %wy = arith.constant dense<1.0> : tensor<1x1x8x2xf32>
  %ea = tensor.empty() : tensor<1x16x16x8xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<1x16x16x8xf32>) -> tensor<1x16x16x8xf32>
  %es = tensor.empty() : tensor<1x1x1x8xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %ey = tensor.empty() : tensor<1x16x16x2xf32>
  %zy = linalg.fill ins(%zero : f32) outs(%ey : tensor<1x16x16x2xf32>) -> tensor<1x16x16x2xf32>
  %k = tensor.empty() : tensor<16x16xf32>
  %a = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x16x16x1xf32>, tensor<1x1x1x8xf32>) outs(%za : tensor<1x16x16x8xf32>) -> tensor<1x16x16x8xf32>
  %s = linalg.pooling_nhwc_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%a, %k : tensor<1x16x16x8xf32>, tensor<16x16xf32>) outs(%zs : tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %g = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<1x1x1x8xf32>) outs(%es : tensor<1x1x1x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %gate = arith.minimumf %in, %one : f32
    linalg.yield %gate : f32
  } -> tensor<1x1x1x8xf32>
  %m = linalg.generic {indexing_maps = [#id, #last, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %g : tensor<1x16x16x8xf32>, tensor<1x1x1x8xf32>) outs(%ea : tensor<1x16x16x8xf32>) {
  ^bb0(%in: f32, %f: f32, %out: f32):
    %product = arith.mulf %in, %f : f32
    linalg.yield %product : f32
  } -> tensor<1x16x16x8xf32>
  %y = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%m, %wy : tensor<1x16x16x8xf32>, tensor<1x1x8x2xf32>) outs(%zy : tensor<1x16x16x2xf32>) -> tensor<1x16x16x2xf32>
  %b = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%y, %wb : tensor<1x16x16x2xf32>, tensor<1x1x2x8xf32>) outs(%za : tensor<1x16x16x8xf32>) -> tensor<1x16x16x8xf32>
  %t = linalg.pooling_nhwc_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%b, %k : tensor<1x16x16x8xf32>, tensor<16x16xf32>) outs(%zs : tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
  %h = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%t : tensor<1x1x1x8xf32>) outs(%es : tensor<1x1x1x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    %gate = arith.minimumf %in, %one : f32
    linalg.yield %gate : f32
  } -> tensor<1x1x1x8xf32>
  %n = linalg.generic {indexing_maps = [#id, #last, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%b, %h : tensor<1x16x16x8xf32>, tensor<1x1x1x8xf32>) outs(%ea : tensor<1x16x16x8xf32>) {
  ^bb0(%in: f32, %f: f32, %out: f32):
    %product = arith.mulf %in, %f : f32
    linalg.yield %product : f32
  } -> tensor<1x16x16x8xf32>
  %z = linalg.conv_2d_nhwc_hwcf {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%n, %wy : tensor<1x16x16x8xf32>, tensor<1x1x8x2xf32>) outs(%zy : tensor<1x16x16x2xf32>) -> tensor<1x16x16x2xf32>
  util.return %z : tensor<1x16x16x2xf32>
}

// Tests that a value is kept that an unknown operation makes: it reads elements
// of a table by the index of the row.

// CHECK-LABEL: @unknown
//       CHECK: linalg.index 2
//       CHECK: linalg.pooling_nchw_sum {{.+}} ins(%{{.+}}, {{.+}} : tensor<1x8x16x16xf32>, tensor<16x16xf32>)
util.func public @unknown(%x: tensor<1x1x16x16xf32>) -> tensor<1x2x16x16xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %wa = arith.constant dense<1.0> : tensor<8x1x1x1xf32>
  %ea = tensor.empty() : tensor<1x8x16x16xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<1x8x16x16xf32>) -> tensor<1x8x16x16xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x1x16x16xf32>, tensor<8x1x1x1xf32>) outs(%za : tensor<1x8x16x16xf32>) -> tensor<1x8x16x16xf32>
  %table = arith.constant dense<1.0> : tensor<16xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a : tensor<1x8x16x16xf32>) outs(%ea : tensor<1x8x16x16xf32>) {
  ^bb0(%in: f32, %out: f32):
    %row = linalg.index 2 : index
    %f = tensor.extract %table[%row] : tensor<16xf32>
    %at = arith.addf %in, %f : f32
    linalg.yield %at : f32
  } -> tensor<1x8x16x16xf32>
  %k = tensor.empty() : tensor<16x16xf32>
  %es = tensor.empty() : tensor<1x8x1x1xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %s = linalg.pooling_nchw_sum {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%r, %k : tensor<1x8x16x16xf32>, tensor<16x16xf32>) outs(%zs : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %gate = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<1x8x1x1xf32>) outs(%es : tensor<1x8x1x1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %negative = arith.negf %in : f32
    %exp = math.exp %negative : f32
    %sum = arith.addf %exp, %one : f32
    %sigmoid = arith.divf %one, %sum : f32
    linalg.yield %sigmoid : f32
  } -> tensor<1x8x1x1xf32>
  %m = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%r, %gate : tensor<1x8x16x16xf32>, tensor<1x8x1x1xf32>) outs(%ea : tensor<1x8x16x16xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %product = arith.mulf %in, %g : f32
    linalg.yield %product : f32
  } -> tensor<1x8x16x16xf32>
  %wy = arith.constant dense<1.0> : tensor<2x8x1x1xf32>
  %ey = tensor.empty() : tensor<1x2x16x16xf32>
  %zy = linalg.fill ins(%zero : f32) outs(%ey : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  %y = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%m, %wy : tensor<1x8x16x16xf32>, tensor<2x8x1x1xf32>) outs(%zy : tensor<1x2x16x16xf32>) -> tensor<1x2x16x16xf32>
  util.return %y : tensor<1x2x16x16xf32>
}

// Tests that a value of a dynamic number of rows is kept.

// CHECK-LABEL: @dynamic
//       CHECK: %[[A:.+]] = linalg.conv_2d_nchw_fchw {{.+}} -> tensor<1x8x?x16xf32>
//       CHECK: linalg.generic {{.+}} ins(%[[A]] :
//       CHECK: linalg.generic {{.+}} ins(%[[A]], %{{.+}} :
util.func public @dynamic(%x: tensor<1x1x?x16xf32>) -> tensor<1x8x?x16xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %two = arith.constant 2 : index
  %rows = tensor.dim %x, %two : tensor<1x1x?x16xf32>
  %wa = arith.constant dense<1.0> : tensor<8x1x1x1xf32>
  %ea = tensor.empty(%rows) : tensor<1x8x?x16xf32>
  %za = linalg.fill ins(%zero : f32) outs(%ea : tensor<1x8x?x16xf32>) -> tensor<1x8x?x16xf32>
  %a = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %wa : tensor<1x1x?x16xf32>, tensor<8x1x1x1xf32>) outs(%za : tensor<1x8x?x16xf32>) -> tensor<1x8x?x16xf32>
  %es = tensor.empty() : tensor<1x8x1x1xf32>
  %zs = linalg.fill ins(%zero : f32) outs(%es : tensor<1x8x1x1xf32>) -> tensor<1x8x1x1xf32>
  %s = linalg.generic {indexing_maps = [#id, #channel], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%a : tensor<1x8x?x16xf32>) outs(%zs : tensor<1x8x1x1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %sum = arith.addf %in, %out : f32
    linalg.yield %sum : f32
  } -> tensor<1x8x1x1xf32>
  %gate = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%s : tensor<1x8x1x1xf32>) outs(%es : tensor<1x8x1x1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %least = arith.minimumf %in, %one : f32
    linalg.yield %least : f32
  } -> tensor<1x8x1x1xf32>
  %m = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%a, %gate : tensor<1x8x?x16xf32>, tensor<1x8x1x1xf32>) outs(%ea : tensor<1x8x?x16xf32>) {
  ^bb0(%in: f32, %g: f32, %out: f32):
    %product = arith.mulf %in, %g : f32
    linalg.yield %product : f32
  } -> tensor<1x8x?x16xf32>
  util.return %m : tensor<1x8x?x16xf32>
}
