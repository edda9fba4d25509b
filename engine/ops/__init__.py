"""What layers call: convolutions, linear maps and their fusions, each by the algorithm that is fastest."""
