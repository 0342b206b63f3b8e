"""Structural pruning: remove channels from any Keras model, exactly.

    graph = ChannelGraph(model)                          # which channels hang together
    plan = graph.plan(ratio=0.5, criterion="l2")         # which of them go
    smaller = plan.apply()                               # a new, plain model of the same Keras

How it works, in the order of the files: `labels` (every channel has an atom; atoms that live and die together are
united), `nodes` (both Kerases as one list of calls), `rules` (what each layer with weights does to labels), `probes`
(what a layer without weights does, found out by experiment), `graph` (the walk), `criteria`, `budget` and `selection`
(which channels matter least for what they cost), `replica`, `rebuild` and `plan` (the smaller model, and the proof that it computes
the same).
"""

from toolchain.channels.graph import ChannelGraph
from toolchain.channels.plan import Plan

__all__ = ["ChannelGraph", "Plan"]
