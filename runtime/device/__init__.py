"""The device: what it is, what this process holds of it, and what it has to spare at the moment."""
