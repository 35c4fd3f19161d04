/** The edge before real containers: what Docker's own proxy does in between must not show. */

import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { loopback } from "../../local/edge/bind.ts";
import { createEdge } from "../../local/edge/edge.ts";
import type { Backend } from "../../local/edge/routes.ts";
import type { Instance } from "../../local/fly/core/runner.ts";
import { instance, lab, newStack, shell, startServing } from "../support/docker.ts";
import { Fleet, said } from "../support/edge-fleet.ts";

const { runner } = await lab(newStack());
const fleet = new Fleet();
const log: string[] = [];
const edge = await createEdge({
  routes: fleet,
  bind: loopback({}),
  clientRegion: "cdg",
  log: (line) => log.push(line),
  portAdvice: "",
});
afterAll(() => edge.close({ drainMs: 0 }));
const port = edge.listeners()[0]?.local.port ?? 0;

const backend = (it: Instance): Backend => ({
  machineId: it.machineId,
  region: it.region,
  dial: runner.dial(it.machineId, 8080) ?? { host: "127.0.0.1", port: 9 },
  handlers: [],
  proxyProtocol: undefined,
  softLimit: 20,
  hardLimit: Number.POSITIVE_INFINITY,
});

/** A machine that names itself. */
const named = (name: string, region: string) =>
  shell(`mkdir /www; echo ${name} > /www/index.html; exec httpd -f -p 8080 -h /www`, {}, { region });

const oneShot = new Agent({ keepAlive: false });
function page(): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, agent: oneShot }, async (response) => {
      const chunks = (await Array.fromAsync(response).catch(reject)) ?? [];
      resolve(
        Buffer.concat(chunks as Buffer[])
          .toString()
          .trim(),
      );
    }).on("error", reject);
  });
}

test("a machine that runs but does not listen is passed over for one that does, though Docker accepts for it", async () => {
  const [deaf, good] = [shell("sleep 600"), named("good", "nrt")];
  await runner.start(deaf);
  await startServing(runner, good);
  fleet.machines = [backend(deaf), backend(good)];
  expect(await page()).toBe("good");
  expect(edge.counts().find(({ machineId }) => machineId === deaf.machineId)).toMatchObject({
    failedDials: 1,
    total: 0,
  });
});

test("machines are replaced one after another under load, and no request fails", async () => {
  let machines = [named("cdg-old", "cdg"), named("ams-old", "ams")];
  for (const it of machines) await startServing(runner, it);
  fleet.machines = machines.map(backend);
  let over = false;
  onTestFinished(() => {
    over = true;
  });
  const seen = new Set<string>();
  const client = async () => {
    let answers = 0;
    while (!over) {
      seen.add(await page());
      answers++;
    }
    return answers;
  };
  const clients = Array.from({ length: 8 }, client);
  while (!seen.has("cdg-old")) await new Promise(setImmediate);
  for (const [index, old] of machines.entries()) {
    fleet.machines = fleet.machines.filter(({ machineId }) => machineId !== old.machineId); // cordon
    await idle(old.machineId); // drain
    await runner.stop(old.machineId, { signal: "SIGTERM", timeoutMs: 5_000 });
    const next = { ...named(`${old.region}-new`, old.region), machineId: old.machineId };
    await startServing(runner, next);
    fleet.machines = [...fleet.machines, backend(next)]; // uncordon
    machines = machines.with(index, next);
  }
  while (!seen.has("cdg-new")) await new Promise(setImmediate);
  over = true;
  const answers = await Promise.all(clients); // rejects with the first request that failed
  expect(answers.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(100);
  expect(seen.has("ams-old")).toBe(true); // took over while cdg was away
});

test("a machine that is killed cuts its own connections only; the next ones go elsewhere", async () => {
  const [near, far] = [instance({}, { region: "cdg" }), named("far", "nrt")];
  await startServing(runner, near);
  await startServing(runner, far);
  fleet.machines = [backend(near), backend(far)];
  const open = connect(port, "127.0.0.1");
  await once(open, "connect");
  while (!edge.counts().some(({ machineId, open: count }) => machineId === near.machineId && count === 1)) {
    await new Promise(setImmediate);
  }
  open.write("GET / HTTP/1.1\r\nHost: x\r\n"); // half a request
  await new Promise((resolve) => setTimeout(resolve, 300)); // past the moment in which a close counts as a refusal
  const ended = said(open).catch(() => "reset");
  await runner.stop(near.machineId, { signal: "SIGKILL", timeoutMs: 5_000 });
  expect(["", "reset"]).toContain(await ended);
  expect(await page()).toBe("far"); // the routes still name the dead one
});

async function idle(machineId: string): Promise<void> {
  while ((edge.counts().find((count) => count.machineId === machineId)?.open ?? 0) > 0) await new Promise(setImmediate);
}
