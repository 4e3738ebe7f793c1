"""The learning rate's schedule and the running average of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from models.training.recipe import FitRecipe

_LAST = 0.01
"""The learning rate ends at this share of its highest value."""


def rate_factor(recipe: FitRecipe, step: int, steps_an_epoch: int) -> float:
    """The learning rate at a step (counted from 0 over the whole training), as a share of its highest value, 0..1.

    A linear rise over the warm-up, times the recipe's schedule.
    """
    rise = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    match recipe.schedule:
        case "cosine":
            steps = recipe.epochs * steps_an_epoch
            done = min(1.0, max(0, step - recipe.warmup) / max(1, steps - recipe.warmup))
            return rise * (_LAST + (1 - _LAST) * (1 + math.cos(math.pi * done)) / 2)
        case "step":
            return rise * float(recipe.step_factor ** (step // steps_an_epoch // recipe.step_epochs))
        case "constant":
            return rise


def kept_of_average(recipe: FitRecipe, step: int) -> float:
    """The decay of the running average at a step (counted from 0 over the whole training), 0..1.

    The recipe's value, but less at the beginning, so that the initial, often random weights lose their influence soon.
    """
    return min(recipe.average, (1 + step) / (10 + step))


@torch.no_grad()
def average_into(running: nn.Module, network: nn.Module, keep: float) -> None:
    """Updates the running average with the network's weights; integer buffers are copied, frozen parameters skipped."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    means = running.state_dict()
    for name, new in network.state_dict().items():
        if name in frozen:
            continue
        mean = means[name]
        if mean.dtype.is_floating_point:
            mean.lerp_(new, 1 - keep)
        else:
            mean.copy_(new)
