"""Solids between contours, for the DVH: how a structure runs from one plane to the next."""
