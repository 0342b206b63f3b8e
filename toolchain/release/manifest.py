"""manifest.json of a release: what is in it, how it came about, and how to check it. JSON in and out, one schema version."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from toolchain.errors import BundleError
from toolchain.report import ArtifactReport, DataReport, ModelReport

SCHEMA: Final = 1
NAME: Final = "manifest.json"
SCHEMA_NAME: Final = "manifest.schema.json"


class Listed(msgspec.Struct, frozen=True):
    """One file of the bundle, by its path in it. Not listed are the manifest, the signature and SHA256SUMS, which lists them."""

    path: str
    sha256: str
    bytes: int


class TensorFacts(msgspec.Struct, frozen=True):
    """An input or output of a model file. Real value = scale * (stored - zero_point); no scale where it is stored as it is."""

    name: str
    shape: tuple[int | None, ...]
    """With the batch; None where any size goes."""
    dtype: str
    """As NumPy names it: int8."""
    scale: float | None = None
    zero_point: int | None = None


class OperatorFacts(msgspec.Struct, frozen=True):
    """An operator that a runtime has to know."""

    name: str
    version: int
    """In the TFLite schema, or the ONNX opset."""
    count: int


class Golden(msgspec.Struct, frozen=True):
    """Examples with the answers of this machine's runtime, for the target's own test. Arrays are .npy, as the file stores them."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    """Paths in the bundle; each array is `[N, ...]`, one model input after the other, run one example at a time."""
    examples: int
    runtime: str
    same_kernels: float
    """Largest difference of an output value that is right on `runtime`, in steps of stored integers or as a real number for floats.

    For integer files also on TensorFlow Lite Micro and in generated C.
    """
    tolerance: float
    """The same on other kernels and versions."""
    why: str
    """Where the tolerance comes from."""
    varying: int
    """Output values that differ between examples by more than `same_kernels`: what does not vary is hardly tested."""
    values: int
    """Output values of an example."""


class ModelFile(msgspec.Struct, frozen=True):
    """A model in the bundle."""

    path: str
    format: str
    scheme: str
    run_digest: str
    """SHA-256 of the file in the run's folder: before metadata were added."""
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: tuple[OperatorFacts, ...]
    minimum_runtime: str | None
    """The oldest runtime that knows all operators in these versions; None where that is not known."""
    golden: Golden | None
    measurements: ArtifactReport
    """As in report.json; every number says how it came about. `digest` and `bytes` there are those of the run's file."""
    recommended_for: tuple[str, ...] = ()
    """Targets for which the report recommends this file."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole release."""

    schema: Literal[1] = SCHEMA
    name: str
    version: str
    license: str
    """SPDX expression; NOASSERTION where nobody said."""
    description: str
    secateur: str
    recipe: str
    settings: dict[str, Any]
    """The recipe as it was run."""
    seed: int
    original: ModelReport
    data: DataReport | None
    """With the fingerprint of the data, and what turns stored inputs into the model's: x * scale + offset."""
    labels: tuple[str, ...]
    tools: dict[str, str]
    """Versions of what computed and measured."""
    models: tuple[ModelFile, ...]
    files: tuple[Listed, ...]
    signature: Literal["none", "key", "sigstore"] = "none"
    """What signed the bundle. Only who checks it with a public key, or an identity, knows that it is so."""
    notes: tuple[str, ...] = ()
    """What was left out or could not be done, and why."""


def load(content: bytes, where: str) -> Manifest:
    """Read a manifest.json. Raises BundleError where it is none, or one of another schema."""
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, RecursionError, ValueError) as err:
        raise BundleError(f"{where}: not a manifest of schema {SCHEMA} ({err})") from None


def json_schema() -> dict[str, Any]:
    """The JSON schema of a manifest, as it stands in docs/manifest.schema.json."""
    return msgspec.json.schema(Manifest)
