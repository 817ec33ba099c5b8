"""Plans: what is asked for, and what came of it."""
