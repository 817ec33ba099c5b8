"""Jobs: where the work on a plan is."""
