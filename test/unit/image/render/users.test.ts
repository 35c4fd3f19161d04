import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { machineConfig } from "../../../../components/machine-config.ts";
import { dirs } from "../../../../image/render/dirs.ts";
import { manifest } from "../../../../image/render/manifest.ts";
import { secrets } from "../../../../image/render/secrets.ts";
import { group, passwd, shadow, users } from "../../../../image/render/users.ts";
import type { Luggage } from "../../../../image/spec.ts";
import { hostile, shuffled, spec } from "./spec.ts";

const all = users(spec);
const carried: Luggage = { source: { kind: "files", dir: "." }, command: ["x"], env: {} };

test("passwd, group, shadow and directories match the golden files", async () => {
  await expect(passwd(all)).toMatchFileSnapshot("golden/passwd");
  await expect(group(all)).toMatchFileSnapshot("golden/group");
  await expect(shadow(all)).toMatchFileSnapshot("golden/shadow");
  await expect(dirs(all, spec)).toMatchFileSnapshot("golden/directories");
});

test("only root has a shell and uid 0, and no account has a password", () => {
  const rows = passwd(all)
    .trim()
    .split("\n")
    .map((line) => line.split(":"));
  expect(rows.filter(([, , uid]) => uid === "0").map(([name]) => name)).toEqual(["root"]);
  expect(rows.filter(([, , , , , , shell]) => shell !== "/bin/false").map(([name]) => name)).toEqual(["root"]);
  for (const line of shadow(all).trim().split("\n")) expect(line.split(":")[1]).toBe("*");
});

test("ids are unique", () => {
  const ids = Object.values(all).map(({ uid }) => uid);
  expect(new Set(ids).size).toBe(ids.length);
});

test("luggage keeps its id whatever else is packed, so it keeps its files on the volume", () => {
  const names = ["blog", "collector", "metrics", "search"];
  const idOf = users({ luggage: { blog: carried } })["luggage-blog"]?.uid;
  fc.assert(
    fc.property(shuffled(names), (order) => {
      expect(users({ luggage: Object.fromEntries(order.map((name) => [name, carried])) })["luggage-blog"]?.uid).toBe(
        idOf,
      );
    }),
  );
});

test("two names with the same id are rejected", () => {
  const names = Array.from({ length: 1000 }, (_, at) => `n${at}`);
  expect(() => users({ luggage: Object.fromEntries(names.map((name) => [name, carried])) })).toThrow(
    /would both be uid \d+\. Rename one/,
  );
});

test("luggage never has a name or id of a system user", () => {
  const own = Object.entries(users({ luggage: {}, ssh: { authorizedKeys: [] } }));
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,22}[a-z0-9]$/);
  fc.assert(
    fc.property(fc.oneof(name, fc.constantFrom("root", "nginx", "nobody", "sshd")), (luggage) => {
      const { [`luggage-${luggage}`]: user, ...others } = users({
        luggage: { [luggage]: carried },
        ssh: { authorizedKeys: [] },
      });
      expect(Object.entries(others)).toEqual(own);
      expect(user?.uid).toBeGreaterThanOrEqual(20_000);
      expect(user?.uid).toBeLessThan(40_000);
      expect(user?.gid).toBe(user?.uid);
      expect(own.map(([, { uid }]) => uid)).not.toContain(user?.uid);
    }),
  );
});

test("a group lists its members", () => {
  const some = { ...all, health: { uid: 104, gid: 104, home: "/", groups: ["nginx"] } };
  expect(group(some)).toContain("nginx:x:101:health\n");
});

test("hostile names are rejected", () => {
  fc.assert(
    fc.property(hostile, (name) => {
      if (/^[a-z][a-z0-9-]{0,22}[a-z0-9]$/.test(name)) return;
      expect(() => users({ luggage: { [name]: carried } })).toThrow(/not a name/);
    }),
  );
});

test("the manifest has sorted hosts, and the ports of image/ports.ts", () => {
  expect(JSON.parse(manifest(spec))).toEqual({
    hosts: [
      "api.example.org",
      "blog.example.org",
      "example.org",
      "shop.example.org",
      "status.example.org",
      "www.example.org",
    ],
    expects: ["tailnet", "secrets", "certs"],
    ports: { nginxStatus: 1103, dns: 1104, health: 1105 },
    checkTimeoutSeconds: 5,
    origins: [
      "http://100.64.0.7:8080",
      "https://100.64.0.9:8443",
      "https://shop.tail.example",
      "https://web.tail.example:8443",
    ],
    tailnet: {
      domain: "tail.example",
      tags: ["tag:pop"],
      loginServer: "https://login.example.org",
      hostPrefix: "edge-",
      acceptRoutes: false,
    },
  });
  expect(JSON.parse(manifest({ sites: [], luggage: {} })).expects).toEqual([]);
});

describe("the tailnet in the manifest", () => {
  const tailnet = { domain: "a.test", tags: ["pop"], hostPrefix: "" };

  test.each([
    ["a tag with a comma", { tags: ["pop,tag:admin"] }],
    ["a tag in upper case", { tags: ["Pop"] }],
    ["a prefix with a space", { hostPrefix: "a b" }],
    ["a prefix that is an option", { hostPrefix: "--ssh" }],
    ["a control server with a path", { loginServer: "https://a.test/x" }],
    ["a control server by ftp", { loginServer: "ftp://a.test" }],
  ])("refuses %s", (_, change) => {
    expect(() => manifest({ sites: [], luggage: {}, tailnet: { ...tailnet, ...change } })).toThrow();
  });

  test("passes on that routes are accepted", () => {
    const it = manifest({ sites: [], luggage: {}, tailnet: { ...tailnet, acceptRoutes: true } });
    expect(JSON.parse(it).tailnet).toMatchObject({ acceptRoutes: true });
  });
});

test("health knows the timeout of Fly's check", () => {
  const { checks, services } = machineConfig(
    { name: "cdg-1", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 },
    "image",
  );
  const timeouts = [checks.health, ...services.flatMap((it) => it.checks ?? [])].map(({ timeout }) => timeout);
  expect(timeouts).toEqual(Array(3).fill(`${JSON.parse(manifest(spec)).checkTimeoutSeconds}s`));
});

test("luggage with the same user shares its id, home and secrets", () => {
  const luggage = {
    web: { ...carried, user: "app", secrets: ["token"] },
    worker: { ...carried, user: "app" },
    alone: carried,
  };
  const all = users({ luggage });
  expect(Object.keys(all).filter((name) => name.startsWith("luggage-"))).toEqual(["luggage-alone", "luggage-app"]);
  expect(dirs(all, { luggage })).toContain("/var/lib/luggage/app luggage-app:luggage-app 0750\n");
  expect(secrets({ luggage })).toEqual([{ name: "web/token", key: "token", owner: "luggage-app", from: "secrets" }]);
  for (const user of ["root", "nginx"])
    expect(users({ luggage: { web: { ...carried, user } } })[`luggage-${user}`]?.uid).toBeGreaterThanOrEqual(20_000);
  expect(() => users({ luggage: { web: { ...carried, user: "../x" } } })).toThrow(/not a name/);
});

test("the manifest has luggage's health checks, and its user owns the status directory", () => {
  const timing = { everySeconds: 10, timeoutSeconds: 3 };
  const luggage: Record<string, Luggage> = {
    mute: carried,
    api: { ...carried, port: 9000, health: { probe: { kind: "http", path: "/up?x=1" }, ...timing } },
    job: { ...carried, user: "app", health: { probe: { kind: "command", command: ["bin/check", "-v"] }, ...timing } },
  };
  expect(JSON.parse(manifest({ sites: [], luggage })).luggage).toEqual({
    api: { url: "http://127.0.0.1:9000/up?x=1", ...timing },
    job: { command: ["/luggage/job/bin/check", "-v"], folder: "/luggage/job", ...timing },
  });
  const lines = dirs(users({ luggage }), { luggage }).split("\n");
  expect(lines.filter((line) => line.startsWith("/run/pop/luggage"))).toEqual([
    "/run/pop/luggage/api luggage-api:luggage-api 0755",
    "/run/pop/luggage/job luggage-app:luggage-app 0755",
  ]);
});

test.each([
  ["a path without port", { probe: { kind: "http", path: "/" } }, /has a path, but luggage\.blog\.port is not set/],
  ["an invalid path", { probe: { kind: "http", path: "x y" } }, /not a path/],
  ["no program", { probe: { kind: "command", command: [] } }, /command is empty/],
] as const)("health by %s is refused", (_, ask, reason) => {
  const health = { ...ask, everySeconds: 1, timeoutSeconds: 1 } as unknown as NonNullable<Luggage["health"]>;
  const port = reason.source.includes("port") ? {} : { port: 9000 };
  expect(() => manifest({ sites: [], luggage: { blog: { ...carried, ...port, health } } })).toThrow(reason);
});

test("the SSH server's user and directory exist only with it", () => {
  expect(passwd(all)).not.toContain("sshd");
  const ssh = { authorizedKeys: [] };
  expect(passwd(users({ ...spec, ssh }))).toContain("sshd:x:105:105::/run/sshd:/bin/false\n");
  expect(dirs(all, { luggage: {}, ssh })).toContain("/run/sshd root:root 0755\n");
});
