// RUN: serenity-opt %s --serenity-in-place-results | FileCheck %s

// Tests that a result of dynamic shape takes the place of an operand of the
// same extents; the operations that write extents beside bindings follow.

// CHECK-LABEL: flow.executable private @negate_in_place_0
//       CHECK: func.func @negate_in_place_0(%[[ARG:.+]]: !iree_tensor_ext.dispatch.tensor<readwrite:tensor<?x64xf32>>, %{{.+}}: index)
//       CHECK: %[[TIED:.+]] = flow.dispatch.tie_shape %[[ARG]] : !iree_tensor_ext.dispatch.tensor<readwrite:tensor<?x64xf32>>
//       CHECK: iree_tensor_ext.dispatch.tensor.load %[[TIED]]
//       CHECK: %[[TARGET:.+]] = flow.dispatch.tie_shape %[[ARG]] : !iree_tensor_ext.dispatch.tensor<readwrite:tensor<?x64xf32>>
//       CHECK: iree_tensor_ext.dispatch.tensor.store %{{.+}}, %[[TARGET]]
flow.executable private @negate {
  flow.executable.export public @negate workgroups(%arg0: index) -> (index, index, index) {
    %x, %y, %z = iree_tensor_ext.dispatch.workgroup_count_from_slice(%arg0)
    flow.return %x, %y, %z : index, index, index
  }
  builtin.module {
    func.func @negate(%arg0: !iree_tensor_ext.dispatch.tensor<readonly:tensor<?x64xf32>>, %arg1: index, %arg2: !iree_tensor_ext.dispatch.tensor<writeonly:tensor<?x64xf32>>) {
      %n = iree_tensor_ext.dispatch.workload.ordinal %arg1, 0 : index
      %s = flow.dispatch.tie_shape %arg0 : !iree_tensor_ext.dispatch.tensor<readonly:tensor<?x64xf32>>{%n}
      %0 = iree_tensor_ext.dispatch.tensor.load %s, offsets = [0, 0], sizes = [%n, 64], strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<?x64xf32>>{%n} -> tensor<?x64xf32>
      %t = flow.dispatch.tie_shape %arg2 : !iree_tensor_ext.dispatch.tensor<writeonly:tensor<?x64xf32>>{%n}
      %1 = tensor.empty(%n) : tensor<?x64xf32>
      %2 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<?x64xf32>) outs(%1 : tensor<?x64xf32>) {
      ^bb0(%in: f32, %out: f32):
        %3 = arith.negf %in : f32
        linalg.yield %3 : f32
      } -> tensor<?x64xf32>
      iree_tensor_ext.dispatch.tensor.store %2, %t, offsets = [0, 0], sizes = [%n, 64], strides = [1, 1] : tensor<?x64xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<?x64xf32>>{%n}
      return
    }
  }
}
flow.executable private @make { flow.executable.export public @make }

// CHECK-LABEL: util.func public @same_extent
//  CHECK-SAME: %[[N:.+]]: index
//       CHECK: %[[M:.+]] = flow.dispatch @make::@make(
//       CHECK: flow.dispatch @negate_in_place_0::@negate_in_place_0[%[[N]]](%[[M]], %[[N]]) : (tensor<?x64xf32>{%[[N]]}, index) -> %[[M]]{%[[N]]}
util.func public @same_extent(%n: index, %x: tensor<64xf32>) -> tensor<64xf32> {
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<?x64xf32>{%n}
  %r = flow.dispatch @negate::@negate[%n](%m, %n) : (tensor<?x64xf32>{%n}, index) -> tensor<?x64xf32>{%n}
  %s = flow.dispatch @make::@make(%r) : (tensor<?x64xf32>{%n}) -> tensor<64xf32>
  util.return %s : tensor<64xf32>
}

// Tests that extents that are other values may be other numbers.

// CHECK-LABEL: util.func public @another_extent
//       CHECK: flow.dispatch @negate::@negate[
util.func public @another_extent(%n: index, %k: index, %x: tensor<64xf32>) -> tensor<64xf32> {
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<?x64xf32>{%k}
  %r = flow.dispatch @negate::@negate[%n](%m, %n) : (tensor<?x64xf32>{%k}, index) -> tensor<?x64xf32>{%n}
  %s = flow.dispatch @make::@make(%r) : (tensor<?x64xf32>{%n}) -> tensor<64xf32>
  util.return %s : tensor<64xf32>
}
