"""`secateur recipes`: the recipes that ship."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from toolchain.recipe import Recipe


def recipes(name: Annotated[str | None, typer.Argument(help="Show this recipe's file, to copy and change")] = None) -> None:
    """List the recipes, or show one.

    \b
    secateur recipes
    secateur recipes edge_int8 > mine.toml
    """
    from toolchain import recipe
    from toolchain.cli import display

    if name:
        recipe.load(name)
        print(recipe.path_of(name).read_text(), end="")
        return
    found = [recipe.load(known) for known in recipe.names()]
    rows = [(r.name, r.description, ", ".join(map(recipe.name_of, r.stages)), ", ".join(_files(r))) for r in found]
    display.table("Recipes", ("name", "what it does", "stages", "files"), rows)


def _files(recipe: Recipe) -> list[str]:
    return [*dict.fromkeys(attempt.product for attempt in recipe.attempts), *(export.name for export in recipe.exports)]
