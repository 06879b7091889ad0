"""Room for decoding pictures: one of a few kB may stand for hundreds of megabytes of pixels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from legodnn.errors import TooLargeError
from legodnn.image_files import decoding_bytes
from legodnn.runtime.serving.guards import MOST_BODIES
from legodnn.units import size

_A_MB_OF_BODIES = MOST_BODIES * 1_000_000


class PictureRoom:
    """The memory that pictures may take while they are decoded: as much as all bodies of requests (`BodyGuard`).

    Those that do not fit into it at a time wait for one another, first come, first served.
    """

    def __init__(self, most_body_bytes: int) -> None:
        """Make room.

        Args:
            most_body_bytes: the most that the body of one request may hold.
        """
        self._room, self._taken = MOST_BODIES * most_body_bytes, 0
        self._next, self._left = asyncio.Lock(), asyncio.Event()

    @asynccontextmanager
    async def held_for(self, content_type: str, body: bytes, shape: Sequence[int]) -> AsyncIterator[None]:
        """Wait for the room that the picture in a body needs, and keep it; for other content types nothing is done.

        Args:
            content_type: the media type of the body.
            body: the request's body.
            shape: the shape of the model's input.

        Raises:
            TooLargeError: the picture needs more than all room.
            DependencyError: Pillow is not installed.
        """
        if not content_type.strip().lower().startswith("image/"):
            yield
            return
        needed = await asyncio.to_thread(decoding_bytes, body, shape)
        if needed > self._room:
            raise TooLargeError(
                f"decoding this picture takes up to {size(needed)}, more than the {size(self._room)} that there is for "
                f"pictures; send a smaller one, or start the service with --max-body {-(-needed // _A_MB_OF_BODIES)}MB"
            )
        async with self._next:  # who is first waits for room, and all others for whoever is first
            while self._taken + needed > self._room:
                self._left.clear()
                await self._left.wait()
            self._taken += needed
        try:
            yield
        finally:
            self._taken -= needed
            self._left.set()
