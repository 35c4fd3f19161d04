import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { StackFile } from "../../../config/schema.ts";
import { type Path, pathText, schemaAt, schemaNode } from "../../../config/schema-path.ts";
import { normalizeOrigin } from "../../../config/validators.ts";
import { guestProblem, memoryRange, presets } from "../../../fly/guests.ts";
import { regions } from "../../../fly/regions.ts";
import { isTcpPort, ports } from "../../../image/ports.ts";
import { streamBlock } from "../../../image/render/nginx-stream.ts";
import { processCompose } from "../../../image/render/process-compose.ts";
import {
  hostName,
  isHeaderValue,
  isLuggageName,
  parseEndpoint,
  parseOrigin,
  serverAddress,
  zoneName,
} from "../../../image/render/validators.ts";
import { mistakesIn } from "../../support/mistakes.ts";

fc.configureGlobal({ seed: 20261124 }); // the same files every time; change it to look elsewhere

type Raw = Record<string, unknown>;

const optional = <T>(it: fc.Arbitrary<T>) => fc.option(it, { nil: undefined });
const someKeys = { requiredKeys: [] as [] };

const code = fc.constantFrom(...regions.filter((it) => !it.deprecated).map((it) => it.code));
const policy = {
  statuses: fc.dictionary(fc.constantFrom("301", "404", "410"), fc.integer({ min: 0, max: 9_999 }), { maxKeys: 3 }),
  ignoreQuery: fc.oneof(fc.boolean(), fc.uniqueArray(fc.constantFrom("utm_*", "fbclid", "a.b~"), { minLength: 1 })),
  vary: fc.uniqueArray(fc.constantFrom("Accept-Language", "X-Device"), { minLength: 1 }),
};
const label = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,10}[a-z0-9])?$/);
const host = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join("."));
const duration = fc.oneof(
  fc.integer({ min: 0, max: 86_400 }),
  fc.integer({ min: 0, max: 365 }).map((n) => `${n}d`),
);
/** Hosts of origins end in .internal, hosts of sites never do: nothing loops. */
const originUrl = fc
  .tuple(fc.constantFrom("http", "https"), label, optional(fc.integer({ min: 1, max: 65_535 })))
  .map(([scheme, name, port]) => `${scheme}://${name}.internal${port === undefined ? "" : `:${port}`}`);
const headerValue = fc.string({ minLength: 1, maxLength: 30 }).filter(isHeaderValue);
const dir = label.map((name) => `./${name}`);

/** Size and memory that go together; both are written, so that neither falls back on something else. */
const guest = fc.constantFrom(...Object.entries(presets)).chain(([size, { cpuKind, cpus }]) => {
  const { minMb, maxMb, stepMb } = memoryRange(cpuKind, cpus);
  return fc.integer({ min: 0, max: (maxMb - minMb) / stepMb }).map((n) => ({ size, memoryMb: minMb + n * stepMb }));
});
const settings = fc
  .tuple(
    guest,
    fc.record({ replicas: fc.integer({ min: 1, max: 12 }), volumeGb: fc.integer({ min: 1, max: 500 }) }, someKeys),
  )
  .map(([guest, rest]) => ({ ...guest, ...rest }));

const luggage = fc
  .uniqueArray(
    fc.record({
      name: label.filter(isLuggageName),
      port: fc
        .integer({ min: 1024, max: 65_535 })
        .filter((port) => !Object.values<number>(ports).includes(port) && !isTcpPort(port)),
      source: fc.oneof(
        dir.map((files) => ({ files })),
        label.map((image) => ({ image: `ghcr.io/me/${image}:1` })),
      ),
      env: fc.dictionary(fc.stringMatching(/^[A-E][A-Z_]{0,5}$/), fc.oneof(label, fc.integer(), fc.boolean()), {
        maxKeys: 3,
      }),
    }),
    { maxLength: 3, selector: (it) => it.port, comparator: "IsStrictlyEqual" },
  )
  .map((all) =>
    Object.fromEntries(
      all.map(({ name, port, source, env }) => [name, { ...source, port, env, command: [`./${name}`] }]),
    ),
  );

const file: fc.Arbitrary<Raw> = luggage.chain((luggage) => {
  const names = Object.keys(luggage);
  const kind = fc.oneof(
    fc.record(
      {
        limit: fc.oneof(
          fc.constant(false as const),
          fc.record(
            {
              requests: fc
                .tuple(fc.integer({ min: 1, max: 100_000 }), fc.constantFrom("s", "m"))
                .map((it) => it.join("/")),
              burst: fc.integer({ min: 0, max: 100_000 }),
              connections: fc.integer({ min: 1, max: 256 }),
            },
            { requiredKeys: [] },
          ),
        ),
        access: fc.record({
          deny: fc.oneof(fc.ipV4(), fc.ipV6(), fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 4 })),
          agents: fc.constant(["GPTBot"]),
        }),
        origin: fc.oneof(
          originUrl,
          fc.uniqueArray(originUrl, { minLength: 1, maxLength: 8, selector: normalizeOrigin }),
        ),
        cache: fc.record(
          {
            maxAge: duration,
            staleIfError: duration,
            staleWhileRevalidate: duration,
            cookies: fc.constant(["a*"]),
            ...policy,
          },
          someKeys,
        ),
        timeouts: fc.record(
          { connect: fc.integer({ min: 1, max: 75 }), read: fc.integer({ min: 1, max: 3600 }) },
          someKeys,
        ),
        maxBodyMb: fc.integer({ min: 1, max: 4096 }),
        headers: fc.dictionary(fc.stringMatching(/^X-[A-Z]{1,5}$/), headerValue, { maxKeys: 3 }),
      },
      { requiredKeys: ["origin"] },
    ),
    originUrl.map((redirect) => ({ redirect })),
    dir.map((files) => ({ files })),
    ...(names.length > 0 ? [fc.constantFrom(...names).map((name) => ({ luggage: name }))] : []),
  );
  return fc
    .record(
      {
        app: label,
        organization: label,
        defaults: settings,
        regions: fc.dictionary(code, settings, { minKeys: 1, maxKeys: 4 }),
        sites: fc
          .uniqueArray(fc.tuple(host, kind), { minLength: 1, maxLength: 4, selector: ([it]) => it })
          .map((all) => all.map(([name, it]) => ({ host: `${name}.example`, ...it }))),
        luggage: fc.constant(luggage),
        ports: fc.dictionary(fc.integer({ min: 444, max: 65_535 }).map(String), port(names), { maxKeys: 3 }),
        secretsFile: fc.constant("./secrets.yaml"),
        dns: fc.record(
          {
            forward: fc.uniqueArray(
              fc.record({
                zone: host,
                servers: fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { minLength: 1, maxLength: 2 }),
              }),
              { maxLength: 2, selector: (it) => it.zone },
            ),
          },
          someKeys,
        ),
        tailnet: optional(
          fc.record(
            {
              domain: host.map((it) => `${it}.tailnet`),
              loginServer: originUrl,
              tags: fc.array(label, { minLength: 1 }),
            },
            { requiredKeys: ["domain"] },
          ),
        ),
        cache: fc.record({ maxSizeMb: fc.integer({ min: 16, max: 900 }) }, someKeys),
        rollout: fc.record({ maxUnavailable: fc.integer({ min: 1, max: 9 }) }, someKeys),
        addresses: fc.uniqueArray(fc.constantFrom("v4", "v6"), { minLength: 1 }),
        snapshots: fc.integer({ min: 0, max: 60 }),
        protect: fc.boolean(),
        imagePlatform: fc.constantFrom("linux/amd64", "host"),
        egressGb: fc.integer({ min: 0, max: 1_000_000 }),
      },
      { requiredKeys: ["app", "regions", "sites", "luggage", "secretsFile"] },
    )
    .chain((it) =>
      fc.constantFrom(undefined, ...Object.keys(it.regions)).map((canary) => ({
        ...it,
        ...(canary !== undefined && { rollout: { ...it.rollout, canary } }),
      })),
    );
});

/** Totals are small, so that those of several ports fit into the smallest machine. */
const port = (luggage: string[]) =>
  fc
    .tuple(
      fc.oneof(
        label.map((name) => ({ to: `${name}.internal:22` })),
        fc
          .ipV4()
          .filter((it) => !it.startsWith("127.") && it !== "0.0.0.0")
          .map((it) => ({ to: `${it}:22` })),
        ...(luggage.length > 0 ? [fc.constantFrom(...luggage).map((name) => ({ luggage: name }))] : []),
      ),
      fc.record(
        {
          proxyProtocol: fc.constantFrom("v2" as const, false as const),
          limit: fc.record(
            { total: fc.integer({ min: 50, max: 300 }), connections: fc.integer({ min: 1, max: 50 }) },
            someKeys,
          ),
          idle: fc.integer({ min: 10, max: 86_400 }),
        },
        someKeys,
      ),
    )
    .map(([to, rest]) => ({ ...to, ...rest }));

/** The same data with the keys of every map in another order. */
function turned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, it]) => [key, turned(it)]),
  );
}

/** Paths of all keys the schema names; keys users choose (regions, luggage, variables) are not among them. */
function namedKeys(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [];
  const schema = schemaAt(StackFile, path);
  const named = schema !== undefined && schemaNode(schema).kind === "object";
  return Object.entries(value).flatMap(([key, child]) => {
    const at = [...path, Array.isArray(value) ? Number(key) : key];
    return [...(named ? [at] : []), ...namedKeys(child, at)];
  });
}

/** The same data with one key renamed. */
function renamed(value: unknown, [key, ...rest]: Path, name: string): unknown {
  if (Array.isArray(value)) return value.map((it, index) => (index === key ? renamed(it, rest, name) : it));
  return Object.fromEntries(
    Object.entries(value as Raw).map(([k, it]) => {
      if (k !== key) return [k, it];
      return rest.length === 0 ? [name, it] : [k, renamed(it, rest, name)];
    }),
  );
}

const mistakesOf = (raw: Raw) => mistakesIn(() => parseConfig(raw));

describe("any valid stack file", () => {
  test("gives PoPs in order, each with a name of its own and memory its size takes", () => {
    fc.assert(
      fc.property(file, (raw) => {
        const { pops, rollout, image } = parseConfig(raw);
        const names = pops.map((it) => it.name);
        expect(new Set(names).size).toBe(names.length);
        expect(names).toEqual(names.toSorted(new Intl.Collator("en", { numeric: true }).compare));
        for (const pop of pops) {
          expect(pop.name.startsWith(`${pop.region}-`)).toBe(true);
          expect(guestProblem(pop)).toBeUndefined();
          expect(image.cache.maxSizeMb).toBeLessThan(pop.volumeGb * 1024);
        }
        if (rollout.canary !== undefined) expect(names).toContain(rollout.canary);
      }),
    );
  });

  test("says the same whatever the order of its keys", () => {
    fc.assert(
      fc.property(file, (raw) => {
        const config = parseConfig(raw);
        // As text: what is rendered or hashed must not hang on the order either.
        expect(JSON.stringify(parseConfig(turned(raw) as Raw))).toBe(JSON.stringify(config));
      }),
    );
  });

  test("is not changed by reading it", () => {
    fc.assert(
      fc.property(file, (raw) => {
        const before = structuredClone(raw);
        parseConfig(raw);
        expect(raw).toEqual(before);
      }),
    );
  });

  test("gives only names, ports and variables that the renderers of the image take", () => {
    fc.assert(
      fc.property(file, (raw) => {
        const { sites, passThrough = [], luggage, dns, ports = [] } = parseConfig(raw).image;
        const isStreaming = ports.length + passThrough.length > 0;
        expect(streamBlock({ ports, passThrough, sites, luggage })).toHaveLength(isStreaming ? 2 : 0);
        for (const site of sites) {
          expect(hostName(site.host)).toBe(site.host);
          if (site.kind === "proxy") site.origins.map(parseOrigin);
          if (site.kind === "redirect") parseOrigin(site.to);
        }
        expect(processCompose({ luggage })).toContain("nginx");
        for (const { zone, servers } of dns.forward) {
          zoneName(zone);
          for (const server of servers) serverAddress(server);
        }
      }),
    );
  });
});

describe("any text at all", () => {
  test("is refused by config, or taken by the renderers of the image", () => {
    const sloppy = fc.oneof(
      fc.string(),
      fc.string({ unit: "grapheme" }),
      fc.webUrl(),
      fc.stringMatching(/^https?:\/\/[a-z0-9._:[\]@;{}$-]{1,20}$/),
      fc.stringMatching(/^[a-z0-9._-]{1,20}$/),
      fc.ipV4Extended(),
      fc.ipV6(),
    );
    const base = { app: "a", regions: { cdg: {} } };
    fc.assert(
      fc.property(sloppy, (text) => {
        for (const kind of ["origin", "redirect"]) {
          const raw = { ...base, sites: [{ host: "www.example.org", [kind]: text }] };
          if (mistakesOf(raw).length > 0) continue;
          const [site] = parseConfig(raw).image.sites;
          if (site?.kind === "proxy") site.origins.map(parseOrigin);
          if (site?.kind === "redirect") parseOrigin(site.to);
        }
        const hosts = { ...base, sites: [{ host: text, files: "a" }] };
        if (mistakesOf(hosts).length === 0) hostName(parseConfig(hosts).image.sites[0]?.host ?? "");
        for (const to of [text, `${text}:22`]) {
          const ports = { ...base, sites: [{ host: "a.org", files: "a" }], ports: { 22: { to } } };
          const target = mistakesOf(ports).length === 0 ? parseConfig(ports).image.ports?.[0]?.to : undefined;
          if (target?.kind === "host") parseEndpoint(target.address);
        }
        const zones = {
          ...base,
          sites: [{ host: "a.org", files: "a" }],
          dns: { forward: [{ zone: text, servers: ["1.1.1.1"] }] },
        };
        if (mistakesOf(zones).length === 0) zoneName(parseConfig(zones).image.dns.forward[0]?.zone ?? "");
        const servers = {
          ...base,
          sites: [{ host: "a.org", files: "a" }],
          dns: { forward: [{ zone: "a", servers: [text] }] },
        };
        if (mistakesOf(servers).length === 0)
          serverAddress(parseConfig(servers).image.dns.forward[0]?.servers[0] ?? "");
      }),
      { numRuns: 500 },
    );
  });
});

describe("any one mistake in a key", () => {
  test("is reported with its path", () => {
    const slip = fc.constantFrom(
      (key: string) => `${key}x`,
      (key: string) => key.slice(1),
      (key: string) => `${key[0]}${key}`,
      (key: string) => key.toUpperCase(),
      (key: string) => `${key[1]}${key[0]}${key.slice(2)}`,
    );
    const change = file.chain((raw) => fc.tuple(fc.constant(raw), fc.constantFrom(...namedKeys(raw)), slip));
    fc.assert(
      fc.property(change, ([raw, path, slip]) => {
        const key = String(path.at(-1));
        const wrong = slip(key);
        const reported = `${pathText([...path.slice(0, -1), wrong])}: unknown key; did you mean `;
        expect(mistakesOf(renamed(raw, path, wrong) as Raw).filter((it) => it.startsWith(reported))).toHaveLength(1);
      }),
      { numRuns: 500 },
    );
  });

  test("of a region is reported with its path", () => {
    const change = file.chain((raw) => fc.tuple(fc.constant(raw), fc.constantFrom(...Object.keys(raw.regions as Raw))));
    fc.assert(
      fc.property(change, ([raw, code]) => {
        const wrong = renamed(raw, ["regions", code], `${code}x`) as Raw;
        expect(mistakesOf(wrong).join("\n")).toContain(`regions.${code}x: no such region; did you mean `);
      }),
    );
  });
});

test("whatever is given, the answer is a configuration or a list of mistakes", () => {
  const anything = fc.record(
    Object.fromEntries(Object.keys(StackFile.shape).map((key) => [key, fc.oneof(fc.jsonValue(), fc.anything())])),
    someKeys,
  );
  fc.assert(
    fc.property(anything, (raw) => {
      expect(mistakesOf(raw as Raw).length).toBeGreaterThan(0);
    }),
  );
});
