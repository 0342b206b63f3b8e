"""From a run's folder to a release: files are collected, described, tried, listed, signed, packed.

Nothing in it comes from a clock, a user or a place, so that the same run gives the same bytes. What the files answer is
found out in a child process; this one never runs a model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np

from toolchain.artifact import Format
from toolchain.errors import BundleError, DependencyError, ModelError, StorageError
from toolchain.files import write
from toolchain.page.render import render
from toolchain.recommendation import recommend
from toolchain.release import (
    archive,
    bom,
    c_array,
    card,
    extraction,
    golden,
    license,
    listing,
    manifest,
    oci,
    signature,
    snippets,
    tflite_metadata,
)
from toolchain.release.facts import Facts
from toolchain.release.golden_header import header
from toolchain.release.manifest import Manifest, ModelFile
from toolchain.release.run_folder import RunFolder, read_labels, read_run
from toolchain.release.templates import Written, environment
from toolchain.report import ArtifactReport, dumps
from toolchain.tflite_file import TfliteFile
from toolchain.untrusted import read
from toolchain.worker import Progress, Worker, silent

LICENSE_BYTES: Final = 1 << 20


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says about a release."""

    name: str | None = None
    """By default that of the model the run started from."""
    version: str | None = None
    """By default one made from the report's digest."""
    license: str = license.UNSTATED
    license_file: Path | None = None
    description: str = ""
    labels: Path | None = None
    """Names of the classes, one a line; by default those that the run's data brought."""
    key: Path | None = None
    new_key: Path | None = None
    """Where to make a key to sign with, its public half beside it."""
    sigstore: bool = False
    files: tuple[str, ...] = ()
    """Patterns of the run's files; by default all but those of the original model and of rejected attempts."""
    limit_s: float = 600.0

    @property
    def signature(self) -> Literal["none", "key", "sigstore"]:
        """As the manifest says it."""
        return "key" if self.key or self.new_key else "sigstore" if self.sigstore else "none"


class Released(msgspec.Struct, frozen=True):
    """What was written."""

    archive: Path
    sha256: str
    bytes: int
    oci: Path | None
    manifest: Manifest


def release(
    folder: Path, settings: Settings, *, out: Path | None = None, layout: Path | None = None, progress: Progress = silent
) -> Released:
    """Write the release of the run in `folder` to `out`, a file, or a folder for NAME-VERSION.tar.gz, and as OCI layout to `layout`.

    Raises BundleError, and StorageError where another release would be overwritten.
    """
    if settings.new_key:
        signature.check_new(settings.new_key)
    run = read_run(folder, settings.files)
    name = settings.name or re.sub(r"[^A-Za-z0-9_]+", "-", Path(run.report.model.name).stem).strip("-") or "model"
    version = settings.version or f"0.0.0-run{hashlib.sha256(run.report_bytes).hexdigest()[:8]}"
    if "/" in name + version:
        raise BundleError(f"--name {name!r} --version {version!r}: no folder can be called so")
    archive.check_name(f"{name}-{version}")
    target = (out or Path()) / f"{name}-{version}.tar.gz" if out is None or out.is_dir() else out
    with tempfile.TemporaryDirectory() as scratch:
        staging = Path(scratch) / f"{name}-{version}"
        made, files = _Assembly(run, settings, name, version, progress).write(staging)
        if settings.new_key:
            signature.new_key(settings.new_key)
        if key := settings.key or settings.new_key:
            signature.sign(staging, key)
        elif settings.sigstore:
            signature.sign_sigstore(staging)
        if settings.signature != "none":
            files[signature.NAME] = (staging / signature.NAME).read_bytes()
    files[signature.SUMS] = listing.sums({one.path: one.sha256 for one in listing.listed(files)})
    content = archive.pack(f"{name}-{version}", files)
    _check_unpacks(target.name, content)
    if target.exists() and read(target, extraction.MOST_BYTES, StorageError) != content:
        raise StorageError(f"{target} is another release; give this one another --version, or --out")
    if layout is not None:
        oci.write(layout, target.name, content, made)
    write(target, content)
    return Released(target, hashlib.sha256(content).hexdigest(), len(content), layout, made)


def _check_unpacks(name: str, content: bytes) -> None:
    """Raise BundleError where the limits of a release are broken: nobody could verify it."""
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch) / name
        packed.write_bytes(content)
        try:
            extraction.unpack(packed, Path(scratch) / "unpacked")
        except BundleError as err:
            raise BundleError(f"{str(err).removeprefix(f'{scratch}/')}; take fewer files with --files") from None


class _Stated(msgspec.Struct, frozen=True):
    """What a release needs of the recipe in a report."""

    class Data(msgspec.Struct, frozen=True):
        """Of the data."""

        synthetic: tuple[float, float] = (0.0, 1.0)

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    data: Data = Data()
    stages: tuple[dict[str, Any], ...] = ()


def _stated(settings: dict[str, Any]) -> _Stated:
    try:
        return msgspec.convert(settings, _Stated)
    except msgspec.ValidationError as err:
        raise BundleError(f"report.json: the settings are none of a recipe ({err})") from None


class _Assembly:
    """The files of one release, by their path in it."""

    def __init__(self, run: RunFolder, settings: Settings, name: str, version: str, progress: Progress) -> None:
        self._run, self._settings, self._name, self._version, self._progress = run, settings, name, version, progress
        self._files: dict[str, bytes] = {}
        self._notes = [*run.notes]
        self._stated = _stated(run.report.settings)
        self._license = "LicenseRef-LICENSE" if settings.license_file and settings.license == license.UNSTATED else settings.license
        self._license = license.checked(self._license)
        self._description = settings.description or f"{run.report.model.name} through the recipe {run.report.recipe}"
        self._labels = read_labels(settings.labels) if settings.labels else run.report.data.labels if run.report.data else ()

    def write(self, staging: Path) -> tuple[Manifest, dict[str, bytes]]:
        """Make the files, write them to `staging`, and return them with the manifest."""
        models = self._models(staging)
        draft = self._manifest(models)
        for model in draft.models:
            self._add_snippets(model, draft)
        self._add_rest()
        draft = msgspec.structs.replace(draft, files=listing.listed(self._files))
        self._files["MODEL_CARD.md"] = card.model_card(draft, self._run.report)
        self._files[bom.NAME] = bom.bom(draft)
        made = msgspec.structs.replace(draft, files=listing.listed(self._files), notes=tuple(self._notes))
        self._files[manifest.NAME] = dumps(made)
        for path, content in self._files.items():
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).write_bytes(content)
        return made, dict(self._files)

    def _models(self, staging: Path) -> tuple[ModelFile, ...]:
        (staging / "golden").mkdir(parents=True)
        (staging / "models").mkdir()
        recommended = recommend(self._run.report)
        with Worker(self._progress) as worker:
            return tuple(
                self._model(row, staging, worker, tuple(one.target or one.runtime or "" for one in recommended if one.file == row.name))
                for row in self._run.models
            )

    def _model(self, row: ArtifactReport, staging: Path, worker: Worker, recommended: tuple[str, ...]) -> ModelFile:
        path, content = f"models/{row.name}", self._described(row)
        (staging / path).write_bytes(content)
        self._files[path] = content
        job = golden.Job(staging / path, row.scheme, staging / "golden", row.name, self._limits(), self._stated.seed)
        found = self._examined(job, worker)
        facts = found.facts
        self._check_labels((facts.outputs[0].shape or (0,))[-1], row.name)
        if found.unrun:
            self._notes.append(f"{row.name} has no golden vectors: {found.unrun}")
        elif found.golden and 2 * found.golden.varying < found.golden.values:
            varying = f"{found.golden.varying} of {found.golden.values}"
            self._notes.append(f"{row.name}: only {varying} output values vary over the golden vectors; the others are hardly tested")
        model = ModelFile(
            path=path,
            format=row.format,
            scheme=row.scheme,
            run_digest=row.digest,
            inputs=facts.inputs,
            outputs=facts.outputs,
            operators=facts.operators,
            minimum_runtime=facts.minimum_runtime,
            golden=None if found.golden is None else self._golden(row.name, found, staging / "golden"),
            measurements=row,
            recommended_for=recommended,
        )
        if snippets.has_array(model):
            self._add_c(c_array.sources(Path(row.name).stem, self._run.files[row.path], facts.inputs, facts.outputs))
        return model

    def _add_c(self, sources: Mapping[str, bytes]) -> None:
        named = {f"c/{name}": content for name, content in sources.items()}
        if clash := sorted(named.keys() & self._files.keys()):
            raise BundleError(f"{clash[0]}: two files of the run are called so in C; choose one with --files")
        self._files |= named

    def _examined(self, job: golden.Job, worker: Worker) -> golden.Examined:
        """A file that does not run here, or crashes, is released without golden vectors, if it can be read."""
        limit_s = self._settings.limit_s
        try:
            found: golden.Examined = worker.call("toolchain.release.golden:examine", job, golden.Examined, job.stem, limit_s)
        except (DependencyError, ModelError) as err:
            why = str(err).replace(str(job.path), job.stem).removeprefix(f"{job.stem}: ")
            return golden.Examined(worker.call("toolchain.release.golden:describe", job, Facts, job.stem, limit_s), None, why)
        return found

    def _described(self, row: ArtifactReport) -> bytes:
        """The file with TFLite metadata, where it is a .tflite that can hold them."""
        content, data = self._run.files[row.path], self._run.report.data
        if row.format != Format.TFLITE:
            return content
        with tempfile.NamedTemporaryFile(suffix=".tflite") as plain:
            plain.write(content)
            plain.flush()
            file = TfliteFile.read(Path(plain.name))
        shape, answer = (file.tensors[ports[0]].shape for ports in (file.inputs, file.outputs))
        self._check_labels(answer[-1] if answer else 0, row.name)
        try:
            return tflite_metadata.describe(
                content,
                name=f"{self._name} {row.scheme}",
                description=self._description,
                version=self._version,
                author="",
                license=self._license,
                labels=self._labels,
                scale=data.scale if data else 1.0,
                offset=data.offset if data else 0.0,
                image=bool(self._run.report.pictures) and len(shape) == 4 and shape[-1] in (1, 3),
            )
        except ModelError as err:
            self._notes.append(f"{row.name} carries no TFLite metadata: {err}")
            return content

    def _check_labels(self, outputs: int | None, name: str) -> None:
        if not self._labels or outputs in (None, len(self._labels)):
            return
        said = f"{len(self._labels)} labels, but {name} has {outputs} outputs"
        if self._settings.labels:
            raise BundleError(f"{self._settings.labels}: {said}; write one label a line, in the order of the outputs")
        self._notes.append(f"labels of the data are left out: {said}")
        self._labels = ()

    def _limits(self) -> tuple[float, float]:
        """Range of a float input: that of bytes where the run scaled them, otherwise that of the recipe's random inputs."""
        data = self._run.report.data
        if data is not None and data.scale != 1:
            low, high = sorted((data.offset, 255 * data.scale + data.offset))
            return low, high
        return self._stated.data.synthetic

    def _golden(self, name: str, found: golden.Examined, folder: Path) -> manifest.Golden:
        """Take in the arrays, and as a C header, too."""
        vectors, facts = found.golden, found.facts
        assert vectors is not None
        for file in (*vectors.inputs, *vectors.outputs):
            self._files[f"golden/{file}"] = (folder / file).read_bytes()
        inputs, outputs = ([np.load(folder / file) for file in files] for files in (vectors.inputs, vectors.outputs))
        if (written := header(name, vectors, facts.inputs, facts.outputs, (inputs, outputs))) is not None:
            self._files[f"golden/{name}.h"] = written
        return msgspec.structs.replace(
            vectors, inputs=tuple(f"golden/{n}" for n in vectors.inputs), outputs=tuple(f"golden/{n}" for n in vectors.outputs)
        )

    def _manifest(self, models: Sequence[ModelFile]) -> Manifest:
        report = self._run.report
        return Manifest(
            name=self._name,
            version=self._version,
            license=self._license,
            description=self._description,
            secateur=importlib.metadata.version("secateur"),
            recipe=report.recipe,
            settings=report.settings,
            seed=self._stated.seed,
            original=report.model,
            data=report.data,
            labels=self._labels,
            tools={"python": report.host.python, **report.host.versions},
            models=tuple(models),
            files=listing.listed(self._files),
            signature=self._settings.signature,
            notes=tuple(self._notes),
        )

    def _add_snippets(self, model: ModelFile, draft: Manifest) -> None:
        """Minimal programs; two formats of one scheme are two programs."""
        stem = f"examples/{Path(model.path).name.replace('.', '_')}"
        self._files[f"{stem}.py"] = snippets.python(model, draft)
        if (written := snippets.c(model, draft, self._package(model))) is not None:
            suffix, content = written
            self._files[f"{stem}{suffix}"] = content
        if (kotlin := snippets.kotlin(model, draft)) is not None:
            self._files[f"{stem}.kt"] = kotlin

    def _package(self, model: ModelFile) -> str | None:
        """What the functions of the C package begin with that was made from this file, where the release has one."""
        folder = f"{Path(model.path).stem}_c"
        if model.format != Format.TFLITE or not any(row.name == folder for row in self._run.packages):
            return None
        made = [step.details.get("package") for step in self._run.report.steps if step.name == f"export {folder}"]
        names = [package.get("name") for package in made if isinstance(package, dict)]
        return next((name for name in names if isinstance(name, str) and name.isidentifier()), None)

    def _add_rest(self) -> None:
        """What is the same for every model: labels, C packages, the report, the licence, the schema, how to verify."""
        stated = self._settings.license_file
        self._files["LICENSE"] = read(stated, LICENSE_BYTES, BundleError) if stated else license.text(self._license)
        self._files["report.json"] = self._run.report_bytes
        self._files["report.html"] = render(self._run.report).encode()
        if self._labels:
            self._files["labels.txt"] = tflite_metadata.lines(self._labels)
        for row in self._run.packages:
            self._add_c({path: content for path, content in self._run.files.items() if path.startswith(f"{row.path}/")})
        self._files[manifest.SCHEMA_NAME] = dumps(manifest.json_schema())
        verify: str = (
            environment("markdown").get_template("VERIFY.md.j2").render(signature=self._settings.signature, sig=Written(signature.NAME))
        )
        self._files["VERIFY.md"] = verify.encode()
