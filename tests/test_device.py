import pytest

from toolchain.device import FEATURES, Cpu, Npu


def test_features_are_checked_because_kernels_are_chosen_by_them():
    assert Cpu("cortex-m4", 1, features=tuple(FEATURES)).features == tuple(FEATURES)
    with pytest.raises(ValueError, match=r"no 'simd' in features; .*choose from dsp, mve"):
        Cpu("cortex-m4", 1, features=("simd",))


@pytest.mark.parametrize(
    ("kind", "family"), [("ethos-u55-256", "ethos-u55"), ("ethos-u85-2048", "ethos-u85"), ("eiq-neutron", "eiq-neutron")]
)
def test_the_family_of_an_npu_is_its_kind_without_the_size(kind, family):
    assert Npu(kind).family == family
