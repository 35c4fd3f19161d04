"""Counts over gRPC-web by sonora: each number is acknowledged, and only then does the next one come. Arguments: the site's URL, a name for the run."""

import asyncio
import sys

import aiohttp
import sonora.aio


async def main(url: str, run: str):
    async with aiohttp.ClientSession(raise_for_status=True) as web, sonora.aio.insecure_web_channel(url) as channel:
        count = channel.unary_stream("/example.Counter/Count", bytes, bytes)
        async for number in count(run.encode()):
            print("counted", number.decode(), flush=True)
            await web.post(f"{url}/seen?run={run}")


asyncio.run(main(*sys.argv[1:]))
