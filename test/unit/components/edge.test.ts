/** What the components register, and that the simulation's own table of it (test/sim/stack.ts) is the same. */
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { Edge } from "../../../components/edge.ts";
import type { StackFiles } from "../../../config/files.ts";
import { parseConfig } from "../../../config/parse.ts";
import { contextDigest } from "../../../image/context.ts";
import { program, type StackSpec } from "../../sim/stack.ts";
import { image } from "../../support/context.ts";

interface Registered {
  name: string;
  type: string;
  inputs: Record<string, unknown>;
}

/** What only handlers know, by kind. */
const known: Record<string, Record<string, unknown>> = {
  Identity: { recipient: "ssh-ed25519 AAAA", knownHosts: "pop-cdg-1 ssh-ed25519 AAAA", isNew: true },
  SealedSecrets: { sealed: "sealed secrets" },
  AuthKey: { sealed: "sealed key", expires: "2026-11-28T19:00:00Z" },
  // What the Docker provider hands out, whatever was built.
  Image: { repoDigest: image(7) },
};

/** Registers an edge of this stack file; ids are "id of <name>". */
async function register(
  file: Record<string, unknown>,
  files: StackFiles = {},
  assumedContext?: string,
): Promise<Registered[]> {
  const registered: Registered[] = [];
  await pulumi.runtime.setMocks(
    {
      call: () => ({}),
      newResource: ({ name, type, inputs }) => {
        registered.push({ name, type, inputs });
        return {
          id: `id of ${name.replace(/^edge-/, "")}`,
          state: { ...inputs, ...known[type.split(":").at(-1) ?? ""] },
        };
      },
    },
    "fly-pops",
    "prod",
  );
  const registry = { server: "registry.example" };
  const edge = new Edge("edge", { ...parseConfig(file), owner, registry, files, assumedContext });
  await Promise.all([edge.urn, ...Object.values(edge.pops).map(({ machine }) => machine.urn)].map(settled));
  await pulumi.runtime.disconnect();
  return registered;
}

const settled = <T>(output: pulumi.Output<T>): Promise<T> => new Promise((resolve) => output.apply(resolve));

const owner = "me/fly-pops/prod";
const file = {
  app: "edge",
  organization: "personal",
  addresses: ["v4", "v6"],
  regions: { ams: { replicas: 3 }, cdg: { memoryMb: 512, volumeGb: 5 } },
  sites: [{ host: "www.example.org", origin: "http://web:8080" }],
  imageRef: image(1),
  rollout: { canary: "cdg", maxUnavailable: 9, drain: "5s", timeout: "90s" },
};

const simulated: StackSpec = {
  app: "edge",
  organization: "personal",
  owner,
  addresses: ["v4", "v6"],
  pops: [
    ...["ams-1", "ams-2", "ams-3"].map((name) => ({ name, region: "ams", cpus: 1, memoryMb: 256, volumeGb: 3 })),
    { name: "cdg-1", region: "cdg", cpus: 1, memoryMb: 512, volumeGb: 5 },
  ],
  canary: "cdg-1",
  image: image(1),
  env: {},
  checkInterval: "5s",
  maxUnavailable: 9,
  keepVolumes: true,
  drainSeconds: 5,
  timeoutSeconds: 90,
};

test("the simulation declares what the components register: names, kinds, inputs", async () => {
  const registered = await register(file);
  const own = registered.filter(({ type }) => type.startsWith("pulumi-nodejs:dynamic/fly:"));
  const expected = program(simulated).map(({ name, kind, inputs }) => ({
    name: `edge-${name}`,
    kind,
    inputs: inputs((it) => `id of ${it}`),
  }));
  const found = own.map(({ name, type, inputs }) => {
    const { __provider: _, ...rest } = inputs;
    const declared = Object.keys(expected.find((it) => it.name === name)?.inputs ?? {});
    const unasked = Object.entries(rest).filter(([key, value]) => !declared.includes(key) && value !== undefined);
    expect(unasked).toEqual([]);
    return {
      name,
      kind: type.split(":").at(-1),
      inputs: Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    };
  });
  const byName = <T extends { name: string }>(all: T[]) => all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  expect(byName(found)).toEqual(byName(expected));
});

test("each PoP's machine has a service for each port of the stack file", async () => {
  const registered = await register({ ...file, ports: { 25: { to: "mail:25" }, 22: { to: "git:22" } } });
  const machines = registered.filter(({ type }) => type.endsWith("fly:Machine"));
  const publicPorts = machines.map(({ inputs }) => {
    const { services } = inputs.config as { services: { internal_port: number; ports: { port: number }[] }[] };
    return services.map(({ internal_port, ports }) => `${ports[0]?.port} ${internal_port}`);
  });
  expect(publicPorts).toEqual(Array(4).fill(["80 1101", "443 1102", "22 1200", "25 1201"]));
});

const cdgAlone = { ...file, regions: { cdg: {} }, rollout: undefined };
const kindsOf = (all: Registered[]) =>
  all.flatMap(({ type, name, inputs }) =>
    type.startsWith("pulumi-nodejs:dynamic/fly:") ? [[type.split(":").at(-1), { name, inputs }] as const] : [],
  );

test("PoPs that order their certificates get the app's addresses, others do not", async () => {
  const environments = async (more: Record<string, unknown>) =>
    (await register({ ...file, ...more })).flatMap(({ name, inputs }) =>
      name.endsWith("-machine") ? [(inputs.config as { env: Record<string, string> }).env] : [],
    );
  const certificates = { acme: { email: "ada@example.org", terms: "agreed" } };
  known.Address = { ip: "203.0.113.7" };
  const reported = await environments({ certificates });
  delete known.Address;
  expect(reported.length).toBeGreaterThan(0);
  for (const env of reported) expect(env.POP_ADDRESSES).toBe("203.0.113.7 203.0.113.7");
  for (const env of await environments({})) expect(env).not.toHaveProperty("POP_ADDRESSES");
});

test("a stack with secrets: identity, what is sealed to it, and the machine that is given it", async () => {
  const tailnet = {
    domain: "tail.example",
    controlPlane: "headscale",
    loginServer: "https://login.example",
    ca: "ca.pem",
  };
  const certificates = { vault: { address: "https://vault.example" } };
  const ciphertexts = { vaultRoleId: "ENC[a]", vaultSecretId: "ENC[b]" };
  const secrets = { file: "secrets.yaml", ciphertexts };
  const all = Object.fromEntries(
    kindsOf(
      await register(
        { ...cdgAlone, tailnet, certificates, secretsFile: "secrets.yaml" },
        { secrets, tailnetCa: "PEM" },
      ),
    ),
  );
  const { __provider: _, ...identity } = all.Identity?.inputs ?? {};
  expect(identity).toEqual(
    expect.objectContaining({
      pop: "cdg-1",
      name: "cdg-1-identity",
      machine: "cdg-1",
      volume: "id of cdg-1-volume",
      mountPath: "/var",
      hosts: ["pop-cdg-1", "pop-cdg-1.tail.example"],
      image: image(1),
      owner,
    }),
  );
  expect(all.SealedSecrets?.inputs).toMatchObject({ pop: "cdg-1", ...secrets, recipient: "ssh-ed25519 AAAA" });
  expect(all.AuthKey?.inputs).toMatchObject({
    node: "pop-cdg-1",
    driver: "headscale",
    server: "https://login.example",
    ca: "PEM",
    tags: ["pop"],
    recipient: "ssh-ed25519 AAAA",
    isNew: true,
    secretName: "tailscaleAuthKey",
  });
  expect(all.Machine?.inputs.joins).toEqual({
    node: "pop-cdg-1",
    driver: "headscale",
    server: "https://login.example",
    ca: "PEM",
    expires: "2026-11-28T19:00:00Z",
  });
  const config = all.Machine?.inputs.config as { files?: unknown } | undefined;
  expect(config?.files).toEqual([
    { guest_path: "/etc/pop/sealed.yaml", raw_value: Buffer.from("sealed secrets").toString("base64"), mode: 256 },
    { guest_path: "/etc/pop/sealed-tailnet.yaml", raw_value: Buffer.from("sealed key").toString("base64"), mode: 256 },
  ]);
});

test.each([
  ["no secrets", {}, {}, []],
  [
    "an auth key among the secrets",
    { tailnet: { domain: "a.test" }, secretsFile: "secrets.yaml" },
    { secrets: { file: "secrets.yaml", ciphertexts: { tailscaleAuthKey: "ENC[a]" } } },
    ["Identity", "SealedSecrets"],
  ],
  ["a driver alone", { tailnet: { domain: "a.test", controlPlane: "tailscale" } }, {}, ["AuthKey", "Identity"]],
])("a stack with %s makes what it needs and nothing more", async (_, more, files, expected) => {
  const kinds = kindsOf(await register({ ...cdgAlone, ...more }, files)).map(([kind]) => kind);
  const always = ["Address", "Address", "App", "Machine", "Volume"];
  expect(kinds.toSorted()).toEqual([...always, ...expected].toSorted());
});

describe("which image a PoP must run", () => {
  const configOf = (all: Registered[]) =>
    all.find(({ type }) => type.endsWith("fly:Machine"))?.inputs.config as { image: string; env: object };

  test("is said by what it is made from, not by what the Docker provider says was pushed", async () => {
    const built = { ...cdgAlone, imageRef: "" };
    const context = contextDigest(parseConfig(built).image, ".");
    const all = await register(built);
    expect(configOf(all)).toMatchObject({
      image: image(7),
      env: { POP_NAME: "cdg-1", POP_EXPECTED_CONTEXT: context },
    });
    const { imageName } = all.find(({ type }) => type === "docker:index/image:Image")?.inputs ?? {};
    expect(imageName).toBe(`registry.example/id of app:pop-${context.slice(0, 16)}`);
    const changed = await register({ ...built, sites: [{ host: "www.example.org", origin: "http://web:8081" }] });
    expect(configOf(changed).env).not.toMatchObject({ POP_EXPECTED_CONTEXT: context });
  });

  test("is not said of an operator's own, unless a preview knows it", async () => {
    expect(configOf(await register(cdgAlone)).env).toEqual({ POP_NAME: "cdg-1" });
    expect(configOf(await register(cdgAlone, {}, "c1")).env).toEqual({
      POP_NAME: "cdg-1",
      POP_EXPECTED_CONTEXT: "c1",
    });
  });
});
