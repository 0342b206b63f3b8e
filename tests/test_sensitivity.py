import json

import msgspec
import numpy as np
import pytest
from conftest import secateur, tiny_model

from toolchain import plots
from toolchain.files import digest
from toolchain.report import HostFacts, ModelReport, Report, dumps
from toolchain.sensitivity import SensitivityJob, of_channels
from toolchain.stages.finetune import Finetune
from toolchain.worker import silent

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model_path(keras, context, tmp_path):
    tiny_model(keras).save(tmp_path / "untrained.keras")
    Finetune(epochs=8, batch_size=16, learning_rate=0.02).run(tmp_path / "untrained.keras", tmp_path / "model.keras", context)
    return tmp_path / "model.keras"


def test_each_group_is_pruned_alone(model_path, dataset):
    found = of_channels(SensitivityJob(model_path, dataset, "contribution", (0.0, 0.5, 1.0), 1000, 0, False), silent)
    assert [(group.name, group.channels) for group in found.groups] == [("conv", 4), ("point", 8)]
    assert found.digest == digest(model_path)
    assert found.examples == "30 of 30 in shapes.npz/validation"
    for group in found.groups:
        assert [point.kept for point in group.points] == [group.channels, group.channels // 2, 1], "one channel always stays"
        assert group.points[0].macs == found.macs > group.points[1].macs > group.points[2].macs
        assert group.points[0].score == pytest.approx(found.score, abs=0.1), "recalibration alone changes little"
        assert group.points[2].score < found.score
    assert b">conv (4)<" in plots.sensitivity(found)


def test_the_command(model_path, npz, tmp_path):
    options = ("--data", str(npz), "--scale", "1/255", "--channels", "--ratio", "0.5", "--plot", str(tmp_path / "s.svg"))
    shown = secateur("sensitivity", str(model_path), *options)
    assert shown.returncode == 0, shown.stderr
    assert "50% gone" in shown.stdout
    assert "point" in shown.stdout
    assert (tmp_path / "s.svg").read_bytes().startswith(b"<svg")
    found = json.loads(secateur("sensitivity", str(model_path), *options, "--json").stdout)
    assert np.isclose(found["groups"][0]["points"][0]["ratio"], 0.5)
    bare = secateur("sensitivity", str(model_path), "--data", str(npz))
    assert bare.returncode == 2
    assert "say to what: --channels" in bare.stderr


def test_the_curves_join_the_page_of_the_run_and_no_other_models(model_path, npz, tmp_path):
    out = tmp_path / "out"
    measured = ("--data", str(npz), "--scale", "1/255", "--channels", "--ratio", "0.5", "--examples", "10", "--out", str(out))
    done = secateur("sensitivity", str(model_path), *measured)
    assert done.returncode == 0, done.stderr
    assert f"wrote {out / 'sensitivity.json'}" in done.stdout
    assert not (out / "report.html").exists(), "there was no run"
    model = ModelReport(model_path.name, "keras", digest(model_path), 1, 1, 1, 1, None, None, None)
    host = HostFacts("a processor", 1, 1, "Linux", "3.11", "unknown", {})
    report = Report(
        secateur="0", recipe="r", settings={}, model=model, data=None, host=host, artifacts=(), skipped=(), steps=()
    )  # fmt: skip
    (out / "report.json").write_bytes(dumps(report))
    done = secateur("sensitivity", str(model_path), *measured)
    assert done.returncode == 0, done.stderr
    assert 'id="sensitivity-curves"' in (out / "report.html").read_text()
    (out / "report.json").write_bytes(dumps(msgspec.structs.replace(report, model=msgspec.structs.replace(model, digest="0" * 64))))
    done = secateur("sensitivity", str(model_path), *measured)
    assert done.returncode == 2
    assert "another model" in done.stderr
