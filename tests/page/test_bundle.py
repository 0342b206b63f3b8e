import pytest

from toolchain.cache import Cache
from toolchain.page import bundle


@pytest.fixture
def fresh(own_cache):
    bundle.javascript.cache_clear()
    yield
    bundle.javascript.cache_clear()


def test_the_script_is_made_once_and_then_read(fresh):
    made = bundle.javascript()
    (kept,) = Cache().tools.glob("vega-*.js")
    assert kept.read_text() == made
    assert "vegaEmbed" in made
    assert "</script" not in made.lower(), "it would end the element that holds it"
    assert "<!--" not in made
    kept.write_text("kept")
    assert bundle.javascript() == made, "in memory"
    bundle.javascript.cache_clear()
    assert bundle.javascript() == "kept"
