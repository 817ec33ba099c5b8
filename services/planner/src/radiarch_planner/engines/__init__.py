"""Dose engines: the only place of the planner that knows OpenTPS."""
