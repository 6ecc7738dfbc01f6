// Products of bfloat16 matrices by the matrix units that some processors with AVX-512 have (Intel AMX; Intel 64 and
// IA-32 Architectures Software Developer's Manual, volume 1, chapter 18): registers of 16 rows of 64 bytes, and an
// instruction that adds the product of two of them, 16 x 32 and 32 x 16 numbers, to a third of 16 x 16 floats. They
// take denormals for zero, whatever set_flush_denormals says. Sums run in an order of their own: results differ from
// those of other instruction sets, within the same bound.
//
// Included inside the namespace of AVX-512, after gemm_bfloat16.inl.

#define GRADUS_AMX __attribute__((target("amx-tile,amx-bf16")))

// The sides of a register: so many lines (rows of A or columns of B), and so many words, of two steps of k each.
constexpr int64_t amx_lines = 16, amx_words = 16, amx_size = amx_lines * amx_words, amx_steps = 2 * amx_words;
// A task's block of A takes 512 KB of L2, its sums as much; a panel of B, 32 KB, stays in the first cache.
constexpr int64_t amx_m_block = 512, amx_n_block = 256, amx_k_block = 512;
// Sides of what is summed at a time, two registers each: four multiplications for four loads.
constexpr int64_t amx_side = 2 * amx_lines;

// The first `count` numbers at p, and zeros.
inline Vec half_words(const uint16_t* p, int64_t count) {
  if (count >= amx_steps) return load(reinterpret_cast<const float*>(p));
  return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(__mmask32((uint64_t(1) << count) - 1), p));
}

// Words of the numbers at `low` and, if there are any, at `high`, of so many lines.
inline Vec joined_words(const uint16_t* low, const uint16_t* high, int64_t lines) {
  const __mmask16 some = first_lanes(lines);
  const __m512i lower = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, low));
  const __m512i upper = high ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, high)) : _mm512_setzero_si512();
  return _mm512_castsi512_ps(_mm512_or_si512(lower, _mm512_slli_epi32(upper, 16)));
}

// One register's words, by lines (as A wants them) or by words (as B does), with zeros beyond the matrix: `from` is
// its first element; lines and steps of k lie so far apart, one of them side by side.
inline void pack_amx(const uint16_t* from, int64_t line, int64_t step, int64_t lines, int64_t steps, bool by_lines,
                     float* to) {
  Vec r[amx_lines];
  if (step == 1) {
    for (int64_t i = 0; i < amx_lines; ++i) r[i] = i < lines ? half_words(from + i * line, steps) : Vec(0.0);
  } else {
    for (int64_t w = 0; w < amx_words; ++w) {
      const uint16_t* low = from + 2 * w * step;
      r[w] = 2 * w < steps ? joined_words(low, 2 * w + 1 < steps ? low + step : nullptr, lines) : Vec(0.0);
    }
  }
  if ((step == 1) != by_lines) transpose(r);
  for (int64_t i = 0; i < amx_lines; ++i) store(to + i * amx_words, r[i]);
}

// Packs `count` lines, at most amx_side: for each amx_steps of k a register of lines, and another if there are more.
inline void pack_amx_side(const uint16_t* from, int64_t line, int64_t step, int64_t count, int64_t k, bool by_lines,
                          float* to) {
  for (int64_t p = 0; p < k; p += amx_steps) {
    for (int64_t i = 0; i < count; i += amx_lines, to += amx_size)
      pack_amx(from + i * line + p * step, line, step, least(amx_lines, count - i), k - p, by_lines, to);
  }
}

struct AmxConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// 16 or 32 rows of A over so many registers of k: packed, or whole rows as they lie and, where k ends within a
// register, that one packed.
struct AmxRows {
  const char* first;
  int64_t row, second, next;  // in bytes: from row to row, to the second register, to the next step
  int64_t registers;
  const float* last;  // or null
};

// c (16 or 32 rows, 16 or 32 columns) with b, packed: from zero or from what it is.
template <bool two_rows, bool two_columns>
GRADUS_AMX void amx_kernel(const AmxRows& rows, const float* b, bool accumulate, float* c, int64_t c_row) {
  const int64_t bytes = c_row * int64_t(sizeof(float)), packed = amx_words * int64_t(sizeof(float));
  const int64_t b_next = (1 + two_columns) * amx_size;
  int64_t row = rows.row, second = rows.second;
  const char* a = rows.first;
  const float* last = rows.last;
  float* lower = c + amx_lines * c_row;
  asm volatile("" ::: "memory");  // what was stored before is seen by loads that the compiler knows nothing of
  if (accumulate) {
    _tile_loadd(0, c, bytes);
    if (two_columns) _tile_loadd(1, c + amx_lines, bytes);
    if (two_rows) _tile_loadd(2, lower, bytes);
    if (two_rows && two_columns) _tile_loadd(3, lower + amx_lines, bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t left = rows.registers;; left = 1) {
    for (; left > 0; --left, a += rows.next, b += b_next) {
      _tile_loadd(4, a, row);
      _tile_loadd(6, b, packed);
      _tile_dpbf16ps(0, 4, 6);
      if (two_columns) {
        _tile_loadd(7, b + amx_size, packed);
        _tile_dpbf16ps(1, 4, 7);
      }
      if (two_rows) {
        _tile_loadd(5, a + second, row);
        _tile_dpbf16ps(2, 5, 6);
        if (two_columns) _tile_dpbf16ps(3, 5, 7);
      }
    }
    if (!last) break;
    a = reinterpret_cast<const char*>(last), row = packed, second = amx_lines * packed;
    last = nullptr;
  }
  _tile_stored(0, c, bytes);
  if (two_columns) _tile_stored(1, c + amx_lines, bytes);
  if (two_rows) _tile_stored(2, lower, bytes);
  if (two_rows && two_columns) _tile_stored(3, lower + amx_lines, bytes);
  asm volatile("" ::: "memory");
}

// Rows [i, i + count) and columns [p, p + steps) of A, whatever has to be packed at `to`.
inline AmxRows amx_rows(const HalfProduct& x, int64_t i, int64_t count, int64_t p, int64_t steps, float* to) {
  constexpr int64_t words = amx_words * int64_t(sizeof(float)), lines = amx_lines * words;
  const uint16_t* from = x.a + i * x.a_row + p * x.a_col;
  const auto pack = [&](int64_t first) {
    pack_amx_side(from + first * x.a_col, x.a_row, x.a_col, count, steps - first, true, to);
  };
  // Rows a multiple of 4 KB apart share few places in the caches: read more than a few times, they are packed.
  const bool spread = x.a_row % 2048 != 0 || x.n <= 4 * amx_side;
  if (x.a_col == 1 && count % amx_lines == 0 && spread) {
    const int64_t whole = steps / amx_steps, row = x.a_row * int64_t(sizeof(uint16_t));
    if (steps % amx_steps) pack(whole * amx_steps);
    return {reinterpret_cast<const char*>(from), row, amx_lines * row, words, whole,
            steps % amx_steps ? to : nullptr};
  }
  pack(0);
  const int64_t next = count > amx_lines ? 2 * lines : lines;
  return {reinterpret_cast<const char*>(to), words, lines, next, blocks_of(steps, amx_steps), nullptr};
}

GRADUS_AMX inline void amx_block(const HalfProduct& x, const HalfBlocks& blocks, Range rows, Range columns,
                                 float* space) {
  const AmxConfig config;
  _tile_loadconfig(&config);
  float* packed_a = space;
  float* packed_b = packed_a + blocks.a_floats();
  float* sums = packed_b + blocks.b_floats();
  const int64_t c_row = blocks.n;
  AmxRows strips[amx_m_block / amx_side];
  for (int64_t p = 0; p < x.k; p += blocks.k) {
    const int64_t steps = least(blocks.k, x.k - p), strip = 2 * blocks_of(steps, amx_steps) * amx_size;
    for (int64_t i = rows.begin; i < rows.end; i += amx_side) {
      const int64_t s = (i - rows.begin) / amx_side;
      strips[s] = amx_rows(x, i, least(amx_side, rows.end - i), p, steps, packed_a + s * strip);
    }
    for (int64_t j = columns.begin; j < columns.end; j += amx_side) {
      const int64_t count = least(amx_side, columns.end - j);
      pack_amx_side(x.b + j * x.b_col + p * x.b_row, x.b_col, x.b_row, count, steps, false, packed_b);
      for (int64_t i = rows.begin; i < rows.end; i += amx_side) {
        float* c = sums + (i - rows.begin) * c_row + (j - columns.begin);
        const bool two_rows = rows.end - i > amx_lines, two_columns = count > amx_lines;
        const auto kernel = two_rows ? (two_columns ? amx_kernel<true, true> : amx_kernel<true, false>)
                                     : (two_columns ? amx_kernel<false, true> : amx_kernel<false, false>);
        kernel(strips[(i - rows.begin) / amx_side], packed_b, p > 0, c, c_row);
      }
    }
  }
  _tile_release();
  for (int64_t i = rows.begin; i < rows.end; ++i)
    finish(x, sums + (i - rows.begin) * c_row, i, columns.begin, columns.size());
}

inline void matmul_amx(const Matmul& args) {
  const HalfBatch batch = half_batch(args);
  const HalfProduct& x = batch.first;
  if (few_rows(x) || x.m < 4 || x.n < 4 || x.k < amx_steps) return multiply_bfloat16(batch);
  HalfBlocks blocks;
  blocks.m = round_up(equal_blocks(x.m, amx_m_block), amx_side);
  blocks.n = round_up(equal_blocks(x.n, amx_n_block), amx_side);
  blocks.k = round_up(equal_blocks(x.k, amx_k_block), amx_steps);
  blocks.height = blocks.width = amx_side;
  run_half_blocks(batch, blocks, amx_side, amx_block);
}

// Whether the processor has the units, and the system lets this process use them: asked for once, for all threads.
inline bool has_amx() {
#ifdef __linux__
  constexpr long request_permission = 0x1023, tile_data = 18;  // arch_prctl: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) || !(d >> 24 & 1)) return false;  // bf16, tiles
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}
