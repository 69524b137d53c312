"""The documented example puts the block into a network that knows nothing of this project."""

import inspect
import re
from pathlib import Path

import torch
from torch import nn

from pnen_train.models.pnb import PyramidNonLocal

PAGE = Path(__file__).parents[2] / "docs" / "plug_in.md"
EXAMPLE, IDENTITY, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


class Strangers(nn.Module):
    """A classifier."""

    def __init__(self):
        super().__init__()
        self.entry = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.layer = nn.Sequential(nn.Conv2d(16, 256, 3, stride=2, padding=1), nn.ReLU())
        self.classes = nn.Linear(256, 5)

    def forward(self, x):
        return self.classes(self.layer(self.entry(x)).mean(dim=(2, 3)))


def test_example_of_the_page_is_three_lines_and_stands_in_the_docstring_too():
    lines = [line for line in EXAMPLE.splitlines() if line]
    assert len(lines) == 3
    docstring = inspect.getdoc(PyramidNonLocal)
    assert all(f"    {line}\n" in docstring for line in lines)


def test_block_of_the_example_works_and_learns_in_a_strangers_network():
    torch.manual_seed(0)
    network, x = Strangers(), torch.rand(2, 3, 61, 90)
    before = network(x)
    exec(EXAMPLE, {"network": network, "torch": torch})
    after = network(x)
    assert after.shape == before.shape and not torch.allclose(after, before)
    after.square().sum().backward()
    assert all(weight.grad.abs().max() > 0 for weight in network.parameters())


def test_it_can_begin_as_the_identity():
    torch.manual_seed(0)
    network, x = Strangers(), torch.rand(2, 3, 61, 90)
    before = network(x)
    exec(EXAMPLE + IDENTITY, {"network": network, "torch": torch})
    torch.testing.assert_close(network(x), before)
