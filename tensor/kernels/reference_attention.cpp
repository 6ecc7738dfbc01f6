// Attention in plain loops, a query at a time: the oracle for the kernels that go by blocks. As in reference.cpp, all
// is computed in double and rounded once.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tensor/kernels/backends.h"
#include "tensor/kernels/distributions.h"

namespace gradus::reference {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

// x[batch, head, row, ...]
template <class T>
T* row_of(const View& x, int64_t batch, int64_t head, int64_t row) {
  return x.as<T>() + batch * x.strides[0] + head * x.strides[1] + row * x.strides[2];
}

template <class T>
double dot(const T* a, const T* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(a[i]) * double(b[i]);
  return sum;
}

// Calls f(batch, head, head of k and v, query) for every query, the heads that share keys one after the other.
template <class F>
void each_query(const Attention& a, const F& f) {
  const int64_t heads = a.q.shape[1], group = heads / std::max<int64_t>(1, a.k.shape[1]);
  for (int64_t b = 0; b < a.q.shape[0]; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < a.q.shape[2]; ++i) f(b, h, h / group, i);
}

// What a query gives each key: the score and the weight, as softmax makes it and what dropout multiplies it by.
struct Weights {
  std::vector<double> weight, factor;
  double log_sum = inf;

  template <class T>
  static Weights of(const Attention& a, int64_t b, int64_t h, int64_t kv, int64_t i, T) {
    const int64_t queries = a.q.shape[2], keys = a.k.shape[2];
    Weights w;
    w.weight.resize(size_t(keys), -inf);
    w.factor.resize(size_t(keys), 1);
    double largest = -inf;
    for (int64_t j = 0; j < keys; ++j) {
      if (a.causal && j > i + keys - queries) continue;
      if (a.keep.data && !row_of<bool>(a.keep, b, h, i)[j * a.keep.strides[3]]) continue;
      double& score = w.weight[size_t(j)];
      score = a.scale * dot(row_of<T>(a.q, b, h, i), row_of<T>(a.k, b, kv, j), a.q.shape[3]);
      if (a.bias.data) score += double(row_of<T>(a.bias, b, h, i)[j * a.bias.strides[3]]);
      if (score > largest || score != score) largest = score;  // a NaN stays
    }
    if (largest == -inf) {
      w.weight.assign(size_t(keys), 0);
      return w;
    }
    double sum = 0;
    for (double score : w.weight) sum += std::exp(score - largest);
    w.log_sum = largest + std::log(sum);
    for (double& score : w.weight) score = std::exp(score - largest) / sum;
    const uint64_t kept = threshold(1 - a.dropout);
    for (int64_t j = 0; a.dropout > 0 && j < keys; ++j) {
      const uint64_t at = uint64_t(((b * a.q.shape[1] + h) * queries + i) * keys + j);
      w.factor[size_t(j)] = philox(a.state, at / 4).v[at % 4] < kept ? 1 / (1 - a.dropout) : 0;
    }
    return w;
  }
};

}  // namespace

template <std::floating_point T>
void attention(const Attention& a) {
  const int64_t keys = a.k.shape[2], features = a.v.shape[3];
  std::vector<double> sum(static_cast<size_t>(features));
  T* log_sum = static_cast<T*>(a.log_sum);
  each_query(a, [&](int64_t b, int64_t h, int64_t kv, int64_t i) {
    const Weights w = Weights::of(a, b, h, kv, i, T());
    *log_sum++ = T(w.log_sum);
    sum.assign(sum.size(), 0);
    for (int64_t j = 0; j < keys; ++j) {
      const T* v = row_of<T>(a.v, b, kv, j);
      for (int64_t c = 0; c < features; ++c)
        sum[size_t(c)] += w.weight[size_t(j)] * w.factor[size_t(j)] * double(v[c]);
    }
    for (int64_t c = 0; c < features; ++c) row_of<T>(a.output, b, h, i)[c] = T(sum[size_t(c)]);
  });
}

// With weights P, dropout's factors Z and D_i = sum_j P_ij Z_ij dP_ij: dV = (P Z)^T g, dP = g V^T, and the gradient of
// the scores is P (Z dP - D).
template <std::floating_point T>
void attention_grad(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv) {
  const int64_t batch = a.q.shape[0], kv_heads = a.k.shape[1], keys = a.k.shape[2];
  const int64_t d = a.q.shape[3], features = a.v.shape[3];
  // Keys gather from many queries.
  std::vector<double> dk_sum(size_t(batch * kv_heads * keys * d), 0), row(static_cast<size_t>(d));
  std::vector<double> dv_sum(size_t(batch * kv_heads * keys * features), 0), change(static_cast<size_t>(keys));
  each_query(a, [&](int64_t b, int64_t h, int64_t kv, int64_t i) {
    const Weights w = Weights::of(a, b, h, kv, i, T());
    const T *q = row_of<T>(a.q, b, h, i), *gi = row_of<T>(g, b, h, i);
    const int64_t first = (b * kv_heads + kv) * keys;
    double mean = 0;
    for (int64_t j = 0; j < keys; ++j) {
      const double weight = w.weight[size_t(j)], factor = w.factor[size_t(j)];
      change[size_t(j)] = factor * dot(gi, row_of<T>(a.v, b, kv, j), features);
      mean += weight * change[size_t(j)];
      for (int64_t c = 0; c < features; ++c)
        dv_sum[size_t((first + j) * features + c)] += weight * factor * double(gi[c]);
    }
    row.assign(row.size(), 0);
    for (int64_t j = 0; j < keys; ++j) {
      const double score = a.scale * w.weight[size_t(j)] * (change[size_t(j)] - mean);
      const T* k = row_of<T>(a.k, b, kv, j);
      for (int64_t c = 0; c < d; ++c) {
        row[size_t(c)] += score * double(k[c]);
        dk_sum[size_t((first + j) * d + c)] += score * double(q[c]);
      }
    }
    for (int64_t c = 0; c < d; ++c) row_of<T>(dq, b, h, i)[c] = T(row[size_t(c)]);
  });
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t kv = 0; kv < kv_heads; ++kv)
      for (int64_t j = 0; j < keys; ++j) {
        const int64_t at = (b * kv_heads + kv) * keys + j;
        for (int64_t c = 0; c < d; ++c) row_of<T>(dk, b, kv, j)[c] = T(dk_sum[size_t(at * d + c)]);
        for (int64_t c = 0; c < features; ++c) row_of<T>(dv, b, kv, j)[c] = T(dv_sum[size_t(at * features + c)]);
      }
}

template void attention<float>(const Attention&);
template void attention<double>(const Attention&);
template void attention_grad<float>(const Attention&, const View&, const View&, const View&, const View&);
template void attention_grad<double>(const Attention&, const View&, const View&, const View&, const View&);

}  // namespace gradus::reference
