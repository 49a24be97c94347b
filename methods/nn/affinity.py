"""Affinities of neighbouring cells: pairs, labels, loss and random walk (arXiv:1803.10464)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from scipy.sparse import coo_matrix, diags, identity
from torch import Tensor
from torch.nn import functional

from benchmark.device import full_precision, without_autocast

IGNORED = -1
"""The label of a cell whose pairs are not trained on."""
EPSILON = 1e-5
"""Added inside the loss's logarithms (released code)."""


def offsets(radius: int, height: int, width: int) -> list[tuple[int, int]]:
    """Return (down, right) from a cell to its partners nearer than ``radius``, in a half plane.

    Each pair of cells is reached from one of its two; radius 5 gives 34. Offsets that leave a grid
    of ``height`` × ``width`` from every cell are left out.
    """
    return [
        (down, right)
        for down in range(min(radius, height))
        for right in range(1 - radius, radius)
        if (down > 0 or right > 0) and down**2 + right**2 < radius**2 and abs(right) < width
    ]


def _ends(grid: Tensor, radius: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, offset by offset, both ends of all pairs of a grid (..., h, w) as two slices."""
    height, width = grid.shape[-2:]
    for down, right in offsets(radius, height, width):
        left = max(-right, 0)
        first = grid[..., : height - down, left : width - max(right, 0)]
        yield first, grid[..., down:, left + right : width + min(right, 0)]


def pair_indices(height: int, width: int, radius: int) -> tuple[Tensor, Tensor]:
    """Return the cells (P,), row by row, at the two ends of every pair in a grid."""
    first, second = pair_ends(torch.arange(height * width).view(1, height, width), radius)
    return first[0], second[0]


def pair_ends(grid: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return what stands at the two ends (B, P) of every pair in a grid (B, h, w)."""
    none = grid[:, :0]  # a grid of one cell has no pair
    ends = [(none, none), *_ends(grid, radius)]
    first, second = (torch.cat([end[place].flatten(1) for end in ends], 1) for place in (0, 1))
    return first, second


def affinities(features: Tensor, radius: int) -> Tensor:
    """Return exp(-mean |f_i - f_j|) of the pairs (B, P) for features (B, D, h, w).

    Sec. 3.2 with the released code's mean over D, where the paper writes the sum: a matter of the
    features' scale. Pairs in the order of ``pair_indices``; in single precision at least.
    """
    features = features.float() if features.dtype != torch.float64 else features
    found = [features[:, 0, :0, 0]]  # a grid of one cell has no pair
    for first, second in _ends(features, radius):
        found.append(torch.exp(-(first - second).abs().mean(dim=1)).flatten(1))
    return torch.cat(found, dim=1)


def cell_labels(
    sure_object: Tensor, sure_background: Tensor, size: tuple[int, int], num_labels: int
) -> Tensor:
    """Return the label (B, h, w) of each cell: a class id, 0 for background, or IGNORED.

    Both inputs are labels (B, H, W) of pixels, below ``num_labels``, which a GPU would have to be
    waited for to find, and -1 outside the image: the first made with a strong
    background score, so that its classes can be trusted, the second with a weak one, so that its
    background can. The pixels of a cell vote in each; of equals the lower id wins.
    """
    objects, inside = _voted(sure_object, size, num_labels)
    backgrounds, _ = _voted(sure_background, size, num_labels)
    labels = torch.where(objects > 0, objects, IGNORED)
    labels = torch.where(backgrounds == 0, 0, labels)
    return torch.where(inside, labels, IGNORED)


def _voted(labels: Tensor, size: tuple[int, int], num_labels: int) -> tuple[Tensor, Tensor]:
    """Return the most frequent label (B, h, w) of each cell, and whether any pixel had one."""
    ids = torch.arange(num_labels, device=labels.device)
    votes = (labels[:, None] == ids[:, None, None]).float()
    shares = functional.adaptive_avg_pool2d(votes, size)
    return shares.argmax(dim=1), shares.sum(dim=1) > 0


def cell_means(maps: Tensor, size: torch.Size) -> Tensor:
    """Return the mean over each cell of maps (B, D, H, W): adaptive average pooling to (h, w).

    By a product with a matrix of each side, since a window is a rectangle: the pooling's own
    backward has no deterministic algorithm on a GPU. What is averaged is in single precision at
    least.
    """
    if maps.shape[2:] == size:
        return maps
    maps = full_precision(maps)
    rows, columns = (
        _averaging(cells, pixels, maps) for cells, pixels in zip(size, maps.shape[2:], strict=True)
    )
    with without_autocast(maps.device):
        return rows @ maps @ columns.T


def _averaging(cells: int, pixels: int, like: Tensor) -> Tensor:
    """Return the matrix (cells, pixels) whose rows average over adaptive pooling's windows.

    That of cell i begins at ⌊i · pixels / cells⌋ and ends before ⌈(i + 1) · pixels / cells⌉.
    """
    cell = torch.arange(cells, device=like.device)[:, None]
    pixel = torch.arange(pixels, device=like.device)
    inside = (cell * pixels // cells <= pixel) & (pixel * cells < (cell + 1) * pixels)
    return inside.to(like.dtype) / inside.sum(dim=1, keepdim=True)


def affinity_loss(affinity: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return ¼ background + ¼ object + ½ different, each the mean over its pairs of the batch.

    Sec. 3.2. Affinities (B, P) and the labels (B, P) at both ends; a pair with an ignored end
    counts nowhere, and a kind of which there is no pair counts 0.
    """
    known = (first != IGNORED) & (second != IGNORED)
    same = known & (first == second)
    alike = -torch.log(affinity + EPSILON)
    unlike = -torch.log(1 + EPSILON - affinity)
    return (
        _mean(alike, same & (first == 0)) / 4
        + _mean(alike, same & (first > 0)) / 4
        + _mean(unlike, known & ~same) / 2
    )


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values; 0, with a gradient of 0, where there is none."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)


def random_walk(
    scores: Tensor, affinity: Tensor, radius: int, beta: float, doublings: int
) -> Tensor:
    """Spread scores (K, h, w) for 2^doublings steps over one image's affinities (P,).

    Sec. 3.3: the transition matrix is the affinity to the power of ``beta``, symmetric, 1 on
    its diagonal, over its columns' sums, so that each step replaces a cell's score by the
    weighted mean of its neighbours'. The released code squares the dense matrix; here the sparse
    one is applied 2^doublings times, which is the same and needs no (h · w)² numbers. On the CPU,
    in double precision, without gradients.
    """
    height, width = scores.shape[1:]
    count = height * width
    first, second = (end.numpy() for end in pair_indices(height, width, radius))
    weight = affinity.detach().double().cpu().numpy() ** beta
    half = coo_matrix((weight, (first, second)), (count, count))
    matrix = (half + half.T + identity(count)).tocsr()
    step = diags(1 / matrix.sum(axis=1).A1) @ matrix
    spread = scores.detach().flatten(1).T.double().cpu().numpy()
    for _ in range(2**doublings):
        spread = step @ spread
    return torch.from_numpy(spread.T.copy()).view(scores.shape).to(scores)
