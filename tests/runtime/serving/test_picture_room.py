"""Pictures are decoded in the room that the service has for them, and no service takes one that is too large for it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="the service is not installed")

from legodnn import Runtime
from legodnn.errors import TooLargeError
from legodnn.runtime.serving.picture_room import PictureRoom
from legodnn.runtime.serving.service import ServiceSettings
from tests.runtime.serving.served import Client, served

Image = pytest.importorskip("PIL.Image")


def picture(side: int, mode: str = "RGB") -> bytes:
    """A square picture without colours, which takes little as a file."""
    content = io.BytesIO()
    Image.new(mode, (side, side)).save(content, "PNG")
    return content.getvalue()


def photo(width: int, height: int, **settings: object) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, "JPEG", **settings)
    return content.getvalue()


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[Client]:
    with served(runtime, ServiceSettings(governed=False, most_body_bytes=100_000)) as found:
        yield found


def test_a_picture_that_there_is_no_room_to_decode_is_refused(client: Client) -> None:
    small, large = picture(170), picture(200)  # 13 bytes for each pixel: 376 kB and 520 kB, of 400 kB
    assert len(large) < 1000
    assert client.infer("tiny", small, "image/png").status == 200
    answer = client.infer("tiny", large, "Image/PNG")
    assert answer.status == 413
    assert answer.json["error"] == (
        "decoding this picture takes up to 520 kB, more than the 400 kB that there is for pictures; send a smaller "
        "one, or start the service with --max-body 1MB"
    )
    assert client.infer("tiny", small, "image/png").status == 200


def test_what_is_no_picture_is_refused_as_before(client: Client) -> None:
    for body, says in ((b"no picture", "none of BMP"), (picture(10_000, mode="1"), "cannot be in")):
        answer = client.infer("tiny", body, "image/png")
        assert (answer.status, says in answer.json["error"]) == (400, True)


def test_a_photo_of_48_megapixels_has_room_by_default() -> None:
    async def held(body: bytes) -> None:
        async with PictureRoom(ServiceSettings().most_body_bytes).held_for("image/jpeg", body, (224, 224, 3)):
            pass

    asyncio.run(held(photo(8064, 6048)))
    with pytest.raises(TooLargeError, match=r"takes up to 30\d MB"):  # held as a whole, in 6 bytes for each pixel
        asyncio.run(held(photo(8064, 6048, progressive=True)))


def test_pictures_that_do_not_fit_at_a_time_wait_for_one_another() -> None:
    async def decode(room: PictureRoom, name: str, body: bytes, kind: str = "image/png") -> None:
        async with room.held_for(kind, body, (8, 8, 3)):
            inside.append(name)
            most.append(len(inside))
            if len(inside) == 8:
                full.set()
            if name.startswith("small"):
                await full.wait()
            await asyncio.sleep(0.02)
            inside.remove(name)
            done.append(name)

    async def all_at_once() -> None:
        room = PictureRoom(40_000)  # for 160 kB: one of 130 kB, or eight of 12.5 kB
        large, small = picture(100), picture(31)
        await asyncio.gather(*[decode(room, f"large {i}", large) for i in range(4)])
        assert max(most) == 1
        assert sorted(done) == [f"large {i}" for i in range(4)]
        most.clear()
        await asyncio.wait_for(asyncio.gather(*[decode(room, f"small {i}", small) for i in range(8)]), 60)
        assert max(most) == 8
        with pytest.raises(TooLargeError, match="takes up to 520 kB"):
            await decode(room, "too large", picture(200))
        waiting = [asyncio.create_task(decode(room, f"last {i}", large)) for i in range(3)]
        await asyncio.sleep(0.01)
        waiting[1].cancel()  # while it waits: the one behind it does not wait for ever
        await asyncio.gather(decode(room, "array", b"", "application/x-npy"), waiting[0], waiting[2])
        assert done[-3:] == ["array", "last 0", "last 2"] or done[-3:] == ["last 0", "array", "last 2"]

    full = asyncio.Event()
    inside: list[str] = []
    done: list[str] = []
    most: list[int] = []
    asyncio.run(all_at_once())
