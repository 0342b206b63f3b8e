"""Whether a bundle is the one that was released, whole, and computes here what it computed there; every difference by name.

A bundle is an archive, the folder that it was unpacked to, or an OCI layout. Nothing in it is believed before it is
checked: archives are unpacked by `extraction`, models run in a child process, and only where all files are as released.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final, Literal

import msgspec

from toolchain.errors import BundleError, DependencyError, ToolchainError
from toolchain.release import bom, extraction, golden, listing, manifest, oci, signature
from toolchain.release.manifest import Listed, Manifest, ModelFile
from toolchain.report import dumps
from toolchain.untrusted import read
from toolchain.worker import Progress, Worker, silent

MOST_BYTES: Final = 1 << 25
"""Of a document that is read as a whole."""


class Verified(msgspec.Struct, frozen=True):
    """What was found. A bundle is as released where there are no differences."""

    bundle: str
    name: str | None
    version: str | None
    signature: Literal["valid", "invalid", "unsigned", "unchecked"]
    """`unchecked`: there is one, but no key to check it with."""
    differences: tuple[str, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    """What could not be checked here, and why."""


class Signer(msgspec.Struct, frozen=True):
    """Who has to have signed: the owner of a key, or an identity that an issuer vouches for."""

    key: Path | None = None
    identity: str | None = None
    issuer: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is anybody to check a signature against."""
        return self.key is not None or self.identity is not None


def verify(
    bundle: Path,
    signer: Signer | None = None,
    *,
    run: bool = True,
    limit_s: float = 600.0,
    progress: Progress = silent,
) -> Verified:
    """Check an archive, an unpacked folder or an OCI layout.

    Raises BundleError where `bundle` is none of these, or an archive that is not safe to unpack.
    """
    signer = signer or Signer()
    if (signer.identity is None) != (signer.issuer is None):
        raise BundleError("a Sigstore signature is checked with both: --identity and --issuer")
    if signer.key is not None and signer.identity is not None:
        raise BundleError("a release has one signature: give --key, or --identity and --issuer")
    with tempfile.TemporaryDirectory() as scratch:
        found = _Verification(bundle)
        folder = found.open(Path(scratch))
        if folder is not None:
            found.check(folder, signer, run, limit_s, progress)
        return found.result()


class _Verification:
    """One bundle, and what is known about it so far."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._manifest: Manifest | None = None
        self._files: dict[str, Listed] = {}
        self._signature: Literal["valid", "invalid", "unsigned", "unchecked"] = "unsigned"
        self._differences: list[str] = []
        self._checked: list[str] = []
        self._unchecked: list[str] = []

    def open(self, scratch: Path) -> Path | None:
        """The folder with the bundle's files; None where an archive that has changed cannot be unpacked."""
        if not self._bundle.is_dir():
            return self._unpacked(self._bundle, scratch)
        if (self._bundle / oci.MARK).is_file():
            archive, _ = oci.layer(self._bundle)
            return self._unpacked(archive, scratch)
        if (self._bundle / manifest.NAME).is_file() or (self._bundle / signature.SUMS).is_file():
            return self._bundle
        raise BundleError(f"{self._bundle}: neither an unpacked release nor an OCI layout")

    def check(self, folder: Path, signer: Signer, run: bool, limit_s: float, progress: Progress) -> None:
        """All checks, in an order in which each may rely on the ones before."""
        self._files, foreign = listing.tree(folder)
        self._differences += foreign
        self._check_manifest(folder)
        self._check_files()
        self._check_sums(folder)
        self._check_signature(folder, signer)
        if (self._bundle / oci.MARK).is_file() and folder != self._bundle:
            self._check_layout()
        with Worker(progress) as worker:
            self._check_bom(folder, worker, limit_s)
            self._check_golden(folder, run, worker, limit_s)

    def result(self) -> Verified:
        """Everything, as it is printed."""
        named = self._manifest
        return Verified(
            str(self._bundle),
            named.name if named else None,
            named.version if named else None,
            self._signature,
            tuple(dict.fromkeys(self._differences)),
            tuple(self._checked),
            tuple(self._unchecked),
        )

    def _unpacked(self, archive: Path, scratch: Path) -> Path | None:
        whole = extraction.sealed(archive)
        if not whole:
            self._differences.append(f"{archive.name}: changed since it was written (its compressed data have another SHA-256)")
        try:
            top = extraction.unpack(archive, scratch)
        except BundleError as err:
            if whole:
                raise
            self._differences.append(f"{err}; the files in it cannot be told")
            return None
        self._checked.append("archive: plain files in one folder, in order, and nothing else")
        return scratch / top

    def _check_manifest(self, folder: Path) -> None:
        if manifest.NAME not in self._files:
            self._differences.append(f"{manifest.NAME}: missing")
            return
        try:
            self._manifest = manifest.load(read(folder / manifest.NAME, MOST_BYTES, BundleError), manifest.NAME)
        except BundleError as err:
            self._differences.append(str(err))
            return
        called = f"{self._manifest.name}-{self._manifest.version}"
        if folder != self._bundle and folder.name != called:
            self._differences.append(f"{folder.name}: the folder of {called} has another name")
        schema = folder / manifest.SCHEMA_NAME
        if manifest.SCHEMA_NAME in self._files and read(schema, MOST_BYTES, BundleError) == dumps(manifest.json_schema()):
            self._checked.append(f"{manifest.NAME}: as {manifest.SCHEMA_NAME} says")
        else:
            self._unchecked.append(
                f"{manifest.SCHEMA_NAME}: of another version of secateur ({self._manifest.secateur}); fields may be unknown here"
            )

    def _check_files(self) -> None:
        if self._manifest is None:
            return
        listed = {one.path: one for one in self._manifest.files}
        unlisted = {manifest.NAME, signature.SUMS} | ({signature.NAME} if self._manifest.signature != "none" else set())
        for path in sorted(listed.keys() | unlisted | self._files.keys()):
            if path not in self._files:
                self._differences.append(f"{path}: missing")
            elif path not in listed and path not in unlisted:
                self._differences.append(f"{path}: added")
            elif path in listed and listed[path] != self._files[path]:
                self._differences.append(f"{path}: not the file that {manifest.NAME} lists")
        self._checked.append(f"{len(listed)} files: sizes and SHA-256")

    def _check_sums(self, folder: Path) -> None:
        if signature.SUMS not in self._files:
            return
        content = read(folder / signature.SUMS, MOST_BYTES, BundleError)
        found = {path: one.sha256 for path, one in self._files.items() if path != signature.SUMS}
        if content == listing.sums(found):
            return
        rows = [line.split("  ", 1) for line in content.decode(errors="replace").splitlines()]
        stated = {row[1]: row[0] for row in rows if len(row) == 2}
        right = {one.path: one.sha256 for one in self._manifest.files} if self._manifest else {}
        for path in sorted(path for path in found if stated.get(path) != found[path]):
            if right.get(path) == found[path]:
                self._differences.append(f"{signature.SUMS}: says of {path} what is not so")
            else:
                self._differences.append(f"{path}: not the file that {signature.SUMS} lists")
        if stated == found or set(stated) - set(found):
            self._differences.append(f"{signature.SUMS}: changed")

    def _check_signature(self, folder: Path, signer: Signer) -> None:
        present = signature.NAME in self._files
        if not signer.known:
            self._signature = "unchecked" if present else "unsigned"
            if present:
                self._unchecked.append("the signature: give the public key with --key, or --identity and --issuer")
            return
        if signer.key is not None:
            problems = signature.mismatch(folder, signer.key)
        else:
            problems = signature.mismatch_sigstore(folder, str(signer.identity), str(signer.issuer))
        self._differences += problems
        self._signature = "unsigned" if not present else "invalid" if problems else "valid"
        if not problems:
            self._checked.append(f"signature: by the owner of {signer.key or signer.identity}")

    def _check_bom(self, folder: Path, worker: Worker, limit_s: float) -> None:
        if bom.NAME not in self._files:
            return
        if self._differences:
            self._unchecked.append(f"{bom.NAME}: not validated, because the files are not as released")
            return
        try:
            found: bom.Checked = worker.call("toolchain.release.bom:check", bom.Check(folder / bom.NAME), bom.Checked, bom.NAME, limit_s)
        except DependencyError as err:
            self._unchecked.append(f"{bom.NAME}: {err}")
        except ToolchainError as err:
            self._differences.append(f"{bom.NAME}: {err}")
        else:
            if found.problem:
                self._differences.append(f"{bom.NAME}: {found.problem}")
            else:
                self._checked.append(f"{bom.NAME}: valid CycloneDX 1.6")

    def _check_layout(self) -> None:
        """The layout's small files follow from the archive and the manifest in it."""
        if self._manifest is None:
            return
        archive, name = oci.layer(self._bundle)
        wanted = oci.layout(name, archive.read_bytes(), self._manifest)
        present, foreign = listing.tree(self._bundle)
        self._differences += foreign
        for path in sorted(present.keys() | wanted.keys()):
            if path not in wanted or path not in present:
                self._differences.append(f"{path}: {'added' if path in present else 'missing'}")
            elif (self._bundle / path).read_bytes() != wanted[path]:
                self._differences.append(f"{path}: not what the layout of this release has")
        self._checked.append("OCI layout: digests, sizes, annotations")

    def _check_golden(self, folder: Path, run: bool, worker: Worker, limit_s: float) -> None:
        models = self._manifest.models if self._manifest else ()
        if not run or self._differences:
            why = "left out by --no-run" if not run else "not run, because the files are not as released"
            self._unchecked.append(f"golden vectors: {why}")
            return
        for model in models:
            self._reproduce(model, folder, worker, limit_s)

    def _reproduce(self, model: ModelFile, folder: Path, worker: Worker, limit_s: float) -> None:
        vectors = model.golden
        if vectors is None:
            self._unchecked.append(f"{model.path}: has no golden vectors")
            return
        if unknown := {model.path, *vectors.inputs, *vectors.outputs} - self._files.keys():
            self._differences.append(f"{model.path}: {', '.join(sorted(unknown))} is not in the bundle")
            return
        job = golden.Check(
            folder / model.path,
            tuple(folder / path for path in vectors.inputs),
            tuple(folder / path for path in vectors.outputs),
            (vectors.runtime.split() or [""])[-1],
        )
        try:
            found: golden.Answer = worker.call("toolchain.release.golden:reproduce", job, golden.Answer, model.path, limit_s)
        except DependencyError as err:
            self._unchecked.append(f"{model.path}: {err}")
        except ToolchainError as err:
            self._differences.append(f"{model.path}: {err}")
        else:
            worst = max(found.differences, default=0.0)
            allowed = vectors.same_kernels if found.runtime == vectors.runtime else vectors.tolerance
            said = f"{model.path}: {vectors.examples} golden examples on {found.runtime}, off by {worst:.3g} at most"
            if worst <= allowed:
                self._checked.append(f"{said}; {allowed:.3g} is allowed")
            else:
                self._differences.append(f"{said}, but {allowed:.3g} is allowed")
