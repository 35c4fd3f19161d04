"""A long line: passes TCP connections on to a port of this machine, each byte and each end MILLISECONDS late, both ways. Arguments: MILLISECONDS FROM TO."""

import asyncio
import sys

late, port, target = float(sys.argv[1]) / 1000, int(sys.argv[2]), int(sys.argv[3])


async def carry(reader, writer):
    loop = asyncio.get_running_loop()
    under_way = asyncio.Queue()

    async def arrive():
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                return writer.close()
            writer.write(piece)

    arriving = asyncio.create_task(arrive())
    piece = b"any"
    while piece:
        try:
            piece = await reader.read(65536)
        except ConnectionError:
            piece = b""
        under_way.put_nowait((loop.time() + late, piece))
    await arriving


async def join(reader, writer):
    other_reader, other_writer = await asyncio.open_connection("127.0.0.1", target)
    await asyncio.gather(carry(reader, other_writer), carry(other_reader, writer), return_exceptions=True)


async def main():
    await (await asyncio.start_server(join, "0.0.0.0", port)).serve_forever()


asyncio.run(main())
