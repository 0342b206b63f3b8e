"""Zero a share of every kernel's weights, with tensorflow-model-optimization.

Zeros shrink the compressed release. They save time only on a target whose kernels skip them: judge this stage by the
benchmark, not by the sparsity it reached.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from toolchain import keras_models, losses, sparsity
from toolchain.errors import StageError
from toolchain.keras_bridge import Crossing, custom_activations
from toolchain.keras_function import of_keras
from toolchain.optional import require
from toolchain.sparsity import Kernels
from toolchain.stage import Context, Note, Outcome
from toolchain.training import TrainedStage, fit

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Prune(TrainedStage, frozen=True, tag="prune", kw_only=True):
    """Train with magnitude masks until the sparsity is reached, then strip tfmot's wrappers.

    Exactly one of `sparsity`, `threshold` and `pattern` says how much goes (Zhu & Gupta 2017 for the schedule).
    """

    sparsity: Share | None = None
    """Fraction of zeros: in each layer (`scope = "layer"`), or over all kernels (`scope = "model"`)."""
    scope: Literal["layer", "model"] = "layer"
    threshold: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Every weight with |w| below this goes."""
    pattern: Literal["2:4"] | None = None
    """Two zeros in every four weights along the input channels."""
    layers: dict[str, Share] = {}
    """Other sparsities for layers whose name matches a pattern: `{"conv_1*" = 0.5}`."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers that lose nothing."""
    max_layer_sparsity: Share = 0.9
    """No layer loses more than this, whatever the threshold says; where it binds is in the report."""
    schedule: Literal["polynomial", "constant", "one_shot"] = "polynomial"
    begin: Part = 0.0
    """Where in the run pruning starts, as a fraction of all steps."""
    end: Part = 0.7
    """Where the final sparsity is reached; the rest of the run recovers accuracy."""
    frequency: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Steps between two updates of the masks; by default 20 updates in the run."""
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 4
    """0: prune at once, without training and without data."""

    def __post_init__(self) -> None:
        given = [name for name in ("sparsity", "threshold", "pattern") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of sparsity, threshold and pattern, not {' and '.join(given) or 'none'}")
        if self.begin >= self.end:
            raise ValueError(f"begin = {self.begin} must lie before end = {self.end}")

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where nothing can be pruned or the sparsity was missed, ModelError where the bridge refuses."""
        original = keras_models.load(model, trust=context.trust)
        tf_keras = require("tf_keras", "tf")
        crossing = Crossing(original) if keras_models.flavor_of(original) is keras_models.Flavor.KERAS3 else None
        ours = crossing.model if crossing else original
        with tf_keras.utils.custom_object_scope(custom_activations()):
            wrapped, targets, notes = self._wrap(ours, context)
            notes += self._execute(ours, wrapped, targets, context)
            stripped = require("tensorflow_model_optimization", "tf").sparsity.keras.strip_pruning(wrapped)
        if crossing:
            crossing.return_weights(stripped)
        else:
            original.set_weights(stripped.get_weights())
        _check_same(original, stripped)
        reached = _reached(targets, stripped)
        keras_models.save(original, out)
        return Outcome(tuple(notes), self._examples(notes, context), {"layers": reached})

    def decide(self, kernels: Kernels) -> tuple[dict[str, float], list[Note]]:
        """The sparsity of each layer, without layers that lose nothing, and a note where the ceiling bound."""
        if self.threshold is not None:
            decided = sparsity.below(kernels, self.threshold)
        elif self.sparsity is not None:
            decide = sparsity.global_magnitude if self.scope == "model" else sparsity.uniform
            decided = decide(kernels, self.sparsity)
        else:
            decided = sparsity.uniform(kernels, 0.5)
        chosen = sparsity.overridden(decided, self.layers, self.keep)
        top = self.max_layer_sparsity
        notes = [Note(name, f"would lose {share:.2%} of its weights: held at {top:.0%}") for name, share in chosen.items() if share > top]
        return {name: min(share, top) for name, share in chosen.items()}, notes

    def steps(self, total: int) -> tuple[int, int, int]:
        """First and last step of the pruning, and the steps between two updates, for a run of `total` steps.

        tfmot updates at `first + k * frequency` only, so the last step must be one of those.
        """
        first, last = int(self.begin * total), max(1, int(self.end * total))
        frequency = min(self.frequency or max(1, (last - first) // 20), max(1, last - first))
        return first, first + (last - first) // frequency * frequency, frequency

    def _wrap(self, model: Any, context: Context) -> tuple[Any, dict[str, float], list[Note]]:
        """A clone with tfmot's wrapper around every layer that loses weights, the sparsities, and what was left alone."""
        tfmot, tf_keras = require("tensorflow_model_optimization", "tf"), require("tf_keras", "tf")
        kernels, notes = _prunable(model, self.pattern)
        if not kernels:
            raise StageError(f"prune: tfmot can prune no layer of {model.name}: " + "; ".join(f"{n.what}: {n.reason}" for n in notes))
        targets, held = self.decide(kernels)
        notes += held
        total = self._total_steps(context)

        def wrap(layer: Any) -> Any:
            plain = layer.__class__.from_config(layer.get_config())
            if layer.name not in targets:
                return plain
            block = {"sparsity_m_by_n": (2, 4)} if self.pattern else {}
            return tfmot.sparsity.keras.prune_low_magnitude(plain, self._schedule(targets[layer.name], total), **block)

        wrapped = tf_keras.models.clone_model(model, clone_function=wrap)
        for source, copy in zip(model.layers, wrapped.layers, strict=True):
            copy.set_weights(source.get_weights())
        return wrapped, targets, notes

    def _schedule(self, target: float, total: int) -> Any:
        tfmot = require("tensorflow_model_optimization", "tf").sparsity.keras
        if not total or self.schedule == "one_shot":
            return tfmot.ConstantSparsity(target, begin_step=total + 1, frequency=1)
        first, last, frequency = self.steps(total)
        if self.schedule == "constant":
            return tfmot.ConstantSparsity(target, begin_step=first, end_step=last, frequency=frequency)
        return tfmot.PolynomialDecay(0.0, target, begin_step=first, end_step=last, frequency=frequency)

    def _total_steps(self, context: Context) -> int:
        if context.data is None or context.data.raw("train")[1] is None:
            return 0
        return self.steps_per_epoch(context.data) * self.epochs

    def _execute(self, model: Any, wrapped: Any, targets: dict[str, float], context: Context) -> list[Note]:
        tfmot = require("tensorflow_model_optimization", "tf")
        total = self._total_steps(context)
        if not total or self.schedule == "one_shot":
            for layer in wrapped.layers:
                if hasattr(layer, "pruning_obj"):
                    layer.pruning_step.assign(1 if self.pattern else total + 1)
                    layer.pruning_obj.conditional_mask_update()
                    layer.pruning_obj.weight_mask_op()
                    layer.pruning_step.assign(-1)
        if not total:
            why = "no labelled data was given" if self.epochs else "epochs = 0"
            return [Note("training", f"{why}: pruned in one shot, without fine-tuning")]
        assert context.data is not None
        loss = losses.label_loss(*losses.goal(model, context.data))
        fit(wrapped, context, self, loss, "prune", callbacks=(tfmot.sparsity.keras.UpdatePruningStep(),))
        return []

    def _examples(self, notes: list[Note], context: Context) -> dict[str, str]:
        if not self._total_steps(context):
            return {}
        assert context.data is not None
        return {"training": context.data.describe("train")}


def _prunable(model: Any, pattern: str | None) -> tuple[dict[str, list[np.ndarray[Any, Any]]], list[Note]]:
    """The kernels that tfmot prunes, by layer, and the layers with kernels that it does not, with the reason."""
    wrap = require("tensorflow_model_optimization", "tf").sparsity.keras.prune_low_magnitude
    kernels: dict[str, list[np.ndarray[Any, Any]]] = {}
    notes = []
    for layer in model.layers:
        if not any(len(weight.shape) > 1 for weight in layer.weights):
            continue
        kind = type(layer).__name__
        if hasattr(layer, "layers"):
            notes.append(Note(layer.name, "a model inside the model: only layers of the outer model are pruned"))
            continue
        try:
            wrap(layer)  # gives the layer a get_prunable_weights method, nothing else
            found = [weight.numpy() for weight in layer.get_prunable_weights()]
        except ValueError:
            notes.append(Note(layer.name, f"tfmot cannot wrap {kind}"))
            continue
        if not found:
            notes.append(Note(layer.name, f"tfmot leaves the kernel of {kind} alone"))
        elif pattern and any(kernel.ndim not in (2, 4) or kernel.shape[-2] % 4 for kernel in found):
            notes.append(Note(layer.name, f"{pattern} needs a multiple of 4 input channels, not {found[0].shape[-2]}"))
        else:
            kernels[layer.name] = found
    return kernels, notes


def _reached(targets: dict[str, float], stripped: Any) -> dict[str, dict[str, float]]:
    """Sparsity of each layer, aimed at and measured. Raises StageError where it was missed by more than one weight."""
    table = {}
    for name, target in targets.items():
        layer = stripped.get_layer(name)
        kernels = [weight.numpy() for weight in layer.get_prunable_weights()]
        measured = sparsity.of(kernels)
        table[name] = {"target": target, "measured": measured}
        if any(sparsity.of([kernel]) < target - 1 / kernel.size for kernel in kernels):
            raise StageError(f"prune: {name!r} reached a sparsity of {measured:.4f} instead of {target:.4f}; train longer or end earlier")
    return table


def _check_same(model: Any, stripped: Any) -> None:
    """The saved model must compute what tfmot's stripped model computes."""
    ours, theirs = (of_keras(net, model.name, batch=2) for net in (model, stripped))
    inputs = ours.synthetic(2, (0.0, 1.0), seed=0)
    for found, expected in zip(ours.predict(inputs), theirs.predict(inputs), strict=True):
        if np.abs(found - expected).max() > 1e-4 * max(1.0, float(np.abs(expected).max())):
            raise StageError("prune: the stripped model computes something else than the pruned one")
