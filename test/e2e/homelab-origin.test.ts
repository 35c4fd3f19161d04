import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { buildImage } from "../../local/docker-image.ts";
import { originUrl, startOrigin } from "../../local/homelab/origin.ts";
import { docker, instance, lab, newStack } from "./docker.ts";

const stack = newStack();
const { runner } = await lab(stack);
const visitor = instance();
let originId = "";

beforeAll(async () => {
  originId = (await startOrigin({ docker, stack, network: stack, log: () => {} })).id;
  await runner.start(visitor);
});

/** From a machine of the network: the origin has no port on this one. */
async function wget(path: string, ...options: string[]): Promise<{ body: string; head: string }> {
  const { stdout, stderr } = await runner.exec(
    visitor.machineId,
    ["wget", "-S", "-O", "-", ...options, `${originUrl}${path}`],
    { timeoutMs: 20_000 },
  );
  return { body: stdout, head: stderr };
}
const hits = async () => JSON.parse((await wget("/api/hits")).body) as { total: number; paths: Record<string, number> };

test("machines find it by name; it counts pages and nothing else", async () => {
  const before = await hits();
  const { body, head } = await wget("/some/page", "--header", "X-Forwarded-For: 192.0.2.9, <b>");
  expect(head).toContain("200 OK");
  expect(body).toContain(`number ${before.total + 1}<`);
  expect(body).toContain("192.0.2.9, &lt;b&gt;"); // what a client wrote is shown, not obeyed
  await wget("/echo");
  const after = await hits();
  expect(after.total).toBe(before.total + 1);
  expect(after.paths["/some/page"]).toBe(1);
});

test("it says nothing about caching unless asked to", async () => {
  expect((await wget("/")).head).not.toMatch(/cache-control/i);
  expect((await wget("/?cache=public,max-age=60")).head).toContain("Cache-Control: public,max-age=60");
});

test("it fails, waits and fills on request, and refuses what it cannot do with a sentence", async () => {
  expect((await wget("/?status=503")).head).toContain("503 Service Unavailable");
  const begin = Date.now();
  await wget("/?sleep=300ms");
  expect(Date.now() - begin).toBeGreaterThanOrEqual(300);
  expect((await wget("/?size=123456")).body.length).toBe(123456);
  for (const wrong of ["status=99", "sleep=1h", "sleep=soon", "size=-1"]) {
    expect((await wget(`/?${wrong}`)).head).toContain("400 Bad Request");
  }
});

test("it can be told how to behave from now on, and back", async () => {
  await wget("/api/behave?status=500&cache=no-store", "--post-data", "");
  const broken = await wget("/");
  expect(broken.head).toContain("500 Internal Server Error");
  expect((await wget("/?status=200")).head).toContain("200 OK"); // a page's own switch wins
  await wget("/api/behave", "--post-data", "");
  expect((await wget("/")).head).toContain("200 OK");
});

test("echo gives the headers back", async () => {
  const echoed = JSON.parse((await wget("/echo?a=b", "--header", "X-Seen: yes")).body);
  expect(echoed).toMatchObject({
    method: "GET",
    path: "/echo?a=b",
    host: "origin.home.internal:8080",
    headers: { "X-Seen": ["yes"] },
  });
});

test("a second start takes the one that runs, hits and all; it runs as nobody and publishes nothing", async () => {
  const before = await hits();
  const again = await startOrigin({ docker, stack, network: stack, log: () => {} });
  expect(again.id).toBe(originId);
  expect((await hits()).total).toBe(before.total);
  const { Config, NetworkSettings } = await docker.getContainer(originId).inspect();
  expect(Config.User).toBe("65532:65532");
  expect(Object.values(NetworkSettings.Ports).flat().filter(Boolean)).toEqual([]);
});

test("it logs a line for each request and ends at once when asked to", async () => {
  await wget("/logged");
  const output = (await docker.getContainer(originId).logs({ stdout: true, stderr: true })).toString();
  expect(output).toMatch(/"GET origin\.home\.internal:8080\/logged" 200 \d+ /);
  const begin = Date.now();
  await docker.getContainer(originId).stop({ t: 10 });
  expect(Date.now() - begin).toBeLessThan(5_000);
  const again = await startOrigin({ docker, stack, network: stack, log: () => {} });
  expect(again.id).not.toBe(originId); // one that ended is replaced
  expect((await wget("/")).head).toContain("200 OK");
});

test("its Go is formatted, and vet finds nothing", async () => {
  await buildImage(docker, {
    tag: "fly-pops-origin:vetted",
    context: join(import.meta.dirname, "../../local/homelab/origin"),
    files: ["Dockerfile", "go.mod", "main.go", "origin.go"],
    target: "vetted",
    log: () => {},
  });
});

test("a build that fails says what the command said, and makes no image", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fly-pops-build-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(
    join(folder, "Dockerfile"),
    "FROM debian:trixie-slim\nRUN echo bakers left: $((6 * 7)) >&2; exit 3\n",
  );
  const build = { tag: "fly-pops-broken:test", context: folder, files: ["Dockerfile"], log: () => {} };
  await expect(buildImage(docker, build)).rejects.toThrow(/^image fly-pops-broken:test: not built, .*bakers left: 42/s);
  await expect(docker.getImage(build.tag).inspect()).rejects.toMatchObject({ statusCode: 404 });
});
