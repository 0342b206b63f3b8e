"""The networks with weights: trained on CIFAR-10 once, minutes each, and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import msgspec

from benchmarks.quantization import networks
from benchmarks.quantization.examples import PIXELS, cifar10, opened
from toolchain import keras_models, training
from toolchain.cache import Cache
from toolchain.losses import label_loss
from toolchain.stage import Context
from toolchain.stages.finetune import Finetune
from toolchain.task import Task
from toolchain.worker import Progress, silent

TRAINING = Finetune(epochs=8, optimizer="sgd", learning_rate=0.2, warm_up=0.2, weight_decay=2e-3, batch_size=128, flip=True, shift=2)


def trained(name: str, progress: Progress = silent) -> Path:
    """The file of a trained network.

    Its key leaves out the toolchain's source: a change of a stage must not cost half an hour of training.
    """
    data, store = opened(cifar10(), PIXELS), Cache()
    versions = {package: importlib.metadata.version(package) for package in ("keras", "tensorflow")}
    parts = ("quantization benchmark", name, networks.FAMILIES[name], TRAINING, data.digest, versions)
    entry = hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()

    def make(folder: Path) -> str:
        net = networks.build(name)
        context = Context(folder, None, data, (-1.0, 1.0), 0, False, progress)
        training.fit(net, context, TRAINING, label_loss(Task.CLASSIFICATION, True), f"training {name}")
        keras_models.save(net, folder / f"{name}.keras")
        return f"{name}.keras"

    if store.load(entry, str) is None:
        store.make(entry, make)
    return store.folder(entry) / f"{name}.keras"
