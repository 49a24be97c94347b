"""Self-attention that saliency keeps within the objects, as pure functions on cells.

Shapes: B images, N = h · w cells in rows, d channels of keys and queries. Row i of a matrix
(B, N, N) belongs to the cell that gathers, column j to the cell that is gathered from.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5
"""Added to the sum of a row before it divides (SGAN's released code)."""

Normalisation = Literal["row_sum", "shifted", "softmax"]
NonSalient = Literal["average", "similarity", "none"]


def salient_cells(
    saliency: Tensor, size: tuple[int, int], threshold: float, ring: bool = True
) -> Tensor:
    """Return which cells are salient, bool (B, h, w): saliency (B, H, W) above ``threshold``.

    The map is first resized bilinearly to ``size``. With ``ring`` the outermost cells are not
    salient, whatever the map says (released code). No gradient.
    """
    cells = functional.interpolate(
        saliency.detach()[:, None], size, mode="bilinear", align_corners=False
    )
    salient = cells[:, 0] > threshold
    return salient & _inside(size, salient.device) if ring else salient


def _inside(size: tuple[int, int], device: torch.device) -> Tensor:
    inside = torch.zeros(size, dtype=torch.bool, device=device)
    inside[1:-1, 1:-1] = True
    return inside


def similarities(keys: Tensor, queries: Tensor) -> Tensor:
    """SGAN Eq. 1, P_ij = K_i · Q_j: keys and queries (B, d, h, w) -> (B, N, N)."""
    return keys.flatten(2).transpose(1, 2) @ queries.flatten(2)


def context_attention(
    similarity: Tensor, salient: Tensor, normalisation: Normalisation, non_salient: NonSalient
) -> Tensor:
    """Return the context attention D (B, N, N) of similarities (B, N, N), salient bool (B, N).

    Salient cells attend to salient ones. Non-salient cells attend to all non-salient ones alike
    (``average``, SGAN's released code), to these by their similarity (``similarity``, SGAN
    Eq. 2), or to none, their rows being 0. ``normalisation`` makes weights of a row's
    similarities: see ``row_sum``, ``shifted``, ``masked_softmax``.
    """
    seen = pairs(salient)
    if non_salient == "similarity":
        seen = seen | pairs(~salient)
    normalise = {"row_sum": row_sum, "shifted": shifted, "softmax": masked_softmax}[normalisation]
    weights = normalise(similarity, seen)
    if non_salient == "average":
        weights = weights + average(~salient, weights.dtype)
    return weights


def pairs(cells: Tensor) -> Tensor:
    """Return where both the row's and the column's cell are among ``cells``: (B, N, N) bool."""
    return cells[:, :, None] & cells[:, None, :]


def average(cells: Tensor, dtype: torch.dtype) -> Tensor:
    """Return rows that average over ``cells``, bool (B, N), for these cells, and 0 for others."""
    count = cells.sum(dim=1).clamp(min=1)[:, None, None]
    return pairs(cells).to(dtype) / count


def row_sum(similarity: Tensor, seen: Tensor) -> Tensor:
    """SGAN Eq. 3: the similarities of the pairs ``seen`` over their sum in each row.

    As printed it is undefined where the sum is 0; here the sum is moved away from 0 by
    ``EPSILON``. Weights are negative, or far above 1, where similarities of both signs cancel.
    """
    kept = similarity * seen
    total = kept.sum(dim=2, keepdim=True)
    return kept / (total + torch.where(total < 0, -EPSILON, EPSILON))


def shifted(similarity: Tensor, seen: Tensor) -> Tensor:
    """SGAN's released code: less the row's minimum, masked again, over the sum of the row.

    The minimum is that of the masked row, so at most 0 where a cell is masked. A row whose
    similarities all equal the minimum becomes 0.
    """
    kept = similarity * seen
    kept = (kept - kept.amin(dim=2, keepdim=True)) * seen
    return kept / (kept.sum(dim=2, keepdim=True) + EPSILON)


def masked_softmax(similarity: Tensor, seen: Tensor) -> Tensor:
    """Softmax over the pairs ``seen`` of each row; a row without any becomes 0."""
    lowest = torch.finfo(similarity.dtype).min
    return torch.softmax(similarity.masked_fill(~seen, lowest), dim=2) * seen


def gathered(features: Tensor, context: Tensor) -> Tensor:
    """Return Σ_j D_ij X_j of SGAN Eq. 4: features (B, C, h, w), D (B, N, N) -> (B, C, h, w)."""
    return (features.flatten(2) @ context.transpose(1, 2)).view_as(features)
