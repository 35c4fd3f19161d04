import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pack } from "tar-stream";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { labels } from "../../local/docker/engine.ts";
import { buildImage } from "../../local/docker/image.ts";
import { homelabImage } from "../../local/homelab/image.ts";
import { originCertificate, originKey } from "../image/support/origin.ts";
import { docker, instance, lab, newStack } from "../support/docker.ts";
import { until } from "../support/until.ts";

const stack = newStack();
const { runner } = await lab(stack);
const visitor = instance();
const name = "origin.home.internal";
const originUrl = `http://${name}:8080`;
let originId = "";

/** The homelab's web server alone, on every address of a container. */
async function startOrigin(): Promise<string> {
  const container = await docker.createContainer({
    Image: await homelabImage({ docker, target: "origin", log: () => {} }),
    Entrypoint: ["/out/usr/bin/origin", ":8080"],
    User: "65532:65532",
    Labels: { [labels.stack]: stack },
    HostConfig: { NetworkMode: stack, ReadonlyRootfs: true, CapDrop: ["ALL"] },
    NetworkingConfig: { EndpointsConfig: { [stack]: { Aliases: [name] } } },
  });
  await container.start();
  return container.id;
}

beforeAll(async () => {
  originId = await startOrigin();
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
const hits = async () =>
  JSON.parse((await wget("/api/hits")).body) as {
    total: number;
    paths: Record<string, number>;
    connections: Record<string, number>;
  };

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
  const chunked = await wget("/?size=10&chunked=yes");
  expect([chunked.body.length, chunked.head]).toEqual([10, expect.not.stringMatching(/content-length/i)]);
  for (const wrong of ["status=99", "sleep=1h", "sleep=soon", "size=-1"]) {
    expect((await wget(`/?${wrong}`)).head).toContain("400 Bad Request");
  }
});

test("its behaviour can be changed, and changed back", async () => {
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

test("it takes an upload, and says when it was not as long as it had to be", async () => {
  expect((await wget("/api/upload", "--post-data", "abc")).body).toBe("3\n");
  expect((await wget("/api/upload?size=3", "--post-data", "abc")).head).toContain("200 OK");
  expect((await wget("/api/upload?size=4", "--post-data", "abc")).head).toContain("400 Bad Request");
});

test("it counts the connections it takes", async () => {
  const before = (await hits()).connections[":8080"] ?? 0;
  expect((await hits()).connections).toEqual({ ":8080": before + 1 });
});

test("it answers by https as well, when it has a certificate", async () => {
  const files = pack();
  files.entry({ name: "origin.pem" }, originCertificate);
  files.entry({ name: "origin.key.pem" }, originKey);
  files.finalize();
  const secure = "secure.home.internal";
  const container = await docker.createContainer({
    Image: await homelabImage({ docker, target: "origin", log: () => {} }),
    Entrypoint: ["/out/usr/bin/origin", ":8080", ":8443", "/origin.pem", "/origin.key.pem"],
    User: "65532:65532",
    Labels: { [labels.stack]: stack },
    HostConfig: { NetworkMode: stack, CapDrop: ["ALL"] },
    NetworkingConfig: { EndpointsConfig: { [stack]: { Aliases: [secure] } } },
  });
  await container.putArchive(files.pipe(new PassThrough()), { path: "/" });
  await container.start();
  onTestFinished(() => container.remove({ force: true, v: true }));
  const ask = ["wget", "--no-check-certificate", "-O", "-", `https://${secure}:8443/api/hits`];
  const { stdout } = await runner.exec(visitor.machineId, ask, { timeoutMs: 20_000 });
  expect(JSON.parse(stdout)).toMatchObject({ connections: { ":8443": 1 } });
});

test("it logs a line for each request and ends at once when asked to", async () => {
  await wget("/logged");
  // The engine has a container's line a moment after its visitor has the response.
  await until(
    async () => (await docker.getContainer(originId).logs({ stdout: true, stderr: true })).toString(),
    (output) => /"GET origin\.home\.internal:8080\/logged" 200 \d+ /.test(output),
  );
  const begin = Date.now();
  await docker.getContainer(originId).stop({ t: 10 });
  expect(Date.now() - begin).toBeLessThan(5_000);
});

test("without an address it says what it wants", async () => {
  const container = docker.getContainer(originId);
  const { Image } = await container.inspect();
  const bare = await docker.createContainer({
    Image,
    Entrypoint: ["/out/usr/bin/origin"],
    Labels: { [labels.stack]: stack },
  });
  await bare.start();
  expect(await bare.wait()).toMatchObject({ StatusCode: 1 });
  expect((await bare.logs({ stdout: true, stderr: true })).toString()).toContain("the address to listen on");
});

test("its Go is formatted, and vet finds nothing", async () => {
  await homelabImage({ docker, target: "vetted", log: () => {} });
});

test("a build that fails says what the command said, and makes no image", async () => {
  const dir = await mkdtemp(join(tmpdir(), "fly-pops-build-"));
  onTestFinished(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, "Dockerfile"), "FROM debian:trixie-slim\nRUN echo bakers left: $((6 * 7)) >&2; exit 3\n");
  const build = { tag: "fly-pops-broken:test", context: dir, files: ["Dockerfile"], log: () => {} };
  await expect(buildImage(docker, build)).rejects.toThrow(/^image fly-pops-broken:test: not built, .*bakers left: 42/s);
  await expect(docker.getImage(build.tag).inspect()).rejects.toMatchObject({ statusCode: 404 });
});
