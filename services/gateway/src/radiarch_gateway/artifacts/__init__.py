"""Artifacts: the files that a job left."""
