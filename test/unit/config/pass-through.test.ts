import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../config/issues.ts";
import { parseConfig } from "../../../config/parse.ts";

const web = { host: "www.example.org", origin: "http://web:8080" };
const git = { host: "git.example.org", origin: "https://git.tail.example", passThrough: true };
const parse = (sites: object[], more: object = {}) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites, ...more });

function mistakes(sites: object[], more: object = {}): readonly string[] {
  try {
    parse(sites, more);
  } catch (error) {
    if (error instanceof ConfigError) return error.messages;
    throw error;
  }
  return [];
}

describe("passThrough", () => {
  test("is in the image's spec apart from the sites whose TLS ends there, by host, complete", () => {
    const { image } = parse([
      git,
      web,
      {
        host: "Cloud.Example.org.",
        aliases: ["*.example.net"],
        origin: ["https://Cloud.Tail.Example:8443/", "https://10.0.0.7"],
        passThrough: true,
        proxyProtocol: "v2",
        access: { allow: "10.0.0.1/8", deny: ["./lists/bad.txt"] },
        limit: { connections: 5 },
      },
      { ...git, host: "free.example.org", limit: false, proxyProtocol: false },
    ]);
    expect(image.sites.map(({ host }) => host)).toEqual(["www.example.org"]);
    expect(image.passThrough).toEqual([
      {
        host: "cloud.example.org",
        aliases: ["*.example.net"],
        origins: ["https://cloud.tail.example:8443", "https://10.0.0.7"],
        proxyProtocol: "v2",
        access: {
          allow: { networks: ["10.0.0.0/8"], files: [] },
          deny: { networks: [], files: ["lists/bad.txt"] },
        },
        connections: 5,
        idleSeconds: 3600,
      },
      { host: "free.example.org", origins: ["https://git.tail.example"], idleSeconds: 3600 },
      { host: "git.example.org", origins: ["https://git.tail.example"], connections: 64, idleSeconds: 3600 },
    ]);
  });

  test("false is the same as no key", () => {
    expect(parse([{ ...web, passThrough: false }]).image).toEqual(parse([web]).image);
    expect(parse([web]).image).not.toHaveProperty("passThrough");
  });

  test("may be all there is", () => {
    expect(parse([git]).image.sites).toEqual([]);
  });

  const vault = { secretsFile: "./secrets.yaml", certificates: { vault: { address: "https://vault.test" } } };
  test.each<[object, object]>([
    // Its certificate need not be known here.
    [{ ...git, host: "*.example.com" }, vault],
    [{ ...git, host: "*.example.com", origin: "https://10.0.0.7" }, {}],
    [{ ...git, limit: {} }, {}],
    [
      { ...git, origin: "https://www.example.org" },
      { dns: { forward: [{ zone: "example.org", servers: ["10.0.0.53"] }] } },
    ],
  ])("%j is taken", (site, more) => {
    expect(mistakes([web, site], more)).toEqual([]);
  });

  const together = (key: string, why: string) => `sites[0].${key} cannot be combined with passThrough: ${why}.`;
  const noRequest = "the PoP sees no request";
  const noResponse = "the PoP sees no response";
  const connections = `${noRequest}. Connections can be limited: limit.connections`;

  test.each<[object, string]>([
    [{ cache: {} }, together("cache", noResponse)],
    [{ paths: [{ path: "/admin/", deny: 404 }] }, together("paths", noRequest)],
    [{ auth: { basic: "users" } }, together("auth", noRequest)],
    [{ headers: { "X-A": "b" } }, together("headers", noResponse)],
    [{ hsts: true }, together("hsts", noResponse)],
    [{ securityHeaders: "strict" }, together("securityHeaders", noResponse)],
    [{ requestHeaders: { "X-A": "b" } }, together("requestHeaders", noRequest)],
    [{ hostHeader: "git.home" }, together("hostHeader", noRequest)],
    [{ maxBodyMb: 5 }, together("maxBodyMb", noRequest)],
    [{ buffering: true }, together("buffering", noResponse)],
    [{ compress: false }, together("compress", noResponse)],
    [{ robots: "deny" }, together("robots", "the PoP sends no responses of its own")],
    [{ errorPages: "./pages" }, together("errorPages", "the PoP sends no responses of its own")],
    [{ timeouts: { read: "5m" } }, together("timeouts", "the origin decides how long a request may take")],
    [{ tls: { serverName: "git.home" } }, together("tls", "visitors check the origin's certificate themselves")],
    [
      { default: true },
      together(
        "default",
        "unknown names are rejected before they reach the origin. List the site's names under aliases",
      ),
    ],
    [{ limit: { requests: "10/s" } }, together("limit.requests", connections)],
    [{ limit: { burst: 5, connections: 3 } }, together("limit.burst", connections)],
    [{ access: { agents: ["GPTBot"] } }, together("access.agents", noRequest)],
    [{ access: {} }, "sites[0].access is empty: expected at least one of allow, deny, agents."],
    [
      { origin: "http://git.tail.example" },
      'sites[0].origin is "http://git.tail.example": passThrough forwards TLS, so the origin must be an https URL.',
    ],
    [
      { origin: ["https://git.tail.example", "http://git.tail.example"] },
      'sites[0].origin[1] is "http://git.tail.example": passThrough forwards TLS, so the origin must be an https URL.',
    ],
    [{ passThrough: "yes" }, 'sites[0].passThrough is "yes": expected true or false.'],
    [{ proxyProtocol: "v1" }, 'sites[0].proxyProtocol is "v1": expected v2 or false.'],
    [
      { limit: { connections: 0 } },
      "sites[0].limit.connections is 0: expected a whole number of requests from 1 to 256.",
    ],
    [
      { origin: "https://www.example.org" },
      'sites[0].origin is "https://www.example.org": sites[1] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
  ])("%j is refused beside it", (keys, sentence) => {
    expect(mistakes([{ ...git, ...keys }, web], { secretsFile: "./secrets.yaml" })).toEqual([sentence]);
  });

  test.each<[object[], object, string]>([
    [
      [{ ...web, proxyProtocol: "v2" }],
      {},
      "sites[0].proxyProtocol needs passThrough: without it, the origin gets the visitor's address in the X-Forwarded-For header of each request.",
    ],
    [
      [{ host: "a.example.org", files: "./a", passThrough: true }],
      {},
      "sites[0].passThrough is not allowed in a site without origin: only an origin can terminate TLS instead of the PoP.",
    ],
    [
      [git, { ...web, aliases: ["git.example.org"] }],
      {},
      'sites[1].aliases[0] is "git.example.org": sites[0] has this host already. A host may appear in one site only.',
    ],
    [[git], vault, "certificates is unused: all sites have passThrough. Remove it."],
    [
      [web, git],
      { nginx: { sites: { "git.example.org": "./git.conf" } } },
      'nginx.sites["git.example.org"] names a site with passThrough, which has no nginx server block here to take directives.',
    ],
  ])("%j is refused", (sites, more, sentence) => {
    expect(mistakes(sites, more)).toEqual([sentence]);
  });

  test("its routes behind a subnet router are used, and those of ports", () => {
    const tailnet = { tailnet: { domain: "tail.example" }, secretsFile: "./secrets.yaml" };
    const routes = (sites: object[], more: object = {}) =>
      parse(sites, { ...tailnet, ...more }).image.tailnet?.acceptRoutes;
    expect(routes([web])).toBeUndefined();
    expect(routes([{ ...git, origin: "https://192.168.1.7" }])).toBe(true);
    expect(routes([web], { ports: { 22: { to: "192.168.1.7:22" } } })).toBe(true);
    expect(routes([web], { ports: { 22: { to: "git:22" } } })).toBeUndefined();
  });
});
