// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests that the reader of a value stays before the dispatch that overwrites
// it. Without that constraint @overwrite before @read would be as good. The
// in-place result needs no memory of its own: 256 for the buffer and 64 for
// what @read makes.

// CHECK-LABEL: @reader_before_writer
//       CHECK: %[[OLD:.+]] = stream.async.dispatch @ex::@make
//  CHECK-NEXT: stream.async.dispatch @ex::@read(%[[OLD]]
//  CHECK-NEXT: %[[NEW:.+]] = stream.async.dispatch @ex::@overwrite(%[[OLD]]{{.+}}) : {{.+}} -> %[[OLD]]{
//       CHECK: stream.async.dispatch @ex::@join(%[[NEW]]
//       CHECK: serenity.peak_bytes = 320 : i64
util.func public @reader_before_writer(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %old = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c256}
    %copy = stream.async.dispatch @ex::@read(%old[%c0 to %c256 for %c256]) : (!stream.resource<transient>{%c256}) -> !stream.resource<transient>{%c64}
    %new = stream.async.dispatch @ex::@overwrite(%old[%c0 to %c256 for %c256]) : (!stream.resource<transient>{%c256}) -> %old{%c256}
    %0 = stream.async.dispatch @ex::@join(%new[%c0 to %c256 for %c256], %copy[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c256}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a chain of in-place accumulations is one buffer of 256 bytes, and
// that each operand (1024 bytes) is added as soon as it is there. In the order
// given three operands and the accumulator are alive at once:
// 3 * 1024 + 256 = 3328. Interleaved: 1024 + 256 = 1280.

// CHECK-LABEL: @accumulate
//       CHECK: @ex::@part_0
//       CHECK: %[[SUM0:.+]] = stream.async.dispatch @ex::@begin
//  CHECK-NEXT: %[[PART1:.+]] = stream.async.dispatch @ex::@part_1
//  CHECK-NEXT: %[[SUM1:.+]] = stream.async.dispatch @ex::@add_1(%[[SUM0]]{{.+}}, %[[PART1]]
//  CHECK-NEXT: %[[PART2:.+]] = stream.async.dispatch @ex::@part_2
//  CHECK-NEXT: %[[SUM2:.+]] = stream.async.dispatch @ex::@add_2(%[[SUM1]]{{.+}}, %[[PART2]]
//  CHECK-NEXT: stream.async.dispatch @ex::@end(%[[SUM2]]
//       CHECK: serenity.peak_bytes = 1280 : i64
util.func public @accumulate(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %c1024 = arith.constant 1024 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %p0 = stream.async.dispatch @ex::@part_0(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %p1 = stream.async.dispatch @ex::@part_1(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %p2 = stream.async.dispatch @ex::@part_2(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %s0 = stream.async.dispatch @ex::@begin(%p0[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c256}
    %s1 = stream.async.dispatch @ex::@add_1(%s0[%c0 to %c256 for %c256], %p1[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c256}, !stream.resource<transient>{%c1024}) -> %s0{%c256}
    %s2 = stream.async.dispatch @ex::@add_2(%s1[%c0 to %c256 for %c256], %p2[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c256}, !stream.resource<transient>{%c1024}) -> %s1{%c256}
    %0 = stream.async.dispatch @ex::@end(%s2[%c0 to %c256 for %c256]) : (!stream.resource<transient>{%c256}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that an argument overwritten in place keeps its readers before it and
// costs nothing.

// CHECK-LABEL: @argument_in_place
//       CHECK: execute with(%{{.+}} as %[[STATE:[a-z0-9_]+]]:
//       CHECK: %[[SEEN:.+]] = stream.async.dispatch @ex::@read(%[[STATE]]
//  CHECK-NEXT: %[[NEW:.+]] = stream.async.dispatch @ex::@step(%[[STATE]]
//  CHECK-NEXT: stream.async.dispatch @ex::@join(%[[NEW]]{{.+}}, %[[SEEN]]
//       CHECK: serenity.peak_bytes = 64 : i64
util.func public @argument_in_place(%x: !stream.resource<variable>) -> (!stream.resource<variable>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %r:2, %t = stream.async.execute with(%x as %state: !stream.resource<variable>{%c64}) -> (%x as !stream.resource<variable>{%c64}, !stream.resource<external>{%c64}) {
    %seen = stream.async.dispatch @ex::@read(%state[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}) -> !stream.resource<transient>{%c64}
    %new = stream.async.dispatch @ex::@step(%state[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}) -> %state{%c64}
    %0 = stream.async.dispatch @ex::@join(%new[%c0 to %c64 for %c64], %seen[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %new, %0 : !stream.resource<variable>{%c64}, !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r#0, %r#1, %t : !stream.resource<variable>, !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a resource captured twice is one buffer: @read_late reads through
// one argument what @step overwrites through the other, so it stays before it.
// 4096 + 64 when @shrink runs, and 64 + 4096 when @read_late runs.

// CHECK-LABEL: @captured_twice
//   CHECK-NOT: @ex::@step
//       CHECK: @ex::@read_late
//       CHECK: @ex::@step
//       CHECK: serenity.peak_bytes = 4160 : i64
util.func public @captured_twice(%x: !stream.resource<variable>) -> (!stream.resource<variable>, !stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c4096 = arith.constant 4096 : index
  %r:2, %t = stream.async.execute with(%x as %one: !stream.resource<variable>{%c64}, %x as %two: !stream.resource<variable>{%c64}) -> (%x as !stream.resource<variable>{%c64}, !stream.resource<external>{%c64}) {
    %early = stream.async.dispatch @ex::@read_early(%two[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}) -> !stream.resource<transient>{%c4096}
    %late = stream.async.dispatch @ex::@read_late(%two[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}) -> !stream.resource<transient>{%c4096}
    %small = stream.async.dispatch @ex::@shrink(%early[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<transient>{%c64}
    %new = stream.async.dispatch @ex::@step(%one[%c0 to %c64 for %c64], %small[%c0 to %c64 for %c64]) : (!stream.resource<variable>{%c64}, !stream.resource<transient>{%c64}) -> %one{%c64}
    %0 = stream.async.dispatch @ex::@use(%late[%c0 to %c4096 for %c4096]) : (!stream.resource<transient>{%c4096}) -> !stream.resource<external>{%c64}
    stream.yield %new, %0 : !stream.resource<variable>{%c64}, !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r#0, %r#1, %t : !stream.resource<variable>, !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a dispatch that IREE lets write into a part of what it reads gets
// a result of its own, which is copied there afterwards, with the argument's
// size: the dispatch has none where a copy has the target's. (The resource is
// captured twice, because text cannot say which of two equal operands is tied.)

// CHECK-LABEL: util.func public @part_of_what_is_read
//  CHECK-SAME: %[[SIZE:[a-z0-9_]+]]: index
//       CHECK: execute with(%{{.+}} as %[[STATE:[a-z0-9_]+]]: !stream.resource<external>{%[[SIZE]]}, %
//       CHECK: %[[PART:.+]] = stream.async.dispatch @shift::@shift(%[[STATE]][%{{[^,]+}}]) : {{.+}} -> !stream.resource<transient>{
//  CHECK-NEXT: %[[NEW:.+]] = stream.async.update %[[PART]], %[[STATE]][%c64{{.*}} to %c128{{.*}}] : {{.+}} -> %[[STATE]] as !stream.resource<external>{%[[SIZE]]}
//  CHECK-NEXT: stream.yield %[[NEW]]
//       CHECK: serenity.peak_bytes = 1152 : i64
stream.executable private @shift {
  stream.executable.export public @shift
  builtin.module {
    func.func @shift(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<32xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16xf32>>
      return
    }
  }
}
util.func public @part_of_what_is_read(%x: !stream.resource<external>, %size: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c1024 = arith.constant 1024 : index
  %r:2, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%size}, %x as %out: !stream.resource<external>{%size}) -> (%x as !stream.resource<external>{%size}, !stream.resource<external>{%c64}) {
    %a = stream.async.dispatch @ex::@grow_a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%size}) -> !stream.resource<transient>{%c1024}
    %b = stream.async.dispatch @ex::@grow_b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%size}) -> !stream.resource<transient>{%c1024}
    %c = stream.async.dispatch @ex::@shrink_a(%a[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %d = stream.async.dispatch @ex::@shrink_b(%b[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %e = stream.async.dispatch @ex::@join(%c[%c0 to %c64 for %c64], %d[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c64}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    %new = stream.async.dispatch @shift::@shift(%in[%c0 to %c128 for %c128], %out[%c64 to %c128 for %c64]) : (!stream.resource<external>{%size}, !stream.resource<external>{%size}) -> %out{%size}
    stream.yield %new, %e : !stream.resource<external>{%size}, !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r#0, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that what is read is the value that is named. IREE's emplacement, which
// has put @late's result into the concatenation, has sorted @late behind
// @overwrite, which @late's operand does not survive.

// CHECK-LABEL: util.func public @reader_sorted_behind_writer
//       CHECK: %[[OLD:.+]] = stream.async.dispatch @ex::@make
//  CHECK-NEXT: %[[LATE:.+]] = stream.async.dispatch @late::@late(%[[OLD]]
//  CHECK-NEXT: stream.async.dispatch @ex::@overwrite(%[[LATE]]
//       CHECK: serenity.peak_bytes = 0 : i64
stream.executable private @late {
  stream.executable.export public @late
  builtin.module {
    func.func @late(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<32xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<16xf32>>
      return
    }
  }
}
util.func public @reader_sorted_behind_writer(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c128 = arith.constant 128 : index
  %c192 = arith.constant 192 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c192} {
    %old = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<external>{%c128}
    %new = stream.async.dispatch @ex::@overwrite(%old[%c0 to %c128 for %c128]) : (!stream.resource<external>{%c128}) -> %old{%c128}
    %whole = stream.async.alloca : !stream.resource<external>{%c192}
    %first = stream.async.update %new, %whole[%c0 to %c128] : !stream.resource<external>{%c128} -> %whole as !stream.resource<external>{%c192}
    %both = stream.async.dispatch @late::@late(%old[%c0 to %c128 for %c128], %first[%c128 to %c192 for %c64]) : (!stream.resource<external>{%c128}, !stream.resource<external>{%c192}) -> %first{%c192}
    stream.yield %both : !stream.resource<external>{%c192}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
