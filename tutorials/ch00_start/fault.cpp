// What the library says when layers do not fit together.
#include <gradus/gradus.h>

#include <iostream>

using namespace gradus;

int main() {
  bool refused = false;
  //! [fault]
  nn::Sequential model{nn::Linear(4, 8), nn::ReLU(), nn::Linear(9, 2)};
  try {
    model(randn({5, 4}));
  } catch (const Error& error) {
    std::cout << "error: " << error.what() << "\n";
    refused = true;
  }
  //! [fault]
  check(refused, "eight features went into a layer that takes nine");
}
