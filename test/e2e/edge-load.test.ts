import { once } from "node:events";
import { readdirSync } from "node:fs";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import pLimit from "p-limit";
import { expect, onTestFinished, test } from "vitest";
import { edgeOver, Fleet, machine } from "../support/edge-fleet.ts";
import { until } from "../support/until.ts";

const requests = 3000;
const atOnce = 64;

test.each([
  ["a connection for each request", false],
  ["connections kept alive", true],
])("thousands of requests, %s: each answered in full, machines share them, nothing leaks", async (_, keepAlive) => {
  const body = "x".repeat(10_000);
  const fleet = new Fleet();
  fleet.machines = await Promise.all(["a", "b", "c"].map((id) => httpMachine(id, body)));
  const { edge, port } = await edgeOver(fleet);
  const before = openFiles();
  const agent = new Agent({ keepAlive, maxSockets: atOnce });
  const limit = pLimit(atOnce);
  const answers = await Promise.all(Array.from({ length: requests }, () => limit(() => fetched(port, agent))));
  expect(answers.filter((answer) => answer !== body)).toEqual([]);
  agent.destroy();
  await until(
    () => edge.counts(),
    (machines) => machines.every(({ open }) => open === 0),
    { everyMs: 1 },
  );
  const totals = edge.counts().map(({ total }) => total);
  const connections = keepAlive ? atOnce : requests;
  expect(totals.reduce((sum, total) => sum + total, 0)).toBe(connections);
  expect(Math.max(...totals) - Math.min(...totals)).toBeLessThan(connections / 4);
  if (before !== undefined)
    await until(
      () => openFiles() ?? 0,
      (open) => open <= before,
      { everyMs: 1 },
    );
});

async function httpMachine(id: string, body: string) {
  const server = createServer((_, response) => response.end(body));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { ...(await machine(id, "cdg")), dial: { host: "127.0.0.1", port } };
}

function fetched(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, agent }, async (response) => {
      const chunks = await Array.fromAsync(response).catch(reject);
      resolve(Buffer.concat((chunks ?? []) as Buffer[]).toString());
    }).on("error", reject);
  });
}

/** Open file descriptors of this process, where the system shows them. */
function openFiles(): number | undefined {
  return process.platform === "linux" ? readdirSync("/proc/self/fd").length : undefined;
}
