/** All exchanges of the run, looked at in the end: limits, cookies, the form of refusals. */
import { parseJson } from "../../../lib/http-transport.ts";
import { type Finding, probe, resultOf } from "../assumption.ts";
import type { Recorded } from "../exchanges.ts";
import { plural, seconds } from "../text.ts";

const slowestMs = 60_000;

export const wireProbe = probe({
  title: "all calls",
  assumptions: {
    "pace-is-kept": {
      says: "Within Fly's documented limits no call gets 429.",
      restsOn: ["fly/rate-limit.ts"],
      source: "[Machines API, rate limits](https://fly.io/docs/machines/api/working-with-machines-api/#rate-limits)",
      wrongIf: "one is",
      playedBy: "test/provider/fly/api.test.ts: a refused pace is honoured, for a create too",
    },
    "refusals-are-json": {
      says: "An error response is JSON with `error` or `message`.",
      restsOn: ["fly/http.ts"],
      source: "[fly-go `handleAPIError`](https://github.com/superfly/fly-go/blob/main/flaps/flaps.go)",
      wrongIf: "one is not",
      playedBy: "test/provider/fly/api.test.ts: a long body is cut",
    },
    "request-ids": {
      says: "Each response has a `fly-request-id`, for Fly's support.",
      restsOn: ["fly/http.ts"],
      source: "[fly-go](https://github.com/superfly/fly-go/blob/main/flaps/flaps.go)",
      wrongIf: "one has none",
    },
    "affinity-cookie": {
      says: "Responses about an app set the cookie `fly_flaps_affinity`, which routes later reads to the server that knows our writes.",
      restsOn: ["fly/http.ts"],
      source: "[fly-go](https://github.com/superfly/fly-go/blob/main/flaps/flaps.go) keeps it in a jar",
      wrongIf: "none is set: reads may go to any server, and lag",
      playedBy: "test/provider/fly/lag.test.ts: the cookie that leads back to the server of the last write",
    },
    "answers-in-time": {
      says: `A call is answered within ${slowestMs / 1000} s; a wait within its own time.`,
      restsOn: ["fly/http.ts"],
      source: "[fly-go `proxyTimeoutThreshold`](https://github.com/superfly/fly-go/blob/main/flaps/flaps.go)",
      wrongIf: "one takes longer, or gets no response: its effect may happen after the client gave up",
      playedBy: "test/provider/fly/api.test.ts: a create whose answer is lost goes out once",
    },
  },
  async measure({ exchanges }, found) {
    found("pace-is-kept", pace(exchanges));
    found("refusals-are-json", refusals(exchanges));
    found("request-ids", ids(exchanges));
    found("affinity-cookie", cookie(exchanges));
    found("answers-in-time", inTime(exchanges));
  },
});

const callText = ({ method, path }: Recorded): string =>
  `${method} ${path.replace(/\?.*/, "").replace(/^\/v1\/apps\/[^/]+/, "…")}`;

function pace(all: readonly Recorded[]): Finding {
  const limited = all.filter(({ status }) => status === 429);
  return resultOf(
    limited.length === 0,
    `${limited.length} of ${plural(all.length, "call")}${limited[0] ? `, first ${callText(limited[0])}` : ""}`,
  );
}

function refusals(all: readonly Recorded[]): Finding {
  const refused = all.filter(({ refusal }) => refusal !== undefined);
  const odd = refused.find(({ refusal = "" }) => {
    const body = parseJson(refusal) as { error?: unknown; message?: unknown } | undefined;
    return typeof body !== "object" || (typeof body?.error !== "string" && typeof body?.message !== "string");
  });
  return resultOf(
    odd === undefined,
    odd ? `${callText(odd)}: ${odd.status} ${JSON.stringify(odd.refusal?.slice(0, 120))}` : `all ${refused.length}`,
  );
}

function ids(all: readonly Recorded[]): Finding {
  const without = all.filter(({ status, requestId }) => status !== undefined && !requestId);
  return resultOf(
    without.length === 0,
    without[0] ? `${without.length} of ${all.length} without, first ${callText(without[0])}` : `all ${all.length}`,
  );
}

function cookie(all: readonly Recorded[]): Finding {
  const names = [...new Set(all.flatMap(({ cookies }) => cookies))];
  return resultOf(
    names.includes("fly_flaps_affinity"),
    names.length > 0 ? `cookies: ${names.join(", ")}` : "no cookie is set",
  );
}

function inTime(all: readonly Recorded[]): Finding {
  const lost = all.find(({ status }) => status === undefined);
  if (lost) return resultOf(false, `${callText(lost)} got no answer`);
  const slowest = all.filter(({ path }) => !path.includes("/wait?")).toSorted((a, b) => b.took - a.took)[0];
  if (!slowest) return resultOf(true, "no call");
  return resultOf(slowest.took <= slowestMs, `the slowest, ${callText(slowest)}, took ${seconds(slowest.took)}`);
}
