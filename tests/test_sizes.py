# Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tests that no function is longer than 120 lines and no source file longer than 900."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY

pytestmark = pytest.mark.one_release

FUNCTION_LINES = 120
FILE_LINES = 900

FOLDERS = ("passes", "serenity_mlir", "tests", "benchmarks", "cmake", "examples", "docs")

# Comments, raw strings, strings and characters: nothing in them is a brace of the program. The
# quote in a number (1'000) does not open a character.
SKIPPED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL,
)
DIRECTIVE = re.compile(r"(?m)^[ \t]*#(?:\\\n|[^\n])*")
# The head of a block whose body holds declarations, not statements.
SCOPE = re.compile(r'(^|\s)((namespace|class|struct|union|enum)\b|extern\s*"")[^()=]*$')


def blanked(source: str) -> str:
    """`source` without comments, literals and directives, with the same lines."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n") or ('""' if match[0].startswith('"') else " ")

    return DIRECTIVE.sub(blank, SKIPPED.sub(blank, source))


def cpp_functions(source: str) -> Iterator[tuple[str, int]]:
    """The name and the number of lines of every function that C++ `source` defines, in the order of
    their ends. Lambdas and local classes count as lines of the function around them."""
    text = blanked(source)
    start = 0  # of the declaration that is being read
    function: tuple[str, int] | None = None  # the name and the first line of the open function
    scopes = depth = 0  # open scopes, and open braces of `function`
    for match in re.finditer(r"[{};]", text):
        if function is None and match[0] == "{":
            head = text[start : match.start()]
            if SCOPE.search(head):
                scopes += 1
            else:
                first = start + len(head) - len(head.lstrip())
                name = re.search(r"(operator\(\)|operator\W+?|[\w~:]+)\s*\(", head)
                function = (name[1] if name else "", text.count("\n", 0, first))
                depth = 1
        elif match[0] == "{":
            depth += 1
        elif match[0] == "}" and function is not None:
            depth -= 1
            if depth == 0:
                yield function[0], text.count("\n", 0, match.start()) - function[1] + 1
                function = None
        elif match[0] == "}":
            scopes -= 1
        if function is None:
            start = match.end()
    assert (scopes, function) == (0, None), "braces do not match"


def python_functions(source: str) -> Iterator[tuple[str, int]]:
    """The name and the number of lines of every function of Python `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def sources(*suffixes: str) -> list[Path]:
    found = [
        path
        for folder in FOLDERS
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if path.suffix in suffixes and "build" not in path.relative_to(REPOSITORY).parts
    ]
    assert len(found) > 50
    return found


def test_no_function_is_too_long() -> None:
    lengths = {
        (path.relative_to(REPOSITORY).as_posix(), name): lines
        for suffixes, functions in (
            ((".cpp", ".h", ".c"), cpp_functions),
            ((".py",), python_functions),
        )
        for path in sources(*suffixes)
        for name, lines in functions(path.read_text("utf-8"))
        if lines > FUNCTION_LINES
    }
    assert lengths == {}


def test_no_file_is_too_long() -> None:
    lengths = {
        path.relative_to(REPOSITORY).as_posix(): path.read_text("utf-8").count("\n")
        for path in sources(".cpp", ".h", ".c", ".def", ".py", ".md", ".mlir")
    }
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_cpp_functions_are_measured() -> None:
    source = r"""
#define OPENS {
namespace serenity {
enum class Kind { One, Two }; // no function {
struct Point {
  int x = 0;
  Point(int x)
      : x(x) {
  }
  bool operator()(char c) const { return c == '{' || c == '"'; }
};
/* { */
static std::vector<int>
longer(const std::string &text) {
  auto add = [&](int n) {
    return 1'000 + n;
  };
  struct Local {
    int y;
  };

  return {add(1), R"({ " })"[0], text == "}\"{"};
}
} // namespace serenity
extern "C" {
int main() {
  return 0;
}
}
"""
    assert list(cpp_functions(source)) == [
        ("Point", 3),
        ("operator()", 1),
        ("longer", 11),
        ("main", 3),
    ]


def test_python_functions_are_measured() -> None:
    assert list(python_functions("def f(\n  a,\n):\n  return a\n\n\nx = 1\n")) == [("f", 4)]
