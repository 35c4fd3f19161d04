/**
 * Logs as Fly's other server tells them, api.fly.io/api/v1/apps/:app/logs: no part of the Machines API, undocumented, and what flyctl falls back on.
 * Not modelled: levels, lines of Fly's own (proxy, runner), how long Fly keeps them.
 */
import { nanosOf } from "../../../fly/logs.ts";
import type { Core } from "../core/core.ts";
import { invalidArgument } from "../core/errors.ts";
import { appOf, type Call, json, type RouteTable } from "./request.ts";

/** Entries of one answer at most. */
const most = 100;

interface Entry {
  id: string;
  type: "log";
  attributes: { timestamp: string; message: string; level: string; instance: string; region: string; meta: object };
}

export function logRoutes(core: Core): RouteTable {
  return {
    "GET api/apps/:app/logs": async (call) => {
      const entries = await entriesOf(core, call);
      const after = call.query.get("next_token") ?? "";
      // The first look tells the newest, each later one goes on where the last one ended.
      const returned = after === "" ? entries.slice(-most) : entries.slice(0, most);
      const last = returned.at(-1);
      return json(200, { data: returned, meta: { next_token: last ? String(nanos(last)) : after } });
    },
  };
}

const nanos = ({ attributes }: Entry): bigint => nanosOf(attributes.timestamp) ?? 0n;

/** Of all machines asked for, by time, newer than the token: which is a time in nanoseconds. */
async function entriesOf(core: Core, call: Call): Promise<Entry[]> {
  const app = appOf(core, call);
  const after = nanosIn(call.query.get("next_token") ?? "");
  const wanted = { instance: call.query.get("instance"), region: call.query.get("region") };
  const machines = Object.values(core.flyState.machines).filter(
    (it) =>
      it.app === app.name &&
      (!wanted.instance || it.id === wanted.instance) &&
      (!wanted.region || it.region === wanted.region),
  );
  const since = Number(after / 1_000_000_000n);
  const entries = await Promise.all(
    machines.map(async ({ id, region }) => {
      const lines = core.runner.logs(id, { follow: false, timestamps: true, ...(since > 0 ? { since } : {}) });
      return (await Array.fromAsync(lines)).map((line, index) => entry(line, { index, id, region }));
    }),
  );
  return entries
    .flat()
    .filter((it) => nanos(it) > after)
    .toSorted((a, b) => (nanos(a) < nanos(b) ? -1 : 1));
}

/** Rejects a token that is not a number. */
function nanosIn(token: string): bigint {
  if (!/^\d*$/.test(token)) throw invalidArgument("next_token is not a number");
  return BigInt(token || 0);
}

function entry(line: string, { index, id, region }: { index: number; id: string; region: string }): Entry {
  const blank = line.indexOf(" ");
  const timestamp = blank < 0 ? line : line.slice(0, blank);
  const message = blank < 0 ? "" : line.slice(blank + 1);
  const attributes = { timestamp, message, level: "info", instance: id, region, meta: { instance: id, region } };
  return { id: `${id}-${timestamp}-${index}`, type: "log", attributes };
}
