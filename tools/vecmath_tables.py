#!/usr/bin/env python3
"""Prints tensor/kernels/cpu/vecmath_tables.h: minimax polynomials by pieces, their coefficients rounded to float32 one
after the other, lowest first, so that each makes up for what rounding those before it left. Needs numpy and mpmath."""
import textwrap

import numpy as np
from mpmath import erfc, exp, mp, mpf, sqrt, tanh

mp.dps = 30
NODES = 60


def single(x):
    return float(np.float32(float(x)))


def nodes(low, high):
    angles = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
    return (low + high) / 2 + (high - low) / 2 * np.cos(angles)


def fit(x, y, weight, first, last):
    """float32 coefficients of x^first ... x^last; weighted least squares, reweighted until the errors are level."""
    scale, found = np.abs(x).max(), []
    for k in range(first, last + 1):
        rest = y - sum(c * x ** (first + i) for i, c in enumerate(found))
        powers = np.stack([(x / scale) ** j for j in range(k, last + 1)], 1)
        w, best = np.ones(NODES) / NODES, None
        for _ in range(30):
            root = np.sqrt(w) * weight
            solution = np.linalg.lstsq(powers * root[:, None], rest * root, rcond=None)[0]
            error = np.abs((powers @ solution - rest) * weight)
            if best is None or error.max() < best[1]:
                best = solution, error.max()
            w = w * error + 1e-30
            w /= w.sum()
        found.append(single(best[0][0] / scale ** k))
    return found


def tanh_piece(p):
    if p == 0:  # x + x^2 (...), so that small results are x
        x = nodes(0, 7 / 128)
        return [0, 0, 1] + fit(x, np.array([float(tanh(mpf(v)) - v) for v in x]), 1 / x, 2, 6)
    low, high = (np.uint32(v << 21).view(np.float32) for v in (490 + p, 491 + p))
    middle = single((low + high) / 2)
    x = nodes(float(low), float(high))
    y = np.array([float(tanh(mpf(v))) for v in x])
    return [middle] + fit(x - middle, y, 1 / y, 0, 6)


def mills(t):
    return erfc(t / sqrt(mpf(2))) * exp(t * t / 2) / 2


def mills_piece(p):
    middle = p * 15 / 32
    exact = mills(mpf(middle))
    constant = single(exact)
    lack = single(exact - mpf(constant))
    x = nodes(max(0, middle - 15 / 64), middle + 15 / 64)
    values = [mills(mpf(v)) for v in x]
    rest = np.array([float(v - mpf(constant) - mpf(lack)) for v in values])
    return [lack, constant] + fit(middle - x, rest, np.array([1 / float(v) for v in values]), 1, 6)


def table(name, pieces):
    def number(x):
        text = f"{x:.9g}"
        return text + "f" if "." in text or "e" in text else text

    rows = [", ".join(number(piece[i]) for piece in pieces) + "}" for i in range(len(pieces[0]))]
    body = ",\n".join(textwrap.fill(row, 117, initial_indent="    {", subsequent_indent="     ") for row in rows)
    return f"constexpr float {name}[{len(rows)}][32] = {{\n{body}}};\n"


tanh_pieces = [tanh_piece((i - 10) % 32) for i in range(32)]
mills_pieces = [mills_piece(p) for p in range(32)]
print(f"""\
// Polynomials by pieces, for packs that look coefficients up in tables of 32. Made by tools/vecmath_tables.py.

// tanh for 3/64 <= |x| < 12 in quarters of octaves, and one piece below: the middles of the pieces, and from the
// constant on what multiplies the powers of the distance from there. Piece p stands at (p + 10) % 32, where bits 21 to
// 25 of |x| find it.
// clang-format off
{table("tanh_pieces", tanh_pieces)}
// Mills' ratio M(t) = e^(t^2 / 2) Phi(-t) around t = p 15 / 32: what the constant lacks, the constant, and what
// multiplies the powers of p 15 / 32 - t.
{table("mills_pieces", mills_pieces)}// clang-format on""")
