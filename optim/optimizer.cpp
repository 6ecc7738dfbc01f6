#include "optim/optimizer.h"

#include <unordered_map>

namespace gradus::optim {

namespace {

template <class T>
Tensor scalar(T value) {
  return from_vector<T>({value}, {});
}

}  // namespace

Optimizer::Numbers Optimizer::Update::state(int i, double value) const {
  Tensor& tensor = slot.state[size_t(i)];
  const Tensor& p = slot.parameter;
  if (!tensor.defined()) tensor = full(p.shape(), value, p.options());
  if (tensor.dtype() != p.dtype()) tensor = tensor.to(p.dtype());  // the parameter was converted since
  if (tensor.device() != p.device()) tensor = tensor.to(p.device());
  return {tensor.raw().data, size_of(tensor.dtype())};
}

void Optimizer::step() {
  NoGrad guard;
  for (const auto& group : groups_) {
    for (const Slot& slot : group) {
      const Tensor &p = slot.parameter, gradient = p.grad();
      if (!gradient.defined()) continue;
      check(gradient.shape() == p.shape() && gradient.dtype() == p.dtype() && gradient.device() == p.device(), type(),
            ": a gradient of shape ", gradient.shape(), " and type ", gradient.dtype(), " on ", gradient.device(),
            " for a parameter of shape ", p.shape(), " and type ", p.dtype(), " on ", p.device());
      check(p.dtype() == float32 || p.dtype() == float64, type(), ": cannot update a parameter of type ", p.dtype());
    }
  }
  Sweep sweep;
  std::vector<Tensor> held;  // gradients, until the sweep is over
  // Parameters that do not lie in row-major order, and copies that do.
  std::vector<std::pair<Tensor, Tensor>> rewritten;
  for (int64_t g = 0; g < groups(); ++g) {
    for (Slot& slot : groups_[size_t(g)]) {
      Tensor& p = slot.parameter;
      if (!p.grad().defined()) continue;
      begin_inplace(type(), p);
      ++slot.steps;
      held.push_back(p.grad().contiguous());
      Tensor numbers = p.contiguous();
      if (!p.is_contiguous()) rewritten.push_back({p, numbers});
      size_t element = size_of(p.dtype());
      sweep.add(p.numel(),
                update(g, {kernels(p), {numbers.raw().data, element}, {held.back().raw().data, element}, slot}),
                p.device());
    }
  }
  sweep.run();
  for (auto& [p, numbers] : rewritten) p.copy_(numbers);
}

void Optimizer::zero_grad() const {
  for (const auto& group : groups_)
    for (const Slot& slot : group) slot.parameter.zero_grad();
}

int64_t Optimizer::checked(int64_t group) const {
  check(group >= 0 && group < groups(), type(), ": no group ", group, " among ", groups());
  return group;
}

std::vector<Tensor> Optimizer::parameters(int64_t group) const {
  std::vector<Tensor> found;
  for (const Slot& slot : groups_[size_t(checked(group))]) found.push_back(slot.parameter);
  return found;
}

// The virtual functions below give references, so that reading goes through the same door as writing.
double Optimizer::lr(int64_t group) const { return const_cast<Optimizer*>(this)->lr_of(checked(group)); }
void Optimizer::set_lr(double lr, int64_t group) { lr_of(checked(group)) = lr; }
bool Optimizer::has_momentum() const { return const_cast<Optimizer*>(this)->momentum_of(0) != nullptr; }

double Optimizer::momentum(int64_t group) const {
  check(has_momentum(), type(), " has no momentum");
  return *const_cast<Optimizer*>(this)->momentum_of(checked(group));
}

void Optimizer::set_momentum(double momentum, int64_t group) {
  check(has_momentum(), type(), " has no momentum");
  *momentum_of(checked(group)) = momentum;
}

void Optimizer::add_slots(const std::vector<Tensor>& parameters) {
  check(!parameters.empty(), "an optimiser needs parameters, but was given none");
  std::vector<Slot> slots;
  auto known = [](const std::vector<Slot>& group, const Tensor& p) {
    for (const Slot& slot : group)
      if (slot.parameter.storage() == p.storage() && slot.parameter.layout().offset == p.layout().offset) return true;
    return false;
  };
  for (const Tensor& p : parameters) {
    check(p.defined(), "an optimiser was given an undefined tensor as parameter ", slots.size());
    check(p.is_leaf(), "an optimiser was given the result of an op as parameter ", slots.size(), ", of shape ",
          p.shape());
    check(is_floating(p.dtype()), "an optimiser was given a parameter of type ", p.dtype());
    bool twice = known(slots, p);
    for (const auto& group : groups_) twice = twice || known(group, p);
    check(!twice, "an optimiser was given parameter ", slots.size(), ", of shape ", p.shape(), ", twice");
    slots.push_back({p});
  }
  groups_.push_back(std::move(slots));
}

NamedTensors Optimizer::state_dict() const {
  NamedTensors all;
  std::vector<const char*> names = state_names();
  int64_t index = 0;
  for (int64_t g = 0; g < groups(); ++g) {
    std::string group = "groups." + std::to_string(g) + ".";
    all.emplace_back(group + "parameters", scalar(int64_t(groups_[size_t(g)].size())));
    all.emplace_back(group + "lr", scalar(lr(g)));
    if (has_momentum()) all.emplace_back(group + "momentum", scalar(momentum(g)));
    for (const Slot& slot : groups_[size_t(g)]) {
      std::string path = "state." + std::to_string(index++) + ".";
      if (slot.steps > 0) all.emplace_back(path + "step", scalar(slot.steps));
      for (size_t i = 0; i < names.size(); ++i)
        if (slot.state[i].defined()) all.emplace_back(path + names[i], slot.state[i]);
    }
  }
  return all;
}

void Optimizer::load_state_dict(const NamedTensors& state) {
  NoGrad guard;
  std::unordered_map<std::string, Tensor> given(state.begin(), state.end());
  auto take = [&](const std::string& name, const Shape& shape) {
    auto found = given.extract(name);
    if (found.empty()) return Tensor();
    const Tensor& value = found.mapped();
    check(value.defined() && value.shape() == shape, type(), ": state ", name, " has shape ",
          value.defined() ? to_string(value.shape()) : "none", ", expected ", shape);
    return value;
  };
  auto number = [&](const std::string& name) {
    Tensor found = take(name, {});
    check(found.defined(), type(), ": the state to load lacks ", name);
    return found.item();
  };

  std::vector<std::vector<Slot>> loaded = groups_;
  std::vector<double> lrs, momenta;
  std::vector<const char*> names = state_names();
  int64_t index = 0;
  for (size_t g = 0; g < loaded.size(); ++g) {
    std::string group = "groups." + std::to_string(g) + ".";
    double count = number(group + "parameters");
    check(count == double(loaded[g].size()), type(), ": group ", g, " has ", loaded[g].size(),
          " parameters, in the state to load ", count);
    lrs.push_back(number(group + "lr"));
    if (has_momentum()) momenta.push_back(number(group + "momentum"));
    for (Slot& slot : loaded[g]) {
      std::string path = "state." + std::to_string(index++) + ".";
      const Tensor& p = slot.parameter;
      Tensor steps = take(path + "step", {});
      slot.steps = steps.defined() ? int64_t(steps.item()) : 0;
      for (size_t i = 0; i < names.size(); ++i) {
        Tensor value = take(path + names[i], p.shape());
        slot.state[i] = value.defined() ? empty(p.shape(), p.options()).copy_(value) : Tensor();
      }
    }
  }
  for (const auto& entry : state)
    check(!given.count(entry.first), type(), ": the state to load has an unknown ", entry.first);

  groups_ = std::move(loaded);
  for (int64_t g = 0; g < groups(); ++g) {
    set_lr(lrs[size_t(g)], g);
    if (has_momentum()) set_momentum(momenta[size_t(g)], g);
  }
}

}  // namespace gradus::optim
