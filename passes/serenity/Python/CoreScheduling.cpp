// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Scheduling/Scheduler.h"
#include "serenity/Core/Scheduling/Simulator.h"
#include "serenity/Python/CoreBindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <memory>

namespace nb = nanobind;

namespace serenity {

namespace {

template <typename T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> toArray(std::vector<T> values) {
  auto copy = std::make_unique<std::vector<T>>(std::move(values));
  size_t size = copy->size();
  T *data = copy->data();
  nb::capsule owner(copy.release(), [](void *pointer) noexcept {
    delete static_cast<std::vector<T> *>(pointer);
  });
  return nb::ndarray<nb::numpy, T, nb::ndim<1>>(data, {size}, owner);
}

void checkOrThrow(const Problem &problem) {
  if (Status status = verifyProblem(problem); !status) {
    throw nb::value_error(status.message().c_str());
  }
}

void verifyOrThrow(const Problem &problem, const std::vector<OpId> &order) {
  if (Status status = verifySchedule(problem, order); !status) {
    throw nb::value_error(status.message().c_str());
  }
}

Algorithm parseAlgorithm(const std::string &name) {
  if (name == "exact") {
    return Algorithm::Exact;
  }
  if (name == "serenity") {
    return Algorithm::Paper;
  }
  if (name == "heuristic") {
    return Algorithm::Heuristic;
  }
  throw nb::value_error(("unknown scheduler '" + name +
                         "'; known are exact, serenity and heuristic")
                            .c_str());
}

bool *findSwitch(SchedulerSwitches &switches, const std::string &name) {
  const std::pair<const char *, bool *> known[] = {
      {"forced_moves", &switches.forcedMoves},
      {"forced_sets", &switches.forcedSets},
      {"delay_reduction", &switches.delayReduction},
      {"advance_reduction", &switches.advanceReduction},
      {"cut_points", &switches.cutPoints},
      {"modules", &switches.modules},
      {"both_directions", &switches.bothDirections},
      {"footprint_bound", &switches.footprintBound},
      {"live_cut_bound", &switches.liveCutBound},
      {"heuristics", &switches.heuristics},
      {"soft_budget", &switches.softBudget},
  };
  for (auto &[text, value] : known) {
    if (name == text) {
      return value;
    }
  }
  throw nb::value_error(("unknown switch '" + name + "'").c_str());
}

using Progress = std::function<bool(int64_t, int64_t, int64_t, double)>;

ScheduleResult run(const Problem &problem, const std::string &scheduler,
                   double timeLimit, int64_t stateLimit, int64_t memoryLimit,
                   const std::vector<OpId> &givenOrder, uint64_t seed,
                   const std::vector<std::string> &disabled,
                   std::optional<Progress> progress) {
  checkOrThrow(problem);
  SchedulerOptions options;
  options.algorithm = parseAlgorithm(scheduler);
  options.timeLimitSeconds = timeLimit;
  options.stateLimit = stateLimit;
  options.memoryLimitBytes = memoryLimit;
  options.seed = seed;
  if (!givenOrder.empty()) {
    verifyOrThrow(problem, givenOrder);
    options.givenOrder = givenOrder;
  }
  for (const std::string &name : disabled) {
    *findSwitch(options.switches, name) = false;
  }
  // Taking the lock for every call would cost more than the search.
  auto last = std::chrono::steady_clock::now();
  std::unique_ptr<nb::python_error> failure;
  options.onProgress = [&](const ScheduleProgress &state) {
    auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) {
      return true;
    }
    last = now;
    nb::gil_scoped_acquire acquire;
    try {
      if (PyErr_CheckSignals() != 0) {
        throw nb::python_error();
      }
      if (progress) {
        return (*progress)(state.states, state.lowerBoundBytes,
                           state.incumbentBytes, state.seconds);
      }
    } catch (nb::python_error &error) {
      // Ctrl-C, here or in the callback, ends the search, not the program: the
      // incumbent is the answer. Any other exception goes to the caller.
      if (!error.matches(PyExc_KeyboardInterrupt)) {
        failure = std::make_unique<nb::python_error>(std::move(error));
      }
      return false;
    }
    return true;
  };
  ScheduleResult result;
  {
    nb::gil_scoped_release release;
    result = schedule(problem, options);
  }
  if (failure) {
    throw nb::python_error(std::move(*failure));
  }
  return result;
}

} // namespace

void bindScheduling(nb::module_ &m) {
  nb::class_<Problem>(m, "Problem",
                      "Buffers and operations of a scheduling problem.")
      .def(nb::init<>())
      .def(
          "add_buffer",
          [](Problem &problem, std::string name, int64_t bytes, bool liveIn,
             bool liveOut) {
            problem.buffers.push_back(
                {std::move(name), bytes, liveIn, liveOut});
            return problem.buffers.size() - 1;
          },
          nb::arg("name"), nb::arg("bytes"), nb::arg("live_in") = false,
          nb::arg("live_out") = false, "Adds a buffer; returns its index.")
      .def(
          "add_operation",
          [](Problem &problem, std::string name, std::vector<BufferId> uses,
             std::vector<OpId> after, int64_t workspaceBytes) {
            problem.operations.push_back({std::move(name), std::move(uses),
                                          std::move(after), workspaceBytes});
            return problem.operations.size() - 1;
          },
          nb::arg("name"), nb::arg("uses"), nb::arg("after"),
          nb::arg("workspace_bytes") = 0,
          "Adds an operation; returns its index.")
      .def_prop_ro("num_buffers",
                   [](const Problem &p) { return p.buffers.size(); })
      .def_prop_ro("num_operations",
                   [](const Problem &p) { return p.operations.size(); })
      .def(
          "check",
          [](const Problem &problem) {
            return messageOf(verifyProblem(problem));
          },
          "The error of the problem, or None.");

  nb::class_<ScheduleResult>(m, "ScheduleResult")
      .def_prop_ro(
          "order", [](const ScheduleResult &r) { return toArray(r.order); },
          nb::rv_policy::move)
      .def_ro("peak_bytes", &ScheduleResult::peakBytes)
      .def_ro("lower_bound_bytes", &ScheduleResult::lowerBoundBytes)
      .def_ro("optimal", &ScheduleResult::optimal)
      .def_ro("proved_by", &ScheduleResult::provedBy)
      .def_ro("states", &ScheduleResult::states)
      .def_ro("seconds", &ScheduleResult::seconds)
      .def_ro("interrupted", &ScheduleResult::interrupted);

  m.def("schedule", &run, nb::arg("problem"), nb::arg("scheduler") = "exact",
        nb::arg("time_limit") = 10.0, nb::arg("state_limit") = 0,
        nb::arg("memory_limit") = int64_t(1) << 30,
        nb::arg("given_order") = std::vector<OpId>(), nb::arg("seed") = 0,
        nb::arg("disabled") = std::vector<std::string>(),
        nb::arg("progress") = nb::none(),
        "Finds an order of least peak memory.");

  m.def(
      "simulate",
      [](const Problem &problem, const std::vector<OpId> &order) {
        checkOrThrow(problem);
        verifyOrThrow(problem, order);
        Simulation simulation = simulate(problem, order);
        std::vector<int64_t> first;
        std::vector<int64_t> last;
        for (const LiveRange &range : simulation.liveRanges) {
          first.push_back(range.first);
          last.push_back(range.last);
        }
        return nb::make_tuple(
            simulation.peakBytes, toArray(std::move(simulation.liveBytes)),
            toArray(std::move(first)), toArray(std::move(last)));
      },
      nb::arg("problem"), nb::arg("order"),
      "Plays an order: (peak, live bytes per step, first and last step per "
      "buffer).");

  m.def(
      "verify_order",
      [](const Problem &problem, const std::vector<OpId> &order) {
        checkOrThrow(problem);
        return messageOf(verifySchedule(problem, order));
      },
      nb::arg("problem"), nb::arg("order"),
      "Why an order is not a valid one, or None.");

  m.attr("SWITCHES") = nb::make_tuple(
      "forced_moves", "forced_sets", "delay_reduction", "advance_reduction",
      "cut_points", "modules", "both_directions", "footprint_bound",
      "live_cut_bound", "heuristics");
}

} // namespace serenity
