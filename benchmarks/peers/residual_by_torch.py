"""The network "residual" of tfpvae in PyTorch, at its defaults, for images of whole patches."""

import math

import torch
from torch import nn
from torch.nn import functional

from peers.task import Task

WIDTH, PATCH, LEVELS = 32, 4, 3
CHANNELS = [WIDTH * 2**level for level in range(LEVELS)]


def activated(x):
    """Returns the activation of all layers."""
    return functional.leaky_relu(x, 0.2)


class Bordered(nn.Conv2d):
    """Convolution that sees the border repeated.

    PyTorch 2.14 fails to compile the gradient of its own, `padding_mode="replicate"`.
    """

    def __init__(self, channels, out):
        super().__init__(channels, out, 3)

    def forward(self, x):
        if not torch.compiler.is_compiling():
            return super().forward(functional.pad(x, (1, 1, 1, 1), "replicate"))
        x = torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
        return super().forward(torch.cat([x[..., :1], x, x[..., -1:]], 3))


class Block(nn.Module):
    """Residual block, which starts as the identity."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = first, second
        nn.init.zeros_(second.weight)
        nn.init.zeros_(second.bias)

    def forward(self, x):
        return x + self.second(activated(self.first(activated(x))))


class Activated(nn.Module):
    """Activation as a module."""

    def forward(self, x):
        return activated(x)


def encoder(task: Task) -> tuple[nn.Module, int]:
    """Returns images [B, C, H, W] -> features, and the number of features."""
    modules, channels = [], task.image_shape[-1]
    for level, out in enumerate(CHANNELS):
        stride = 2 if level else PATCH
        modules.append(nn.Conv2d(channels, out, stride, stride))
        modules.append(Block(*(nn.Conv2d(out, out, 3, padding=1) for _ in range(2))))
        channels = out
    features = math.prod(_smallest(task)) * channels
    return nn.Sequential(*modules, Activated(), nn.Flatten()), features


def decoder(task: Task) -> nn.Module:
    """Returns latents [B, D] -> logits [B, C, H, W]."""
    smallest, channels = _smallest(task), CHANNELS[-1]
    modules = [
        nn.Linear(task.latent_dim, math.prod(smallest) * channels),
        nn.Unflatten(1, (channels, *smallest)),
    ]
    for level in reversed(range(LEVELS)):
        modules.append(Block(*(Bordered(channels, channels) for _ in range(2))))
        if level:
            modules += [nn.Conv2d(channels, CHANNELS[level - 1], 1), _doubled()]
            channels = CHANNELS[level - 1]
    modules.append(Activated())
    patch = PATCH
    while patch > 1:
        patch //= 2
        out = WIDTH * patch // 4
        modules += [Bordered(channels, out), Activated(), _doubled()]
        channels = out
    return nn.Sequential(*modules, Bordered(channels, task.image_shape[-1]))


def _smallest(task):
    return [side // (PATCH * 2 ** (LEVELS - 1)) for side in task.image_shape[:2]]


def _doubled():
    return nn.Upsample(scale_factor=2, mode="bilinear")
