import csv

from conftest import SHARED, needs_shared
from latency.small import network

from toolchain.latency.memory import activations
from toolchain.tflite_file import TfliteFile


def test_bounds_by_hand(tmp_path):
    found = activations(TfliteFile.read(network(tmp_path / "net.tflite")))
    # 192 values of the image and 128 of the convolution; the convolution may overwrite 128 of the image's
    assert (found.in_place_bytes, found.separate_bytes) == (192, 320)


@needs_shared("published/mcu_results.csv")
def test_separate_tensors_equal_the_published_peaks():
    with (SHARED / "published" / "mcu_results.csv").open(newline="") as table:
        peaks = {row["model_file"]: float(row["peak_live_act_bytes"]) for row in csv.DictReader(table) if row["model_file"]}
    files = [path for path in sorted((SHARED / "models_for_calibration").glob("*.tflite")) if path.name in peaks]
    assert len(files) > 20
    for path in files:
        assert activations(TfliteFile.read(path)).separate_bytes == peaks[path.name], path.name
