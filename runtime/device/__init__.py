"""The device: what processor it has, how much memory this process takes, and what is free at the moment."""
