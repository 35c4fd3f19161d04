/** `preflight` on local Fly with real containers, a real edge and real time. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { preflight } from "../../cli/commands/preflight.ts";
import type { Report } from "../../cli/preflight/report.ts";
import { netVisitor } from "../../cli/preflight/visitor.ts";
import { systemClock } from "../../lib/clock.ts";
import { buildImage } from "../../local/docker/image.ts";
import { loopback } from "../../local/edge/bind.ts";
import { createEdge } from "../../local/edge/edge.ts";
import { systemRandom } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly } from "../../local/fly/create.ts";
import { serve } from "../../local/fly/http.ts";
import { docker, lab, newStack } from "../support/docker.ts";

const token = "planted-preflight-e2e-token";
const image = "fly-pops-preflight:test";

test("with containers every assumption holds that local Fly models, and nothing is left behind", async () => {
  await buildImage(docker, {
    tag: image,
    context: join(import.meta.dirname, "preflight"),
    files: ["Dockerfile"],
    log: () => {},
  });
  const stack = newStack();
  const { runner } = await lab(stack);
  const fly = await createLocalFly({ clock: systemClock, runner, random: systemRandom, store: memoryStore(), token });
  const api = await serve(fly.handle);
  const edge = await createEdge({
    routes: fly.routes,
    bind: loopback({}),
    clientRegion: "cdg",
    log: () => {},
    portAdvice: "",
  });
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-preflight-"));
  onTestFinished(async () => {
    await edge.close({ drainMs: 0 });
    await api.close();
    fly.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Anycast addresses of local Fly are served on this machine. */
  const dial = (ip: string, port: number) => {
    const open = edge.listeners().find((it) => it.ip === ip && it.port === port);
    return connect(open?.local ?? { host: "127.0.0.1", port: 9 });
  };
  const said: string[] = [];
  const code = await preflight(
    {
      env: { FLY_API_TOKEN: token, FLY_API_HOSTNAME: api.url },
      dir,
      clock: systemClock,
      out: (text) => said.push(text),
      err: (text) => said.push(text),
      isTerminal: false,
      ask: undefined,
      interrupted: new AbortController().signal,
      secrets: new Set(),
    },
    { yes: true, region: "cdg", image },
    { visitor: netVisitor({ dial }) },
  );
  const report = JSON.parse(readFileSync(join(dir, "fly-pops-preflight.json"), "utf8")) as Report;
  expect(said.join("")).not.toContain(token);
  const not = report.findings.filter(({ verdict }) => verdict !== "holds").map(({ id, seen }) => [id, seen]);
  // Volumes of containers have no size, and one server needs no cookie.
  expect(Object.fromEntries(not)).toEqual({
    "affinity-cookie": "no cookie is set",
    "volume-grows": "needs_restart false, file system as before",
  });
  expect(code).toBe(3);
  expect(Object.keys(fly.snapshot().apps)).toEqual([]);
  const filters = { label: [`fly-pops.stack=${stack}`, "fly-pops.role=machine"] };
  expect(await docker.listContainers({ all: true, filters })).toEqual([]);
});
