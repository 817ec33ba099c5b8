"""Who did what to which study: append-only, each entry chained to the one before."""
