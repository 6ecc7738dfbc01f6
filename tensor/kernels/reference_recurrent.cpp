// Recurrent layers and additive attention as plain loops: the oracle for kernels that take many sequences together. As
// in reference.cpp, formulas and sums are evaluated in double.
#include <vector>

#include "tensor/kernels/backends.h"

namespace gradus::reference {
namespace {

#include "tensor/kernels/cpu/vec_scalar.h"
#include "tensor/kernels/elementwise.h"

// x[i * n + j] in double, and 0 where there is no x.
template <class T>
double at(const void* x, int64_t i, int64_t n, int64_t j) {
  return x ? double(static_cast<const T*>(x)[i * n + j]) : 0;
}
template <class T>
void put(void* x, int64_t i, int64_t n, int64_t j, double value) {
  if (x) static_cast<T*>(x)[i * n + j] = T(value);
}

using States = std::vector<CellState<double>>;

// Row b of two (batch, hidden) matrices.
template <class T>
States states(const Recurrence& r, const void* h, const void* c, int64_t b) {
  States s(size_t(r.hidden));
  for (int64_t j = 0; j < r.hidden; ++j) s[size_t(j)] = {at<T>(h, b, r.hidden, j), at<T>(c, b, r.hidden, j)};
  return s;
}
template <class T>
void put_states(const Recurrence& r, const States& s, void* h, void* c, int64_t b) {
  for (int64_t j = 0; j < r.hidden; ++j) {
    put<T>(h, b, r.hidden, j, s[size_t(j)].h);
    put<T>(c, b, r.hidden, j, s[size_t(j)].c);
  }
}

// Which step comes i-th, and whether sequence b has not ended there.
int64_t step_of(const Recurrence& r, int64_t i) { return r.reverse ? r.time - 1 - i : i; }
bool goes_on(const Recurrence& r, int64_t b, int64_t t) { return !r.lengths || t < r.lengths[b]; }

template <Cell cell, class T>
void forward(const Recurrence& r) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  const int64_t n = r.hidden;
  for (int64_t b = 0; b < r.batch; ++b) {
    States now = states<T>(r, r.h0, r.c0, b);
    for (int64_t i = 0; i < r.time; ++i) {
      const int64_t t = step_of(r, i), row = b * r.time + t;
      const States last = now;
      for (int64_t j = 0; j < n; ++j) {
        put<T>(r.before, row, n, j, last[size_t(j)].h);
        put<T>(r.y, row, n, j, 0);
        if (!goes_on(r, b, t)) continue;
        double x[gates], a[gates], kept[keeps];
        for (int g = 0; g < gates; ++g) {
          x[g] = at<T>(r.x, row, gates * n, g * n + j);
          a[g] = at<T>(r.bias, 0, n, g * n + j);
          for (int64_t k = 0; k < n; ++k) a[g] += at<T>(r.w, g * n + j, n, k) * last[size_t(k)].h;
        }
        now[size_t(j)] = cell_step<cell>(x, a, last[size_t(j)], kept);
        put<T>(r.y, row, n, j, now[size_t(j)].h);
        for (int k = 0; k < keeps; ++k) put<T>(r.kept, row, keeps * n, k * n + j, kept[k]);
      }
    }
    put_states<T>(r, now, r.h, r.c, b);
  }
}

template <Cell cell, class T>
void backward(const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da, void* dh0,
              void* dc0) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  const int64_t n = r.hidden;
  for (int64_t b = 0; b < r.batch; ++b) {
    States g = states<T>(r, gh, gc, b);
    for (int64_t i = r.time - 1; i >= 0; --i) {
      const int64_t t = step_of(r, i), row = b * r.time + t;
      const bool on = goes_on(r, b, t);
      std::vector<double> through(size_t(gates * n));  // the gradients of the gates' sums
      for (int64_t j = 0; j < n; ++j) {
        double kept[keeps], d_input[gates] = {}, d_state[gates] = {};
        if (on) {
          for (int k = 0; k < keeps; ++k) kept[k] = at<T>(r.kept, row, keeps * n, k * n + j);
          g[size_t(j)].h += at<T>(gy, row, n, j);
          g[size_t(j)] = cell_grad<cell>(kept, at<T>(r.before, row, n, j), g[size_t(j)], d_input, d_state);
        }
        for (int k = 0; k < gates; ++k) {
          put<T>(da, row, gates * n, k * n + j, d_state[k]);
          put<T>(dx, row, gates * n, k * n + j, d_input[k]);
          through[size_t(k * n + j)] = d_state[k];
        }
      }
      for (int64_t k = 0; k < gates * n; ++k)
        for (int64_t j = 0; j < n; ++j) g[size_t(j)].h += through[size_t(k)] * at<T>(r.w, k, n, j);
    }
    put_states<T>(r, g, dh0, dc0, b);
  }
}

}  // namespace

template <std::floating_point T>
void recurrent(const Recurrence& r) {
  for_cell(r.cell, [&]<Cell cell>() { forward<cell, T>(r); });
}
template <std::floating_point T>
void recurrent_grad(const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da,
                    void* dh0, void* dc0) {
  for_cell(r.cell, [&]<Cell cell>() { backward<cell, T>(r, gy, gh, gc, dx, da, dh0, dc0); });
}

template <std::floating_point T>
void additive_scores(const void* q, const void* k, const void* v, int64_t batch, int64_t queries, int64_t keys,
                     int64_t n, void* y) {
  for (int64_t row = 0; row < batch * queries; ++row)
    for (int64_t j = 0; j < keys; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i)
        sum += at<T>(v, 0, n, i) * tanh(at<T>(q, row, n, i) + at<T>(k, row / queries * keys + j, n, i));
      put<T>(y, row, keys, j, sum);
    }
}
template <std::floating_point T>
void additive_scores_grad(const void* q, const void* k, const void* v, const void* g, int64_t batch, int64_t queries,
                          int64_t keys, int64_t n, void* dq, void* dk, void* dv) {
  for (int64_t i = 0; i < n; ++i) {
    double of_v = 0;
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<double> of_query(size_t(queries), 0), of_key(size_t(keys), 0);
      for (int64_t r = 0; r < queries; ++r)
        for (int64_t j = 0; j < keys; ++j) {
          const double y = tanh(at<T>(q, b * queries + r, n, i) + at<T>(k, b * keys + j, n, i));
          const double score = at<T>(g, b * queries + r, keys, j), d = score * at<T>(v, 0, n, i) * (1 - y * y);
          of_v += score * y;
          of_query[size_t(r)] += d;
          of_key[size_t(j)] += d;
        }
      for (int64_t r = 0; r < queries; ++r) put<T>(dq, b * queries + r, n, i, of_query[size_t(r)]);
      for (int64_t j = 0; j < keys; ++j) put<T>(dk, b * keys + j, n, i, of_key[size_t(j)]);
    }
    put<T>(dv, 0, n, i, of_v);
  }
}

template void recurrent<float>(const Recurrence&);
template void recurrent<double>(const Recurrence&);
template void recurrent_grad<float>(const Recurrence&, const void*, const void*, const void*, void*, void*, void*,
                                    void*);
template void recurrent_grad<double>(const Recurrence&, const void*, const void*, const void*, void*, void*, void*,
                                     void*);
template void additive_scores<float>(const void*, const void*, const void*, int64_t, int64_t, int64_t, int64_t,
                                     void*);
template void additive_scores<double>(const void*, const void*, const void*, int64_t, int64_t, int64_t, int64_t,
                                      void*);
template void additive_scores_grad<float>(const void*, const void*, const void*, const void*, int64_t, int64_t,
                                          int64_t, int64_t, void*, void*, void*);
template void additive_scores_grad<double>(const void*, const void*, const void*, const void*, int64_t, int64_t,
                                           int64_t, int64_t, void*, void*, void*);

}  // namespace gradus::reference
