// What the op table (op_cases.h) drives. Every test runs once for each op.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tensor/allocator.h"
#include "tensor/io/safetensors.h"
#include "tests/errors.h"
#include "tests/isas.h"
#include "tests/op_table.h"
#include "tests/paths.h"
#include "tests/sanitized.h"

namespace gradus::optable {

namespace {

std::vector<std::string> other_backends() {
  std::vector<std::string> able;
  for (const char* name : {"avx2", "avx512", "neon"})
    if (testing::has_isa(name)) able.push_back(name);
  return able;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.raw().data, y.raw().data, size_t(x.numel()) * size_of(x.dtype())) == 0;
}

const TensorFile& golden() {
  static const TensorFile file = load_safetensors(testing::source_dir() + "/tests/golden/ops.safetensors");
  return file;
}

// --- one test of each kind for every op ----------------------------------------------------------------------------

// float32 on each instruction set the machine has, against the reference.
TEST_P(OpTable, Backends) {
  testing::BackendGuard guard;
  for (const std::string& name : other_backends()) {
    SCOPED_TRACE(name);
    each_case([&](const Row& row, size_t c) {
      set_isa("reference");
      Result expected = run(row, c, make_inputs(row.cases[c], float32));
      set_isa(name.c_str());
      expect_close(run(row, c, make_inputs(row.cases[c], float32)), expected, tolerance32);
    });
  }
}

// All elements of the gradient, and of the gradient of the gradient, against central differences.
TEST_P(OpTable, Gradients) {
  each_case([](const Row& row, size_t c) {
    if (row.options.check < Check::once) return;
    gradcheck(joined(row), leaves(row, c, make_inputs(row.cases[c], float64)));
  });
}
TEST_P(OpTable, SecondGradients) {
  each_case([](const Row& row, size_t c) {
    const auto check_second = [&] { gradgradcheck(joined(row), leaves(row, c, make_inputs(row.cases[c], float64))); };
    if (row.options.check == Check::twice) check_second();
    if (row.options.check == Check::once) {
      EXPECT_NE(testing::error_of(check_second).find("its gradient cannot be differentiated"), std::string::npos);
    }
  });
}

// Values and gradients as PyTorch computes them in double, which the sample inputs make the truth for float32 as
// well.
TEST_P(OpTable, Golden) {
  for (DType dtype : {float64, float32}) {
    SCOPED_TRACE(to_string(dtype));
    each_case([dtype](const Row& row, size_t c) {
      if (row.torch.empty()) return;
      double tolerance = dtype == float64 ? tolerance64 : tolerance32;
      Result result = run(row, c, make_inputs(row.cases[c], dtype));
      auto expect = [&](const Tensor& got, const std::string& key) {
        const Tensor* expected = golden().find(row.name(c) + key);
        ASSERT_NE(expected, nullptr) << "no golden value " << row.name(c) + key << ": run tools/golden_ops.py";
        EXPECT_EQ(difference(got, *expected, tolerance), "") << key;
        // What is float64 there follows the type of the run.
        bool same = got.dtype() == expected->dtype() || (is_floating(got.dtype()) && expected->dtype() == float64);
        EXPECT_TRUE(same) << key << " is " << to_string(got.dtype()) << ", expected " << to_string(expected->dtype());
      };
      for (size_t i = 0; i < result.values.size(); ++i) expect(result.values[i], ".y" + std::to_string(i));
      for (size_t i = 0; i < result.gradients.size(); ++i) expect(result.gradients[i], ".d" + std::to_string(i));
      EXPECT_EQ(golden().find(row.name(c) + ".y" + std::to_string(result.values.size())), nullptr);
    });
  }
}

// Transposed, sliced with steps, and expanded inputs give what contiguous ones of the same numbers give.
Tensor transposed(const Tensor& x) {
  Dims order;
  for (int d = x.dim(); d-- > 0;) order.push_back(d);
  return x.permute(order).clone().permute(order);
}
Tensor stepped(const Tensor& x) {
  Shape twice = x.shape();
  for (int64_t& size : twice) size = 2 * size + 1;
  Tensor part = ones(twice, x.options());
  for (int d = 0; d < x.dim(); ++d) part = part.slice(d, 1, slice_end, 2);
  part.copy_(x);
  return part;
}
Tensor expanded(const Tensor& x) {
  if (x.dim() == 0 || x.numel() == 0) return x;
  return x.narrow(0, 0, 1).expand(x.shape());
}

TEST_P(OpTable, Layouts) {
  for (auto arrange : {transposed, stepped, expanded})
    for (DType dtype : {float32, float64})
      each_case([&](const Row& row, size_t c) {
        std::vector<Tensor> arranged, plain;
        for (const Tensor& x : make_inputs(row.cases[c], dtype)) {
          arranged.push_back(arrange(x));
          plain.push_back(arranged.back().clone().contiguous());
        }
        expect_close(run(row, c, arranged), run(row, c, plain), dtype == float64 ? 1e-14 : tolerance32);
      });
}

// A case leaves nothing behind, whether its gradient was taken or not.
TEST_P(OpTable, Storage) {
  each_case([](const Row& row, size_t c) {
    std::vector<Tensor> inputs = make_inputs(row.cases[c], float32);
    run(row, c, inputs);  // what an op keeps for good (scratch room, tables) it has now
    MemoryStats before = memory_stats();
    run(row, c, inputs);
    row.run(leaves(row, c, inputs));
    EXPECT_EQ(memory_stats().blocks, before.blocks);
    EXPECT_EQ(memory_stats().live, before.live);
  });
}

// One thread and two give the same bits, forward and backward.
TEST_P(OpTable, Threads) {
  const testing::BackendGuard guard;
  each_case([](const Row& row, size_t c) {
    if (c > 0) return;
    const Case& inputs = row.options.large.empty() ? row.cases[0] : row.options.large;
    std::vector<Tensor> x = make_inputs(inputs, float32);
    set_num_threads(1);
    Result one = run(row, c, x);
    set_num_threads(2);
    Result two = run(row, c, x);
    for (size_t i = 0; i < one.values.size(); ++i) EXPECT_TRUE(same_bits(two.values[i], one.values[i])) << i;
    for (size_t i = 0; i < one.gradients.size(); ++i) EXPECT_TRUE(same_bits(two.gradients[i], one.gradients[i])) << i;
  });
}

INSTANTIATE_TEST_SUITE_P(Every, OpTable, ::testing::ValuesIn(ops_with_rows()), test_name);

// --- the table is complete -----------------------------------------------------------------------------------------

std::string read(const std::string& path) {
  std::ifstream in(testing::source_dir() + "/" + path);
  EXPECT_TRUE(in) << path;
  std::string text, line;
  while (std::getline(in, line))
    if (!line.starts_with("#")) text += line.substr(0, line.find("//")) + "\n";
  return text;
}

size_t closing(const std::string& text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '(' || text[i] == '{' || text[i] == '<';
    depth -= text[i] == ')' || text[i] == '}' || (text[i] == '>' && text[i - 1] != '-');
    if (depth == 0) return i;
  }
  return text.size();
}

// "const Tensor& x, double p = 2" to "Tensor, double".
std::string types(const std::string& parameters) {
  std::string all;
  size_t start = 0;
  while (start < parameters.size()) {
    int depth = 0;
    size_t end = start;
    for (; end < parameters.size() && (depth > 0 || parameters[end] != ','); ++end) {
      depth += parameters[end] == '(' || parameters[end] == '{' || parameters[end] == '<';
      depth -= parameters[end] == ')' || parameters[end] == '}' || parameters[end] == '>';
    }
    std::string one = parameters.substr(start, end - start);
    one = one.substr(0, one.find('='));
    one.erase(one.find_last_not_of(" \n") + 1);
    one.erase(one.find_last_of(" &") + 1);  // the name
    std::string type;
    for (size_t i = 0; i < one.size(); ++i) {
      if (one.compare(i, 6, "const ") == 0) i += 6;
      if (one[i] != '&' && one[i] != ' ' && one[i] != '\n') type += one[i];
    }
    all += (all.empty() ? "" : ", ") + type;
    start = end + 1;
  }
  return all;
}

// The functions declared in a class or namespace, with types where a name is overloaded.
std::set<std::string> declared(std::string text, const std::string& opening, const std::string& prefix) {
  size_t at = text.find(opening);
  EXPECT_NE(at, std::string::npos) << opening;
  at += opening.size();
  std::vector<std::pair<std::string, std::string>> found;
  auto word_at = [&](const char* word) { return text.compare(at, std::strlen(word), word) == 0; };
  while (at < text.size() && text[at] != '}' && !word_at("private:")) {
    if (std::isspace(text[at])) {
      ++at;
    } else if (word_at("public:")) {
      at += 7;
    } else if (word_at("struct ") || word_at("enum ")) {
      at = text.find(';', closing(text, text.find('{', at))) + 1;
    } else {  // ... name(parameters) ... ; or { body }
      size_t open = text.find('(', at);
      size_t start = text.find("operator", at);
      if (start > open) start = text.find_last_of(" \n>&*", open) + 1;
      size_t close = closing(text, open);
      found.emplace_back(text.substr(start, open - start), types(text.substr(open + 1, close - open - 1)));
      at = text.find_first_of(";{", close);
      if (text[at] == '{') at = closing(text, at);
      ++at;
    }
  }
  // Those that differ in what they do with a temporary alone are one op.
  std::map<std::string, int> count;
  for (const auto& [name, parameters] : std::set<std::pair<std::string, std::string>>(found.begin(), found.end()))
    ++count[name];
  std::set<std::string> all;
  for (const auto& [name, parameters] : found)
    all.insert(prefix + name + (count[name] > 1 ? "(" + parameters + ")" : ""));
  return all;
}

// What needs no row, and why.
std::set<std::string> excluded() {
  std::set<std::string> names = {"allclose",
                                 "equal",                    // give one bool: tensor_test
                                 "flops_counted",            // a counter: tensor_test
                                 "set_keep_packed_weights",  // a switch: packed_weights_test
                                 "Tensor::Tensor()",
                                 "Tensor::Tensor(std::shared_ptr<Storage>, Layout, std::shared_ptr<Node>)",
                                 "Tensor::Tensor(Tensor, std::shared_ptr<Node>)"};
  // What a tensor is, and how one gets at its numbers: tensor_test.
  for (const char* name : {"defined", "shape", "strides", "layout", "dim", "size", "numel", "dtype", "device",
                           "options", "is_contiguous", "storage", "raw", "data", "item", "to_vector"})
    names.insert(std::string("Tensor::") + name);
  // Its place in the graph: regressions_test.
  for (const char* name : {"requires_grad", "is_leaf", "requires_grad_", "detach", "grad", "set_grad", "zero_grad",
                           "backward", "register_hook", "node"})
    names.insert(std::string("Tensor::") + name);
  return names;
}

std::set<std::string> all_ops() {
  std::set<std::string> ops = declared(read("autograd/ops.h"), "namespace gradus {", "");
  ops.merge(declared(read("tensor/tensor.h"), "class Tensor {", "Tensor::"));
  return ops;
}

std::set<std::string> without_row(const std::set<std::string>& with_row) {
  std::set<std::string> missing = all_ops();
  for (const std::string& name : excluded()) missing.erase(name);
  for (const std::string& name : with_row) missing.erase(name);
  return missing;
}

TEST(OpTableMeta, EveryOpHasARow) {
  for (const std::string& op : without_row(ops_with_rows()))
    ADD_FAILURE() << op << " is declared in autograd/ops.h or tensor/tensor.h but has no row in tests/op_cases_*.cpp";
}

TEST(OpTableMeta, EveryRowIsAnOp) {
  std::set<std::string> ops = all_ops();
  for (const Row& row : op_table()) EXPECT_TRUE(ops.contains(row.op)) << row.op;
  for (const std::string& name : excluded()) EXPECT_TRUE(ops.contains(name)) << name;
}

// The check above is worth something: without its rows, each op is missed.
TEST(OpTableMeta, AMissingRowIsNoticed) {
  std::set<std::string> ops = ops_with_rows();
  EXPECT_GT(ops.size(), 150u);
  for (const std::string& op : ops) {
    std::set<std::string> rest = ops;
    rest.erase(op);
    EXPECT_EQ(without_row(rest), std::set<std::string>{op});
  }
}

// Every gradient rule is run by some row: each name given to record() in autograd/ops is met in a graph.
void collect(const std::shared_ptr<Node>& node, std::set<std::string>& names) {
  if (!node) return;
  names.insert(node->op);
  for (const auto& input : node->inputs) collect(input, names);
}

TEST(OpTableMeta, EveryRuleIsRun) {
  if (testing::sanitized) GTEST_SKIP() << "runs what the other tests of the table run";
  std::set<std::string> met;
  for (const Row& row : op_table())
    if (row.options.check != Check::none)
      for (size_t c = 0; c < row.cases.size(); ++c) {
        std::vector<Tensor> x = leaves(row, c, make_inputs(row.cases[c], float64)), outputs, given, wanted;
        for (const Tensor& y : row.run(x)) {
          collect(y.node(), met);
          if (!y.requires_grad()) continue;
          outputs.push_back(y);
          // Part of the graph, so that what only gradients of gradients run is met too.
          given.push_back(ones_like(y).requires_grad_());
        }
        for (const Tensor& leaf : x)
          if (leaf.requires_grad()) wanted.push_back(leaf);
        if (outputs.empty() || row.options.check == Check::once) continue;
        for (const Tensor& g :
             grad(outputs, wanted, {.grad_outputs = given, .create_graph = true, .allow_unused = true}))
          if (g.defined()) collect(g.node(), met);
      }
  int rules = 0;
  for (const auto& file : std::filesystem::directory_iterator(testing::source_dir() + "/autograd/ops")) {
    if (file.path().extension() != ".cpp") continue;
    std::string text = read("autograd/ops/" + file.path().filename().string());
    const std::string call = "record(\"";
    for (size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1), ++rules) {
      size_t start = at + call.size();
      std::string name = text.substr(start, text.find('"', start) - start);
      EXPECT_TRUE(met.contains(name)) << "no row runs the rule of \"" << name << "\" in " << file.path().filename();
    }
  }
  EXPECT_GT(rules, 25);
}

// --- the way out to PyTorch ----------------------------------------------------------------------------------------

// Writes the table for tools/golden_ops.py: inputs, expressions, and the gradients given to the outputs.
TEST(OpTableDump, DISABLED_ToFile) {
  const char* path = std::getenv("GRADUS_OP_CASES");
  ASSERT_NE(path, nullptr);
  auto numbers = [](const Tensor& x) {  // as text where JSON has no number
    nlohmann::json list = nlohmann::json::array();
    for (double v : x.to(float64).to_vector())
      if (std::isfinite(v))
        list.push_back(v);
      else
        list.push_back(std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
    return nlohmann::json{{"shape", std::vector<int64_t>(x.shape().begin(), x.shape().end())},
                          {"dtype", to_string(x.dtype())},
                          {"values", list}};
  };
  nlohmann::json cases = nlohmann::json::array();
  for (const Row& row : op_table())
    for (size_t c = 0; c < row.cases.size() && !row.torch.empty(); ++c) {
      std::vector<Tensor> inputs = make_inputs(row.cases[c], float64);
      nlohmann::json one = {{"name", row.name(c)}, {"torch", row.torch}};
      for (size_t i = 0; i < inputs.size(); ++i) {
        one["inputs"].push_back(numbers(inputs[i]));
        one["inputs"].back()["gradient"] = row.cases[c][i].wants_gradient() && row.options.check != Check::none;
        one["inputs"].back()["follows_run"] = !row.cases[c][i].dtype;
      }
      SCOPED_TRACE(row.name(c));
      Result result = run(row, c, inputs);
      for (size_t i = 0; i < result.values.size(); ++i)
        one["output_gradients"].push_back(result.has_gradient[i] ? numbers(output_gradient(result.values[i], i))
                                                                 : nlohmann::json());
      cases.push_back(one);
    }
  std::ofstream(path) << cases;
}

}  // namespace

}  // namespace gradus::optable
