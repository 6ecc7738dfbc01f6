// Scaled dot-product attention without a matrix of all scores: keys go by in blocks, and of those before, the softmax
// of a query needs the largest score and a sum alone (Milakov and Gimelshein 2018, section 3; Dao, Fu, Ermon, Rudra and
// Re 2022, "FlashAttention", algorithm 1). The gradient makes the weights anew from the logarithms of these sums (Dao
// 2023, "FlashAttention-2", section 3.1).
//
// A block of scores has a row for each key and a column for each query. So a softmax runs down the columns, a query to
// a lane, and of all matrices only the queries of a block, and the gradients of their outputs, are ever turned.
//
// Included inside the namespace of an instruction set, after gemm_small.inl and random.inl.

// A block of scores takes 16 KB, and so do, of heads of 64, the queries, keys and values it is made of.
constexpr int64_t query_block = 64;
constexpr int64_t key_block = 64;

// Row `row` of that sample and head.
template <class T = float>
inline T* row_of(const View& x, int64_t batch, int64_t head, int64_t row) {
  return x.as<T>() + batch * x.strides[0] + head * x.strides[1] + row * x.strides[2];
}

// C = A B, or C += A B, of matrices in the caches. One of a_row and a_col is 1; B and C lie in rows.
inline void multiply_near(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_col,
                          const float* b, int64_t b_row, bool add, float* c, int64_t c_row) {
  Product x;
  x.m = m, x.n = n, x.k = k;
  x.a = a, x.a_row = a_row, x.a_col = a_col;
  x.b = b, x.b_row = b_row, x.b_col = 1;
  x.c = c, x.c_row = c_row;
  x.residual = add ? c : nullptr;
  if (a_row == 1 && n % lanes == 0)
    product_tiles<true, BRows::whole>(x, b, b_row, {0, m}, {0, n});
  else if (a_row == 1)
    product_tiles<true, BRows::partial>(x, b, b_row, {0, m}, {0, n});
  else if (n % lanes == 0)
    product_tiles<false, BRows::whole>(x, b, b_row, {0, m}, {0, n});
  else
    product_tiles<false, BRows::partial>(x, b, b_row, {0, m}, {0, n});
}

// The n numbers or bools, n <= lanes, that lie `step` apart.
template <class T>
inline auto load_apart(const T* p, int64_t step, int64_t n) {
  if (step == 1) return load(p, n);
  T near[lanes] = {};
  for (int64_t i = 0; i < n; ++i) near[i] = p[i * step];
  return load(static_cast<const T*>(near), n);
}

// Which keys query i may see, 0 where it may and else -inf, and what is added to its scores: for n keys from j on.
inline Vec hidden_of(const Attention& a, int64_t batch, int64_t head, int64_t i, int64_t j, int64_t n) {
  const int64_t step = a.keep.strides[3];
  return select(load_apart(row_of<const bool>(a.keep, batch, head, i) + j * step, step, n), Vec(0),
                Vec(-__builtin_inf()));
}
inline Vec bias_of(const Attention& a, int64_t batch, int64_t head, int64_t i, int64_t j, int64_t n) {
  const int64_t step = a.bias.strides[3];
  return load_apart(row_of<const float>(a.bias, batch, head, i) + j * step, step, n);
}

// By what dropout multiplies the weights of query i and `count` keys from j on: to[0 ... count), and zeros or such up
// to a whole pack.
inline void drop_factors(const Attention& a, int64_t batch, int64_t head, int64_t i, int64_t j, int64_t count,
                         float* to) {
  const Bits last = bits(int(uint32_t(uint64_t((1 - a.dropout) * 0x1p32) - 1)));  // the largest word that keeps
  const Vec factor(1 / (1 - a.dropout));
  const int64_t first = ((batch * a.q.shape[1] + head) * a.q.shape[2] + i) * a.k.shape[2] + j, skip = first % 4;
  for (int64_t at = -skip; at < count; at += words_at_once) {
    uint32_t words[words_at_once];
    philox_words(a.state, uint64_t((first + at) / 4), words);
    for (int64_t w = 0; w < words_at_once && at + w < count; w += lanes) {
      const Vec kept = select(at_most(load_bits(words + w), last), factor, Vec(0));
      if (at + w >= 0) {
        store(to + at + w, kept, least(lanes, count - at - w));
        continue;
      }
      float near[lanes];
      store(near, kept);
      for (int64_t l = skip; l < lanes && l - skip < count; ++l) to[l - skip] = near[l];
    }
  }
}

// A block of scores.
struct ScoreBlock {
  const Attention& a;
  int64_t batch, head;
  Range queries, keys;
  int64_t width;  // from row to row: the queries, in whole packs

  int64_t kv_head() const { return head / (a.q.shape[1] / a.k.shape[1]); }
  int64_t features() const { return a.q.shape[3]; }
  int64_t behind() const { return a.k.shape[2] - a.q.shape[2]; }  // keys that a causal first query does not count
  // The first column whose query sees the key of that row, and how many rows the query of that column sees.
  int64_t first_column(int64_t row) const {
    if (!a.causal) return 0;
    return most(0, least(queries.size(), keys.begin + row - behind() - queries.begin));
  }
  int64_t first_pack(int64_t row) const { return first_column(row) / lanes * lanes; }
  int64_t seen(int64_t column) const {
    if (!a.causal) return keys.size();
    return most(0, least(keys.size(), queries.begin + column + behind() + 1 - keys.begin));
  }

  // Turns what along(query, key, n) gives of n keys of a query: down(place in the block, a pack of queries).
  template <class Along, class Down>
  void turned(const Along& along, const Down& down) const {
    for (int64_t c = 0; c < queries.size(); c += lanes) {
      for (int64_t j = 0; j < keys.size(); j += lanes) {
        const int64_t n = least(lanes, keys.size() - j);
        Vec r[lanes];
        for (int i = 0; i < lanes; ++i)
          r[i] = c + i < queries.size() ? along(queries.begin + c + i, keys.begin + j, n) : Vec(0);
        transpose(r);
        for (int64_t i = 0; i < n; ++i) down((j + i) * width + c, r[i]);
      }
    }
  }

  // to (keys, width) = x right, x being keys or values and right (features, width); columns whose queries see none of a
  // strip of keys are left out.
  void products(const View& x, const float* right, float* to) const {
    const int64_t height = equal_blocks(keys.size(), max_rows);
    for (int64_t j = 0; j < keys.size(); j += height) {
      const int64_t from = first_pack(j);
      multiply_near(least(height, keys.size() - j), width - from, x.shape[3],
                    row_of(x, batch, kv_head(), keys.begin + j), x.strides[2], 1, right + from, width, false,
                    to + j * width + from, width);
    }
  }

  // scale q k^T + bias, and -inf where the key is hidden. q_turned: (d, width), times the scale.
  void scores(const float* q_turned, float* s) const {
    const Vec hidden(-__builtin_inf());
    products(a.k, q_turned, s);
    for (int64_t j = 0; j < keys.size(); ++j) {
      const int64_t columns = first_column(j);
      float* row = s + j * width;
      for (int64_t c = 0; c < columns; c += lanes)
        store(row + c, columns - c < lanes ? first(columns - c, hidden, load(row + c)) : hidden);
    }
    if (a.bias.data)
      turned([&](int64_t i, int64_t j, int64_t n) { return bias_of(a, batch, head, i, j, n); },
             [&](int64_t at, Vec bias) { store(s + at, load(s + at) + bias); });
    if (a.keep.data && a.keep.strides[2] == 0) {  // the same for all queries
      for (int64_t j = 0; j < keys.size(); ++j) {
        if (row_of<const bool>(a.keep, batch, head, 0)[(keys.begin + j) * a.keep.strides[3]]) continue;
        for (int64_t c = 0; c < width; c += lanes) store(s + j * width + c, hidden);
      }
    } else if (a.keep.data) {
      turned([&](int64_t i, int64_t j, int64_t n) { return hidden_of(a, batch, head, i, j, n); },
             [&](int64_t at, Vec kept) { store(s + at, select(kept == Vec(0), load(s + at), hidden)); });
    }
  }

  // Dropout's factors, laid out as the scores.
  void factors(float* z) const {
    float rows[lanes][key_block + lanes];
    turned(
        [&](int64_t i, int64_t j, int64_t n) {
          float* row = rows[(i - queries.begin) % lanes];
          if (j == keys.begin) drop_factors(a, batch, head, i, j, keys.size(), row);
          return load(row + (j - keys.begin), n);
        },
        [&](int64_t at, Vec factor) { store(z + at, factor); });
  }
};

// Some rows of queries, or what lies as they do, as (features, width), times `scale`.
inline void turn_rows(const View& x, const ScoreBlock& b, float scale, float* to) {
  pack_transposed(row_of(x, b.batch, b.head, b.queries.begin), x.strides[2], b.queries.size(), x.shape[3], to,
                  b.width);
  if (scale == 1) return;
  for (int64_t i = 0; i < x.shape[3] * b.width; i += lanes) store(to + i, load(to + i) * Vec(double(scale)));
}

// x *= y, of whole packs.
inline void multiply_by(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += lanes) store(x + i, load(x + i) * load(y + i));
}

// --- forward -------------------------------------------------------------------------------------------------------

// Of each query of a block, over the keys so far.
struct Running {
  float largest[query_block], sum[query_block], correction[query_block];
};

// Makes weights of a block of scores, relative to the largest score so far; `correction` is what the sums before lack.
inline void exponentials(const ScoreBlock& b, float* s, Running& r) {
  const int64_t rows = b.keys.size(), width = b.width;
  const Vec none(-__builtin_inf());
  for (int64_t c = 0; c < width; c += lanes) {
    float* column = s + c;
    const Vec before = load(r.largest + c);
    Vec part[4] = {before, none, none, none};
    int64_t j = 0;
    for (; j + 4 <= rows; j += 4)
      for (int i = 0; i < 4; ++i) part[i] = max_or_second(part[i], load(column + (j + i) * width));
    for (; j < rows; ++j) part[0] = max_or_second(part[0], load(column + j * width));
    const Vec largest = max_or_second(max_or_second(part[0], part[1]), max_or_second(part[2], part[3]));
    const Vec shift = select(largest == none, Vec(0), largest);  // where all is hidden, exp(-inf - 0) is no NaN
    Vec sum[2] = {Vec(0), Vec(0)};
    for (j = 0; j < rows; ++j) {
      const Vec e = exp(load(column + j * width) - shift);
      store(column + j * width, e);
      sum[j % 2] = sum[j % 2] + e;
    }
    const Vec correction = exp(before - shift);
    store(r.largest + c, largest);
    store(r.correction + c, correction);
    store(r.sum + c, fma(load(r.sum + c), correction, sum[0] + sum[1]));
  }
}

struct AttentionSpace {
  Space all;
  float *q, *scores, *factors, *output;
  AttentionSpace(const Attention& a, int64_t width)
      : all((a.q.shape[3] + key_block * (a.dropout > 0 ? 2 : 1)) * width + query_block * a.v.shape[3]),
        q(all.floats()),
        scores(q + a.q.shape[3] * width),
        factors(scores + key_block * width),
        output(factors + (a.dropout > 0 ? key_block * width : 0)) {}
};

// One block of queries.
inline void attend_block(ScoreBlock b, const AttentionSpace& space) {
  const Attention& a = b.a;
  const int64_t queries = b.queries.size(), keys = b.behind() + a.q.shape[2], features = a.v.shape[3];
  const int64_t wanted = a.causal ? least(keys, b.queries.end + b.behind()) : keys;
  turn_rows(a.q, b, float(a.scale), space.q);
  Running r;
  for (int64_t c = 0; c < b.width; c += lanes) {
    store(r.largest + c, Vec(-__builtin_inf()));
    store(r.sum + c, Vec(0));
  }
  const int64_t step = equal_blocks(most(1, wanted), key_block), height = equal_blocks(queries, max_rows);
  float* o = space.output;
  for (int64_t first = 0; first < wanted; first += step) {
    b.keys = {first, least(wanted, first + step)};
    b.scores(space.q, space.scores);
    exponentials(b, space.scores, r);
    if (a.dropout > 0) {
      b.factors(space.factors);
      multiply_by(space.scores, space.factors, b.keys.size() * b.width);
    }
    for (int64_t i = 0; first > 0 && i < queries; ++i) {
      if (r.correction[i] == 1) continue;
      packs(features, [&](int64_t c, auto... n) {
        float* at = o + i * features + c;
        store(at, load(at, n...) * Vec(double(r.correction[i])), n...);
      });
    }
    for (int64_t i = 0; i < queries; i += height) {
      const int64_t rows = least(height, queries - i);
      multiply_near(rows, features, b.seen(i + rows - 1), space.scores + i, 1, b.width,
                    row_of(a.v, b.batch, b.kv_head(), first), a.v.strides[2], first > 0, o + i * features, features);
    }
  }
  float inverse[query_block];
  float* log_sum = floats(a.log_sum) + (b.batch * a.q.shape[1] + b.head) * a.q.shape[2] + b.queries.begin;
  for (int64_t c = 0; c < queries; c += lanes) {
    const Vec sum = load(r.sum + c);
    const Mask nothing = sum == Vec(0);
    store(inverse + c, select(nothing, Vec(0), Vec(1) / sum));
    store(log_sum + c, select(nothing, Vec(__builtin_inf()), load(r.largest + c) + log(sum)),
          least(lanes, queries - c));
  }
  for (int64_t i = 0; i < queries; ++i) {
    float* to = row_of(a.output, b.batch, b.head, b.queries.begin + i);
    const Vec factor(inverse[i]);
    if (wanted == 0)
      packs(features, [&](int64_t c, auto... n) { store(to + c, Vec(0), n...); });
    else
      packs(features, [&](int64_t c, auto... n) { store(to + c, load(o + i * features + c, n...) * factor, n...); });
  }
}

// Few queries leave most lanes of such blocks idle, as when a decoder takes one word after the other. Then keys fill
// the lanes, and all of them are one block: scores (queries, keys) by dot products.
inline void attend_few(const Attention& a, int64_t batch, int64_t head, float* s) {
  const int64_t queries = a.q.shape[2], keys = a.k.shape[2], features = a.v.shape[3];
  const int64_t kv_head = head / (a.q.shape[1] / a.k.shape[1]);
  Product x;
  x.m = queries, x.n = keys, x.k = a.q.shape[3];
  x.a = row_of(a.q, batch, head, 0), x.a_row = a.q.strides[2], x.a_col = 1;
  x.b = row_of(a.k, batch, kv_head, 0), x.b_row = 1, x.b_col = a.k.strides[2];
  x.c = s, x.c_row = keys;
  x.alpha = float(a.scale);
  product_dots(x, {0, queries}, {0, keys});
  float inverse[lanes];
  for (int64_t i = 0; i < queries; ++i) {
    float* row = s + i * keys;
    const int64_t seen = a.causal ? i + 1 + keys - queries : keys;
    if (a.bias.data || a.keep.data) {
      for (int64_t j = 0; j < keys; j += lanes) {
        const int64_t n = least(lanes, keys - j);
        Vec score = load(row + j, n);
        if (a.bias.data) score = score + bias_of(a, batch, head, i, j, n);
        if (a.keep.data) score = select(hidden_of(a, batch, head, i, j, n) == Vec(0), score, Vec(-__builtin_inf()));
        store(row + j, score, n);
      }
    }
    const float most_of_all = row_max(row, seen);
    const Vec shift(most_of_all == -__builtin_inff() ? 0 : double(most_of_all));
    const float sum = fold<Reduce::sum>(seen, [&](int64_t j, auto... n) {
      const Vec e = exp(load(row + j, n...) - shift);
      store(row + j, e, n...);
      return e;
    });
    for (int64_t j = seen; j < keys; ++j) row[j] = 0;
    if (a.dropout > 0) {
      float z[key_block + lanes];
      for (int64_t j = 0; j < seen; j += key_block) {
        const int64_t count = least(key_block, seen - j);
        drop_factors(a, batch, head, i, j, count, z);
        packs(count,
              [&](int64_t c, auto... n) { store(row + j + c, load(row + j + c, n...) * load(z + c, n...), n...); });
      }
    }
    inverse[i] = sum == 0 ? 0 : 1 / sum;
    floats(a.log_sum)[(batch * a.q.shape[1] + head) * queries + i] =
        sum == 0 ? __builtin_inff() : lane(shift) + lane(log(Vec(double(sum))));
  }
  float* o = row_of(a.output, batch, head, 0);
  multiply_near(queries, features, keys, s, keys, 1, row_of(a.v, batch, kv_head, 0), a.v.strides[2], false, o,
                a.output.strides[2]);
  for (int64_t i = 0; i < queries; ++i)
    packs(features, [&](int64_t c, auto... n) {
      float* at = o + i * a.output.strides[2] + c;
      store(at, load(at, n...) * Vec(double(inverse[i])), n...);
    });
}

inline void attention(const Attention& a) {
  const int64_t batch = a.q.shape[0], heads = a.q.shape[1], queries = a.q.shape[2], keys = a.k.shape[2];
  const int64_t work = most(1, keys * (a.q.shape[3] + a.v.shape[3]));  // of a query
  if (batch * heads * queries == 0) return;
  if (2 * queries <= lanes) {
    return parallel_for(batch * heads, most(1, task_work / (work * queries)), [&](int64_t begin, int64_t end) {
      const Space scores(queries * keys);
      for (int64_t task = begin; task < end; ++task) attend_few(a, task / heads, task % heads, scores.floats());
    });
  }
  const int64_t step = equal_blocks(queries, query_block), blocks = blocks_of(queries, step);
  const int64_t width = round_up(step, lanes);
  parallel_for(batch * heads * blocks, most(1, task_work / (work * step)), [&](int64_t begin, int64_t end) {
    const AttentionSpace space(a, width);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % blocks * step, head = task / blocks;
      attend_block({a, head / heads, head % heads, {first, least(queries, first + step)}, {0, 0}, width}, space);
    }
  });
}

// --- backward ------------------------------------------------------------------------------------------------------

struct AttentionGrad {
  const Attention& a;
  const View &g, &dq, &dk, &dv;
};

struct AttentionGradSpace {
  Space all;
  float *q, *g, *weights, *changes, *factors;
  AttentionGradSpace(const Attention& a, int64_t width)
      : all((a.q.shape[3] + a.v.shape[3] + 3 * key_block) * width),
        q(all.floats()),
        g(q + a.q.shape[3] * width),
        weights(g + a.v.shape[3] * width),
        changes(weights + key_block * width),
        factors(changes + key_block * width) {}
};

inline void clear_rows(float* x, int64_t row, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; ++i) packs(n, [&](int64_t c, auto... k) { store(x + i * row + c, Vec(0), k...); });
}

// What the queries of a block and the keys of a range give to dk and dv, and to dq, whose row 0 is the block's first.
inline void attend_block_grad(const AttentionGrad& x, ScoreBlock b, Range keys, float* dq, int64_t dq_row,
                              const AttentionGradSpace& space) {
  const Attention& a = x.a;
  const int64_t queries = b.queries.size(), width = b.width, d = b.features(), features = a.v.shape[3];
  const int64_t wanted = a.causal ? least(keys.end, b.queries.end + b.behind()) : keys.end;
  clear_rows(dq, dq_row, queries, d);
  if (wanted <= keys.begin) return;
  turn_rows(a.q, b, float(a.scale), space.q);
  turn_rows(x.g, b, 1, space.g);
  // As in table.h's reference: P = exp(S - log_sum), D = the sum over features of g and the output.
  alignas(64) float log_sum[query_block] = {}, mean[query_block] = {};
  const float* sums = floats(a.log_sum) + (b.batch * a.q.shape[1] + b.head) * a.q.shape[2] + b.queries.begin;
  for (int64_t i = 0; i < queries; ++i) {
    log_sum[i] = sums[i];
    const float *g = row_of(x.g, b.batch, b.head, b.queries.begin + i),
                *o = row_of(a.output, b.batch, b.head, b.queries.begin + i);
    mean[i] =
        fold<Reduce::sum>(features, [&](int64_t c, auto... n) { return load(g + c, n...) * load(o + c, n...); });
  }
  const float* g_rows = row_of(x.g, b.batch, b.head, b.queries.begin);
  const float* q_rows = row_of(a.q, b.batch, b.head, b.queries.begin);
  const int64_t step = equal_blocks(wanted - keys.begin, key_block);
  for (int64_t first = keys.begin; first < wanted; first += step) {
    b.keys = {first, least(wanted, first + step)};
    const int64_t rows = b.keys.size(), height = equal_blocks(rows, max_rows);
    const float* k_rows = row_of(a.k, b.batch, b.kv_head(), first);
    float *p = space.weights, *ds = space.changes;
    b.scores(space.q, p);
    b.products(a.v, space.g, ds);
    if (a.dropout > 0) b.factors(space.factors);
    const Vec scale(a.scale);
    for (int64_t j = 0; j < rows; ++j) {
      const int64_t from = b.first_pack(j);
      clear_rows(p + j * width, 0, 1, from);
      clear_rows(ds + j * width, 0, 1, from);
      for (int64_t c = from; c < width; c += lanes) {
        const int64_t at = j * width + c;
        Vec weight = exp(load(p + at) - load(log_sum + c)), change = load(ds + at), dropped = weight;
        if (a.dropout > 0) {
          const Vec z = load(space.factors + at);
          change = change * z, dropped = weight * z;
        }
        store(ds + at, scale * weight * (change - load(mean + c)));
        store(p + at, dropped);
      }
    }
    for (int64_t j = 0; j < rows; j += height) {
      const int64_t m = least(height, rows - j), c = b.first_column(j), n = queries - c, at = j * width + c;
      float* dv = row_of(x.dv, b.batch, b.kv_head(), first + j);
      float* dk = row_of(x.dk, b.batch, b.kv_head(), first + j);
      multiply_near(m, features, n, p + at, width, 1, g_rows + c * x.g.strides[2], x.g.strides[2], true, dv,
                    x.dv.strides[2]);
      multiply_near(m, d, n, ds + at, width, 1, q_rows + c * a.q.strides[2], a.q.strides[2], true, dk,
                    x.dk.strides[2]);
    }
    const int64_t tall = equal_blocks(queries, max_rows);
    for (int64_t i = 0; i < queries; i += tall) {
      const int64_t m = least(tall, queries - i);
      multiply_near(m, d, b.seen(i + m - 1), ds + i, 1, width, k_rows, a.k.strides[2], true, dq + i * dq_row, dq_row);
    }
  }
}

// Where samples and heads are few, keys are shared out among tasks too: to so many in all, whatever the threads.
constexpr int64_t least_tasks = 16;

// A task owns the rows of dk and dv for its keys, and goes through all queries that look at them, of one head after the
// other. Tasks that share queries write dq to rows of their own, which are added up in the end.
inline void attention_grad(const Attention& a, const View& g, const View& dq, const View& dk, const View& dv) {
  const AttentionGrad x{a, g, dq, dk, dv};
  const int64_t batch = a.q.shape[0], heads = a.q.shape[1], queries = a.q.shape[2], d = a.q.shape[3];
  const int64_t kv_heads = a.k.shape[1], keys = a.k.shape[2], features = a.v.shape[3], owners = batch * kv_heads;
  if (owners == 0) return;
  const int64_t step = equal_blocks(most(1, queries), query_block), width = round_up(step, lanes);
  const int64_t parts = most(1, least(blocks_of(keys, 4 * key_block), least_tasks / owners));
  const int64_t part_keys = blocks_of(keys, parts), group = heads / kv_heads;
  const Space partial(parts == 1 ? 0 : parts * batch * heads * queries * d);
  const int64_t work = most(1, group * queries * part_keys * (d + features) * 2);
  parallel_for(owners * parts, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const AttentionGradSpace space(a, width);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task % parts, kv = task / parts % kv_heads, b = task / parts / kv_heads;
      const Range mine{least(keys, part * part_keys), least(keys, (part + 1) * part_keys)};
      clear_rows(row_of(dk, b, kv, mine.begin), dk.strides[2], mine.size(), d);
      clear_rows(row_of(dv, b, kv, mine.begin), dv.strides[2], mine.size(), features);
      for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
        for (int64_t i = 0; i < queries; i += step) {
          float* to = parts == 1 ? row_of(dq, b, head, i)
                                 : partial.floats() + (((part * batch + b) * heads + head) * queries + i) * d;
          attend_block_grad(x, {a, b, head, {i, least(queries, i + step)}, {0, 0}, width}, mine, to,
                            parts == 1 ? dq.strides[2] : d, space);
        }
      }
    }
  });
  if (parts == 1) return;
  parallel_for(batch * heads * queries, row_grain(parts * d), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* to = row_of(dq, row / queries / heads, row / queries % heads, row % queries);
      packs(d, [&](int64_t c, auto... n) {
        Vec sum(0);
        for (int64_t part = 0; part < parts; ++part)
          sum = sum + load(partial.floats() + (part * batch * heads * queries + row) * d + c, n...);
        store(to + c, sum, n...);
      });
    }
  });
}

void fill_attention(KernelTable& table) {
  table.attention = attention;
  table.attention_grad = attention_grad;
}
