// A callable with room for its captures, where std::function would go to the heap for all but the smallest.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace gradus {

template <class Signature, size_t room>
class InlineFunction;

// Holds captures of up to `room` bytes inside, larger ones on the heap. It moves but is never copied.
template <class R, class... Arguments, size_t room>
class InlineFunction<R(Arguments...), room> {
 public:
  InlineFunction() = default;
  InlineFunction(std::nullptr_t) {}
  template <class F>
  requires(!std::is_same_v<F, InlineFunction> && std::is_invocable_r_v<R, F&, Arguments...>) InlineFunction(F f) {
    constexpr bool fits = sizeof(F) <= room && alignof(F) <= alignof(std::max_align_t);
    using Held = std::conditional_t<fits && std::is_nothrow_move_constructible_v<F>, F, Boxed<F>>;
    new (bytes_) Held(std::move(f));
    table_ = &table_of<Held>;
  }
  InlineFunction(InlineFunction&& other) noexcept { take(other); }
  InlineFunction& operator=(InlineFunction&& other) noexcept {
    release();
    take(other);
    return *this;
  }
  ~InlineFunction() { release(); }

  explicit operator bool() const { return table_ != nullptr; }
  R operator()(Arguments... arguments) const { return table_->call(bytes_, std::forward<Arguments>(arguments)...); }

 private:
  template <class F>
  struct Boxed {
    std::unique_ptr<F> f;
    explicit Boxed(F&& from) : f(std::make_unique<F>(std::move(from))) {}
    R operator()(Arguments... arguments) { return (*f)(std::forward<Arguments>(arguments)...); }
  };
  struct Table {
    R (*call)(void* f, Arguments... arguments);
    void (*move)(void* from, void* to);  // ends `from`
    void (*destroy)(void* f);
  };
  template <class F>
  static constexpr Table table_of = {[](void* f, Arguments... arguments) -> R {
                                       return (*static_cast<F*>(f))(std::forward<Arguments>(arguments)...);
                                     },
                                     [](void* from, void* to) {
                                       new (to) F(std::move(*static_cast<F*>(from)));
                                       static_cast<F*>(from)->~F();
                                     },
                                     [](void* f) { static_cast<F*>(f)->~F(); }};

  void take(InlineFunction& other) {
    table_ = std::exchange(other.table_, nullptr);
    if (table_) table_->move(other.bytes_, bytes_);
  }
  void release() {
    if (table_) std::exchange(table_, nullptr)->destroy(bytes_);
  }

  alignas(std::max_align_t) mutable unsigned char bytes_[room];
  const Table* table_ = nullptr;
};

}  // namespace gradus
