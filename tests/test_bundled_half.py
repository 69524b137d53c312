"""The bundled networks in half precision: what `pnen-export --fp16` holds them to, on inputs that break networks."""

import numpy as np
import pytest
import torch
from skimage import data

from pnen_export.deploy import Deployed
from pnen_export.rounding import stored_in_half
from pnen_runtime import bundled_models
from pnen_train.checkpoint import load_checkpoint

WANTED = 60.0  # dB

INPUTS = {
    "noise": np.random.default_rng(0).random((96, 96, 3), np.float32),
    "checkerboard": np.indices((96, 96)).sum(0)[..., None].repeat(3, 2) % 2,
    "photograph": data.astronaut()[:96, 200:296] / 255,
}


@pytest.mark.parametrize("name", bundled_models())
def test_every_layer_may_be_rounded_to_half(name):
    network = load_checkpoint(name).model()
    half, strengths = Deployed(network, "fp16").float(), network.config.strengths
    for pixels in INPUTS.values():
        image = torch.from_numpy(np.float32(pixels)).permute(2, 0, 1)[None, : network.config.image_channels]
        for strength in strengths or (None,):
            given = [image] if strength is None else [image, torch.full_like(image[:, :1], strength)]
            with torch.no_grad(), stored_in_half(half.network):
                error = half(*given) - network(*given)[-1]
            assert -10 * torch.log10((error**2).mean()) >= WANTED
