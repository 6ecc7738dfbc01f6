#include "data_sets.h"

#include <filesystem>

#include "data/idx.h"
#include "data/image_folder.h"
#include "examples/made_up/digits.h"

namespace image_classifier {

using namespace gradus;

namespace {

constexpr int64_t drawn_for_training = 10000, drawn_for_testing = 2000;

std::string kind_of(const std::string& argument) { return argument.substr(0, argument.find(':')); }
std::string folder_of(const std::string& argument) {
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

DataSets open_folder(const std::string& root, const data::ImageFolderOptions& options) {
  auto exists = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::is_directory(root + "/" + name, ignored);
  };
  if (exists("train") && (exists("test") || exists("val"))) {
    const std::string test = root + (exists("test") ? "/test" : "/val");
    DataSets sets = {data::image_folder(root + "/train", options), data::image_folder(test, options)};
    check(sets.train->classes() == sets.test->classes(), root, ": the classes in train and in ", test, " differ");
    return sets;
  }
  const data::ImageSet all = data::image_folder(root, options);
  std::vector<int64_t> train, test;
  for (int64_t i = 0; i < all->size(); ++i) (i % 5 == 4 ? test : train).push_back(i);
  check(!test.empty(), root, ": ", all->size(), " images, expected at least 5");
  return {data::subset(all, train), data::subset(all, test)};
}

}  // namespace

std::string data_argument_fault(const std::string& argument) {
  const std::string kind = kind_of(argument);
  const bool has_folder = argument.find(':') != std::string::npos;
  const bool known = kind == "digits"                             ? !has_folder
                     : kind == "mnist" || kind == "fashion_mnist" ? !has_folder || !folder_of(argument).empty()
                                                                  : kind == "folder" && !folder_of(argument).empty();
  return known ? "" : "'" + argument + "' is none of digits, mnist[:DIR], fashion_mnist[:DIR], folder:DIR";
}

DataSets open_data(const std::string& argument, const DataOptions& options) {
  const std::string kind = kind_of(argument), folder = folder_of(argument), fault = data_argument_fault(argument);
  check(fault.empty(), fault);
  DataSets sets;
  if (kind == "digits") {
    const int64_t count = options.samples ? options.samples : drawn_for_training;
    return {examples::digits(count, 1), examples::digits(std::min(count, drawn_for_testing), 2)};
  }
  if (kind == "mnist") {
    const std::string dir = folder.empty() ? data::find_data("mnist") : folder;
    sets = {data::mnist(dir, data::Split::train), data::mnist(dir, data::Split::test)};
  } else if (kind == "fashion_mnist") {
    const std::string dir = folder.empty() ? data::find_data("fashion-mnist") : folder;
    sets = {data::fashion_mnist(dir, data::Split::train), data::fashion_mnist(dir, data::Split::test)};
  } else {
    sets = open_folder(folder, {.channels = options.grey ? 1 : 3, .height = options.size, .width = options.size});
  }
  sets.train = first(sets.train, options.samples);
  return sets;
}

}  // namespace image_classifier
