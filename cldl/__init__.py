"""The method: loss, inference, networks, recipes, training, and the commands."""
