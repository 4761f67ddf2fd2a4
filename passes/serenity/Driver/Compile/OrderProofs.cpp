// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Driver/Compile/OrderProofs.h"

#include "serenity/Core/Alignment.h"
#include "serenity/Core/Scheduling/SlabBound.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace serenity {

namespace {

/// States of one search; the searches for orders have limits of their own.
constexpr int64_t maxStates = 20000;

/// The accesses of one command.
struct Access {
  OpId command;
  int64_t begin;
  int64_t end;
  bool writes;
};

bool conflict(const Access &a, const Access &b) {
  return (a.writes || b.writes) && a.begin < b.end && b.begin < a.end;
}

/// The commands of `region` and the buffers of its slab.
Problem problemOf(const RegionReport &region) {
  Problem problem;
  const int64_t alignment = region.rangeAlignment;
  for (const BufferReport &buffer : region.buffers) {
    problem.buffers.push_back({"", alignUp(buffer.bytes, alignment)});
  }
  // By kind of resource and its number.
  std::map<std::pair<bool, int64_t>, std::vector<Access>> earlier;
  for (const OperationReport &operation : region.operations) {
    OpId id = OpId(problem.operations.size());
    Operation op;
    auto visit = [&](const std::vector<AccessReport> &accesses, bool external,
                     bool writes) {
      for (const AccessReport &access : accesses) {
        if (!external) {
          op.uses.push_back(BufferId(access.buffer));
        }
        if (!access.offset || !access.bytes) {
          continue;
        }
        Access one{id, *access.offset, *access.offset + *access.bytes, writes};
        std::vector<Access> &others = earlier[{external, access.buffer}];
        for (const Access &other : others) {
          if (other.command != id && conflict(other, one)) {
            op.after.push_back(other.command);
          }
        }
        others.push_back(one);
      }
    };
    visit(operation.uses, false, false);
    visit(operation.defs, false, true);
    visit(operation.externalUses, true, false);
    visit(operation.externalDefs, true, true);
    for (std::vector<int32_t> *list : {&op.uses, &op.after}) {
      std::sort(list->begin(), list->end());
      list->erase(std::unique(list->begin(), list->end()), list->end());
    }
    problem.operations.push_back(std::move(op));
  }
  return problem;
}

void prove(RegionReport &region, const Options &options) {
  Problem problem = problemOf(region);
  if (!verifyProblem(problem)) {
    return;
  }
  SchedulerOptions limits;
  limits.timeLimitSeconds = options.searchSeconds();
  limits.stateLimit =
      options.stateLimit ? std::min(options.stateLimit, maxStates) : maxStates;
  limits.switches.heuristics = false; // the order is there
  limits.givenOrder.resize(problem.operations.size());
  std::iota(limits.givenOrder.begin(), limits.givenOrder.end(), 0);
  // Another order may place buffers in results and inputs.
  const SlabBound found =
      slabLowerBound(problem, problem.buffers.size(), region.reusableBytes,
                     region.rangeAlignment, limits, region.predictedBytes);
  if (found.bytes <= region.lowerBoundBytes ||
      found.bytes > region.predictedBytes) {
    return;
  }
  region.lowerBoundBytes = found.bytes;
  region.optimal = region.lowerBoundBytes == region.predictedBytes;
  region.provedBy = region.optimal ? found.provedBy : "";
}

} // namespace

void proveOrders(ModuleReport &report, const Options &options) {
  for (FunctionReport &function : report.functions) {
    if (function.initializer || !function.transientPeakBytes) {
      continue;
    }
    for (RegionReport &region : function.regions) {
      // Commands that share the memory of a result are ordered by that alone.
      bool open = !region.optimal && region.lowerBoundBytes == 0 &&
                  region.reused.empty();
      if (open && region.rangeAlignment > 0) {
        prove(region, options);
      }
    }
  }
}

} // namespace serenity
