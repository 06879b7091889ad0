"""Planning: which option each block of each running model should have. Plain data in, a plan out; nothing is loaded."""
