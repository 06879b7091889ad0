"""Planning: which option every block of every running model should be. Plain data in, a plan out; nothing is loaded."""
