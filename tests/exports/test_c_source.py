import numpy as np
import pytest
from conftest import secateur, shapes, tiny_model

from toolchain import recipe, report
from toolchain.errors import RecipeError
from toolchain.exports.c_source import CSource

RECIPE = """
[data]
scale = "1/255"
[[export]]
use = "c_source"
prefix = "digits"
cores = ["cortex-m4"]
"""


def test_it_brings_the_file_that_it_holds():
    export = CSource()
    assert (export.name, export.source.name) == ("static_w8a8_c", "static_w8a8.tflite")
    assert CSource(of="original").name == "original_static_w8a8_c"


def test_an_unknown_core_is_refused_when_the_recipe_loads(tmp_path):
    (tmp_path / "mine.toml").write_text(RECIPE.replace("cortex-m4", "cortex-m5"))
    with pytest.raises(RecipeError, match=r"no 'cortex-m5' in cores; did you mean 'cortex-m"):
        recipe.load(str(tmp_path / "mine.toml"))


@pytest.mark.tensorflow
def test_a_run_delivers_the_package_beside_its_file(compiled_once, tmp_path):
    import keras

    tiny_model(keras).save(tmp_path / "my.keras")
    x, y = shapes(120)
    np.savez(tmp_path / "my.npz", x=x, y=y)
    (tmp_path / "mine.toml").write_text(RECIPE)
    arguments = ["run", "mine.toml", "--model", "my.keras", "--data", "my.npz", "--out", "out", "--target", "nucleo_l4r5zi"]
    for again in range(2):
        done = secateur(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "cortex-m4" in done.stdout
        found = report.load(tmp_path / "out" / "report.json")
        rows = {row.name: row for row in found.artifacts}
        assert set(rows) == {"static_w8a8.tflite", "static_w8a8_c"}, again
        package = rows["static_w8a8_c"]
        assert (package.format, package.latency, package.accuracy) == ("c_source", None, None)
        assert any(skipped.step == "static_w8a8_c" for skipped in found.skipped)
        assert {"digits.c", "digits.h", "README.md", "SHA256SUMS"} <= {path.name for path in (tmp_path / "out" / "static_w8a8_c").iterdir()}
        assert "static_w8a8_c" in (tmp_path / "out" / "report.html").read_text()
