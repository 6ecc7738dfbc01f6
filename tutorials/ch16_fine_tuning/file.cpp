// What is in a checkpoint, byte by byte, and what happens when it does not fit the model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "optim/adam.h"
#include "tensor/io/file.h"
#include "train/checkpoint.h"
#include "tune.h"
#include "tutorials/refused.h"

using namespace ch16;
using tutorials::refused;

namespace {

void print_bytes(const std::string& bytes, size_t from, size_t to, const char* what) {
  for (size_t at = from; at < to; at += 16) {
    std::printf("%4zu ", at);
    for (size_t i = at; i < std::min(at + 16, to); ++i)
      std::printf(" %02x", unsigned(static_cast<unsigned char>(bytes[i])));
    std::printf("  %s\n", what);
  }
}

void two_tensors() {
  //! [write]
  const PassingFile file("two.safetensors");
  const Tensor weight = tensor({{1, 2}, {-0.5, 0}}), steps = from_vector(std::vector<int64_t>{7}, {1});
  save_safetensors(file.path, {{{"head.weight", weight}, {"steps", steps}}, {{"task", "doer"}}});
  const std::string bytes = read_file(file.path);
  //! [write]
  const size_t header = 8 + size_t(static_cast<unsigned char>(bytes[0]));
  std::printf("a file of %zu bytes\n", bytes.size());
  print_bytes(bytes, 0, 8, "the length of the header");
  for (size_t at = 8; at < header; at += 64)
    std::printf("%4zu  %s\n", at, bytes.substr(at, std::min<size_t>(64, header - at)).c_str());
  print_bytes(bytes, header, header + 8, "steps");
  print_bytes(bytes, header + 8, bytes.size(), "head.weight");
  check(header < 256 && bytes.size() == header + 24, "a header that one byte can count, and 24 bytes of numbers");
}

//! [load what fits]
// Copies the tensors that the model has under the same name and shape. Gives the names of those it has besides.
std::vector<std::string> load_what_fits(nn::Module& model, const nn::StateDict& file) {
  const std::map<std::string, Tensor> given(file.begin(), file.end());
  nn::StateDict state = model.state_dict();
  std::vector<std::string> left;
  for (auto& [name, tensor] : state) {
    const auto found = given.find(name);
    if (found != given.end() && found->second.shape() == tensor.shape())
      tensor = found->second;
    else
      left.push_back(name);
  }
  model.load_state_dict(state);
  return left;
}
//! [load what fits]

}  // namespace

int main(int argc, char** argv) {
  std::string from = checkpoint();
  CLI::App app("Looks into checkpoints.");
  app.add_option("--from", from, "weights that pretrain --out has written")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    two_tensors();

    const TensorFile file = load_safetensors(from);
    Reader reader;
    reader.load_state_dict(file.tensors);
    std::printf("\nthe reader's file\n");
    for (size_t i = 0; i < file.tensors.size(); ++i) {
      const auto& [name, tensor] = file.tensors[i];
      if (i > 4 && i + 2 < file.tensors.size()) continue;
      std::printf("  %-42s%s %s\n", name.c_str(), std::string(to_string(tensor.dtype())).c_str(),
                  to_string(tensor.shape()).c_str());
    }
    int64_t weights = count(file.tensors), bytes = bytes_of(file);
    std::printf("%zu tensors, %lld numbers of 4 bytes, a file of %lld bytes\n", file.tensors.size(),
                static_cast<long long>(weights), static_cast<long long>(bytes));
    check(4 * weights < bytes && bytes < 4 * weights + 4096, "a header should be small");
    optim::AdamW optimizer(reader.parameters());
    next_word_loss(reader, draw_tests(1).old_task).backward();
    optimizer.step();
    const PassingFile run("run.safetensors");
    train::save_checkpoint(run.path, {train::part("", reader), train::part("optimizer", optimizer)});
    std::printf("with what AdamW knows: %lld bytes\n\n",
                static_cast<long long>(std::filesystem::file_size(run.path)));

    nn::StateDict state = file.tensors;
    Reader other;
    for (auto& [name, tensor] : state) {
      if (name == "blocks.norm.bias") name = "blocks.norm.beta";
      if (name == "embedding.weight") tensor = tensor.narrow(0, 0, 90);
    }
    refused("a renamed tensor and a shorter vocabulary", [&] { other.load_state_dict(state); });

    Classifier classifier;
    const auto report = [&](const char* what, const std::vector<std::string>& left) {
      std::printf("%s: %zu of %zu as they were drawn, %s", what, left.size(), classifier.state_dict().size(),
                  left[0].c_str());
      std::printf(left.size() > 1 ? " to %s\n" : "\n", left.back().c_str());
      return left.size();
    };
    const size_t none = report("into the classifier", load_what_fits(classifier, file.tensors));
    nn::StateDict prefixed;
    for (const auto& [name, tensor] : file.tensors) prefixed.emplace_back("body." + name, tensor);
    const size_t fits = report("with \"body.\" before each name", load_what_fits(classifier, prefixed));
    check(none == classifier.state_dict().size() && fits == 2, "nothing fits, then all but the head");
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
