#!/usr/bin/env python3
"""Prints tensor/kernels/cpu/vecmath_tables.h: minimax polynomials by pieces, their coefficients rounded to float32 one
after the other, lowest first, so that each makes up for what rounding those before it left. Needs numpy and mpmath."""
import textwrap

import numpy as np
from mpmath import diff, erf, erfc, log, mp, mpf, npdf, sqrt, tanh, taylor

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


def erf_piece(p):
    if p == 0:
        x = nodes(0, 5 / 256)
        y = np.array([float(erf(mpf(v))) for v in x])
        return [0, 0] + fit(x, y - x, 1 / y, 1, 6)
    low, high = (np.uint32(v << 21).view(np.float32) for v in (484 + p, 485 + p))
    middle = single((low + high) / 2)
    x = nodes(float(low), float(high))
    y = np.array([float(erf(mpf(v))) for v in x])
    return [middle] + fit(x - middle, y, 1 / y, 0, 6)


def log_of_normal(m):
    return log(erfc(-m / sqrt(mpf(2))) / 2, 2)


def normal_piece(p):
    """The middle, near -15/32 p, is of all floats there the one whose value and slope are closest to floats (Gal's
    accurate tables, 1986), so that they need no second parts."""
    reach, shift = 15 / 64, 0.02
    middle = -2 * p * reach
    series = [np.longdouble(str(c)) for c in taylor(log_of_normal, mpf(middle), 12)]
    if p > 0:
        around = np.float32(middle).view(np.uint32)
        ulp = float(np.spacing(np.float32(-middle)))
        steps = np.arange(-int(shift / ulp), int(shift / ulp) + 1)
        near = (around + steps).astype(np.uint32).view(np.float32)
        h = near.astype(np.longdouble) - np.longdouble(middle)
        value = sum(c * h**i for i, c in enumerate(series))
        slope = sum(i * c * h ** (i - 1) for i, c in enumerate(series) if i)
        lack = lambda v: np.abs(v - v.astype(np.float32))
        middle = float(near[np.argmin(lack(value) + lack(slope) * (reach + shift))])
    value, slope = (single(f(mpf(middle))) for f in (log_of_normal, lambda m: diff(log_of_normal, m)))
    x = nodes(-(2 * p + 1) * reach, min(0, -(2 * p - 1) * reach))
    rest = np.array([float(log_of_normal(mpf(v)) - value - mpf(slope) * (mpf(v) - middle)) for v in x])
    return [middle, value, slope] + fit(x - middle, rest, np.ones(NODES), 2, 5)


def slope_piece(p):
    reach = 7 / 64
    middle = 2 * p * reach
    x = nodes(max(0, middle - reach), middle + reach)
    y = np.array([float(erf(mpf(v) / sqrt(mpf(2))) / 2 + mpf(v) * npdf(mpf(v))) for v in x])
    return fit(x - middle, y, np.ones(NODES), 0, 5)


def table(name, pieces):
    def number(x):
        text = f"{x:.9g}"
        return text + "f" if "." in text or "e" in text else text

    rows = [", ".join(number(piece[i]) for piece in pieces) + "}" for i in range(len(pieces[0]))]
    body = ",\n".join(textwrap.fill(row, 117, initial_indent="    {", subsequent_indent="     ") for row in rows)
    return f"constexpr float {name}[{len(rows)}][32] = {{\n{body}}};\n"


print(f"""\
// Polynomials by pieces, for packs that look coefficients up in tables of 32. Made by tools/vecmath_tables.py.

// tanh for 3/64 <= |x| < 12 in quarters of octaves, and one piece below: the middles of the pieces, and from the
// constant on what multiplies the powers of the distance from there. Piece p stands at (p + 10) % 32, where bits 21 to
// 25 of |x| find it.
// clang-format off
{table("tanh_pieces", [tanh_piece((i - 10) % 32) for i in range(32)])}
// The same of erf for 1/64 <= |x| < 4, and of erf(x) - x in the piece below; piece p stands at (p + 4) % 32.
{table("erf_pieces", [erf_piece((i - 4) % 32) for i in range(32)])}
// The binary logarithm of the normal distribution function at -15 (p + 1/2) / 32 ... -15 (p - 1/2) / 32: the middles,
// and from the constant on what multiplies the powers of the distance from there.
{table("normal_pieces", [normal_piece(p) for p in range(32)])}
// The derivative of x Phi(x) above 1/2, around 7 p / 32: what multiplies the powers of the distance from there.
{table("slope_pieces", [slope_piece(p) for p in range(32)])}// clang-format on""")
