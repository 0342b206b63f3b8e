"""The templates of what a bundle holds, and how strings get into them.

Names come from model files and reports, and none may end a comment, a string, a table or a document. So a template writes
a string only as `Written`, the language's own form of it; Markdown, where nearly all is text, escapes what is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, Literal

Language = Literal["c", "python", "kotlin", "markdown"]

_MARKUP: Final = re.compile(r"[\\`*_{}\[\]#|~$@]|^[-+=](?=[-+=\s]|$)|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What makes emphasis, code, links, images, headings, tables, lists, mentions, formulas and Liquid's tags."""


class Written(str):
    """Text as the language of the template wants it."""

    __slots__ = ()


def environment(language: Language) -> Any:
    """Templates for one language. The filter `literal` writes a string of that language, `comment` words of a comment."""
    import jinja2  # a quarter of a second: only a release needs it

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("toolchain", "templates/release"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=_escaped if language == "markdown" else _only_written,
    )
    made.filters |= {"literal": LITERALS[language], "comment": comment}
    return made


def comment(text: str) -> Written:
    """A name from outside, for a comment of any language."""
    return Written(re.sub(r"[^\w.:;, -]", "_", text, flags=re.ASCII)[:100])


def real(value: float) -> Written:
    """A float32 literal of C and Kotlin that reads back as the same bits: nine digits are enough (C99, 5.2.4.2.2)."""
    digits = f"{value:.9g}"
    return Written(f"{digits}f" if re.search(r"[.e]", digits) else f"{digits}.0f")


def c_string(text: str) -> Written:
    """A string of C: bytes beyond ASCII, controls, and what could end it or begin a trigraph as octal escapes of UTF-8."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return Written('"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"')


def kotlin_string(text: str) -> Written:
    """A string of Kotlin: JSON's escapes but one are Kotlin's, and a dollar would begin a template."""
    return Written(re.sub(r"(\\.)|\$", lambda found: {"\\f": "\\u000c"}.get(found[0], found[1] or "\\$"), json.dumps(text)))


def python_string(text: str) -> Written:
    """A string of Python."""
    return Written(ascii(text))


def markdown(text: str) -> Written:
    """A name as plain text of Markdown: one line, with all that could be markup, a link or a mention escaped."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    referenced = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Written(re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", _MARKUP.sub(r"\\\g<0>", referenced)))


LITERALS: dict[Language, Callable[[str], Written]] = {
    "c": c_string, "python": python_string, "kotlin": kotlin_string, "markdown": markdown,
}  # fmt: skip


def _escaped(value: Any) -> Any:
    return markdown(value) if isinstance(value, str) and not isinstance(value, Written) else value


def _only_written(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Written):
        raise TypeError(f"{value!r} reached a template as it is; write it as a literal or a comment")
    return value
