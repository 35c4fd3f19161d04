/** PoPs that order their certificates, and each other's challenges. test/slow/acme.test.ts renews them while PoPs stop, hang and are updated. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { limits } from "../../image/limits.ts";
import { ports } from "../../image/ports.ts";
import { tinyTag } from "../support/docker.ts";
import {
  allNames,
  authority,
  bootedAt,
  challenge,
  close,
  connectionsOpened,
  fly,
  holdLooks,
  look,
  type Made,
  open,
  outcomes,
  perPop,
  pops,
  report,
  sites,
  timed,
  untilTrusted,
  whileHeld,
} from "./acme-pops.ts";

beforeAll(open);
afterAll(close);
afterEach(() => holdLooks());

test("all three have certificates of the authority, an order each and site", async () => {
  const seconds = await Promise.all(
    pops.map(async (pop) => {
      await untilTrusted(pop);
      return [pop.name, Math.round((Date.now() - bootedAt(pop)) / 100) / 10];
    }),
  );
  report("seconds from boot to https that the authority's root verifies", Object.fromEntries(seconds));
  report("orders, accounts", [authority.orders(), authority.accounts()]);
  expect([authority.orders(), authority.accounts()]).toEqual([pops.length * sites.length, pops.length]);
});

test("the authority's looks are answered on whichever PoP", async () => {
  report("looks of the authority, by PoP", perPop());
  // Three for each name: pebble validates that often at once.
  expect(outcomes(0)).toEqual(Array(pops.length * allNames.length * 3).fill(200));
  for (const count of Object.values(perPop())) expect(count).toBeGreaterThan(0);
  const [holder] = pops;
  const answers = await whileHeld(holder, (path) =>
    Promise.all(Array.from({ length: 30 }, (_, n) => look(pops[n % pops.length] ?? holder, path))),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(200));
  expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
});

test("a token that no PoP has is asked of each peer once, and not passed on", async () => {
  const [one, ...others] = pops;
  const opened = async () => Promise.all(pops.map(connectionsOpened));
  const unknown = (count: number) =>
    Array.from({ length: count }, (_, n) => `${challenge}${String(n).padStart(43, "x")}`);
  let start = await opened();
  for (const path of unknown(30)) expect((await look(one, path)).status).toBe(404);
  let counts = (await opened()).map((count, n) => count - (start[n] ?? 0));
  report("30 tokens that no PoP has, asked of the first PoP: connections each opened", counts);
  // Health opens some, too.
  expect(counts[0]).toBeGreaterThanOrEqual(60);
  for (const count of counts.slice(1)) expect(count).toBeLessThan(30);

  start = await opened();
  const flood = await timed(async () => {
    // As many as one visitor may have in progress.
    const answers = await Promise.all(unknown(limits.visitorRequests - 6).map((path) => look(one, path)));
    return { statuses: new Set(answers.map(({ status }) => status)) };
  });
  counts = (await opened()).map((count, n) => count - (start[n] ?? 0));
  report("250 at once: ms, connections each opened", [flood.ms, counts]);
  expect([...flood.statuses]).toEqual([404]);
  // 40 at once, 20 a second, of which each is a question a peer.
  expect(counts[0]).toBeLessThan(others.length * (40 + (20 * flood.ms) / 1000) + 60);
});

test("the private port has nothing for another app's machine but answers to tokens it holds", async () => {
  await fly.createApp({ name: "other-app", org_slug: "personal" });
  const made = await fly.createMachine("other-app", {
    name: "stranger",
    region: "cdg",
    config: {
      image: tinyTag,
      init: { exec: ["/bin/sleep", "3600"] },
      guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    },
  });
  await fly.waitMachine("other-app", made.id, { states: ["started"], version: made.instance_id ?? "", seconds: 60 });
  const ask = async ({ ip }: Made, path: string, ...more: string[]) => {
    const url = `http://[${ip}]:${ports.challenges}${path}`;
    const wget = ["wget", "-q", "-O", "-", "-T", "10", ...more, url];
    const { stdout, stderr } = await fly.execMachine("other-app", made.id, wget, 30);
    return `${stdout ?? ""}${(stderr ?? "").trim()}`;
  };
  const [holder, other] = pops;
  for (const path of ["/", "/healthz", "/metrics", "/debug/pprof/", challenge, `${challenge}${"x".repeat(43)}`])
    expect(await ask(holder, path), path).toContain("404 Not Found");
  expect(await ask(holder, challenge, "--post-data", "x")).toContain("405 Method Not Allowed");
  await whileHeld(holder, async (path) => {
    expect(await ask(holder, path)).toMatch(new RegExp(`^${path.slice(challenge.length)}\\.[\\w-]{43}$`));
    // What it does not hold it does not ask for.
    expect(await ask(other, path)).toContain("404 Not Found");
  });
});
