"""Talks to a WebSocket that says what it hears, in texts of up to a megabyte. Argument: its URL."""

import asyncio
import sys

import websockets


async def main(url: str):
    async with websockets.connect(url, max_size=None) as socket:
        for length in (1, 1000, 1_000_000):
            await socket.send("x" * length)
            print("heard", len(await socket.recv()))


asyncio.run(main(*sys.argv[1:]))
