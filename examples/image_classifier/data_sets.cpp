#include "data_sets.h"

#include <cstdio>

#include "data/idx.h"
#include "examples/made_up/digits.h"
#include "sets/cifar.h"
#include "sets/optdigits.h"
#include "sets/pictures.h"
#include "tensor/io/file.h"
#include "train/progress.h"

namespace image_classifier {

using namespace gradus;

namespace {

constexpr int64_t drawn_for_training = 10000, drawn_for_testing = 2000;

std::string kind_of(const std::string& argument) { return argument.substr(0, argument.find(':')); }
std::string path_of(const std::string& argument) {
  const size_t colon = argument.find(':');
  return colon == std::string::npos ? "" : argument.substr(colon + 1);
}

data::ImageSet first(data::ImageSet set, int64_t count) {
  if (count == 0 || count >= set->size()) return set;
  // Evenly spread, since files come sorted by class.
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i * set->size() / count);
  return data::subset(set, indices);
}

// Of all pictures those that can be read, the others named on stderr, behind a bar on the terminal meanwhile.
data::ImageSet without_bad(const data::ImageSet& set, const std::string& root, const std::string& part) {
  std::vector<std::string> faults;
  data::ImageSet good;
  {
    train::Progress bar(part.empty() ? "reading" : "reading " + part, set->size());
    good = good_images(
        set, [&](const std::string& why) { faults.push_back(why); }, [&](int64_t done) { bar.update(done, ""); });
  }
  for (const std::string& why : faults) std::fprintf(stderr, "skipped %s\n", why.c_str());
  check(good->size() > 0, printable(root), ": none of its images can be read");
  return good;
}

DataSets open_folder(const std::string& root, const DataOptions& options) {
  const Place place(root);
  const int64_t size = options.size > 0 ? options.size : place.common_size(64, options.skip_bad);
  auto open = [&](const std::string& part) {
    const data::ImageSet all = kept(place.images(part, {options.grey ? 1 : 3, size, size}));
    return options.skip_bad ? without_bad(all, root, part) : all;
  };
  if (place.has_folder("train") && (place.has_folder("test") || place.has_folder("val"))) {
    const std::string test = place.has_folder("test") ? "test" : "val";
    DataSets sets = {open("train"), open(test)};
    check(sets.train->classes() == sets.test->classes(), printable(root), ": the classes in train and in ", test,
          " differ");
    return sets;
  }
  const data::ImageSet all = open("");
  std::vector<int64_t> train, test;
  for (int64_t i = 0; i < all->size(); ++i) (i % 5 == 4 ? test : train).push_back(i);
  check(!test.empty(), printable(root), ": ", all->size(), " images, expected at least 5");
  return {data::subset(all, train), data::subset(all, test)};
}

DataSets open_cifar10(std::string dir, bool skip_bad) {
  const std::string archive = "/cifar10-jpg.tar.gz";
  if (dir.empty()) {
    const std::string root = data::find_data();
    dir = root + "/cifar-10-batches-bin";
    if (!file_exists(dir + "/test_batch.bin") && file_exists(root + "/cifar10-jpg" + archive))
      dir = root + "/cifar10-jpg";
  }
  if (file_exists(dir + archive)) return open_folder(dir + archive, {.size = 32, .skip_bad = skip_bad});
  return {cifar10(dir, data::Split::train), cifar10(dir, data::Split::test)};
}

}  // namespace

std::string data_argument_fault(const std::string& argument) {
  const std::string kind = kind_of(argument);
  const bool has_path = argument.find(':') != std::string::npos, empty = path_of(argument).empty();
  for (const char* name : {"mnist", "fashion_mnist", "cifar10", "optdigits"}) {
    if (kind == name && (!has_path || !empty)) return "";
  }
  if ((kind == "digits" && !has_path) || (kind == "folder" && !empty)) return "";
  return "'" + argument + "' is none of digits, mnist[:DIR], fashion_mnist[:DIR], cifar10[:DIR], optdigits[:DIR], " +
         "folder:PATH";
}

DataSets open_data(const std::string& argument, const DataOptions& options) {
  const std::string kind = kind_of(argument), path = path_of(argument), fault = data_argument_fault(argument);
  check(!argument.empty(), "a converted model comes without images: name some with --data");
  check(fault.empty(), fault);
  auto dir = [&](const char* name) { return path.empty() ? data::find_data(name) : path; };
  DataSets sets;
  if (kind == "digits") {
    const int64_t count = options.samples ? options.samples : drawn_for_training;
    return {examples::digits(count, 1), examples::digits(std::min(count, drawn_for_testing), 2)};
  }
  if (kind == "mnist") {
    sets = {data::mnist(dir("mnist"), data::Split::train), data::mnist(dir("mnist"), data::Split::test)};
  } else if (kind == "fashion_mnist") {
    const std::string from = dir("fashion-mnist");
    sets = {data::fashion_mnist(from, data::Split::train), data::fashion_mnist(from, data::Split::test)};
  } else if (kind == "cifar10") {
    sets = open_cifar10(path, options.skip_bad);
  } else if (kind == "optdigits") {
    const std::string from = dir("optdigits");
    sets = {optdigits(from, data::Split::train), optdigits(from, data::Split::test)};
  } else {
    sets = open_folder(path, options);
  }
  sets.train = first(sets.train, options.samples);
  return sets;
}

}  // namespace image_classifier
