import json

import pytest
from c_source.graphs import Net
from conftest import secateur
from pruned_pair import device, pair

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def files(tmp_path):
    return pair(tmp_path)


def compared(*arguments, status=0):
    done = secateur("compare", *map(str, arguments))
    assert done.returncode == status, done.stderr
    return done


def test_a_pruned_files_instructions_fall_layer_by_layer(files, tmp_path):
    (found,) = json.loads(compared(*files, "--target", device(tmp_path), "--json").stdout)
    assert (found["target"], found["emulator"], found["reason"]) == ("mine", "cortex_m", None)
    assert [result["status"] for result in found["results"]] == ["ok", "ok"]
    assert all(result["outputs_match"] for result in found["results"])
    layers = [(pair["first"], pair["second"]) for pair in found["layers"]]
    assert [wide["operator"] for wide, _ in layers] == ["CONV_2D", "CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert [(wide["macs"], narrow["macs"]) for wide, narrow in layers] == [
        (4_608, 2_304), (4_096, 1_024), (2_048, 1_024), (0, 0), (12, 12),
    ]  # fmt: skip
    shares = [narrow["instructions"] / wide["instructions"] for wide, narrow in layers]
    assert all(share < 0.9 for share in shares[:3])
    assert shares[3:] == [1, 1]
    for result, which in zip(found["results"], (0, 1), strict=True):
        assert result["instructions"] == sum(pair[which]["instructions"] for pair in layers)
    assert [pair["distance"] is None for pair in found["layers"]] == [True, True, False, False, False], "two layers have other shapes"
    assert found["layers"][2]["distance"]["sqnr_db"] == pytest.approx(2.4988, abs=0.02), "a quarter of the sum: 20 log10(4 / 3)"
    assert found["outputs"]["max_difference"] > 0


def test_a_file_with_itself_does_not_differ(files, tmp_path):
    (found,) = json.loads(compared(files[0], files[0], "--target", device(tmp_path), "--json").stdout)
    none = {"max_difference": 0, "mean_difference": 0, "sqnr_db": None}
    assert found["outputs"] == none
    assert [pair["distance"] for pair in found["layers"]] == [none] * 5


def test_the_table_names_both_files_and_shows_every_layer(files, tmp_path):
    shown = compared(*files, "--target", device(tmp_path)).stdout
    assert "cortex_m on mine" in shown
    assert "A wide.tflite: cortex_m, executed" in shown
    assert "B narrow.tflite: cortex_m, executed" in shown
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert [row[:4] for row in rows[:2]] == [["0", "CONV_2D", "4,608", "2,304"], ["1", "CONV_2D", "4,096", "1,024"]]
    assert [row[7:] for row in rows[:2]] == [["", ""]] * 2
    before, after = (int(rows[1][column].replace(",", "")) for column in (4, 5))
    assert 0.25 < after / before < 0.75
    assert rows[1][6] == f"{after / before:.2f}"
    assert rows[2][8] == "2.5"
    assert rows[4][6] == "1.00"


def test_a_refused_file_says_why_and_has_no_layers(files, tmp_path, tiny_float):
    tiny = tmp_path / "tiny.tflite"
    tiny.write_bytes(tiny_float.read_bytes())
    shown = compared(tiny, files[0], "--target", device(tmp_path)).stdout
    assert "A tiny.tflite: cortex_m: refused: " in shown
    assert "B wide.tflite: cortex_m, executed" in shown
    assert "│" not in shown


def test_files_with_different_inputs_are_an_error(files, tmp_path):
    net = Net()
    net.operator("RELU", [net.input((1, 5), scale=0.1)], net.output((1, 5), scale=0.1))
    other = net.write(tmp_path / "other.tflite")
    done = compared(files[0], other, "--target", device(tmp_path), status=2)
    assert "wide.tflite and other.tflite take different inputs and cannot be compared" in done.stderr


def test_a_target_that_takes_no_such_file_says_so(files, tmp_path):
    own = device(tmp_path)
    own.write_text(own.read_text().replace('["tflite"]', '["onnx"]'))
    assert compared(*files, "--target", own).stdout == "no emulator of the target takes both files\n"
