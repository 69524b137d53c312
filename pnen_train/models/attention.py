"""Exact attention of every pixel over reference pixels: the one place where it is computed."""

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN_SCORES = 2**27  # most score elements that the plain product may hold (256 MB in bfloat16)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q kᵀ) v without 1/√d: (B, N, d), (B, R, d), (B, R, e) → (B, N, e).

    Runs on the fused kernel, which never holds the N×R scores; only training on a CPU in bfloat16 holds those of a few
    crops, since that is faster. PyTorch takes that kernel only for contiguous 4-D inputs
    of equal head sizes and otherwise falls silently to one that does hold them; so the narrower of d and e is filled
    with zeros, which changes neither the scores nor the sum.

    While exporting it is one private node, `pnen::Attention`, which `pnen_export` lowers for each target.
    """
    if torch.compiler.is_exporting():
        shape = (*query.shape[:2], value.shape[2])
        return torch.onnx.ops.symbolic(
            "pnen::Attention", (query, key, value), {}, dtype=query.dtype, shape=shape, version=1
        )
    scores = query.shape[0] * query.shape[1] * key.shape[1]
    if query.dtype == torch.bfloat16 and query.device.type == "cpu" and scores <= PLAIN_SCORES:
        # The CPU's fused kernel gains nothing from bfloat16; here the plain product is 1.5 to 3 times as fast.
        return torch.softmax(query @ key.mT, dim=-1) @ value
    channels = value.shape[2]
    width = max(query.shape[2], channels)
    query, key, value = (
        F.pad(part, (0, width - part.shape[2])).contiguous().unsqueeze(1) for part in (query, key, value)
    )
    return F.scaled_dot_product_attention(query, key, value, scale=1.0).squeeze(1)[..., :channels]
