// RUN: serenity-opt %s --serenity-clone-callees --split-input-file | FileCheck %s

// Tests that the first call keeps the function and every other call has a copy.

// CHECK-LABEL: util.func private @f(
//       CHECK: util.func private @f_copy_1(
//  CHECK-SAME: serenity.copy_of = "f"
//       CHECK: util.func private @f_copy_2(
//       CHECK: util.func public @three_calls
//       CHECK: util.call @f(%c0)
//       CHECK: util.call @f_copy_1(%c64)
//       CHECK: util.call @f_copy_2(%c0)
util.func private @f(%offset: index) -> index attributes {inlining_policy = #util.inline.never} {
  util.return %offset : index
}
util.func public @three_calls() -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %0 = util.call @f(%c0) : (index) -> index
  %1 = util.call @f(%c64) : (index) -> index
  %2 = util.call @f(%c0) : (index) -> index
  util.return %0, %1, %2 : index, index, index
}

// -----

// Tests that copies call copies, also out of branches and initializers, and
// that names which are taken are left alone.

//       CHECK: util.func private @inner(
//       CHECK: util.func private @inner_copy_2(
//       CHECK: util.func private @inner_copy_3(
//       CHECK: util.func private @inner_copy_4(
//       CHECK: util.func private @inner_copy_1()
//       CHECK: util.func private @outer(
//       CHECK: util.call @inner(
//       CHECK: util.call @inner_copy_2(
//       CHECK: util.func private @outer_copy_1(
//       CHECK: util.call @inner_copy_3(
//       CHECK: util.call @inner_copy_4(
//       CHECK: util.initializer
//       CHECK: util.call @outer(
//       CHECK: util.func public @nested
//       CHECK: scf.if
//       CHECK: util.call @outer_copy_1(
util.global private mutable @state : index
util.func private @inner(%x: index) -> index attributes {inlining_policy = #util.inline.never} {
  util.return %x : index
}
util.func private @inner_copy_1() {
  util.return
}
util.func private @outer(%x: index) -> index attributes {inlining_policy = #util.inline.never} {
  %0 = util.call @inner(%x) : (index) -> index
  %1 = util.call @inner(%0) : (index) -> index
  util.return %1 : index
}
util.initializer {
  %c1 = arith.constant 1 : index
  %0 = util.call @outer(%c1) : (index) -> index
  util.global.store %0, @state : index
  util.return
}
util.func public @nested(%condition: i1) -> index {
  %c2 = arith.constant 2 : index
  %0 = scf.if %condition -> index {
    %1 = util.call @outer(%c2) : (index) -> index
    scf.yield %1 : index
  } else {
    scf.yield %c2 : index
  }
  util.return %0 : index
}

// -----

// Tests that functions which are called once, from elsewhere, or defined
// elsewhere stay as they are.

//   CHECK-NOT: serenity.copy_of
util.func private @once(%x: index) -> index {
  util.return %x : index
}
util.func public @exported(%x: index) -> index {
  util.return %x : index
}
util.func private @imported(%x: index) -> index
util.func public @others(%x: index) -> index {
  %0 = util.call @once(%x) : (index) -> index
  %1 = util.call @exported(%0) : (index) -> index
  %2 = util.call @exported(%1) : (index) -> index
  %3 = util.call @imported(%2) : (index) -> index
  %4 = util.call @imported(%3) : (index) -> index
  util.return %4 : index
}

// -----

// Tests that a module with a function that calls itself stays as it is.

//   CHECK-NOT: serenity.copy_of
util.func private @down(%n: i32) -> i32 {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %done = arith.cmpi sle, %n, %c0 : i32
  %0 = scf.if %done -> i32 {
    scf.yield %n : i32
  } else {
    %1 = arith.subi %n, %c1 : i32
    %2 = util.call @down(%1) : (i32) -> i32
    scf.yield %2 : i32
  }
  util.return %0 : i32
}
util.func public @recursion(%n: i32) -> (i32, i32) {
  %0 = util.call @down(%n) : (i32) -> i32
  %1 = util.call @down(%0) : (i32) -> i32
  util.return %0, %1 : i32, i32
}

// -----

// Tests that a module that is as stock throughout stays as it is.

//   CHECK-NOT: serenity.copy_of
util.func private @g(%x: index) -> index attributes {serenity.variant = "stock"} {
  util.return %x : index
}
util.func public @as_stock(%x: index) -> index attributes {serenity.variant = "stock"} {
  %0 = util.call @g(%x) : (index) -> index
  %1 = util.call @g(%0) : (index) -> index
  util.return %1 : index
}
