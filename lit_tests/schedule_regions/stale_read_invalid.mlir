// RUN: not serenity-opt %s --serenity-schedule-regions -o /dev/null 2>&1 | FileCheck %s

// Tests that a region is refused in which a value is read after a dispatch has
// overwritten it that this project has made to do so, and that cannot be put
// right: the driver then takes another form of the module.

// CHECK: remark: region keeps the order that IREE gave it: a value is read after it was overwritten
// CHECK: error: reads what was overwritten in place before

util.func public @main(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c128} {
    %old = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c64}
    %new = stream.async.dispatch @add_in_place_0::@add_in_place_0(%in[%c0 to %c64 for %c64], %old[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c64}) -> %old{%c64}
    %whole = stream.async.dispatch @ex::@grow(%new[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}) -> !stream.resource<external>{%c128}
    %0 = stream.async.update %old, %whole[%c64 to %c128] : !stream.resource<transient>{%c64} -> %whole as !stream.resource<external>{%c128}
    stream.yield %0 : !stream.resource<external>{%c128}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
