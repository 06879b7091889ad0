"""Training: of the original, of every descendant block by block, and of all descendants in random compositions."""
