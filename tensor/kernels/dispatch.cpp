// Which backend serves: chosen once from what the processor offers and what GRADUS_ISA demands, then a table look-up.
#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>

#include "tensor/error.h"
#include "tensor/kernels/backends.h"

namespace gradus {
namespace {

struct Isa {
  const char* name;
  bool (*available)();                // whether the processor has it and the system saves its registers
  void (*fill)(KernelTable&, DType);  // for float32 and bfloat16
};

// From the plainest to the best.
constexpr Isa isas[] = {
    {"reference", [] { return true; }, [](KernelTable&, DType) {}},
#if defined(__x86_64__)
    {"avx2", [] { return bool(__builtin_cpu_supports("avx2")) && bool(__builtin_cpu_supports("fma")); },
     avx2::fill_table},
    {"avx512",
     [] {
       return bool(__builtin_cpu_supports("avx512f")) && bool(__builtin_cpu_supports("avx512bw")) &&
              bool(__builtin_cpu_supports("avx512dq")) && bool(__builtin_cpu_supports("avx512vl"));
     },
     avx512::fill_table},
#elif defined(__aarch64__)
    {"neon", [] { return true; }, neon::fill_table},
#endif
};

std::atomic<const KernelTable*> active[dtype_count];  // null until the first use
std::atomic<const Isa*> chosen;

std::string allowed() {
  std::string names;
  for (const Isa& isa : isas) {
    if (isa.available()) names += (names.empty() ? "" : ", ") + std::string(isa.name);
  }
  return names;
}

// `source` says in an error where the name came from.
const Isa& find(const char* source, std::string_view name) {
  bool known = name == "reference" || name == "avx2" || name == "avx512" || name == "neon";
  check(known, source, ": unknown instruction set '", name,
        "'; the names are reference, avx2, avx512, neon, and this machine has ", allowed());
  for (const Isa& isa : isas) {
    if (name == isa.name && isa.available()) return isa;
  }
  fail({source, ": this machine cannot run '", name, "'; it has ", allowed()});
}

void use(const Isa& isa) {
  // Tables are built once and never change or go away: another thread may be holding a reference to one.
  static std::array<KernelTable, dtype_count> reference = [] {
    std::array<KernelTable, dtype_count> tables;
    for (int t = 0; t < dtype_count; ++t) reference::fill_table(tables[size_t(t)], DType(t));
    return tables;
  }();
  const auto tables_of = [](DType dtype) {
    std::array<KernelTable, std::size(isas)> tables;
    for (size_t i = 0; i < std::size(isas); ++i) {
      tables[i] = reference[size_t(dtype)];
      if (isas[i].available()) isas[i].fill(tables[i], dtype);
    }
    return tables;
  };
  static std::array<KernelTable, std::size(isas)> float_tables = tables_of(float32);
  static std::array<KernelTable, std::size(isas)> bfloat16_tables = tables_of(bfloat16);
  chosen = &isa;
  for (int t = 0; t < dtype_count; ++t) {
    const size_t i = size_t(&isa - isas);
    active[t] = DType(t) == float32    ? &float_tables[i]
                : DType(t) == bfloat16 ? &bfloat16_tables[i]
                                       : &reference[size_t(t)];
  }
}

// Not from a static initialiser, whose exception nobody could catch.
[[gnu::noinline]] void choose() {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (chosen.load()) return;
  const char* forced = std::getenv("GRADUS_ISA");
  if (forced && *forced) return use(find("GRADUS_ISA", forced));
  const Isa* best = isas;
  for (const Isa& isa : isas) {
    if (isa.available()) best = &isa;
  }
  use(*best);
}

}  // namespace

const KernelTable& kernels(Device device, DType dtype) {
  if (device != Device::cpu) [[unlikely]] {
#ifdef GRADUS_CUDA
    static const std::array<KernelTable, dtype_count> tables = [] {
      std::array<KernelTable, dtype_count> made;
      for (int t = 0; t < dtype_count; ++t) cuda::fill_table(made[size_t(t)], DType(t));
      return made;
    }();
    return tables[size_t(dtype)];
#else
    fail({"device ", device, " is not available in this build"});
#endif
  }
  const KernelTable* table = active[int(dtype)].load(std::memory_order_acquire);
  if (!table) [[unlikely]] {
    choose();
    table = active[int(dtype)].load(std::memory_order_acquire);
  }
  return *table;
}

const char* isa() {
  if (!chosen.load()) choose();
  return chosen.load()->name;
}

void set_isa(const char* name) { use(find("set_isa", name)); }

}  // namespace gradus
