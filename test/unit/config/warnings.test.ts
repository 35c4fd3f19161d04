import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { configWarnings, isProduction } from "../../../config/warnings.ts";

const warned = (file: Record<string, unknown>, stack = "prod") =>
  configWarnings(
    parseConfig({
      app: "a",
      sites: [{ host: "www.example.org", files: "site" }],
      regions: { cdg: {}, ewr: {} },
      rollout: { canary: "cdg" },
      ...file,
    }),
    stack,
  );

test.each(["prod", "production", "prod-eu", "prod.2"])("%s is production", (stack) => {
  expect(isProduction(stack)).toBe(true);
});

test.each(["local", "test", "product", "preprod", "staging-prod"])("%s is not", (stack) => {
  expect(isProduction(stack)).toBe(false);
});

describe("a production stack", () => {
  test("with two regions, a canary and kept volumes is as it should be", () => {
    expect(warned({})).toEqual([]);
  });

  test("with one region is warned of, however many PoPs it has there", () => {
    expect(warned({ regions: { cdg: { replicas: 3 } } })).toEqual([
      "Stack prod has PoPs in one region only, cdg, so if that region fails, all sites are down. Add a second region to fly-pops:regions.",
    ]);
  });

  test("without a canary is warned of", () => {
    expect(warned({ rollout: {} })).toEqual([
      "Stack prod has no canary, so a bad change may reach any PoP first. Set canary in fly-pops:rollout, e.g. to cdg-1.",
    ]);
  });

  test("of one PoP needs no canary", () => {
    expect(warned({ regions: { cdg: {} }, rollout: {} })).toHaveLength(1);
  });

  test("that neither protects nor keeps volumes is warned of; either is enough", () => {
    expect(warned({ protect: false, keepVolumes: false })).toEqual([
      "Stack prod neither protects nor keeps its volumes, so removing a PoP deletes its identity and cache. Set fly-pops:protect or fly-pops:keepVolumes to true.",
    ]);
    expect(warned({ protect: true, keepVolumes: false })).toEqual([]);
    expect(warned({ protect: false, keepVolumes: true })).toEqual([]);
  });
});

test("a region that Fly closed is warned of in every stack, with the nearest that is open; its PoPs stay in the file", () => {
  const sentence =
    "Fly takes no new machines in Warsaw (waw), as of 2026-08-07. Existing PoPs keep running and are updated, but new ones are rejected. The nearest that does is arn (Stockholm, 810 km).";
  expect(warned({ regions: { waw: {}, cdg: {} } })).toEqual([sentence]);
  expect(warned({ regions: { waw: {} }, rollout: {} }, "local")).toEqual([sentence]);
});

test("other stacks are left alone", () => {
  expect(warned({ regions: { cdg: {} }, rollout: {}, protect: false, keepVolumes: false }, "local")).toEqual([]);
});

test("what the stack file says of production counts more than the name", () => {
  expect(warned({ regions: { cdg: {} }, rollout: {}, production: true }, "edge")).toHaveLength(1);
  expect(warned({ regions: { cdg: {} }, rollout: {}, production: false }, "prod")).toEqual([]);
});

test("a variable whose name looks like a secret causes a warning in every stack, without its value; switches and paths do not", () => {
  const env = {
    DB_PASSWORD: "hunter2",
    API_KEY: "x1",
    PASSWORD_FILE: "/run/secrets/blog/db",
    TOKEN: "/run/secrets/blog/token",
    REQUIRE_PASSWORD: true,
    MAX_TOKEN: 8,
    SECRETARY: "Kim",
  };
  const warnings = warned({ luggage: { blog: { files: "./b", command: ["./b"], env } } }, "local");
  expect(warnings).toHaveLength(2);
  expect(warnings.join()).toContain("luggage.blog.env.DB_PASSWORD looks like a secret by its name");
  expect(warnings.join()).not.toMatch(/hunter2/);
});

test("a site without a limit, and files of nginx's own, are warned of in any stack", () => {
  const sites = [
    { host: "www.example.org", files: "site", limit: false },
    { host: "example.org", redirect: "https://www.example.org" },
  ];
  expect(warned({ sites }, "test")).toEqual([
    "www.example.org has no limit: one visitor can use all of a PoP's capacity, and Fly bills for the traffic. Remove limit: false, or set a suitable limit, e.g. limit: { requests: 500/s }.",
  ]);
  const nginx = { http: "./maps.conf", sites: { "www.example.org": "./www.conf" } };
  expect(warned({ nginx }, "test").map((it) => it.split(" ")[0])).toEqual(["maps.conf", "www.conf"]);
});
