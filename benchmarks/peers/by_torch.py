"""PyTorch: a loop over batches; eager, channels last, compiled, or in bfloat16."""

import math

import torch
from torch import nn
from torch.nn import functional

from peers import residual_by_torch
from peers.task import LEARNING_RATE, SCALE_FLOOR, SCALE_START, Task

ACTIVATIONS = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}


def _padding(config, size):
    """Returns the padding of Keras' "same" on each side."""
    pads = []
    for side, kernel, stride in zip(size, config["kernel_size"], config["strides"], strict=True):
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class Reshape(nn.Module):
    """Reshapes all but the first axis."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(-1, *self.shape)


class Crop(nn.Module):
    """Removes rows and columns at the edges."""

    def __init__(self, cropping):
        super().__init__()
        self.cropping = cropping

    def forward(self, x):
        (top, bottom), (left, right) = self.cropping
        return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


def translated(layers, shape):
    """Returns modules for Keras' layers on inputs [H, W, C] or [D], and the output shape."""
    modules = []
    for name, config, output in layers:
        size, channels, out = shape[:-1], shape[-1], output[-1]
        if name == "Dense":
            modules.append(nn.Linear(channels, out))
        elif name == "Flatten":
            modules.append(nn.Flatten())
        elif name == "Reshape":
            modules.append(Reshape(out, *output[:-1]))
        elif name == "Dropout":
            modules.append(nn.Dropout(config["rate"]))
        elif name == "LeakyReLU":
            modules.append(nn.LeakyReLU(0.01))
        elif name == "BatchNormalization":
            modules.append(nn.BatchNorm2d(channels))
        elif name == "ZeroPadding2D":
            modules.append(nn.ZeroPad2d(1))
        elif name == "Cropping2D":
            modules.append(Crop(config["cropping"]))
        elif name == "UpSampling2D":
            modules.append(nn.Upsample(scale_factor=2))
        elif name == "MaxPooling2D":
            modules.append(nn.MaxPool2d(2, ceil_mode=config["padding"] == "same"))
        elif name == "Conv2D":
            if config["padding"] == "same":
                modules.append(nn.ZeroPad2d(_padding(config, size)))
            kernel, strides = config["kernel_size"], config["strides"]
            modules.append(nn.Conv2d(channels, out, kernel, strides, bias=config["use_bias"]))
        elif name == "Conv2DTranspose":
            kernel, stride = config["kernel_size"][0], config["strides"][0]
            pad = (kernel - stride) // 2 if config["padding"] == "same" else 0
            bias = config["use_bias"]
            modules.append(nn.ConvTranspose2d(channels, out, kernel, stride, pad, bias=bias))
        else:
            raise ValueError(f"no translation of {name}")
        if config.get("activation", "linear") != "linear":
            modules.append(ACTIVATIONS[config["activation"]]())
        shape = output
    return modules, shape


class Vae(nn.Module):
    """VAE as two networks; returns the loss of images."""

    def __init__(self, task: Task):
        super().__init__()
        self.task = task
        if task.network == "residual":  # no sequence of layers
            encoder, features = residual_by_torch.encoder(task)
            decoder = residual_by_torch.decoder(task)
        else:
            modules, shape = translated(task.encoder, task.image_shape)
            encoder, features = nn.Sequential(*modules, nn.Flatten()), math.prod(shape)
            decoder = nn.Sequential(*translated(task.decoder, [task.latent_dim])[0])
        self.encoder = nn.Sequential(encoder, nn.Linear(features, task.parameters))
        self.decoder = nn.Sequential(decoder, nn.Flatten())
        rows, columns = torch.tril_indices(task.latent_dim, task.latent_dim)
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def forward(self, x):
        task, size = self.task, self.task.latent_dim
        params = self.encoder(x).float()
        mean, raw = params[:, :size], params[:, size:]
        noise = torch.randn(task.num_samples, *mean.shape)
        if task.posterior == "independent_normal":
            scale = functional.softplus(raw + SCALE_START) + SCALE_FLOOR
            latents, diagonal, squares = mean + scale * noise, scale, scale**2
        else:
            lower = torch.zeros(len(x), size, size)
            lower[:, self.rows, self.columns] = raw
            raw_diagonal = torch.diagonal(lower, dim1=1, dim2=2)
            diagonal = functional.softplus(raw_diagonal + SCALE_START) + SCALE_FLOOR
            lower = lower - torch.diag_embed(raw_diagonal) + torch.diag_embed(diagonal)
            latents = mean + torch.einsum("bij,sbj->sbi", lower, noise)
            squares = (lower**2).sum(-1)
        logits = self.decoder(latents.reshape(-1, size)).float()
        logits = logits.reshape(task.num_samples, len(x), -1)
        flat = x.flatten(1)
        nll = (functional.softplus(logits) - flat * logits).sum(-1)
        if task.num_samples == 1:
            kl = (0.5 * (squares + mean**2 - 1) - diagonal.log()).sum(-1)
            return (nll[0] + kl).mean()
        ratio = (0.5 * (latents**2 - noise**2) - diagonal.log()).sum(-1)
        return math.log(task.num_samples) - torch.logsumexp(-nll - ratio, 0).mean()


class Trainer:
    """Trainer; the variant names any of "channels_last", "compiled" and "bfloat16"."""

    def __init__(self, task: Task):
        torch.manual_seed(0)
        self.task = task
        images = torch.from_numpy(task.load()).permute(0, 3, 1, 2).contiguous()
        self.vae = Vae(task)
        self.channels_last = "channels_last" in task.variant
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
            self.vae = self.vae.to(memory_format=torch.channels_last)
        self.images = images
        self.optimizer = torch.optim.Adam(self.vae.parameters(), LEARNING_RATE, eps=1e-7)
        self.loss = torch.compile(self.vae) if "compiled" in task.variant else self.vae

    def epoch(self) -> float:
        """Returns the loss of one epoch."""
        total, low = 0.0, "bfloat16" in self.task.variant
        order = torch.randperm(len(self.images))
        for batch in order.split(self.task.batch_size):
            x = self.images[batch].float() / 255
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                loss = self.loss(x)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(batch)
        return float(total) / len(self.images)
