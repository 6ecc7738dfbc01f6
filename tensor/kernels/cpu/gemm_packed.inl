// Products with a B that was packed once for many of them: the weights of a recurrence, for all its time steps, or of
// a layer, for one small batch after another. Where rows are few, packing or reading B across its rows costs as
// much as the products.
//
// Included inside the namespace of an instruction set, after gemm_small.inl.

// Packs B for multiply_packed: packed_size(k, n) floats, all panels as the tasks of a large product share them.
inline void pack(const Product& x, float* packed) { SharedPanels{{0, x.n}, packed}.pack(x); }

inline Plan packed_plan(const Product& x, int64_t batch) {
  constexpr int64_t width = SharedPanels::width;
  Plan plan{};
  plan.pack_b = true;
  plan.m = equal_blocks(x.m, m_block);
  plan.n = round_up(equal_blocks(x.n, n_block), width);
  // Nothing is packed again for a smaller task: down to what is worth a task at all, two for each thread are enough.
  const int64_t wanted = num_threads() > 1 ? 2 * num_threads() : 1;
  while (plan.n > width && batch * blocks_of(x.m, plan.m) * blocks_of(x.n, plan.n) < wanted &&
         plan.m * plan.n * x.k >= 2 * task_work)
    plan.n = round_up(plan.n / 2, width);
  plan.m_tasks = blocks_of(x.m, plan.m);
  plan.n_tasks = blocks_of(x.n, plan.n);
  plan.pack_a = x.k > 16 && x.m > max_rows && plan.n >= 8 * width;
  if (plan.pack_a) plan.space = round_up(plan.m * k_step_of(x) + slack, lanes);
  return plan;
}

// `batch` products of the B that was packed, from its panels whatever their shape: where the sums of multiply run
// tile by tile as well, the same bits.
inline void multiply_packed(const Product& x, const float* packed, int64_t batch, int64_t a_next, int64_t c_next) {
  // The panels are only read.
  const SharedPanels panels{{0, x.n}, const_cast<float*>(packed)};
  run_tasks(x, packed_plan(x, batch), &panels, panels.columns, batch, a_next, 0, c_next);
}

inline void multiply_packed(const Matmul& args) {
  if (args.c.numel() == 0) return;
  multiply_packed(product_of(args), static_cast<const float*>(args.packed_b), args.c.shape[0], args.a.strides[0],
                  args.c.strides[0]);
}

inline void matmul_as_given(const Matmul& args) {
  if (args.packed_b && tile_by_tile(product_of(args)))
    multiply_packed(args);
  else
    matmul(args);
}

inline void pack(const View& b, void* packed) {
  Product x{};
  x.k = b.shape[1], x.n = b.shape[2];
  if (x.k * x.n == 0) return;
  x.b = b.as<float>();
  x.b_row = x.k == 1 ? 1 : b.strides[1];
  x.b_col = x.n == 1 ? 1 : b.strides[2];
  pack(x, static_cast<float*>(packed));
}

inline void fill_products(KernelTable& table) {
  table.matmul = matmul_as_given;
  table.pack = pack;
  table.matmul_packed = multiply_packed;
}
