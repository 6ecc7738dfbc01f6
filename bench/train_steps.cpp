// Whole training steps, the same models as in peer_torch.py: to add one, write an entry here and one there.
// The program's memory is measured in a process of its own for each.
#include <memory>

#include "bench/bench.h"
#include "examples/image_classifier/models/classifier.h"
#include "examples/image_classifier/models/resnet.h"
#include "examples/text_models/seq2seq.h"
#include "examples/text_models/text_models.h"
#include "nn/nn.h"
#include "optim/adam.h"

namespace gradus::bench {
namespace {

// A step of a model that lives as long as the call: gradients forgotten, loss, backward, and Adam unless left out.
template <class Model, class Loss>
Call step(std::shared_ptr<Model> model, Loss loss, bool adam = true) {
  auto optimizer = std::make_shared<optim::Adam>(model->parameters());
  return [=] {
    optimizer->zero_grad();
    loss(*model).backward();
    if (adam) optimizer->step();
  };
}
template <std::derived_from<nn::Module> Model, class Loss>
Call step(Model model, Loss loss, bool adam = true) {
  return step(std::make_shared<Model>(std::move(model)), loss, adam);
}

nn::Sequential mlp_model() {
  return nn::Sequential{nn::Linear(784, 256), nn::ReLU(), nn::Linear(256, 128), nn::ReLU(), nn::Linear(128, 10)};
}

// Its first two ReLUs are part of the pooling.
nn::Sequential cnn_model() {
  return nn::Sequential{nn::Conv2d(1, 16, 3, {.padding = 1}),
                        nn::MaxPool2d(2, {.relu = true}),
                        nn::Conv2d(16, 32, 3, {.padding = 1}),
                        nn::MaxPool2d(2, {.relu = true}),
                        nn::Flatten(),
                        nn::Linear(32 * 7 * 7, 128),
                        nn::ReLU(),
                        nn::Linear(128, 10)};
}

nn::Sequential tiny_model() {
  return nn::Sequential{nn::Linear(2, 16), nn::ReLU(), nn::Linear(16, 16), nn::ReLU(), nn::Linear(16, 1)};
}

// Images of this shape, ten classes.
Call classify(nn::Sequential model, const Shape& shape, bool adam) {
  Tensor x = randn(shape), y = randint(0, 10, {shape[0]});
  return step(
      std::move(model), [=](nn::Sequential& m) { return cross_entropy(m(x), y); }, adam);
}

// A model of the image classifier, for ten classes.
Call classify(const image_classifier::ModelOptions& o, const Shape& shape) {
  Tensor x = randn(shape), y = randint(0, 10, {shape[0]});
  std::shared_ptr<image_classifier::Classifier> model =
      image_classifier::make_model(o, {shape[1], shape[2], shape[3]}, 10);
  return step(model, [=](image_classifier::Classifier& m) { return cross_entropy(m(x), y); });
}

// Tokens of a random text; 0 is padding.
Tensor tokens(int64_t vocabulary, const Shape& shape) { return randint(1, double(vocabulary), shape); }

Call translator(const nn::TranslatorOptions& o, int64_t batch, int64_t places, double label_smoothing) {
  const Tensor source = tokens(o.source_vocabulary, {batch, places});
  const Tensor target = tokens(o.target_vocabulary, {batch, places});
  const Tensor y = tokens(o.target_vocabulary, {batch * places});
  return step(nn::Transformer(o), [=](nn::Transformer& m) {
    return cross_entropy(m(source, target).flatten(0, 1), y, {.label_smoothing = label_smoothing});
  });
}

Call language_model(const text_models::GptOptions& o, int64_t batch) {
  const Tensor x = tokens(o.vocabulary, {batch, o.block}), y = tokens(o.vocabulary, {batch * o.block});
  return step(text_models::Gpt(o), [=](text_models::Gpt& m) { return cross_entropy(m(x).flatten(0, 1), y); });
}

// Operations of a step: the products forward and for both gradients. Of a causal attention the half that counts.
double translator_flops(const nn::TranslatorOptions& o, double batch, double n) {
  const double d = double(o.d_model), layer = 2 * d * double(4 * o.d_model + 2 * o.ffn), attention = 4 * n * d;
  const double encoder = double(o.encoder_layers) * (layer + attention);
  const double decoder = double(o.decoder_layers) * (layer + 8 * d * d + attention + 2 * (n + 1) * d);
  return 3 * batch * n * (encoder + decoder + 2 * d * double(o.target_vocabulary));
}
double language_model_flops(const text_models::GptOptions& o, double batch) {
  const double d = double(o.d_model), n = double(o.block);
  return 3 * batch * n * (double(o.layers) * (24 * d * d + 2 * (n + 1) * d) + 2 * d * double(o.vocabulary));
}
// The first layer's input needs no gradient.
double cnn_flops(double batch) {
  return 6 * batch * (784 * 9 * 32 * 2. / 3 + 196 * 9 * 32 * 64 + 49 * 9 * 64 * 128 + 1152 * 256 + 256 * 10);
}
// Of vit's usual depth and width for images of 32x32 in 4x4 patches, which become 65 places.
double vit_flops(double batch) {
  const double n = 65, d = 192;
  return 6 * batch * (64 * 48 * d * 2 / 3 + 6 * n * (12 * d * d + 2 * n * d) + 10 * d);
}
// Of basic blocks, for square images and the small stem.
double resnet_flops(int64_t depth, const Shape& images) {
  const image_classifier::ResNetLayout layout = image_classifier::resnet_layout(depth);
  double places = double(images[2] * images[3]), channels = double(layout.width);
  double sum = places * 9 * double(images[1]) * channels * 2 / 3;
  for (size_t stage = 0; stage < layout.blocks.size(); ++stage) {
    const double width = double(layout.width << stage), projection = width == channels ? 0 : channels * width;
    if (stage > 0) places /= 4;
    sum += places * (9 * width * (channels + width * double(2 * layout.blocks[stage] - 1)) + projection);
    channels = width;
  }
  return 6 * double(images[0]) * (sum + channels * 10);
}

Call tiny(bool adam) {
  Tensor x = randn({1, 2});
  return step(
      tiny_model(), [=](nn::Sequential& m) { return m(x).sum(); }, adam);
}

// Teacher forcing, with input feeding: the decoder goes step by step.
text_models::Seq2SeqOptions seq2seq_options() { return {.source_vocabulary = 8000, .target_vocabulary = 8000}; }

Call translate(const text_models::Seq2SeqOptions& o, int64_t batch, int64_t source_places, int64_t places) {
  Tensor source = tokens(o.source_vocabulary, {batch, source_places});
  Tensor target = tokens(o.target_vocabulary, {batch, places}), next = tokens(o.target_vocabulary, {batch * places});
  return step(
      text_models::Seq2Seq(o),
      [=](text_models::Seq2Seq& m) { return cross_entropy(m(source, target).flatten(0, 1), next); }, true);
}

std::vector<Item> items() {
  // A layer's product counts three times, forward and for both gradients; the first layer's input needs none.
  const double mlp = 2. * 64 * (784 * 256 * 2 + 256 * 128 * 3 + 128 * 10 * 3);
  const double cnn = 2. * 64 * (784 * 9 * 16 * 2 + 196 * 144 * 32 * 3 + 1568 * 128 * 3 + 128 * 10 * 3);
  const double h = 256, encoder = 2 * (2 * h) * 3 * h, decoder = (3 * h) * 3 * h, attention = 2 * h * h + h * h,
               looking = 20 * (h + 2 * h), combine = 3 * h * h, words = h * 8000;
  const double seq2seq = 3 * 2. * 64 * 20 * (encoder + decoder + attention + looking + combine + words);
  std::vector<Item> all;
  auto add = [&](const char* name, double flops, std::function<Call()> make) {
    all.push_back({.group = "steps", .name = name, .flops = flops, .make = std::move(make)});
  };
  add("MLP 784-256-128-10, batch 64", mlp, [] { return classify(mlp_model(), {64, 784}, true); });
  add("MLP 784-256-128-10, batch 64, no Adam", mlp, [] { return classify(mlp_model(), {64, 784}, false); });
  add("CNN 16-pool-32-pool-128-10, batch 64", cnn, [] { return classify(cnn_model(), {64, 1, 28, 28}, true); });
  add("CNN 16-pool-32-pool-128-10, batch 64, no Adam", cnn, [] {
    return classify(cnn_model(), {64, 1, 28, 28}, false);
  });
  add("image classifier cnn, 64x1x28x28", cnn_flops(64), [] { return classify({.model = "cnn"}, {64, 1, 28, 28}); });
  const auto add_resnet = [&](const char* name, int64_t depth, const Shape& images) {
    add(name, resnet_flops(depth, images), [=] { return classify({.model = "resnet", .depth = depth}, images); });
  };
  add_resnet("image classifier resnet 20, 64x3x32x32", 20, {64, 3, 32, 32});
  add_resnet("image classifier resnet 18, 32x3x32x32", 18, {32, 3, 32, 32});
  add("ViT 6 layers, d 192, 32x3x32x32 in 4x4", vit_flops(32), [] {
    return classify({.model = "vit", .patch = 4}, {32, 3, 32, 32});
  });
  add("GRU seq2seq, additive attention, hidden 256, batch 64, 20->20, vocabulary 8000", seq2seq,
      [] { return translate(seq2seq_options(), 64, 20, 20); });
  const auto add_translator = [&](const char* name, const nn::TranslatorOptions& o, int64_t batch, int64_t places,
                                  double label_smoothing) {
    add(name, translator_flops(o, double(batch), double(places)),
        [=] { return translator(o, batch, places, label_smoothing); });
  };
  const auto add_language_model = [&](const char* name, const text_models::GptOptions& o, int64_t batch) {
    add(name, language_model_flops(o, double(batch)), [=] { return language_model(o, batch); });
  };
  nn::TranslatorOptions base, tiny_translator;
  base.d_model = 256, base.heads = 8, base.ffn = 1024, base.encoder_layers = base.decoder_layers = 3;
  base.dropout = 0, base.source_vocabulary = base.target_vocabulary = 8000;
  add_translator("Transformer 3+3 layers, d 256, batch 64x25, vocabulary 8000", base, 64, 25, 0);
  // fairseq's transformer_tiny, which is trained on Multi30k.
  tiny_translator.d_model = 128, tiny_translator.heads = 4, tiny_translator.ffn = 256;
  tiny_translator.encoder_layers = tiny_translator.decoder_layers = 4, tiny_translator.dropout = 0.3;
  tiny_translator.attention_dropout = tiny_translator.activation_dropout = 0;
  tiny_translator.source_vocabulary = tiny_translator.target_vocabulary = 10000;
  tiny_translator.shared_embeddings = true;
  add_translator("Transformer 4+4 layers, d 128, batch 256x16, vocabulary 10000, dropout", tiny_translator, 256, 16,
                 0.1);
  add_language_model("GPT 6 layers, d 384, batch 8x256", {.vocabulary = 65}, 8);
  // nanoGPT's setting for a CPU.
  add_language_model("GPT 4 layers, d 128, batch 12x64",
                     {.vocabulary = 65, .block = 64, .layers = 4, .heads = 4, .d_model = 128, .bias = false}, 12);
  add("tiny MLP 2-16-16-1, batch 1, forward", 0, [] {
    auto model = std::make_shared<nn::Sequential>(tiny_model());
    return [=, x = randn({1, 2})] { (*model)(x); };
  });
  add("tiny MLP 2-16-16-1, batch 1, no Adam", 0, [] { return tiny(false); });
  add("tiny MLP 2-16-16-1, batch 1", 0, [] { return tiny(true); });
  return all;
}

}  // namespace
}  // namespace gradus::bench

int main(int argc, char** argv) { return gradus::bench::run_items(gradus::bench::items(), argc, argv); }
