// The steps of the optimisers over packs of parameters.

// Runs `update` on every pack of the parameter, the gradient and the states; a null state is a scratch zero.
template <class Update, class... States>
inline void step(const Update& update, int64_t n, void* p, const void* g, States*... states) {
  parallel_for(n, serial_elements, [&](int64_t begin, int64_t end) {
    packs(end - begin, [&](int64_t i, auto... k) {
      int64_t at = begin + i;
      // The parameter is fetched ahead in order to be written: all cores have read it, and taking it from them as it is
      // stored costs as much as everything else together.
      __builtin_prefetch(floats(p) + at + 512, 1);
      Vec parameter = load(floats(p) + at, k...);
      auto with_states = [&](auto... values) {
        update(parameter, load(floats(g) + at, k...), values...);
        ((states ? store(floats(states) + at, values, k...) : void()), ...);
      };
      with_states(load_or(floats(states), at, Vec(0), k...)...);
      store(floats(p) + at, parameter, k...);
    });
  });
}

void sgd_step(const SgdStep& o, int64_t n, void* p, const void* g, void* momentum) {
  step(SgdUpdate<Vec>(o), n, p, g, momentum);
}
void adam_step(const AdamStep& o, int64_t n, void* p, const void* g, void* m, void* v) {
  step(AdamUpdate<Vec>(o), n, p, g, m, v);
}
void rmsprop_step(const RmspropStep& o, int64_t n, void* p, const void* g, void* v, void* mean, void* momentum) {
  step(RmspropUpdate<Vec>(o), n, p, g, v, mean, momentum);
}
void adagrad_step(const AdagradStep& o, int64_t n, void* p, const void* g, void* sum) {
  step(AdagradUpdate<Vec>(o), n, p, g, sum);
}

void fill_optimisers(KernelTable& table) {
  table.sgd_step = sgd_step;
  table.adam_step = adam_step;
  table.rmsprop_step = rmsprop_step;
  table.adagrad_step = adagrad_step;
}
