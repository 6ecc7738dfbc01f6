#include "nn/module.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace gradus::nn {

namespace {

enum class Kind { parameter, buffer };
using OnTensor = std::function<void(const std::string& path, Tensor& tensor, Kind kind)>;
using OnModule = std::function<void(const std::string& path, Module& module)>;

// Visits a module and all inside it, putting names together to paths. Undefined tensors are passed over.
class Walk : public Visitor {
 public:
  Walk(const OnTensor& on_tensor, const OnModule& on_module) : on_tensor_(on_tensor), on_module_(on_module) {}

  void parameter(const std::string& name, Tensor& tensor) override { show(name, tensor, Kind::parameter); }
  void buffer(const std::string& name, Tensor& tensor) override { show(name, tensor, Kind::buffer); }
  void child(const std::string& name, Module& module) override {
    size_t length = prefix_.size();
    prefix_ += name;
    if (on_module_) on_module_(prefix_, module);
    prefix_ += '.';
    module.visit(*this);
    prefix_.resize(length);
  }

 private:
  void show(const std::string& name, Tensor& tensor, Kind kind) {
    if (on_tensor_ && tensor.defined()) on_tensor_(prefix_ + name, tensor, kind);
  }

  const OnTensor& on_tensor_;
  const OnModule& on_module_;
  std::string prefix_;
};

// Looking changes nothing, so it may be done to a const module; visit itself serves both.
void walk(const Module& module, const OnTensor& on_tensor, const OnModule& on_module = {}) {
  Walk visitor(on_tensor, on_module);
  const_cast<Module&>(module).visit(visitor);
}

// Converts a storage and all that hangs on it; `convert` maps a flat tensor to one elsewhere or of another dtype.
void convert_all(Module& module, const std::function<bool(const Tensor&)>& wanted,
                 const std::function<Tensor(const Tensor&)>& convert) {
  NoGrad guard;
  std::unordered_set<Storage*> done;
  walk(module, [&](const std::string&, Tensor& tensor, Kind) {
    const std::shared_ptr<Storage>& storage = tensor.storage();
    if (wanted(tensor) && done.insert(storage.get()).second)
      storage->replace(std::move(*convert(Tensor(storage, Layout::contiguous({storage->count()}))).storage()));
    if (!tensor.node()) return;
    Node& leaf = *tensor.node();
    leaf.dtype = tensor.dtype();
    leaf.device = tensor.device();
    if (leaf.grad.defined() && wanted(leaf.grad)) leaf.grad = convert(leaf.grad);
  });
}

}  // namespace

std::vector<NamedTensor> Module::named_parameters() const {
  std::vector<NamedTensor> found;
  std::unordered_set<const Storage*> seen;
  walk(*this, [&](const std::string& path, Tensor& tensor, Kind kind) {
    if (kind == Kind::parameter && seen.insert(tensor.storage().get()).second) found.emplace_back(path, tensor);
  });
  return found;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> found;
  for (const NamedTensor& parameter : named_parameters()) found.push_back(parameter.second);
  return found;
}

std::vector<NamedTensor> Module::named_buffers() const {
  std::vector<NamedTensor> found;
  walk(*this, [&](const std::string& path, Tensor& tensor, Kind kind) {
    if (kind == Kind::buffer) found.emplace_back(path, tensor);
  });
  return found;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> found = {{"", this}};
  walk(*this, {}, [&](const std::string& path, Module& module) { found.emplace_back(path, &module); });
  return found;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const NamedTensor& parameter : named_parameters()) count += parameter.second.numel();
  return count;
}

Device Module::device() const {
  std::optional<Device> found;
  walk(*this, [&](const std::string&, Tensor& tensor, Kind kind) {
    if (kind == Kind::parameter && !found) found = tensor.device();
  });
  return found.value_or(Device::cpu);
}

void Module::train(bool on) {
  for (const auto& entry : named_modules()) entry.second->training_ = on;
}

void Module::zero_grad() const {
  walk(*this, [](const std::string&, Tensor& tensor, Kind) { tensor.zero_grad(); });
}

void Module::requires_grad_(bool required) {
  struct OwnParameters : Visitor {
    std::function<void(const std::string&, Tensor&)> f;
    void parameter(const std::string& name, Tensor& tensor) override {
      if (tensor.defined()) f(name, tensor);
    }
    void buffer(const std::string&, Tensor&) override {}
    void child(const std::string&, Module&) override {}
  } visitor;
  auto same = [](const Tensor& a, const Tensor& b) {
    return a.storage() == b.storage() && a.shape() == b.shape() && a.strides() == b.strides() &&
           a.layout().offset == b.layout().offset;
  };
  std::vector<Tensor> made;  // one new leaf for all that are tied
  for (const auto& entry : named_modules()) {
    Module& module = *entry.second;
    visitor.f = [&](const std::string& name, Tensor& tensor) {
      if (tensor.requires_grad() == required) return;
      if (!required) {
        tensor.zero_grad();  // or an optimiser would go on by it
        module.frozen_[name] = tensor;
        tensor = tensor.detach();
        return;
      }
      auto frozen = module.frozen_.find(name);
      if (frozen != module.frozen_.end() && same(frozen->second, tensor)) {
        tensor = frozen->second;
        tensor.node()->dtype = tensor.dtype();  // it may have been converted meanwhile
        tensor.node()->device = tensor.device();
        return;
      }
      auto tied = std::find_if(made.begin(), made.end(), [&](const Tensor& t) { return same(t, tensor); });
      tensor = tied != made.end() ? *tied : made.emplace_back(tensor.requires_grad_());
    };
    module.visit(visitor);
  }
}

void Module::to(DType dtype) {
  check(is_floating(dtype), "Module::to: parameters cannot become ", dtype);
  convert_all(
      *this, [&](const Tensor& x) { return is_floating(x.dtype()) && x.dtype() != dtype; },
      [&](const Tensor& x) { return x.to(dtype); });
}

void Module::to(Device device) {
  convert_all(
      *this, [&](const Tensor& x) { return x.device() != device; }, [&](const Tensor& x) { return x.to(device); });
}

StateDict Module::state_dict() const {
  StateDict state;
  walk(*this, [&](const std::string& path, Tensor& tensor, Kind) { state.emplace_back(path, tensor.detach()); });
  return state;
}

void Module::load_state_dict(const StateDict& state) {
  std::unordered_map<std::string, const Tensor*> given;
  std::string missing, unexpected, doubled, misshapen;
  auto add = [](std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; };
  for (const NamedTensor& entry : state)
    if (!given.emplace(entry.first, &entry.second).second) add(doubled, entry.first);

  StateDict own = state_dict();
  std::unordered_set<std::string> known;
  for (const auto& [name, tensor] : own) {
    known.insert(name);
    auto found = given.find(name);
    if (found == given.end() || !found->second->defined())
      add(missing, name);
    else if (found->second->shape() != tensor.shape())
      add(misshapen, name + " is " + to_string(found->second->shape()) + ", expected " + to_string(tensor.shape()));
  }
  for (const NamedTensor& entry : state)
    if (!known.count(entry.first)) add(unexpected, entry.first);

  std::string problems;
  for (const auto& [what, list] : {std::pair<const char*, const std::string&>{"missing: ", missing},
                                   {"unexpected: ", unexpected},
                                   {"given twice: ", doubled},
                                   {"misshapen: ", misshapen}})
    if (!list.empty()) problems += (problems.empty() ? "" : "; ") + (what + list);
  check(problems.empty(), "load_state_dict: ", problems);

  NoGrad guard;
  for (auto& [name, tensor] : own) tensor.copy_(given.at(name)->detach());
}

void copy_state(const Module& from, Module& to) { to.load_state_dict(from.state_dict()); }

std::string to_string(const Module& module) {
  // The children's names and listings; equal neighbours of a ModuleList in one line: "(0-5): 6 x Block(...)".
  struct Child {
    std::string first, last, text;
    int64_t count;
  };
  struct Children : Visitor {
    std::vector<Child> list;
    bool merge = false;
    void parameter(const std::string&, Tensor&) override {}
    void buffer(const std::string&, Tensor&) override {}
    void child(const std::string& name, Module& inner) override {
      std::string text = to_string(inner);
      if (merge && !list.empty() && list.back().text == text) {
        list.back().last = name;
        ++list.back().count;
      } else {
        list.push_back({name, name, text, 1});
      }
    }
  } children;
  children.merge = std::string(module.type()) == "ModuleList";
  const_cast<Module&>(module).visit(children);

  std::string brackets = module.describe();
  if (children.list.empty()) return module.type() + ("(" + brackets + ")");
  std::string out = module.type() + std::string("(\n");
  if (!brackets.empty()) out += "  " + brackets + "\n";
  for (const Child& child : children.list) {
    out += "  (" + child.first + (child.count > 1 ? "-" + child.last : "") + "): ";
    if (child.count > 1) out += std::to_string(child.count) + " x ";
    for (char c : child.text) out += c == '\n' ? "\n  " : std::string(1, c);
    out += "\n";
  }
  return out + ")";
}

}  // namespace gradus::nn
