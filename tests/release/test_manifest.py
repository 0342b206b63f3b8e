import json
from pathlib import Path

import pytest

from toolchain.errors import BundleError
from toolchain.release import manifest


def test_the_documented_schema_is_the_one_written():
    documented = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
    assert json.loads(documented.read_text()) == json.loads(json.dumps(manifest.json_schema()))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 2}', b"[" * 100_000, b"\xff", b'{"schema": 1}'])
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(BundleError, match=r"here: not a manifest of schema 1"):
        manifest.load(content, "here")
