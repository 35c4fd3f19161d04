import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Luggage } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { enterTls } from "./support/client.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";
import { spec } from "./support/spec.ts";

// What image/pop's own tests cannot provide: the image's users, a kernel that mounts, the real nginx.

const harness = new ImageHarness("pop-commands");
let pop: Pop;

beforeAll(async () => {
  // Only images with secrets have pop-secrets. Here the secrets never arrive, which does not prevent serving.
  const waiting: Luggage = { source: { kind: "files", dir: "blog" }, command: ["serve"], env: {}, secrets: ["token"] };
  const withSecrets = { ...spec, luggage: { ...spec.luggage, waiting } };
  const [image] = await Promise.all([build("secrets", withSecrets), harness.sweep()]);
  pop = await harness.start(image, { volume: await harness.newVolume() });
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
});

afterAll(() => harness.sweep());

const sh = (script: string) => pop.exec(["/bin/sh", "-c", script]);

/** A small file from the tests of `pop-secrets`, encrypted by the real sops for the key beside it. */
async function put(path: string, content: Buffer): Promise<void> {
  const { code, output } = await sh(
    `mkdir -p "$(dirname ${path})" && echo ${content.toString("base64")} | base64 -d > ${path}`,
  );
  expect(code, output).toBe(0);
}

const testdata = (name: string): Buffer =>
  readFileSync(resolve(import.meta.dirname, "../../image/pop/secrets/testdata", name));

const manifest = {
  secrets: [
    { name: "token", key: "deep/er/value", sopsFile: "real.yaml", mode: "0400", owner: "certs", group: "certs" },
  ],
  secretsMountPoint: "/run/try.d",
  symlinkPath: "/run/try",
  ageSshKeyPaths: ["/run/try-key"],
};
const setUp = "pop-secrets --manifest /run/try-sealed/manifest.json --status /run/try.json";

test("an identity is created once, and printed in the form that sops and ssh expect", async () => {
  const first = await sh("pop identity --dir /var/lib/try --host cdg-1");
  expect(first).toMatchObject({ code: 0 });
  const { recipient, knownHosts } = JSON.parse(first.output) as Record<string, string>;
  expect(recipient).toMatch(/^ssh-ed25519 \S+$/);
  expect(knownHosts).toBe(`cdg-1 ${recipient}`);
  expect(await sh("pop identity show --dir /var/lib/try --host cdg-1")).toEqual(first);
  const { output } = await sh("stat -c '%a %U' /var/lib/try /var/lib/try/ssh_host_ed25519_key; rm -r /var/lib/try");
  expect(output).toBe("700 root\n600 root\n");
});

test("a secret is in memory, and only its owner can read it", async () => {
  await put("/run/try-key", testdata("throwaway_host_key"));
  await put("/run/try-sealed/real.yaml", testdata("real.yaml"));
  await put("/run/try-sealed/manifest.json", Buffer.from(JSON.stringify(manifest)));
  expect(await sh(setUp)).toEqual({ code: 0, output: expect.stringContaining("mode 0644") });
  expect(await sh("runas certs /bin/cat /run/try/token")).toEqual({ code: 0, output: "of yaml: ü" });
  for (const user of ["nginx", "health", "unbound"]) {
    expect(await sh(`runas ${user} /bin/cat /run/try/token`)).toMatchObject({ code: 1 });
  }
  expect((await sh("grep ' /run/try.d ' /proc/mounts")).output).toMatch(/^\S+ \S+ ramfs rw,nosuid,nodev,noexec/);
  expect((await sh("grep -rl 'of yaml: ü' /var /tmp /root /etc; true")).output).toBe("");
});

test("secrets encrypted for another identity leave the previous generation in place", async () => {
  await sh("pop identity --dir /run/other && cp /run/other/ssh_host_ed25519_key /run/try-key");
  const { code, output } = await sh(setUp);
  expect({ code, output }).toEqual({
    code: 3,
    output: expect.stringMatching(/sealed to other recipients: ssh-ed25519 .*This PoP is ssh-ed25519/),
  });
  expect(await sh("runas certs /bin/cat /run/try/token")).toEqual({ code: 0, output: "of yaml: ü" });
});

test("without the right to mount no secret is written, least of all to a disk", async () => {
  await put("/tmp/try/key", testdata("throwaway_host_key"));
  await put("/tmp/try/real.yaml", testdata("real.yaml"));
  const elsewhere = { secretsMountPoint: "/tmp/try/d", symlinkPath: "/tmp/try/s", ageSshKeyPaths: ["/tmp/try/key"] };
  const plain = { ...manifest, ...elsewhere, secrets: [{ ...manifest.secrets[0], owner: null, group: null }] };
  await put("/tmp/try/manifest.json", Buffer.from(JSON.stringify(plain)));
  const asNobody = "runas nobody /usr/bin/pop-secrets --manifest /tmp/try/manifest.json --status /tmp/try/status.json";
  const { code, output } = await sh(`chmod 600 /tmp/try/key && chown -R nobody /tmp/try && ${asNobody}`);
  expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining("needs root with CAP_SYS_ADMIN") });
  expect((await sh("grep -rl 'of yaml: ü' /tmp; true")).output).toBe("");
});

const host = "files.example.test";
const path = `/var/lib/pop/certs/${host}.pem`;
const selfSigned = "runas certs /usr/bin/pop self-signed";

async function serial(): Promise<string> {
  const socket = await enterTls(pop.https, { servername: host });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

/** Master and workers; a reload changes the workers' pids. */
const nginxPids = async () => (await sh("pidof nginx")).output.trim().split(" ").map(Number).toSorted();

test("a replaced certificate is served by the same workers, and existing connections continue", async () => {
  const socket = await enterTls(pop.https, { servername: host });
  const [before, pids] = [await serial(), await nginxPids()];
  await sh(`rm ${path} && ${selfSigned}`);
  await until(serial, (seen) => seen !== before);
  expect(await nginxPids()).toEqual(pids);
  const answer = new Promise<string>((received) => socket.once("data", (piece) => received(String(piece))));
  socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
  socket.destroy();
});

test("a certificate that nginx cannot use is moved aside, and health says so until it is removed", async () => {
  const pids = await nginxPids();
  const part = async () => (await health(pop))?.report.components.certificates;
  await sh(`cp -p ${path} /run/kept.pem && echo broken > ${path} && ${selfSigned}`);
  const seen = await until(part, (it) => it?.reason?.includes("could not be used") ?? false);
  expect(seen?.reason).toContain(`${path} could not be used and was renamed to ${host}.pem.broken`);
  await until(
    () => serial().catch(() => undefined),
    (it) => it !== undefined,
  );
  await sh(`cp -p /run/kept.pem ${path}; rm ${path}.broken; ${selfSigned}`);
  await until(part, (it) => it?.status === "ok");
  expect(await nginxPids()).toEqual(pids);
});
