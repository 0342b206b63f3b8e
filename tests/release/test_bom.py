import json

import msgspec
import pytest
from conftest import HERE
from released import HOSTILE, hostile, manifest_of, model_of

from toolchain.release.bom import bom, complaints
from toolchain.release.manifest import Listed

pytest.importorskip("cyclonedx")


@pytest.fixture
def manifest():
    return manifest_of(model_of(HERE / "data" / "tiny_int8.tflite"))


def test_every_model_stands_with_its_hash_and_card(manifest):
    (model,) = manifest.models
    found = json.loads(bom(manifest))
    parts = {part["bom-ref"]: part for part in found["components"]}
    assert found["specVersion"] == "1.6"
    part = parts[model.path]
    assert part["type"] == "machine-learning-model"
    assert part["hashes"] == [{"alg": "SHA-256", "content": model.run_digest}]
    assert part["licenses"] == [{"license": {"id": "MIT"}}]
    assert part["modelCard"]["modelParameters"]["datasets"] == [{"ref": "data"}]
    assert part["modelCard"]["modelParameters"]["inputs"] == [{"format": "int8[1, 8, 8, 1]"}]
    top1, *_ = part["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert top1 == {
        "type": "top1",
        "value": "0.9",
        "slice": "test split",
        "confidenceInterval": {"lowerBound": "0.8", "upperBound": "0.95"},
    }
    assert parts["data"]["data"][0]["name"] == "shapes"
    assert {"name": "secateur:sha256", "value": "cd" * 32} in parts["data"]["data"][0]["contents"]["properties"]
    assert {tool["name"]: tool["version"] for tool in found["metadata"]["tools"]["components"]}["tensorflow"] == "2.21.0"


def test_it_is_valid_and_the_same_every_time(manifest):
    first = bom(manifest)
    assert complaints(first.decode()) is None
    assert bom(manifest) == first
    assert "timestamp" not in json.loads(first)["metadata"]


def test_the_serial_number_is_that_of_the_content(manifest):
    other = msgspec.structs.replace(manifest, files=(Listed(manifest.models[0].path, "00" * 32, 1),))
    serials = [json.loads(bom(m))["serialNumber"] for m in (manifest, other)]
    assert serials[0] != serials[1]
    assert serials[0].startswith("urn:uuid:")


def test_a_broken_one_is_seen():
    assert "serialNumber" in complaints('{"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "1"}')


def test_without_data_and_licence_nothing_is_claimed(manifest):
    found = json.loads(bom(msgspec.structs.replace(manifest, data=None, license="NOASSERTION")))
    assert "data" not in {part["bom-ref"] for part in found["components"]}
    assert not any("licenses" in part for part in (*found["components"], found["metadata"]["component"]))


@pytest.mark.parametrize("license", ["Apache-2.0", "MIT OR Apache-2.0", "LicenseRef-Ours"])
def test_licences_of_every_form_are_valid(manifest, license):
    assert complaints(bom(msgspec.structs.replace(manifest, license=license)).decode()) is None


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_data(text):
    found = json.loads(bom(hostile(text)))
    assert {part["name"] for part in found["components"] if part["bom-ref"] == "original"} == {text}
