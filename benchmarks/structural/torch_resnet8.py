"""ResNet-8 in PyTorch with the weights of the Keras file, so that Torch-Pruning can prune the very same network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

EPSILON = 1e-3
"""Of Keras' BatchNormalization."""


class ResNet8(nn.Module):
    """The layers of MLPerf Tiny's file in its order: seven 3x3 and two 1x1 convolutions, seven normalizations, one Dense."""

    def __init__(self, weights: list[Any]) -> None:
        super().__init__()
        self._next = iter(weights)
        self.stem, self.stem_norm = self._convolution(1), self._norm()
        self.blocks = nn.ModuleList(Block(self, stride) for stride in (1, 2, 2))
        self.dense = self._dense()

    def forward(self, x: Any) -> Any:
        """Logits for `[N, 3, 32, 32]` pixels of 0 to 255."""
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.dense(x.mean((2, 3)))

    def _convolution(self, stride: int) -> nn.Conv2d:
        kernel, bias = next(self._next), next(self._next)
        size = kernel.shape[0]
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], size, stride, padding=size // 2 if stride == 1 else 0)
        layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        layer.bias.data = torch.tensor(bias)  # type: ignore[union-attr]
        return layer

    def _norm(self) -> nn.BatchNorm2d:
        scale, offset, mean, variance = (torch.tensor(next(self._next)) for _ in range(4))
        layer = nn.BatchNorm2d(len(scale), eps=EPSILON)
        layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var = scale, offset, mean, variance
        return layer

    def _dense(self) -> nn.Linear:
        kernel, bias = next(self._next), next(self._next)
        layer = nn.Linear(*kernel.shape)
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
        return layer


class Block(nn.Module):
    """A residual block; at stride 2 Keras pads below and to the right only."""

    def __init__(self, net: ResNet8, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first, self.first_norm = net._convolution(stride), net._norm()
        self.second = net._convolution(1)
        self.shortcut = net._convolution(stride) if stride > 1 else nn.Identity()
        self.second_norm = net._norm()

    def forward(self, x: Any) -> Any:
        """`relu(shortcut(x) + f(x))`."""
        padded = nn.functional.pad(x, (0, 1, 0, 1)) if self.stride > 1 else x
        inner = torch.relu(self.first_norm(self.first(padded)))
        return torch.relu(self.shortcut(x) + self.second_norm(self.second(inner)))


def pruned_weights(weights: list[Any], sample: Any, macs: float) -> tuple[list[Any], float]:
    """What Torch-Pruning leaves at `macs` of the MACs (global L2 group norm, widths a multiple of 8), as Keras weights.

    The second value are the unpruned copy's probabilities for `sample` `[N, 32, 32, 3]`: the caller compares them with the
    Keras model's.
    """
    import torch_pruning

    image = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        answers = torch.softmax(ResNet8(weights).eval()(torch.tensor(np.asarray(sample).transpose(0, 3, 1, 2))), 1).numpy()
    whole, _ = torch_pruning.utils.count_ops_and_params(ResNet8(weights).eval(), image)
    for percent in range(1, 90):
        net = ResNet8(weights).eval()
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        pruner = torch_pruning.pruner.BasePruner(
            net, image, importance, pruning_ratio=percent / 100, global_pruning=True, round_to=8, ignored_layers=[net.dense]
        )
        pruner.step()
        left, _ = torch_pruning.utils.count_ops_and_params(net, image)
        if left <= macs * whole:
            return as_keras(net), answers
    raise RuntimeError("Torch-Pruning did not reach the budget")


def as_keras(net: ResNet8) -> list[Any]:
    """The weights in the order of the Keras file."""
    found: list[Any] = []

    def convolution(layer: nn.Conv2d) -> None:
        assert layer.bias is not None
        found.extend((layer.weight.detach().numpy().transpose(2, 3, 1, 0), layer.bias.detach().numpy()))

    def norm(layer: nn.BatchNorm2d) -> None:
        found.extend(part.detach().numpy() for part in (layer.weight, layer.bias, layer.running_mean, layer.running_var))  # type: ignore[union-attr]

    convolution(net.stem)
    norm(net.stem_norm)
    for block in net.blocks:
        convolution(block.first)
        norm(block.first_norm)
        convolution(block.second)
        if isinstance(block.shortcut, nn.Conv2d):
            convolution(block.shortcut)
        norm(block.second_norm)
    found += [net.dense.weight.detach().numpy().T, net.dense.bias.detach().numpy()]
    return found
