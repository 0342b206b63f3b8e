"""Networks of the STM32 model zoo whose files are not at hand, layer by layer, so that their published rows can be used.

Written down from the papers and from the zoo's model code (STMicroelectronics/stm32ai-modelzoo, `image_classification/src/models`
and `object_detection/src/models`). `work_of` believes a description only where its multiply-accumulates equal the published
ones exactly, by kind (`macs_conv`, `macs_1x1`, `macs_dw`, `macs_fc`): otherwise the row is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from toolchain.latency.work import Work, conv, dense, depthwise, other


class Drawing:
    """Layers in order, with the size of the square image and the channels they have reached."""

    def __init__(self, size: int, channels: int = 3) -> None:
        self.size, self.channels = size, channels
        self.parts: list[Work] = [other("elementwise", size * size * channels)]  # QUANTIZE at the input

    def conv(self, filters: int, kernel: int = 3, stride: int = 1, same: bool = True) -> Drawing:
        """A square convolution, padded to keep the size or not padded."""
        self.size = -(-self.size // stride) if same else (self.size - kernel) // stride + 1
        self.parts.append(conv(self.size**2 * filters, (kernel, kernel), self.channels, filters))
        self.channels = filters
        return self

    def depthwise(self, kernel: int = 3, stride: int = 1) -> Drawing:
        """A depthwise convolution, padded."""
        self.size = -(-self.size // stride)
        self.parts.append(depthwise(self.size**2 * self.channels, (kernel, kernel), self.channels))
        return self

    def separable(self, filters: int, stride: int = 1) -> Drawing:
        """A 3x3 depthwise convolution and a 1x1 convolution."""
        return self.depthwise(stride=stride).conv(filters, 1)

    def pool(self, kernel: int = 3, stride: int = 2) -> Drawing:
        """A maximum pool without padding."""
        self.size = (self.size - kernel) // stride + 1
        return self.add("pool_value", self.values * kernel**2)

    def add(self, term: str, values: int) -> Drawing:
        """An operator without multiply-accumulates."""
        self.parts.append(other(term, values))
        return self

    def classify(self, classes: int) -> Drawing:
        """Global average, dense layer, softmax, DEQUANTIZE."""
        self.add("pool_value", self.values)
        self.parts.append(dense(classes, self.channels))
        return self.add("softmax_value", classes).add("elementwise", classes)

    @property
    def values(self) -> int:
        """Values of the tensor that was drawn last."""
        return self.size**2 * self.channels


def _eighth(value: float) -> int:
    """Channels rounded to a multiple of eight, never by more than a tenth downwards (MobileNetV2, arXiv:1801.04381)."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))
"""MobileNetV1 (arXiv:1704.04861, table 1): filters and strides of its separable blocks."""
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""MobileNetV2 (arXiv:1801.04381, table 2): expansion, filters, repeats, stride."""
B0 = ((1, 16, 1, 1, 3), (3, 24, 2, 2, 3), (3, 40, 2, 2, 5), (3, 80, 3, 2, 3), (3, 112, 3, 1, 5), (3, 192, 4, 2, 5), (3, 320, 1, 1, 3))
"""EfficientNet-B0 (arXiv:1905.11946, table 1) with the zoo's expansion of three: expansion, filters, repeats, stride, kernel."""


def mobilenet_v1(size: int, width: float, classes: int) -> Drawing:
    net = Drawing(size).conv(int(32 * width), stride=2)
    for filters, stride in V1:
        if stride == 2:
            net.add("moved_value", (net.size + 1) ** 2 * net.channels)  # Keras pads before a stride of two
        net.separable(int(filters * width), stride)
    return net.classify(classes)


def _inverted_residuals(net: Drawing, width: float) -> Drawing:
    for expansion, filters, repeats, stride in V2:
        for repeat in range(repeats):
            before, first = net.channels, stride if repeat == 0 else 1
            if expansion > 1:
                net.conv(before * expansion, 1)
            if first == 2:
                net.add("moved_value", (net.size + 1) ** 2 * net.channels)
            net.depthwise(stride=first).conv(_eighth(filters * width), 1)
            if first == 1 and before == net.channels:
                net.add("elementwise", net.values)
    return net.conv(1280, 1)


def mobilenet_v2(size: int, width: float, classes: int) -> Drawing:
    return _inverted_residuals(Drawing(size).conv(_eighth(32 * width), stride=2), width).classify(classes)


def efficientnet_lc(size: int, classes: int, width: float = 0.45) -> Drawing:
    net = Drawing(size).conv(_eighth(32 * width), stride=2)
    for expansion, filters, repeats, stride, kernel in B0:
        for repeat in range(repeats):
            before, first = net.channels, stride if repeat == 0 else 1
            if expansion > 1:
                net.conv(before * expansion, 1)
            net.depthwise(kernel, first)
            gate, squeezed = net.channels, max(1, before // 4)
            net.add("pool_value", net.values)
            net.parts += [conv(squeezed, (1, 1), gate, squeezed), conv(gate, (1, 1), squeezed, gate)]
            for _ in ("minimum", "maximum", "sigmoid"):
                net.add("elementwise", gate)
            net.add("elementwise", net.values).conv(_eighth(filters * width), 1)
            if first == 1 and before == net.channels:
                net.add("elementwise", net.values)
    return net.conv(_eighth(1280 * width), 1).classify(classes)


def _fire(net: Drawing, squeeze: int, expand: int) -> None:
    net.conv(squeeze, 1)
    net.parts.append(conv(net.size**2 * expand, (1, 1), squeeze, expand))
    net.conv(expand, 3)
    net.channels = 2 * expand
    net.add("moved_value", net.values)


def squeezenet(size: int, stem: tuple[int, int], fires: tuple[tuple[int, ...], ...], classes: int) -> Drawing:
    net = Drawing(size).conv(stem[0], stem[1], 2, same=False).pool()
    for index, group in enumerate(fires):
        if index:
            net.pool()
        for squeeze in group:
            _fire(net, squeeze, 4 * squeeze)
    net.conv(classes, 1).add("pool_value", net.values)
    return net.add("softmax_value", classes).add("elementwise", classes)


def ssd_mobilenet_v1_192(width: float = 0.25, features: int = 32) -> Drawing:
    net, sizes = Drawing(192).conv(int(32 * width), stride=2), []
    for index, (filters, stride) in enumerate(V1):
        if stride == 2:
            net.add("moved_value", (net.size + 1) ** 2 * net.channels)
        net.separable(int(filters * width), stride)
        if index in (4, 10, 12):
            sizes.append((net.size, net.channels))
    net.separable(256, 2).separable(256)
    sizes += [(net.size, 256), (1, 256)]
    net.add("pool_value", net.values)
    for size, channels in sizes:
        net.parts.append(conv(size**2 * features, (1, 1), channels, features))
        for filters in (5 * 2, 5 * 4):  # five anchors; two classes, four coordinates
            net.parts.append(conv(size**2 * filters, (3, 3), features, filters))
        net.add("moved_value", size**2 * features).add("elementwise", size**2 * features).add("moved_value", size**2 * 30)
    return net.add("softmax_value", sum(size**2 for size, _ in sizes) * 10)


def ssd_mobilenet_v2(size: int, width: float = 0.35, features: int = 128) -> Drawing:
    net, maps = Drawing(size).conv(_eighth(32 * width), stride=2), []
    block = -1
    for expansion, filters, repeats, stride in V2:
        for repeat in range(repeats):
            before, first = net.channels, stride if repeat == 0 else 1
            block += 1
            if expansion > 1:
                net.conv(before * expansion, 1)
            net.depthwise(stride=first).conv(_eighth(filters * width), 1)
            if first == 1 and before == net.channels:
                net.add("elementwise", net.values)
            if block in (5, 12):
                maps.append((net.size, net.channels))
    net.conv(1280, 1)
    maps.append((net.size, 1280))
    for place, channels in maps:
        net.parts.append(conv(place**2 * features, (1, 1), channels, features))
    net.channels = features
    sizes = [place for place, _ in maps]
    for place in sizes[:2]:
        net.size = place
        net.add("moved_value", net.values).add("elementwise", net.values).separable(features)
    net.size = sizes[2]
    for _ in range(2):
        sizes.append(net.separable(features, 2).size)
    for place in sizes:
        net.size = place
        for _ in range(4):
            net.separable(features)
        for filters in (5 * 2, 5 * 4):
            net.depthwise()
            net.parts.append(conv(place**2 * filters, (1, 1), features, filters))
    return net.add("softmax_value", sum(place**2 for place in sizes) * 10)


FIRES_10, FIRES_11 = ((16, 16, 32), (32, 48, 48), (64,)), ((16, 16), (32, 32), (48, 48, 64, 64))

DRAWINGS: dict[tuple[str, str], Callable[[], Drawing]] = {
    ("mobilenet_v1_0.5", "224x224x3"): lambda: mobilenet_v1(224, 0.5, 5),
    ("mobilenet_v2_0.35", "128x128x3"): lambda: mobilenet_v2(128, 0.35, 5),
    ("mobilenet_v2_0.35", "224x224x3"): lambda: mobilenet_v2(224, 0.35, 5),
    ("efficientnet_lc", "128x128x3"): lambda: efficientnet_lc(128, 5),
    ("efficientnet_lc", "224x224x3"): lambda: efficientnet_lc(224, 5),
    ("squeezenet_1.0", "128x128x3"): lambda: squeezenet(128, (96, 7), FIRES_10, 5),
    ("squeezenet_1.1", "128x128x3"): lambda: squeezenet(128, (64, 3), FIRES_11, 5),
    ("squeezenet_1.1", "224x224x3"): lambda: squeezenet(224, (64, 3), FIRES_11, 5),
    ("ssd_mobilenet_v1", "192x192x3"): ssd_mobilenet_v1_192,
    ("ssd_mobilenet_v2", "192x192x3"): lambda: ssd_mobilenet_v2(192),
    ("ssd_mobilenet_v2", "224x224x3"): lambda: ssd_mobilenet_v2(224),
    ("ssd_mobilenet_v2", "256x256x3"): lambda: ssd_mobilenet_v2(256),
}  # fmt: skip
