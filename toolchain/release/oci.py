"""A release as an OCI image layout (image-spec 1.1), so that registries can hold it: `oras copy --from-oci-layout`, `skopeo copy`.

An artifact in the sense of the specification's "Guidelines for Artifact Usage": an artifactType, the empty configuration,
and the archive as the one layer. No annotation holds a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from toolchain.errors import BundleError, StorageError
from toolchain.files import written
from toolchain.release.license import UNSTATED
from toolchain.release.manifest import Manifest
from toolchain.untrusted import check_plain, check_within, read

ARTIFACT: Final = "application/vnd.secateur.release.v1+gzip"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
EMPTY: Final = "application/vnd.oci.empty.v1+json"
MARK: Final = "oci-layout"
MOST_BYTES: Final = 1 << 20
"""Of a JSON document in a layout."""


def layout(name: str, archive: bytes, release: Manifest) -> dict[str, bytes]:
    """The layout's files by path. `name` is the archive's, under which `oras pull` writes it."""
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, media_type: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        described = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
        return described | ({"annotations": dict(annotations)} if annotations else {})

    annotations = {
        "org.opencontainers.image.title": release.name,
        "org.opencontainers.image.version": release.version,
        "org.opencontainers.image.description": release.description,
    }
    if release.license != UNSTATED:
        annotations["org.opencontainers.image.licenses"] = release.license
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": blob(b"{}", EMPTY),
        "layers": [blob(archive, LAYER, {"org.opencontainers.image.title": name})],
        "annotations": annotations,
    }
    entry = blob(_json(document), MANIFEST, {"org.opencontainers.image.ref.name": release.version}) | {"artifactType": ARTIFACT}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    return {MARK: _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index), **blobs}


def write(folder: Path, name: str, archive: bytes, release: Manifest) -> None:
    """Write the layout. Raises StorageError where `folder` holds something else."""
    files = layout(name, archive, release)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()
        if found != files.keys() or any((folder / path).read_bytes() != content for path, content in files.items()):
            raise StorageError(f"{folder} already holds something else; choose another folder for --oci")
        return
    with written(folder) as scratch:
        for path, content in files.items():
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            (scratch / path).write_bytes(content)


def layer(folder: Path) -> tuple[Path, str]:
    """The archive in a layout, and the name it was given. Raises BundleError where this is no layout of a release."""
    try:
        index = json.loads(read(folder / "index.json", MOST_BYTES, BundleError))
        (entry,) = index["manifests"]
        document = json.loads(read(_blob(folder, entry["digest"]), MOST_BYTES, BundleError))
        (described,) = document["layers"]
        return _blob(folder, described["digest"]), str(described["annotations"]["org.opencontainers.image.title"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise BundleError(f"{folder}: an OCI layout, but not of one release ({type(err).__name__}: {str(err)[:100]})") from None


def _blob(folder: Path, digest: str) -> Path:
    algorithm, _, found = digest.partition(":")
    if algorithm != "sha256" or len(found) != 64 or not set(found) <= set("0123456789abcdef"):
        raise BundleError(f"{folder}: {digest[:100]!r} is no digest of SHA-256")
    blob = folder / "blobs" / algorithm / found
    for part in (blob.parent.parent, blob.parent, blob):
        check_within(part, folder, BundleError)
    check_plain(blob, BundleError)
    return blob


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
