"""Loopback is what leads back to this machine, by name, by either kind of address, and nothing else."""

from __future__ import annotations

import pytest

from legodnn.addresses import is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org", "127.0.0.1.example.org"]
)
def test_elsewhere(host: str) -> None:
    assert not is_loopback(host)
