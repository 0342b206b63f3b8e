"""How much of each layer goes: a decision in NumPy, separate from the library that carries it out.

Sparsity is the fraction of a layer's kernel weights that are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np

from toolchain.data import Array
from toolchain.errors import StageError

Kernels = Mapping[str, Sequence[Array]]
"""The prunable weights of each layer, by the layer's name."""


def of(kernels: Sequence[Array]) -> float:
    """Fraction of zeros over several arrays."""
    total = sum(kernel.size for kernel in kernels)
    return 1.0 - sum(int(np.count_nonzero(kernel)) for kernel in kernels) / total if total else 0.0


def uniform(kernels: Kernels, sparsity: float) -> dict[str, float]:
    """Every layer to the same sparsity."""
    return dict.fromkeys(kernels, sparsity)


def below(kernels: Kernels, threshold: float) -> dict[str, float]:
    """Every weight with |w| < `threshold` goes."""
    return {name: sum(int((np.abs(k) < threshold).sum()) for k in parts) / sum(k.size for k in parts) for name, parts in kernels.items()}


def global_magnitude(kernels: Kernels, sparsity: float) -> dict[str, float]:
    """One threshold for all layers: the `sparsity` quantile of |w| over all kernels (Han et al. 2015, global variant)."""
    magnitudes = np.concatenate([np.abs(kernel).ravel() for parts in kernels.values() for kernel in parts])
    return below(kernels, float(np.quantile(magnitudes, sparsity)))


def overridden(decided: Mapping[str, float], layers: Mapping[str, float], keep: Sequence[str]) -> dict[str, float]:
    """Apply per-layer sparsities by name pattern (the last match wins), then take kept layers out.

    Raises StageError for a pattern that matches no layer.
    """
    for pattern in (*layers, *keep):
        if not any(fnmatchcase(name, pattern) for name in decided):
            raise StageError(f"prune: no prunable layer matches {pattern!r}; they are {', '.join(decided)}")
    result = {}
    for name, share in decided.items():
        for pattern, wanted in layers.items():
            if fnmatchcase(name, pattern):
                share = wanted
        if share > 0 and not any(fnmatchcase(name, pattern) for pattern in keep):
            result[name] = share
    return result
