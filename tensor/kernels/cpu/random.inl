// Random numbers and dropout, by vectors of Philox blocks.

// Blocks of the stream from block `block` on, one to a lane, as philox() of philox.h makes them; c[i] holds their words
// i.
inline void philox_blocks(PhiloxState state, uint64_t block, Bits (&c)[4]) {
  constexpr uint32_t places[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  uint64_t first = state.offset + block, last = first + Vec::lanes - 1;
  Bits c0 = bits(int(uint32_t(first))) + load_bits(places), c1 = bits(int(first >> 32)), c2 = bits(0), c3 = bits(0);
  if (first >> 32 != last >> 32) [[unlikely]] {  // the lower word wraps round within the pack
    uint32_t high[Vec::lanes];
    for (int i = 0; i < Vec::lanes; ++i) high[i] = uint32_t((first + uint64_t(i)) >> 32);
    c1 = load_bits(high);
  }
  uint32_t k0 = uint32_t(state.seed), k1 = uint32_t(state.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    Halves p0 = multiply(c0, 0xD2511F53u), p1 = multiply(c2, 0xCD9E8D57u);
    c0 = p1.high ^ c1 ^ bits(int(k0));
    c1 = p1.low;
    c2 = p0.high ^ c3 ^ bits(int(k1));
    c3 = p0.low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  c[0] = c0, c[1] = c1, c[2] = c2, c[3] = c3;
}

// Words of the stream in their order.
constexpr int64_t words_at_once = 4 * Vec::lanes;

inline void philox_words(PhiloxState state, uint64_t block, uint32_t* words) {
  Bits c[4];
  philox_blocks(state, block, c);
  interleave(c[0], c[1], c[2], c[3], words);
}

// The same number of normal numbers, as floats: words 0 and 1 of a block make its first two, 2 and 3 the others.
inline void normal_numbers(PhiloxState state, uint64_t block, uint32_t* words) {
  Bits c[4];
  philox_blocks(state, block, c);
  NormalPair a = normal_from(c[0], c[1]), b = normal_from(c[2], c[3]);
  interleave(bits(a.first), bits(a.second), bits(b.first), bits(b.second), words);
}

// Calls f(i, words, count) for every `words_at_once` elements from i on, with what `make` makes of the stream.
template <class F>
inline void each_words(int64_t n, PhiloxState state, const F& f,
                       void (*make)(PhiloxState, uint64_t, uint32_t*) = philox_words) {
  parallel_for(n, 8192, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += words_at_once) {
      uint32_t words[words_at_once];
      make(state, uint64_t(i / 4), words);
      f(i, words, smaller(words_at_once, end - i));
    }
  });
}

void (*plain_random)(Random, void*, int64_t, PhiloxState, double, double);

// The reference's numbers to the bit; bernoulli and randint by the reference itself, on all threads.
void random(Random kind, void* y, int64_t n, PhiloxState state, double a, double b) {
  if (kind == Random::uniform) {
    Vec lower(a), upper(b), width = upper - lower, last{double(::nextafterf(float(b), float(a)))};
    each_words(n, state, [&](int64_t i, const uint32_t* words, int64_t count) {
      packs(count, [&](int64_t j, auto... k) {
        Bits upper_bits = shift_right<8>(load_bits(words + j)) & bits(0xffffff);
        Vec value = lower + to_float(upper_bits) * Vec(0x1p-24) * width;
        store(floats(y) + i + j, select(value < upper, value, last), k...);
      });
    });
    return;
  }
  if (kind == Random::normal) {
    Vec mean(a), deviation(b);
    const auto put = [&](int64_t i, const uint32_t* words, int64_t count) {
      packs(count, [&](int64_t j, auto... k) {
        store(floats(y) + i + j, fma(deviation, from_bits(load_bits(words + j)), mean), k...);
      });
    };
    return each_words(n, state, put, normal_numbers);
  }
  parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
    PhiloxState from{state.seed, state.offset + uint64_t(begin / 4)};
    plain_random(kind, floats(y) + begin, end - begin, from, a, b);
  });
}

void dropout(const void* x, void* y, int64_t n, PhiloxState state, double p) {
  uint64_t kept = uint64_t((1 - p) * 0x1p32);
  if (kept == 0) return fill({y, 1, {n}, {1}}, 0);
  Bits last = bits(int(uint32_t(kept - 1)));  // the largest word that keeps
  Vec factor(1 / (1 - p));
  each_words(n, state, [&](int64_t i, const uint32_t* words, int64_t count) {
    packs(count, [&](int64_t j, auto... k) {
      Vec value = load(floats(x) + i + j, k...) * factor;
      store(floats(y) + i + j, select(at_most(load_bits(words + j), last), value, Vec(0)), k...);
    });
  });
}

void fill_random(KernelTable& table) {
  plain_random = table.random;
  table.random = random;
  table.dropout = dropout;
}
