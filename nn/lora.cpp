#include "nn/lora.h"

#include <cmath>
#include <sstream>

#include "nn/attention.h"
#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

namespace {

// A matrix that can be adapted.
struct Site {
  std::string prefix;  // of its tensors' names
  Tensor weight;
  LowRank* lora;
};

std::vector<Site> sites_of(const Module& module) {
  std::vector<Site> found;
  for (const auto& [path, inner] : const_cast<Module&>(module).named_modules()) {
    const std::string prefix = path.empty() ? "" : path + ".";
    if (auto* linear = dynamic_cast<Linear*>(inner)) found.push_back({prefix, linear->weight, &linear->lora});
    auto* attention = dynamic_cast<MultiheadAttention*>(inner);
    if (attention && attention->in_proj_weight.defined())
      found.push_back({prefix, attention->in_proj_weight, &attention->lora});
  }
  return found;
}

// Freezes the module and puts these beside their matrices, as tensors of the matrix' dtype and device.
void attach(const char* what, Module& module, const std::vector<std::pair<Site, LowRank>>& all) {
  for (const Site& site : sites_of(module))
    check(!site.lora->A.defined(), what, ": ", site.prefix, "lora_A is there already: merge_lora first");
  for (const auto& [site, lora] : all)
    for (const auto& [name, tensor] : module.state_dict())
      check(tensor.storage() != site.weight.storage() || name.substr(0, name.rfind('.') + 1) == site.prefix, what,
            ": ", site.prefix, "weight is shared with ", name, ", which merging would change too");
  module.requires_grad_(false);
  for (const auto& [site, lora] : all) {
    const auto own = [to = site.weight](const Tensor& x) {
      return empty(x.shape(), {.dtype = to.dtype(), .device = to.device()}).copy_(x).requires_grad_();
    };
    *site.lora = {own(lora.A), own(lora.B), lora.alpha};
  }
}

bool matches(const char* pattern, const char* path) {
  if (*pattern == '*') return matches(pattern + 1, path) || (*path && matches(pattern, path + 1));
  if (!*pattern || !*path) return *pattern == *path;
  return (*pattern == '?' || *pattern == *path) && matches(pattern + 1, path + 1);
}

}  // namespace

bool path_matches(const std::string& patterns, const std::string& path) {
  std::istringstream list(patterns);
  for (std::string pattern; std::getline(list, pattern, ',');)
    if (matches(pattern.c_str(), path.c_str())) return true;
  return false;
}

//! [beside]
Tensor LowRank::operator()(Tensor y, const Tensor& x, int64_t first_row) const {
  if (!A.defined()) return y;
  const Tensor rows = y.size(-1) == B.size(0) ? B : B.narrow(0, first_row, y.size(-1));
  return std::move(y) + linear(linear(x, A) * scale(), rows);
}
//! [beside]

void add_lora(Module& module, const LoraOptions& o) {
  check(o.rank > 0 && o.alpha > 0, "add_lora: rank ", o.rank, " and alpha ", o.alpha, " must be positive");
  std::vector<std::pair<Site, LowRank>> all;
  for (const Site& site : sites_of(module)) {
    if (!path_matches(o.pattern, site.prefix.substr(0, site.prefix.rfind('.')))) continue;
    all.push_back({site, {empty({o.rank, site.weight.size(1)}), zeros({site.weight.size(0), o.rank}), o.alpha}});
    default_weight_and_bias_(all.back().second.A, {});
  }
  check(!all.empty(), "add_lora: '", o.pattern, "' matches no linear layer and no attention");
  attach("add_lora", module, all);
}

TensorFile lora_state(const Module& module) {
  TensorFile state;
  for (const Site& site : sites_of(module)) {
    if (!site.lora->A.defined()) continue;
    state.tensors.emplace_back(site.prefix + "lora_A.weight", site.lora->A.detach());
    state.tensors.emplace_back(site.prefix + "lora_B.weight", site.lora->B.detach());
    state.metadata = {{"rank", std::to_string(site.lora->A.size(0))}, {"alpha", repr(site.lora->alpha)}};
  }
  return state;
}

void load_lora(Module& module, const TensorFile& state) {
  const auto entry = state.metadata.find("alpha");
  const double alpha = entry == state.metadata.end() ? 0 : std::strtod(entry->second.c_str(), nullptr);
  check(alpha > 0 && std::isfinite(alpha), "load_lora: the metadata has no alpha above 0");
  std::map<std::string, Tensor> given(state.tensors.begin(), state.tensors.end());
  std::vector<std::pair<Site, LowRank>> all;
  for (const Site& site : sites_of(module)) {
    const auto a = given.extract(site.prefix + "lora_A.weight"), b = given.extract(site.prefix + "lora_B.weight");
    if (a.empty() && b.empty()) continue;
    check(!a.empty() && !b.empty(), "load_lora: of ", site.prefix, "lora_A and lora_B one is missing");
    const Shape &A = a.mapped().shape(), &B = b.mapped().shape(), &whole = site.weight.shape();
    check(A.size() == 2 && A[0] > 0 && A[1] == whole[1] && B == Shape{whole[0], A[0]}, "load_lora: ", site.prefix,
          "lora_A ", A, " and lora_B ", B, " do not fit a weight ", whole);
    all.push_back({site, {a.mapped(), b.mapped(), alpha}});
  }
  check(given.empty() && !all.empty(),
        "load_lora: ", given.empty() ? "there is no lora_A" : given.begin()->first + " has no place in this model");
  attach("load_lora", module, all);
}

TensorFile merge_lora(Module& module) {
  NoGrad guard;
  TensorFile merged = lora_state(module);
  check(!merged.tensors.empty(), "merge_lora: nothing is adapted");
  for (Site& site : sites_of(module)) {
    if (!site.lora->A.defined()) continue;
    site.weight.add_(site.lora->change());
    *site.lora = {};
  }
  return merged;
}

void unmerge_lora(Module& module, const TensorFile& merged) {
  load_lora(module, merged);
  NoGrad guard;
  for (Site& site : sites_of(module))
    if (site.lora->A.defined()) site.weight.sub_(site.lora->change());
}

}  // namespace gradus::nn
