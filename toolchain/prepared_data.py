"""Data sets in the cache: read once in a child process, found again by the digest of their source."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from toolchain.cache import Cache, key
from toolchain.data import Dataset, DataSettings
from toolchain.data_sources import Purpose, Request, cache_name
from toolchain.files import copy
from toolchain.worker import Progress, Worker

_PREPARE = "toolchain.data_sources:prepare"


def open_data(source: str, purpose: Purpose, settings: DataSettings, seed: int, cache: Cache, progress: Progress) -> Dataset:
    """The three splits of `source`, scaled as `settings` say. Raises DataError, DependencyError."""
    with Worker(progress) as worker:

        def prepare(folder: Path) -> Dataset:
            found: Dataset = worker.call(_PREPARE, Request(source, purpose, seed, folder / "splits"), Dataset, source)
            return found

        name = cache_name(source, purpose, seed)
        if name is not None:
            entry = key("data", name)
            found = cache.load(entry, Dataset) or cache.make(entry, prepare)
        else:  # a function: only its result tells whether it is known
            with tempfile.TemporaryDirectory() as folder:
                found = prepare(Path(folder))
                entry = key("data", found.digest)
                if cache.load(entry, Dataset) is None:
                    cache.make(entry, lambda scratch: _moved(found, scratch))
    return msgspec.structs.replace(found, folder=cache.folder(entry) / "splits", settings=settings)


def _moved(found: Dataset, scratch: Path) -> Dataset:
    copy(found.folder, scratch / "splits")
    return found
