// RUN: serenity-opt %s --serenity-schedule-regions --split-input-file | FileCheck %s

// Tests that parts are made in their places where it pays. With copies, one
// part (1024 bytes) and the whole (2048) are alive at once: 3072. In place
// there is only the whole: 2048. The copies are gone.

// CHECK-LABEL: @parts_in_place
//       CHECK: %[[WHOLE:.+]] = stream.async.alloca : !stream.resource<transient>{%[[SIZE:.+]]}
//       CHECK: %[[PART0:.+]] = stream.async.dispatch @ex::@part_0(%{{.+}}[{{.+}}], %[[WHOLE]][{{.+}}]) : {{.+}} -> %[[WHOLE]]{%[[SIZE]]}
//  CHECK-NEXT: %[[PART1:.+]] = stream.async.dispatch @ex::@part_1(%{{.+}}[{{.+}}], %[[PART0]][{{.+}}]) : {{.+}} -> %[[PART0]]{%[[SIZE]]}
//   CHECK-NOT: stream.async.update
//       CHECK: stream.async.dispatch @ex::@use(%[[PART1]]
//       CHECK: serenity.peak_bytes = 2048 : i64
util.func public @parts_in_place(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@part_0(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@part_1(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %2 = stream.async.update %0, %whole[%c0 to %c1024] : !stream.resource<transient>{%c1024} -> %whole as !stream.resource<transient>{%c2048}
    %3 = stream.async.update %1, %2[%c1024 to %c2048] : !stream.resource<transient>{%c1024} -> %2 as !stream.resource<transient>{%c2048}
    %4 = stream.async.dispatch @ex::@use(%3[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %4 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a part that IREE has placed is taken out again where that pays.
// As given, the whole (2048) is held while the part's large operand (4096) is
// alive: 6144. With a buffer of its own: 4096 + 1024 = 5120 while @part_1 runs;
// then 1024 + 2048 = 3072 for its copy.
// @part_1 needs its operand and its result together, so 5120 is the least.

// CHECK-LABEL: util.func public @part_in_a_buffer_of_its_own
//       CHECK: %[[LARGE:.+]] = stream.async.dispatch @other::@grow
//  CHECK-NEXT: %[[PART:.+]] = stream.async.dispatch @ex::@part_1(%[[LARGE]][{{.+}}]) : (!stream.resource<transient>{%{{.+}}}) -> !stream.resource<transient>{
//       CHECK: stream.async.update %[[PART]], %{{.+}}[%c1024{{.*}} to %c2048{{.*}}]
//       CHECK: serenity.lower_bound_bytes = 5120 : i64
//  CHECK-SAME: serenity.peak_bytes = 5120 : i64
stream.executable private @ex {
  stream.executable.export public @part_0
  stream.executable.export public @part_1
  builtin.module {
    func.func @part_0(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<256xf32>>
      return
    }
    func.func @part_1(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<1024xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<256xf32>>
      return
    }
  }
}
util.func public @part_in_a_buffer_of_its_own(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %c4096 = arith.constant 4096 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@part_0(%in[%c0 to %c64 for %c64], %whole[%c0 to %c1024 for %c1024]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c2048}) -> %whole{%c2048}
    %1 = stream.async.dispatch @other::@grow(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c4096}
    %2 = stream.async.dispatch @ex::@part_1(%1[%c0 to %c4096 for %c4096], %0[%c1024 to %c2048 for %c1024]) : (!stream.resource<transient>{%c4096}, !stream.resource<transient>{%c2048}) -> %0{%c2048}
    %3 = stream.async.dispatch @other::@use(%2[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %3 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that an accumulator is not taken for a part: the executable reads what
// is in its last operand, so it cannot be moved elsewhere.

// CHECK-LABEL: util.func public @accumulator_stays
//       CHECK: %[[WHOLE:.+]] = stream.async.dispatch @other::@begin
//       CHECK: stream.async.dispatch @ex::@add(%{{.+}}[{{.+}}], %[[WHOLE]][%c0 to %c1024 for %c1024]) : {{.+}} -> %[[WHOLE]]{
//   CHECK-NOT: stream.async.update
//       CHECK: serenity.peak_bytes = 2048 : i64
stream.executable private @ex {
  stream.executable.export public @add
  builtin.module {
    func.func @add(%in: !stream.binding, %sum: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %sum[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readwrite:tensor<256xf32>>
      return
    }
  }
}
util.func public @accumulator_stays(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.dispatch @other::@begin(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@add(%in[%c0 to %c64 for %c64], %whole[%c0 to %c1024 for %c1024]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c2048}) -> %whole{%c2048}
    %1 = stream.async.dispatch @other::@use(%0[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %1 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a part of a padded whole with a reader besides the copy is made in
// place: the reader then reads it there. 2048 + 64 bytes, where the part in a
// buffer of its own takes 1024 more.

// CHECK-LABEL: @part_with_another_reader
//       CHECK: %[[ZERO:.+]] = stream.async.splat
//       CHECK: %[[WHOLE:.+]] = stream.async.dispatch @ex::@part({{.+}}, %[[ZERO]][%[[LOWER:[a-z0-9_]+]] to %[[UPPER:[a-z0-9_]+]] for {{.+}} -> %[[ZERO]]{
//  CHECK-NEXT: %[[SEEN:.+]] = stream.async.dispatch @ex::@read(%[[WHOLE]][%[[LOWER]] to %[[UPPER]] for
//  CHECK-NEXT: stream.async.dispatch @ex::@use(%[[WHOLE]][{{.+}}], %[[SEEN]]
//       CHECK: serenity.peak_bytes = 2112 : i64
util.func public @part_with_another_reader(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %c0_i32 = arith.constant 0 : i32
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %zero = stream.async.splat %c0_i32 : i32 -> !stream.resource<transient>{%c2048}
    %part = stream.async.dispatch @ex::@part(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %seen = stream.async.dispatch @ex::@read(%part[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %whole = stream.async.update %part, %zero[%c1024 to %c2048] : !stream.resource<transient>{%c1024} -> %zero as !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@use(%whole[%c0 to %c2048 for %c2048], %seen[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c2048}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64}
    stream.yield %0 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a part stays where it is if the operation that reads it last
// writes over its place: workgroups would read what others have written.

// CHECK-LABEL: @part_is_read_with_the_whole
//       CHECK: %[[PART:.+]] = stream.async.dispatch @ex::@part_0(%{{[a-z0-9]+}}[%{{.+}} to %{{.+}} for %{{.+}}]) :
//       CHECK: stream.async.update %[[PART]], %{{.+}}[%c0{{.*}} to %c1024{{.*}}]
//       CHECK: stream.async.dispatch @ex::@accumulate(%[[PART]][{{.+}}], %[[WHOLE:.+]][{{.+}}]) : {{.+}} -> %[[WHOLE]]{
util.func public @part_is_read_with_the_whole(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@part_0(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@part_1(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %2 = stream.async.update %0, %whole[%c0 to %c1024] : !stream.resource<transient>{%c1024} -> %whole as !stream.resource<transient>{%c2048}
    %3 = stream.async.update %1, %2[%c1024 to %c2048] : !stream.resource<transient>{%c1024} -> %2 as !stream.resource<transient>{%c2048}
    %4 = stream.async.dispatch @ex::@accumulate(%0[%c0 to %c1024 for %c1024], %3[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c1024}, !stream.resource<transient>{%c2048}) -> %3{%c2048}
    %5 = stream.async.dispatch @ex::@use(%4[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %5 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}

// -----

// Tests that a splat of four bytes is not made at an odd place, where the
// runtime does not fill, and that one of a single byte is.

// CHECK-LABEL: @splat_at_an_odd_place
//       CHECK: %[[WIDE:.+]] = stream.async.splat %{{.+}} : i32 -> !stream.resource<transient>{
//       CHECK: stream.async.update %[[WIDE]], %{{.+}}[%c1{{.*}} to %c257{{.*}}]
// CHECK-LABEL: @splat_of_bytes_at_an_odd_place
//   CHECK-NOT: stream.async.update
//       CHECK: util.return
util.func public @splat_at_an_odd_place(%x: !stream.resource<external>, %v: i32) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %c257 = arith.constant 257 : index
  %c320 = arith.constant 320 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c320}
    %0 = stream.async.splat %v : i32 -> !stream.resource<transient>{%c256}
    %1 = stream.async.update %0, %whole[%c1 to %c257] : !stream.resource<transient>{%c256} -> %whole as !stream.resource<transient>{%c320}
    %2 = stream.async.dispatch @ex::@use(%1[%c0 to %c320 for %c320]) : (!stream.resource<transient>{%c320}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
util.func public @splat_of_bytes_at_an_odd_place(%x: !stream.resource<external>, %v: i8) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %c256 = arith.constant 256 : index
  %c257 = arith.constant 257 : index
  %c320 = arith.constant 320 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c320}
    %0 = stream.async.splat %v : i8 -> !stream.resource<transient>{%c256}
    %1 = stream.async.update %0, %whole[%c1 to %c257] : !stream.resource<transient>{%c256} -> %whole as !stream.resource<transient>{%c320}
    %2 = stream.async.dispatch @ex::@use(%1[%c0 to %c320 for %c320]) : (!stream.resource<transient>{%c320}) -> !stream.resource<external>{%c64}
    stream.yield %2 : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
