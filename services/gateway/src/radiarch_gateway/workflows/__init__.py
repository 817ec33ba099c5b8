"""Workflows: the catalogue of the planners, and requests resolved against it."""
