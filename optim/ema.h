// An exponential moving average of weights, often better than the weights themselves, as plain averages are
// (Polyak and Juditsky 1992).
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

//   optim::EMA average(model.parameters(), 0.999);
//   ... optimizer.step(); average.update(); ...
//   { optim::EMA::Scope averaged(average); evaluate(model); }   // the weights are back afterwards
class EMA {
 public:
  // Starts at the parameters' values. Throws Error unless 0 <= decay < 1.
  EMA(const std::vector<Tensor>& parameters, double decay);

  // average = decay average + (1 - decay) parameter
  void update();
  // Exchanges the averages with the parameters' values.
  void swap();

  class Scope {
   public:
    explicit Scope(EMA& ema) : ema_(ema) { ema_.swap(); }
    ~Scope() { ema_.swap(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    EMA& ema_;
  };

  const std::vector<Tensor>& averages() const { return averages_; }  // in the order of the parameters
  NamedTensors state_dict() const;                                   // "0", "1", ...: the averages
  void load_state_dict(const NamedTensors& state);  // throws Error, changing nothing, where it does not fit

 private:
  void follow();  // converts averages whose parameter was converted

  std::vector<Tensor> parameters_, averages_;
  double decay_;
};

}  // namespace gradus::optim
