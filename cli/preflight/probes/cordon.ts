/** A cordon: how soon the proxy heeds it, and what becomes of connections that are open. */
import { defaults } from "../../../config/defaults.ts";
import { parseDuration } from "../../../fly/durations.ts";
import { type Finding, notMeasured, probe, resultOf } from "../assumption.ts";
import type { Session } from "../session.ts";
import { seconds } from "../text.ts";
import type { Route } from "../visitor.ts";
import { ask } from "./traffic.ts";

/** How long a rollout waits between cordon and stop. */
const drainMs = parseDuration(defaults.drain) ?? 0;
const watchMs = 60_000;
/** So many refused connections in a row count as out of routing. */
const inARow = 3;

export const cordonProbe = probe({
  title: "cordon",
  assumptions: {
    "cordon-heeded": {
      says: `New connections stop reaching a cordoned machine within ${drainMs / 1000} s, the default of \`rollout.drain\`.`,
      restsOn: ["providers/fly/machine-update.ts", "config/defaults.ts"],
      source: "[alchemy, replicas.ts](https://github.com/alchemy-run/alchemy): some 10 s",
      wrongIf: "one is answered later: visitors would reach a stopping machine",
      playedBy: "test/provider/fly/lag.test.ts: a cordon that lands late leaves no PoP out of routing",
    },
    "cordon-keeps-connections": {
      says: "A connection that was open before the cordon continues.",
      restsOn: ["providers/fly/machine-update.ts"],
      source:
        "[flyctl, cordon](https://fly.io/docs/flyctl/machine-cordon/): deactivates a machine's services, for new connections",
      wrongIf: "it is closed: draining would have no effect",
    },
    "uncordon-heeded": {
      says: `An uncordoned machine gets connections again within ${drainMs / 1000} s.`,
      restsOn: ["providers/rollout-gate.ts"],
      source: "inferred from the above",
      wrongIf: "it takes longer: the next PoP is cordoned by then, so a region could have none",
    },
  },
  async measure(session, found) {
    const road = session.require("road");
    const { fly, app } = session;
    const { id } = session.require("traffic");
    const before = await road.open();
    try {
      if ((await before.request("/")) === undefined) throw new Error("the machine does not answer before the cordon");
      await fly.cordonMachine(app, id);
      const out = await untilOut(session);
      found("cordon-heeded", within(out, drainMs));
      found("cordon-keeps-connections", road.isPersistent ? goesOn(await before.request("/"), out) : notKept(road));
    } finally {
      before.end();
      await fly.uncordonMachine(app, id);
    }
    found("uncordon-heeded", within((await untilIn(session))?.ms, drainMs));
  },
});

const goesOn = (reply: unknown, out: number | undefined): Finding =>
  resultOf(
    reply !== undefined,
    `${reply === undefined ? "closed" : "answers"}, ${out === undefined ? "while the machine is cordoned" : "when new ones are refused"}`,
  );

/** A road on which each request has a connection of its own. */
export const notKept = (road: Route): Finding => notMeasured(`no connection can be kept ${road.from}`);

/** Milliseconds to the first of some refused connections in a row; undefined: none began within `forMs`. */
export async function untilOut(session: Session, forMs = watchMs): Promise<number | undefined> {
  const road = session.require("road");
  const began = session.clock.now();
  let first = 0;
  // A refusal may take its time: it counts from when its connection was opened.
  for (let row = 0; ; ) {
    const at = session.clock.now() - began;
    if ((await ask(road)) !== undefined) row = 0;
    else if (row++ === 0) first = at;
    if (row === inARow) return first;
    if (row === 0 && session.clock.now() - began >= forMs) return undefined;
    await session.pause(250);
  }
}

export const untilIn = (session: Session, forMs = watchMs) =>
  session.until({ everyMs: 250, forMs }, () => ask(session.require("road")));

const within = (ms: number | undefined, bound: number): Finding =>
  resultOf(
    ms !== undefined && ms <= bound,
    ms === undefined ? `not after ${seconds(watchMs)}` : `after ${seconds(ms)}`,
  );
