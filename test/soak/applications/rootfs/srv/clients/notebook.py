"""A notebook's day: logs in by token, starts a kernel by REST, runs code over its WebSocket. `idle SECONDS` is silent that long in between, without pings."""

import asyncio
import json
import sys
import uuid

import requests
import websockets

url = "notebooks.example.org"
idle = float(sys.argv[2]) if sys.argv[1:2] == ["idle"] else 0


def ask(session: str, code: str) -> str:
    header = {"msg_id": uuid.uuid4().hex, "username": "ann", "session": session, "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    return json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []})


async def run(socket, session: str, code: str) -> list[str]:
    await socket.send(ask(session, code))
    said = []
    while True:
        message = json.loads(await socket.recv())
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
        if message["msg_type"] == "error":
            raise SystemExit("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle" and said:
            return said


async def main():
    web = requests.Session()
    refused = web.get(f"https://{url}/api/kernels")
    assert refused.status_code == 403, refused.status_code
    page = web.get(f"https://{url}/login?next=/api/me")
    form = {"password": "secret", "_xsrf": web.cookies["_xsrf"]}
    answer = web.post(f"https://{url}/login?next=%2Fapi%2Fme", data=form)
    assert answer.status_code == 200 and answer.url == f"https://{url}/api/me", (answer.status_code, answer.url)
    print("logged in")
    made = web.post(f"https://{url}/api/kernels", json={"name": "python3"}, headers={"X-XSRFToken": web.cookies["_xsrf"]})
    assert made.status_code == 201, made.text
    kernel = made.json()["id"]
    session = uuid.uuid4().hex
    cookies = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
    async with websockets.connect(
        f"wss://{url}/api/kernels/{kernel}/channels?session_id={session}",
        additional_headers={"Cookie": cookies},
        origin=f"https://{url}",
        ping_interval=None,
        max_size=None,
    ) as socket:
        print("ran", "".join(await run(socket, session, "print(6 * 7)")).strip())
        large = "".join(await run(socket, session, "print('x' * 1_000_000)"))
        print("ran", len(large.strip()))
        if idle:
            await asyncio.sleep(idle)
            print("ran", "".join(await run(socket, session, "print('still here')")).strip())
    gone = web.delete(f"https://{url}/api/kernels/{kernel}", headers={"X-XSRFToken": web.cookies["_xsrf"]})
    assert gone.status_code == 204, gone.status_code


asyncio.run(main())
