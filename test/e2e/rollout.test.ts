import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import autocannon, { type Instance, type Options, type Result } from "autocannon";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDocker } from "../../local/docker-engine.ts";
import { fetchPage } from "../../local/fetch-page.ts";
import { type Checkout, checkout } from "../support/checkout.ts";
import { tinyImage } from "./docker.ts";

// One stack of three PoPs of the real image; each test leaves it serving.
let it: Checkout;
const docker = openDocker();

beforeAll(async () => {
  it = await checkout();
  editStack("    ewr: {}\n", "    ewr: {}\n    fra: {}\n");
  editStack("{drain: 0}", "{drain: 0, timeout: 20s}");
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
});
afterAll(async () => {
  await it.run("down");
  it.remove();
});

function editStack(from: string, to: string): void {
  const path = join(it.dir, "Pulumi.local.yaml");
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

/** How a load went. */
interface Outcome {
  requests: number;
  failures: string[];
}

/** A steady load over connections that are kept, 100 requests a second, until told to stop. */
function keptLoad(https: string): () => Promise<Outcome> {
  const instance = autocannon({
    url: `https://${https}/`,
    servername: "www.example.test",
    headers: { host: "www.example.test" },
    connections: 10,
    overallRate: 100,
    duration: 600,
    timeout: 10,
  } as Options & { servername: string }) as unknown as Instance & Promise<Result>;
  return async () => {
    instance.stop();
    const { requests, errors, timeouts, non2xx } = await instance;
    return {
      requests: requests.total,
      failures: Object.entries({ errors, timeouts, non2xx }).flatMap(([what, count]) =>
        count > 0 ? `${count} ${what}` : [],
      ),
    };
  };
}

/** The same with a connection of its own for each request, 25 a second. */
function freshLoad(https: string): () => Promise<Outcome> {
  const outcome: Outcome = { requests: 0, failures: [] };
  const open = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const call = fetchPage(https, "www.example.test").then(
      ({ status }) => {
        outcome.requests += 1;
        if (status !== 200) outcome.failures.push(`HTTP ${status}`);
      },
      (error: Error) => {
        outcome.failures.push(error.message);
      },
    );
    open.add(call);
    void call.finally(() => open.delete(call));
  }, 40);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
    return outcome;
  };
}

test("an update rolls over three PoPs under load, and no request fails, with connections kept or not", async () => {
  const before = await it.status();
  const stops = [keptLoad(before.edge.https), freshLoad(before.edge.https)];
  editStack("maxAge: 10m", "maxAge: 11m");
  const { code, output } = await it.run();
  const outcomes = await Promise.all(stops.map((stop) => stop()));
  expect(code, output).toBe(0);
  const after = await it.status();
  expect(after.machines.map(({ id }) => id)).toEqual(before.machines.map(({ id }) => id));
  for (const [index, { instanceId }] of after.machines.entries())
    expect(instanceId).not.toBe(before.machines[index]?.instanceId);
  for (const { requests, failures } of outcomes) {
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  }
});

/** Pushes an image that is not one of ours to the stack's registry, and names it by digest. */
async function foreignImage(name: string, command: string): Promise<string> {
  const { machines } = await it.status();
  const repository = (machines[0]?.image ?? "").split("@")[0] ?? "";
  const container = await docker.createContainer({ Image: await tinyImage(), Cmd: [command] });
  await container.commit({ repo: repository, tag: name });
  await container.remove();
  const image = docker.getImage(`${repository}:${name}`);
  const stream = await image.push({ authconfig: { username: "", password: "", serveraddress: "" } });
  await new Promise<void>((resolve, reject) =>
    docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve())),
  );
  const { RepoDigests } = await image.inspect();
  await image.remove();
  const digest = RepoDigests?.find((it) => it.startsWith(`${repository}@`));
  if (!digest) throw new Error(`${repository}:${name} has no digest after the push`);
  return digest;
}

test.for<[string, () => Promise<string>, RegExp]>([
  ["crashes at boot", () => foreignImage("crash", "exit 3"), /exited with 3/],
  ["never passes its check", () => foreignImage("mute", "sleep 600"), /not healthy in time: health is critical/],
  [
    "cannot be pulled",
    async () =>
      `${((await it.status()).machines[0]?.image ?? "").split("@")[0]}@sha256:${createHash("sha256").update("no such image").digest("hex")}`,
    /cdg-1: /,
  ],
])("an image that %s ends with the old version serving everywhere, and a failed run", async ([, make, reason]) => {
  const before = await it.status();
  const imageRef = await make();
  editStack("config:\n", `config:\n  fly-pops:imageRef: ${imageRef}\n`);
  const { code, output } = await it.run();
  editStack(`  fly-pops:imageRef: ${imageRef}\n`, "");
  expect(code).toBe(1);
  expect(output).toMatch(reason);
  const after = await it.status();
  expect(after.machines.map(({ name, state, image, checks }) => ({ name, state, image, checks }))).toEqual(
    before.machines.map(({ name, state, image, checks }) => ({ name, state, image, checks })),
  );
  expect(await fetchPage(after.edge.https, "www.example.test")).toMatchObject({ status: 200 });
  const mended = await it.run();
  expect(mended.code, mended.output).toBe(0);
});
