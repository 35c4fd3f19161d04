"""What the app of Home Assistant does: makes the first user, gets a token, opens the WebSocket, subscribes, and hears of an event that REST fires."""

import asyncio
import json

import requests
import websockets

url = "https://home.example.org"
# The page's own address is what the token is for.
me = f"{url}/"


async def main():
    web = requests.Session()
    page = web.get(f"{url}/onboarding.html")
    assert page.status_code == 200 and "<html" in page.text, page.status_code
    user = {"client_id": me, "name": "Ann", "username": "ann", "password": "secret", "language": "en"}
    made = web.post(f"{url}/api/onboarding/users", json=user)
    assert made.status_code == 200, made.text
    grant = {"grant_type": "authorization_code", "code": made.json()["auth_code"], "client_id": me}
    token = web.post(f"{url}/auth/token", data=grant).json()["access_token"]
    web.headers["Authorization"] = f"Bearer {token}"
    assert web.get(f"{url}/api/").json() == {"message": "API running."}
    print("logged in")
    async with websockets.connect("wss://home.example.org/api/websocket", origin=url, ping_interval=None) as socket:
        assert json.loads(await socket.recv())["type"] == "auth_required"
        await socket.send(json.dumps({"type": "auth", "access_token": token}))
        assert json.loads(await socket.recv())["type"] == "auth_ok"
        await socket.send(json.dumps({"id": 1, "type": "subscribe_events", "event_type": "doorbell"}))
        assert json.loads(await socket.recv())["success"]
        fired = await asyncio.to_thread(web.post, f"{url}/api/events/doorbell", json={"door": "front"})
        assert fired.status_code == 200, fired.text
        heard = json.loads(await socket.recv())
        print("heard of", heard["event"]["event_type"], heard["event"]["data"]["door"])
    with web.get(f"{url}/api/stream?restrict=doorbell", stream=True, headers={"Accept": "text/event-stream"}) as stream:
        lines = stream.iter_lines(chunk_size=1)
        ping = next(lines)
        assert ping == b"data: ping", ping
        for number in range(3):
            web.post(f"{url}/api/events/doorbell", json={"number": number})
            line = next(line for line in lines if line)
            print("streamed", json.loads(line.removeprefix(b"data: "))["data"]["number"])


asyncio.run(main())
