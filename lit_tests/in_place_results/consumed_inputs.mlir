// RUN: serenity-opt %s --serenity-in-place-results | FileCheck %s --check-prefix=SINGLE
// RUN: serenity-opt %s --serenity-in-place-results='last-use=on' | FileCheck %s

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

// Tests that the last reader of a consumed input writes over it, and that the
// next one goes on in its memory.

// SINGLE-LABEL: util.func public @chain
//       SINGLE: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
//  CHECK-LABEL: util.func public @chain
//        CHECK: %[[X:.+]] = hal.tensor.import consume
//        CHECK: flow.dispatch @make::@make(%[[X]])
//        CHECK: %[[S:.+]] = flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[X]]) : (tensor<64xf32>) -> %[[X]]
//        CHECK: flow.dispatch @make::@make(%[[S]])
//        CHECK: %[[T:.+]] = flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[S]]) : (tensor<64xf32>) -> %[[S]]
//        CHECK: flow.dispatch @make::@make(%[[T]])
util.func public @chain(%view: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view, !hal.buffer_view) {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %b = flow.dispatch @make::@make(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %t = flow.dispatch @negate::@negate(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %c = flow.dispatch @make::@make(%t) : (tensor<64xf32>) -> tensor<64xf32>
  %ra = hal.tensor.export %a "a" : tensor<64xf32> -> !hal.buffer_view
  %rb = hal.tensor.export %b "b" : tensor<64xf32> -> !hal.buffer_view
  %rc = hal.tensor.export %c "c" : tensor<64xf32> -> !hal.buffer_view
  util.return %ra, %rb, %rc : !hal.buffer_view, !hal.buffer_view, !hal.buffer_view
}

// Tests that nothing is written over an input that is kept.

// CHECK-LABEL: util.func public @kept
//       CHECK: flow.dispatch @negate::@negate(
util.func public @kept(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import %view "x" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %r = hal.tensor.export %a "a" : tensor<64xf32> -> !hal.buffer_view
  util.return %r : !hal.buffer_view
}

// Tests that nothing is written over an argument that is imported twice: the
// other import is the same memory.

// CHECK-LABEL: util.func public @imported_twice
//       CHECK: flow.dispatch @negate::@negate(
util.func public @imported_twice(%view: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %y = hal.tensor.import consume %view "y" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %b = flow.dispatch @make::@make(%y) : (tensor<64xf32>) -> tensor<64xf32>
  %ra = hal.tensor.export %a "a" : tensor<64xf32> -> !hal.buffer_view
  %rb = hal.tensor.export %b "b" : tensor<64xf32> -> !hal.buffer_view
  util.return %ra, %rb : !hal.buffer_view, !hal.buffer_view
}

// Tests that nothing is written over an argument that is returned, as a view or
// as a tensor.

// CHECK-LABEL: util.func public @returned_view
//       CHECK: flow.dispatch @negate::@negate(
util.func public @returned_view(%view: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %r = hal.tensor.export %a "a" : tensor<64xf32> -> !hal.buffer_view
  util.return %r, %view : !hal.buffer_view, !hal.buffer_view
}

// CHECK-LABEL: util.func public @returned_tensor
//       CHECK: flow.dispatch @negate::@negate(
util.func public @returned_tensor(%view: !hal.buffer_view) -> (!hal.buffer_view, !hal.buffer_view) {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %a = flow.dispatch @make::@make(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %r = hal.tensor.export %a "a" : tensor<64xf32> -> !hal.buffer_view
  %rx = hal.tensor.export %x "x" : tensor<64xf32> -> !hal.buffer_view
  util.return %r, %rx : !hal.buffer_view, !hal.buffer_view
}

// Tests that a result that is handed out is not written over an input: neither
// directly nor over a value that lies in one. %t takes memory of its own.

// CHECK-LABEL: util.func public @handed_out
//       CHECK: %[[X:.+]] = hal.tensor.import consume
//       CHECK: %[[S:.+]] = flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[X]]) : (tensor<64xf32>) -> %[[X]]
//       CHECK: flow.dispatch @negate::@negate(%[[S]]) : (tensor<64xf32>) -> tensor<64xf32>
util.func public @handed_out(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %t = flow.dispatch @negate::@negate(%s) : (tensor<64xf32>) -> tensor<64xf32>
  %v = flow.tensor.reshape %t : tensor<64xf32> -> tensor<8x8xf32>
  %r = hal.tensor.export %v "t" : tensor<8x8xf32> -> !hal.buffer_view
  util.return %r : !hal.buffer_view
}

// Tests that a result is not written over an input where it is inserted into a
// tensor that is handed out, unless it is copied there.

// CHECK-LABEL: util.func public @inserted
//       CHECK: %[[Y:.+]] = hal.tensor.import consume %{{.+}} "y"
//       CHECK: flow.dispatch @negate::@negate(%{{.+}}) : (tensor<64xf32>) -> tensor<64xf32>
//       CHECK: flow.dispatch @negate_in_place_0::@negate_in_place_0(%[[Y]]) : (tensor<64xf32>) -> %[[Y]]
util.func public @inserted(%view: !hal.buffer_view, %other: !hal.buffer_view) -> !hal.buffer_view {
  %c0 = arith.constant 0 : index
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %y = hal.tensor.import consume %other "y" : !hal.buffer_view -> tensor<64xf32>
  %s = flow.dispatch @negate::@negate(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %part = flow.dispatch @make::@make() : () -> tensor<8xf32>
  %t = flow.dispatch @negate::@negate(%y) : (tensor<64xf32>) -> tensor<64xf32>
  %u = flow.tensor.update %part, %s[%c0] : tensor<8xf32> -> %s as tensor<64xf32>
  %e = flow.tensor.empty : tensor<128xf32>
  %w = flow.tensor.update %t, %e[%c0] : tensor<64xf32> -> %e as tensor<128xf32>
  %v = flow.dispatch @make::@make(%w) : (tensor<128xf32>) -> tensor<64xf32>
  %z = flow.tensor.update %part, %u[%c0] : tensor<8xf32> -> %u as tensor<64xf32>
  %q = flow.dispatch @make::@make(%v) : (tensor<64xf32>) -> tensor<64xf32>
  %r = hal.tensor.export %z "z" : tensor<64xf32> -> !hal.buffer_view
  util.return %r : !hal.buffer_view
}
