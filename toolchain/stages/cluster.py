"""Give every kernel few distinct weights, with tensorflow-model-optimization, so that the compressed release is smaller.

Neither the model's memory nor its time changes: judge this stage by the compressed bytes in its report.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from toolchain import keras_models, losses
from toolchain.data import Array
from toolchain.errors import StageError
from toolchain.keras_bridge import Crossing, custom_activations
from toolchain.measure.size import size
from toolchain.optional import require
from toolchain.stage import Context, Note, Outcome
from toolchain.training import TrainedStage, fit


class Cluster(TrainedStage, frozen=True, tag="cluster", kw_only=True):
    """Train with each weight held at its nearest centroid, one set of centroids for each kernel (Han et al. 2016, section 3)."""

    number_of_clusters: Annotated[int, msgspec.Meta(ge=3)] = 16
    """Distinct weights of a kernel, the zero of `preserve_sparsity` included."""
    cluster_centroids_init: Literal["kmeans_plus_plus", "density_based", "linear", "random"] = "kmeans_plus_plus"
    """Where the centroids start."""
    preserve_sparsity: bool = True
    """Zeros stay zero, by a centroid of their own; layers without zeros have none."""
    keep: tuple[str, ...] = ()
    """Name patterns of layers whose weights stay as they are."""
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 3
    """0: move the weights to the first centroids, without training and without data."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-4

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Raises StageError where nothing can be clustered or the clusters were missed, ModelError where the bridge refuses."""
        net = keras_models.load(model, trust=context.trust)
        crossing = Crossing(net) if keras_models.flavor_of(net) is keras_models.Flavor.KERAS3 else None
        ours = crossing.model if crossing else net
        with require("tf_keras", "tf").utils.custom_object_scope(custom_activations()):
            chosen, notes = self._choose(ours)
            wrapped = self._wrap(ours, chosen, context)
            used, untrained = self._train(wrapped, context)
            stripped = require("tensorflow_model_optimization", "tf").clustering.keras.strip_clustering(wrapped)
        layers = self._reached(chosen, stripped)
        compressed = {"before": _compressed(ours), "after": _compressed(stripped)}
        if crossing:
            crossing.return_weights(stripped)
        else:
            net.set_weights(stripped.get_weights())
        keras_models.save(net, out)
        return Outcome((*notes, *untrained), used, {"layers": layers, "weights": compressed})

    def _choose(self, model: Any) -> tuple[dict[str, dict[int, Array]], list[Note]]:
        """The kernels that are clustered, by layer and place in `layer.weights`, and a note for each kernel that is not."""
        wrap = require("tensorflow_model_optimization", "tf").clustering.keras.cluster_weights
        found: dict[str, dict[int, Array]] = {}
        notes = []
        for layer in model.layers:
            if not any(len(weight.shape) > 1 for weight in layer.weights):
                continue
            kind = type(layer).__name__
            if hasattr(layer, "layers"):
                notes.append(Note(layer.name, "a model inside the model: only layers of the outer model are clustered"))
                continue
            try:
                wrap(layer, self.number_of_clusters)  # gives the layer a get_clusterable_weights method, nothing else
            except ValueError:
                notes.append(Note(layer.name, f"tfmot cannot cluster {kind}"))
                continue
            named = layer.get_clusterable_weights()
            kernels = {i: w.numpy() for i, w in enumerate(layer.weights) if any(w is kernel for _, kernel in named)}
            if not kernels:
                notes.append(Note(layer.name, f"tfmot leaves the kernel of {kind} alone"))
            elif min(kernel.size for kernel in kernels.values()) <= self.number_of_clusters:
                notes.append(
                    Note(layer.name, f"has a kernel of no more than {self.number_of_clusters} weights: as many clusters as weights")
                )
            else:
                found[layer.name] = kernels
        for pattern in self.keep:
            if not any(fnmatchcase(name, pattern) for name in found):
                raise StageError(f"cluster: no layer that can be clustered matches {pattern!r}; they are {', '.join(found)}")
        chosen = {name: kernels for name, kernels in found.items() if not any(fnmatchcase(name, pattern) for pattern in self.keep)}
        if not chosen:
            raise StageError(f"cluster: no layer of {model.name} can be clustered. " + "; ".join(f"{n.what}: {n.reason}" for n in notes))
        return chosen, notes

    def _wrap(self, model: Any, chosen: dict[str, dict[int, Array]], context: Context) -> Any:
        """A clone with tfmot's wrapper around the chosen layers. The centroids start from weights: these must be there first."""
        clustering = require("tensorflow_model_optimization", "tf").clustering.keras
        tf_keras = require("tf_keras", "tf")
        start = clustering.CentroidInitialization[self.cluster_centroids_init.upper()]
        tf_keras.utils.set_random_seed(context.seed)

        def wrap(layer: Any) -> Any:
            plain = layer.__class__.from_config(layer.get_config())
            if layer.name not in chosen:
                return plain
            plain.build_from_config(layer.get_build_config())
            plain.set_weights(layer.get_weights())
            zeros = self.preserve_sparsity and any((kernel == 0).any() for kernel in chosen[layer.name].values())
            return clustering.cluster_weights(plain, self.number_of_clusters, start, preserve_sparsity=zeros)

        wrapped = tf_keras.models.clone_model(model, clone_function=wrap)
        for source, copy in zip(model.layers, wrapped.layers, strict=True):
            if source.name not in chosen:
                copy.set_weights(source.get_weights())
        return wrapped

    def _train(self, wrapped: Any, context: Context) -> tuple[dict[str, str], list[Note]]:
        """Train the centroids and the weights around them; which examples that took, or a note why it did not."""
        if not self.epochs or context.data is None or context.data.raw("train")[1] is None:
            why = "no labelled data was given" if self.epochs else "epochs = 0"
            return {}, [Note("training", f"{why}: the weights are at the first centroids, without fine-tuning")]
        fit(wrapped, context, self, losses.label_loss(*losses.goal(wrapped, context.data)), "cluster")
        return {"training": context.data.describe("train")}, []

    def _reached(self, chosen: dict[str, dict[int, Array]], stripped: Any) -> dict[str, dict[str, int]]:
        """Distinct weights of each layer's largest kernel before and after. Raises StageError for too many, or for a zero lost."""
        table = {}
        for name, kernels in chosen.items():
            after = stripped.get_layer(name).get_weights()
            counts = [(len(np.unique(kernel)), len(np.unique(after[place]))) for place, kernel in kernels.items()]
            table[name] = {"before": max(count for count, _ in counts), "after": max(count for _, count in counts)}
            if table[name]["after"] > self.number_of_clusters:
                raise StageError(f"cluster: {name!r} has {table[name]['after']} distinct weights, more than {self.number_of_clusters}")
            if self.preserve_sparsity and any(after[place][kernel == 0].any() for place, kernel in kernels.items()):
                raise StageError(f"cluster: {name!r} lost zeros that it came with; tfmot's centroids moved them")
        return table


def _compressed(model: Any) -> dict[str, int]:
    """Bytes of all weights as they lie in a file, raw, by gzip and by zstd."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        path.write_bytes(b"".join(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights()))
        measured: dict[str, int] = msgspec.to_builtins(size(path))
    return measured
