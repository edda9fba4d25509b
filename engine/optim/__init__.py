"""Optimisers, and the schedules of what changes in the course of a run."""

from engine.optim.optimisers import SGD, AdamW, Optimiser

__all__ = ["SGD", "AdamW", "Optimiser"]
