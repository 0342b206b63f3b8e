"""Tables from TOML or the command line become frozen settings, or one error that says what to write instead.

msgspec checks the types; its message names neither the choices nor the rejected value, so fields are converted one by
one and the failure is worded here.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from toolchain.errors import ToolchainError

T = TypeVar("T", bound=msgspec.Struct)

LONGEST = 300
"""Characters that a message says about a rejected value."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = LONGEST
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 20


def build(cls: type[T], table: Mapping[str, Any], where: str, error: type[ToolchainError]) -> T:
    """Make a `cls` from `table`; `where` is the path of the table in its file, for messages.

    Raises `error` for an unknown key, a missing key, or a value of the wrong type or range.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    for key in table:
        if key not in fields:
            raise error(f"{where}: no key {shortened(key)}; {suggest(key, fields)}")
    values = {}
    for key, field in fields.items():
        if key in table:
            try:
                values[field.name] = msgspec.convert(table[key], field.type)
            except (msgspec.ValidationError, RecursionError) as err:
                choices = literal_choices(field.type)
                why = f"choose from {', '.join(map(str, choices))}" if choices else _cut(str(err))
                raise error(f"{where}.{key} = {shortened(table[key])}: {why}") from None
        elif field.required:
            raise error(f"{where}: the key {key!r} is missing")
    try:
        return cls(**values)
    except ValueError as err:
        raise error(f"{where}: {_cut(str(err))}") from None


def shortened(value: Any) -> str:
    """A value as a message shows it: bounded, whatever a hostile file put there."""
    return _cut(_SHORT.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def suggest(wrong: str, known: Mapping[str, Any] | list[str]) -> str:
    """Word the choices for a name that does not exist, with the nearest one first."""
    near = difflib.get_close_matches(wrong[:LONGEST], list(known), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}choose from {', '.join(known)}"


def literal_choices(annotation: Any) -> tuple[Any, ...]:
    """The values of the `Literal`s in a field's type."""
    origin = get_origin(annotation)
    if origin is Literal:
        return get_args(annotation)
    if origin is Annotated:
        return literal_choices(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(choice for part in get_args(annotation) for choice in literal_choices(part))
    return ()
