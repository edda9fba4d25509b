"""The CLDL loss trains a PyTorch model with two classifiers.

python examples/04_loss_in_pytorch.py    (needs PyTorch)
"""

import torch
from torch import Tensor, nn

from cldl.inference import predict
from cldl.interop.torch import cldl_loss


class TwoExits(nn.Module):
    """Two blocks, a classifier on each."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.block1 = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU())
        self.block2 = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.head1, self.head2 = nn.Linear(hidden, classes), nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h1 = self.block1(x)
        return self.head1(h1), self.head2(self.block2(h1))


def main(steps: int = 60) -> list[float]:
    """Train on three clusters of points; returns the losses."""
    torch.manual_seed(0)
    labels = torch.arange(300) % 3
    x = torch.randn(300, 2) + 4 * torch.stack([(labels == 1).float(), (labels == 2).float()], dim=1)
    model = TwoExits(2, 16, 3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(steps):
        loss = cldl_loss(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    predictions = predict([z.detach().numpy() for z in model(x)])
    print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}, {100 * (predictions != labels.numpy()).mean():.1f} % wrong")
    return losses


if __name__ == "__main__":
    main()
