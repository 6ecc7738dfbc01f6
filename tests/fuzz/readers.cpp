// Whatever bytes a reader is given, it gives something that holds together, or throws one clear Error: libFuzzer looks
// for bytes with which it does neither. GRADUS_FUZZ names the reader; without it, their names are printed. run.sh runs
// them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>

#include "data/idx.h"
#include "data/image.h"
#include "data/text/bpe.h"
#include "data/text/corpus.h"
#include "data/text/unicode.h"
#include "data/text/words.h"
#include "data/unpacked.h"
#include "examples/arguments.h"
#include "examples/image_classifier/sets/optdigits.h"
#include "examples/image_classifier/sets/pictures.h"
#include "examples/metadata.h"
#include "nn/linear.h"
#include "optim/adam.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "train/checkpoint.h"

namespace {

using namespace gradus;

// What no input may bring about; libFuzzer then keeps the input.
void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

// In the current folder. Without OutputFile: one write, nothing is synced.
std::string file_of(const std::string& bytes, const char* name = "input") {
  const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  require(fd >= 0 && write(fd, bytes.data(), bytes.size()) == ssize_t(bytes.size()), "the input can be written");
  close(fd);
  return name;
}

// One line of an error, which a terminal can show.
void look_at(const Error& error) {
  const std::string text = error.what();
  require(!text.empty() && text.size() < 4000, "an error is a line that a person can read");
  require(data::is_utf8(text), "an error is UTF-8");
  for (const char c : text) require((unsigned char)c >= ' ', "an error has no control characters");
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 ||
         std::memcmp(x.storage()->data(), y.storage()->data(), size_t(x.numel()) * size_of(x.dtype())) == 0;
}

void idx(const std::string& bytes) { data::read_idx(file_of(bytes)).sum(); }

void gzip(const std::string& bytes) {
  require(data::read_unpacked(file_of(bytes), 1 << 20).size() <= 1 << 20, "no more is unpacked than was allowed");
}

void npy(const std::string& bytes) {
  const Tensor x = load_npy(file_of(bytes));
  const std::string copy = "copy";
  save_npy(copy, x);
  require(same(load_npy(copy), x), "a saved array comes back");
}

void safetensors(const std::string& bytes) {
  const TensorFile file = load_safetensors(file_of(bytes));
  const std::string copy = "copy";
  save_safetensors(copy, file);
  const TensorFile again = load_safetensors(copy);
  require(again.metadata == file.metadata && again.tensors.size() == file.tensors.size(), "saved tensors come back");
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    require(again.tensors[i].first == file.tensors[i].first, "names come back");
    require(same(again.tensors[i].second, file.tensors[i].second), "numbers come back");
  }
}

// A checkpoint that is refused changes nothing; one that is taken gives the same bytes when saved.
void checkpoint(const std::string& bytes) {
  static nn::Linear model(3, 2);
  static optim::Adam optimizer(model.parameters(), {});
  const std::vector<train::CheckpointPart> parts = {train::part("", model), train::part("optimizer", optimizer)};
  const std::string before = "before", after = "after";
  train::save_checkpoint(before, parts);
  try {
    train::load_checkpoint(file_of(bytes), parts);
  } catch (const Error&) {
    train::save_checkpoint(after, parts);
    require(read_file(after) == read_file(before), "a checkpoint that is refused changes nothing");
    throw;
  }
}

void image(const std::string& bytes) {
  const Tensor pixels = data::decode_image(bytes);
  require(pixels.dtype() == uint8 && pixels.dim() == 3 && (pixels.size(0) == 1 || pixels.size(0) == 3),
          "an image has one channel or three");
  require(pixels.shape() == data::image_shape_of(bytes), "an image has the shape that its header says");
  require(same(data::decode_image(data::encode_png(pixels)), pixels), "a PNG file gives the image back");
}

void tokenizer(const std::string& bytes) {
  const auto t = data::parse_tokenizer(bytes);
  const std::string json = t->to_json();
  const auto again = data::parse_tokenizer(json);
  require(again->to_json() == json, "a saved tokeniser comes back");
  const std::string text = "a b  ab, 你好 <s>\n";
  const std::vector<int64_t> ids = t->encode(text);
  require(again->encode(text) == ids, "it cuts texts as before");
  for (const int64_t id : ids) require(id >= 0 && id < t->size(), "ids are those of tokens");
  t->decode(ids);
}

// The two files of GPT-2's tokeniser, parted by a zero byte.
void gpt2(const std::string& bytes) {
  const size_t cut = std::min(bytes.find('\0'), bytes.size());
  const std::string json = file_of(bytes.substr(0, cut), "encoder.json");
  const auto t =
      data::BytePairTokenizer::gpt2(json, file_of(bytes.substr(std::min(cut + 1, bytes.size())), "vocab.bpe"));
  for (const int64_t id : t.encode("ab ab")) t.token(id);
}

void lines(const std::string& bytes) {
  const std::string path = file_of(bytes);
  for (const std::string& line : data::read_lines(path)) require(data::is_utf8(line), "a line is UTF-8");
}

void pairs(const std::string& bytes) {
  const auto all = data::read_tsv(file_of(bytes));
  const data::PairSplit parts = data::split_pairs(all, 0.2, 0.2, 1);
  require(parts.train.size() + parts.validation.size() + parts.test.size() == all.size(), "no pair is lost");
}

void unicode(const std::string& bytes) {
  const std::string mended = data::mend_utf8(bytes);
  require(data::is_utf8(mended), "mended text is UTF-8");
  require(data::is_utf8(bytes) == (mended == bytes), "text that is UTF-8 is left alone, and no other");
  require(data::encode_utf8(data::decode_utf8(mended)) == mended, "decoded text is encoded as it was");
  const std::string composed = data::nfc(mended);
  require(data::nfc(composed) == composed, "what is in NFC stays");
  std::string pieces;
  for (const std::string& piece : data::gpt2_pieces(mended)) pieces += piece;
  require(pieces == mended, "pieces make up the text");
  data::lower(mended);
  data::display_width(mended);
  for (const char* language : {"en", "fr"})
    require(data::is_utf8(data::word_detokenize(data::word_tokenize(mended, language), language)), "words are UTF-8");
  data::decode_utf8(bytes);
}

void archive(const std::string& bytes) {
  const image_classifier::Place place(file_of(bytes, "pictures.tar"));
  place.common_size(64, true);
  const data::ImageSet set = place.images("", {.channels = 3, .height = 8, .width = 8});
  require(set != nullptr, "an archive with images has a set of them");
}

void optdigits(const std::string& bytes) {
  file_of(bytes, "optdigits.tra");
  image_classifier::optdigits(".", data::Split::train);
}

// Command lines: a program's kinds of options, and what is kept of them in checkpoints.
void options(const std::string& bytes) {
  int64_t count = 1;
  double rate = 0.1, share = 0.5;
  std::string name = "a", where = "here";
  bool flag = false;
  CLI::App app("fuzzed");
  examples::add_option(app, "count", count, "", examples::whole(1, examples::many));
  examples::add_option(app, "lr", rate, "", examples::learning_rate());
  examples::add_option(app, "share", share, "", examples::number(0, 0.9));
  examples::add_option(app, "name", name, "", examples::one_of({"a", "b"}));
  examples::add_option(app, "where", where, "", examples::path());
  examples::add_option(app, "flag", flag, "", examples::path());
  try {
    app.parse(bytes);
  } catch (const CLI::ParseError&) {
    return;
  }
  require(count >= 1 && rate > 0 && rate <= 1000 && share >= 0 && share <= 0.9, "numbers are within their limits");
  require((name == "a" || name == "b") && !where.empty(), "names are those that there are");
}

const std::map<std::string, std::function<void(const std::string&)>> readers = {
    {"archive", archive},
    {"checkpoint", checkpoint},
    {"gpt2", gpt2},
    {"gzip", gzip},
    {"idx", idx},
    {"image", image},
    {"lines", lines},
    {"npy", npy},
    {"options", options},
    {"optdigits", optdigits},
    {"pairs", pairs},
    {"safetensors", safetensors},
    {"tokenizer", tokenizer},
    {"unicode", unicode},
};

const std::function<void(const std::string&)>* reader = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("GRADUS_FUZZ");
  const auto found = readers.find(name ? name : "");
  if (found != readers.end()) {
    reader = &found->second;
    return 0;
  }
  if (name) std::fprintf(stderr, "there is no reader %s\n", name);
  for (const auto& [each, unused] : readers) std::printf("%s\n", each.c_str());
  std::exit(name ? 2 : 0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  try {
    (*reader)(std::string(reinterpret_cast<const char*>(bytes), count));
  } catch (const Error& error) {
    look_at(error);
  }
  return 0;
}
