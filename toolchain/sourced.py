"""Facts and where each was read: the `[sources]` table of a data file in `targets/`.

A key is the dotted path of a fact (`cpu.clock_hz`) or of a whole table (`cpu`); the most specific key counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from toolchain.errors import TargetError
from toolchain.settings import suggest


def resolve(tables: Mapping[str, Any], sources: Mapping[str, str], where: str) -> dict[str, str]:
    """The source of every fact in `tables`, by its dotted path; `where` names the file, for messages.

    Raises TargetError for a fact without a source, and for a source of nothing.
    """
    facts = [path for path, _ in flatten(tables)]
    places = {prefix for fact in facts for prefix in _prefixes(fact)}
    for place, source in sources.items():
        if place not in places:
            raise TargetError(f"{where}: sources: there is no fact {place!r}; {suggest(place, sorted(places))}")
        if not source.strip():
            raise TargetError(f"{where}: sources: {place!r} is empty; say where it was read, or that it is from memory")
    found = {}
    for fact in facts:
        given = [prefix for prefix in _prefixes(fact) if prefix in sources]
        if not given:
            raise TargetError(f'{where}: {fact} has no source; add it to [sources]: {_key(fact)} = "where it was read"')
        found[fact] = sources[given[0]]
    return found


def flatten(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of all facts in nested tables; a list is one fact."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _prefixes(fact: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while fact:
        yield fact
        fact = fact.rpartition(".")[0]


def _key(fact: str) -> str:
    return f'"{fact}"' if "." in fact else fact
