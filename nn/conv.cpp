#include "nn/conv.h"

#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

namespace {

bool all_at_least(int64_t least, std::initializer_list<Pair> pairs) {
  for (const Pair& pair : pairs)
    if (pair.h < least || pair.w < least) return false;
  return true;
}

bool is(const Pair& pair, int64_t value) { return pair.h == value && pair.w == value; }

}  // namespace

Convolution::Convolution(const char* type, int64_t in_channels, int64_t out_channels, Pair kernel,
                         const ConvOptions& conv_options, bool with_bias, bool transposed, int spatial_dims,
                         Pair output_padding)
    : options(conv_options),
      in_channels_(in_channels),
      out_channels_(out_channels),
      output_padding_(output_padding),
      spatial_dims_(spatial_dims) {
  check(in_channels > 0 && out_channels > 0, type, ": in_channels ", in_channels, " and out_channels ", out_channels,
        " must be positive");
  check(all_at_least(1, {kernel, options.stride, options.dilation}), type, ": kernel_size ", repr(kernel),
        ", stride ", repr(options.stride), " and dilation ", repr(options.dilation), " must be positive");
  check(all_at_least(0, {options.padding, output_padding}), type, ": padding ", repr(options.padding),
        " and output_padding ", repr(output_padding), " must not be negative");
  check(options.groups > 0 && in_channels % options.groups == 0 && out_channels % options.groups == 0, type,
        ": in_channels ", in_channels, " and out_channels ", out_channels, " must be multiples of groups ",
        options.groups);
  Shape shape = transposed ? Shape{in_channels, out_channels / options.groups}
                           : Shape{out_channels, in_channels / options.groups};
  if (spatial_dims == 2) shape.push_back(kernel.h);
  shape.push_back(kernel.w);
  weight = empty(shape, {.requires_grad = true});
  if (with_bias) bias = empty({out_channels}, {.requires_grad = true});
  default_weight_and_bias_(weight, bias);
}

std::string Convolution::describe() const {
  auto show = [&](const Pair& pair) { return spatial_dims_ == 1 ? repr(Shape{pair.w}) : repr(pair); };
  Pair kernel(weight.size(-spatial_dims_), weight.size(-1));
  std::string out = std::to_string(in_channels_) + ", " + std::to_string(out_channels_) +
                    ", kernel_size=" + show(kernel) + ", stride=" + show(options.stride);
  if (!is(options.padding, 0)) out += ", padding=" + show(options.padding);
  if (!is(options.dilation, 1)) out += ", dilation=" + show(options.dilation);
  if (!is(output_padding_, 0)) out += ", output_padding=" + show(output_padding_);
  if (options.groups != 1) out += ", groups=" + std::to_string(options.groups);
  if (!bias.defined()) out += ", bias=False";
  return out;
}

// Of the pairs, conv1d uses only .w; those of the other dimension stay neutral.
Conv1d::Conv1d(int64_t in_channels, int64_t out_channels, int64_t kernel_size, const Conv1dOptions& o)
    : Convolution(
          "Conv1d", in_channels, out_channels, {1, kernel_size},
          {.stride = {1, o.stride}, .padding = {0, o.padding}, .dilation = {1, o.dilation}, .groups = o.groups},
          o.bias, false, 1) {}

Conv2d::Conv2d(int64_t in_channels, int64_t out_channels, Pair kernel_size, const Conv2dOptions& o)
    : Convolution("Conv2d", in_channels, out_channels, kernel_size,
                  {.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups}, o.bias,
                  false, 2) {}

PatchEmbedding::PatchEmbedding(int64_t in_channels, int64_t features, Pair patch)
    : Convolution("PatchEmbedding", in_channels, features, patch, {.stride = patch}, true, false, 2) {}

// Patches do not overlap, so that they are the rows of one product.
Tensor PatchEmbedding::operator()(const Tensor& x) const {
  Call call(*this);
  const auto [h, w] = options.stride;
  check(x.dim() == 4 && x.size(1) == in_channels_ && x.size(2) % h == 0 && x.size(3) % w == 0, "PatchEmbedding: x ",
        x.shape(), ", expected (batch, ", in_channels_, ", a multiple of ", h, ", a multiple of ", w, ")");
  const Tensor patches = x.reshape({x.size(0), in_channels_, x.size(2) / h, h, x.size(3) / w, w});
  const Tensor rows = patches.permute({0, 2, 4, 1, 3, 5}).flatten(3, 5).flatten(1, 2);
  return call(linear(rows, weight.flatten(1), bias));
}

ConvTranspose2d::ConvTranspose2d(int64_t in_channels, int64_t out_channels, Pair kernel_size,
                                 const ConvTranspose2dOptions& o)
    : Convolution("ConvTranspose2d", in_channels, out_channels, kernel_size,
                  {.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups}, o.bias,
                  true, 2, o.output_padding) {}

}  // namespace gradus::nn
