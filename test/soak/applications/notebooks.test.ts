import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "./lab.ts";

// What lives on WebSockets: Jupyter, with a kernel that runs code.

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
  // No pings from either side, so the connection is really silent.
  await lab.start(
    "notebooks",
    `exec jupyter-server --allow-root --ip=0.0.0.0 --no-browser --ServerApp.root_dir=/tmp --ServerApp.trust_xheaders=True \\
       --IdentityProvider.token=secret --ServerApp.allow_remote_access=True --ZMQChannelsWebsocketConnection.websocket_ping_interval=0`,
  );
  await lab.untilServed("notebooks.example.org", "/api");
});
afterAll(() => lab?.close());

test("log in, start a kernel, run code over the WebSocket; one that is silent for more than a minute stays", async () => {
  expect((await lab.well("python3 /srv/clients/notebook.py idle 65")).trim().split("\n")).toEqual([
    "logged in",
    "ran 42",
    "ran 1000000",
    "ran still here",
  ]);
});
