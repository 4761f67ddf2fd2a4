// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/IREE/Ir.h"
#include "serenity/Transforms/Recompute.h"

#include <algorithm>
#include <iterator>

namespace serenity {

namespace {

/// Whether `command` writes nothing but the whole of a buffer that it does not
/// read, and only moves elements.
bool isCopy(const Command &command, const RegionModel &model,
            const Executables &executables) {
  const Access *written = nullptr;
  bool anyRead = false;
  for (const Access &access : command.accesses) {
    anyRead |= access.reads;
    if (!access.writes) {
      continue;
    }
    if (written || access.reads) {
      return false;
    }
    written = &access;
  }
  if (!written || !anyRead || written->lower != 0 ||
      written->upper != model.buffers[written->buffer].bytes) {
    return false;
  }
  switch (command.kind) {
  case CommandKind::Clone:
  case CommandKind::Slice:
  case CommandKind::Copy:
    return true;
  case CommandKind::Dispatch:
    break;
  default:
    return false;
  }
  MlirOperation function = executables.functionOf(command.op);
  if (!function.ptr) {
    return false;
  }
  const std::vector<MlirOperation> body = ir::operations(ir::body(function));
  return std::all_of(body.begin(), body.end(), [](MlirOperation op) {
    const std::string_view name = ir::name(op);
    const std::string_view dialect = name.substr(0, name.find('.'));
    return dialect == "arith" || dialect == "affine" || dialect == "func" ||
           dialect == "iree_tensor_ext" || name == "stream.binding.subspan";
  });
}

/// An access of a buffer, by position in the region.
struct Use {
  int command = -1;
  bool writes = false;
};

class Separation {
public:
  Separation(const RegionModel &model, const Executables &executables)
      : model(model), executables(executables), uses(model.buffers.size()) {
    for (size_t i = 0; i < model.commands.size(); ++i) {
      for (const Access &access : model.commands[i].accesses) {
        uses[access.buffer].push_back({int(i), access.writes});
      }
    }
  }

  std::optional<SeparatedRegion> run();

private:
  /// Plans copies of `buffer` for its readers behind the first one.
  void separate(int buffer);
  /// Whether `maker` reads the same contents just before `reader`.
  bool mayMakeBefore(int maker, int reader) const;
  SeparatedRegion rebuild() const;

  const RegionModel &model;
  const Executables &executables;
  std::vector<std::vector<Use>> uses; // by buffer, in original order
  /// A value that is made once more, just before the first of its readers.
  struct Again {
    int buffer = -1;
    int maker = -1;
    std::vector<int> readers;
  };
  std::vector<Again> found;
};

bool Separation::mayMakeBefore(int maker, int reader) const {
  for (const Access &access : model.commands[maker].accesses) {
    if (!access.reads) {
      continue;
    }
    for (const Use &use : uses[access.buffer]) {
      if (use.writes && use.command > maker && use.command < reader) {
        return false;
      }
    }
  }
  return true;
}

void Separation::separate(int buffer) {
  const std::vector<Use> &all = uses[buffer];
  if (!model.buffers[buffer].local() || all.size() < 3 || !all[0].writes ||
      !isCopy(model.commands[all[0].command], model, executables)) {
    return;
  }
  const int maker = all[0].command;
  // The first reader keeps the value. One that overwrites it is the last: what
  // follows means its result.
  bool overwritten = all[1].writes;
  for (size_t i = 2; i < all.size() && !overwritten; ++i) {
    const int reader = all[i].command;
    overwritten = all[i].writes;
    if (reader == all[i - 1].command || !mayMakeBefore(maker, reader)) {
      return;
    }
    Again again = {buffer, maker, {reader}};
    for (size_t j = i + 1; overwritten && j < all.size(); ++j) {
      again.readers.push_back(all[j].command);
    }
    found.push_back(std::move(again));
  }
}

SeparatedRegion Separation::rebuild() const {
  SeparatedRegion separated;
  separated.model = model;
  separated.work = workOf(model, executables);
  RegionModel &result = separated.model;
  std::vector<std::vector<Command>> before(model.commands.size());
  for (const Again &again : found) {
    const int copy = int(result.buffers.size());
    result.buffers.push_back(model.buffers[again.buffer]);
    result.buffers.back().root = MlirValue{nullptr};
    auto redirect = [&](Command &command) {
      for (Access &access : command.accesses) {
        access.buffer = access.buffer == again.buffer ? copy : access.buffer;
      }
    };
    for (int reader : again.readers) {
      redirect(result.commands[reader]);
      for (Placement &placement : result.placements) {
        if (placement.command == reader && placement.source == again.buffer) {
          placement.source = copy;
        }
      }
    }
    Command maker = model.commands[again.maker];
    maker.recomputed = true;
    redirect(maker);
    separated.copied.insert(again.buffer);
    separated.values.push_back(
        {ir::firstPlace(mlirOperationGetLocation(maker.op)),
         result.buffers[copy].bytes, /*work=*/0});
    before[again.readers.front()].push_back(std::move(maker));
  }
  std::vector<Command> commands;
  std::vector<int> positions;
  for (size_t i = 0; i < result.commands.size(); ++i) {
    std::move(before[i].begin(), before[i].end(), std::back_inserter(commands));
    positions.push_back(int(commands.size()));
    commands.push_back(std::move(result.commands[i]));
  }
  result.commands = std::move(commands);
  for (Placement &placement : result.placements) {
    placement.command = positions[placement.command];
  }
  return separated;
}

std::optional<SeparatedRegion> Separation::run() {
  for (size_t i = 0; i < model.buffers.size(); ++i) {
    separate(int(i));
  }
  if (found.empty()) {
    return std::nullopt;
  }
  return rebuild();
}

} // namespace

std::optional<SeparatedRegion> separateCopies(const RegionModel &model,
                                              const Executables &executables) {
  return Separation(model, executables).run();
}

} // namespace serenity
