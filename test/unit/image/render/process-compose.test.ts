import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { stopSeconds } from "../../../../image/limits.ts";
import { logBudgetMb, maxLuggage } from "../../../../image/render/process.ts";
import { processCompose, shutdownSeconds } from "../../../../image/render/process-compose.ts";
import type { Luggage } from "../../../../image/spec.ts";
import { spec } from "./spec.ts";

interface Process {
  entrypoint: string[];
  depends_on?: Record<string, { condition: string }>;
  availability: { restart: string; max_restarts?: number };
  shutdown: { signal?: number; timeout_seconds: number; parent_only?: boolean };
  environment?: string[];
  working_dir: string;
  log_location: string;
  log_configuration: { rotation: { max_size_mb: number; max_backups: number } };
  readiness_probe?: object;
  is_daemon?: boolean;
}

const processesOf = (luggage: Record<string, Luggage>): Record<string, Process> =>
  parse(processCompose({ ...spec, luggage })).processes;
const text = processCompose(spec);
const processes = processesOf(spec.luggage);
const carried = (change: Partial<Luggage>): Record<string, Luggage> => ({
  blog: { source: { kind: "files", dir: "." }, command: ["serve"], env: {}, ...change },
});

test("matches the golden file", () => expect(text).toMatchFileSnapshot("golden/process-compose.yaml"));

test("the order of luggage does not matter", () => {
  const turned = Object.fromEntries(Object.entries(spec.luggage).toReversed());
  expect(processCompose({ ...spec, luggage: turned })).toBe(text);
});

test("only postInit, the tailnet and the decryption of secrets run as root: all others start through runas", () => {
  const roots = Object.entries(processes).filter(([, { entrypoint }]) => entrypoint[0] !== "/usr/bin/runas");
  expect(roots.map(([name]) => name)).toEqual(["postInit", "tailscaled", "tailscale-up", "tailscale-again", "secrets"]);
});

test("nginx waits for nothing that can be down", () => {
  const { postInit, ...others } = processes.nginx?.depends_on ?? {};
  expect(postInit).toEqual({ condition: "process_completed_successfully" });
  expect(new Set(Object.values(others).map(({ condition }) => condition))).toEqual(new Set(["process_started"]));
});

test("processes that nginx passes requests to stop after nginx", () => {
  expect(Object.keys(processes.nginx?.depends_on ?? {}).toSorted()).toEqual([
    "luggage-blog",
    "postInit",
    "tailscaled",
    "unbound",
  ]);
});

test("all processes but one-shots always restart", () => {
  const once = {
    postInit: "exit_on_failure",
    renew: "no",
    "tailscale-up": "on_failure",
    "tailscale-again": "no",
    secrets: "on_failure",
  } as Record<string, string>;
  for (const [name, { availability }] of Object.entries(processes)) {
    expect([name, availability.restart]).toEqual([name, once[name] ?? "always"]);
    expect(availability).not.toHaveProperty("max_restarts");
  }
});

test("every process has a stop timeout, and the longest chain of them is the machine's", () => {
  for (const { shutdown } of Object.values(processes)) expect(shutdown.timeout_seconds).toBeGreaterThan(0);
  const longest = (name: string): number =>
    (processes[name]?.shutdown.timeout_seconds ?? 0) +
    Math.max(0, ...Object.keys(processes[name]?.depends_on ?? {}).map(longest));
  expect(shutdownSeconds(spec)).toBe(Math.max(...Object.keys(processes).map(longest)));
  expect(shutdownSeconds(spec)).toBeLessThan(stopSeconds);
});

test.each([0, 1, 5, maxLuggage])("with %i pieces of luggage, all logs fit in the budget", (count) => {
  const luggage = Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`extra-${at}`, carried({}).blog as Luggage]),
  );
  const most = Object.values(processesOf(luggage)).map(({ log_configuration: { rotation } }) => {
    expect(rotation.max_backups).toBeGreaterThan(0); // 0 keeps all
    return rotation.max_size_mb * (rotation.max_backups + 1);
  });
  expect(most.reduce((sum, mb) => sum + mb, 0)).toBeLessThanOrEqual(logBudgetMb);
});

test("rejects more luggage than fits", () => {
  const luggage = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [`extra-${at}`, carried({}).blog as Luggage]),
  );
  expect(() => processCompose({ luggage })).toThrow(/the logs of so many processes do not fit/);
});

describe("the tailnet", () => {
  test("is not in an image whose spec has none", () => {
    const { tailnet, ...without } = spec;
    expect(tailnet).toBeDefined();
    expect(processCompose(without)).not.toMatch(/tailscale/);
  });

  test("is checked every minute", () => {
    expect(processes["tailscale-again"]).toMatchObject({ schedule: { interval: "1m" } });
  });

  test("has no dependents, and its daemon is not restarted while it is down", () => {
    const waits = Object.entries(processes).filter(([, { depends_on = {} }]) => "tailscale-up" in depends_on);
    expect(waits).toEqual([]);
    expect(processes.nginx?.depends_on?.tailscaled).toEqual({ condition: "process_started" });
    expect(processes.tailscaled).not.toHaveProperty("readiness_probe");
    expect(processes["tailscale-up"]?.availability).toEqual({ restart: "on_failure", backoff_seconds: 10 });
  });

  test("its daemon does not get the machine's environment", () => {
    expect(processes.tailscaled?.entrypoint.slice(0, 2)).toEqual(["/usr/bin/env", "-i"]);
  });

  test("turns UDP offload off only if the stack says so", () => {
    const { tailnet } = spec;
    if (!tailnet) throw new Error("unreachable");
    expect(text).not.toContain("TS_DEBUG_DISABLE");
    const knobs = processCompose({ ...spec, tailnet: { ...tailnet, udpOffload: false } }).match(/TS_DEBUG_DISABLE\S+/g);
    expect(knobs).toEqual(["TS_DEBUG_DISABLE_UDP_GSO=1", "TS_DEBUG_DISABLE_UDP_GRO=1"]);
  });

  test("the auth key is in a file, never an argument", () => {
    expect(text).not.toMatch(/auth-?key/i);
    for (const name of ["tailscale-up", "tailscale-again"])
      expect(processes[name]?.entrypoint.slice(-2)).toEqual(["/usr/bin/pop", "join"]);
  });
});

describe("secrets", () => {
  test("only luggage that needs secrets waits for them, and nginx does not wait for that luggage", () => {
    const waits = Object.entries(processes).filter(([, { depends_on = {} }]) => "secrets" in depends_on);
    expect(waits.map(([name]) => name)).toEqual(["luggage-collector"]);
    expect(waits[0]?.[1].depends_on).toEqual({
      postInit: { condition: "process_completed_successfully" },
      secrets: { condition: "process_completed_successfully" },
    });
    expect(processes.nginx?.depends_on).not.toHaveProperty("luggage-collector");
  });

  test("have no process if nothing needs any", () => {
    const { tailnet, certificates, ...without } = spec;
    const names = (of: Parameters<typeof processCompose>[0]) => Object.keys(parse(processCompose(of)).processes);
    expect(names({ ...without, luggage: {} })).not.toContain("secrets");
    expect(names({ ...without, luggage: {}, certificates })).toEqual(expect.arrayContaining(["secrets", "certs"]));
    expect(names({ ...without, luggage: {}, tailnet })).toContain("secrets");
  });

  test("and the vault's certificates belong to another user than nginx's", () => {
    expect(processes.certs?.entrypoint.slice(0, 2)).toEqual(["/usr/bin/runas", "certs"]);
  });
});

describe("luggage", () => {
  const one = (change: Partial<Luggage>): Process => processesOf(carried(change))["luggage-blog"] as Process;

  test.each([
    ["serve", "/luggage/blog/serve"],
    ["./bin/serve", "/luggage/blog/bin/serve"],
    ["/bin/httpd", "/bin/httpd"],
  ])("its program %s is %s", (program, path) => {
    const { entrypoint } = one({ command: [program, "-x", "$HOME"] });
    expect(entrypoint.slice(entrypoint.indexOf("luggage-blog"))).toEqual(["luggage-blog", path, "-x", "$HOME"]);
  });

  test("gets its own variables and its location, and nothing else", () => {
    const { entrypoint, environment } = one({ env: { B: "2", A: "1" }, port: 9000 });
    expect(environment).toEqual(["A=1", "B=2", "PORT=9000"]);
    expect(entrypoint.join(" ")).toBe(
      "/usr/bin/runas -e A -e B -e PORT -e POP_NAME -e FLY_APP_NAME -e FLY_REGION -e FLY_MACHINE_ID luggage-blog /luggage/blog/serve",
    );
  });

  test.each(["PATH", "HOME", "LD_PRELOAD", "A B", "", "1A", "A=B"])("rejects the variable %j", (key) => {
    expect(() => one({ env: { [key]: "x" } })).toThrow(/cannot be set/);
  });

  test.each(["", "Blog", "a", "a_b", "a b", "-a", "../x", "a".repeat(40)])("rejects the name %j", (name) => {
    expect(() => processCompose({ luggage: { [name]: carried({}).blog as Luggage } })).toThrow(/not a name/);
  });

  test("rejects an empty command and a privileged port", () => {
    expect(() => one({ command: [] })).toThrow(/command is empty/);
    expect(() => one({ port: 80 })).toThrow(/takes whole numbers from 1024 to 65535/);
  });

  test("rejects a port that the PoP or other luggage uses", () => {
    expect(() => one({ port: 1103 })).toThrow("luggage.blog.port is 1103: already used by the image (nginxStatus).");
    const two = { ...carried({ port: 9000 }), other: carried({ port: 9000 }).blog as Luggage };
    expect(() => processCompose({ luggage: two })).toThrow("luggage.other.port is 9000: already used by luggage.blog.");
  });

  test("arguments and values are not changed", () => {
    const plain = fc.string({ unit: "grapheme-composite" }).filter((it) => !it.includes("\0"));
    fc.assert(
      fc.property(plain, plain, (argument, value) => {
        const { entrypoint, environment } = one({ command: ["serve", argument], env: { A: value } });
        expect(entrypoint.at(-1)).toBe(argument);
        expect(environment?.[0]?.replaceAll('{{"{{"}}', "{{")).toBe(`A=${value}`);
      }),
    );
  });
});

describe("luggage with dependencies", () => {
  const one = carried({}).blog as Luggage;
  const health = { probe: { kind: "http", path: "/healthz" }, everySeconds: 10, timeoutSeconds: 3 } as const;
  const waits = (luggage: Record<string, Luggage>, name: string) =>
    processesOf(luggage)[`luggage-${name}`]?.depends_on ?? {};

  test("waits until the other luggage is healthy, or has started if it has no health check", () => {
    const all = { asked: { ...one, health }, mute: one, blog: { ...one, dependsOn: ["mute", "asked"] } };
    expect(waits(all, "blog")).toEqual({
      postInit: { condition: "process_completed_successfully" },
      "luggage-asked": { condition: "process_healthy" },
      "luggage-mute": { condition: "process_started" },
    });
  });

  test.each([
    ["unbound", "process_healthy"],
    ["nginx", "process_healthy"],
    ["certs", "process_started"],
    ["tailscaled", "process_started"],
    ["tailscale-up", "process_completed_successfully"],
    ["secrets", "process_completed_successfully"],
  ])("depends on the PoP's own %s with condition %s", (name, condition) => {
    expect(waits(carried({ dependsOn: [name] }), "blog")).toMatchObject({ [name]: { condition } });
  });

  test("has no dependents: nginx serves without it", () => {
    const all = { first: one, blog: { ...one, dependsOn: ["first"] } };
    const { nginx } = processesOf(all);
    expect(nginx?.depends_on).toHaveProperty("luggage-first");
    expect(nginx?.depends_on).not.toHaveProperty("luggage-blog");
  });

  test("prefers luggage if a name is both luggage's and a process's", () => {
    const all = { nginx: one, blog: { ...one, dependsOn: ["nginx"] } };
    expect(Object.keys(waits(all, "blog"))).toEqual(["postInit", "luggage-nginx"]);
  });

  test.each([
    ["what does not exist", { blog: { ...one, dependsOn: ["nobody"] } }, 'there is no process "nobody" to wait for'],
    [
      "an inherited property of objects",
      { blog: { ...one, dependsOn: ["constructor"] } },
      'there is no process "constructor"',
    ],
    ["itself", { blog: { ...one, dependsOn: ["blog"] } }, "blog waits for blog"],
    [
      "each other",
      { aa: { ...one, dependsOn: ["bb"] }, bb: { ...one, dependsOn: ["aa"] } },
      "aa waits for bb waits for aa",
    ],
    [
      "a chain that is too long",
      {
        aa: { ...one, dependsOn: ["bb"] },
        bb: { ...one, dependsOn: ["cc"] },
        cc: { ...one, dependsOn: ["nginx"] },
      },
      "aa waits for bb waits for cc waits for nginx",
    ],
  ])("rejects a dependency on %s", (_, luggage, reason) => {
    expect(() => processCompose({ ...spec, luggage })).toThrow(reason);
  });

  test("all allowed chains stop before the machine is killed", () => {
    const names = ["aa", "bb", "cc", "dd"];
    const luggage = fc.record(
      Object.fromEntries(
        names.map((name) => [
          name,
          fc
            .subarray([...names, "nginx", "secrets", "tailscale-up", "unbound"])
            .map((dependsOn) => ({ ...one, dependsOn })),
        ]),
      ),
    );
    let allowed = 0;
    fc.assert(
      fc.property(luggage, (all) => {
        try {
          processCompose({ ...spec, luggage: all });
        } catch {
          return;
        }
        allowed++;
        expect(shutdownSeconds({ ...spec, luggage: all })).toBeLessThan(stopSeconds);
      }),
      { numRuns: 300 },
    );
    expect(allowed).toBeGreaterThan(5);
  });
});

describe("luggage with a health check", () => {
  const health = { probe: { kind: "http", path: "/healthz" }, everySeconds: 30, timeoutSeconds: 2 } as const;

  test("is checked as its own user with its own environment, and restarted only after several failures", () => {
    const { entrypoint, readiness_probe } = processesOf(carried({ health, port: 9000, env: { A: "1" } }))[
      "luggage-blog"
    ] as Process;
    const starts = entrypoint.slice(0, entrypoint.indexOf("luggage-blog") + 1).join(" ");
    expect(readiness_probe).toEqual({
      exec: { command: `exec ${starts} /usr/bin/pop check blog` },
      initial_delay_seconds: 1,
      period_seconds: 30,
      timeout_seconds: 7,
      failure_threshold: 6,
    });
  });

  test("has no probe without one", () => {
    expect(processesOf(carried({}))["luggage-blog"]).not.toHaveProperty("readiness_probe");
  });
});

test("a control server with its own CA file is verified only with that", () => {
  const tailnet = { domain: "tail.example", tags: ["pop"], hostPrefix: "pop-", loginServer: "https://login.example" };
  const entry = (of: typeof tailnet & { ca?: string }) =>
    parse(processCompose({ ...spec, tailnet: of })).processes.tailscaled.entrypoint;
  expect(entry({ ...tailnet, ca: "ca.pem" })).toContain("SSL_CERT_FILE=/etc/pop/tailnet-ca.pem");
  expect(entry(tailnet).join(" ")).not.toContain("SSL_CERT_FILE");
});
