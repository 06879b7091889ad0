"""PyTorch models of the tests, as users' functions give them. Importing this imports PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Classifier(nn.Module):
    """Convolutions with batch norms, a residual block, and dense layers behind a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=1, stride=2)
        self.conv3 = nn.Conv2d(24, 24, 3, padding=1)
        self.conv4 = nn.Conv2d(24, 24, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(24 * 3 * 3, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        x = self.pool(torch.relu(x + self.conv4(torch.relu(self.conv3(x)))))
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


class TwoInputs(nn.Module):
    """Takes an image and a row, and gives a map and a mean by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.row = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Linear(5, 6)

    def forward(self, image: Any, vector: Any) -> Any:
        x = self.conv2(torch.relu(self.conv1(image))) + self.row(vector)[:, :, None, None]
        return {"map": x, "mean": x.mean((2, 3)), "none": None}


def classifier() -> Any:
    return Classifier()


def classifier_and_example() -> Any:
    return Classifier(), torch.zeros(1, 1, 12, 12)


def program() -> Any:
    return torch.export.export(Classifier().eval(), (torch.zeros(1, 1, 12, 12),))


kept: list[Any] = []  # the modules that `two_inputs` has given


def two_inputs() -> Any:
    kept.append(TwoInputs())
    return kept[-1], {"image": torch.zeros(1, 3, 9, 8), "vector": torch.zeros(1, 5)}


def wrong_example() -> Any:
    return Classifier(), torch.zeros(1, 3, 12, 12)


def several_images() -> Any:
    return Classifier(), torch.zeros(4, 1, 12, 12)


def triple() -> Any:
    return Classifier(), 1, 2


def without_operator() -> Any:
    class Sorted(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(torch.cumsum(x, 1))

    return Sorted(), torch.zeros(1, 4)
