"""Training: originals, descendants block by block, and descendants together in random compositions."""
