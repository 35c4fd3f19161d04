import { describe, expect, test } from "vitest";
import { parseConfig } from "../../config/parse.ts";
import { mistakesIn } from "../support/mistakes.ts";

const web = { host: "www.example.org", origin: "http://web:8080" };
const blog = { files: "./blog", command: ["./blogon"], port: 8080 };
const file = { app: "my-edge", regions: { cdg: {}, ewr: { replicas: 2 } }, sites: [web] };

const sizes =
  "shared-cpu-1x, shared-cpu-2x, shared-cpu-4x, shared-cpu-6x, shared-cpu-8x, performance-1x, performance-2x, performance-4x, performance-6x, performance-8x, performance-10x, performance-12x, performance-14x or performance-16x";
const regions = "ams, arn, bom, cdg, dfw, ewr, fra, gru, iad, jnb, lax, lhr, nrt, ord, sin, sjc, syd, yyz";
const keys =
  "app, organization, defaults, regions, sites, ports, luggage, tailnet, certificates, secretsFile, dns, cache, logs, nginx, ssh, debugTools, http3, rollout, adopt, addresses, snapshots, protect, keepVolumes, production, imageRef, imagePlatform, egressGb, egress, crawlers";
const kinds = "origin, redirect, files, luggage";
const longDigest = `@sha256:${"a".repeat(64)}`;

const mistakesOf = (raw: Record<string, unknown>) => mistakesIn(() => parseConfig(raw));

const site = (fields: object) => ({ sites: [{ host: "www.example.org", ...fields }] });
const region = (fields: object) => ({ regions: { cdg: fields } });
const luggage = (fields: object) => ({ secretsFile: "./secrets.yaml", luggage: { blog: { ...blog, ...fields } } });
const api = { files: "a", command: ["a"], port: 1200 };
const anOrigin =
  "an http or https URL of scheme, host and port, as in https://web.tail.example:8443, or a list of them";
/** What asks for secrets stands beside their file, so that a row has one mistake. */
const secretsFile = "./secrets.yaml";
const vault = (more: object) => ({ secretsFile, certificates: { vault: { address: "https://vault.test", ...more } } });
const aKey = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)} me@example.org`;
const tailnet = (more: object) => ({ secretsFile, tailnet: { domain: "tail.example", ...more } });
const forward = (...forward: object[]) => ({ dns: { forward } });

/** One mistake each: what is changed in a valid file, and the one sentence it earns. */
const table: Record<string, [change: Record<string, unknown>, sentence: string][]> = {
  "top level": [
    [{ app: undefined }, "app is missing: takes lower-case letters, digits and dashes, 62 at most, no dash at an end."],
    [
      { app: "My_Edge" },
      'app is "My_Edge": takes lower-case letters, digits and dashes, 62 at most, no dash at an end. Write my-edge.',
    ],
    [{ app: 7 }, "app is 7: takes lower-case letters, digits and dashes, 62 at most, no dash at an end."],
    [
      { app: "a".repeat(63) },
      `app is "${"a".repeat(63)}": takes lower-case letters, digits and dashes, 62 at most, no dash at an end.`,
    ],
    [
      { organization: "My Org" },
      'organization is "My Org": takes lower-case letters, digits and dashes, 62 at most, no dash at an end. Write my-org.',
    ],
    [{ regoins: {} }, `regoins: no such key; did you mean regions? Takes ${keys}.`],
    [{ tokens: "x" }, `tokens: no such key. Takes ${keys}.`],
    [{ protect: "yes" }, 'protect is "yes": takes true or false.'],
    [
      { imagePlatform: "linux/amd65" },
      'imagePlatform is "linux/amd65": no such platform; did you mean linux/amd64? Takes linux/amd64 or host.',
    ],
    [{ snapshots: 61 }, "snapshots is 61: takes a whole number of days from 0 to 60."],
    [{ snapshots: true }, "snapshots is true: takes a whole number of days from 0 to 60."],
    [{ egress: { eu: 80, asia: 10 } }, "egress has 90 percent in all: takes 100, as in { eu: 80, asia: 20 }."],
    [{ egress: { eu: 80, china: 20 } }, "egress.china: no such key. Takes eu, na, asia, oceania, sa, africa, india."],
    [{ egress: { eu: 101 } }, "egress.eu is 101: takes a whole number of percent from 0 to 100."],
    [{ crawlers: 101 }, "crawlers is 101: takes a whole number of percent from 0 to 100."],
    [{ egressGb: -1 }, "egressGb is -1: takes a whole number of GB from 0 to 1000000."],
    [{ egressGb: "1 TB" }, 'egressGb is "1 TB": takes a whole number of GB from 0 to 1000000.'],
    [{ imagePlatform: "windows" }, 'imagePlatform is "windows": no such platform. Takes linux/amd64 or host.'],
    [
      { imageRef: "registry.fly.io/my-edge:pop" },
      "imageRef is \"registry.fly.io/my-edge:pop\": takes a reference pinned by digest (name@sha256:...), so that every PoP runs the same bytes. `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` shows it.",
    ],
    [
      { imageRef: `My Image${longDigest}` },
      `imageRef is "My Image@sha256:${"a".repeat(60)}...: takes an image reference pinned by digest: name, @sha256: and 64 hex digits.`,
    ],
  ],
  regions: [
    [
      { regions: undefined },
      "regions is missing: takes a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }.",
    ],
    [
      { regions: ["cdg"] },
      "regions is a list: takes a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }.",
    ],
    [{ regions: {} }, "regions is empty: takes at least one region, as in { cdg: {} }."],
    [
      { regions: {}, rollout: { canary: "cdg" }, adopt: { pops: { "cdg-1": { volume: "vol_4xp" } } } },
      "regions is empty: takes at least one region, as in { cdg: {} }.",
    ],
    [{ regions: { cgd: {} } }, `regions.cgd: no such region; did you mean cdg? Takes ${regions} (as of 2026-08-07).`],
    [
      { regions: { paris: {} } },
      `regions.paris: no such region; did you mean cdg? Takes ${regions} (as of 2026-08-07).`,
    ],
    [{ regions: { CDG: {} } }, `regions.CDG: no such region; did you mean cdg? Takes ${regions} (as of 2026-08-07).`],
    [{ regions: { moon: {} } }, `regions.moon: no such region. Takes ${regions} (as of 2026-08-07).`],
    [region({ replicas: 0 }), "regions.cdg.replicas is 0: takes a whole number of PoPs from 1 to 100."],
    [region({ replicas: 1.5 }), "regions.cdg.replicas is 1.5: takes a whole number of PoPs from 1 to 100."],
    [region({ replicas: "2" }), 'regions.cdg.replicas is "2": takes a whole number of PoPs from 1 to 100.'],
    [
      region({ replica: 2 }),
      "regions.cdg.replica: no such key; did you mean replicas? Takes replicas, size, memoryMb, volumeGb.",
    ],
    [
      region({ size: "shared-cpu-3x" }),
      `regions.cdg.size is "shared-cpu-3x": no such size; did you mean shared-cpu-1x? Takes ${sizes}.`,
    ],
    [region({ size: "constructor" }), `regions.cdg.size is "constructor": no such size. Takes ${sizes}.`],
    [
      region({ memoryMb: 300 }),
      "regions.cdg.memoryMb is 300: shared-cpu-1x takes 256 to 2048 MB in steps of 256. Write 256 or 512.",
    ],
    [
      region({ memoryMb: 4096 }),
      "regions.cdg.memoryMb is 4096: shared-cpu-1x takes 256 to 2048 MB in steps of 256. Write 2048.",
    ],
    [
      region({ size: "performance-1x", memoryMb: 2304 }),
      "regions.cdg.memoryMb is 2304: performance-1x takes 2048 to 8192 MB in steps of 1024. Write 2048 or 3072.",
    ],
    [
      { defaults: { memoryMb: 256 }, ...region({ size: "performance-1x" }) },
      "regions.cdg.memoryMb is 256 by defaults.memoryMb: performance-1x takes 2048 to 8192 MB in steps of 1024. Write 2048.",
    ],
    [
      { defaults: { memoryMb: 300 } },
      "defaults.memoryMb is 300: shared-cpu-1x takes 256 to 2048 MB in steps of 256. Write 256 or 512.",
    ],
    [region({ volumeGb: 501 }), "regions.cdg.volumeGb is 501: takes a whole number of GB from 1 to 500."],
    [{ defaults: { volumeGb: 0 } }, "defaults.volumeGb is 0: takes a whole number of GB from 1 to 500."],
    [{ defaults: "small" }, 'defaults is "small": takes a map of settings.'],
  ],
  sites: [
    [{ sites: undefined }, "sites is missing: takes a list of at least one site."],
    [{ sites: [] }, "sites is an empty list: takes a list of at least one site."],
    [{ sites: [web, "x"] }, `sites[1] is "x": takes a map with host and one of ${kinds}.`],
    [
      { sites: [{ files: "a" }] },
      "sites[0].host is missing: takes a DNS name, as in www.example.org or *.example.org.",
    ],
    [
      { sites: [web, { ...web, host: "WWW.example.org." }] },
      'sites[1].host is "www.example.org": sites[0] has it too. One host, one site.',
    ],
    [
      site({ host: "https://www.example.org/", files: "a" }),
      'sites[0].host is "https://www.example.org/": takes a name alone, without scheme, port or path. Write www.example.org.',
    ],
    [
      site({ host: "www.example.org:443", files: "a" }),
      'sites[0].host is "www.example.org:443": takes a name alone, without scheme, port or path. Write www.example.org.',
    ],
    [
      site({ host: "w*.example.org", files: "a" }),
      'sites[0].host is "w*.example.org": takes * as its first label alone, as in *.example.org.',
    ],
    [
      site({ host: "münchen.de", files: "a" }),
      'sites[0].host is "münchen.de": takes the ASCII form. Write xn--mnchen-3ya.de.',
    ],
    [site({ host: "10.0.0.1", files: "a" }), 'sites[0].host is "10.0.0.1": takes a name, not an address.'],
    [
      site({ host: "localhost", files: "a" }),
      'sites[0].host is "localhost": takes a full name, as in www.example.org.',
    ],
    [
      site({ host: "a;b.org", files: "a" }),
      'sites[0].host is "a;b.org": takes a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [
      site({ host: "-a.org", files: "a" }),
      'sites[0].host is "-a.org": takes a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [site({}), `sites[0] has none of ${kinds}: takes exactly one.`],
    [site({ origin: "http://web", files: "a" }), `sites[0] has origin and files: takes exactly one of ${kinds}.`],
    [
      site({ orgin: "http://web" }),
      "sites[0].orgin: no such key; did you mean origin? Takes host, aliases, default, origin, protocol, passThrough, proxyProtocol, redirect, status, files, luggage, certificate, cache, limit, access, auth, tls, timeouts, buffering, compress, maxBodyMb, hostHeader, requestHeaders, errorPages, spa, robots, hsts, securityHeaders, headers, paths.",
    ],
    [site({ origin: "web:8080" }), 'sites[0].origin is "web:8080": needs its scheme. Write https://web:8080.'],
    [site({ origin: "ftp://web" }), 'sites[0].origin is "ftp://web": takes http or https.'],
    [
      site({ origin: "https://web/app" }),
      'sites[0].origin is "https://web/app": takes no path, query or fragment. Write https://web.',
    ],
    [
      site({ origin: "https://web?a=1" }),
      'sites[0].origin is "https://web?a=1": takes no path, query or fragment. Write https://web.',
    ],
    [
      site({ origin: "https://me:hunter2@web" }),
      'sites[0].origin is "https://***@web": takes no credentials: they would lie in the image for all to read.',
    ],
    [
      site({ origin: "me:hun/ter2@web" }),
      'sites[0].origin is "***@web": takes no credentials: they would lie in the image for all to read.',
    ],
    [site({ origin: "https://web:0" }), 'sites[0].origin is "https://web:0": takes a port from 1 to 65535.'],
    [site({ origin: "https://web:65536" }), 'sites[0].origin is "https://web:65536": takes a port from 1 to 65535.'],
    [site({ origin: "https://a;b{" }), 'sites[0].origin is "https://a;b{": takes a DNS name or an address as host.'],
    [site({ origin: "http://8080" }), 'sites[0].origin is "http://8080": takes a DNS name or an address as host.'],
    [
      site({ origin: "http://[::g]" }),
      'sites[0].origin is "http://[::g]": takes a URL such as https://web.tail.example:8443.',
    ],
    [
      site({ origin: "https://www.example.org" }),
      'sites[0].origin is "https://www.example.org": sites[0] is that host, so the edge would ask itself. Name the web server behind, or forward its zone under dns.forward.',
    ],
    [site({ origin: 7 }), `sites[0].origin is 7: takes ${anOrigin}.`],
    [site({ origin: { url: "http://web" } }), `sites[0].origin is a map: takes ${anOrigin}.`],
    [site({ origin: [] }), "sites[0].origin is an empty list: takes 1 to 8 of them."],
    [
      site({ origin: ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map((name) => `http://${name}`) }),
      "sites[0].origin is a list: takes 1 to 8 of them.",
    ],
    [site({ origin: ["http://web", 7] }), "sites[0].origin[1] is 7: takes an http or https URL."],
    [site({ origin: ["http://web", "ftp://web"] }), 'sites[0].origin[1] is "ftp://web": takes http or https.'],
    [
      site({ origin: ["http://web", "https://me:hunter2@web"] }),
      'sites[0].origin[1] is "https://***@web": takes no credentials: they would lie in the image for all to read.',
    ],
    [
      site({ origin: ["http://a", "http://web", "HTTP://Web:80/"] }),
      'sites[0].origin[2] is "http://web": origin[1] is that too.',
    ],
    [
      site({ origin: ["http://web", "https://www.example.org"] }),
      'sites[0].origin[1] is "https://www.example.org": sites[0] is that host, so the edge would ask itself. Name the web server behind, or forward its zone under dns.forward.',
    ],
    [
      site({ origin: "http://web", tls: { ca: "ca.pem" } }),
      "sites[0].tls stands in a site whose origins are asked by http.",
    ],
    [
      site({ origin: "https://web", tls: { verify: false } }),
      "sites[0].tls.verify: no such key. Takes ca, serverName, certificate.",
    ],
    [
      site({ origin: "https://web", tls: { ca: "/etc/ca.pem" } }),
      'sites[0].tls.ca is "/etc/ca.pem": takes a file relative to the project: others build from elsewhere.',
    ],
    [site({ origin: "https://web", tls: { ca: "ca/" } }), 'sites[0].tls.ca is "ca/": takes a file, as in ./ca.pem.'],
    [
      site({ origin: "https://web", tls: { serverName: "10.0.0.1" } }),
      'sites[0].tls.serverName is "10.0.0.1": takes a name, not an address.',
    ],
    [
      site({ files: "a", tls: { ca: "ca.pem" } }),
      "sites[0].tls stands in a site without origin: only an origin has to prove who it is.",
    ],
    [
      site({ files: "a", timeouts: { read: 5 } }),
      "sites[0].timeouts stands in a site without origin or luggage: nginx waits for nobody there.",
    ],
    [
      site({ redirect: "https://a.example", maxBodyMb: 5 }),
      "sites[0].maxBodyMb stands in a site without origin or luggage: there is nobody to pass a body on to.",
    ],
    [
      site({ origin: "http://web", maxBodyMb: 0 }),
      "sites[0].maxBodyMb is 0: takes a whole number of MB from 1 to 1048576.",
    ],
    [
      site({ origin: "http://web", timeouts: { connect: "2m" } }),
      'sites[0].timeouts.connect is "2m": takes a duration from 1s to 75s: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", timeouts: { read: 0 } }),
      "sites[0].timeouts.read is 0: takes a duration from 1s to 1d: a number with s, m, h or d, or plain seconds.",
    ],
    [
      site({ files: "a", headers: { "X Own": "a" } }),
      'sites[0].headers["X Own"]: a header takes letters, digits and dashes, 64 at most, a letter first.',
    ],
    [
      site({ files: "a", headers: { "Set-Cookie": "a=b" } }),
      "sites[0].headers.Set-Cookie: nginx or the PoP sets this one itself, or it belongs to one connection.",
    ],
    [
      site({ files: "a", headers: { "X-Own": "a", "x-own": "b" } }),
      "sites[0].headers.x-own: X-Own is the same header.",
    ],
    [
      site({ files: "a", headers: { "X-Own": "$host" } }),
      'sites[0].headers.X-Own is "$host": takes no $: nginx would put a variable in its place.',
    ],
    [
      site({ files: "a", headers: { "X-Own": "a\nb" } }),
      'sites[0].headers.X-Own is "a\\nb": takes printable ASCII, no space at an end.',
    ],
    [
      { sites: [web, { host: "example.org", redirect: "https://www.example.org/new" }] },
      'sites[1].redirect is "https://www.example.org/new": takes no path, query or fragment. Write https://www.example.org.',
    ],
    [
      site({ redirect: "https://WWW.example.org" }),
      'sites[0].redirect is "https://WWW.example.org": leads back to where it began (sites[0] -> sites[0]).',
    ],
    [
      site({ files: "/srv/www" }),
      'sites[0].files is "/srv/www": takes a folder relative to the project: others build from elsewhere.',
    ],
    [
      site({ files: "~/www" }),
      'sites[0].files is "~/www": takes a folder relative to the project, and no shell expands ~ here.',
    ],
    [
      site({ files: "." }),
      'sites[0].files is ".": would pack the project itself, keys and state with it. Name a folder of its own.',
    ],
    [
      site({ files: "a/../.." }),
      'sites[0].files is "a/../..": would pack the project itself, keys and state with it. Name a folder of its own.',
    ],
    [site({ files: "a\nb" }), 'sites[0].files is "a\\nb": takes no control characters or backslashes.'],
    [site({ files: " " }), 'sites[0].files is " ": takes a folder, as in ./site.'],
    [
      site({ origin: "http://web", cache: { maxAge: "10 min" } }),
      'sites[0].cache.maxAge is "10 min": takes a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", cache: { staleIfError: -1 } }),
      "sites[0].cache.staleIfError is -1: takes a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.",
    ],
    [
      site({ origin: "http://web", cache: { staleWhileRevalidate: "366d" } }),
      'sites[0].cache.staleWhileRevalidate is "366d": takes a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", cache: { maxage: 1 } }),
      "sites[0].cache.maxage: no such key; did you mean maxAge? Takes maxAge, staleIfError, staleWhileRevalidate, maxFileMb, cookies, statuses, ignoreQuery, ignoreOrigin, vary.",
    ],
    [
      site({ origin: "http://web", cache: { staleFor: "1d" } }),
      "sites[0].cache.staleFor: replaced by staleIfError (while the origin fails) and staleWhileRevalidate (while a fresh answer is fetched).",
    ],
    [
      site({ origin: "http://web", cache: { maxFileMb: 1153 } }),
      "sites[0].cache.maxFileMb is 1153: all sites together store 2304 MB. Write 1152 or less, or raise cache.maxSizeMb.",
    ],
    [
      { ...site({ origin: "http://web", cache: { maxFileMb: 9 } }), cache: { maxSizeMb: 16 } },
      "sites[0].cache.maxFileMb is 9: all sites together store 16 MB. Write 8 or less, or raise cache.maxSizeMb.",
    ],
    [
      site({ origin: "http://web", cache: { cookies: ["a b"] } }),
      'sites[0].cache.cookies[0] is "a b": takes the name of a cookie.',
    ],
    [
      site({ origin: "http://web", cache: { cookies: [] } }),
      "sites[0].cache.cookies is an empty list: takes a list of 1 to 32 names of cookies, as in [session, wordpress_logged_in_*].",
    ],
    [
      site({ origin: "http://web", cache: {}, buffering: true }),
      "sites[0].buffering cannot be combined with cache, which buffers what it stores and nothing else.",
    ],
    [
      site({ files: "a", buffering: true }),
      "sites[0].buffering stands in a site without origin or luggage: there are no responses to pass on.",
    ],
    [
      site({ files: "a", cache: {} }),
      "sites[0].cache stands in a site without origin: only an origin's answers are cached.",
    ],
    [site({ luggage: "blog" }), 'sites[0].luggage is "blog": no such luggage. There is none under luggage.'],
    [
      { ...luggage({}), ...site({ luggage: "blgo" }) },
      'sites[0].luggage is "blgo": no such luggage; did you mean blog? Takes blog.',
    ],
    [
      { luggage: { blog: { files: "b", command: ["b"] } }, ...site({ luggage: "blog" }) },
      'sites[0].luggage is "blog": luggage.blog has no port, so nothing answers. Give it one.',
    ],
  ],
  "limits of a visitor": [
    [
      site({ origin: "http://web", limit: { requests: "10" } }),
      'sites[0].limit.requests is "10": takes a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: "10/h" } }),
      'sites[0].limit.requests is "10/h": takes a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: "0/s" } }),
      'sites[0].limit.requests is "0/s": takes a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: 10 } }),
      "sites[0].limit.requests is 10: takes a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.",
    ],
    [
      site({ origin: "http://web", limit: { burst: -1 } }),
      "sites[0].limit.burst is -1: takes a whole number of requests from 0 to 100000.",
    ],
    [
      site({ origin: "http://web", limit: { burst: 1.5 } }),
      "sites[0].limit.burst is 1.5: takes a whole number of requests from 0 to 100000.",
    ],
    [
      site({ origin: "http://web", limit: { connections: 257 } }),
      "sites[0].limit.connections is 257: takes a whole number of requests from 1 to 256.",
    ],
    [
      site({ origin: "http://web", limit: { request: "10/s" } }),
      "sites[0].limit.request: no such key; did you mean requests? Takes requests, burst, connections.",
    ],
    [
      site({ origin: "http://web", limit: true }),
      "sites[0].limit is true: takes a map with any of requests, burst, connections, or false for no limit.",
    ],
    [
      site({ origin: "http://web", limit: "10/s" }),
      'sites[0].limit is "10/s": takes a map with any of requests, burst, connections, or false for no limit.',
    ],
    [
      site({ redirect: "https://www.example.net", limit: { requests: "10/s" } }),
      "sites[0].limit stands in a site without origin or files or luggage: a redirect costs nobody anything.",
    ],
  ],
  "access of visitors": [
    [
      site({ origin: "http://web", access: { deny: "203.0.113" } }),
      'sites[0].access.deny is "203.0.113": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
    ],
    [
      site({ origin: "http://web", access: { deny: "lists/bad.txt" } }),
      'sites[0].access.deny is "lists/bad.txt": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32. Write ./lists/bad.txt.',
    ],
    [
      site({ origin: "http://web", access: { allow: ["10.0.0.0/8", "10.0.0.0/33"] } }),
      'sites[0].access.allow[1] is "10.0.0.0/33": takes an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
    ],
    [
      site({ origin: "http://web", access: { allow: "./" } }),
      'sites[0].access.allow is "./": takes a file, as in ./ca.pem.',
    ],
    [
      site({ origin: "http://web", access: { allow: [] } }),
      "sites[0].access.allow is an empty list: takes 1 to 1000 of them; longer lists go into a file.",
    ],
    [
      site({ origin: "http://web", access: { deny: 7 } }),
      "sites[0].access.deny is 7: takes an address, a network or a file of them relative to the project, as in 203.0.113.7, 2001:db8::/32 or ./lists/bad.txt, or a list of these.",
    ],
    [
      site({ origin: "http://web", access: { agents: ["GPT*Bot"] } }),
      'sites[0].access.agents[0] is "GPT*Bot": takes a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-.',
    ],
    [
      site({ origin: "http://web", access: { agents: [] } }),
      "sites[0].access.agents is an empty list: takes a list of 1 to 200 parts of a User-Agent, as in [GPTBot, ClaudeBot, Bytespider].",
    ],
    [
      site({ origin: "http://web", access: { denny: ["10.0.0.0/8"] } }),
      "sites[0].access.denny: no such key; did you mean deny? Takes allow, deny, agents.",
    ],
    [
      site({ origin: "http://web", access: {} }),
      "sites[0].access is empty: takes at least one of allow, deny, agents.",
    ],
  ],
  "log-in of a site": [
    [
      { secretsFile, ...site({ origin: "http://web", auth: { basic: "my passwords" } }) },
      'sites[0].auth.basic is "my passwords": takes letters, digits, dashes and _, 64 at most, no digit or dash first.',
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: {} }) },
      "sites[0].auth has neither basic nor forward: takes exactly one of them.",
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: "passwords" }) },
      'sites[0].auth is "passwords": takes a map with basic or forward, as in { basic: sitePasswords } or { forward: "http://auth.tail.example:9091/api/authz/auth-request", headers: [Remote-User] }.',
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: { basci: "passwords" } }) },
      "sites[0].auth.basci: no such key; did you mean basic? Takes basic, forward, headers.",
    ],
    [
      { secretsFile, ...site({ origin: "http://web", cache: {}, auth: { basic: "passwords" } }) },
      "sites[0].auth cannot be combined with cache: requests with a password bypass it.",
    ],
    [
      { secretsFile, ...site({ redirect: "https://www.example.net", auth: { basic: "passwords" } }) },
      "sites[0].auth stands in a site without origin or files or luggage: where a redirect leads is no secret.",
    ],
    [
      site({ origin: "http://web", auth: { basic: "passwords" } }),
      "secretsFile is missing: sites[0].auth needs passwords. Name a file of sops, as in ./secrets.yaml.",
    ],
  ],
  luggage: [
    [
      { luggage: { Blog: blog } },
      "luggage.Blog: a name takes lower-case letters, digits and dashes, 2 to 24 of them, a letter first.",
    ],
    [
      { luggage: { "my blog": blog } },
      'luggage["my blog"]: a name takes lower-case letters, digits and dashes, 2 to 24 of them, a letter first.',
    ],
    [
      luggage({ env: { PATH: "/bin" } }),
      "luggage.blog.env.PATH: the image sets or withholds this one itself. Take another.",
    ],
    [
      luggage({ env: { LD_PRELOAD: "x.so" } }),
      "luggage.blog.env.LD_PRELOAD: the image sets or withholds this one itself. Take another.",
    ],
    [luggage({ files: undefined, image: "a" }), "luggage.blog has files and image: takes exactly one."],
    [{ luggage: { blog: { command: ["b"] } } }, "luggage.blog has neither files nor image: takes exactly one."],
    [
      { luggage: { blog: { files: "b" } } },
      "luggage.blog.command is missing: takes a list: program, then its arguments.",
    ],
    [luggage({ command: "./b --x" }), 'luggage.blog.command is "./b --x": takes a list: program, then its arguments.'],
    [luggage({ command: [] }), "luggage.blog.command is an empty list: takes a list: program, then its arguments."],
    [luggage({ command: ["", "x"] }), "luggage.blog.command[0] is empty: takes a program."],
    [luggage({ command: ["b", 1] }), "luggage.blog.command[1] is 1: takes a text without NUL."],
    [luggage({ port: 80 }), "luggage.blog.port is 80: takes a port from 1024 to 65535."],
    [luggage({ port: 1102 }), "luggage.blog.port is 1102: that port is the image's own (https). Take another."],
    [
      { luggage: { api: { files: "a", command: ["a"], port: 8080 }, blog } },
      "luggage.blog.port is 8080: that port is luggage.api's. Take another.",
    ],
    [
      { luggage: { blog: { image: "ghcr.io/Me/Blog", command: ["b"] } } },
      'luggage.blog.image is "ghcr.io/Me/Blog": takes an image reference, as in ghcr.io/me/blog:1.2.',
    ],
    [
      luggage({ env: { FLY_REGION: "cdg" } }),
      "luggage.blog.env.FLY_REGION: names that begin with FLY_ are Fly's own. Take another.",
    ],
    [luggage({ env: { "1A": "x" } }), "luggage.blog.env.1A: a variable takes letters, digits and _, no digit first."],
    [luggage({ env: { A: ["hunter2"] } }), "luggage.blog.env.A is a list: takes a text, a number or a boolean."],
    [luggage({ env: { A: "hunter2\0" } }), "luggage.blog.env.A is a string: takes a text, a number or a boolean."],
    [
      luggage({ prot: 1 }),
      "luggage.blog.prot: no such key; did you mean port? Takes files, image, command, env, secrets, port, dependsOn, health, user.",
    ],
  ],
  tailnet: [
    [
      { secretsFile, tailnet: { tags: ["pop"] } },
      "tailnet.domain is missing: takes a DNS name, as in tail1234.ts.net.",
    ],
    [tailnet({ domain: "tailnet" }), 'tailnet.domain is "tailnet": takes a full name, as in www.example.org.'],
    [tailnet({ tags: [] }), "tailnet.tags is an empty list: takes a list of at least one tag."],
    [tailnet({ tags: ["tag:pop"] }), 'tailnet.tags[0] is "tag:pop": takes the name alone. Write pop.'],
    [
      tailnet({ tags: ["Pop"] }),
      'tailnet.tags[0] is "Pop": takes lower-case letters, digits and dashes, 50 at most, a letter first.',
    ],
    [
      tailnet({ hostPrefix: "--ssh" }),
      'tailnet.hostPrefix is "--ssh": takes lower-case letters, digits and dashes, 31 at most, no dash first.',
    ],
    [
      tailnet({ loginServer: "https://user:secret@login.example.org" }),
      'tailnet.loginServer is "https://***@login.example.org": takes no credentials: they would lie in the image for all to read.',
    ],
    [
      { ...tailnet({}), ...forward({ zone: "Tail.example.", servers: ["100.100.100.100"] }) },
      'dns.forward[0].zone is "tail.example": tailnet.domain is that, and asks Tailscale itself. Remove it here.',
    ],
    [
      tailnet({ authKey: "x" }),
      "tailnet.authKey: no such key. Takes domain, loginServer, ca, driver, tags, hostPrefix, acceptRoutes, udpOffload.",
    ],
    [
      tailnet({ driver: "headscal" }),
      'tailnet.driver is "headscal": no such driver; did you mean headscale? Takes tailscale or headscale.',
    ],
    [
      tailnet({ driver: "headscale" }),
      "tailnet.driver is headscale, and there is no tailnet.loginServer: name its URL there.",
    ],
    [
      tailnet({ driver: "tailscale", loginServer: "https://login.example.org" }),
      "tailnet.driver is tailscale beside a tailnet.loginServer: Tailscale's API makes keys for its own control server alone. Remove one.",
    ],
    [
      tailnet({ ca: "./ca.pem" }),
      "tailnet.ca stands beside no tailnet.loginServer: Tailscale's own has a public certificate.",
    ],
    [
      tailnet({ loginServer: "https://login.example.org", ca: "/etc/ca.pem" }),
      'tailnet.ca is "/etc/ca.pem": takes a file relative to the project: others build from elsewhere.',
    ],
    [
      { tailnet: { domain: "tail.example" } },
      "secretsFile is missing: tailnet needs tailscaleAuthKey (or a driver, which makes one for each PoP). Name a file of sops, as in ./secrets.yaml.",
    ],
  ],
  certificates: [
    [
      vault({ address: "https://root:token@vault.test" }),
      'certificates.vault.address is "https://***@vault.test": takes no credentials: they would lie in the image for all to read.',
    ],
    [
      vault({ path: "../{domain}" }),
      'certificates.vault.path is "../{domain}": takes letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ mount: "kv/" }),
      'certificates.vault.mount is "kv/": takes letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ token: "x" }),
      "certificates.vault.token: no such key. Takes address, ca, serverName, namespace, authMount, mount, kvVersion, path, fields, secretId.",
    ],
    [
      vault({ namespace: "admin/" }),
      'certificates.vault.namespace is "admin/": takes letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ authMount: "approle/{domain}" }),
      'certificates.vault.authMount is "approle/{domain}": takes letters, digits, dots, dashes and _ between slashes.',
    ],
    [vault({ kvVersion: 3 }), "certificates.vault.kvVersion is 3: takes 1 or 2."],
    [vault({ kvVersion: "2" }), 'certificates.vault.kvVersion is "2": takes 1 or 2.'],
    [
      vault({ fields: { key: "private key" } }),
      'certificates.vault.fields.key is "private key": takes letters, digits, dots, dashes and _, 64 at most.',
    ],
    [
      vault({ fields: { fullchain: "x" } }),
      "certificates.vault.fields.fullchain: no such key. Takes key, chain, certificate, pem.",
    ],
    [
      vault({ fields: { pem: "pem", key: "key" } }),
      "certificates.vault.fields.pem stands beside key: key and certificates are in pem. Remove one.",
    ],
    [
      vault({ secretId: { created: "2026-11-29" } }),
      "certificates.vault.secretId.ends is missing: takes a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.",
    ],
    [
      vault({ secretId: { created: "2026-11-29", ends: "90d" } }),
      'certificates.vault.secretId.ends is "90d": takes a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.',
    ],
    [
      vault({ secretId: { created: "2026-02-30", ends: "2027-01-01" } }),
      'certificates.vault.secretId.created is "2026-02-30": takes a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.',
    ],
    [
      vault({ secretId: { created: "2026-11-29", ends: "2026-11-29T00:00:00Z" } }),
      'certificates.vault.secretId.ends is "2026-11-29T00:00:00Z": not after created, 2026-11-29.',
    ],
    [
      site({ files: "a", certificate: "example.org" }),
      "sites[0].certificate names a certificate in the vault: there is none under certificates.",
    ],
    [
      luggage({ secrets: ["a b"] }),
      'luggage.blog.secrets[0] is "a b": takes letters, digits, dashes and _, 64 at most, no digit or dash first.',
    ],
    [luggage({ secrets: ["a", "a"] }), 'luggage.blog.secrets[1] is "a": secrets[0] is that too.'],
    [
      { luggage: { blog: { ...blog, secrets: ["b", "a"] } }, certificates: { vault: { address: "https://v.test" } } },
      "secretsFile is missing: certificates needs vaultRoleId and vaultSecretId; luggage.blog needs b, a. Name a file of sops, as in ./secrets.yaml.",
    ],
    [{ secretsFile: "./secrets.json" }, 'secretsFile is "./secrets.json": takes a YAML file, as in ./secrets.yaml.'],
    [{ secretsFile: "secrets/" }, 'secretsFile is "secrets/": takes a file, as in ./secrets.yaml.'],
    [
      { secretsFile: "~/secrets.yaml" },
      'secretsFile is "~/secrets.yaml": takes a file relative to the project, and no shell expands ~ here.',
    ],
  ],
  "luggage that waits": [
    [
      luggage({ dependsOn: ["unbuond"] }),
      'luggage.blog.dependsOn[0] is "unbuond": no such luggage or process; did you mean unbound? Takes certs, nginx, secrets, tailscale-up, tailscaled, unbound.',
    ],
    [
      { luggage: { blog: { ...blog, dependsOn: ["apu"] }, api } },
      'luggage.blog.dependsOn[0] is "apu": no such luggage or process; did you mean api? Takes api, certs, nginx, secrets, tailscale-up, tailscaled, unbound.',
    ],
    [luggage({ dependsOn: ["blog"] }), 'luggage.blog.dependsOn[0] is "blog": that is itself, and would never start.'],
    [luggage({ dependsOn: ["nginx", "nginx"] }), 'luggage.blog.dependsOn[1] is "nginx": dependsOn[0] is that too.'],
    [
      luggage({ dependsOn: ["tailscaled"] }),
      'luggage.blog.dependsOn[0] is "tailscaled": a stack without tailnet has no such process. Remove it.',
    ],
    [
      luggage({ dependsOn: ["certs"] }),
      'luggage.blog.dependsOn[0] is "certs": a stack without certificates has no such process. Remove it.',
    ],
    [
      luggage({ dependsOn: ["secrets"] }),
      'luggage.blog.dependsOn[0] is "secrets": nothing in this stack has secrets, so there is no such process. Remove it.',
    ],
    [
      { luggage: { blog: { ...blog, dependsOn: ["api"] }, api: { ...api, dependsOn: ["blog"] } } },
      "luggage.api.dependsOn: api waits for blog waits for api: none of them would start. Take one out.",
    ],
    [
      {
        luggage: {
          a1: { ...api, dependsOn: ["a2"] },
          a2: { ...api, port: 1201, dependsOn: ["a3"] },
          a3: { ...api, port: 1202, dependsOn: ["blog"] },
          blog,
        },
      },
      "luggage.a1.dependsOn: a1 waits for a2 waits for a3 waits for blog: more than 3 in a row do not end in time. Take one out.",
    ],
  ],
  "luggage's health and user": [
    [luggage({ health: {} }), "luggage.blog.health has neither path nor command: takes exactly one."],
    [
      luggage({ health: { path: "/", command: ["x"] } }),
      "luggage.blog.health has path and command: takes exactly one.",
    ],
    [luggage({ health: { command: [""] } }), "luggage.blog.health.command[0] is empty: takes a program."],
    [luggage({ health: { path: "up" } }), 'luggage.blog.health.path is "up": takes a path, as in /healthz.'],
    [
      luggage({ health: { path: "/a b" } }),
      'luggage.blog.health.path is "/a b": takes a path of printable ASCII without spaces, 201 at most.',
    ],
    [
      { luggage: { cron: { files: "c", command: ["c"], health: { path: "/" } } } },
      "luggage.cron.health.path asks luggage.cron, which has no port. Give it one, or take command.",
    ],
    [
      luggage({ health: { path: "/", timeout: "20s" } }),
      "luggage.blog.health waits 20s for an answer and asks every 10s: timeout takes 10s at most.",
    ],
    [
      luggage({ health: { path: "/", every: "1s" } }),
      'luggage.blog.health.every is "1s": takes a duration from 2s to 1h: a number with s, m, h or d, or plain seconds.',
    ],
    [
      luggage({ user: "Root" }),
      'luggage.blog.user is "Root": takes lower-case letters, digits and dashes, 2 to 24 of them, a letter first.',
    ],
  ],
  ssh: [
    [
      { ssh: { authorizedKeys: [aKey] } },
      "ssh stands in a stack without tailnet: its server listens there and nowhere else.",
    ],
    [
      { ...tailnet({}), ssh: { authorizedKeys: [`command="sh" ${aKey}`] } },
      `ssh.authorizedKeys[0] is ${JSON.stringify(`command="sh" ${aKey}`).slice(0, 77)}...: takes a public key as in authorized_keys, without options, as in ssh-ed25519 AAAA... me.`,
    ],
    [{ debugTools: "yes" }, 'debugTools is "yes": takes true or false.'],
  ],
  "dns, cache, http3, rollout, addresses": [
    [
      { http3: true },
      "http3 is true: Fly delivers UDP on a dedicated IPv4 only, to sockets on an address of its own, and without a PROXY header, so the PoP would not know its visitors.",
    ],
    [
      forward({ zone: "home.internal", servers: ["ns.home"] }),
      'dns.forward[0].servers[0] is "ns.home": takes an IP address, as in 100.100.100.100 or fd7a:115c:a1e0::53@5353.',
    ],
    [
      forward({ zone: "home.internal", servers: ["10.0.0.1@70000"] }),
      'dns.forward[0].servers[0] is "10.0.0.1@70000": takes an IP address, as in 100.100.100.100 or fd7a:115c:a1e0::53@5353.',
    ],
    [
      forward({ zone: "home.internal", servers: [] }),
      "dns.forward[0].servers is an empty list: takes a list of at least one name server.",
    ],
    [
      forward({ zone: "home.internal", servers: ["10.0.0.1"] }, { zone: "HOME.internal.", servers: ["10.0.0.2"] }),
      'dns.forward[1].zone is "home.internal": dns.forward[0] has it too. Put all servers there.',
    ],
    [
      forward({ zone: "a b", servers: ["10.0.0.1"] }),
      'dns.forward[0].zone is "a b": takes a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [{ dns: { forwards: [] } }, "dns.forwards: no such key; did you mean forward? Takes forward."],
    [{ cache: { maxSizeMb: 2765 } }, "cache.maxSizeMb is 2765: the smallest volume has 3 GB. Write 2764 or less."],
    [
      { cache: { maxSizeMb: 2000 }, regions: { cdg: { volumeGb: 1 }, ewr: {} } },
      "cache.maxSizeMb is 2000: the smallest volume has 1 GB. Write 921 or less.",
    ],
    [{ cache: { maxSizeMb: 1 } }, "cache.maxSizeMb is 1: takes a whole number of MB from 16 to 512000."],
    [
      { rollout: { canary: "cgd" } },
      'rollout.canary is "cgd": no such PoP; did you mean cdg? Takes cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [
      { rollout: { canary: "ewr-3" } },
      'rollout.canary is "ewr-3": no such PoP; did you mean ewr-1? Takes cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [
      { rollout: { canary: "toString" } },
      'rollout.canary is "toString": no such PoP. Takes cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [{ rollout: { maxUnavailable: 0 } }, "rollout.maxUnavailable is 0: takes a whole number of PoPs from 1 to 10000."],
    [
      { rollout: { canery: "cdg" } },
      "rollout.canery: no such key; did you mean canary? Takes canary, maxUnavailable, drain, timeout.",
    ],
    [
      { rollout: { drain: "6m" } },
      'rollout.drain is "6m": takes a duration from 0 to 5m: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { rollout: { timeout: "5s" } },
      'rollout.timeout is "5s": takes a duration from 10s to 1h: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { addresses: ["v6", "shared_v4"] },
      'addresses[1] is "shared_v4": raw TCP with a PROXY header needs a dedicated IPv4: Fly routes shared ones by TLS name or Host. Takes v4 or v6.',
    ],
    [{ addresses: ["ipv4"] }, 'addresses[0] is "ipv4": no such kind of address. Takes v4 or v6.'],
    [{ addresses: ["v4", "v4"] }, 'addresses[1] is "v4" again. Takes each kind once.'],
    [{ addresses: [] }, "addresses is an empty list: takes a list with v4, v6 or both."],
  ],
};

describe.each(Object.entries(table))("%s", (_, rows) => {
  test.each(rows.map(([change, sentence]) => ({ change, sentence })))("$sentence", ({ change, sentence }) => {
    expect(mistakesOf({ ...file, ...change })).toEqual([sentence]);
  });
});

test("the file the rows start from is right", () => {
  expect(mistakesOf(file)).toEqual([]);
});

test("all mistakes come in one round, by path, in one message", () => {
  const raw = {
    ap: "my-edge",
    regions: { cgd: {}, ewr: { memoryMb: 300, volumeGb: 0 } },
    sites: [web, { host: "www.example.org", origin: "ftp://web" }, { host: "example.org" }],
    rollout: { maxUnavailable: 0 },
  };
  expect(mistakesOf(raw)).toEqual([
    `ap: no such key; did you mean app? Takes ${keys}.`,
    `regions.cgd: no such region; did you mean cdg? Takes ${regions} (as of 2026-08-07).`,
    "regions.ewr.memoryMb is 300: shared-cpu-1x takes 256 to 2048 MB in steps of 256. Write 256 or 512.",
    "regions.ewr.volumeGb is 0: takes a whole number of GB from 1 to 500.",
    "rollout.maxUnavailable is 0: takes a whole number of PoPs from 1 to 10000.",
    'sites[1].host is "www.example.org": sites[0] has it too. One host, one site.',
    'sites[1].origin is "ftp://web": takes http or https.',
    `sites[2] has none of ${kinds}: takes exactly one.`,
  ]);
});

test("the message counts, and says how things stand", () => {
  expect(() => parseConfig({ ...file, protect: 1 })).toThrow(
    "1 mistake in the stack's configuration. Nothing was changed.\n  protect is 1: takes true or false.",
  );
  expect(() => parseConfig({})).toThrow(
    /^3 mistakes in the stack's configuration\. Nothing was changed\.\n {2}app is missing/,
  );
});

describe("one mistake is not told twice", () => {
  test.each([
    ["a wrong size does not make its memory wrong", { regions: { cdg: { size: "shared-cpu-9x", memoryMb: 16_384 } } }],
    ["a misspelt size does not either", { regions: { cdg: { sise: "shared-cpu-8x", memoryMb: 16_384 } } }],
    ["a wrong default is told once, however many inherit it", { defaults: { memoryMb: 300 } }],
    [
      "a site whose kind is misspelt has a kind",
      { sites: [{ host: "example.org", redirct: "https://www.example.org" }] },
    ],
    ["a site whose kind is wrong has a kind", { sites: [{ host: "example.org", files: 1 }] }],
    ["a canary in a region that is no map", { regions: { cdg: 1, ewr: {} }, rollout: { canary: "cdg-2" } }],
    ["a canary while replicas are in doubt", { regions: { cdg: { replicas: "2" } }, rollout: { canary: "cdg-2" } }],
    ["a cache on a volume in doubt", { regions: { cdg: { volumeGb: "9" } }, cache: { maxSizeMb: 5000 } }],
    ["a site of luggage whose port is wrong", { ...luggage({ port: 80 }), ...site({ luggage: "blog" }) }],
    ["a site of luggage while luggage is no map", { luggage: 1, ...site({ luggage: "blog" }) }],
    ["an origin while the zones are in doubt", { dns: 1, ...site({ origin: "https://www.example.org" }) }],
  ])("%s", (_, change) => {
    expect(mistakesOf({ ...file, ...change })).toHaveLength(1);
  });
});

test("two redirects in a circle are both named, one that only leads there is not", () => {
  const sites = [
    { host: "a.example.org", redirect: "https://b.example.org" },
    { host: "b.example.org", redirect: "https://c.example.org" },
    { host: "c.example.org", redirect: "http://b.example.org" },
  ];
  expect(mistakesOf({ ...file, sites })).toEqual([
    'sites[1].redirect is "https://c.example.org": leads back to where it began (sites[1] -> sites[2] -> sites[1]).',
    'sites[2].redirect is "http://b.example.org": leads back to where it began (sites[2] -> sites[1] -> sites[2]).',
  ]);
});

test("keys that every object has are no keys of ours", () => {
  const raw = JSON.parse('{"__proto__": {}, "constructor": 1}');
  const regionsRaw = JSON.parse('{"__proto__": {}, "toString": {}, "cdg": {}}');
  expect(mistakesOf({ ...file, ...JSON.parse('{"constructor": 1}'), regions: regionsRaw })).toEqual([
    `constructor: no such key. Takes ${keys}.`,
    `regions.__proto__: no such region. Takes ${regions} (as of 2026-08-07).`,
    `regions.toString: no such region. Takes ${regions} (as of 2026-08-07).`,
  ]);
  expect(mistakesOf({ ...file, sites: [{ ...web, ...JSON.parse('{"constructor": 1}') }], defaults: raw })).toHaveLength(
    3,
  );
});
