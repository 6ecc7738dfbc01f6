// What rungs 3 and 4 do with a row of d numbers, so that a compiler may use vectors.

//! [row]
// The sum of a[c] b[c], as 16 sums beside each other: they do not wait for one another.
inline float dot(const float* a, const float* b, int64_t d) {
  constexpr int64_t width = 16;
  float sums[width] = {};
  int64_t c = 0;
  for (; c + width <= d; c += width) {
    for (int64_t l = 0; l < width; ++l) sums[l] += a[c + l] * b[c + l];
  }
  for (int64_t l = 0; c < d; ++c, ++l) sums[l] += a[c] * b[c];
  for (int64_t half = width / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) sums[l] += sums[half + l];
  }
  return sums[0];
}

// to += weight row
inline void add_row(float weight, const float* row, int64_t d, float* to) {
  for (int64_t c = 0; c < d; ++c) to[c] += weight * row[c];
}
//! [row]
