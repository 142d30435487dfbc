"""Small convolutional networks with random weights, one per family, and images for them."""

from collections.abc import Callable

import timm
import torch
from timm.models.vgg import VGG
from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt


class AlexNet(nn.Module):
    """A network shaped as AlexNet, in plain torch: ``width`` 64 is the original."""

    def __init__(self, width: int = 64, hidden: int = 4096, classes: int = 1000, first: int = 11):
        super().__init__()

        def conv(inputs, outputs, size, **options):
            return nn.Conv2d(inputs * width // 64, outputs * width // 64, size, **options)

        stride = 4 if first == 11 else 2
        self.features = nn.Sequential(
            nn.Conv2d(3, width, first, stride=stride, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            conv(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            conv(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            conv(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            conv(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
        )
        self.num_features = 256 * width // 64
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6) if first == 11 else (2, 2))
        inputs = 256 * width // 64 * (36 if first == 11 else 4)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(inputs, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )

    def head_of_features(self, features: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(features), 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.head_of_features(self.features(images))


def alexnet() -> nn.Module:
    return AlexNet(width=8, hidden=16, classes=5, first=5)


class TorchvisionConvNeXt(ConvNeXt):
    def head_of_features(self, features: Tensor) -> Tensor:
        return self.classifier(self.avgpool(features))


def convnext() -> nn.Module:
    widths = ((8, 12), (12, 16), (16, None))
    return TorchvisionConvNeXt([CNBlockConfig(a, b, 1) for a, b in widths], num_classes=5)


def vgg(**options) -> nn.Module:
    return VGG(cfg=(8, "M", 12, "M", 16, 12, "M"), num_classes=5, mlp_ratio=0.01, **options)


def named(name: str, **options) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=5, **options)


RESNET = {"stem_width": 4, "channels": (8, 8, 12, 16)}
BUILDERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "AlexNet (plain torch)": (alexnet, 47),
    "VGG": (vgg, 32),
    "VGG, batch norm": (lambda: vgg(norm_layer=nn.BatchNorm2d), 32),
    "ResNet": (named("resnet10t", **RESNET), 32),
    "ResNet, bottlenecks": (named("resnet26", layers=(1, 1, 1, 1), channels=(8, 8, 8, 8)), 32),
    "ResNeXt": (
        named(
            "resnext50_32x4d", layers=(1, 1, 1, 1), channels=(8,) * 4, cardinality=4, base_width=16
        ),
        32,
    ),
    "RegNet": (named("regnety_002"), 32),
    "DenseNet": (named("densenet121", growth_rate=4, block_config=(2, 3)), 32),
    "Inception": (named("inception_v3"), 79),
    "MobileNetV2": (named("mobilenetv2_035"), 32),
    "MobileNetV3": (named("mobilenetv3_small_050"), 32),
    "EfficientNet": (named("tinynet_e"), 32),
    "ConvNeXt": (named("convnext_atto", depths=(1, 1, 1, 1), dims=(4, 8, 8, 8)), 32),
    "torchvision: ConvNeXt": (convnext, 32),
}


def build(family: str) -> nn.Module:
    """A network whose logits tell images apart and whose norms have met other data."""
    torch.manual_seed(0)
    model = BUILDERS[family][0]().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.6, 1.6)
                module.weight.uniform_(0.7, 1.4)
                module.bias.normal_(std=0.2)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                module.bias.normal_(std=0.1)
    return model


def images_for(family: str, count: int, seed: int = 1) -> Tensor:
    size = BUILDERS[family][1]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, size, size, generator=generator)
