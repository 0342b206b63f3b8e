"""Fold batch normalization into the layers around it, as a converter would, but before anything looks at weights."""

from __future__ import annotations

from pathlib import Path

from toolchain import keras_models
from toolchain.channels.nodes import kind
from toolchain.channels.plan import compare
from toolchain.quantization.folding import fold
from toolchain.stage import Context, Outcome, Stage


class FoldBatchnorm(Stage, frozen=True, tag="fold_batchnorm", kw_only=True):
    """Remove BatchNormalization wherever the float function stays the same; needs no data."""

    def run(self, model: Path, out: Path, context: Context) -> Outcome:
        """Each normalization that stays is a Note. Raises ModelError for a model without a graph, or where outputs change."""
        net = keras_models.load(model, trust=context.trust)
        folded, notes = fold(net)
        keras_models.save(folded, out)
        before, after = (sum(kind(layer) == "BatchNormalization" for layer in m._flatten_layers()) for m in (net, folded))
        return Outcome(notes, details={"normalizations": {"before": before, "after": after}, "difference": compare(net, folded, 1)})
