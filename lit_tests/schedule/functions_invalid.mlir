// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-schedule --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests that a function that is not modelled stays exactly as it is, and that
// the remark sits on the operation to blame.

// expected-remark @below {{function keeps the order that IREE gave it: function of several blocks}}
util.func public @several_blocks(%x: tensor<16xf32>, %cond: i1) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@a(%x) : (tensor<16xf32>) -> tensor<16xf32>
  cf.cond_br %cond, ^bb1, ^bb2
^bb1:
  util.return %0 : tensor<16xf32>
^bb2:
  util.return %x : tensor<16xf32>
}

// -----

util.func public @unknown_operation(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@a(%x) : (tensor<16xf32>) -> tensor<16xf32>
  // expected-remark @below {{function keeps the order that IREE gave it: operation 'flow.tensor.trace' is not modelled}}
  flow.tensor.trace "values" = [%0 : tensor<16xf32>]
  %1 = flow.dispatch @ex::@b(%0) : (tensor<16xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}

// -----

// A call may read and write anything.

util.func private @callee(%x: tensor<16xf32>) -> tensor<16xf32>
util.func public @call(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = flow.dispatch @ex::@a(%x) : (tensor<16xf32>) -> tensor<16xf32>
  // expected-remark @below {{function keeps the order that IREE gave it: operation 'util.call' is not modelled}}
  %1 = util.call @callee(%0) : (tensor<16xf32>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}

// -----

// Tests elements that IREE packs into fewer bits than a byte.

util.func public @packed_elements(%x: tensor<16xf32>) -> tensor<16xf32> {
  // expected-remark @below {{function keeps the order that IREE gave it: tensor of dynamic or unknown size}}
  %0 = flow.dispatch @ex::@a(%x) : (tensor<16xf32>) -> tensor<16xi4>
  %1 = flow.dispatch @ex::@b(%0) : (tensor<16xi4>) -> tensor<16xf32>
  util.return %1 : tensor<16xf32>
}
