from typing import Annotated, Literal

import msgspec
import pytest

from toolchain import registry
from toolchain.errors import RecipeError
from toolchain.settings import build


class Shears(msgspec.Struct, frozen=True):
    blade: Literal["bypass", "anvil"]
    length_mm: Annotated[int, msgspec.Meta(ge=10)] = 200
    oiled: bool = False


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"blade": "saw"}, "r.toml: stage[0].blade = 'saw': choose from bypass, anvil"),
        (
            {"blade": "anvil", "lenght_mm": 3},
            "r.toml: stage[0]: no key 'lenght_mm'; did you mean 'length_mm'? choose from blade, length_mm, oiled",
        ),
        ({"blade": "anvil", "length_mm": 3}, "r.toml: stage[0].length_mm = 3: Expected `int` >= 10"),
        ({"blade": "anvil", "oiled": "yes"}, "r.toml: stage[0].oiled = 'yes': Expected `bool`, got `str`"),
        ({}, "r.toml: stage[0]: the key 'blade' is missing"),
    ],
)
def test_the_error_names_path_value_and_choices(table, message):
    with pytest.raises(RecipeError) as caught:
        build(Shears, table, "r.toml: stage[0]", RecipeError)
    assert str(caught.value) == message


def test_a_right_table_becomes_frozen_settings():
    assert build(Shears, {"blade": "anvil"}, "here", RecipeError) == Shears("anvil", 200, False)


@pytest.mark.parametrize("package", ["stages", "exports", "emulators"])
def test_every_file_holds_the_plug_in_of_its_name(package):
    for name in registry.names(package):
        found = registry.find(package, name, "use", RecipeError)
        assert found.__struct_config__.tag == name
        assert found.__module__ == f"toolchain.{package}.{name}"


def test_an_unknown_plug_in_is_refused_with_the_nearest_name():
    with pytest.raises(
        RecipeError,
        match=r"stage\[0\].use = 'prun': no such name in stages; did you mean 'prune'\? choose from adaround, cluster, correct_bias, equalize, finetune, ",
    ):
        registry.find("stages", "prun", "stage[0].use", RecipeError)
