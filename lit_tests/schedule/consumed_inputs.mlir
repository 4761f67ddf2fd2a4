// RUN: serenity-opt %s --serenity-schedule | FileCheck %s

flow.executable private @small { flow.executable.export public @small }
flow.executable private @big { flow.executable.export public @big }

// Tests that a dispatch that writes over a consumed input stays behind the other
// readers of the input, though the reader @big makes a value of 4,096 bytes that
// would better be made last: IREE would copy the input otherwise.

// CHECK-LABEL: util.func public @overwritten
//       CHECK: %[[X:.+]] = hal.tensor.import consume
//       CHECK: flow.dispatch @big::@big(%[[X]])
//       CHECK: flow.dispatch @small::@small(%[[X]]) : (tensor<64xf32>) -> %[[X]]
util.func public @overwritten(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %b = flow.dispatch @big::@big(%x) : (tensor<64xf32>) -> tensor<1024xf32>
  %s = flow.dispatch @small::@small(%x) : (tensor<64xf32>) -> %x
  %t = flow.dispatch @big::@big(%s) : (tensor<64xf32>) -> tensor<2048xf32>
  %u = flow.dispatch @small::@small(%t) : (tensor<2048xf32>) -> tensor<64xf32>
  %r = flow.dispatch @small::@small(%b, %u) : (tensor<1024xf32>, tensor<64xf32>) -> tensor<64xf32>
  %view_r = hal.tensor.export %r "r" : tensor<64xf32> -> !hal.buffer_view
  util.return %view_r : !hal.buffer_view
}

// Tests that the order is free where the result has memory of its own: %t and
// %b are not alive together then.

// CHECK-LABEL: util.func public @apart
//       CHECK: %[[X:.+]] = hal.tensor.import consume
//       CHECK: flow.dispatch @small::@small(%[[X]]) : (tensor<64xf32>) -> tensor<64xf32>
//       CHECK: flow.dispatch @big::@big(%[[X]]) : (tensor<64xf32>) -> tensor<1024xf32>
util.func public @apart(%view: !hal.buffer_view) -> !hal.buffer_view {
  %x = hal.tensor.import consume %view "x" : !hal.buffer_view -> tensor<64xf32>
  %b = flow.dispatch @big::@big(%x) : (tensor<64xf32>) -> tensor<1024xf32>
  %s = flow.dispatch @small::@small(%x) : (tensor<64xf32>) -> tensor<64xf32>
  %t = flow.dispatch @big::@big(%s) : (tensor<64xf32>) -> tensor<2048xf32>
  %u = flow.dispatch @small::@small(%t) : (tensor<2048xf32>) -> tensor<64xf32>
  %r = flow.dispatch @small::@small(%b, %u) : (tensor<1024xf32>, tensor<64xf32>) -> tensor<64xf32>
  %view_r = hal.tensor.export %r "r" : tensor<64xf32> -> !hal.buffer_view
  util.return %view_r : !hal.buffer_view
}
