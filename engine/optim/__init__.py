"""Optimisers, and the schedules of what changes in the course of a run."""

from engine.optim.lars import LARS
from engine.optim.optimisers import SGD, AdamW, Optimiser
from engine.optim.schedules import Constant, Cosine, Exponential, Polynomial, Schedule, Step

__all__ = ["LARS", "SGD", "AdamW", "Constant", "Cosine", "Exponential", "Optimiser", "Polynomial", "Schedule", "Step"]
