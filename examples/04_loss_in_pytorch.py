"""The CLDL loss on the logits of a PyTorch model: its gradient goes into autograd.

python examples/04_loss_in_pytorch.py    (needs PyTorch)
"""

import torch
from torch import Tensor, nn

from cldl.inference import predict
from cldl.loss import cldl_loss


class CldlLoss(torch.autograd.Function):
    """CldlLoss.apply(labels, *logits): the loss of M tensors (N, K) of logits, bottom classifier first."""

    @staticmethod
    def forward(ctx, labels: Tensor, *logits: Tensor) -> Tensor:
        result = cldl_loss([z.detach().cpu().numpy() for z in logits], labels.cpu().numpy())
        ctx.gradients = [torch.from_numpy(g).to(z) for g, z in zip(result.gradients, logits, strict=True)]
        return logits[0].new_tensor(result.value)

    @staticmethod
    def backward(ctx, dloss: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(dloss * g for g in ctx.gradients)  # labels have no gradient


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
        loss = CldlLoss.apply(labels, *model(x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    predictions = predict([z.detach().numpy() for z in model(x)])
    print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}, {100 * (predictions != labels.numpy()).mean():.1f} % wrong")
    return losses


if __name__ == "__main__":
    main()
