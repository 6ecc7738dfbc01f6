// English and Chinese made by a small grammar: as many sentence pairs as wanted, every one right, none to download.
//
// What has to be learnt is what makes translation hard: time and place move in front of the verb, questions keep their
// order and end in 吗, relative clauses go before their noun, each noun has its measure word, English verbs change
// where Chinese ones do not, and one English word may be two Chinese words or none. Words are parted by spaces.
#pragma once

#include "data/text/corpus.h"

namespace examples {

// `count` distinct pairs in all. Some combinations of a verb with an object and of an adjective with a noun are held
// out: no sentence of `train` has one, each of `validation` and `test` (1 in 20 each) has one or more. Throws Error
// for a count above a million.
gradus::data::PairSplit grammar_corpus(int64_t count = 100000, uint64_t seed = 1);

}  // namespace examples
