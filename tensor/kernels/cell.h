// The cells of recurrent layers: what kernels, ops and modules call them, and how large they are.
#pragma once

namespace gradus {

enum class Cell { rnn_tanh, rnn_relu, gru, lstm };

// Static, these and `packed_size`: an instruction set's object must not offer a copy that others are linked to.

// In the order of their weights. GRU: reset, update, new; LSTM: input, forget, cell, output.
static constexpr int gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
// How many numbers of a step, for each hidden unit, its gradient needs.
static constexpr int kept_of(Cell cell) { return cell == Cell::lstm ? 5 : cell == Cell::gru ? 4 : 1; }

}  // namespace gradus
