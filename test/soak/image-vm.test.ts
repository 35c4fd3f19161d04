import { afterAll, beforeAll, expect, test } from "vitest";
import { shutdownSeconds } from "../../image/render/process-compose.ts";
import { enterTls, https } from "../image/support/client.ts";
import { build, health, ImageHarness } from "../image/support/pop.ts";
import { outward } from "../image/support/spec.ts";
import { bootVm, type Vm } from "../image/support/vm.ts";
import { processCompose } from "../support/process-compose.ts";
import { until } from "../support/until.ts";

// What containers cannot show: a kernel of the machine's own, with all of 256 MB to share, and an end by power-off.

const harness = new ImageHarness("vm");
let vm: Vm;

beforeAll(async () => {
  const [image] = await Promise.all([build("outward", outward()), harness.sweep()]);
  vm = await bootVm(harness, image, { files: { "/etc/pop/sealed.yaml": "not: sealed\n" } });
});

afterAll(() => harness.sweep());

test("every process runs, and none was started twice", async () => {
  const ask = `${processCompose("list", "-o", "json").join(" ")} 2>/dev/null`;
  const running = ["nginx", "unbound", "tailscaled", "certs", "health", "luggage-blog"];
  const { output } = await until(
    () => vm.exec(ask),
    ({ output }) => running.every((name) => new RegExp(`"name":\\s*"${name}"`).test(output)),
  );
  const seen = Object.fromEntries(
    (JSON.parse(output) as { name: string; status: string; restarts: number }[]).map((it) => [it.name, it]),
  );
  for (const name of running) expect([name, seen[name]]).toMatchObject([name, { status: "Running", restarts: 0 }]);
});

test("visitors are served, by the name the machine was given", async () => {
  const answer = await https({ port: vm.https, host: "files.example.test" });
  expect(answer).toMatchObject({ status: 200, body: "<h1>packed</h1>\n", headers: { "x-pop": "cdg-1" } });
  expect((await health(vm))?.report).toMatchObject({ pop: "cdg-1", components: { volume: { status: "ok" } } });
});

test("it is a machine: its own kernel, a volume at /var, the machine's files, 256 MB and nothing killed for want of them", async () => {
  const { output } = await vm.exec(
    "uname -s; hostname; grep ' /var ' /proc/mounts; cat /etc/pop/sealed.yaml; grep MemTotal /proc/meminfo; grep oom_kill /proc/vmstat",
  );
  expect(output).toMatch(
    /^Linux\ncdg1vm\n\/dev\/vd[ab] \/var ext4 rw.*\nnot: sealed\nMemTotal: +\d+ kB\noom_kill 0\n$/,
  );
  expect(Number(/MemTotal: +(\d+)/.exec(output)?.[1])).toBeLessThan(256 * 1024);
});

test("the kernel lets postInit and nginx have what they ask for", async () => {
  expect(await vm.console()).not.toMatch(/not set by this kernel|setrlimit/);
});

test("on power off, a running download ends and the last process exits with 0, in time", async () => {
  const socket = await enterTls(vm.https, { servername: "blog.example.test" });
  socket.write("GET /cgi-bin/slow HTTP/1.1\r\nhost: blog.example.test\r\n\r\n");
  let text = "";
  socket.on("data", (piece) => {
    text += piece;
  });
  const ended = new Promise<void>((done) => socket.once("close", () => done()));
  await until(
    () => text,
    (seen) => seen.includes("begun"),
  );
  const began = Date.now();
  const stopped = vm.stop();
  await ended;
  expect(text).toContain("the end");
  expect(await stopped).toBe(0);
  expect((Date.now() - began) / 1000).toBeLessThan(shutdownSeconds(outward()) + 10);
});
