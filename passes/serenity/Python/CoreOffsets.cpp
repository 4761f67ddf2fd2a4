// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Packing/Offsets.h"
#include "serenity/Python/CoreBindings.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>

namespace nb = nanobind;

namespace serenity {

namespace {

using Int64Array =
    nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// Packs arrays as `Slice`s. A fixed offset below zero means none. A gap is
/// (slice, lower, upper, windowLower, windowUpper).
std::vector<Slice> makeSlices(const Int64Array &lower, const Int64Array &upper,
                              const Int64Array &size,
                              const Int64Array &alignment,
                              const Int64Array &fixedOffset,
                              const std::vector<std::vector<int64_t>> &gaps) {
  size_t n = lower.shape(0);
  if (upper.shape(0) != n || size.shape(0) != n || alignment.shape(0) != n ||
      fixedOffset.shape(0) != n) {
    throw nb::value_error("arrays differ in length");
  }
  std::vector<Slice> slices(n);
  for (size_t i = 0; i < n; ++i) {
    slices[i].lower = lower(i);
    slices[i].upper = upper(i);
    slices[i].bytes = size(i);
    slices[i].alignment = alignment(i);
    if (fixedOffset(i) >= 0) {
      slices[i].fixedOffset = fixedOffset(i);
    }
  }
  for (const std::vector<int64_t> &gap : gaps) {
    if (gap.size() != 5 || gap[0] < 0 || gap[0] >= static_cast<int64_t>(n)) {
      throw nb::value_error(
          "a gap is (slice, lower, upper, window lower, window upper)");
    }
    slices[gap[0]].gaps.push_back({gap[1], gap[2], gap[3], gap[4]});
  }
  return slices;
}

nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>
toArray(const std::vector<int64_t> &values) {
  auto copy = std::make_unique<std::vector<int64_t>>(values);
  size_t size = copy->size();
  int64_t *data = copy->data();
  nb::capsule owner(copy.release(), [](void *pointer) noexcept {
    delete static_cast<std::vector<int64_t> *>(pointer);
  });
  return nb::ndarray<nb::numpy, int64_t, nb::ndim<1>>(data, {size}, owner);
}

PackResult packReleased(const std::vector<Slice> &slices, PackOptions options) {
  if (Status status = verifySlices(slices, options); !status) {
    throw nb::value_error(status.message().c_str());
  }
  bool raised = false;
  options.onProgress = [&raised] {
    nb::gil_scoped_acquire acquire;
    raised = raised || PyErr_CheckSignals() != 0;
    return !raised;
  };
  PackResult result;
  {
    nb::gil_scoped_release release;
    result = pack(slices, options);
  }
  if (raised) {
    throw nb::python_error();
  }
  return result;
}

} // namespace

void bindOffsets(nb::module_ &m) {
  nb::enum_<PackAlgorithm>(m, "PackAlgorithm",
                           "How `pack` assigns offsets; see Offsets.h.")
      .value("EXACT", PackAlgorithm::Exact)
      .value("GREEDY", PackAlgorithm::Greedy)
      .value("IREE", PackAlgorithm::Iree);

  nb::class_<PackRules>(m, "PackRules",
                        "Inferences of the exact search, on by default.")
      .def(nb::init<>())
      .def_rw("section_inference", &PackRules::sectionInference)
      .def_rw("dominance", &PackRules::dominance)
      .def_rw("decomposition", &PackRules::decomposition)
      .def_rw("release_bound", &PackRules::releaseBound)
      .def_rw("precedence", &PackRules::precedence)
      .def_rw("full_sections", &PackRules::fullSections)
      .def_rw("joints", &PackRules::joints)
      .def_rw("symmetry", &PackRules::symmetry)
      .def_rw("memory", &PackRules::memory);

  nb::class_<PackOptions>(m, "PackOptions", "Options of `pack_slices`.")
      .def(nb::init<>())
      .def_rw("algorithm", &PackOptions::algorithm)
      .def_rw("time_limit_seconds", &PackOptions::timeLimitSeconds)
      .def_rw("node_limit", &PackOptions::nodeLimit)
      .def_rw("offset_alignment", &PackOptions::offsetAlignment)
      .def_rw("range_alignment", &PackOptions::rangeAlignment)
      .def_rw("capacity", &PackOptions::capacity, nb::arg().none())
      .def_rw("rules", &PackOptions::rules);

  nb::class_<PackResult>(m, "PackResult", "The result of `pack_slices`.")
      .def_prop_ro(
          "offsets",
          [](const PackResult &self) { return toArray(self.offsets); },
          nb::rv_policy::move)
      .def_ro("height_bytes", &PackResult::heightBytes)
      .def_ro("lower_bound_bytes", &PackResult::lowerBoundBytes)
      .def_ro("optimal", &PackResult::optimal)
      .def_ro("infeasible", &PackResult::infeasible)
      .def_ro("nodes", &PackResult::nodes)
      .def_ro("seconds", &PackResult::seconds)
      .def_ro("proved_by", &PackResult::provedBy)
      .def_ro("interrupted", &PackResult::interrupted);

  m.def(
      "pack_slices",
      [](const Int64Array &lower, const Int64Array &upper,
         const Int64Array &size, const Int64Array &alignment,
         const Int64Array &fixedOffset,
         const std::vector<std::vector<int64_t>> &gaps,
         const PackOptions &options) {
        return packReleased(
            makeSlices(lower, upper, size, alignment, fixedOffset, gaps),
            options);
      },
      nb::arg("lower"), nb::arg("upper"), nb::arg("size"), nb::arg("alignment"),
      nb::arg("fixed_offset"), nb::arg("gaps"), nb::arg("options"),
      "Assigns offsets; the arrays hold one int64 per slice. Raises ValueError "
      "naming the slice if the input is malformed.");

  m.def(
      "check_slices",
      [](const Int64Array &lower, const Int64Array &upper,
         const Int64Array &size, const Int64Array &alignment,
         const Int64Array &fixedOffset,
         const std::vector<std::vector<int64_t>> &gaps,
         const PackOptions &options) {
        return messageOf(verifySlices(
            makeSlices(lower, upper, size, alignment, fixedOffset, gaps),
            options));
      },
      nb::arg("lower"), nb::arg("upper"), nb::arg("size"), nb::arg("alignment"),
      nb::arg("fixed_offset"), nb::arg("gaps"), nb::arg("options"),
      "Returns the first error in the slices, or None.");

  m.def(
      "verify_offsets",
      [](const Int64Array &lower, const Int64Array &upper,
         const Int64Array &size, const Int64Array &alignment,
         const Int64Array &fixedOffset,
         const std::vector<std::vector<int64_t>> &gaps,
         const PackOptions &options, const Int64Array &offsets) {
        return messageOf(verifyPacking(
            makeSlices(lower, upper, size, alignment, fixedOffset, gaps),
            options,
            std::vector<int64_t>(offsets.data(),
                                 offsets.data() + offsets.shape(0))));
      },
      nb::arg("lower"), nb::arg("upper"), nb::arg("size"), nb::arg("alignment"),
      nb::arg("fixed_offset"), nb::arg("gaps"), nb::arg("options"),
      nb::arg("offsets"),
      "Returns the first conflict of a packing, or None. Shares no code with "
      "the packers.");

  m.def(
      "maximum_live_bytes",
      [](const Int64Array &lower, const Int64Array &upper,
         const Int64Array &size, const Int64Array &alignment,
         const Int64Array &fixedOffset,
         const std::vector<std::vector<int64_t>> &gaps,
         const PackOptions &options) {
        return maximumLiveBytes(
            makeSlices(lower, upper, size, alignment, fixedOffset, gaps),
            options);
      },
      nb::arg("lower"), nb::arg("upper"), nb::arg("size"), nb::arg("alignment"),
      nb::arg("fixed_offset"), nb::arg("gaps"), nb::arg("options"),
      "Maximum over time of the bytes in use.");
}

} // namespace serenity
