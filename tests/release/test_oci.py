import hashlib
import json
import os
import re

import pytest
from released_run import NAME, bundle, contents

from toolchain.errors import BundleError, StorageError
from toolchain.release import manifest, oci

MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}")
"""RFC 6838, section 4.2."""


@pytest.fixture
def made():
    return manifest.load(contents()[manifest.NAME], "")


@pytest.fixture
def layout(tmp_path, made):
    oci.write(tmp_path / "layout", f"{NAME}.tar.gz", bundle(), made)
    return tmp_path / "layout"


def test_the_layout_keeps_the_rules_of_the_image_specification(layout):
    """image-spec 1.1: image-layout.md, image-index.md, manifest.md ("Guidelines for Artifact Usage"), descriptor.md."""
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((layout / "index.json").read_bytes())
    assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
    (entry,) = index["manifests"]

    def content(descriptor) -> bytes:
        algorithm, digest = descriptor["digest"].split(":")
        found = (layout / "blobs" / algorithm / digest).read_bytes()
        assert MEDIA_TYPE.fullmatch(descriptor["mediaType"])
        assert (hashlib.sha256(found).hexdigest(), len(found)) == (digest, descriptor["size"])
        assert all(isinstance(value, str) for value in descriptor.get("annotations", {}).values())
        return found

    document = json.loads(content(entry))
    assert (document["schemaVersion"], document["mediaType"]) == (2, entry["mediaType"])
    assert document["artifactType"] == entry["artifactType"]
    assert MEDIA_TYPE.fullmatch(document["artifactType"])
    assert document["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert content(document["config"]) == b"{}"
    assert content(document["layers"][0]) == bundle()
    blobs = {path.name for path in (layout / "blobs" / "sha256").iterdir()}
    assert blobs == {one["digest"].split(":")[1] for one in (entry, document["config"], document["layers"][0])}


def test_annotations_are_those_of_the_specification_and_none_is_a_time(layout):
    index = (layout / "index.json").read_text()
    (name,) = re.findall(r'"digest": "sha256:(\w+)"', index)
    annotations = json.loads((layout / "blobs" / "sha256" / name).read_bytes())["annotations"]
    assert annotations["org.opencontainers.image.title"] == "tiny"
    assert annotations["org.opencontainers.image.version"] == "1.0.0"
    assert annotations["org.opencontainers.image.licenses"] == "MIT"
    assert "org.opencontainers.image.created" not in annotations


def test_the_same_release_is_written_again_and_another_folder_is_left_alone(layout, made, tmp_path):
    oci.write(layout, f"{NAME}.tar.gz", bundle(), made)
    (layout / "index.json").write_text("{}")
    with pytest.raises(StorageError, match="something else"):
        oci.write(layout, f"{NAME}.tar.gz", bundle(), made)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="something else"):
        oci.write(tmp_path / "file", f"{NAME}.tar.gz", bundle(), made)


@pytest.mark.parametrize("digest", ["sha256:../../../../etc/passwd", "sha256:" + "g" * 64, "md5:" + "0" * 32, "sha512:" + "0" * 64])
def test_a_digest_that_is_a_path_reads_nothing(layout, digest):
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0]["digest"] = digest
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="no digest of SHA-256"):
        oci.layer(layout)


@pytest.mark.parametrize("content", ["{", "[]", '{"manifests": []}', '{"manifests": [1]}', '{"manifests": [{"digest": 7}]}', "[" * 100_000])
def test_a_layout_of_something_else_is_refused(layout, content):
    (layout / "index.json").write_text(content)
    with pytest.raises(BundleError, match="not of one release"):
        oci.layer(layout)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_blob_that_leads_elsewhere_or_blocks_is_refused(layout, tmp_path, kind):
    archive, _ = oci.layer(layout)
    if kind == "folder":
        (layout / "blobs").rename(tmp_path / "elsewhere")
        (layout / "blobs").symlink_to(tmp_path / "elsewhere")
    else:
        archive.rename(tmp_path / "elsewhere")
        archive.symlink_to(tmp_path / "elsewhere") if kind == "link" else os.mkfifo(archive)
    with pytest.raises(BundleError, match="leads out of" if kind != "pipe" else "neither a file nor a folder"):
        oci.layer(layout)
