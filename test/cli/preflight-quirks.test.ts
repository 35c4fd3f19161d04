/** Each answer of `preflight` is as local Fly, or the network before it, is set: turned the other way, the report says so. */
import { expect, test } from "vitest";
import { everyProbe, plan } from "../../cli/preflight/plan.ts";
import type { HttpRequest, Transport } from "../../lib/http-transport.ts";
import { against, type PreflightBenchOptions, preflightBench } from "../support/preflight.ts";

interface Case extends PreflightBenchOptions {
  /** What answers, or requests, go through. */
  road?: (inner: Transport) => Transport;
  /** Findings that differ from those on local Fly as it is, and what is seen; all others must hold. */
  differs: Record<string, string | RegExp>;
  /** Findings that hold all the same, with something else seen. */
  sees?: Record<string, string | RegExp>;
}

/** Local Fly sets no cookie. */
const always = ["affinity-cookie"];

async function run({ differs, sees = {}, road, ...options }: Case) {
  using bench = await preflightBench(options);
  const ran = await bench.run({}, road ? { road } : {});
  const rows = ran.report?.findings ?? [];
  const not = rows.filter(({ id, verdict }) => verdict !== "holds" && !always.includes(id));
  expect(Object.fromEntries(not.map(({ id, seen }) => [id, seen]))).toEqual(
    Object.fromEntries(Object.entries(differs).map(([id, seen]) => [id, expect.stringMatching(seen)])),
  );
  for (const [id, seen] of Object.entries(sees))
    expect(ran.of(id)).toMatchObject({ verdict: "holds", seen: expect.stringMatching(seen) });
  expect(bench.apps()).toEqual([]);
  return ran;
}

/** Answers of the calls that match, rewritten as JSON. */
const rewriting =
  (match: RegExp, change: (body: never, exchange: HttpRequest) => unknown) =>
  (inner: Transport): Transport =>
  async (exchange) => {
    const answer = await inner(exchange);
    if (!match.test(`${exchange.method} ${exchange.url}`) || answer.body === "") return answer;
    const parsed: unknown = JSON.parse(answer.body);
    return { ...answer, body: JSON.stringify(change(parsed as never, exchange) ?? parsed) };
  };

/** Requests that match, rewritten before they are sent. */
const sending =
  (match: RegExp, change: (exchange: HttpRequest) => HttpRequest) =>
  (inner: Transport): Transport =>
  (exchange) =>
    inner(match.test(`${exchange.method} ${exchange.url}`) ? change(exchange) : exchange);

const noField = (name: string) => (body: Record<string, unknown>) => ({ ...body, [name]: undefined });

test("a new app and a new machine that show late", async () => {
  await run({
    quirks: { bornMs: 7_000 },
    differs: {},
    sees: {
      "app-visible": "^after (7|8|9|10)\\.",
      "app-visible-to-others": "^after (7|8|9)\\.",
      "machine-visible": "^after 7",
    },
  });
});

test("an app that does not show in time, or never", async () => {
  using late = await preflightBench({ quirks: { bornMs: 33_000 } });
  const { of } = await late.run();
  for (const id of ["app-visible", "app-visible-to-others"])
    expect(of(id)).toMatchObject({ verdict: "does not hold", seen: expect.stringMatching(/^after 3\d s$/) });
  using never = await preflightBench({ quirks: { bornMs: 120_000 } });
  const hidden = await never.run();
  expect(hidden.of("app-visible")).toMatchObject({ verdict: "does not hold", seen: "not after 60 s" });
  expect(hidden.of("volume-zone")).toMatchObject({ verdict: "not measured", broken: true });
  expect(hidden.code).toBe(1);
  expect(hidden.err).toMatch(/App \S+ was made, and Fly does not show it, so it could not be removed\./);
  await never.clock.pass(60_000);
  await never.run({ clean: true });
  expect(never.apps()).toEqual([]);
});

test("a machine that reads as absent for too long", async () => {
  const absent = /GET .*\/machines\/[0-9a-f]{14}$/;
  let born = 0;
  using bench = await preflightBench();
  const road =
    (inner: Transport): Transport =>
    async (exchange) => {
      if (exchange.method === "POST" && exchange.url.endsWith("/machines")) born ||= bench.clock.now();
      const late = absent.test(`${exchange.method} ${exchange.url}`) && bench.clock.now() - born < 12_000;
      return late ? { status: 404, headers: {}, body: '{"error":"machine not found"}' } : inner(exchange);
    };
  const { of } = await bench.run({}, { road });
  expect(of("machine-visible")).toMatchObject({ verdict: "does not hold", seen: "after 12 s" });
});

test("a full region that is listed, one with room that is not", async () => {
  await run({
    road: rewriting(/placements$/, () => ({ Regions: [{ Region: "iad", Count: 1 }] })),
    differs: {},
  });
  await run({
    road: rewriting(/placements$/, () => ({ Regions: [] })),
    differs: { "placement-names-region": "^the region is absent, the volume was made$" },
  });
  using bench = await preflightBench();
  for (const zone of ["iad-01", "iad-02", "iad-03", "iad-04"]) bench.fly.platform.full(zone);
  const { of } = await bench.run();
  expect(of("placement-names-region")).toMatchObject({
    verdict: "holds",
    seen: "the region is absent, the volume was refused",
  });
  expect(of("config-reads-back").verdict).toBe("not measured");
});

test("one host in the region", async () => {
  const refused = /^refused: 412 "failed_precondition: no unique zone left/;
  await run({
    settings: { hostsPerRegion: 1 },
    differs: {},
    sees: { "volumes-same-name-apart": refused, "volumes-app-wide-apart": refused },
  });
});

test("volumes of one name on one host", async () => {
  await run({
    road: rewriting(/POST .*\/volumes$/, (body: object) => ({ ...body, zone: "iad-07" })),
    differs: {
      "volumes-same-name-apart": "on the host of 1 of 1 others",
      "volumes-app-wide-apart": "on the host of 2 of 2 others",
    },
  });
});

test("volumes that do not tell their host", async () => {
  await run({
    road: rewriting(/POST .*\/volumes$/, noField("zone")),
    differs: {
      "volume-zone": "empty",
      "volumes-same-name-apart": "not every volume",
      "volumes-app-wide-apart": "not every volume",
    },
  });
});

test("snapshots that are off, or cannot be turned off", async () => {
  await run({
    road: rewriting(/POST .*\/volumes$/, (body: object) => ({ ...body, auto_backup_enabled: false })),
    differs: { "snapshots-by-default": "auto_backup_enabled false" },
  });
  await run({
    road: rewriting(/POST .*\/volumes$/, (body: object) => ({ ...body, auto_backup_enabled: true })),
    differs: { "snapshots-off": "reads true" },
  });
});

test("a token that names no organization", async () => {
  await run({
    road: rewriting(/tokens\/current$/, () => ({ tokens: [] })),
    differs: { "token-names-organization": "no organization is named" },
  });
});

test("a new machine without its version, in another region, without a digest", async () => {
  const create = /POST .*\/machines$/;
  const read = /GET .*\/machines\/[0-9a-f]{14}$/;
  using bench = await preflightBench();
  const { of } = await bench.run({}, { road: rewriting(create, noField("instance_id")) });
  expect(of("create-names-version")).toMatchObject({
    verdict: "does not hold",
    seen: "state created, instance_id missing",
  });
  await run({
    road: rewriting(create, (body: object) => ({ ...body, region: "ewr" })),
    differs: { "machine-on-volume": "asked for iad, made in ewr" },
  });
  await run({
    road: rewriting(read, (body: object) => ({ ...body, image_ref: {} })),
    differs: { "image-digest": "missing" },
  });
});

test("a config that reads back otherwise", async () => {
  const road = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { config: { services?: unknown[] } }) =>
    body.config.services?.length ? { ...body, config: { ...body.config, services: [] } } : body,
  );
  using bench = await preflightBench();
  const { of } = await bench.run({}, { road });
  expect(of("config-reads-back")).toMatchObject({
    verdict: "does not hold",
    seen: expect.stringMatching(/^differs in services: /),
  });
});

test("mirrored checks are known, others are not", async () => {
  await run({ quirks: { mirrorChecks: true }, differs: {}, sees: { "check-rows": "2 rows and 1 mirrored" } });
  const strange = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { checks: unknown[] }) => ({
    ...body,
    checks: body.checks.length > 0 ? [...body.checks, { name: "vm", status: "passing", output: "" }] : [],
  }));
  await run({ road: strange, differs: { "check-rows": "unknown: vm" } });
});

test("checks that never pass", async () => {
  using bench = await preflightBench({ behaviour: { check: () => ({ passing: false, output: "refused" }) } });
  const { of } = await bench.run();
  expect(of("checks-pass")).toMatchObject({
    verdict: "does not hold",
    seen: expect.stringMatching(/^not after 60 s: health says "refused"/),
  });
  expect(of("address-leads-to-machine")).toMatchObject({ verdict: "does not hold" });
  expect(bench.apps()).toEqual([]);
});

test("refusals in other words, or none", async () => {
  const other =
    (match: RegExp) =>
    (inner: Transport): Transport =>
    async (exchange) => {
      const answer = await inner(exchange);
      return answer.status > 299 && match.test(`${exchange.method} ${exchange.url}`)
        ? { ...answer, body: '{"error":"no"}' }
        : answer;
    };
  await run({ road: other(/POST .*\/apps(\?|$)/), differs: { "app-name-taken": '^422 "no"$' } });
  await run({
    road: other(/POST .*\/machines$/),
    differs: { "machine-name-unique": '^409 "no"$', "volume-has-one-machine": '^412 "no"$' },
  });
  const plain =
    (inner: Transport): Transport =>
    async (exchange) => {
      const answer = await inner(exchange);
      return answer.status === 412 ? { ...answer, body: "claimed by machine x" } : answer;
    };
  await run({ road: plain, differs: { "refusals-are-json": '412 \\"claimed by machine x' } });
});

test("leases that do not hold", async () => {
  const nonce = "fly-machine-lease-nonce";
  /** No client is held off: every call comes as the holder's. */
  let held = "";
  const open =
    (inner: Transport): Transport =>
    async (exchange) => {
      const lease = exchange.url.includes("/lease");
      const headers =
        !lease && held && exchange.headers[nonce] !== held ? { ...exchange.headers, [nonce]: held } : exchange.headers;
      const answer = await inner({ ...exchange, headers });
      if (lease && exchange.method === "POST" && answer.status === 201)
        held = (JSON.parse(answer.body) as { data: { nonce: string } }).data.nonce;
      if (lease && exchange.method === "DELETE") held = "";
      return answer;
    };
  using bench = await preflightBench();
  const { of } = await bench.run({}, { road: open });
  expect(of("lease-fences-update")).toMatchObject({ verdict: "does not hold", seen: "the call was taken" });

  const cordons =
    (inner: Transport): Transport =>
    (exchange) =>
      exchange.url.endsWith("/cordon")
        ? Promise.resolve({ status: 200, headers: { "fly-request-id": "x" }, body: '{"ok":true}' })
        : inner(exchange);
  using second = await preflightBench();
  expect((await second.run({}, { road: cordons })).of("lease-fences-cordon")).toMatchObject({
    verdict: "does not hold",
  });

  const many = sending(/POST .*\/lease\?/, (exchange) => exchange);
  const shared =
    (inner: Transport): Transport =>
    async (exchange) => {
      const answer = await many(inner)(exchange);
      const isLease = exchange.method === "POST" && exchange.url.includes("/lease?");
      return isLease
        ? { ...answer, status: 201, body: JSON.stringify({ data: { nonce: "same", expires_at: 0 } }) }
        : answer;
    };
  using third = await preflightBench();
  const { of: alike } = await third.run({}, { road: shared });
  expect(alike("lease-has-one-holder")).toMatchObject({ verdict: "does not hold", seen: "the call was taken" });

  let count = 0;
  await run({
    road: rewriting(/POST .*\/lease\?/, (body: { data?: object }, { headers }) =>
      headers[nonce] && body.data && count++ === 0 ? { ...body, data: { ...body.data, nonce: "another" } } : body,
    ),
    differs: { "lease-renewal": "another nonce" },
  });
});

test("a late renewal that looks like a held lease, a lease that does not end", async () => {
  const nonce = "fly-machine-lease-nonce";
  using bench = await preflightBench();
  const old = rewriting(/POST .*\/lease\?/, (body: { data?: object }, { headers }) =>
    headers[nonce] && body.data ? { ...body, data: { ...body.data, nonce: headers[nonce] } } : body,
  );
  expect((await bench.run({}, { road: old })).of("lease-late-renewal")).toMatchObject({
    verdict: "does not hold",
    seen: "the same nonce",
  });
  using second = await preflightBench();
  const long = sending(/POST .*\/lease\?ttl=5$/, (exchange) => ({
    ...exchange,
    url: exchange.url.replace("ttl=5", "ttl=50"),
  }));
  expect((await second.run({}, { road: long })).of("lease-ends")).toMatchObject({
    verdict: "does not hold",
    seen: "ttl 5 s, free not after 15 s",
  });
});

test("versions that do not fence", async () => {
  using bench = await preflightBench();
  const blind = sending(/POST .*\/machines\/[0-9a-f]{14}$/, (exchange) => ({
    ...exchange,
    body: JSON.stringify({ ...JSON.parse(exchange.body ?? "{}"), current_version: undefined }),
  }));
  expect((await bench.run({}, { road: blind })).of("version-fence")).toMatchObject({
    verdict: "does not hold",
    seen: "the update was taken",
  });
});

/** For so long after an update was posted, reads that `whose` accepts show what was read last before it. */
function lagging(bench: { clock: { now(): number } }, ms: number) {
  let before: string | undefined;
  let posted: number | undefined;
  return (inner: Transport): Transport =>
    async (exchange) => {
      const call = `${exchange.method} ${exchange.url}`;
      const answer = await inner(exchange);
      const isUpdate =
        /POST .*\/machines\/[0-9a-f]{14}$/.test(call) && (exchange.body ?? "").includes('"PREFLIGHT_VERSION":"2"');
      if (isUpdate && answer.status === 200) posted ??= bench.clock.now();
      if (!/GET .*\/machines\/[0-9a-f]{14}$/.test(call)) return answer;
      if (posted === undefined) {
        if (answer.body.includes("PREFLIGHT_VERSION")) before = answer.body;
        return answer;
      }
      return before !== undefined && bench.clock.now() - posted < ms && answer.body.includes("PREFLIGHT_VERSION")
        ? { ...answer, body: before }
        : answer;
    };
}

test("reads that lag: a little, beyond the wait, for too long", async () => {
  using little = await preflightBench({ behaviour: { bootMs: 6_000 } });
  const short = await little.run({}, { road: lagging(little, 3_000) });
  expect(short.of("update-reads")).toMatchObject({
    verdict: "holds",
    seen: expect.stringMatching(/^in \d+ of \d+ reads, the last after 2\.\d s$/),
  });
  expect(short.of("wait-pinned").verdict).toBe("holds");
  using beyond = await preflightBench();
  const after = await beyond.run({}, { road: lagging(beyond, 4_000) });
  expect(after.of("wait-pinned")).toMatchObject({
    verdict: "does not hold",
    seen: expect.stringMatching(/did not, the last 2\.\d s after the wait$/),
  });
  using long = await preflightBench({ behaviour: { bootMs: 25_000 } });
  const never = await long.run({}, { road: lagging(long, 20_000) });
  for (const id of ["update-reads", "update-reads-of-others"])
    expect(never.of(id)).toMatchObject({
      verdict: "does not hold",
      seen: expect.stringMatching(/the last after (19|20) s$/),
    });
});

test("an update that names the old version, or a version that is not a ULID", async () => {
  using bench = await preflightBench();
  const update = /POST .*\/machines\/[0-9a-f]{14}$/;
  const { of } = await bench.run({}, { road: rewriting(update, noField("instance_id")) });
  expect(of("update-names-version")).toMatchObject({ verdict: "does not hold", seen: "none" });
  using second = await preflightBench();
  const odd = await second.run({}, { road: rewriting(update, (body: object) => ({ ...body, instance_id: "v2" })) });
  expect(odd.of("version-is-ulid")).toMatchObject({ verdict: "does not hold", seen: 'not a ULID: "v2"' });
});

test("a wait that agrees to everything", async () => {
  const agrees =
    (inner: Transport): Transport =>
    async (exchange) => {
      const answer = await inner(exchange);
      return /\/wait\?/.test(exchange.url) && answer.status === 412
        ? { ...answer, status: 200, body: '{"ok":true}' }
        : answer;
    };
  await run({ road: agrees, differs: { "wait-for-replaced": "it succeeded" } });
});

test("an unknown state", async () => {
  const hovering = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { state: string }) =>
    body.state === "replacing" ? { ...body, state: "hovering" } : body,
  );
  await run({ road: hovering, differs: { "update-states": "hovering" } });
});

test("an old instance whose end looks like the new one's", async () => {
  const road = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { events: { type: string }[] }) => ({
    ...body,
    events: body.events.toSorted((a, b) => Number(b.type === "exit") - Number(a.type === "exit")),
  }));
  using bench = await preflightBench();
  expect((await bench.run({}, { road })).of("update-ends-differ")).toMatchObject({ verdict: "does not hold" });
});

test("versions that are forgotten", async () => {
  await run({ road: rewriting(/\/versions$/, () => []), differs: { "versions-keep-config": "it is missing" } });
  await run({
    road: rewriting(/\/versions$/, (rows: { user_config: object }[]) =>
      rows.map((it) => ({ ...it, user_config: { image: "other" } })),
    ),
    differs: { "versions-keep-config": "with another config" },
  });
});

test("an image that is missing and ends the machine", async () => {
  const road = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { events: { type: string; status: string }[] }) =>
    body.events.some(({ type, status }) => type === "update" && status === "failed")
      ? { ...body, state: "failed" }
      : body,
  );
  using bench = await preflightBench();
  expect((await bench.run({}, { road })).of("bad-image-keeps-old")).toMatchObject({
    verdict: "does not hold",
    seen: "failed, the version before",
  });
});

test("a start right after a stop", async () => {
  await run({
    quirks: { stillActiveMs: 8_000 },
    differs: {},
    sees: { "start-after-stop": "^taken after 8.0 s, 8 refusals$" },
  });
  using bench = await preflightBench({ quirks: { stillActiveMs: 70_000 } });
  expect((await bench.run()).of("start-after-stop")).toMatchObject({
    verdict: "does not hold",
    seen: "taken never, 61 refusals",
  });
});

test("a stop that looks like a fall, an update that starts what was stopped", async () => {
  const read = /GET .*\/machines\/[0-9a-f]{14}$/;
  const fell = rewriting(read, (body: { events: { request?: { exit_event?: { requested_stop: boolean } } }[] }) => {
    for (const { request } of body.events) if (request?.exit_event) request.exit_event.requested_stop = false;
    return body;
  });
  using bench = await preflightBench();
  expect((await bench.run({}, { road: fell })).of("stop-is-requested")).toMatchObject({ verdict: "does not hold" });
  const runs = rewriting(read, (body: { state: string; config: { env?: Record<string, string> } }) =>
    body.config.env?.PREFLIGHT_VERSION === "3" && body.state === "stopped" ? { ...body, state: "started" } : body,
  );
  await run({ road: runs, differs: { "update-of-stopped": "^started, new version$" } });
});

test("a destroyed machine: 404 at once, or never gone", async () => {
  await run({ settings: { destroyedReadsForMs: -1 }, differs: {}, sees: { "destroy-ends": "^404, after" } });
  const stuck = rewriting(/GET .*\/machines\/[0-9a-f]{14}$/, (body: { state: string }) =>
    body.state === "destroyed" ? { ...body, state: "destroying" } : body,
  );
  await run({ road: stuck, differs: { "destroy-ends": "^not after 60 s$" } });
});

test("a volume that stays bound", async () => {
  await run({ quirks: { boundMs: 100_000 }, differs: {}, sees: { "volume-let-go": "^after 100 s$" } });
  using bench = await preflightBench({ quirks: { boundMs: 200_000 } });
  const { of } = await bench.run();
  expect(of("volume-let-go")).toMatchObject({ verdict: "does not hold", seen: "not after 150 s" });
  expect(bench.apps()).toEqual([]);
});

test("a name that stays taken", async () => {
  const taken =
    (inner: Transport): Transport =>
    (exchange) =>
      exchange.url.endsWith("/machines") &&
      (exchange.body ?? "").includes('"skip_launch":true') &&
      !exchange.body?.includes('"init"')
        ? Promise.resolve({
            status: 409,
            headers: { "fly-request-id": "x" },
            body: '{"error":"already_exists: unique machine name violation"}',
          })
        : inner(exchange);
  await run({ road: taken, differs: { "name-let-go": "^not after 150 s$" } });
});

test("a volume that does not grow, or says so", async () => {
  const small = rewriting(/\/exec$/, (body: { stdout?: string }) =>
    body.stdout?.startsWith("Filesystem") ? { ...body, stdout: "Filesystem 1K-blocks\n/dev/vdc 1000 0\n" } : body,
  );
  await run({ road: small, differs: { "volume-grows": "^needs_restart false, file system as before$" } });
  const restart = rewriting(/\/extend$/, (body: object) => ({ ...body, needs_restart: true }));
  await run({
    road: (inner) => small(restart(inner)),
    differs: {},
    sees: { "volume-grows": "^needs_restart true, file system as before$" },
  });
});

/** For so long after the update, rows of the version before are shown. */
const oldRows = (bench: { clock: { now(): number } }, ms: number) => {
  let rows: unknown[] | undefined;
  let updated: number | undefined;
  type Body = { checks?: unknown[]; config?: { env?: Record<string, string> } };
  return rewriting(/(GET|POST) .*\/machines\/[0-9a-f]{14}$/, (body: Body, { method }) => {
    const version = body.config?.env?.PREFLIGHT_VERSION;
    if (method === "POST" && version === "2") updated ??= bench.clock.now();
    if (version === "1" && method === "GET") rows = body.checks;
    const late = version === "2" && updated !== undefined && bench.clock.now() - updated < ms;
    return late && rows ? { ...body, checks: rows } : body;
  });
};

test("checks' rows of the version before", async () => {
  using short = await preflightBench();
  const held = (await short.run({}, { road: oldRows(short, 4_000) })).of("check-rows-are-new");
  expect(held).toMatchObject({ verdict: "holds", seen: expect.stringMatching(/^for 3\.\d s$/) });
  using long = await preflightBench();
  const not = (await long.run({}, { road: oldRows(long, 18_000) })).of("check-rows-are-new");
  expect(not).toMatchObject({ verdict: "does not hold", seen: "for 18 s" });
});

test("a deleted volume that lists as living", async () => {
  const road = rewriting(/GET .*\/volumes$/, (rows: { state: string }[]) =>
    rows.map((it) => ({ ...it, state: "created" })),
  );
  using bench = await preflightBench();
  expect((await bench.run({}, { road })).of("deleted-volume-lists")).toMatchObject({
    verdict: "does not hold",
    seen: "still living after 20 s",
  });
});

test("a visitor without IPv6 asks from inside, or not at all", async () => {
  const ran = await run({
    network: { reachable: false },
    differs: {
      "cordon-keeps-connections": "from inside",
      "idle-connection-kept": "from inside",
      "silent-websocket-kept": "from inside",
    },
    sees: { "address-leads-to-machine": "asked from inside the machine", "proxy-header": "for port 80" },
  });
  expect(ran.of("idle-connection-kept").verdict).toBe("not measured");
  using bench = await preflightBench({ network: { reachable: false, curl: false } });
  const { of, code } = await bench.run();
  expect(of("proxy-header")).toMatchObject({ verdict: "not measured", seen: expect.stringContaining("ENETUNREACH") });
  expect(of("cordon-heeded")).toMatchObject({ verdict: "not measured" });
  expect(code).toBe(3);
});

test("another PROXY header, another proxy", async () => {
  await run({
    network: { client: "" },
    differs: { "proxy-header": "no header", "proxy-header-family": "visitor by neither" },
  });
  await run({ network: { client: "192.0.2.4" }, differs: { "proxy-header-family": "visitor by IPv4, proxy by IPv4" } });
  await run({ network: { from: "10.0.0.1" }, differs: { "proxy-source-range": "from 10.0.0.1" } });
});

test("an address that leads nowhere", async () => {
  using bench = await preflightBench({ network: { leads: false } });
  expect((await bench.run()).of("address-leads-to-machine")).toMatchObject({
    verdict: "does not hold",
    seen: "not after 60 s, asked from here",
  });
});

test("idle connections are cut", async () => {
  await run({
    network: { idleMs: 30_000 },
    differs: { "silent-websocket-kept": "^closed after 30 s$" },
    sees: { "idle-connection-kept": "^closed after 30 s$" },
  });
  await run({
    network: { idleMs: 15_000 },
    differs: { "silent-websocket-kept": "^closed after 15 s$", "idle-connection-kept": "^closed after 15 s$" },
  });
});

test("a cordon that cuts what is open", async () => {
  await run({
    network: { cordonCuts: true },
    differs: { "cordon-keeps-connections": "^closed, when new ones are refused$" },
  });
});

test("a proxy that is slow to hear", async () => {
  await run({
    network: { lagMs: 4_000 },
    differs: {},
    sees: { "cordon-heeded": "^after 4.0 s$", "uncordon-heeded": "^after 4.0 s$" },
  });
  using bench = await preflightBench({ network: { lagMs: 12_000 } });
  const { of } = await bench.run();
  expect(of("cordon-heeded")).toMatchObject({ verdict: "does not hold", seen: "after 12 s" });
  expect(of("uncordon-heeded")).toMatchObject({ verdict: "does not hold", seen: "after 12 s" });
  expect(of("service-check-routes")).toMatchObject({
    verdict: "does not hold",
    seen: "still reached 10 s after it was critical",
  });
});

test("checks that do not steer", async () => {
  await run({
    network: { steeredBy: ["service"] },
    differs: { "readiness-check-routes": "^still reached 10 s after it was critical$" },
  });
  await run({
    network: { steeredBy: ["top"] },
    differs: { "service-check-routes": "^still reached 10 s after it was critical$" },
  });
});

test("a machine that is not routed again", async () => {
  using bench = await preflightBench({ network: { forgives: false } });
  expect((await bench.run()).of("healthy-again-routes")).toMatchObject({
    verdict: "does not hold",
    seen: "not within a minute",
  });
});

test("programs that say nothing, names that do not resolve", async () => {
  await run({
    network: { dns: false },
    differs: { "dns-6pn": "does not resolve", "dns-6pn-app": "0 addresses with 2 machines started" },
  });
  const mute = rewriting(/\/exec$/, (body: { exit_code: number }) => ({
    ...body,
    stdout: "",
    exit_code: body.exit_code === 3 ? 0 : body.exit_code,
  }));
  await run({
    road: mute,
    differs: {
      "exec-answers": "exit code 0",
      "dns-6pn": "does not resolve",
      "dns-6pn-app": "0 addresses",
      "volume-grows": "as before",
    },
  });
});

test("counts that are missing", async () => {
  await run({
    road: rewriting(/GET .*\/apps\/[^/]+$/, noField("machine_count")),
    differs: { "app-counts": "machine_count undefined with 2 listed" },
  });
});

test("Fly's documented limits are kept, stricter ones show", async () => {
  await run({ quirks: { rateLimits: true }, differs: {} });
  let calls = 0;
  const strict =
    (inner: Transport): Transport =>
    (exchange) =>
      ++calls === 30
        ? Promise.resolve({ status: 429, headers: { "fly-request-id": "x" }, body: '{"error":"rate limit exceeded"}' })
        : inner(exchange);
  await run({ road: strict, differs: { "pace-is-kept": "^1 of " } });
});

test("answers that lack a header, or have the cookie", async () => {
  const bare =
    (inner: Transport): Transport =>
    async (exchange) => ({ ...(await inner(exchange)), headers: {} });
  await run({ road: bare, differs: { "request-ids": /^\d+ of \d+ without/ } });
  const bound =
    (inner: Transport): Transport =>
    async (exchange) => {
      const answer = await inner(exchange);
      return { ...answer, headers: { ...answer.headers, "set-cookie": ["fly_flaps_affinity=a; Path=/"] } };
    };
  using bench = await preflightBench();
  const { of, code } = await bench.run({}, { road: bound });
  expect(of("affinity-cookie")).toMatchObject({ verdict: "holds", seen: "cookies: fly_flaps_affinity" });
  expect(code).toBe(0);
});

test("slow answers", async () => {
  using bench = await preflightBench();
  bench.fly.faults.next("POST volumes", { kind: "slow", ms: 61_000 });
  expect((await bench.run()).of("answers-in-time")).toMatchObject({
    verdict: "does not hold",
    seen: "the slowest, POST …/volumes, took 61 s",
  });
});

test("servers that lag behind each other, and a cookie that ties a client to one: as local Fly is set", async () => {
  const quirks = { replicas: 3, staleMs: 4_000, newAppMs: 4_000, staleChecksMs: 2_000 };
  using bench = await preflightBench({ quirks });
  const { of, report } = await bench.run();
  expect(report?.findings.filter(({ verdict }) => verdict !== "holds")).toEqual([]);
  expect(of("affinity-cookie").seen).toBe("cookies: fly_flaps_affinity");
  expect(of("update-reads").seen).toMatch(/^never/);
  expect(of("update-reads-of-others").seen).toMatch(/^in \d+ of \d+ reads, the last after [1-4]\.\d s$/);
  expect(of("check-rows-are-new").seen).toBe("for 2.0 s");
});

test("named checks that only watch", async () => {
  await run({
    quirks: { namedChecksOnlyWatch: true },
    differs: { "readiness-check-routes": "^still reached 10 s after it was critical$" },
  });
});

test("every assumption was found against in one of these tests", () => {
  expect(
    everyProbe(plan)
      .flatMap(({ assumptions }) => Object.keys(assumptions))
      .filter((id) => !against.has(id)),
  ).toEqual([]);
});
