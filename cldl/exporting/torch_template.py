"""The template of the file that `save_torch` writes; each @NAME@ is replaced."""

TEMPLATE = '''"""A network with several classifiers that predict jointly, exported from cldl; it needs PyTorch and safetensors.

from model import load

model = load()
probabilities, labels = model.predict(images)  # M tensors (N, K), one a classifier; (N,), as they predict jointly
[CLASSES[k] for k in labels]
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

SHAPE = @SHAPE@  # of an image, (H, W, C), uint8; or of a sample of floats
CLASSES = @CLASSES@
WEIGHTS = @WEIGHTS@  # lambda of the loss by which the classifiers predict jointly; None: the top one predicts
EXPONENT = @EXPONENT@  # its g


class Model(nn.Module):
    """The logits of the M classifiers, from the bottom to the top; maps have their channels first."""

    def __init__(self):
        super().__init__()
        @DECLARE@

    def forward(self, image):
        """M tensors of logits (N, K) from images uint8 (N, H, W, C)."""
        x = self.preprocess(image)
        @FORWARD@

    def preprocess(self, image):
        """From bytes to the network's input (N, C, H, W)."""
        @PREPROCESS@

    @torch.no_grad()
    def predict(self, image):
        """The probabilities of each classifier, M tensors (N, K), and the labels (N,) that all predict jointly."""
        logits = self(image)
        return [z.softmax(dim=1) for z in logits], joint_labels(logits)


def joint_labels(logits):
    """The class y with the smallest L(y) = sum over m of lambda_m C^(m)(y) T^(m)(y), T the product of the others' (1 - p)^g."""
    if WEIGHTS is None:
        return logits[-1].argmax(dim=1)
    d = margins(torch.stack([z.double() for z in logits], dim=1))  # (N, M, K)
    zero = torch.zeros_like(d)
    C, log_q = torch.logaddexp(zero, -d), -torch.logaddexp(zero, d)
    losses = zero[:, 0]
    for m, weight in enumerate(WEIGHTS):
        others = [log_q[:, t] for t in range(len(WEIGHTS)) if t != m]
        log_T = EXPONENT * sum(others, zero[:, 0])
        losses = losses + weight * C[:, m] * log_T.exp()
    best = losses == losses.amin(dim=1, keepdim=True)
    return d.mean(dim=1).masked_fill(~best, -torch.inf).argmax(dim=1)


def margins(z):
    """For each class its logit less the log-sum-exp of all others, (N, M, K); for the largest these are summed by themselves."""
    largest, top = z.max(dim=-1, keepdim=True)
    rest = (z - largest).exp().scatter(-1, top, 0.0)
    d = z - largest - (1 + rest.sum(dim=-1, keepdim=True) - rest).log()
    others = z.scatter(-1, top, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return d.scatter(-1, top, largest - others)


def load(path=Path(__file__).with_name("weights.safetensors")):
    """The model with its weights, ready to predict."""
    from safetensors.torch import load_file

    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()
'''
