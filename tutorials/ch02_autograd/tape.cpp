// Reverse-mode differentiation of plain numbers: nodes, rules and a backward pass, as the library has them but without
// tensors. Nothing of the library is included.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace {

//! [node]
struct Node;
using Value = std::shared_ptr<Node>;
// Takes the gradient of a result and gives those of what it was made from, in the same order.
using Rule = std::function<std::vector<double>(double gradient)>;

struct Node {
  std::string op;  // "leaf" for a number that nobody computed
  double value;
  std::vector<Value> inputs;  // what it was made from
  Rule rule;                  // none for a leaf
  double gradient = 0;        // d(output)/d(this), after the backward pass
};

Value record(const std::string& op, double value, const std::vector<Value>& inputs, const Rule& rule) {
  return std::make_shared<Node>(Node{op, value, inputs, rule});
}

Value leaf(double value) { return record("leaf", value, {}, nullptr); }
//! [node]

//! [rules]
Value operator+(const Value& a, const Value& b) {
  return record("add", a->value + b->value, {a, b}, [](double g) { return std::vector{g, g}; });
}

Value operator*(const Value& a, const Value& b) {
  const double x = a->value, y = b->value;
  return record("mul", x * y, {a, b}, [x, y](double g) { return std::vector{g * y, g * x}; });
}

Value sin(const Value& a) {
  const double x = a->value;
  return record("sin", std::sin(x), {a}, [x](double g) { return std::vector{g * std::cos(x)}; });
}
//! [rules]

//! [backward]
// Adds the nodes behind `node`, and then itself, to `order`: each once, after everything that it was made from.
void visit(const Value& node, std::unordered_set<const Node*>& seen, std::vector<Value>& order) {
  if (!seen.insert(node.get()).second) return;
  for (const Value& input : node->inputs) visit(input, seen, order);
  order.push_back(node);
}

// Adds d(output)/d(leaf) to every leaf's gradient. Gives the nodes in the order of the forward pass.
std::vector<Value> backward(const Value& output) {
  std::unordered_set<const Node*> seen;
  std::vector<Value> order;
  visit(output, seen, order);
  for (const Value& node : order)
    if (node->rule) node->gradient = 0;  // only leaves remember earlier passes
  output->gradient = 1;
  for (auto at = order.rbegin(); at != order.rend(); ++at) {
    const Node& node = **at;
    if (!node.rule) continue;
    const std::vector<double> gradients = node.rule(node.gradient);
    for (size_t i = 0; i < gradients.size(); ++i) node.inputs[i]->gradient += gradients[i];
  }
  return order;
}
//! [backward]

void expect(bool ok, const char* what) {
  if (ok) return;
  std::printf("error: expected that %s\n", what);
  std::exit(1);
}

bool close(double x, double y) { return std::fabs(x - y) <= 1e-8 * (1 + std::fabs(y)); }

void worked_example() {
  const Value a = leaf(2), b = leaf(3);
  const Value p = a + b, s = sin(a), y = p * s;
  const std::vector<Value> order = backward(y);

  const auto name = [&](const Value& node) {
    return node == a ? "a" : node == b ? "b" : node == p ? "p" : node == s ? "s" : "y";
  };
  std::printf("node  op    made from   value  gradient\n");
  for (const Value& node : order) {
    std::string from;
    for (const Value& input : node->inputs) from += (from.empty() ? "" : " ") + std::string(name(input));
    std::printf("%-4s  %-4s  %-9s %7.4f  %8.4f\n", name(node), node->op.c_str(), from.c_str(), node->value,
                node->gradient);
  }
  std::printf("\nedge    local derivative  times gradient   carries\n");
  for (auto at = order.rbegin(); at != order.rend(); ++at) {
    const Node& node = **at;
    if (!node.rule) continue;
    const std::vector<double> local = node.rule(1), carried = node.rule(node.gradient);
    for (size_t i = 0; i < local.size(); ++i)
      std::printf("%s -> %s  %16.4f  %14.4f  %8.4f\n", name(*at), name(node.inputs[i]), local[i], node.gradient,
                  carried[i]);
  }

  const auto f = [](double u, double v) { return (u + v) * std::sin(u); };
  const double step = 1e-6;
  const double by_a = (f(2 + step, 3) - f(2 - step, 3)) / (2 * step),
               by_b = (f(2, 3 + step) - f(2, 3 - step)) / (2 * step);
  std::printf("\nby differences: %.4f and %.4f\n", by_a, by_b);
  expect(close(a->gradient, by_a) && close(b->gradient, by_b), "differences agree with the tape");
}

void thirty_doublings() {
  const Value x = leaf(1);
  Value y = x;
  for (int i = 0; i < 30; ++i) y = y + y;
  const size_t nodes = backward(y).size();
  std::printf("\nx doubled thirty times: %zu nodes, dy/dx = %.0f\n", nodes, x->gradient);
  expect(nodes == 31 && x->gradient == std::pow(2, 30), "each of the nodes is visited once");

  backward(y);
  std::printf("after another backward pass x's gradient is %.0f\n", x->gradient);
  expect(x->gradient == 2 * std::pow(2, 30), "a leaf's gradient is added to");
}

}  // namespace

int main() {
  worked_example();
  thirty_doublings();
}
