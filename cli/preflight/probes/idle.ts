/** A connection on which nothing is said. */
import { limits } from "../../../image/limits.ts";
import { type Finding, probe, resultOf } from "../assumption.ts";
import { seconds } from "../text.ts";
import { notKept } from "./cordon.ts";

/** The longest silence that a PoP itself allows, and a little more. */
const silentMs = (Math.max(limits.idleSeconds, limits.readSeconds) + 3) * 1000;

export const idleProbe = probe({
  title: "idle connection",
  assumptions: {
    "idle-connection-kept": {
      says: `Fly's proxy keeps a silent TCP connection open for ${limits.idleSeconds} s, as long as nginx keeps one between two requests.`,
      restsOn: ["image/limits.ts"],
      source: "older docs: closed after 60 s; today's say nothing for raw TCP",
      wrongIf: "it is closed before: a visitor's next request would find a closed connection",
    },
    "silent-websocket-kept": {
      says: `It keeps one open for ${limits.readSeconds} s, as long as a PoP allows a WebSocket or a slow origin to be silent.`,
      restsOn: ["image/limits.ts", "docs/requests.md"],
      source: "as above",
      wrongIf: "it is closed before: silent WebSockets would end earlier than docs/requests.md says",
    },
  },
  async measure(session, found) {
    const road = session.require("road");
    if (!road.isPersistent) {
      found("idle-connection-kept", notKept(road));
      return found("silent-websocket-kept", notKept(road));
    }
    const { clock } = session;
    const connection = await road.open();
    try {
      if ((await connection.request("/")) === undefined) throw new Error("the connection was closed without an answer");
      const since = clock.now();
      const closed = await Promise.race([
        connection.closed.then(() => clock.now() - since),
        session.pause(silentMs).then(() => undefined),
      ]);
      found("idle-connection-kept", kept(closed, limits.idleSeconds));
      found("silent-websocket-kept", kept(closed, limits.readSeconds));
    } finally {
      connection.end();
    }
  },
});

const kept = (closedAfter: number | undefined, wanted: number): Finding =>
  resultOf(
    closedAfter === undefined || closedAfter >= wanted * 1000,
    closedAfter === undefined ? `open after ${seconds(silentMs)}` : `closed after ${seconds(closedAfter)}`,
  );
