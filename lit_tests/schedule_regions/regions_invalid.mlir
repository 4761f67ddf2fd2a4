// RUN: serenity-opt %s --split-input-file > %t.before
// RUN: serenity-opt %s --split-input-file --serenity-schedule-regions --verify-diagnostics > %t.after
// RUN: diff %t.before %t.after

// Tests that a region with an operation that is not modelled stays exactly as
// it is, and that the remark sits on that operation.

util.func public @concurrent_wave(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    // expected-remark @below {{region keeps the order that IREE gave it: operation 'stream.async.concurrent' is not modelled}}
    %0:2 = stream.async.concurrent with(%in as %w: !stream.resource<external>{%c64}) -> (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) {
      %a = stream.async.dispatch @ex::@a(%w[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
      %b = stream.async.dispatch @ex::@b(%w[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
      stream.yield %a, %b : !stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}
    }
    %1 = stream.async.dispatch @ex::@c(%0#0[%c0 to %c64 for %c64], %0#1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %1 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

stream.async.func private @callee(%x: !stream.resource<*>) -> !stream.resource<*>
util.func public @call(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    // expected-remark @below {{region keeps the order that IREE gave it: operation 'stream.async.call' is not modelled}}
    %0 = stream.async.call @callee(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

util.func public @transfer(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    // expected-remark @below {{region keeps the order that IREE gave it: operation 'stream.async.transfer' is not modelled}}
    %0 = stream.async.transfer %in : !stream.resource<external>{%c64} -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests a part of a buffer whose size is known only at run time.

util.func public @dynamic_alloca(%x: !stream.resource<external>, %size: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.alloca : !stream.resource<transient>{%size}
    // expected-remark @below {{region keeps the order that IREE gave it: access to a part of dynamic offset or size}}
    %1 = stream.async.update %in, %0[%c0 to %c64] : !stream.resource<external>{%c64} -> %0 as !stream.resource<transient>{%size}
    %2 = stream.async.dispatch @ex::@b(%1[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests a part whose place is known only at run time.

util.func public @dynamic_offset(%x: !stream.resource<external>, %lower: index, %upper: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %0 = stream.async.alloca : !stream.resource<transient>{%c128}
    // expected-remark @below {{region keeps the order that IREE gave it: access to a part of dynamic offset or size}}
    %1 = stream.async.update %in, %0[%lower to %upper] : !stream.resource<external>{%c64} -> %0 as !stream.resource<transient>{%c128}
    %2 = stream.async.dispatch @ex::@b(%1[%c0 to %c128 for %c128]) : (!stream.resource<transient>{%c128}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a read of what was overwritten before is not taken for a read of
// what has overwritten it.

util.func public @stale_read(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c128} {
    %old = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %new = stream.async.dispatch @ex::@overwrite(%old[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> %old{%c64}
    %whole = stream.async.dispatch @ex::@grow(%new[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c128}
    // expected-remark @below {{region keeps the order that IREE gave it: a value is read after it was overwritten}}
    %0 = stream.async.update %old, %whole[%c64 to %c128] : !stream.resource<transient>{%c64} -> %whole as !stream.resource<external>{%c128}
    stream.yield %0 : !stream.resource<external>{%c128}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
