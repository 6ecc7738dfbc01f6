#include "explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace image_classifier {

using namespace gradus;

Tensor grad_cam(Classifier& model, const Tensor& maps, const std::vector<int64_t>& classes) {
  check(maps.dim() == 4 && maps.size(0) == int64_t(classes.size()), "grad_cam: maps ", maps.shape(), " for ",
        int64_t(classes.size()), " classes, expected [batch, channels, h, w] and a class for each");
  EnableGrad recording;
  const Tensor places = maps.detach().requires_grad_();
  const Tensor logits = model.head()(model.features(places));
  const Tensor chosen = from_vector(classes, {int64_t(classes.size()), 1}).to(logits.device());
  const Tensor weights = grad({logits.gather(1, chosen).sum()}, {places})[0].mean({2, 3}, true);
  return relu((weights * maps.detach()).sum({1}));
}

Tensor attention_rollout(const std::vector<Tensor>& layers) {
  check(!layers.empty(), "attention_rollout: no layers");
  Tensor all;
  for (const Tensor& layer : layers) {
    const Tensor half = (layer.detach().mean({1}) + eye(layer.size(-1), layer.options())) * 0.5;
    all = all.defined() ? matmul(half, all) : half;
  }
  return all;
}

namespace {

// How places that stand in a row lie on the picture.
struct Grid {
  int64_t height = 0, width = 0;
  bool class_token = false;  // before the places
};

// Patches are squares, or nearly: the grid has the sides' proportion.
Grid grid_of(int64_t places, const Shape& images, bool may_have_token) {
  for (const bool token : {false, true}) {
    const int64_t count = places - (token ? 1 : 0);
    const int64_t height = std::lround(std::sqrt(double(count * images[2]) / double(images[3])));
    const int64_t width = std::lround(std::sqrt(double(count * images[3]) / double(images[2])));
    if (count > 0 && height * width == count && (!token || may_have_token)) return {height, width, token};
  }
  fail({"attention over ", std::to_string(places), " places, which are no grid on images ", to_string(images)});
}

std::string text(const char* format, double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), format, value);
  return buffer;
}

// Of values (h, w): moved and stretched to 0 to 1.
Tensor stretched(const Tensor& values) {
  const Tensor low = values.min(), range = values.max() - low;
  return range.item() > 0 ? (values - low) / range : zeros_like(values);
}

std::string range_of(const Tensor& values, const char* format, double factor) {
  return text(format, factor * values.min().item()) + " to " + text(format, factor * values.max().item());
}

std::string number_of(int64_t which, size_t count) { return std::to_string(which) + " of " + std::to_string(count); }

// The layer that `asked` means, counted from 0.
size_t chosen(const char* option, int64_t asked, int64_t usual, int64_t count, const std::string& owner,
              const char* things) {
  check(count > 0 || asked == 0, option, " ", asked, ": ", owner, " has no ", things);
  check(asked >= 0 && asked <= count, option, " ", asked, ": ", owner, " has ", count, " ", things, ", 1 to ", count);
  return size_t(asked == 0 ? usual : asked - 1);
}

}  // namespace

std::vector<std::vector<View>> explain(Classifier& model, const Tensor& images, const std::vector<int64_t>& of_class,
                                       const std::vector<std::string>& classes, const ExplainOptions& options) {
  Seen seen;
  Tensor maps;
  {
    NoGrad guard;
    maps = model.maps(images, &seen);
  }
  check(maps.dim() > 2, model.type(), " knows no places on a picture, so there is no attention to show");
  for (std::vector<Tensor>* kind : {&seen.spatial, &seen.attention}) {
    for (Tensor& t : *kind) t = t.to(Device::cpu);
  }
  const int64_t layers = int64_t(std::max(seen.attention.size(), seen.spatial.size()));
  const size_t layer = chosen("--layer", options.layer, layers - 1, layers, model.type(), "layers with attention");
  Tensor weights;  // (batch, places, places)
  if (seen.attention.empty()) {
    check(options.head == 0, "--head ", options.head, ": ", model.type(), " has no heads of attention");
  } else {
    const Tensor& heads = seen.attention.at(layer);
    const size_t head = chosen("--head", options.head, 0, heads.size(1), model.type(), "heads of attention");
    weights = options.head == 0 ? heads.mean({1}) : heads.select(1, int64_t(head));
  }

  const Tensor activation = maps.dim() == 4 ? grad_cam(model, maps, of_class).to(Device::cpu) : Tensor();
  const bool transformer = !activation.defined() && weights.defined();
  const Tensor rollout = transformer ? attention_rollout(seen.attention) : Tensor();
  const std::string where = "layer " + number_of(int64_t(layer) + 1, seen.attention.size()) +
                            (weights.defined() && seen.attention.at(layer).size(1) > 1
                                 ? ", " + (options.head == 0 ? "all heads" : "head " + std::to_string(options.head))
                                 : "");

  std::vector<std::vector<View>> all(static_cast<size_t>(images.size(0)));
  for (int64_t i = 0; i < images.size(0); ++i) {
    std::vector<View>& views = all[size_t(i)];
    if (activation.defined()) {
      const double most = activation[i].max().item();
      views.push_back({"Grad-CAM", "for " + classes.at(size_t(of_class[size_t(i)])),
                       most > 0 ? "" : "nothing speaks for it", most > 0 ? activation[i] / most : activation[i]});
    }
    if (!seen.spatial.empty()) {
      const size_t block = std::min(layer, seen.spatial.size() - 1);
      const Tensor map = seen.spatial[block][i][0];
      views.push_back({"spatial attention", "block " + number_of(int64_t(block) + 1, seen.spatial.size()),
                       range_of(map, "%.2f", 1), stretched(map)});
    }
    if (transformer) {
      const Grid grid = grid_of(weights.size(-1), images.shape(), true);
      // Of the class token to all others; without one, of all places in the mean, as the model takes their mean.
      auto of_all = [&](const Tensor& matrix) {
        const Tensor row = grid.class_token ? matrix[0].narrow(0, 1, matrix.size(0) - 1) : matrix.mean({0});
        return row.reshape({grid.height, grid.width});
      };
      const Tensor rolled = of_all(rollout[i]), one = of_all(weights[i]);
      views.push_back({"attention rollout", "all " + std::to_string(seen.attention.size()) + " layers",
                       range_of(rolled, "%.1f%%", 100), stretched(rolled)});
      views.push_back({"attention", where, range_of(one, "%.1f%%", 100), stretched(one)});
    } else if (weights.defined()) {
      const Grid grid = grid_of(weights.size(-1), images.shape(), false);
      const int64_t peak = int64_t(activation[i].argmax().item());
      const int64_t height = activation.size(1), width = activation.size(2);
      // The middle of the peak's place, on the other grid.
      const int64_t row = (2 * (peak / width) + 1) * grid.height / (2 * height);
      const int64_t column = (2 * (peak % width) + 1) * grid.width / (2 * width);
      const Tensor map = weights[i][row * grid.width + column].reshape({grid.height, grid.width});
      views.push_back({"self-attention", where, range_of(map, "%.1f%%", 100), stretched(map), row, column});
    }
  }
  return all;
}

}  // namespace image_classifier
