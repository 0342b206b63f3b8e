import pytest

from toolchain.errors import BundleError
from toolchain.release.license import checked, text


@pytest.mark.parametrize(
    ("given", "found"),
    [("mit", "MIT"), ("MIT or apache-2.0", "MIT OR Apache-2.0"), ("LicenseRef-Ours", "LicenseRef-Ours"), ("NOASSERTION", "NOASSERTION")],
)
def test_expressions_come_in_spdx_spelling(given, found):
    pytest.importorskip("license_expression")
    assert checked(given) == found


@pytest.mark.parametrize("given", ["", "proprietary", "MIT\nGPL", "MIT AND", "LicenseRef-a b", "<script>"])
def test_what_is_no_expression_is_refused_with_an_example(given):
    pytest.importorskip("license_expression")
    with pytest.raises(BundleError, match="give an SPDX expression"):
        checked(given)


def test_texts_are_whole_or_say_that_they_are_missing():
    assert b"TERMS AND CONDITIONS" in text("Apache-2.0")
    assert b"SPDX-License-Identifier: MIT\n" in text("MIT")
    assert b"not in this bundle" in text("MIT")
    assert b"Nobody stated a licence" in text("NOASSERTION")
