"""A larger network to teach the pruned one: one block each of 32, 64 and 128 channels, 50 M MACs, half an hour of training."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.structural import networks
from toolchain import keras_models, training
from toolchain.cache import Cache, key
from toolchain.losses import label_loss
from toolchain.stage import Context
from toolchain.stages.finetune import Finetune
from toolchain.task import Task
from toolchain.worker import silent

WIDTHS = (32, 64, 128)
TRAINING = Finetune(epochs=20, optimizer="sgd", learning_rate=0.2, warm_up=0.2, weight_decay=5e-3, batch_size=128, flip=True, shift=4)


def trained() -> Path:
    """The teacher's file, trained once and kept in the cache."""
    data, store = networks.cifar10(), Cache()
    entry = key("structural teacher", WIDTHS, msgspec.to_builtins(TRAINING), data.digest)

    def make(folder: Path) -> str:
        net = networks.residual(WIDTHS, "teacher")
        context = Context(folder, None, data, (0.0, 255.0), 0, False, silent)
        training.fit(net, context, TRAINING, label_loss(Task.CLASSIFICATION, True), "training the teacher")
        keras_models.save(net, folder / "teacher.keras")
        return "teacher.keras"

    if store.load(entry, str) is None:
        store.make(entry, make)
    return store.folder(entry) / "teacher.keras"
