// Part of serenity_mlir, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "serenity/Core/Memory/AllocationProgram.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <utility>

namespace serenity {

namespace {

constexpr int64_t kUnknownBytes = std::numeric_limits<int64_t>::max();
using Kind = AllocationInstruction::Kind;

// --- facts that hold before any path is followed
// ------------------------------

/// Where values die, and which integers decide where a path goes.
class Analysis {
public:
  explicit Analysis(const AllocationProgram &program);

  /// Values alive at the start of a block, without its parameters.
  const std::set<ValueId> &liveIn(int block) const { return ins[block]; }
  /// Values that die right after an instruction; the number of instructions
  /// stands for the block's start, where unused parameters die.
  const std::vector<ValueId> &dying(int block, size_t at) const {
    return deaths[block][at];
  }
  /// The integers that `condition` is computed from.
  std::set<ValueId> slice(ValueId condition) const;

private:
  void computeLiveness();
  void computeDeaths();

  const AllocationProgram &program;
  std::vector<std::set<ValueId>> ins;
  std::vector<std::set<ValueId>> outs;
  std::vector<std::vector<std::vector<ValueId>>> deaths;
  std::vector<std::vector<ValueId>> sources; // per value
};

std::vector<ValueId> terminatorUses(const AllocationBlock &block) {
  std::vector<ValueId> uses = block.returned;
  if (block.condition != noValue) {
    uses.push_back(block.condition);
  }
  for (const AllocationBlock::Edge &edge : block.edges) {
    for (ValueId argument : edge.arguments) {
      if (argument != noValue) {
        uses.push_back(argument);
      }
    }
  }
  return uses;
}

Analysis::Analysis(const AllocationProgram &program)
    : program(program), sources(size_t(program.values)) {
  for (const AllocationBlock &block : program.blocks) {
    for (const AllocationInstruction &instruction : block.instructions) {
      if (instruction.result != noValue) {
        sources[instruction.result] = instruction.operands;
      }
    }
    for (const AllocationBlock::Edge &edge : block.edges) {
      const std::vector<ValueId> &parameters =
          program.blocks[edge.block].parameters;
      for (size_t i = 0; i < parameters.size(); ++i) {
        sources[parameters[i]].push_back(edge.arguments[i]);
      }
    }
  }
  computeLiveness();
  computeDeaths();
}

void Analysis::computeLiveness() {
  size_t count = program.blocks.size();
  ins.resize(count);
  outs.resize(count);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = count; b-- > 0;) {
      const AllocationBlock &block = program.blocks[b];
      std::set<ValueId> live;
      for (const AllocationBlock::Edge &edge : block.edges) {
        live.insert(ins[edge.block].begin(), ins[edge.block].end());
      }
      outs[b] = live;
      for (ValueId use : terminatorUses(block)) {
        live.insert(use);
      }
      for (size_t i = block.instructions.size(); i-- > 0;) {
        const AllocationInstruction &instruction = block.instructions[i];
        live.erase(instruction.result);
        for (ValueId operand : instruction.operands) {
          if (operand != noValue) {
            live.insert(operand);
          }
        }
      }
      for (ValueId parameter : block.parameters) {
        live.erase(parameter);
      }
      if (live != ins[b]) {
        ins[b] = std::move(live);
        changed = true;
      }
    }
  }
}

void Analysis::computeDeaths() {
  deaths.resize(program.blocks.size());
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    const AllocationBlock &block = program.blocks[b];
    size_t count = block.instructions.size();
    deaths[b].resize(count + 1);
    std::set<ValueId> later = outs[b];
    for (ValueId use : terminatorUses(block)) {
      later.insert(use);
    }
    for (size_t i = count; i-- > 0;) {
      const AllocationInstruction &instruction = block.instructions[i];
      std::vector<ValueId> touched = instruction.operands;
      touched.push_back(instruction.result);
      for (ValueId value : touched) {
        if (value != noValue && later.insert(value).second) {
          deaths[b][i].push_back(value);
        }
      }
    }
    for (ValueId parameter : block.parameters) {
      if (!later.count(parameter)) {
        deaths[b][count].push_back(parameter);
      }
    }
  }
}

std::set<ValueId> Analysis::slice(ValueId condition) const {
  std::set<ValueId> found;
  std::vector<ValueId> work = {condition};
  while (!work.empty()) {
    ValueId value = work.back();
    work.pop_back();
    if (value == noValue || program.isReference[value] ||
        !found.insert(value).second) {
      continue;
    }
    work.insert(work.end(), sources[value].begin(), sources[value].end());
  }
  return found;
}

// --- one block, from one state ----------------------------------------------

struct Allocation {
  int64_t bytes = 0;
  int site = -1;
  bool unreleasable = false;
};

/// Memory at the start of a block: the allocations of values and globals, in
/// allocations numbered by their first reference, and the integers that count.
struct State {
  std::map<ValueId, int> references;
  std::map<ValueId, int64_t> integers;
  std::map<int, int> globals; // those that hold an allocation of this call
  std::vector<Allocation> allocations;
  /// A global lost its contents from before the call: less may be alive than is
  /// counted.
  bool replaced = false;

  std::vector<int64_t> key(int block) const {
    std::vector<int64_t> text = {block, replaced, int64_t(references.size()),
                                 int64_t(integers.size())};
    for (const auto &[value, allocation] : references) {
      text.insert(text.end(), {value, allocation});
    }
    for (const auto &[value, integer] : integers) {
      text.insert(text.end(), {value, integer});
    }
    for (const auto &[global, allocation] : globals) {
      text.insert(text.end(), {global, allocation});
    }
    for (const Allocation &allocation : allocations) {
      text.insert(text.end(), {allocation.bytes, allocation.site});
    }
    return text;
  }
};

struct Sample {
  int64_t bytes = 0;
  bool replaced = false;
  std::vector<int> alive; // allocations of the node
};

struct Arrow {
  int node = 0;
  /// The target's allocations as this node numbers them.
  std::vector<int> allocations;
};

/// A block in a state.
struct Node {
  int block = 0;
  State state;
  std::vector<Allocation> allocations; // the state's, and those made here
  std::set<int> variables;             // held by a global at the end
  std::vector<Sample> samples;         // after every allocation
  std::vector<Arrow> arrows;
  std::set<int> returned;
  bool leaves = false; // the function returns here
  bool cut = false;    // not followed any more
  int64_t resultBytes = 0;
  int64_t globalBytes = 0;
};

/// Runs the instructions of a node.
class Machine {
public:
  Machine(const AllocationProgram &program, const Analysis &analysis,
          const std::set<ValueId> &tracked, Node &node)
      : block(program.blocks[node.block]), program(program), analysis(analysis),
        tracked(tracked), node(node), state(node.state) {
    node.allocations = state.allocations;
    alive.assign(node.allocations.size(), true);
  }

  void run();
  /// The arguments of an edge's target, and its arrow's numbers.
  State follow(const AllocationBlock::Edge &edge, std::vector<int> &numbers);
  std::optional<int64_t> integer(ValueId value) const {
    auto it = state.integers.find(value);
    return it == state.integers.end() ? std::nullopt
                                      : std::optional<int64_t>(it->second);
  }

private:
  void execute(const AllocationInstruction &instruction);
  std::optional<int64_t>
  compute(const AllocationInstruction &instruction) const;
  void drop(const std::vector<ValueId> &values);
  void collect();
  void refer(ValueId value, int allocation) {
    if (value != noValue && allocation >= 0) {
      state.references[value] = allocation;
    }
  }
  int find(ValueId value) const {
    auto it = state.references.find(value);
    return it == state.references.end() ? -1 : it->second;
  }

  const AllocationBlock &block;
  const AllocationProgram &program;
  const Analysis &analysis;
  const std::set<ValueId> &tracked;
  Node &node;
  State state;
  std::vector<bool> alive;
};

void Machine::run() {
  drop(analysis.dying(node.block, block.instructions.size()));
  for (size_t i = 0; i < block.instructions.size(); ++i) {
    execute(block.instructions[i]);
    drop(analysis.dying(node.block, i));
  }
  if (!block.edges.empty()) {
    return;
  }
  node.leaves = true;
  for (const auto &[global, allocation] : state.globals) {
    if (node.variables.insert(allocation).second) {
      node.globalBytes += node.allocations[allocation].bytes;
    }
  }
  for (ValueId value : block.returned) {
    int allocation = find(value);
    if (allocation >= 0 && !node.variables.count(allocation) &&
        node.returned.insert(allocation).second) {
      node.resultBytes += node.allocations[allocation].bytes;
    }
  }
}

void Machine::execute(const AllocationInstruction &instruction) {
  const std::vector<ValueId> &operands = instruction.operands;
  switch (instruction.kind) {
  case Kind::Allocate: {
    refer(instruction.result, int(node.allocations.size()));
    node.allocations.push_back(
        {instruction.bytes, instruction.site, instruction.unreleasable});
    alive.push_back(true);
    Sample sample;
    sample.replaced = state.replaced;
    for (size_t i = 0; i < alive.size(); ++i) {
      if (alive[i]) {
        sample.alive.push_back(int(i));
        sample.bytes += node.allocations[i].bytes;
      }
    }
    node.samples.push_back(std::move(sample));
    return;
  }
  case Kind::Release: {
    int allocation = find(operands[0]);
    if (allocation >= 0 && !node.allocations[allocation].unreleasable) {
      for (auto it = state.references.begin(); it != state.references.end();) {
        it = it->second == allocation ? state.references.erase(it) : ++it;
      }
      collect();
    }
    return;
  }
  case Kind::Alias:
    refer(instruction.result, find(operands[0]));
    if (std::optional<int64_t> known = integer(operands[0]);
        known && tracked.count(instruction.result)) {
      state.integers[instruction.result] = *known;
    }
    return;
  case Kind::StoreGlobal: {
    int global = int(instruction.bytes);
    int allocation = find(operands[0]);
    state.replaced |= !state.globals.count(global);
    if (allocation >= 0) {
      state.globals[global] = allocation;
    } else {
      state.globals.erase(global);
    }
    collect();
    return;
  }
  case Kind::LoadGlobal: {
    auto it = state.globals.find(int(instruction.bytes));
    refer(instruction.result, it == state.globals.end() ? -1 : it->second);
    return;
  }
  case Kind::Use:
    return;
  default:
    if (tracked.count(instruction.result)) {
      if (std::optional<int64_t> known = compute(instruction)) {
        state.integers[instruction.result] = *known;
      }
    }
  }
}

std::optional<int64_t>
Machine::compute(const AllocationInstruction &instruction) const {
  if (instruction.kind == Kind::Constant) {
    return instruction.bytes;
  }
  std::optional<int64_t> left = integer(instruction.operands[0]);
  std::optional<int64_t> right = integer(instruction.operands[1]);
  if (instruction.kind == Kind::Select) {
    return !left   ? std::nullopt
           : *left ? right
                   : integer(instruction.operands[2]);
  }
  if (!left || !right) {
    return std::nullopt;
  }
  // Wraps around as the machine's integers do.
  uint64_t a = uint64_t(*left), b = uint64_t(*right);
  switch (instruction.kind) {
  case Kind::Add:
    return int64_t(a + b);
  case Kind::Subtract:
    return int64_t(a - b);
  case Kind::Multiply:
    return int64_t(a * b);
  case Kind::And:
    return int64_t(a & b);
  case Kind::Or:
    return int64_t(a | b);
  case Kind::Xor:
    return int64_t(a ^ b);
  case Kind::Minimum:
    return std::min(*left, *right);
  case Kind::Maximum:
    return std::max(*left, *right);
  case Kind::Equal:
    return *left == *right;
  case Kind::NotEqual:
    return *left != *right;
  case Kind::Less:
    return *left < *right;
  case Kind::LessOrEqual:
    return *left <= *right;
  case Kind::LessUnsigned:
    return a < b;
  case Kind::LessOrEqualUnsigned:
    return a <= b;
  default:
    return std::nullopt;
  }
}

void Machine::drop(const std::vector<ValueId> &values) {
  bool dropped = false;
  for (ValueId value : values) {
    dropped |= state.references.erase(value) > 0;
    state.integers.erase(value);
  }
  if (dropped) {
    collect();
  }
}

/// Marks allocations that nothing refers to any more.
void Machine::collect() {
  alive.assign(node.allocations.size(), false);
  for (const auto &[value, allocation] : state.references) {
    alive[allocation] = true;
  }
  for (const auto &[global, allocation] : state.globals) {
    alive[allocation] = true;
  }
}

State Machine::follow(const AllocationBlock::Edge &edge,
                      std::vector<int> &numbers) {
  State next;
  next.replaced = state.replaced;
  auto carry = [&](ValueId target, ValueId source) {
    if (source == noValue) {
      return;
    }
    if (int allocation = find(source); allocation >= 0) {
      next.references[target] = allocation;
    }
    if (std::optional<int64_t> known = integer(source);
        known && tracked.count(target)) {
      next.integers[target] = *known;
    }
  };
  for (ValueId value : analysis.liveIn(edge.block)) {
    carry(value, value);
  }
  const std::vector<ValueId> &parameters =
      program.blocks[edge.block].parameters;
  for (size_t i = 0; i < parameters.size(); ++i) {
    carry(parameters[i], edge.arguments[i]);
  }
  next.globals = state.globals;
  std::map<int, int> renamed;
  auto rename = [&](int &allocation) {
    auto [it, fresh] = renamed.emplace(allocation, int(numbers.size()));
    if (fresh) {
      numbers.push_back(allocation);
      next.allocations.push_back(node.allocations[allocation]);
    }
    allocation = it->second;
  };
  for (auto &item : next.references) {
    rename(item.second);
  }
  for (auto &item : next.globals) {
    rename(item.second);
  }
  return next;
}

// --- all paths --------------------------------------------------------------

/// The states that the program can be in, and the bounds that follow.
class Paths {
public:
  Paths(const AllocationProgram &program, const Analysis &analysis)
      : program(program), analysis(analysis) {}

  /// Follows all paths with the integers of all conditions known where they
  /// are constant (`counted`), or with none. False if `limit` cut some off.
  bool explore(bool counted, size_t limit);
  /// `openResultBytes`: an upper bound of the results of paths that were cut
  /// off.
  SimulatedMemory summarize(int64_t openResultBytes);
  /// Peaks that every path reaches: transient, and of all allocations.
  std::pair<int64_t, int64_t> least() const {
    return {bottleneck(true), bottleneck(false)};
  }
  std::pair<int64_t, int64_t> results() const {
    return {minResult.front(), maxResult.front()};
  }

private:
  bool walk(const std::set<ValueId> &tracked, size_t limit, bool &unknown);
  void boundResults(int64_t openResultBytes);
  int64_t bottleneck(bool transient) const;
  std::vector<LiveItem> itemize(size_t node, const Sample &sample) const;

  const AllocationProgram &program;
  const Analysis &analysis;
  std::vector<Node> nodes;
  std::set<ValueId> known;   // conditions that were known so far
  std::set<ValueId> unknown; // and those that were not
  std::vector<int64_t> minResult;
  std::vector<int64_t> maxResult;
};

bool Paths::explore(bool counted, size_t limit) {
  std::set<ValueId> tracked;
  for (const AllocationBlock &block : program.blocks) {
    if (counted && block.condition != noValue && block.edges.size() == 2) {
      std::set<ValueId> slice = analysis.slice(block.condition);
      tracked.insert(slice.begin(), slice.end());
    }
  }
  known.clear();
  unknown.clear();
  for (;;) {
    bool again = false;
    bool complete = walk(tracked, limit, again);
    if (!again) {
      return complete;
    }
    // Values that only unknown conditions depend on would tell states apart for
    // nothing: the counter of a loop of unknown trip count.
    std::set<ValueId> needed;
    for (ValueId condition : known) {
      if (!unknown.count(condition)) {
        std::set<ValueId> slice = analysis.slice(condition);
        needed.insert(slice.begin(), slice.end());
      }
    }
    for (ValueId condition : unknown) {
      for (ValueId value : analysis.slice(condition)) {
        if (!needed.count(value)) {
          tracked.erase(value);
        }
      }
      tracked.erase(condition);
    }
  }
}

/// One exploration. Stops with `again` where a condition turns out unknown that
/// was tracked.
bool Paths::walk(const std::set<ValueId> &tracked, size_t limit, bool &again) {
  nodes.clear();
  std::map<std::vector<int64_t>, int> index;
  auto enter = [&](int block, State state) {
    auto [it, fresh] = index.emplace(state.key(block), int(nodes.size()));
    if (fresh) {
      nodes.emplace_back();
      nodes.back().block = block;
      nodes.back().state = std::move(state);
    }
    return it->second;
  };
  enter(0, State());
  bool complete = true;
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (n >= limit) {
      nodes[n].cut = true;
      complete = false;
      continue;
    }
    Node node = std::move(nodes[n]);
    const AllocationBlock &block = program.blocks[node.block];
    Machine machine(program, analysis, tracked, node);
    machine.run();
    std::optional<int64_t> condition;
    if (block.condition != noValue && block.edges.size() == 2) {
      condition = machine.integer(block.condition);
      (condition ? known : unknown).insert(block.condition);
      if (!condition && tracked.count(block.condition)) {
        again = true;
        return false;
      }
    }
    for (size_t e = 0; e < block.edges.size(); ++e) {
      if (condition && (*condition != 0) != (e == 0)) {
        continue;
      }
      Arrow arrow;
      State next = machine.follow(block.edges[e], arrow.allocations);
      arrow.node = enter(block.edges[e].block, std::move(next));
      node.arrows.push_back(std::move(arrow));
    }
    node.state = State(); // its key is in the index
    nodes[n] = std::move(node);
  }
  return complete;
}

/// The least and the most that paths from a node return.
void Paths::boundResults(int64_t openResultBytes) {
  minResult.assign(nodes.size(), kUnknownBytes);
  maxResult.assign(nodes.size(), 0);
  for (size_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].leaves) {
      minResult[n] = maxResult[n] = nodes[n].resultBytes;
    } else if (nodes[n].cut) {
      minResult[n] = 0;
      maxResult[n] = openResultBytes;
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t n = nodes.size(); n-- > 0;) {
      for (const Arrow &arrow : nodes[n].arrows) {
        if (minResult[arrow.node] < minResult[n] ||
            maxResult[arrow.node] > maxResult[n]) {
          minResult[n] = std::min(minResult[n], minResult[arrow.node]);
          maxResult[n] = std::max(maxResult[n], maxResult[arrow.node]);
          changed = true;
        }
      }
    }
  }
}

/// The least over all paths of the most at any of a path's moments.
int64_t Paths::bottleneck(bool transient) const {
  auto cost = [&](size_t n) {
    int64_t most = 0;
    for (const Sample &sample : nodes[n].samples) {
      if (!sample.replaced) {
        most = std::max(most, sample.bytes - (transient ? maxResult[n] : 0));
      }
    }
    return most;
  };
  using Item = std::pair<int64_t, int>;
  std::priority_queue<Item, std::vector<Item>, std::greater<Item>> work;
  std::vector<bool> done(nodes.size(), false);
  work.push({cost(0), 0});
  while (!work.empty()) {
    auto [most, n] = work.top();
    work.pop();
    if (done[n]) {
      continue;
    }
    done[n] = true;
    if (nodes[n].leaves || nodes[n].cut) {
      return most;
    }
    for (const Arrow &arrow : nodes[n].arrows) {
      if (!done[arrow.node]) {
        work.push({std::max(most, cost(size_t(arrow.node))), arrow.node});
      }
    }
  }
  return 0; // never returns
}

/// The allocations of a moment, each with its fate on some path.
std::vector<LiveItem> Paths::itemize(size_t node, const Sample &sample) const {
  std::vector<LiveItem> items;
  for (int allocation : sample.alive) {
    const Allocation &made = nodes[node].allocations[allocation];
    LiveItem item;
    item.site = made.site;
    item.bytes = made.bytes;
    std::set<std::pair<int, int>> seen;
    std::vector<std::pair<int, int>> work = {{int(node), allocation}};
    while (!work.empty()) {
      auto [n, number] = work.back();
      work.pop_back();
      if (!seen.insert({n, number}).second) {
        continue;
      }
      item.isResult |= nodes[n].returned.count(number) > 0;
      item.isVariable |= nodes[n].variables.count(number) > 0;
      for (const Arrow &arrow : nodes[n].arrows) {
        for (size_t i = 0; i < arrow.allocations.size(); ++i) {
          if (arrow.allocations[i] == number) {
            work.push_back({arrow.node, int(i)});
          }
        }
      }
    }
    items.push_back(item);
  }
  return items;
}

SimulatedMemory Paths::summarize(int64_t openResultBytes) {
  boundResults(openResultBytes);
  SimulatedMemory memory;
  std::optional<std::pair<size_t, const Sample *>> worst;
  for (size_t n = 0; n < nodes.size(); ++n) {
    int64_t results = minResult[n] == kUnknownBytes ? 0 : minResult[n];
    for (const Sample &sample : nodes[n].samples) {
      memory.peakBytes = std::max(memory.peakBytes, sample.bytes);
      if (sample.bytes - results >= memory.transientPeakBytes) {
        memory.transientPeakBytes = sample.bytes - results;
        worst = {n, &sample};
      }
    }
    memory.resultBytes = std::max(memory.resultBytes, nodes[n].resultBytes);
    memory.globalBytes = std::max(memory.globalBytes, nodes[n].globalBytes);
  }
  if (worst) {
    memory.live = itemize(worst->first, *worst->second);
  }
  auto [leastTransient, leastPeak] = least();
  memory.exact = leastTransient == memory.transientPeakBytes &&
                 leastPeak == memory.peakBytes &&
                 minResult.front() == maxResult.front();
  return memory;
}

} // namespace

std::optional<SimulatedMemory>
simulateAllocations(const AllocationProgram &program,
                    const SimulationLimits &limits) {
  Analysis analysis(program);
  Paths counted(program, analysis);
  if (counted.explore(/*counted=*/true, limits.countedStates)) {
    return counted.summarize(0);
  }
  Paths open(program, analysis);
  if (!open.explore(/*counted=*/false, limits.openStates)) {
    return std::nullopt;
  }
  SimulatedMemory memory = open.summarize(0);
  if (!memory.exact) {
    // The start of the paths may reach the maximum over open trip counts.
    counted.summarize(memory.resultBytes);
    auto [transient, peak] = counted.least();
    memory.exact = transient == memory.transientPeakBytes &&
                   peak == memory.peakBytes &&
                   open.results().first == open.results().second;
  }
  return memory;
}

} // namespace serenity
