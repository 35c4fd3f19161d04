import autocannon, { type Instance, type Options, type Result } from "autocannon";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fetchPage } from "../../local/fetch-page.ts";
import { type Fleet, fleet, foreignImage, refusesImage } from "../support/fleet.ts";

// Each test leaves the fleet serving.
let it: Fleet;

beforeAll(async () => {
  it = await fleet();
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

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
  it.editStack("maxAge: 10m", "maxAge: 11m");
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

test("an image that crashes at boot ends with the old version serving everywhere, and a failed run", async () => {
  await refusesImage(it, await foreignImage(it, "crash", "exit 3"), /exited with 3/);
});
