"""Info and health: what this deployment is and whom it reaches."""
