// Small objects that a training step makes and drops by the thousand: each thread keeps those that die and hands them
// out again, without asking the system's allocator.
#pragma once

#include <cstddef>
#include <new>

namespace gradus {

// The dead objects of one size on one thread, linked through their own bytes.
template <size_t size>
class Pool {
 public:
  static void* take() {
    if (Pool* pool = mine(); pool && pool->first_) {
      Link* link = pool->first_;
      pool->first_ = link->next;
      --pool->count_;
      return link;
    }
    return ::operator new(size);
  }
  static void give(void* object) noexcept {
    Pool* pool = mine();
    if (!pool || pool->count_ >= most) return ::operator delete(object);
    pool->first_ = new (object) Link{pool->first_};
    ++pool->count_;
  }

 private:
  struct Link {
    Link* next;
  };
  static_assert(size >= sizeof(Link));
  static constexpr int most = 4096;
  // Whether AddressSanitizer does: it would find no use after death in a pool.
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool sees_every_object = true;
#elif defined(__has_feature)  // clang's way of telling
  static constexpr bool sees_every_object = __has_feature(address_sanitizer);
#else
  static constexpr bool sees_every_object = false;
#endif

  // Null once this thread's pool is gone: objects held by statics outlive it.
  static Pool* mine() {
    static thread_local Pool pool;
    return ended_ || sees_every_object ? nullptr : &pool;
  }
  ~Pool() {
    ended_ = true;
    while (Link* link = first_) {
      first_ = link->next;
      ::operator delete(link);
    }
  }

  Link* first_ = nullptr;
  int count_ = 0;
  static inline thread_local constinit bool ended_ = false;
};

// For std::allocate_shared: the object and its counts come from a pool.
template <class T>
struct Pooled {
  using value_type = T;
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  Pooled() = default;
  template <class U>
  Pooled(const Pooled<U>&) {}
  T* allocate(size_t) { return static_cast<T*>(Pool<sizeof(T)>::take()); }  // shared_ptr asks for one at a time
  void deallocate(T* object, size_t) noexcept { Pool<sizeof(T)>::give(object); }
  friend bool operator==(const Pooled&, const Pooled&) { return true; }
};

}  // namespace gradus
