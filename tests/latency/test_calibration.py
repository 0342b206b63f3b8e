"""The calibration program: its arithmetic, its account of the data, and that it writes what is in the repository."""

import math
import shutil
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from conftest import HERE, SHARED, needs_shared

ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from benchmarks.latency_model import judge, phones, rows, written  # noqa: E402
from benchmarks.latency_model.architectures import DRAWINGS  # noqa: E402
from benchmarks.latency_model.hierarchy import PRIOR, Spread, fit  # noqa: E402
from benchmarks.latency_model.rows import Measurement, macs  # noqa: E402
from toolchain.latency import work  # noqa: E402

KNOWN_MACS = {
    ("mobilenet_v1_0.5", "224x224x3"): 148_987_648,
    ("mobilenet_v2_0.35", "224x224x3"): 58_012_208,
    ("squeezenet_1.1", "128x128x3"): 80_217_280,
    ("efficientnet_lc", "224x224x3"): 60_590_512,
}


def measurement(cycles, done, profile="engine-1/cortex-m4", board="board", family="f"):
    return Measurement(profile, "engine", "Engine 1", "cortex-m4", board, 1_000_000, family, family, done, cycles / 1e3, "here", macs(done))


def networks():
    """Dense and 1x1 layers in many proportions; cycles of 3 and 2 a MAC, 20 an output, 1500 a call."""
    made = []
    for index, (dense, pixels) in enumerate([(64, 400), (900, 16), (300, 100), (10, 900), (700, 300), (30, 64)]):
        done = work.total([work.dense(dense, 512), work.conv(pixels * 64, (1, 1), 32, 64)])
        cycles = (
            3 * done["dense_mac"] + 2 * done["pointwise_mac"] + 20 * done["output"] + 1500 * 2 + PRIOR["weight_byte"] * done["weight_byte"]
        )
        made.append(measurement(cycles, done, family=f"f{index}"))
    return made


def test_the_fit_finds_the_costs_that_made_the_rows():
    found = networks()
    posterior = fit(found, Spread(residual=0.002))
    costs = dict(zip(work.TERMS, np.exp(posterior.log_costs(found[0])[:-1] + posterior.log_costs(found[0])[-1]), strict=True))
    assert costs["dense_mac"] == pytest.approx(3, rel=0.1)
    assert costs["pointwise_mac"] == pytest.approx(2, rel=0.15)
    for row in found:
        assert math.exp(posterior.predict(row)[0]) == pytest.approx(row.cycles, rel=0.01)


def test_what_no_row_has_seen_is_uncertain():
    found = networks()
    posterior = fit(found, Spread())
    seen = posterior.predict(found[0])[1]
    unseen = posterior.predict(measurement(1, work.conv(6400, (3, 3), 32, 64)))[1]
    assert seen < 0.1
    assert unseen > 0.3


def test_rows_left_out_are_refused_where_nothing_vouches_for_their_work():
    found = networks()
    convolution = measurement(5e6, work.conv(6400, (3, 3), 32, 64), family="conv")
    assert judge.held(fit(found, Spread(), [convolution]), found, convolution).refused
    others = [row for row in found if row is not found[0]]
    left_out = judge.held(fit(others, Spread(), found), others, found[0])
    assert not left_out.refused
    assert left_out.relative_error == pytest.approx(0, abs=0.05)
    slow = msgspec.structs.replace(found[0], ms=2 * found[0].ms)
    assert judge.leave_families_out([slow, *found[1:]], Spread())[0].relative_error == pytest.approx(-0.5, abs=0.03)
    assert [each.row.family for each in judge.leave_families_out(found, Spread())] == [f"f{index}" for index in range(6)]


def test_the_interval_counts_families_not_rows():
    def held(error, family):
        return judge.Held(measurement(math.exp(error), {"operator": 1}, family=family), 0.0, 0.1, refused=False)

    many = [held(0.01, "good") for _ in range(50)]
    # a normal's 1.645 at least; one bad family of two is half of the weight
    assert judge.interval_z(many) == 1.645
    assert judge.interval_z([*many, held(0.5, "bad")]) == pytest.approx(5)
    assert judge.mape([held(math.log(2), "a"), held(math.log(4), "a")]) == pytest.approx((0.5 + 0.75) / 2)


@pytest.mark.parametrize("name", KNOWN_MACS)
def test_drawings_have_the_published_multiplications(name):
    assert macs(work.total(DRAWINGS[name]().parts)) == KNOWN_MACS[name]


@needs_shared("published/mcu_results.csv")
def test_every_published_row_is_used_or_counted():
    found, excluded = rows.read(SHARED)
    assert len(found) + sum(excluded.values()) == 248
    assert sum(count for reason, count in excluded.items() if "coprocessor" in reason) == 8
    assert not any(row.board == "stm32h747i-disco" and "mobilenet v2 0.35 224" in row.network for row in found)  # external SDRAM
    assert {row.board for row in found if row.core == "cortex-m33"} == {"nucleo-u575zi-q", "b-u585i-iot02a"}  # no coprocessor
    twice = [row for row in found if row.profile == "x-cube-ai-7.3.0/cortex-m4" and row.family == "ds_cnn"]
    assert [row.ms for row in twice] == pytest.approx([math.sqrt(75.0582 * 74.7328)])  # two submissions


@needs_shared("published/op_level.csv")
def test_the_operators_of_the_pico_add_up():
    found = rows.read_operators(SHARED)
    assert math.fsum(row.ms for row in found) == pytest.approx(823.658 - 0.021)  # the network's row, less a RESHAPE
    assert sum(macs(row.work) for row in found) == found[0].network_macs == 7_157_888


@needs_shared("published/phone_results.csv")
def test_phones_are_refused_with_what_multiplications_alone_would_miss():
    found = {each.setup: each for each in phones.refused(SHARED)}
    assert found["ncnn benchncnn, float32"].errors[0] > 0.3
    assert "neither .tflite nor .onnx" in found["ncnn benchncnn, float32"].reason


def test_tables_go_between_their_markers():
    document = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n<!-- table: y -->\n<!-- end -->\n"
    expected = "a\n<!-- table: x -->\nnew\n<!-- end -->\nb\n<!-- table: y -->\nmore\n<!-- end -->\n"
    assert written.replace_tables(document, {"x": "new\n", "y": "more\n"}) == expected
    with pytest.raises(ValueError, match="no place for the table 'z'"):
        written.replace_tables(document, {"z": ""})


def program(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.latency_model", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip


def test_without_data_it_says_so(tmp_path):
    found = program("--data", tmp_path)
    assert found.returncode == 2
    assert f"no published/mcu_results.csv in {tmp_path}" in found.stderr


@pytest.mark.prove
@needs_shared("published/mcu_results.csv")
def test_a_second_run_writes_the_same_bytes(tmp_path):
    for folder in ("benchmarks/results", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "latency.md", tmp_path / "docs")
    found = program("--data", SHARED, "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    files = [path.relative_to(ROOT) for path in sorted((ROOT / "targets" / "profiles").glob("*/*.json"))]
    assert len(files) > 15
    assert [path.relative_to(tmp_path) for path in sorted((tmp_path / "targets" / "profiles").glob("*/*.json"))] == files
    for name in (*files, "benchmarks/results/latency_model.json", "docs/latency.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes(), name
