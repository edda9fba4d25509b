"""Optimisers, and the schedules of what changes in the course of a run."""
