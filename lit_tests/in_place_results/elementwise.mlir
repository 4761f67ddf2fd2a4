// RUN: serenity-opt %s --serenity-in-place-results | FileCheck %s
// RUN: serenity-opt %s --serenity-in-place-results='last-use=on' | FileCheck %s --check-prefix=LAST

// Tests that an elementwise dispatch takes the place of its operand if nothing
// else reads it: the copy of its code reads and writes one binding.

// CHECK-LABEL: flow.executable private @negate_in_place_0
//       CHECK: func.func @negate_in_place_0(%[[ARG:.+]]: !iree_tensor_ext.dispatch.tensor<readwrite:tensor<64xf32>>)
//       CHECK: iree_tensor_ext.dispatch.tensor.load %[[ARG]]
//       CHECK: iree_tensor_ext.dispatch.tensor.store %{{.+}}, %[[ARG]]
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

// CHECK-LABEL: util.func public @only_reader
//       CHECK: %[[M:.+]] = flow.dispatch @make::@make(
//       CHECK: flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[M]]) : (tensor<64xf32>) -> %[[M]]
util.func public @only_reader(%x: tensor<64xf32>) -> tensor<64xf32> {
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%m) : (tensor<64xf32>) -> tensor<64xf32>
  %r = flow.dispatch @make::@make(%n) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %r : tensor<64xf32>
}

// Tests that the last of two readers takes the place only with last-use=on, and
// that what an argument of the function holds is never overwritten.

// CHECK-LABEL: util.func public @last_of_two
//       CHECK: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
//  LAST-LABEL: util.func public @last_of_two
//        LAST: %[[M:.+]] = flow.dispatch @make::@make(
//        LAST: flow.dispatch @make::@make(%[[M]])
//        LAST: flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[M]]) : (tensor<64xf32>) -> %[[M]]
util.func public @last_of_two(%x: tensor<64xf32>) -> (tensor<64xf32>, tensor<64xf32>) {
  %m = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%m) : (tensor<64xf32>) -> tensor<64xf32>
  %n = flow.dispatch @negate::@negate(%m) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %a, %n : tensor<64xf32>, tensor<64xf32>
}

// CHECK-LABEL: util.func public @argument
//       CHECK: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
//  LAST-LABEL: util.func public @argument
//        LAST: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
util.func public @argument(%x: tensor<64xf32>) -> tensor<64xf32> {
  %n = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  util.return %n : tensor<64xf32>
}
