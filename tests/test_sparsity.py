import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toolchain import sparsity
from toolchain.errors import StageError

KERNELS = {"small": [np.array([[0.1, -0.2], [0.3, -0.4]])], "large": [np.array([1.0, -2.0]), np.array([3.0, 4.0])]}


def test_each_decision_by_hand():
    assert sparsity.uniform(KERNELS, 0.5) == {"small": 0.5, "large": 0.5}
    assert sparsity.below(KERNELS, 0.3) == {"small": 0.5, "large": 0.0}
    assert sparsity.below(KERNELS, 2.5) == {"small": 1.0, "large": 0.5}
    assert sparsity.global_magnitude(KERNELS, 0.5) == {"small": 1.0, "large": 0.0}
    assert sparsity.of([np.array([0.0, 1.0]), np.array([0.0, 0.0])]) == 0.75


def test_overrides_match_by_pattern_and_kept_layers_lose_nothing():
    decided = {"conv_1": 0.8, "conv_2": 0.8, "dense": 0.8}
    assert sparsity.overridden(decided, {"conv_*": 0.5, "conv_2": 0.1}, ["dense"]) == {"conv_1": 0.5, "conv_2": 0.1}
    with pytest.raises(StageError, match="no prunable layer matches 'con'; they are conv_1, conv_2, dense"):
        sparsity.overridden(decided, {}, ["con"])


finite = arrays(np.float64, st.integers(5, 40), elements=st.floats(-10, 10), unique=True)


@given(st.lists(finite, min_size=1, max_size=4), st.floats(0, 0.95))
def test_a_global_threshold_takes_the_asked_share_of_all_weights(parts, share):
    kernels = {str(i): [part] for i, part in enumerate(parts)}
    decided = sparsity.global_magnitude(kernels, share)
    total = sum(part.size for part in parts)
    zeroed = sum(decided[str(i)] * part.size for i, part in enumerate(parts))
    magnitudes = np.concatenate([np.abs(part) for part in parts])
    ties = total - len(np.unique(magnitudes))
    assert abs(zeroed - share * total) <= 1 + ties
