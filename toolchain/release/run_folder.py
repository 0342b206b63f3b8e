"""The folder of a run, as a release takes it: which of its files, and whether they are those that the report is about."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from toolchain import report as reports
from toolchain.artifact import Format
from toolchain.errors import BundleError
from toolchain.recommendation import recommend
from toolchain.release import archive
from toolchain.report import ArtifactReport, Report
from toolchain.untrusted import read

MOST_BYTES = 1 << 30
"""Of one file, as in `extraction`."""


class RunFolder(msgspec.Struct, frozen=True):
    """A report, the rows of it that go into the release, and their files' bytes by path below the folder."""

    report: Report
    report_bytes: bytes
    models: tuple[ArtifactReport, ...]
    packages: tuple[ArtifactReport, ...]
    """C packages."""
    files: dict[str, bytes]
    notes: tuple[str, ...]
    """What was left out, and why."""


def read_run(folder: Path, patterns: Sequence[str]) -> RunFolder:
    """Read a finished run, and check that every file is the one that was measured.

    Raises BundleError where one is missing or has changed, and for a pattern that names no file.
    """
    content = read(folder / "report.json", reports.REPORT_BYTES, BundleError)
    report = reports.load(folder / "report.json")
    if not re.fullmatch(r"[0-9a-f]{64}", report.model.digest):
        raise BundleError(f"{folder / 'report.json'}: {report.model.digest[:80]!r} is no SHA-256 of the model it started from")
    chosen, notes = _chosen(report, patterns)
    files: dict[str, bytes] = {}
    for row in chosen:
        archive.check_name(row.path)
        parts = [folder / row.path]
        if row.format == Format.C_SOURCE:
            parts = sorted(path for path in (folder / row.path).rglob("*") if not path.is_dir())
        contents = {path.relative_to(folder).as_posix(): read(path, MOST_BYTES, BundleError) for path in parts}
        found = _digest(row, contents)
        if found != row.digest:
            raise BundleError(
                f"{folder / row.path}: not the file that the report measured (SHA-256 {found[:12]}…, report {row.digest[:12]}…); "
                f"run the recipe again, or leave it out with --files"
            )
        files |= contents
    return RunFolder(
        report,
        content,
        tuple(row for row in chosen if row.format in (Format.TFLITE, Format.ONNX)),
        tuple(row for row in chosen if row.format == Format.C_SOURCE),
        files,
        notes,
    )


def _digest(row: ArtifactReport, contents: Mapping[str, bytes]) -> str:
    """As `files.digest` makes it, of the bytes that go into the release."""
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    if row.format != Format.C_SOURCE:
        return digests[row.path]
    return hashlib.sha256("".join(f"{path.removeprefix(f'{row.path}/')}\0{one}\0" for path, one in digests.items()).encode()).hexdigest()


def read_labels(path: Path) -> tuple[str, ...]:
    """A label a line."""
    try:
        return tuple(line.strip() for line in read(path, 1 << 20, BundleError).decode().splitlines())
    except UnicodeDecodeError:
        raise BundleError(f"{path}: not UTF-8; write one label a line") from None


def _chosen(report: Report, patterns: Sequence[str]) -> tuple[tuple[ArtifactReport, ...], tuple[str, ...]]:
    """The rows that the patterns name; without patterns all that the run was for."""
    if patterns:
        unused = [pattern for pattern in patterns if not any(fnmatchcase(row.name, pattern) for row in report.artifacts)]
        if unused:
            names = ", ".join(row.name for row in report.artifacts)
            raise BundleError(f"--files {unused[0]}: matches none of the run's files ({names})")
        return tuple(row for row in report.artifacts if any(fnmatchcase(row.name, pattern) for pattern in patterns)), ()
    rejected = {tried.artifact for tried in report.attempts if not tried.chosen}
    reasons = {row.name: "it was exported from the original model, to compare with" for row in report.artifacts if _of_original(row)}
    reasons |= {row.name: "its attempt was not chosen" for row in report.artifacts if row.name in rejected}
    wanted = {one.file: one.target or one.runtime for one in reversed(recommend(report)) if one.file in reasons}
    chosen = tuple(row for row in report.artifacts if row.name in wanted or row.name not in reasons)
    if not chosen:
        raise BundleError("the run has no file to ship but those to compare with; name them with --files, such as --files '*'")
    left_out = [row.name for row in report.artifacts if row not in chosen]
    return chosen, (
        *(f"{name} is in it, though {reasons[name]}: the report recommends it for {target}" for name, target in wanted.items() if name),
        *(f"{name} was left out: {reasons[name]}; --files '*' takes it in" for name in left_out),
    )


def _of_original(row: ArtifactReport) -> bool:
    return row.name.startswith("original_")
