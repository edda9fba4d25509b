"""A family of networks a module: the spec of its model; its recipes, RECIPES, the smallest network first; and its models by the
names under which any recipe can have them, MODELS.
"""
