// What rungs 3 and 4 do with a row of d numbers, so that a compiler may use vectors.

//! [row]
// The sum of a[c] b[c], as 16 sums beside each other: they do not wait for one another.
inline float dot(const float* a, const float* b, int64_t d) {
  constexpr int64_t width = 16;
  float sums[width] = {}, sum = 0;
  int64_t c = 0;
  for (; c + width <= d; c += width) {
    for (int64_t l = 0; l < width; ++l) sums[l] += a[c + l] * b[c + l];
  }
  for (; c < d; ++c) sum += a[c] * b[c];
  for (const float part : sums) sum += part;
  return sum;
}

// to += weight row
inline void add_row(float weight, const float* row, int64_t d, float* to) {
  for (int64_t c = 0; c < d; ++c) to[c] += weight * row[c];
}
//! [row]
