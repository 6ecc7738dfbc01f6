#!/usr/bin/env python3
"""Writes tests/golden/optim.json: trajectories of PyTorch's optimisers and schedules for tests/optim_test.cpp.

Usage: python3 tools/golden_optim.py > tests/golden/optim.json   (needs PyTorch)
"""
import json
import math

import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.set_default_dtype(torch.float64)
STEPS = 50


class Problem(torch.nn.Module):
    """A small regression with two layers, made of sines; the test builds the same."""

    def __init__(self):
        super().__init__()
        def fill(rows, columns, f):
            return torch.tensor([f(i) for i in range(rows * columns)]).reshape(rows, columns)

        self.x = fill(8, 3, lambda i: math.sin(1 + 2 * i))
        self.y = fill(8, 1, lambda i: math.cos(1 + 3 * i))
        self.w = torch.nn.Parameter(fill(3, 4, lambda i: 0.5 * math.sin(1 + i)))
        self.b = torch.nn.Parameter(fill(1, 4, lambda i: 0.1 * math.cos(i)))
        self.v = torch.nn.Parameter(fill(4, 1, lambda i: 0.3 * math.cos(1 + i)))

    def loss(self):
        return ((torch.tanh(self.x @ self.w + self.b) @ self.v - self.y) ** 2).mean()

    def numbers(self):
        return [number for p in self.parameters() for number in p.flatten().tolist()]


def optimizer_of(problem, name, options):
    return getattr(torch.optim, name)(problem.parameters(), **options)


def train(problem, optimizer, before_step=lambda: None, after_step=lambda loss: None):
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = problem.loss()
        loss.backward()
        before_step()
        optimizer.step()
        after_step(loss.item())
        losses.append(loss.item())
    return losses


def trajectory(name, options):
    problem = Problem()
    losses = train(problem, optimizer_of(problem, name, options))
    return {"optimizer": name, "options": options, "losses": losses, "final": problem.numbers()}


def scheduled(label, name, options, make, plateau=False):
    problem = Problem()
    optimizer = optimizer_of(problem, name, options)
    schedule = make(optimizer)
    lrs, momenta = [], []

    def note():
        group = optimizer.param_groups[0]
        lrs.append(group["lr"])
        momenta.append(group["betas"][0] if "betas" in group else group["momentum"])

    def after(loss):
        schedule.step(loss) if plateau else schedule.step()
        note()

    note()
    losses = train(problem, optimizer, after_step=after)
    return {"schedule": label, "optimizer": name, "options": options, "lrs": lrs, "momenta": momenta,
            "losses": losses, "final": problem.numbers()}


def groups():
    problem = Problem()
    optimizer = torch.optim.AdamW([{"params": [problem.w, problem.v], "weight_decay": 0.1},
                                   {"params": [problem.b], "weight_decay": 0.0, "lr": 0.05}], lr=0.01)
    return {"losses": train(problem, optimizer), "final": problem.numbers()}


def clipped(kind, limit, p=2.0):
    problem = Problem()
    norms = []

    def clip():
        if kind == "norm":
            norms.append(torch.nn.utils.clip_grad_norm_(problem.parameters(), limit, norm_type=p).item())
        else:
            torch.nn.utils.clip_grad_value_(problem.parameters(), limit)

    losses = train(problem, torch.optim.SGD(problem.parameters(), lr=0.5), before_step=clip)
    return {"kind": kind, "limit": limit, "p": "inf" if math.isinf(p) else p, "norms": norms, "losses": losses}


def averaged():
    problem = Problem()
    average = AveragedModel(problem, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    train(problem, torch.optim.SGD(problem.parameters(), lr=0.5),
          after_step=lambda loss: average.update_parameters(problem))
    return {"decay": 0.9, "average": average.module.numbers()}


def plateau_rates(options, measures):
    optimizer = torch.optim.SGD(Problem().parameters(), lr=0.1)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    lrs = []
    for measure in measures:
        schedule.step(measure)
        lrs.append(optimizer.param_groups[0]["lr"])
    return {"options": options, "measures": measures, "lrs": lrs}


def noam(optimizer):
    factor = lambda step: 16 ** -0.5 * min((step + 1) ** -0.5, (step + 1) * 10 ** -1.5)
    return lr_scheduler.LambdaLR(optimizer, factor)


def warm_cosine(optimizer):
    return lr_scheduler.SequentialLR(optimizer, [
        lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=10),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.001)], milestones=[10])


SGD = {"lr": 0.1, "momentum": 0.9}
ADAM = {"lr": 0.02}
result = {
    "optimizers": [
        trajectory("SGD", {"lr": 0.2}),
        trajectory("SGD", {"lr": 0.2, "weight_decay": 0.01}),
        trajectory("SGD", {"lr": 0.1, "momentum": 0.9}),
        trajectory("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
        trajectory("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        trajectory("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
        trajectory("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.1, "weight_decay": 0.02}),
        trajectory("Adam", {"lr": 0.02}),
        trajectory("Adam", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3}),
        trajectory("Adam", {"lr": 0.02, "weight_decay": 0.05}),
        trajectory("AdamW", {"lr": 0.02}),
        trajectory("AdamW", {"lr": 0.02, "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 0.3}),
        trajectory("AdamW", {"lr": 0.02, "weight_decay": 0.0}),
        trajectory("RMSprop", {"lr": 0.01}),
        trajectory("RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-4}),
        trajectory("RMSprop", {"lr": 0.01, "weight_decay": 0.05}),
        trajectory("RMSprop", {"lr": 0.01, "momentum": 0.7}),
        trajectory("RMSprop", {"lr": 0.01, "centered": True}),
        trajectory("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.7, "weight_decay": 0.05}),
        trajectory("Adagrad", {"lr": 0.1}),
        trajectory("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "eps": 1e-6}),
        trajectory("Adagrad", {"lr": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.1}),
    ],
    "schedules": [
        scheduled("step", "SGD", SGD, lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.5)),
        scheduled("multistep", "SGD", SGD, lambda o: lr_scheduler.MultiStepLR(o, milestones=[5, 20, 21], gamma=0.3)),
        scheduled("linear", "SGD", SGD, lambda o: lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=12)),
        scheduled("cosine", "SGD", SGD, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=50, eta_min=0.002)),
        scheduled("warm_cosine", "AdamW", ADAM, warm_cosine),
        scheduled("noam", "Adam", {"lr": 1.0, "betas": [0.9, 0.98], "eps": 1e-9}, noam),
        scheduled("one_cycle", "SGD", SGD, lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.3, total_steps=51)),
        scheduled("one_cycle_adam", "Adam", ADAM, lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=0.05, total_steps=60, pct_start=0.2, div_factor=10, final_div_factor=100)),
        scheduled("one_cycle_still", "SGD", SGD, lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=0.3, total_steps=55, pct_start=0.25, cycle_momentum=False)),
        scheduled("plateau", "SGD", {"lr": 0.9, "momentum": 0.9}, lambda o: lr_scheduler.ReduceLROnPlateau(
            o, factor=0.5, patience=2, threshold=0.01, cooldown=1, min_lr=0.05), plateau=True),
    ],
    "groups": groups(),
    "clips": [clipped("norm", 0.1), clipped("norm", 0.3, 1.0), clipped("norm", 0.05, math.inf),
              clipped("value", 0.05)],
    "average": averaged(),
    "plateaus": [
        plateau_rates({"mode": "min", "patience": 0}, [3, 2, 2.5, 1, 1, 1, 0.99995, 0.9]),
        plateau_rates({"mode": "max", "patience": 1, "factor": 0.3, "cooldown": 2},
                      [0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3]),
        plateau_rates({"mode": "min", "patience": 1, "factor": 0.1, "min_lr": 0.002}, [1] * 12),
    ],
}
print(json.dumps(result))
