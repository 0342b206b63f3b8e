"""Which channels to take: every criterion at three sizes and two seeds, before and after the same short fine-tuning."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.structural import networks
from toolchain import keras_models
from toolchain.channels import ChannelGraph
from toolchain.channels.criteria import CRITERIA
from toolchain.data import Dataset
from toolchain.evidence import gather, sample
from toolchain.finetuning import Course
from toolchain.keras_function import of_keras
from toolchain.measure.accuracy import quality
from toolchain.normalization import recalibrate
from toolchain.stage import Context
from toolchain.stages.finetune import Finetune
from toolchain.worker import silent

DIVISORS = (1.5, 2.0, 4.0)
SEEDS = (0, 1)
EVIDENCE = 256
"""Training images that the criteria see."""
TRAINING = Finetune(epochs=1, optimizer="sgd", learning_rate=0.02, warm_up=0.2, batch_size=128)


def run() -> dict[str, Any]:
    """Top-1 on test_a for each criterion; the fine-tuning is plain, one pass, so that what was taken still shows."""
    data, rows = networks.cifar10(), []
    for criterion in CRITERIA:
        for seed in SEEDS:
            for divisor in DIVISORS:
                rows.append({"criterion": criterion, "seed": seed, "macs_divisor": divisor} | _measure(criterion, seed, divisor, data))
                print(rows[-1], flush=True)
    return {"model": "ResNet-8", "data": "CIFAR-10, test_a", "training": "1 epoch, SGD one-cycle 0.02, no distillation", "rows": rows}


def _measure(criterion: str, seed: int, divisor: float, data: Dataset) -> dict[str, Any]:
    graph = ChannelGraph(keras_models.load(networks.RESNET8))
    evidence = gather(graph, data, EVIDENCE, seed)
    plan = graph.plan(target={"macs": 1 / divisor}, criterion=criterion, seed=seed, evidence=evidence, round_to=8)
    smaller = plan.apply()
    recalibrate(smaller, sample(data, "train", EVIDENCE, seed)[0])
    context = Context(networks.RESNET8, None, data, (0.0, 1.0), seed, False, silent)
    found = {"macs_ratio": round(plan.macs_before / plan.macs_after, 3), "recalibrated": top1(smaller, data)}
    Course(smaller, context, TRAINING).train(smaller, TRAINING.epochs, criterion)
    return found | {"finetuned": top1(smaller, data), "widths": {change.name: change.after for change in plan.changes}}


def top1(model: Any, data: Dataset) -> float:
    """On test_a."""
    labels = data.raw("test")[1]
    return round(quality(of_keras(model, model.name, 256).predict([data.inputs("test")])[0], np.asarray(labels)), 4)
