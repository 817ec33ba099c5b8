"""What comes into a watched PACS: hints that wake, and the look that finds it."""
