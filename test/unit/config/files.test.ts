import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../../config/parse.ts";
import { StackFile } from "../../../config/schema.ts";
import { fieldOf, schemaAt } from "../../../config/schema-path.ts";
import { configReference, referencePath } from "../../../tools/docs/config.ts";

const root = new URL("../../../", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), "utf8");

/** What the engine hands to the program: keys of our namespace without it. */
function ours(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config)
      .filter(([key]) => key.startsWith("fly-pops:"))
      .map(([key, value]) => [key.slice("fly-pops:".length), value]),
  );
}

describe("stack files", () => {
  test("prod: Fly itself, two regions, the canary first", () => {
    const config = parseConfig(ours(parse(read("Pulumi.prod.yaml")).config));
    expect(config.pops.map((it) => it.name)).toEqual(["cdg-1", "ewr-1", "ewr-2"]);
    expect(config).toMatchObject({ imagePlatform: "linux/amd64", protect: true, rollout: { canary: "cdg-1" } });
    // What needs credentials of another kind is for later.
    expect(config.image.tailnet).toBeUndefined();
  });

  test("local: two PoPs, a cached site at home, a redirect and a cached site at an address, nothing protected", () => {
    const config = parseConfig(ours(parse(read("Pulumi.local.yaml")).config));
    expect(config).toMatchObject({
      app: "fly-pops-local",
      organization: "personal",
      imagePlatform: "host",
      protect: false,
    });
    expect(config.pops).toMatchObject([
      { name: "cdg-1", memoryMb: 256 },
      { name: "ewr-1", memoryMb: 256 },
    ]);
    expect(config.image.sites).toEqual([
      {
        kind: "proxy",
        limit: { requests: { count: 200, per: "s", burst: 2000 } },
        host: "www.example.test",
        origins: ["http://home.tail.internal:8080"],
        cache: { maxAgeSeconds: 600, staleIfErrorSeconds: 86_400, staleWhileRevalidateSeconds: 0, maxFileMb: 256 },
      },
      { kind: "redirect", host: "example.test", to: "https://www.example.test" },
      {
        kind: "proxy",
        limit: { requests: { count: 200, per: "s", burst: 2000 } },
        host: "direct.example.test",
        origins: ["http://home.tail.internal:8080"],
        cache: { maxAgeSeconds: 600, staleIfErrorSeconds: 86_400, staleWhileRevalidateSeconds: 0, maxFileMb: 256 },
        certificateFrom: "acme",
      },
    ]);
    expect(config.image.tailnet).toMatchObject({ domain: "tail.internal", controlPlane: "headscale", tags: ["pop"] });
    expect(config.image.certificates?.vault?.address).toBe("https://home.tail.internal:8200");
    expect(config.secretsFile).toBe(".cache/local/home/secrets.yaml");
  });

  test.each(["Pulumi.prod.yaml", "Pulumi.local.yaml"])(
    "%s holds no encrypted value and no key of the providers",
    (name) => {
      const text = read(name);
      expect(text).not.toContain("secure:");
      expect(Object.keys(parse(text).config).filter((key) => !key.startsWith("fly-pops:"))).toEqual([]);
    },
  );

  test("local's state opens with the passphrase everybody's clone uses: its salt is committed", () => {
    expect(parse(read("Pulumi.local.yaml")).encryptionsalt).toMatch(/^v1:[^:]+:v1:/);
  });
});

describe("Pulumi.yaml", () => {
  const declared: Record<string, { type?: string; items?: unknown; description: string; default?: unknown }> = parse(
    read("Pulumi.yaml"),
  ).config;
  /** A type would have the engine refuse texts, or ask for a default. */
  const untyped = ["regions", "sites", "production"];

  test("declares the keys of the schema, no more and no fewer", () => {
    expect(Object.keys(declared)).toEqual(Object.keys(StackFile.shape));
  });

  test.each(Object.keys(StackFile.shape))("%s has the type, the text and the default of the schema", (key) => {
    const schema = schemaAt(StackFile, [key]);
    const field = schema && fieldOf(schema);
    expect(declared[key]?.description).toBe(field?.meaning);
    expect(declared[key]?.type).toBe(untyped.includes(key) ? undefined : field?.type);
    // The manual writes defaults as YAML, in backticks; Pulumi has none for "absent", and would want the key in every stack then.
    const absent = field?.type === "object" ? "{}" : '""';
    const written = field?.default === "absent" ? absent : field?.default?.replaceAll("`", "");
    expect(declared[key]?.default).toEqual(written === undefined ? undefined : parse(written));
  });

  test("its defaults are those of a file that says nothing", () => {
    const least = { app: "a", regions: { cdg: {} }, sites: [{ host: "www.example.org", files: "site" }] };
    const filled = Object.fromEntries(
      Object.entries(declared).flatMap(([key, it]) => (it.default === undefined ? [] : [[key, it.default]])),
    );
    expect(parseConfig({ ...filled, ...least })).toEqual(parseConfig(least));
  });
});

test("docs/config.md is what tools/docs/config.ts writes: else run `npm run docs`", () => {
  expect(readFileSync(referencePath, "utf8")).toBe(configReference());
});
