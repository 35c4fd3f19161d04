import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopSeconds } from "../../image/limits.ts";
import { shutdownSeconds } from "../../image/render/process-compose.ts";
import { processCompose } from "../support/process-compose.ts";
import { until } from "../support/until.ts";
import { enterTls, https } from "./support/client.ts";
import { build, giveCertificate, health, ImageHarness, type Pop, states, untilHealthy } from "./support/pop.ts";
import { processes } from "./support/processes.ts";
import { outward, spec } from "./support/spec.ts";

const harness = new ImageHarness("booting");
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), harness.sweep()]);
});

afterAll(() => harness.sweep());

const page = (pop: Pop) => https({ port: pop.https, host: "files.example.test" });

async function fingerprint(pop: Pop): Promise<string> {
  const socket = await enterTls(pop.https, { servername: "files.example.test" });
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

describe("a machine of 256 MB", () => {
  let pop: Pop;
  let volume: string;

  beforeAll(async () => {
    volume = await harness.newVolume();
    pop = await harness.start(image, { volume });
    await untilHealthy(pop);
  });

  test("reports the status of each component, and its name", async () => {
    const seen = await health(pop);
    expect(seen).toMatchObject({
      code: 200,
      report: {
        status: "ok",
        pop: "cdg-1",
        components: {
          nginx: { status: "ok" },
          unbound: { status: "ok" },
          volume: { status: "ok" },
          certificates: { status: "ok" },
        },
      },
    });
    expect(seen?.report.certificates.map(({ host, selfSigned }) => [host, selfSigned])).toContainEqual([
      "blog.example.test",
      true,
    ]);
  });

  test.each([
    ["/", "GET", 404],
    ["/healthz", "POST", 405],
    ["/healthz", "HEAD", 200],
  ])("its health port answers %s with method %s with %i", async (path, method, status) => {
    expect((await fetch(`http://127.0.0.1:${pop.health}${path}`, { method })).status).toBe(status);
  });

  test("runs only what needs root as root, and the rest cannot regain it", async () => {
    const seen = await processes(pop);
    const none = "0000000000000000";
    const as = (uid: string) => ({ users: [uid], noNewPrivs: "1", capabilities: none });
    expect(seen.nginx?.length).toBeGreaterThan(2);
    for (const it of seen.nginx ?? []) expect(it).toEqual(as("101"));
    expect(seen.unbound).toEqual([as("102")]);
    expect(seen.pop).toEqual([as("104")]);
    expect(seen.httpd?.map(({ noNewPrivs, capabilities }) => [noNewPrivs, capabilities])).toEqual([["1", none]]);
    expect(Number(seen.httpd?.[0]?.users[0])).toBeGreaterThanOrEqual(20_000);
    const roots = Object.entries(seen).filter(([, all]) => all.some(({ users }) => users.includes("0")));
    expect(
      roots
        .map(([name]) => name)
        .filter((name) => !["cat", "sh"].includes(name))
        .toSorted(),
    ).toEqual(["docker-init", "process-compose"]);
  });

  test("only nginx can read its private keys", async () => {
    const key = "/var/lib/pop/certs/files.example.test.pem";
    const readAs = async (user: string) => (await pop.exec(["runas", user, "/usr/bin/head", "-c", "0", key])).code;
    expect(await readAs("nginx")).toBe(0);
    for (const user of ["unbound", "health", "luggage-blog", "nobody"])
      expect([user, await readAs(user)]).toEqual([user, 1]);
  });

  test("only root can use process-compose's socket", async () => {
    const ask = processCompose("list");
    expect((await pop.exec(ask)).code).toBe(0);
    expect((await pop.exec(["runas", "luggage-blog", ...ask])).code).not.toBe(0);
  });

  test("nginx listens only on its ports, and not on IPv6 where it expects a PROXY header", async () => {
    const { output } = await pop.exec(["netstat", "-tln"]);
    const listening = [...output.matchAll(/^tcp\s+\d+\s+\d+\s+(\S+)/gm)].map(([, address]) => address);
    expect(listening.filter((address) => /:110[1-5]$/.test(address ?? "")).toSorted()).toEqual(
      ["0.0.0.0:1101", "0.0.0.0:1102", "127.0.0.1:1103", "127.0.0.1:1104", ":::1105"].toSorted(),
    );
  });

  test("a process that dies is restarted, and works again", async () => {
    await pop.exec(["/bin/sh", "-c", "kill -9 $(cat /run/nginx/nginx.pid)"]);
    await until(
      () => health(pop),
      (seen) => seen?.report.status === "failing",
      { seconds: 10 },
    );
    await untilHealthy(pop);
    expect((await page(pop)).status).toBe(200);
  });

  test("without unbound it is degraded: sites are served, the check passes", async () => {
    const compose = (verb: string) => pop.exec(processCompose(verb, "unbound"));
    await compose("stop");
    const seen = await until(
      () => health(pop),
      (now) => now?.report.components.unbound?.status === "degraded",
    );
    expect([seen?.code, seen?.report.status, (await page(pop)).status]).toEqual([200, "degraded", 200]);
    await compose("start");
    await untilHealthy(pop);
  });

  test.each([
    ["show-config", /==> \/etc\/nginx\/nginx\.conf <==[\s\S]*==> \/etc\/pop\/pop\.json <==/],
    ["show-config /etc/pop/directories", /^\/var\/lib root:root 0755$/m],
    ["nginx-test", /test is successful/],
    ["pc process list", /^nginx$/m],
  ])("has a tool for who comes by `fly ssh console`: %s", async (command, said) => {
    const { code, output } = await pop.exec(["/bin/sh", "-c", command]);
    expect([code, output]).toEqual([0, expect.stringMatching(said)]);
  });

  test("postInit can run again at any time", async () => {
    expect(await pop.exec(["/usr/libexec/pop/post-init"])).toMatchObject({
      code: 0,
      output: expect.stringContaining("done, this is cdg-1"),
    });
    expect((await page(pop)).status).toBe(200);
  });

  test("a boot removes logs of processes that no longer exist, and keeps the others", async () => {
    const names = ["gone.log", "gone-2026-11-24T07-25-07.060.log", "nginx-2026-11-24T07-25-07.060.log"].map(
      (name) => `/var/log/pop/${name}`,
    );
    await pop.exec(["touch", ...names]);
    await pop.exec(["/usr/libexec/pop/post-init"]);
    const { output } = await pop.exec(["ls", "/var/log/pop"]);
    expect(output).not.toContain("gone");
    expect(output).toMatch(/^nginx-2026-11-24T07-25-07\.060\.log\nnginx\.log$/m);
  });

  test("certificates that are about to expire are renewed and loaded while it runs; others are left alone", async () => {
    const renew = ["runas", "certs", "/usr/bin/pop", "self-signed"];
    const before = await fingerprint(pop);
    expect((await pop.exec(renew)).code).toBe(0);
    expect(await fingerprint(pop)).toBe(before);
    await pop.exec(["rm", "/var/lib/pop/certs/files.example.test.pem"]);
    expect((await pop.exec(renew)).code).toBe(0);
    await until(
      () => fingerprint(pop),
      (now) => now !== before,
    );
  });

  test("has an identity of its own, and only root can read the private key", async () => {
    const { recipient } = JSON.parse((await pop.exec(["cat", "/run/pop/identity.json"])).output);
    expect(recipient).toMatch(/^ssh-ed25519 AAAA/);
    expect((await pop.exec(["runas", "certs", "/bin/ls", "/var/lib/pop/identity"])).code).toBe(1);
    await pop.exec(["/usr/libexec/pop/post-init"]);
    expect(JSON.parse((await pop.exec(["cat", "/run/pop/identity.json"])).output).recipient).toBe(recipient);
  });

  test("a second boot finds what the first one stored on the volume", async () => {
    const before = await fingerprint(pop);
    await pop.container.remove({ force: true });
    pop = await harness.start(image, { volume, env: { POP_NAME: "ams-2" } });
    await untilHealthy(pop);
    expect(await fingerprint(pop)).toBe(before);
    expect((await page(pop)).headers["x-pop"]).toBe("ams-2");
  });

  test("a boot moves a certificate aside that nginx cannot load, and the sites are served", async () => {
    const broken = "/var/lib/pop/certs/files.example.test.pem";
    await pop.exec(["/bin/sh", "-c", `echo garbage > ${broken}`]);
    pop = await pop.restart();
    const seen = await until(
      () => health(pop),
      (now) => now?.report.components.nginx?.status === "ok" && now.report.components.unbound?.status === "ok",
    );
    expect(seen?.report.components.certificates?.reason).toContain(`${broken} could not be used`);
    expect((await page(pop)).status).toBe(200);
    expect((await pop.exec(["cat", `${broken}.broken`])).output).toBe("garbage\n");
    await pop.exec(["/bin/sh", "-c", `rm ${broken}.broken; runas certs /usr/bin/pop self-signed`]);
    await untilHealthy(pop);
  });

  test("after the stop signal a download finishes, no new connection is accepted, and it exits with 0 in time", async () => {
    const socket = await enterTls(pop.https, { servername: "blog.example.test" });
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
    const stopped = pop.container.stop({ t: stopSeconds });
    const another = () =>
      enterTls(pop.https, { servername: "blog.example.test" }).then(
        (it) => it.destroy(),
        () => "refused",
      );
    await until(another, (how) => how === "refused");
    expect(text).not.toContain("the end");
    await Promise.all([stopped, ended]);
    expect(text).toContain("the end");
    expect((await pop.container.inspect()).State).toMatchObject({ ExitCode: 0, OOMKilled: false });
    expect((Date.now() - began) / 1000).toBeLessThan(shutdownSeconds(spec));
  });
});

describe("a machine without its tailnet, vault and secrets", () => {
  let pop: Pop;

  beforeAll(async () => {
    pop = await harness.start(await build("outward", outward()), { volume: await harness.newVolume() });
    await until(
      () => health(pop),
      (seen) => seen?.report.components.nginx?.status === "ok",
    );
  });

  test("serves: nothing is restarted, and only processes that need a secret wait", async () => {
    const seen = await until(
      () => states(pop),
      (now) => (now["tailscale-up"]?.restarts ?? 0) > 0,
    );
    for (const name of ["nginx", "unbound", "tailscaled", "certs", "health", "luggage-blog"])
      expect([name, seen[name]]).toEqual([name, { status: "Running", restarts: 0 }]);
    expect(seen["luggage-waiting"]?.status).toBe("Pending");
    expect((await page(pop)).status).toBe(200);
  });

  test("sends nothing for home by another way", async () => {
    const sent = await pop.exec(["wget", "-q", "-O", "-", "-T", "3", "http://100.64.0.77:8080/"]);
    expect(sent).toEqual({ code: 1, output: expect.stringContaining("No route to host") });
    const routes = await Promise.all(["-4", "-6"].map((family) => pop.exec(["ip", family, "route"])));
    expect(routes.map(({ output }) => /^unreachable (\S+)/m.exec(output)?.[1])).toEqual([
      "100.64.0.0/10",
      "fd7a:115c:a1e0::/48",
    ]);
  });

  test("gets no visitors while it is new and no host has a trusted certificate", async () => {
    const seen = await until(
      () => health(pop),
      (now) => now?.report.components.certificates?.status === "failing",
    );
    expect([seen?.code, seen?.report.status]).toEqual([503, "failing"]);
    expect(seen?.report.reason).toContain("only a self-signed certificate so far, the vault's has not arrived yet");
  });

  test("is degraded, and says why, once one host has one", async () => {
    await giveCertificate(pop, "files.example.test");
    const seen = await until(
      () => health(pop),
      (now) => now?.report.components.secrets?.status === "degraded" && now.code === 200,
    );
    expect([seen?.code, seen?.report.status]).toEqual([200, "degraded"]);
    for (const part of ["tailnet", "secrets", "certs", "certificates"])
      expect([part, seen?.report.components[part]]).toEqual([part, { status: "degraded", reason: expect.any(String) }]);
    expect(seen?.report).toHaveProperty("recipient", expect.stringMatching(/^ssh-ed25519 /));
  });

  test("a PoP without an auth key says so, and prints no login link", async () => {
    const log = await until(pop.logs, (text) => text.includes("there is no /run/secrets/tailscaleAuthKey"));
    expect(log).not.toMatch(/To authenticate, visit/);
  });

  test("its daemon logs its states, but no debug lines", async () => {
    const log = await until(pop.logs, (text) => text.includes("Switching ipn state"));
    const own = log.split("\n").filter((line) => line.startsWith("[tailscaled\t] "));
    expect(own.filter((line) => line.includes("Engine created"))).toHaveLength(1);
    expect(own.filter((line) => /\[v\d\]|\[v.JSON\]|\0/.test(line))).toEqual([]);
  });

  test("its daemon answers only health and root, and only root can read its key", async () => {
    const status = ["/usr/bin/tailscale", "--socket=/run/tailscale/tailscaled.sock", "status", "--json"];
    const ask = async (user: string) => (await pop.exec(["runas", user, ...status])).output.includes("BackendState");
    expect([await ask("health"), await ask("luggage-blog"), await ask("nginx")]).toEqual([true, false, false]);
    expect((await pop.exec(["stat", "-c", "%U %a", "/var/lib/tailscale"])).output).toBe("root 700\n");
  });

  test("its daemon does not have the machine's environment", async () => {
    const { output } = await pop.exec(["/bin/sh", "-c", "tr '\\0' '\\n' < /proc/$(pidof tailscaled)/environ"]);
    expect(output).toContain("GOMEMLIMIT=80MiB");
    expect(output).not.toMatch(/^(FLY_|POP_NAME)/m);
  });
});

describe("the name from the environment", () => {
  test.each([
    ["cdg-1", "cdg-1"],
    ["", "unknown"],
    ["a'; } server { listen 80; #", "aserverlisten80"],
    ["$host", "host"],
    ["x".repeat(100), "x".repeat(63)],
  ])("POP_NAME=%j becomes %s", async (given, shown) => {
    const script = "/usr/libexec/pop/post-init >/dev/null; cat /run/pop/name; runas nginx /usr/sbin/nginx -t -q";
    const { output } = await harness.run(image, ["/bin/sh", "-c", script], { POP_NAME: given });
    expect(output).toBe(`${shown}\n`);
  });
});

describe("a volume that cannot be written to", () => {
  test.each([
    ["read-only", { Binds: [], Mounts: [{ Type: "tmpfs", Target: "/var", ReadOnly: true }] }, /Read-only file system/],
    [
      "full",
      { Mounts: [{ Type: "tmpfs", Target: "/var", TmpfsOptions: { SizeBytes: 4096 } }] },
      /No space left on device/,
    ],
  ] as const)("%s: no reboot loop, sites are served from memory, and health says why", async (_, volume, reason) => {
    const pop = await harness.start(image, { volume: structuredClone(volume) as never });
    const seen = await until(
      () => health(pop),
      (now) => now?.report.components.nginx?.status === "ok",
    );
    expect(seen).toMatchObject({
      code: 200,
      report: { status: "degraded", components: { volume: { status: "degraded" } } },
    });
    expect(seen?.report.components.volume?.reason).toMatch(reason);
    expect((await page(pop)).status).toBe(200);
    expect((await pop.container.inspect()).RestartCount).toBe(0);
    await pop.container.remove({ force: true });
  });
});
