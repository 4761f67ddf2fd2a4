// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RegionWriterTest: a region that is read, planned and written back.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Transforms/RegionModel.h"

#include <numeric>

using namespace serenity;
using namespace serenity::test;

namespace {

/// Two parts of a concatenation (1,024 bytes each), both updated into it.
const char *const concatenation = R"(
util.func public @f(%x: !stream.resource<external>) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@b(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %2 = stream.async.update %0, %whole[%c0 to %c1024] : !stream.resource<transient>{%c1024} -> %whole as !stream.resource<transient>{%c2048}
    %3 = stream.async.update %1, %2[%c1024 to %c2048] : !stream.resource<transient>{%c1024} -> %2 as !stream.resource<transient>{%c2048}
    %out = stream.async.dispatch @ex::@use(%3[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64}
    stream.yield %out : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
)";

RegionModel read(MlirOperation module) {
  ReadRegionResult result =
      readRegion(findAll(module, "stream.async.execute").at(0),
                 Executables(module), Options());
  if (!result.model) {
    std::fprintf(stderr, "not modelled: %s\n", result.reason.c_str());
    std::exit(1);
  }
  return std::move(*result.model);
}

/// The commands of the region in order, as "a update b ...".
std::string commandsOf(MlirOperation module) {
  std::string text;
  MlirOperation execute = findAll(module, "stream.async.execute").at(0);
  for (MlirOperation op : ir::operations(ir::body(execute))) {
    std::string name(ir::name(op));
    if (name == "stream.async.dispatch") {
      std::string entry = ir::toString(ir::attr(op, "entry_points"));
      size_t at = entry.rfind('@');
      name = entry.substr(at + 1, entry.find(']') - at - 1);
    } else {
      name = name.substr(name.rfind('.') + 1);
    }
    text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

/// Writes the region with the placements `wanted` in `order` (operations of the
/// plan); the result must verify.
void rewrite(MlirOperation module, const std::vector<bool> &wanted,
             const std::vector<OpId> &order, const char *what) {
  RegionModel model = read(module);
  RegionPlan plan = planRegion(model, wanted, 64);
  expect(plan.commands.size() == order.size(), what);
  if (plan.commands.size() == order.size()) {
    applyPlan(model, plan, order);
  }
  expect(mlirOperationVerify(module), what);
}

void testSameOrder(Session &session) {
  ir::OwningOp module = session.parse(concatenation);
  std::vector<MlirOperation> before =
      findAll(module.get(), "stream.async.dispatch");
  rewrite(module.get(), {false, false}, {0, 1, 2, 3, 4}, "as it was");
  // The allocation stands before its first user.
  expect(commandsOf(module.get()) == "a b alloca update update use yield",
         "the given order stays");
  std::vector<MlirOperation> after =
      findAll(module.get(), "stream.async.dispatch");
  for (size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    expect(before[i].ptr == after[i].ptr, "dispatches are kept, not rebuilt");
  }
}

void testOtherOrder(Session &session) {
  ir::OwningOp module = session.parse(concatenation);
  // The second part first, and its update before that of the other part.
  rewrite(module.get(), {false, false}, {1, 3, 0, 2, 4}, "another order");
  expect(commandsOf(module.get()) == "b alloca update a update use yield",
         "the commands stand in the new order");
  RegionModel again = read(module.get());
  expect(again.commands.size() == 5, "and nothing is lost");
  expect(again.commands[1].accesses[0].lower == 1024 &&
             again.commands[3].accesses[0].lower == 0,
         "the updates are chained in the new order");
}

void testPlaced(Session &session) {
  ir::OwningOp module = session.parse(concatenation);
  rewrite(module.get(), {true, true}, {1, 0, 2}, "both parts in place");
  expect(commandsOf(module.get()) == "alloca b a use yield",
         "the updates are gone");
  std::vector<MlirOperation> dispatches =
      findAll(module.get(), "stream.async.dispatch");
  MlirValue whole =
      ir::result(findAll(module.get(), "stream.async.alloca").at(0));
  auto reads = [](MlirOperation op, MlirValue value) {
    for (MlirValue operand : ir::operands(op)) {
      if (mlirValueEqual(operand, value)) {
        return true;
      }
    }
    return false;
  };
  expect(reads(dispatches[0], whole), "the first writes to the allocation");
  expect(reads(dispatches[1], ir::result(dispatches[0])) &&
             reads(dispatches[2], ir::result(dispatches[1])),
         "the values of the concatenation are chained in the new order");
  for (int i : {0, 1}) {
    expect(!ir::isNull(ir::attr(dispatches[i], "tied_operands")),
           "a part in place is tied");
  }
}

void testOnePlaced(Session &session) {
  ir::OwningOp module = session.parse(concatenation);
  rewrite(module.get(), {false, true}, {0, 1, 2, 3}, "one part in place");
  expect(commandsOf(module.get()) == "a alloca b update use yield",
         "the other part is updated still");
}

} // namespace

int main() {
  Session session;
  testSameOrder(session);
  testOtherOrder(session);
  testPlaced(session);
  testOnePlaced(session);
  if (failures == 0) {
    std::printf("regions are written as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
