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
    for distance in (found["outputs"], *(layer["distance"] for layer in found["layers"])):
        assert distance == {"max_difference": 0, "mean_difference": 0, "sqnr_db": None, "cosine": pytest.approx(1)}


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


def test_without_a_target_files_are_compared_on_every_engine_and_layer_by_layer(tiny_float, tiny_int8, tmp_path):
    """Random inputs are brighter than the images that set the ranges of the int8 file: it saturates, below the floor."""
    plot = tmp_path / "error.svg"
    floors = ("--fail-under", "sqnr=90", "--fail-under", "cosine=0.9")
    shown = compared(tiny_float, tiny_int8, "--examples", "20", "--plot", plot, *floors, status=3).stdout
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    engines = ("xnnpack", "builtin", "reference", "tflm")
    assert [row[:3] for row in rows[:5]] == [
        ["tiny_float32.tflite", "float32", "model"],
        *(["tiny_int8.tflite", "static_w8a8", engine] for engine in engines),
    ]
    assert "tiny_int8.tflite: reference and tflm: identical" in shown
    assert "\ntiny_int8.tflite: sequential_1/conv2d_1/Relu: saturation: SQNR falls from" in shown
    kinds = ["INPUT", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "SOFTMAX"]
    assert [row[1] for row in rows[5:12]] == kinds
    assert [(*row[:3], row[4]) for row in rows[12:]] == [("tiny_int8.tflite", engine, "sqnr", "90") for engine in engines]
    assert b"saturation" in plot.read_bytes()


def test_json_holds_everything_and_finished_files_need_no_tensorflow(tiny_float, tiny_int8, npz, tmp_path):
    for name in ("tensorflow", "keras"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text(f"raise SystemExit('{name} was imported')")
    options = ("--data", str(npz), "--scale", "1/255", "--examples", "20", "--fail-under", "sqnr=20", "--json")
    done = secateur("compare", str(tiny_float), str(tiny_int8), *options, PYTHONPATH=str(tmp_path / "poison"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["below"] == []
    ladder = found["ladder"]
    assert ladder["examples"] == "20 of 300 in shapes.npz/test"
    assert (ladder["model"], len(ladder["rungs"]), len(ladder["engines"])) == ("tiny_float32.tflite", 5, 6)
    assert [rung["score"]["metric"] for rung in ladder["rungs"]] == ["top1"] * 5
    (file,) = ladder["files"]
    assert set(file["layers"][1]["own"]) == {"sqnr_db", "channel_sqnr_db", "weights_db", "output_db", "inputs_db"}
    assert file["blame"]["reason"]["text"]


def test_a_floor_that_does_not_exist_is_an_error_before_anything_runs(tiny_float, tiny_int8):
    assert "top1, sqnr, cosine, accuracy" in compared(tiny_float, tiny_int8, "--fail-under", "psnr=3", status=2).stderr


def test_a_gate_is_not_forgotten_beside_a_target(files, tmp_path):
    done = secateur("compare", str(files[0]), str(files[1]), "--target", "pico", "--fail-under", "top1=0.9")
    assert done.returncode == 2
    assert "--fail-under and --plot belong to the comparison without it" in " ".join(done.stderr.replace("│", " ").split())


def test_where_nothing_could_be_compared_that_is_a_failure(tiny_float, tiny_int8, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(tiny_int8.read_bytes()[:900])
    done = secateur("compare", str(tiny_float), str(broken))
    assert done.returncode == 2
    assert "nothing could be compared" in done.stdout
    done = secateur("compare", str(tiny_float), str(tiny_int8), "--plot", "error.png")
    assert done.returncode == 2
    assert "an .svg is written" in done.stderr


def test_a_target_compares_two_files(files, tmp_path):
    assert "compares two files" in compared(*files, files[0], "--target", device(tmp_path), status=2).stderr
