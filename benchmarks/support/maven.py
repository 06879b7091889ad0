"""Files of Maven Central, pinned by their hashes, in the folder where the Android build keeps its own."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

CENTRAL = "https://repo1.maven.org/maven2/"
FOLDER = Path("~/.cache/legodnn-android")
# The annotations of null that the Java library's sources have.
JSPECIFY = (
    "org/jspecify/jspecify/1.0.0/jspecify-1.0.0.jar",
    "1fad6e6be7557781e4d33729d49ae1cdc8fdda6fe477bb0cc68ce351eafdfbab",
)


def central(path: str, sha256: str) -> Path:
    """Return a file of Maven Central, from the folder if it is there.

    Raises:
        urllib.error.URLError: it is not there, and cannot be downloaded.
        ValueError: it has another hash.
    """
    target = FOLDER.expanduser() / Path(path).name
    if not target.is_file():
        with urllib.request.urlopen(CENTRAL + path, timeout=60) as response:
            content = response.read()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if hashlib.sha256(target.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{target} is not what it should be; remove it")
    return target
