// RUN: serenity-opt %s --serenity-in-place-results | FileCheck %s

flow.executable private @negate {
  flow.executable.export public @negate workgroups() -> (index, index, index) {
    %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice()
    flow.return %x, %y, %z : index, index, index
  }
  builtin.module {
    func.func @negate(%arg0: !iree_tensor_ext.dispatch.tensor<readonly:tensor<64xf32>>, %arg1: !iree_tensor_ext.dispatch.tensor<writeonly:tensor<64xf32>>) {
      %0 = iree_tensor_ext.dispatch.tensor.load %arg0, offsets = [0], sizes = [64], strides = [1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<64xf32>> -> tensor<64xf32>
      %1 = tensor.empty() : tensor<64xf32>
      %2 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%0 : tensor<64xf32>) outs(%1 : tensor<64xf32>) {
      ^bb0(%in: f32, %out: f32):
        %3 = arith.negf %in : f32
        linalg.yield %3 : f32
      } -> tensor<64xf32>
      iree_tensor_ext.dispatch.tensor.store %2, %arg1, offsets = [0], sizes = [64], strides = [1] : tensor<64xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<64xf32>>
      return
    }
  }
}
flow.executable private @make { flow.executable.export public @make }
flow.executable private @half { flow.executable.export public @half }

// Tests that a value that was overwritten piece by piece, as
// serenity-rewrite makes of depthwise convolutions, is overwritten as a whole
// by what reads it last: its memory is still that of the dispatch %m.

// CHECK-LABEL: util.func public @overwritten_in_pieces
//       CHECK: %[[U:.+]] = flow.tensor.update
//       CHECK: %[[R:.+]] = flow.tensor.reshape %[[U]]
//       CHECK: flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[R]]) : (tensor<64xf32>) -> %[[R]]
util.func public @overwritten_in_pieces(%x: tensor<64xf32>) -> tensor<64xf32> {
  %c0 = arith.constant 0 : index
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<2x32xf32>
  %h = flow.dispatch @half::@half(%m) : (tensor<2x32xf32>) -> tensor<1x32xf32>
  %u = flow.tensor.update %h, %m[%c0, %c0] : tensor<1x32xf32> -> %m as tensor<2x32xf32>
  %v = flow.tensor.reshape %u : tensor<2x32xf32> -> tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%v) : (tensor<64xf32>) -> tensor<64xf32>
  %r = flow.dispatch @make::@make(%n) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %r : tensor<64xf32>
}

// Tests that a concatenation is overwritten.

// CHECK-LABEL: util.func public @concatenation
//       CHECK: %[[U:.+]] = flow.tensor.update
//       CHECK: %[[V:.+]] = flow.tensor.update {{.+}} -> %[[U]] as
//       CHECK: flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[V]]) : (tensor<64xf32>) -> %[[V]]
util.func public @concatenation(%x: tensor<64xf32>) -> tensor<64xf32> {
  %c0 = arith.constant 0 : index
  %c32 = arith.constant 32 : index
  %a = flow.dispatch @half::@half(%x) : (tensor<64xf32>) -> tensor<32xf32>
  %b = flow.dispatch @half::@half(%a) : (tensor<32xf32>) -> tensor<32xf32>
  %e = flow.tensor.empty : tensor<64xf32>
  %u = flow.tensor.update %a, %e[%c0] : tensor<32xf32> -> %e as tensor<64xf32>
  %v = flow.tensor.update %b, %u[%c32] : tensor<32xf32> -> %u as tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%v) : (tensor<64xf32>) -> tensor<64xf32>
  %r = flow.dispatch @make::@make(%n) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %r : tensor<64xf32>
}

// Tests that what an argument holds is not overwritten, although a part of it
// was replaced before: whether IREE copies the argument first is IREE's choice.

// CHECK-LABEL: util.func public @argument_updated
//       CHECK: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
util.func public @argument_updated(%x: tensor<64xf32>) -> tensor<64xf32> {
  %c0 = arith.constant 0 : index
  %a = flow.dispatch @half::@half(%x) : (tensor<64xf32>) -> tensor<32xf32>
  %u = flow.tensor.update %a, %x[%c0] : tensor<32xf32> -> %x as tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%u) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %n : tensor<64xf32>
}

// Tests that a value with an update behind the dispatch is not overwritten: the
// update starts from what the value holds.

// CHECK-LABEL: util.func public @updated_later
//       CHECK: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
util.func public @updated_later(%x: tensor<64xf32>) -> (tensor<64xf32>, tensor<64xf32>) {
  %c0 = arith.constant 0 : index
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%m) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @half::@half(%x) : (tensor<64xf32>) -> tensor<32xf32>
  %u = flow.tensor.update %a, %m[%c0] : tensor<32xf32> -> %m as tensor<64xf32>
  util.return %n, %u : tensor<64xf32>, tensor<64xf32>
}
