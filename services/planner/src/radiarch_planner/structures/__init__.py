"""Structures that a plan derives from those of the structure set, on a fine lattice."""
