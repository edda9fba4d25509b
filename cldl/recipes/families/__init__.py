"""A family of networks a module: the spec of its model, and its recipes, RECIPES, the smallest network first."""
