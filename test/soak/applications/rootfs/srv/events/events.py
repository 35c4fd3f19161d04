"""Answers that come bit by bit, each bit only once the visitor has told of the one before: by POST /seen?run=NAME.

/events: server-sent events by sse-starlette, which tells proxies not to wait. /stream: the same by hand, without a word to them. /page: HTML that grows.
/lines: lines of JSON. /example.Counter/Count: gRPC-web. /socket: a WebSocket that says what it hears. /upload: a body that is counted as it comes, told by GET /received?run=NAME.
"""

import asyncio

import grpc
from sonora.asgi import grpcASGI
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

bits = 5
told: dict[str, asyncio.Semaphore] = {}
received: dict[str, int] = {}


async def counted(run: str):
    told[run] = asyncio.Semaphore(0)
    for number in range(bits):
        yield number
        await told[run].acquire()


def streamed(form: str, media_type: str):
    async def answer(request):
        numbers = counted(request.query_params["run"])
        return StreamingResponse((form % number async for number in numbers), media_type=media_type)

    return answer


async def events(request):
    return EventSourceResponse({"data": str(number)} async for number in counted(request.query_params["run"]))


async def seen(request):
    told[request.query_params["run"]].release()
    return Response(status_code=204)


async def upload(request):
    run = request.query_params["run"]
    received[run] = 0
    async for piece in request.stream():
        received[run] += len(piece)
    return JSONResponse({"bytes": received[run]})


async def count_of_upload(request):
    return JSONResponse({"bytes": received.get(request.query_params["run"], 0)})


async def socket(it):
    await it.accept()
    async for text in it.iter_text():
        await it.send_text(text)


async def count(name: bytes, context):
    async for number in counted(name.decode()):
        yield str(number).encode()


app = grpcASGI(
    Starlette(
        routes=[
            Route("/events", events),
            Route("/stream", streamed("data: %d\n\n", "text/event-stream")),
            Route("/page", streamed("<p>%d</p>\n", "text/html")),
            Route("/lines", streamed('{"number": %d}\n', "application/x-ndjson")),
            Route("/seen", seen, methods=["POST"]),
            Route("/upload", upload, methods=["GET", "PUT", "POST"]),
            Route("/received", count_of_upload),
            WebSocketRoute("/socket", socket),
        ]
    )
)
# Messages are bytes, as they are.
handlers = {"Count": grpc.unary_stream_rpc_method_handler(count, request_deserializer=bytes, response_serializer=bytes)}
app.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("example.Counter", handlers),))
