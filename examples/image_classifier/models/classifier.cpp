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

std::unique_ptr<Classifier> make_model(const ModelOptions& options, const Shape& image, int64_t classes) {
  if (options.model == "linear") return std::make_unique<SoftmaxRegression>(image, classes);
  if (options.model == "mlp") return std::make_unique<Mlp>(image, classes);
  if (options.model == "lenet") return std::make_unique<LeNet>(image, classes);
  if (options.model == "cnn") return std::make_unique<Cnn>(image, classes);
  if (options.model == "resnet" || options.model == "se_resnet" || options.model == "cbam_resnet" ||
      options.model == "self_attention_cnn") {
    return std::make_unique<ResNet>(options, image, classes);
  }
  if (options.model == "vit" || options.model == "conv_vit")
    return std::make_unique<VisionTransformer>(vit_options(options, image), image, classes);
  fail({"no model '", printable(options.model), "'"});
}

}  // namespace image_classifier
