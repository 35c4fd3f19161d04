/** What can go down behind the PoPs, one service at a time, and what has to hold then: cached pages are served, and everything comes back by itself. */
import { setTimeout } from "node:timers/promises";
import { expect } from "vitest";
import type { Fly } from "../../fly/api.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import { appName } from "../../local/stack/stack-file.ts";
import type { Checkout } from "./checkout.ts";
import {
  flyOf,
  homelabContainer,
  machineId,
  popContainer,
  type RunningContainer,
  rootsOf,
  servedCertificate,
} from "./homelab.ts";
import { load } from "./load.ts";
import { until } from "./until.ts";

export interface Outage {
  /** What is down, as the end of "while ... is down". */
  what: string;
  begin(it: Checkout): Promise<unknown>;
  end(it: Checkout): Promise<unknown>;
  /** Whether a page that is in no cache can be had all the same. */
  passes: boolean;
}

const nearest = "cdg-1";

/** A process of the homelab that is not running. */
const process = (what: string, name: string, passes: boolean): Outage => ({
  what,
  begin: async (it) => (await homelabContainer(it)).process("stop", name),
  end: async (it) => (await homelabContainer(it)).process("start", name),
  passes,
});

export const outages: Outage[] = [
  process("the origin", "origin", false),
  process("the vault", "openbao", true),
  // headscale has the relay and the STUN server in it: peers that know each other go on without all three.
  process("the control plane with its DERP and STUN", "headscale", true),
  {
    what: "MagicDNS, and the tunnel with it",
    begin: async (it) => everywhere(it, (place) => place.process("stop", "tailscaled")),
    end: async (it) => everywhere(it, (place) => place.process("start", "tailscaled")),
    passes: false,
  },
  {
    what: "the nearest PoP",
    begin: async (it) => onFly(it, (fly, app, id) => fly.stopMachine(app, id)),
    end: async (it) => onFly(it, (fly, app, id) => fly.startMachine(app, id)),
    passes: true,
  },
  {
    what: "the whole homelab",
    begin: async (it) => (await homelabContainer(it)).container.stop({ t: 5 }),
    end: async (it) => (await homelabContainer(it)).container.start(),
    passes: false,
  },
];

async function everywhere(it: Checkout, act: (place: RunningContainer) => Promise<unknown>): Promise<void> {
  const { machines } = await it.status();
  await Promise.all(machines.map(async ({ name }) => act(await popContainer(it, name))));
}

async function onFly(it: Checkout, act: (fly: Fly, app: string, id: string) => Promise<unknown>): Promise<unknown> {
  return act(flyOf(it), appName(), await machineId(it, nearest));
}

/** Lasts `seconds` under load: nothing that is cached fails; what is not is answered or refused in time; and within 30 s of its end all is as before. */
export async function survives(
  it: Checkout,
  outage: Outage,
  seconds: number,
): Promise<{ requests: number; backMs: number }> {
  const status = await it.status();
  const ca = rootsOf(status);
  const fresh = (path: string) => fetchPage(status.edge.https, "www.example.test", ca, path);
  let number = 0;
  const uncached = () => fresh(`/${outage.what.replaceAll(" ", "-")}/${number++}`);
  // In the cache of every PoP that a visitor may reach during the outage.
  await until(
    () => fetchPage(status.edge.https, "www.example.test", ca),
    ({ status }) => status === 200,
    { seconds: 30, everyMs: 250, retriesErrors: true },
  );
  const stop = load(status.edge.https, ca);
  await outage.begin(it);
  const begun = performance.now();
  const during = await uncached();
  expect(performance.now() - begun).toBeLessThan(15_000);
  if (outage.passes) expect(during.status).toBe(200);
  else expect([502, 504]).toContain(during.status);
  await setTimeout(Math.max(0, seconds * 1000 - (performance.now() - begun)));
  await outage.end(it);
  const ended = performance.now();
  await until(uncached, (page) => page.status === 200, {
    seconds: 30,
    everyMs: 250,
    retriesErrors: true,
  });
  const backMs = performance.now() - ended;
  const { requests, failures } = await stop();
  expect(failures).toEqual([]);
  expect(requests).toBeGreaterThan(seconds * 50);
  return { requests, backMs };
}

/**
 * Boots a PoP while the whole homelab is away: it serves what its volume has, with the same certificate. Returns how long that took, ms. Fails after `seconds`.
 */
export async function bootsAlone(it: Checkout, { seconds }: { seconds: number }): Promise<number> {
  const host = "www.example.test";
  const status = await it.status();
  const ca = rootsOf(status);
  const serial = (await servedCertificate(status, host)).serialNumber;
  const lab = await homelabContainer(it);
  await lab.container.stop({ t: 5 });
  const { container } = await popContainer(it, "cdg-1");
  await container.restart();
  const begun = performance.now();
  await until(
    // The other PoP, which has nothing in its cache, takes its time to say so.
    () => Promise.race([fetchPage(status.edge.https, host, ca), setTimeout(1_000, undefined)]),
    (page) => page?.status === 200 && page.pop === "cdg-1",
    { seconds, everyMs: 250, retriesErrors: true },
  );
  const took = performance.now() - begun;
  expect((await servedCertificate(status, host)).serialNumber).toBe(serial);
  await lab.container.start();
  await until(
    () => fetchPage(status.edge.https, host, ca, "/after-the-boot"),
    (page) => page.status === 200,
    { seconds: 60, everyMs: 250, retriesErrors: true },
  );
  return took;
}
