"""What one gateway of several does at a time: erasing, sweeping, counting."""
