/** Local Fly in front of flyctl itself: what people type at Fly works here too, and says what it says there. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../support/local-fly.ts";
import { clientProgram } from "./clients.ts";

const dir = mkdtempSync(join(tmpdir(), "fly-pops-flyctl-"));
const app = "flyctl-life";
let program: string;

// Minutes of compiling, once.
beforeAll(async () => {
  program = await clientProgram("flyctl", dir);
  writeFileSync(
    join(dir, "fly.toml"),
    `app = "${app}"\nprimary_region = "cdg"\n[[mounts]]\nsource = "data"\ndestination = "/var/lib/data"\n`,
  );
}, 900_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** flyctl with nothing of this machine: its settings in a directory of the test, every server of Fly's the local one. */
function flyctl(it: LocalFlyUnderTest, ...words: string[]) {
  const env = {
    HOME: dir,
    CI: "1",
    NO_COLOR: "1",
    FLY_ACCESS_TOKEN: it.token,
    FLY_FLAPS_BASE_URL: it.url,
    FLY_API_BASE_URL: it.url,
    FLY_UIEX_BASE_URL: it.url,
    FLY_NO_UPDATE_CHECK: "1",
    FLY_NO_INCIDENTS_CHECK: "1",
    FLY_SEND_METRICS: "0",
    FLY_SYNTHETICS_AGENT: "0",
  };
  return promisify(execFile)(program, words, { env, cwd: dir });
}

const deploy = (it: LocalFlyUnderTest, image: string) =>
  flyctl(it, "deploy", "-a", app, "--image", image, "--ha=false", "--smoke-checks=false", "--dns-checks=false", "-y");

test("flyctl makes an app, volumes and machines, deploys twice, and clears up", async () => {
  await using it = await localFly();
  const say = async (...words: string[]) => (await flyctl(it, ...words, "-a", app)).stdout;
  const live = () => it.machines().filter((machine) => machine.state !== "destroyed");

  await flyctl(it, "apps", "create", app, "--org", "personal");
  expect((await flyctl(it, "apps", "list")).stdout).toContain(app);

  await say("volumes", "create", "data", "-r", "cdg", "-s", "1", "-y");
  const volume = it.volumes()[0]?.id ?? "";
  await say("volumes", "extend", volume, "-s", "2");
  expect(await say("volumes", "show", volume)).toMatch(/Size GB: 2/);
  expect(await say("volumes", "list")).toContain(volume);

  await deploy(it, "registry.example/pop:1");
  const [machine] = live();
  if (!machine) throw new Error("no machine was made");
  const { id } = machine;
  expect(it.volumes()[0]).toMatchObject({ id: volume, attachedMachine: id });
  expect(await say("status")).toContain(id);
  expect(await say("machine", "list")).toContain(id);
  expect(await say("machine", "status", id)).toContain("started");

  await deploy(it, "registry.example/pop:2");
  expect(live().map((its) => its.id)).toEqual([id]);
  expect((await it.call("GET", `/apps/${app}/machines/${id}`)).body.config.image).toBe("registry.example/pop:2");
  expect(await say("releases")).toMatch(/v2[^\n]*complete/);

  await say("machine", "update", id, "-e", "GREETING=hello", "-y", "--skip-health-checks");
  expect((await it.call("GET", `/apps/${app}/machines/${id}`)).body.config.env.GREETING).toBe("hello");
  for (const [verb, state] of [
    ["stop", "stopped"],
    ["start", "started"],
    ["suspend", "suspended"],
    ["start", "started"],
    ["restart", "started"],
  ] as const) {
    await say("machine", verb, id);
    await it.call("GET", `/apps/${app}/machines/${id}/wait?state=${state}`);
    expect(live()[0]?.state, verb).toBe(state);
  }
  await say("machine", "cordon", id);
  expect(live()[0]?.cordoned).toBe(true);
  await say("machine", "uncordon", id);
  expect(live()[0]?.cordoned).toBe(false);

  await say("machine", "destroy", id, "--force");
  expect(live()).toEqual([]);
  await say("volumes", "destroy", volume, "-y");
  expect(it.volumes().filter((its) => its.state === "created")).toEqual([]);
  expect(it.fly.calls.list.filter((call) => call.route === undefined)).toEqual([]);
}, 300_000);

test("flyctl is refused with a token that is not its own, and with an app that is not there", async () => {
  await using it = await localFly();
  await expect(flyctl({ ...it, token: "another-token" }, "machine", "list", "-a", app)).rejects.toThrow(
    /401|unauthorized/i,
  );
  await expect(flyctl(it, "volumes", "create", "data", "-a", app, "-r", "cdg", "-y")).rejects.toThrow(/not find App/i);
}, 60_000);
