/** `preflight` around its measurements: what it asks, refuses, removes and writes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { limitDollars, maxCost } from "../../cli/preflight/estimate.ts";
import { localEdge } from "../../cli/preflight/local-edge.ts";
import { maxMinutes } from "../../cli/preflight/run.ts";
import { netVisitor } from "../../cli/preflight/visitor.ts";
import { flyPrices } from "../../components/prices.ts";
import { regions } from "../../fly/regions.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Transport } from "../../lib/http-transport.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly } from "../../local/fly/create.ts";
import { serve } from "../../local/fly/http.ts";
import { createStateRunner } from "../../local/fly/runners/state-runner.ts";
import { preflightBench, token } from "../support/preflight.ts";

test("on local Fly as it is everything holds but the cookie it does not set, and nothing is left behind", async () => {
  using bench = await preflightBench();
  const { code, report, out } = await bench.run();
  expect(report?.findings.filter(({ verdict }) => verdict !== "holds").map(({ id }) => id)).toEqual([
    "affinity-cookie",
  ]);
  expect(code).toBe(3);
  expect(out).toMatch(
    /^\d+ hold, 1 do not, 0 could not be measured: fly-pops-preflight\.md, fly-pops-preflight\.json\n$/,
  );
  expect(bench.apps()).toEqual([]);
});

test("the report holds neither token nor organization, neither the visitor's address nor a token's owner", async () => {
  const slug = "planted-organization-77";
  using bench = await preflightBench({
    settings: { organization: { slug, name: slug } },
    network: { client: "2001:db8:aaaa::77" },
  });
  const { written, report } = await bench.run({ organization: slug });
  expect(report?.counts.holds).toBeGreaterThan(50);
  for (const text of [written(".md"), written(".json")]) {
    expect(text).not.toMatch(/planted|2001:db8|3f1c7a52/);
    expect(text).toContain("lease currently held by (owner)@tokens.fly.io");
  }
});

test("the Markdown has every finding, those that do not hold first", async () => {
  using bench = await preflightBench();
  const { written, report } = await bench.run();
  const text = written(".md");
  for (const { id } of report?.findings ?? []) expect(text).toContain(`\`${id}\``);
  expect(text.indexOf("## Does not hold")).toBeLessThan(text.indexOf("## Holds"));
  expect(text).toContain("Nothing was left on Fly.");
});

test("what it costs is said and asked about; no is no", async () => {
  using bench = await preflightBench();
  const questions: string[] = [];
  const ask = async (question: string) => {
    questions.push(question);
    return "n";
  };
  const { code, err, report } = await bench.run({ yes: false }, { context: { ask } });
  expect(questions).toEqual(["Run? [y/N] "]);
  expect(err).toMatch(
    /By list prices this costs at most \$0\.\d{3}\. Everything is removed at the end\.\nNothing was done\.\n$/,
  );
  expect([code, report]).toEqual([1, undefined]);
  expect(bench.calls().filter(({ method }) => method !== "GET")).toEqual([]);
});

test("without a terminal to ask nothing is done without --yes", async () => {
  using bench = await preflightBench();
  const { code, err } = await bench.run({ yes: false });
  expect(code).toBe(1);
  expect(err).toContain("Not a terminal, so nothing was done. Pass --yes to confirm");
  expect(bench.calls().filter(({ method }) => method !== "GET")).toEqual([]);
});

test("no region costs more than is promised", () => {
  for (const { code } of regions) expect(maxCost(code, maxMinutes).dollars).toBeLessThan(limitDollars);
  const dear = { ...flyPrices, volumeGb: 60 };
  expect(maxCost("iad", maxMinutes, dear).dollars).toBeGreaterThan(limitDollars);
});

test("a token that may not list apps, a region that does not exist: nothing is made", async () => {
  using bench = await preflightBench();
  const forbidden: Transport = async () => ({ status: 403, headers: {}, body: '{"error":"unauthorized"}' });
  const narrow = await bench.run({}, { road: () => forbidden });
  expect([narrow.code, narrow.report]).toEqual([1, undefined]);
  expect(narrow.err).toMatch(
    /The token has no permission to list the apps of personal .* fly tokens create org personal\n$/,
  );
  const nowhere = await bench.run({ region: "xyz" });
  expect(nowhere.err).toContain(
    "There is no region xyz. Nothing was created. Region codes: https://fly.io/docs/reference/regions/",
  );
  expect(bench.calls().filter(({ method }) => method !== "GET")).toEqual([]);
});

const orphan = "fly-pops-preflight-t85rzz-0123abcd";

test("an app of an earlier run is named with its age, removed after a yes, and the run goes on", async () => {
  using bench = await preflightBench();
  await bench.call("POST", "/apps", { name: orphan, org_slug: "personal", network: orphan });
  await bench.call("POST", `/apps/${orphan}/machines`, {
    config: { image: "x", metadata: { pops_preflight: orphan } },
  });
  const questions: string[] = [];
  const ask = async (question: string) => {
    questions.push(question);
    return "y";
  };
  const { err, report } = await bench.run({ yes: false }, { context: { ask } });
  expect(err).toContain(`Leftover of an earlier run, 0 minutes ago: app ${orphan} and everything in it.`);
  expect(questions).toEqual(["Remove 1 app, then run? [y/N] "]);
  expect(report?.counts.holds).toBeGreaterThan(50);
  expect(bench.apps()).toEqual([]);
});

test("--clean removes it and does no more; with nothing there it says so", async () => {
  using bench = await preflightBench();
  await bench.call("POST", "/apps", { name: orphan, org_slug: "personal", network: orphan });
  const { code, report } = await bench.run({ clean: true });
  expect([code, report, bench.apps()]).toEqual([0, undefined, []]);
  expect((await bench.run({ clean: true })).err).toBe("There are no leftovers of earlier runs in personal.\n");
});

test("what is not its own is left alone: other names, other networks, machines without its mark", async () => {
  using bench = await preflightBench();
  const others = ["my-edge", "fly-pops-preflight-of-mine", "fly-pops-preflight-t85rzz-0123abcde"];
  for (const name of others) await bench.call("POST", "/apps", { name, org_slug: "personal", network: name });
  await bench.call("POST", "/apps", { name: orphan, org_slug: "personal", network: "shared" });
  expect((await bench.run({ clean: true })).code).toBe(0);
  expect(bench.apps().toSorted()).toEqual([...others, orphan].toSorted());

  using second = await preflightBench();
  await second.call("POST", "/apps", { name: orphan, org_slug: "personal", network: orphan });
  await second.call("POST", `/apps/${orphan}/machines`, { config: { image: "x" } });
  const { code, err } = await second.run({ clean: true });
  expect(code).toBe(1);
  expect(err).toContain(`no preflight made machine`);
  expect(second.apps()).toEqual([orphan]);
});

test("an app that cannot be removed is named, with what to do", async () => {
  using bench = await preflightBench();
  bench.fly.faults.add({
    match: "DELETE apps/:app",
    times: Number.POSITIVE_INFINITY,
    fault: { kind: "status", status: 500 },
  });
  const { code, err, report } = await bench.run();
  const [app = ""] = bench.apps();
  expect(code).toBe(1);
  expect(err).toContain(`App ${app} could not be removed`);
  expect(err).toContain(`fly apps destroy ${app}`);
  expect(report?.left).toContain(app);
  expect(bench.runner.running()).toEqual([]);
  bench.fly.faults.clear();
  await bench.run({ clean: true });
  expect(bench.apps()).toEqual([]);
});

test("a run that takes too long is broken off and cleaned up", async () => {
  using bench = await preflightBench({ behaviour: { pull: "hangs" } });
  const { code, report } = await bench.run();
  expect(code).toBe(3);
  expect(report?.findings.filter(({ verdict }) => verdict === "not measured").length).toBeGreaterThan(30);
  expect(bench.apps()).toEqual([]);
});

test("on the local stack a public address is reached where its daemon serves it", async () => {
  const server = createServer((_, response) => response.end("here")).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const listeners = [{ ip: "2001:db8::1", port: 80, local: { host: "127.0.0.1", port } }];
  const { open } = netVisitor({ dial: localEdge(async () => ({ listeners })) });
  const connection = await open("2001:db8::1", 80);
  expect([await connection.request("/"), await connection.request("/again")]).toMatchObject([
    { body: "here" },
    { body: "here" },
  ]);
  connection.end();
  await connection.closed;
  await expect(open("2001:db8::2", 80)).rejects.toThrow(
    "no connection to port 80 from here (local Fly does not serve port 80 of 2001:db8::2)",
  );
});

test("a visitor's connection that is closed tells so, and answers nothing any more", async () => {
  const server = createServer((request, response) => {
    if (request.url === "/close") request.socket.destroy();
    else response.end("here");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { open } = netVisitor();
  const cut = await open("127.0.0.1", port);
  expect(await cut.request("/")).toEqual({ status: 200, body: "here" });
  expect(await cut.request("/close")).toBeUndefined();
  await cut.closed;
  expect(await cut.request("/")).toBeUndefined();
  const ended = await open("127.0.0.1", port);
  await ended.request("/");
  server.closeAllConnections();
  await ended.closed;
  server.close();
  await once(server, "close");
  await expect(open("127.0.0.1", port)).rejects.toThrow("no connection to port");
});

test.each([
  ["SIGKILL", "killed: the app stays, and the next run removes it"],
  ["SIGINT", "Ctrl-C: the run removes it itself"],
] as const)(
  "a process, %s: %s",
  async (signal, _) => {
    const runner = createStateRunner(systemClock);
    const fly = await createLocalFly({ clock: systemClock, runner, random: seeded(1), store: memoryStore(), token });
    const api = await serve(fly.handle);
    const dir = mkdtempSync(join(tmpdir(), "fly-pops-preflight-"));
    onTestFinished(async () => {
      await api.close();
      fly.close();
      rmSync(dir, { recursive: true, force: true });
    });
    const apps = () => Object.keys(fly.snapshot().apps);
    const start = (...args: string[]) => {
      const main = join(import.meta.dirname, "..", "..", "cli", "main.ts");
      const child = spawn(process.execPath, [main, "preflight", "--yes", "--report", join(dir, "report"), ...args], {
        env: { ...process.env, FLY_API_TOKEN: token, FLY_API_HOSTNAME: api.url },
        stdio: ["ignore", "ignore", "pipe"],
      });
      let said = "";
      child.stderr.on("data", (piece: Buffer) => {
        said += piece.toString();
      });
      const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
      return { child, ended, said: () => said };
    };

    const { child, ended, said } = start();
    // The first machine is asked for: whatever the process does next, there is something to remove.
    const machineMade = new Promise<void>((resolve) => {
      const stop = fly.watch(() => {
        if (Object.keys(fly.snapshot().machines).length === 0) return;
        stop();
        resolve();
      });
    });
    await Promise.race([machineMade, ended.then((code) => expect.fail(`no machine was made, ${code}: ${said()}`))]);
    child.kill(signal);
    const code = await ended;
    if (signal === "SIGINT") {
      expect(code).toBe(130);
      expect(apps()).toEqual([]);
      return;
    }
    expect(apps()).toHaveLength(1);
    const clean = start("--clean");
    expect(await clean.ended, clean.said()).toBe(0);
    expect(apps()).toEqual([]);
  },
  60_000,
);
