"""Shapley values (Shapley 1953) of any game: exact while all coalitions fit, else approximate."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import torch

from ..explanation import ExplainError
from .game import Game, Progress, Solution, all_coalitions


def solve(game: Game, budget: int, seed: int = 0, progress: Progress | None = None) -> Solution:
    """Play at most `budget` coalitions: all 2^players where they fit, else a sample of them."""
    if 2**game.players > budget:
        return kernel_shap(game, budget, seed, progress)
    outcomes = game.play(all_coalitions(game.players), progress)
    return Solution(shapley(outcomes), float(outcomes[-1]), float(outcomes[0]))


def shapley(outcomes: np.ndarray) -> np.ndarray:
    """Shapley values (n,) of the game whose coalition s (bits = members) is worth outcomes[s].

    phi_i = sum over S without i of (v(S + i) - v(S)) / (n * C(n - 1, |S|)): the mean gain by i
    over all sizes of coalition, and over all coalitions of one size.
    """
    n = len(outcomes).bit_length() - 1
    if len(outcomes) != 2**n or n == 0:
        raise ValueError(f"A game has 2^n outcomes, not {len(outcomes)}.")
    index = np.arange(2**n)
    size = np.bitwise_count(index)
    values = np.empty(n)
    for i in range(n):
        without = index[(index >> i) % 2 == 0]
        weight = np.array([1 / (n * comb(n - 1, int(k))) for k in size[without]])
        values[i] = weight @ (outcomes[without | 1 << i] - outcomes[without])
    return values


def alone(game: Game, progress: Progress | None = None) -> Solution:
    """What each player wins by itself and an equal share of the rest, in n + 2 coalitions.

    The CIS value (Driessen and Funaki 1991, "Coincidence of and collinearity between game theoretic
    solutions"): v(i) - v(none), and what all these leave of v(all) - v(none) shared alike, so that
    values sum to it. It is the Shapley value where no players act on each other, and knows nothing
    of how they do. Nothing is drawn: stderr is None.
    """
    n = game.players
    ends = torch.tensor([[False] * n, [True] * n])
    empty, full, *single = game.play(torch.cat([ends, torch.eye(n, dtype=torch.bool)]), progress)
    gains = np.array(single) - empty
    rest = full - empty - gains.sum()
    return Solution(gains + rest / n, float(full), float(empty))


def kernel_shap(
    game: Game, budget: int, seed: int = 0, progress: Progress | None = None
) -> Solution:
    """Paired KernelSHAP (Covert and Lee 2021, eq. 7 and section 3.3) with standard errors.

    The additive game nearest to the real one under the Shapley kernel, bound to sum to
    v(all) - v(none). Sizes of coalition whose every member is likely to be drawn are played
    whole, the others by pairs of a coalition and its complement. stderr is the sandwich estimate
    over the drawn pairs: what another seed would change. ExplainError when the budget is too small
    to tell players apart.
    """
    n = game.players
    if budget < 4 * n:
        raise ExplainError(f"{n} players need a budget of {4 * n} or more, not {budget}.")
    whole, drawn, mass = _draw(n, budget - 2, seed)
    members = np.concatenate([np.zeros((1, n), bool), np.ones((1, n), bool), whole[0], drawn])
    empty, full, *inner = game.play(torch.from_numpy(members), progress)
    z = members[2:].astype(np.float64)
    weight = np.concatenate([whole[1], np.full(len(drawn), mass / len(drawn))])

    # values = an equal share + basis @ free, where the basis spans what sums to zero
    basis = np.linalg.svd(np.ones((1, n)))[2][1:].T
    gain = full - empty
    rows, target = z @ basis, np.array(inner) - empty - z.sum(axis=1) * gain / n
    bread = np.linalg.pinv(rows.T @ (weight[:, None] * rows))
    free = bread @ rows.T @ (weight * target)

    pull = rows * (target - rows @ free)[:, None]  # what each row would change
    pairs = pull[len(whole[0]) :].reshape(-1, 2, n - 1).mean(axis=1)
    spent = len(rows) / max(len(rows) - (n - 1), 1)  # the fit leaves its own residuals too small
    meat = spent * mass**2 / len(pairs) * np.cov(pairs.T)
    spread = basis @ bread @ meat @ bread @ basis.T
    stderr = np.sqrt(np.diag(spread).clip(min=0))
    return Solution(gain / n + basis @ free, float(full), float(empty), stderr)


def _draw(
    n: int, budget: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, float]:
    """Coalitions played whole with their weights, drawn ones by pairs, and the drawn's weight.

    The kernel gives the coalitions of size k together a weight of 1 / (k (n - k)), here with sum 1.
    """
    sizes = np.arange(1, n)
    kernel = 1 / (sizes * (n - sizes))
    kernel /= kernel.sum()
    left = np.ones(n - 1, bool)  # sizes that are not played whole
    members, weights = [np.zeros((0, n), bool)], [np.zeros(0)]
    for k in range(1, n // 2 + 1):
        both = np.unique([k, n - k])
        count = comb(n, k)
        share = kernel[both - 1].sum() / kernel[left].sum()
        if len(both) * count > budget * share:
            break
        for size in both:
            members.append(_of_size(n, int(size)))
            weights.append(np.full(count, kernel[size - 1] / count))
        left[both - 1] = False
        budget -= len(both) * count
    rng = np.random.default_rng(seed)
    drawn = []
    mass = float(kernel[left].sum())
    for size in rng.choice(sizes[left], size=max(budget // 2, 2), p=kernel[left] / mass):
        one = rng.permutation(n) < size
        drawn += [one, ~one]
    return (np.concatenate(members), np.concatenate(weights)), np.array(drawn), mass


def _of_size(n: int, size: int) -> np.ndarray:
    """All coalitions of `size` among n, (C(n, size), n) bool."""
    members = np.zeros((comb(n, size), n), bool)
    for row, chosen in zip(members, combinations(range(n), size), strict=True):
        row[list(chosen)] = True
    return members
