"""Governing: the budget of a running `Runtime` follows what the device has to spare."""
