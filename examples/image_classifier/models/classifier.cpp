#include "classifier.h"

#include "plain.h"
#include "resnet.h"
#include "tensor/io/file.h"
#include "vit.h"

namespace image_classifier {

using namespace gradus;

Tensor Classifier::operator()(const Tensor& images) const {
  nn::Call call(*this);
  return call(head()(features(maps(images))));
}

namespace {

bool is_resnet(const std::string& model) {
  return model == "resnet" || model == "se_resnet" || model == "cbam_resnet" || model == "self_attention_cnn";
}

bool is_vit(const std::string& model) { return model == "vit" || model == "conv_vit"; }

bool has_use_for(const std::string& model, const std::string& option) {
  if (option == "model") return true;
  if (option == "depth" || option == "width") return is_resnet(model) || is_vit(model);
  if (option == "reduction") return model == "se_resnet" || model == "cbam_resnet";
  if (option == "pre-activation" || option == "zero-init" || option == "stem") return is_resnet(model);
  return is_vit(model);
}

}  // namespace

std::unique_ptr<Classifier> make_model(const ModelOptions& options, const Shape& image, int64_t classes) {
  const ModelOptions usual;
  each_model_option([&](const char* name, auto member, const char*) {
    check(options.*member == usual.*member || has_use_for(options.model, name), "model '", printable(options.model),
          "' has no use for --", name);
  });
  if (options.model == "linear") return std::make_unique<SoftmaxRegression>(image, classes);
  if (options.model == "mlp") return std::make_unique<Mlp>(image, classes);
  if (options.model == "lenet") return std::make_unique<LeNet>(image, classes);
  if (options.model == "cnn") return std::make_unique<Cnn>(image, classes);
  if (is_resnet(options.model)) return std::make_unique<ResNet>(options, image, classes);
  if (is_vit(options.model)) return std::make_unique<VisionTransformer>(vit_options(options, image), image, classes);
  fail({"no model '", printable(options.model), "'"});
}

}  // namespace image_classifier
