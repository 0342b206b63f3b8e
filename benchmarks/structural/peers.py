"""Our engine, Torch-Pruning and tfmot's zeros on the same trained ResNet-8, with the same fine-tuning, side by side.

tfmot sets its zeros in two epochs of its own before.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.structural import networks
from benchmarks.structural.criteria import EVIDENCE, top1
from benchmarks.structural.speed import KERNELS, speedup
from toolchain import keras_models
from toolchain.channels import ChannelGraph, Plan
from toolchain.data import Dataset
from toolchain.evidence import gather, sample
from toolchain.exports.tflite import Tflite
from toolchain.finetuning import Course
from toolchain.measure.latency import Timing, interleaved
from toolchain.measure.size import size
from toolchain.normalization import recalibrate
from toolchain.runners.litert import LiteRT
from toolchain.stage import Context
from toolchain.stages.finetune import Finetune
from toolchain.stages.prune import Prune
from toolchain.worker import silent

MACS = 0.5
TRAINING = Finetune(epochs=6, optimizer="sgd", learning_rate=0.1, warm_up=0.2, batch_size=128, flip=True, shift=4, alpha=0.5)


def run() -> dict[str, Any]:
    """Accuracy, bytes and speed of each, after `TRAINING`; latency interleaved over all int8 files."""
    data = networks.cifar10()
    models: dict[str, Any] = {"original": keras_models.load(networks.RESNET8), "secateur, contribution": _ours(data, "contribution")}
    models["secateur, random"] = _ours(data, "random")
    skipped = {}
    if importlib.util.find_spec("torch_pruning"):
        models["Torch-Pruning, group L2"] = _torch_pruning(data)
    else:
        skipped["Torch-Pruning"] = "not installed; pip install torch torch-pruning"
    raw = {name: top1(model, data) for name, model in models.items()}
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(networks.RESNET8, None, data, (0.0, 255.0), 0, False, silent)
        left = models["secateur, contribution"].count_params() / models["original"].count_params()
        zeros = Path(scratch) / "zeros.keras"
        Prune(sparsity=1 - left, scope="model", epochs=2, batch_size=128).run(networks.RESNET8, zeros, context)
        models["tfmot, as many zeros"] = keras_models.load(zeros)
        for name, model in models.items():
            if name != "original":
                Course(model, context, TRAINING).train(model, TRAINING.epochs, name)
        files = {name: _int8(model, Path(scratch) / str(index), context) for index, (name, model) in enumerate(models.items())}
        runs = {(name, kernels): LiteRT(path, 1, kernels) for name, path in files.items() for kernels in KERNELS}  # type: ignore[arg-type]
        samples = interleaved({f"{name}/{kernels}": run.invoke for (name, kernels), run in runs.items()}, Timing())
        rows = [
            {
                "what": name,
                "widths": {group.name: group.width for group in ChannelGraph(model).groups},
                "macs": ChannelGraph(model).plan(0.0).macs_before,
                "nonzero_params": sum(int(np.count_nonzero(w)) for w in model.get_weights()),
                "recalibrated": raw.get(name),
                "finetuned": top1(model, data),
                "int8": _int8_top1(runs[name, "xnnpack"], data),
                "bytes": size(files[name]).raw,
                "gzip_bytes": size(files[name]).gzip,
                **{kernels: speedup(samples[f"original/{kernels}"], samples[f"{name}/{kernels}"]) for kernels in KERNELS},
            }
            for name, model in models.items()
        ]
    return {
        "model": "ResNet-8 at half the MACs",
        "data": "CIFAR-10, top-1 on test_a",
        "training": repr(TRAINING),
        "rows": rows,
        "skipped": skipped,
    }


def _ours(data: Dataset, criterion: str) -> Any:
    graph = ChannelGraph(keras_models.load(networks.RESNET8))
    evidence = gather(graph, data, EVIDENCE, 0)
    smaller = graph.plan(target={"macs": MACS}, criterion=criterion, evidence=evidence, round_to=8).apply()
    recalibrate(smaller, sample(data, "train", EVIDENCE, 0)[0])
    return smaller


def _torch_pruning(data: Dataset) -> Any:
    """Torch-Pruning's weights in a Keras model of its widths. Raises ValueError where the two networks differ before."""
    from benchmarks.structural.torch_resnet8 import pruned_weights

    original = keras_models.load(networks.RESNET8)
    images = sample(data, "train", EVIDENCE, 0)[0]
    weights, answers = pruned_weights(original.get_weights(), images, MACS)
    if (difference := np.abs(answers - np.asarray(original(images))).max()) > 1e-4:
        raise ValueError(f"the PyTorch copy differs from the Keras model by {difference:.1e}")
    graph, shapes = ChannelGraph(original), {}
    for slot, weight in zip(original.weights, weights, strict=True):
        shapes[id(slot)] = weight.shape
    dead = []
    for group in graph.groups:
        made = next(slot for slot in graph.slots if slot.role == "out" and slot.layer.name == group.name)
        width = shapes[id(made.layer.weights[made.weight])][made.axis]
        dead += group.classes[width:]
    smaller = Plan(graph, dead).apply()
    smaller.set_weights(weights)
    recalibrate(smaller, images)
    return smaller


def _int8(model: Any, folder: Path, context: Context) -> Path:
    folder.mkdir()
    keras_models.save(model, folder / "model.keras")
    Tflite(scheme="static_w8a8").run(folder / "model.keras", folder / "int8.tflite", context)
    return folder / "int8.tflite"


def _int8_top1(runner: LiteRT, data: Dataset) -> float:
    labels = data.raw("test")[1]
    return round(float((runner.predict([data.inputs("test")]).argmax(1) == labels).mean()), 4)
