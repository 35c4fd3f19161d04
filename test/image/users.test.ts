import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { build, ImageHarness, type Pop, states } from "./support/pop.ts";
import { processes, type Running } from "./support/processes.ts";
import { laden } from "./support/spec.ts";

const harness = new ImageHarness("users");
let pop: Pop;

beforeAll(async () => {
  const [image] = await Promise.all([build("laden", laden()), harness.sweep()]);
  pop = await harness.start(image, { volume: await harness.newVolume() });
  const running = ["nginx", "unbound", "tailscaled", "certs", "health", "luggage-blog"];
  await until(
    () => states(pop),
    (seen) => running.every((name) => seen[name]?.status === "Running"),
  );
  // Its script waits for an address in the tailnet; here it listens on another address.
  await pop.exec(["/usr/sbin/sshd", "-o", "ListenAddress=127.0.0.1", "-p", "2222"]);
});

afterAll(() => harness.sweep());

/** Jobs that retry while what they need is down, and what they run. */
const jobs = ["sh", "cat", "env", "sed", "tailscale", "pop-secrets", "pop"];

test("with all its standard programs, only what needs root runs as root", async () => {
  const seen = await processes(pop);
  const roots = Object.keys(seen).filter((name) => seen[name]?.some(({ users }) => users.includes("0")));
  expect(roots.filter((name) => !jobs.includes(name)).toSorted()).toEqual([
    "docker-init",
    "process-compose",
    "sshd",
    "tailscaled",
  ]);
});

test("each of the others has a user of its own, no capabilities, and cannot regain root", async () => {
  const seen = await processes(pop);
  const uids = (name: string) => [...new Set((seen[name] ?? []).flatMap(({ users }) => users))].toSorted();
  // `pop join` runs as root.
  const pops = uids("pop").filter((uid) => uid !== "0");
  expect({ nginx: uids("nginx"), unbound: uids("unbound"), pop: pops }).toEqual({
    nginx: ["101"],
    unbound: ["102"],
    pop: ["103", "104"], // certs, health
  });
  expect(uids("httpd").map(Number)).toEqual([expect.toSatisfy((uid: number) => uid >= 20_000 && uid < 40_000)]);
  const others = Object.entries(seen).flatMap(([name, all]) =>
    all.filter(({ users }) => !users.includes("0")).map((it): [string, Running] => [name, it]),
  );
  expect(others.length).toBeGreaterThan(6);
  for (const [name, { noNewPrivs, capabilities }] of others)
    expect([name, noNewPrivs, capabilities]).toEqual([name, "1", "0000000000000000"]);
});
