import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageSpec, Luggage } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { build, health, ImageHarness, type Pop, states } from "./support/pop.ts";
import { spec } from "./support/spec.ts";

const harness = new ImageHarness("luggage");
let pop: Pop;

const timing = { everySeconds: 2, timeoutSeconds: 1 };
const files = { kind: "files", dir: "blog" } as const;
const serving = spec.luggage.blog as Luggage;
const sh = (script: string): string[] => ["/bin/sh", "-c", script];

/** Healthy or not as the test says, through files in its home: `ill` makes the response a 404, or the command fail. */
const waiting: ImageSpec = {
  ...spec,
  luggage: {
    blog: { ...serving, user: "app", health: { probe: { kind: "http", path: "/" }, ...timing } },
    worker: {
      source: files,
      command: sh("id -un; exec sleep 1000000"),
      env: { WELL: "1" },
      user: "app",
      dependsOn: ["blog", "unbound"],
      health: { probe: { kind: "command", command: sh('[ "$WELL" = 1 ] && [ ! -e "$HOME/ill" ]') }, ...timing },
    },
    never: { source: files, command: ["serve"], env: {}, dependsOn: ["dead"] },
    dead: {
      source: files,
      command: ["/bin/false"],
      env: {},
      port: 9009,
      health: { probe: { kind: "http", path: "/" }, ...timing },
    },
  },
};

beforeAll(async () => {
  const [image] = await Promise.all([build("waiting", waiting), harness.sweep()]);
  pop = await harness.start(image, { volume: await harness.newVolume() });
  await until(
    () => health(pop),
    (seen) => seen?.report.components["luggage-worker"]?.status === "ok",
    { seconds: 40 },
  );
});

afterAll(() => harness.sweep());

const part = async (name: string) => (await health(pop))?.report.components[`luggage-${name}`];

describe("luggage with dependencies and health", () => {
  test("starts once its dependency is healthy, as the user it names", async () => {
    const seen = await states(pop);
    expect([seen["luggage-blog"]?.status, seen["luggage-worker"]?.status]).toEqual(["Running", "Running"]);
    expect(await pop.logs()).toMatch(/luggage-worker.*luggage-app/);
    const { output } = await pop.exec(["stat", "-c", "%U", "/var/lib/luggage/app"]);
    expect(output).toBe("luggage-app\n");
  });

  test("does not start if its dependency never gets healthy, and nothing else is affected", async () => {
    expect((await states(pop))["luggage-never"]?.status).toBe("Pending");
    expect((await https({ port: pop.https, host: "blog.example.test" })).body).toBe("luggage\n");
  });

  test("that cannot run makes the PoP degraded, with the reason; the PoP stays in service", async () => {
    const seen = await health(pop);
    expect([seen?.code, seen?.report.status]).toEqual([200, "degraded"]);
    expect(seen?.report.components["luggage-blog"]).toEqual({ status: "ok" });
    expect(seen?.report.components["luggage-dead"]?.status).toBe("degraded");
  });

  test("that fails its health check is restarted after six failures, and becomes healthy again by itself", async () => {
    await pop.exec(["touch", "/var/lib/luggage/app/ill"]);
    // Degraded it is without a status, too, such as after its restart.
    const ill = await until(
      () => part("worker"),
      (seen) => seen?.reason?.includes("exit status") ?? false,
    );
    expect(ill).toEqual({ status: "degraded", reason: "sh: exit status 1" });
    await until(
      () => states(pop),
      (seen) => (seen["luggage-worker"]?.restarts ?? 0) > 0,
      { seconds: 40 },
    );
    await pop.exec(["rm", "/var/lib/luggage/app/ill"]);
    await until(
      () => part("worker"),
      (seen) => seen?.status === "ok",
    );
    expect((await states(pop))["luggage-blog"]?.restarts).toBe(0);
  });

  test("that replaces its status file by a FIFO harms only itself", async () => {
    const dir = "/run/pop/luggage/blog";
    const script = `mkdir ${dir}/status.json.d; rm -f ${dir}/status.json; mkfifo ${dir}/status.json`;
    expect((await pop.exec(["runas", "luggage-app", "/bin/sh", "-c", script])).code).toBe(0);
    const began = Date.now();
    expect((await health(pop))?.code).toBe(200);
    expect(Date.now() - began).toBeLessThan(4000);
  });
});
