"""A family of networks a module: the spec of its model, and its recipes in RECIPES, the smallest network first: it is checked whole."""
