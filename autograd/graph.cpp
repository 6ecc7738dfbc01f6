// Drawing the graph as text for Graphviz and Mermaid.
#include <unordered_map>

#include "autograd/autograd.h"

namespace gradus {
namespace {

struct Drawing {
  struct Item {
    std::string label;
    bool leaf;
  };
  std::vector<Item> items;
  std::vector<std::pair<size_t, size_t>> arrows;  // from, to
};

Drawing trace(const Tensor& output, const Names& names) {
  check(output.requires_grad(), "graph: the output does not require grad: there is no graph behind it");
  std::unordered_map<Node*, std::string> known;
  for (const auto& [name, tensor] : names)
    if (tensor.node()) known[tensor.node().get()] = name;
  Drawing drawing;
  std::unordered_map<Node*, size_t> number;
  std::vector<std::pair<Node*, size_t>> stack;  // a node, and which of its inputs is next
  auto visit = [&](Node* node) { stack.push_back({node, 0}); };
  visit(output.node().get());
  while (!stack.empty()) {
    auto& [node, next] = stack.back();
    if (next < node->inputs.size()) {
      Node* input = node->inputs[next++].get();
      if (input && !number.contains(input)) visit(input);
      continue;
    }
    if (number.try_emplace(node, drawing.items.size()).second) {
      auto name = known.find(node);
      std::string what = name != known.end() ? (node->is_leaf() ? name->second : name->second + " = " + node->op)
                                             : std::string(node->op);
      drawing.items.push_back({what + " " + to_string(node->shape), node->is_leaf()});
      for (const auto& input : node->inputs)
        if (input) drawing.arrows.push_back({number.at(input.get()), number.at(node)});
    }
    stack.pop_back();
  }
  return drawing;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) out += c == '"' ? std::string("'") : std::string(1, c);
  return out + "\"";
}

}  // namespace

std::string graph_dot(const Tensor& output, const Names& names) {
  Drawing drawing = trace(output, names);
  std::string out = "digraph gradus {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n";
  for (size_t i = 0; i < drawing.items.size(); ++i)
    out += "  n" + std::to_string(i) + " [label=" + quoted(drawing.items[i].label) +
           (drawing.items[i].leaf ? ", shape=box, style=filled, fillcolor=lightblue" : ", shape=ellipse") + "];\n";
  for (auto [from, to] : drawing.arrows) out += "  n" + std::to_string(from) + " -> n" + std::to_string(to) + ";\n";
  return out + "}\n";
}

std::string graph_mermaid(const Tensor& output, const Names& names) {
  Drawing drawing = trace(output, names);
  std::string out = "flowchart TD\n";
  for (size_t i = 0; i < drawing.items.size(); ++i) {
    std::string label = quoted(drawing.items[i].label);
    out += "  n" + std::to_string(i) + (drawing.items[i].leaf ? "[" + label + "]" : "([" + label + "])") + "\n";
  }
  for (auto [from, to] : drawing.arrows) out += "  n" + std::to_string(from) + " --> n" + std::to_string(to) + "\n";
  return out;
}

}  // namespace gradus
