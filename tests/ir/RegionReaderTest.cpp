// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// RegionReaderTest: the models of small regions, worked out by hand.

#include "Expect.h"
#include "ParsedModule.h"

#include "serenity/Transforms/RegionModel.h"

using namespace serenity;
using namespace serenity::test;

namespace {

/// A function with one region that captures %x (64 bytes) as %in.
std::string function(const std::string &body) {
  return R"(
util.func public @f(%x: !stream.resource<external>, %size: index) -> (!stream.resource<external>, !stream.timepoint) {
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %c1024 = arith.constant 1024 : index
  %c2048 = arith.constant 2048 : index
  %c7 = arith.constant 7 : i32
  %r, %t = stream.async.execute with(%x as %in: !stream.resource<external>{%c64}, %x as %again: !stream.resource<external>{%c64}) -> !stream.resource<external>{%c64} {
)" + body +
         R"(
    stream.yield %out : !stream.resource<external>{%c64}
  } => !stream.timepoint
  util.return %r, %t : !stream.resource<external>, !stream.timepoint
}
)";
}

/// The executable @ex with @part, which only writes its second binding.
const std::string executable = R"(
stream.executable private @ex {
  stream.executable.export public @part
  builtin.module {
    func.func @part(%in: !stream.binding, %out: !stream.binding) {
      %c0 = arith.constant 0 : index
      %0 = stream.binding.subspan %in[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16xf32>>
      %1 = stream.binding.subspan %out[%c0] : !stream.binding -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<256xf32>>
      return
    }
  }
}
)";

ReadRegionResult read(MlirOperation module) {
  return readRegion(findAll(module, "stream.async.execute").at(0),
                    Executables(module), Options());
}

bool covers(const Access &access, int buffer, int64_t lower, int64_t upper) {
  return access.buffer == buffer && access.lower == lower &&
         access.upper == upper;
}

void testConcatenation(Session &session) {
  ir::OwningOp module = session.parse(function(R"(
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@a(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@b(%again[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %2 = stream.async.update %0, %whole[%c0 to %c1024] : !stream.resource<transient>{%c1024} -> %whole as !stream.resource<transient>{%c2048}
    %3 = stream.async.update %1, %2[%c1024 to %c2048] : !stream.resource<transient>{%c1024} -> %2 as !stream.resource<transient>{%c2048}
    %out = stream.async.dispatch @ex::@use(%3[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64})"));
  ReadRegionResult result = read(module.get());
  if (!result.model) {
    expect(false, "a concatenation is modelled");
    return;
  }
  const RegionModel &model = *result.model;
  // Two arguments of one resource are one buffer.
  expect(model.buffers.size() == 5, "argument, whole, two parts, result");
  if (model.buffers.size() != 5 || model.commands.size() != 5) {
    expect(false, "three dispatches and two updates");
    return;
  }
  const int whole = 1, first = 2, second = 3, out = 4;
  expect(model.buffers[0].isArgument && !model.buffers[0].local(),
         "an argument lies outside of the slab");
  expect(model.buffers[whole].isAlloca && model.buffers[whole].bytes == 2048,
         "an allocation without contents");
  expect(model.buffers[first].local() && !model.buffers[first].isAlloca &&
             model.buffers[first].bytes == 1024,
         "the result of a dispatch has a buffer");
  expect(model.buffers[out].isResult &&
             model.yields == std::vector<int>{out, -1},
         "a value that is yielded is a result, its size is none");
  const Command &dispatch = model.commands[0];
  expect(dispatch.kind == CommandKind::Dispatch && dispatch.placeable,
         "a dispatch without ties may write anywhere");
  expect(dispatch.accesses.size() == 2 &&
             covers(dispatch.accesses[0], 0, 0, 64) &&
             dispatch.accesses[0].reads && !dispatch.accesses[0].writes &&
             covers(dispatch.accesses[1], first, 0, 1024) &&
             !dispatch.accesses[1].reads && dispatch.accesses[1].writes,
         "a dispatch reads its operand and writes its result");
  const Command &update = model.commands[3];
  expect(update.kind == CommandKind::Update && update.accesses.size() == 2 &&
             covers(update.accesses[0], whole, 1024, 2048) &&
             update.accesses[0].writes && !update.accesses[0].reads &&
             covers(update.accesses[1], second, 0, 1024) &&
             update.accesses[1].reads,
         "an update writes a part and keeps the rest");
  expect(model.placements.size() == 2, "both parts may be made in place");
  if (model.placements.size() == 2) {
    const Placement &placement = model.placements[1];
    expect(placement.command == 3 && placement.source == second &&
               placement.target == whole && placement.offset == 1024 &&
               !placement.stock,
           "a placement saves the update of its part");
  }
}

void testEmplacedPart(Session &session) {
  // IREE has made both parts in place. In normal form each is written to a
  // buffer of its own and copied.
  ir::OwningOp module = session.parse(executable + function(R"(
    %whole = stream.async.alloca : !stream.resource<transient>{%c2048}
    %0 = stream.async.dispatch @ex::@part(%in[%c0 to %c64 for %c64], %whole[%c0 to %c1024 for %c1024]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c2048}) -> %whole{%c2048}
    %1 = stream.async.dispatch @ex::@part(%in[%c0 to %c64 for %c64], %0[%c1024 to %c2048 for %c1024]) : (!stream.resource<external>{%c64}, !stream.resource<transient>{%c2048}) -> %0{%c2048}
    %out = stream.async.dispatch @ex::@use(%1[%c0 to %c2048 for %c2048]) : (!stream.resource<transient>{%c2048}) -> !stream.resource<external>{%c64})"));
  ReadRegionResult result = read(module.get());
  if (!result.model || result.model->commands.size() != 5) {
    expect(false, "three dispatches and two copies that IREE has saved");
    return;
  }
  const RegionModel &model = *result.model;
  for (int i : {1, 3}) {
    const Command &copy = model.commands[i];
    expect(
        copy.kind == CommandKind::Copy && copy.synthetic &&
            covers(copy.accesses[0], 1, (i / 2) * 1024, (i / 2) * 1024 + 1024),
        "the copy of a part to its place");
    expect(covers(model.commands[i - 1].accesses.back(),
                  copy.accesses[1].buffer, 0, 1024),
           "the dispatch writes a buffer of the part's size");
  }
  expect(model.placements.size() == 2 && model.placements[0].stock &&
             model.placements[1].stock,
         "IREE's placements are known as such");
}

void testReadBeforeOverwrite(Session &session) {
  // @late reads %0 after @over has overwritten it in the given order.
  ir::OwningOp module = session.parse(function(R"(
    %0 = stream.async.dispatch @ex::@make(%in[%c0 to %c64 for %c64]) : (!stream.resource<external>{%c64}) -> !stream.resource<transient>{%c1024}
    %1 = stream.async.dispatch @ex::@over(%0[%c0 to %c1024 for %c1024]) : (!stream.resource<transient>{%c1024}) -> %0{%c1024}
    %2 = stream.async.dispatch @ex::@late(%0[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c1024}) -> !stream.resource<transient>{%c64}
    %out = stream.async.dispatch @ex::@use(%1[%c0 to %c1024 for %c1024], %2[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%c1024}, !stream.resource<transient>{%c64}) -> !stream.resource<external>{%c64})"));
  std::vector<MlirOperation> dispatches =
      findAll(module.get(), "stream.async.dispatch");
  ReadRegionResult result = read(module.get());
  if (!result.model || result.model->commands.size() != 4) {
    expect(false, "four dispatches");
    return;
  }
  const std::vector<Command> &commands = result.model->commands;
  const int order[] = {0, 2, 1, 3};
  for (int i = 0; i < 4; ++i) {
    expect(commands[i].op.ptr == dispatches[order[i]].ptr,
           "the reader goes before the command that overwrites its operand");
  }
  const Access &over = commands[2].accesses[0];
  expect(over.reads && over.writes && over.result == 0 &&
             !commands[2].placeable,
         "a tied result shares the buffer of its operand");
}

void testRefused(Session &session) {
  struct Case {
    const char *body;
    const char *operation;
    const char *reason;
    bool dynamicSize;
  };
  const Case cases[] = {
      {R"(
    %0 = stream.async.alloca : !stream.resource<transient>{%size}
    %1 = stream.async.fill %c7, %0[%c0 to %c64 for %c64] : i32 -> %0 as !stream.resource<transient>{%size}
    %out = stream.async.dispatch @ex::@use(%1[%c0 to %c64 for %c64]) : (!stream.resource<transient>{%size}) -> !stream.resource<external>{%c64})",
       "stream.async.fill", "access to a part of dynamic offset or size",
       false},
      {R"(
    %0 = stream.async.splat %c7 : i32 -> !stream.resource<transient>{%c1024}
    %1 = stream.async.slice %0[%c0 to %size] : !stream.resource<transient>{%c1024} -> !stream.resource<transient>{%size}
    %out = stream.async.dispatch @ex::@use(%1[%c0 to %size for %size]) : (!stream.resource<transient>{%size}) -> !stream.resource<external>{%c64})",
       "stream.async.slice", "transient buffer of dynamic size", true},
      {R"(
    %0 = stream.async.splat %c7 : i32 -> !stream.resource<transient>{%c64}
    %out = stream.async.transfer %0 : !stream.resource<transient>{%c64} -> !stream.resource<external>{%c64})",
       "stream.async.transfer",
       "operation 'stream.async.transfer' is not modelled", false},
  };
  for (const Case &item : cases) {
    ir::OwningOp module = session.parse(function(item.body));
    ReadRegionResult result = read(module.get());
    expect(!result.model && result.reason == item.reason, item.reason);
    expect(!ir::isNull(result.culprit) &&
               ir::isa(result.culprit, item.operation),
           "the refusal names the operation");
    expect(result.dynamicSize == item.dynamicSize,
           "a refusal for a dynamic size says so");
  }
}

} // namespace

int main() {
  Session session;
  testConcatenation(session);
  testEmplacedPart(session);
  testReadBeforeOverwrite(session);
  testRefused(session);
  if (failures == 0) {
    std::printf("regions are read as by hand\n");
  }
  return failures == 0 ? 0 : 1;
}
