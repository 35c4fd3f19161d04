/** A volume that fills up while the PoP runs, and then has room again. A tmpfs of fixed size stands in for it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { build, health, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";

const harness = new ImageHarness("volume");
let pop: Pop;

beforeAll(async () => {
  const [image] = await Promise.all([build("all"), harness.sweep()]);
  const volume = { Mounts: [{ Type: "tmpfs", Target: "/var", TmpfsOptions: { SizeBytes: 32 * 2 ** 20 } }] };
  pop = await harness.start(image, { volume: volume as never });
  await untilHealthy(pop);
});
afterAll(() => harness.sweep());

const sh = (script: string) => pop.exec(["/bin/sh", "-c", script]);

test("a full volume is reported as it happens, sites are served, and the PoP is healthy again once there is room", async () => {
  await sh("cat /dev/zero >/var/filler 2>/dev/null");
  const seen = await until(
    () => health(pop),
    (now) => now?.report.components.volume?.status === "degraded",
  );
  expect(seen?.code).toBe(200);
  expect(seen?.report.components.volume?.reason).toMatch(/^the volume at \/var is nearly full: 0 of 32 MB are free\./);
  expect((await https({ port: pop.https, host: "files.example.test" })).status).toBe(200);
  await sh("rm /var/filler");
  await untilHealthy(pop);
});

test("lines of processes are in their log again once there is room, none of them joined to a line that the full disk cut off", async () => {
  const ask = (path: string) => https({ port: pop.https, host: "files.example.test", path });
  const lines = async () => (await sh("cat /var/log/pop/nginx.log")).output.trimEnd().split("\n");
  await ask("/before");
  await until(lines, (seen) => seen.some((line) => line.includes("/before")));
  await sh("cat /dev/zero >/var/filler 2>/dev/null");
  // More than fits into the last page of the file.
  for (let at = 0; at < 60; at += 1) await ask(`/full-${at}`);
  await until(pop.logs, (text) => text.includes("/full-59"));
  expect((await lines()).some((line) => line.includes("/full-59"))).toBe(false);
  await sh("rm /var/filler");
  await ask("/room-again");
  const all = await until(lines, (seen) => seen.some((line) => line.includes("/room-again")));
  const stamps = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ (?:INF|ERR) /g;
  expect(all.filter((line) => (line.match(stamps)?.length ?? 0) > 1)).toEqual([]);
  await untilHealthy(pop);
});

test("when memory replaces the volume, certificates and identity are copied, and links are not followed", async () => {
  const path = "/var/lib/pop/certs/files.example.test.pem";
  const kept = `md5sum ${path} && stat -c '%U:%G %a' ${path} && cat /run/pop/identity.json`;
  const before = await sh(kept);
  await sh("runas certs /bin/sh -c 'cd /var/lib/pop/certs && ln -s /etc/shadow link.pem && ln -s ../identity folder'");
  await sh("cat /dev/zero >/var/filler 2>/dev/null");
  const { output } = await sh("/usr/libexec/pop/post-init");
  expect(output).toContain("Memory stands in for it until the next boot.");
  expect(await sh("grep -c '^pop-memory /var ' /proc/mounts")).toEqual({ code: 0, output: "1\n" });
  expect(await sh(kept)).toEqual(before);
  expect(before.code).toBe(0);
  const links = await sh("cd /var/lib/pop/certs && stat -c '%N %U' * | grep -v example.test");
  expect(links.output).toMatch(/^'?folder'? -> '?\.\.\/identity'? certs\n'?link\.pem'? -> '?\/etc\/shadow'? certs\n$/);
  expect((await sh("ls -d /run/pop/kept*")).output).toMatch(/^ls: /);
});
