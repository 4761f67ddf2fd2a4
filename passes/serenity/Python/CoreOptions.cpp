// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

// The declarations of options, passes and rewrite kinds, for the Python API and
// the docs.

#include "serenity/Python/CoreBindings.h"
#include "serenity/Transforms/Options.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

namespace serenity {

namespace {

void checkOption(const std::string &name, const std::string &value) {
  const OptionInfo *info = findOption(name);
  if (!info) {
    throw nb::value_error(("there is no option '" + name + "'").c_str());
  }
  Options options;
  DriverOptions driver;
  Status status = info->setOption ? info->setOption(options, value)
                                  : info->setDriverOption(driver, value);
  if (!status) {
    throw nb::value_error(status.message().c_str());
  }
}

/// A row of RewriteKinds.def.
struct RewriteKindDeclaration {
  const char *name;
  const char *anchor;
  const char *summary;
  const char *limits;
};

std::vector<RewriteKindDeclaration> rewriteKindDeclarations() {
  return {
#define SERENITY_REWRITE_KIND(enumerator, name, anchor, inPieces, stage,       \
                              finder, splitter, summary, limits)               \
  {name, anchor, summary, limits},
#define SERENITY_PLANNED_REWRITE(name, anchor, summary, limits)                \
  {name, anchor, summary, limits},
#include "serenity/Transforms/Rewrite/RewriteKinds.def"
  };
}

std::vector<std::string> rewriteRefusals() {
  return {
#define SERENITY_REWRITE_REFUSAL(enumerator, text) text,
#include "serenity/Transforms/Rewrite/RewriteRefusals.def"
  };
}

} // namespace

void bindOptions(nb::module_ &m) {
  nb::class_<OptionInfo>(m, "OptionDeclaration")
      .def_prop_ro("name", [](const OptionInfo &info) { return info.name; })
      .def_ro("value", &OptionInfo::value)
      .def_prop_ro("help", [](const OptionInfo &info) { return info.help; })
      .def_ro("initial", &OptionInfo::initial)
      .def_prop_ro("kind", [](const OptionInfo &info) { return info.kind; })
      .def_ro("choices", &OptionInfo::choices)
      .def_ro("is_driver_flag", &OptionInfo::isDriverFlag)
      .def_prop_ro("is_pass_option", [](const OptionInfo &info) {
        return info.setOption != nullptr;
      });
  nb::class_<PassDeclaration>(m, "PassDeclaration")
      .def_prop_ro("name",
                   [](const PassDeclaration &pass) { return pass.name; })
      .def_prop_ro("source",
                   [](const PassDeclaration &pass) { return pass.source; })
      .def_prop_ro("summary",
                   [](const PassDeclaration &pass) { return pass.summary; })
      .def_ro("options", &PassDeclaration::options)
      .def_prop_ro("level",
                   [](const PassDeclaration &pass) { return pass.level; })
      .def_prop_ro("place",
                   [](const PassDeclaration &pass) { return pass.place; });
  using Kind = RewriteKindDeclaration;
  nb::class_<Kind>(m, "RewriteKindDeclaration")
      .def_prop_ro("name", [](const Kind &kind) { return kind.name; })
      .def_prop_ro("anchor", [](const Kind &kind) { return kind.anchor; })
      .def_prop_ro("summary", [](const Kind &kind) { return kind.summary; })
      .def_prop_ro("limits", [](const Kind &kind) { return kind.limits; });
  m.def("rewrite_kind_declarations", &rewriteKindDeclarations);
  m.def("rewrite_refusals", &rewriteRefusals);
  m.def("option_declarations", [] { return optionTable(); });
  m.def("pass_declarations", [] { return passDeclarations(); });
  m.def("check_option", &checkOption, nb::arg("name"), nb::arg("value"));
}

} // namespace serenity
