import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { mistakesIn } from "../../support/mistakes.ts";

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
/** Keys that need secrets come with their file, so that a row has one error. */
const secretsFile = "./secrets.yaml";
const vault = (more: object) => ({ secretsFile, certificates: { vault: { address: "https://vault.test", ...more } } });
const aKey = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)} me@example.org`;
const tailnet = (more: object) => ({ secretsFile, tailnet: { domain: "tail.example", ...more } });
const forward = (...forward: object[]) => ({ dns: { forward } });

/** One mistake each: what is changed in a valid file, and the one sentence it earns. */
const table: Record<string, [change: Record<string, unknown>, sentence: string][]> = {
  "top level": [
    [
      { app: undefined },
      "app is missing: expected lower-case letters, digits and dashes, 62 at most, no dash at an end.",
    ],
    [
      { app: "My_Edge" },
      'app is "My_Edge": expected lower-case letters, digits and dashes, 62 at most, no dash at an end. Write my-edge.',
    ],
    [{ app: 7 }, "app is 7: expected lower-case letters, digits and dashes, 62 at most, no dash at an end."],
    [
      { app: "a".repeat(63) },
      `app is "${"a".repeat(63)}": expected lower-case letters, digits and dashes, 62 at most, no dash at an end.`,
    ],
    [
      { organization: "My Org" },
      'organization is "My Org": expected lower-case letters, digits and dashes, 62 at most, no dash at an end. Write my-org.',
    ],
    [{ regoins: {} }, `regoins: unknown key; did you mean regions? Allowed keys: ${keys}.`],
    [{ tokens: "x" }, `tokens: unknown key. Allowed keys: ${keys}.`],
    [{ protect: "yes" }, 'protect is "yes": expected true or false.'],
    [
      { imagePlatform: "linux/amd65" },
      'imagePlatform is "linux/amd65": no such platform; did you mean linux/amd64? Expected linux/amd64 or host.',
    ],
    [{ snapshots: 61 }, "snapshots is 61: expected a whole number of days from 0 to 60."],
    [{ snapshots: true }, "snapshots is true: expected a whole number of days from 0 to 60."],
    [
      { egress: { eu: 80, asia: 10 } },
      "egress has 90 percent in total: the values must add up to 100, as in { eu: 80, asia: 20 }.",
    ],
    [
      { egress: { eu: 80, china: 20 } },
      "egress.china: unknown key. Allowed keys: eu, na, asia, oceania, sa, africa, india.",
    ],
    [{ egress: { eu: 101 } }, "egress.eu is 101: expected a whole number of percent from 0 to 100."],
    [{ crawlers: 101 }, "crawlers is 101: expected a whole number of percent from 0 to 100."],
    [{ egressGb: -1 }, "egressGb is -1: expected a whole number of GB from 0 to 1000000."],
    [{ egressGb: "1 TB" }, 'egressGb is "1 TB": expected a whole number of GB from 0 to 1000000.'],
    [{ imagePlatform: "windows" }, 'imagePlatform is "windows": no such platform. Expected linux/amd64 or host.'],
    [
      { imageRef: "registry.fly.io/my-edge:pop" },
      "imageRef is \"registry.fly.io/my-edge:pop\": expected a reference pinned by digest (name@sha256:...), so that every PoP runs the same bytes. `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` shows it.",
    ],
    [
      { imageRef: `My Image${longDigest}` },
      `imageRef is "My Image@sha256:${"a".repeat(60)}...: expected an image reference pinned by digest: name, @sha256: and 64 hex digits.`,
    ],
  ],
  regions: [
    [
      { regions: undefined },
      "regions is missing: expected a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }.",
    ],
    [
      { regions: ["cdg"] },
      "regions is a list: expected a map from region code to settings, as in { cdg: {}, ewr: { replicas: 2 } }.",
    ],
    [{ regions: {} }, "regions is empty: expected at least one region, as in { cdg: {} }."],
    [
      { regions: {}, rollout: { canary: "cdg" }, adopt: { pops: { "cdg-1": { volume: "vol_4xp" } } } },
      "regions is empty: expected at least one region, as in { cdg: {} }.",
    ],
    [
      { regions: { cgd: {} } },
      `regions.cgd: no such region; did you mean cdg? Expected ${regions} (as of 2026-08-07).`,
    ],
    [
      { regions: { paris: {} } },
      `regions.paris: no such region; did you mean cdg? Expected ${regions} (as of 2026-08-07).`,
    ],
    [
      { regions: { CDG: {} } },
      `regions.CDG: no such region; did you mean cdg? Expected ${regions} (as of 2026-08-07).`,
    ],
    [{ regions: { moon: {} } }, `regions.moon: no such region. Expected ${regions} (as of 2026-08-07).`],
    [region({ replicas: 0 }), "regions.cdg.replicas is 0: expected a whole number of PoPs from 1 to 100."],
    [region({ replicas: 1.5 }), "regions.cdg.replicas is 1.5: expected a whole number of PoPs from 1 to 100."],
    [region({ replicas: "2" }), 'regions.cdg.replicas is "2": expected a whole number of PoPs from 1 to 100.'],
    [
      region({ replica: 2 }),
      "regions.cdg.replica: unknown key; did you mean replicas? Allowed keys: replicas, size, memoryMb, volumeGb.",
    ],
    [
      region({ size: "shared-cpu-3x" }),
      `regions.cdg.size is "shared-cpu-3x": no such size; did you mean shared-cpu-1x? Expected ${sizes}.`,
    ],
    [region({ size: "constructor" }), `regions.cdg.size is "constructor": no such size. Expected ${sizes}.`],
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
    [region({ volumeGb: 501 }), "regions.cdg.volumeGb is 501: expected a whole number of GB from 1 to 500."],
    [{ defaults: { volumeGb: 0 } }, "defaults.volumeGb is 0: expected a whole number of GB from 1 to 500."],
    [{ defaults: "small" }, 'defaults is "small": expected a map of settings.'],
  ],
  sites: [
    [{ sites: undefined }, "sites is missing: expected a list of at least one site."],
    [{ sites: [] }, "sites is an empty list: expected a list of at least one site."],
    [{ sites: [web, "x"] }, `sites[1] is "x": expected a map with host and one of ${kinds}.`],
    [
      { sites: [{ files: "a" }] },
      "sites[0].host is missing: expected a DNS name, as in www.example.org or *.example.org.",
    ],
    [
      { sites: [web, { ...web, host: "WWW.example.org." }] },
      'sites[1].host is "www.example.org": sites[0] has this host already. A host may appear in one site only.',
    ],
    [
      site({ host: "https://www.example.org/", files: "a" }),
      'sites[0].host is "https://www.example.org/": expected a name only, without scheme, port or path. Write www.example.org.',
    ],
    [
      site({ host: "www.example.org:443", files: "a" }),
      'sites[0].host is "www.example.org:443": expected a name only, without scheme, port or path. Write www.example.org.',
    ],
    [
      site({ host: "w*.example.org", files: "a" }),
      'sites[0].host is "w*.example.org": * is allowed as the first label only, as in *.example.org.',
    ],
    [
      site({ host: "münchen.de", files: "a" }),
      'sites[0].host is "münchen.de": expected the ASCII form. Write xn--mnchen-3ya.de.',
    ],
    [site({ host: "10.0.0.1", files: "a" }), 'sites[0].host is "10.0.0.1": expected a name, not an address.'],
    [
      site({ host: "localhost", files: "a" }),
      'sites[0].host is "localhost": expected a full name, as in www.example.org.',
    ],
    [
      site({ host: "a;b.org", files: "a" }),
      'sites[0].host is "a;b.org": expected a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [
      site({ host: "-a.org", files: "a" }),
      'sites[0].host is "-a.org": expected a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [site({}), `sites[0] has none of ${kinds}: use exactly one.`],
    [site({ origin: "http://web", files: "a" }), `sites[0] has origin and files: use exactly one of ${kinds}.`],
    [
      site({ orgin: "http://web" }),
      "sites[0].orgin: unknown key; did you mean origin? Allowed keys: host, aliases, default, origin, protocol, passThrough, proxyProtocol, redirect, status, files, luggage, certificate, cache, limit, access, auth, tls, timeouts, buffering, compress, maxBodyMb, hostHeader, requestHeaders, errorPages, spa, robots, hsts, securityHeaders, headers, paths.",
    ],
    [site({ origin: "web:8080" }), 'sites[0].origin is "web:8080": needs a scheme. Write https://web:8080.'],
    [site({ origin: "ftp://web" }), 'sites[0].origin is "ftp://web": expected http or https.'],
    [
      site({ origin: "https://web/app" }),
      'sites[0].origin is "https://web/app": must not have a path, query or fragment. Write https://web.',
    ],
    [
      site({ origin: "https://web?a=1" }),
      'sites[0].origin is "https://web?a=1": must not have a path, query or fragment. Write https://web.',
    ],
    [
      site({ origin: "https://me:hunter2@web" }),
      'sites[0].origin is "https://***@web": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [
      site({ origin: "me:hun/ter2@web" }),
      'sites[0].origin is "***@web": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [site({ origin: "https://web:0" }), 'sites[0].origin is "https://web:0": expected a port from 1 to 65535.'],
    [site({ origin: "https://web:65536" }), 'sites[0].origin is "https://web:65536": expected a port from 1 to 65535.'],
    [site({ origin: "https://a;b{" }), 'sites[0].origin is "https://a;b{": expected a DNS name or an address as host.'],
    [site({ origin: "http://8080" }), 'sites[0].origin is "http://8080": expected a DNS name or an address as host.'],
    [
      site({ origin: "http://[::g]" }),
      'sites[0].origin is "http://[::g]": expected a URL such as https://web.tail.example:8443.',
    ],
    [
      site({ origin: "https://www.example.org" }),
      'sites[0].origin is "https://www.example.org": sites[0] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
    [site({ origin: 7 }), `sites[0].origin is 7: expected ${anOrigin}.`],
    [site({ origin: { url: "http://web" } }), `sites[0].origin is a map: expected ${anOrigin}.`],
    [site({ origin: [] }), "sites[0].origin is an empty list: expected 1 to 8 entries."],
    [
      site({ origin: ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map((name) => `http://${name}`) }),
      "sites[0].origin is a list: expected 1 to 8 entries.",
    ],
    [site({ origin: ["http://web", 7] }), "sites[0].origin[1] is 7: expected an http or https URL."],
    [site({ origin: ["http://web", "ftp://web"] }), 'sites[0].origin[1] is "ftp://web": expected http or https.'],
    [
      site({ origin: ["http://web", "https://me:hunter2@web"] }),
      'sites[0].origin[1] is "https://***@web": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [
      site({ origin: ["http://a", "http://web", "HTTP://Web:80/"] }),
      'sites[0].origin[2] is "http://web": origin[1] is the same.',
    ],
    [
      site({ origin: ["http://web", "https://www.example.org"] }),
      'sites[0].origin[1] is "https://www.example.org": sites[0] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
    [
      site({ origin: "http://web", tls: { ca: "ca.pem" } }),
      "sites[0].tls needs an https origin: the origins of this site use http.",
    ],
    [
      site({ origin: "https://web", tls: { verify: false } }),
      "sites[0].tls.verify: unknown key. Allowed keys: ca, serverName, certificate.",
    ],
    [
      site({ origin: "https://web", tls: { ca: "/etc/ca.pem" } }),
      'sites[0].tls.ca is "/etc/ca.pem": expected a file relative to the project: an absolute path differs from machine to machine.',
    ],
    [site({ origin: "https://web", tls: { ca: "ca/" } }), 'sites[0].tls.ca is "ca/": expected a file, as in ./ca.pem.'],
    [
      site({ origin: "https://web", tls: { serverName: "10.0.0.1" } }),
      'sites[0].tls.serverName is "10.0.0.1": expected a name, not an address.',
    ],
    [
      site({ files: "a", tls: { ca: "ca.pem" } }),
      "sites[0].tls is not allowed in a site without origin: only origins have a certificate to verify.",
    ],
    [
      site({ files: "a", timeouts: { read: 5 } }),
      "sites[0].timeouts is not allowed in a site without origin or luggage: nginx waits for no upstream there.",
    ],
    [
      site({ redirect: "https://a.example", maxBodyMb: 5 }),
      "sites[0].maxBodyMb is not allowed in a site without origin or luggage: there is no upstream to send a body to.",
    ],
    [
      site({ origin: "http://web", maxBodyMb: 0 }),
      "sites[0].maxBodyMb is 0: expected a whole number of MB from 1 to 1048576.",
    ],
    [
      site({ origin: "http://web", timeouts: { connect: "2m" } }),
      'sites[0].timeouts.connect is "2m": expected a duration from 1s to 75s: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", timeouts: { read: 0 } }),
      "sites[0].timeouts.read is 0: expected a duration from 1s to 1d: a number with s, m, h or d, or plain seconds.",
    ],
    [
      site({ files: "a", headers: { "X Own": "a" } }),
      'sites[0].headers["X Own"]: a header name has letters, digits and dashes, 64 at most, a letter first.',
    ],
    [
      site({ files: "a", headers: { "Set-Cookie": "a=b" } }),
      "sites[0].headers.Set-Cookie: this header is set by nginx or the PoP, or belongs to a single connection.",
    ],
    [
      site({ files: "a", headers: { "X-Own": "a", "x-own": "b" } }),
      "sites[0].headers.x-own: X-Own is the same header.",
    ],
    [
      site({ files: "a", headers: { "X-Own": "$host" } }),
      'sites[0].headers.X-Own is "$host": must not contain $, which nginx would replace by a variable.',
    ],
    [
      site({ files: "a", headers: { "X-Own": "a\nb" } }),
      'sites[0].headers.X-Own is "a\\nb": expected printable ASCII, no space at an end.',
    ],
    [
      { sites: [web, { host: "example.org", redirect: "https://www.example.org/new" }] },
      'sites[1].redirect is "https://www.example.org/new": must not have a path, query or fragment. Write https://www.example.org.',
    ],
    [
      site({ redirect: "https://WWW.example.org" }),
      'sites[0].redirect is "https://WWW.example.org": is a redirect loop (sites[0] -> sites[0]).',
    ],
    [
      site({ files: "/srv/www" }),
      'sites[0].files is "/srv/www": expected a directory relative to the project: an absolute path differs from machine to machine.',
    ],
    [
      site({ files: "~/www" }),
      'sites[0].files is "~/www": expected a directory relative to the project, and no shell expands ~ here.',
    ],
    [
      site({ files: "." }),
      'sites[0].files is ".": would pack the project itself, including keys and state. Use a separate directory.',
    ],
    [
      site({ files: "a/../.." }),
      'sites[0].files is "a/../..": would pack the project itself, including keys and state. Use a separate directory.',
    ],
    [site({ files: "a\nb" }), 'sites[0].files is "a\\nb": must not contain control characters or backslashes.'],
    [site({ files: " " }), 'sites[0].files is " ": expected a directory, as in ./site.'],
    [
      site({ origin: "http://web", cache: { maxAge: "10 min" } }),
      'sites[0].cache.maxAge is "10 min": expected a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", cache: { staleIfError: -1 } }),
      "sites[0].cache.staleIfError is -1: expected a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.",
    ],
    [
      site({ origin: "http://web", cache: { staleWhileRevalidate: "366d" } }),
      'sites[0].cache.staleWhileRevalidate is "366d": expected a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      site({ origin: "http://web", cache: { maxage: 1 } }),
      "sites[0].cache.maxage: unknown key; did you mean maxAge? Allowed keys: maxAge, staleIfError, staleWhileRevalidate, maxFileMb, cookies, statuses, ignoreQuery, ignoreOrigin, vary.",
    ],
    [
      site({ origin: "http://web", cache: { staleFor: "1d" } }),
      "sites[0].cache.staleFor: replaced by staleIfError (while the origin fails) and staleWhileRevalidate (while a fresh response is fetched).",
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
      'sites[0].cache.cookies[0] is "a b": expected the name of a cookie.',
    ],
    [
      site({ origin: "http://web", cache: { cookies: [] } }),
      "sites[0].cache.cookies is an empty list: expected a list of 1 to 32 names of cookies, as in [session, wordpress_logged_in_*].",
    ],
    [
      site({ origin: "http://web", cache: {}, buffering: true }),
      "sites[0].buffering cannot be combined with cache, which buffers stored responses and no others.",
    ],
    [
      site({ files: "a", buffering: true }),
      "sites[0].buffering is not allowed in a site without origin or luggage: there are no upstream responses.",
    ],
    [
      site({ files: "a", cache: {} }),
      "sites[0].cache is not allowed in a site without origin: only responses of origins are cached.",
    ],
    [site({ luggage: "blog" }), 'sites[0].luggage is "blog": no such luggage. There is none under luggage.'],
    [
      { ...luggage({}), ...site({ luggage: "blgo" }) },
      'sites[0].luggage is "blgo": no such luggage; did you mean blog? Expected blog.',
    ],
    [
      { luggage: { blog: { files: "b", command: ["b"] } }, ...site({ luggage: "blog" }) },
      'sites[0].luggage is "blog": luggage.blog has no port, so it cannot serve requests. Set its port.',
    ],
  ],
  "limits of a visitor": [
    [
      site({ origin: "http://web", limit: { requests: "10" } }),
      'sites[0].limit.requests is "10": expected a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: "10/h" } }),
      'sites[0].limit.requests is "10/h": expected a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: "0/s" } }),
      'sites[0].limit.requests is "0/s": expected a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.',
    ],
    [
      site({ origin: "http://web", limit: { requests: 10 } }),
      "sites[0].limit.requests is 10: expected a number from 1 to 100000 a second or a minute, as in 10/s or 100/m.",
    ],
    [
      site({ origin: "http://web", limit: { burst: -1 } }),
      "sites[0].limit.burst is -1: expected a whole number of requests from 0 to 100000.",
    ],
    [
      site({ origin: "http://web", limit: { burst: 1.5 } }),
      "sites[0].limit.burst is 1.5: expected a whole number of requests from 0 to 100000.",
    ],
    [
      site({ origin: "http://web", limit: { connections: 257 } }),
      "sites[0].limit.connections is 257: expected a whole number of requests from 1 to 256.",
    ],
    [
      site({ origin: "http://web", limit: { request: "10/s" } }),
      "sites[0].limit.request: unknown key; did you mean requests? Allowed keys: requests, burst, connections.",
    ],
    [
      site({ origin: "http://web", limit: true }),
      "sites[0].limit is true: expected a map with any of requests, burst, connections, or false for no limit.",
    ],
    [
      site({ origin: "http://web", limit: "10/s" }),
      'sites[0].limit is "10/s": expected a map with any of requests, burst, connections, or false for no limit.',
    ],
    [
      site({ redirect: "https://www.example.net", limit: { requests: "10/s" } }),
      "sites[0].limit is not allowed in a site without origin or files or luggage: redirects are cheap to serve.",
    ],
  ],
  "access of visitors": [
    [
      site({ origin: "http://web", access: { deny: "203.0.113" } }),
      'sites[0].access.deny is "203.0.113": expected an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
    ],
    [
      site({ origin: "http://web", access: { deny: "lists/bad.txt" } }),
      'sites[0].access.deny is "lists/bad.txt": expected an address or a network, as in 203.0.113.7 or 2001:db8::/32. Write ./lists/bad.txt.',
    ],
    [
      site({ origin: "http://web", access: { allow: ["10.0.0.0/8", "10.0.0.0/33"] } }),
      'sites[0].access.allow[1] is "10.0.0.0/33": expected an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
    ],
    [
      site({ origin: "http://web", access: { allow: "./" } }),
      'sites[0].access.allow is "./": expected a file, as in ./ca.pem.',
    ],
    [
      site({ origin: "http://web", access: { allow: [] } }),
      "sites[0].access.allow is an empty list: expected 1 to 1000 entries; put longer lists into a file.",
    ],
    [
      site({ origin: "http://web", access: { deny: 7 } }),
      "sites[0].access.deny is 7: expected an address, a network or a file of them relative to the project, as in 203.0.113.7, 2001:db8::/32 or ./lists/bad.txt, or a list of these.",
    ],
    [
      site({ origin: "http://web", access: { agents: ["GPT*Bot"] } }),
      'sites[0].access.agents[0] is "GPT*Bot": expected a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-.',
    ],
    [
      site({ origin: "http://web", access: { agents: [] } }),
      "sites[0].access.agents is an empty list: expected a list of 1 to 200 parts of a User-Agent, as in [GPTBot, ClaudeBot, Bytespider].",
    ],
    [
      site({ origin: "http://web", access: { denny: ["10.0.0.0/8"] } }),
      "sites[0].access.denny: unknown key; did you mean deny? Allowed keys: allow, deny, agents.",
    ],
    [
      site({ origin: "http://web", access: {} }),
      "sites[0].access is empty: expected at least one of allow, deny, agents.",
    ],
  ],
  "log-in of a site": [
    [
      { secretsFile, ...site({ origin: "http://web", auth: { basic: "my passwords" } }) },
      'sites[0].auth.basic is "my passwords": expected letters, digits, dashes and _, 64 at most, no digit or dash first.',
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: {} }) },
      "sites[0].auth has neither basic nor forward: use exactly one.",
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: "passwords" }) },
      'sites[0].auth is "passwords": expected a map with basic or forward, as in { basic: sitePasswords } or { forward: "http://auth.tail.example:9091/api/authz/auth-request", headers: [Remote-User] }.',
    ],
    [
      { secretsFile, ...site({ origin: "http://web", auth: { basci: "passwords" } }) },
      "sites[0].auth.basci: unknown key; did you mean basic? Allowed keys: basic, forward, headers.",
    ],
    [
      { secretsFile, ...site({ origin: "http://web", cache: {}, auth: { basic: "passwords" } }) },
      "sites[0].auth cannot be combined with cache: requests with a password bypass the cache.",
    ],
    [
      { secretsFile, ...site({ redirect: "https://www.example.net", auth: { basic: "passwords" } }) },
      "sites[0].auth is not allowed in a site without origin or files or luggage: a redirect's target is public.",
    ],
    [
      site({ origin: "http://web", auth: { basic: "passwords" } }),
      "secretsFile is missing: sites[0].auth needs passwords. Set it to a sops file, as in ./secrets.yaml.",
    ],
  ],
  luggage: [
    [
      { luggage: { Blog: blog } },
      "luggage.Blog: the name is invalid: expected lower-case letters, digits and dashes, 2 to 24 of them, a letter first.",
    ],
    [
      { luggage: { "my blog": blog } },
      'luggage["my blog"]: the name is invalid: expected lower-case letters, digits and dashes, 2 to 24 of them, a letter first.',
    ],
    [
      luggage({ env: { PATH: "/bin" } }),
      "luggage.blog.env.PATH: this variable is reserved by the image. Choose another.",
    ],
    [
      luggage({ env: { LD_PRELOAD: "x.so" } }),
      "luggage.blog.env.LD_PRELOAD: this variable is reserved by the image. Choose another.",
    ],
    [luggage({ files: undefined, image: "a" }), "luggage.blog has files and image: use exactly one."],
    [{ luggage: { blog: { command: ["b"] } } }, "luggage.blog has neither files nor image: use exactly one."],
    [
      { luggage: { blog: { files: "b" } } },
      "luggage.blog.command is missing: expected a list: program, then its arguments.",
    ],
    [
      luggage({ command: "./b --x" }),
      'luggage.blog.command is "./b --x": expected a list: program, then its arguments.',
    ],
    [luggage({ command: [] }), "luggage.blog.command is an empty list: expected a list: program, then its arguments."],
    [luggage({ command: ["", "x"] }), "luggage.blog.command[0] is empty: expected a program."],
    [luggage({ command: ["b", 1] }), "luggage.blog.command[1] is 1: expected a text without NUL."],
    [luggage({ port: 80 }), "luggage.blog.port is 80: expected a port from 1024 to 65535."],
    [
      luggage({ port: 1102 }),
      "luggage.blog.port is 1102: this port is already used by the image (https). Choose another.",
    ],
    [
      { luggage: { api: { files: "a", command: ["a"], port: 8080 }, blog } },
      "luggage.blog.port is 8080: this port is already used by luggage.api. Choose another.",
    ],
    [
      { luggage: { blog: { image: "ghcr.io/Me/Blog", command: ["b"] } } },
      'luggage.blog.image is "ghcr.io/Me/Blog": expected an image reference, as in ghcr.io/me/blog:1.2.',
    ],
    [
      luggage({ env: { FLY_REGION: "cdg" } }),
      "luggage.blog.env.FLY_REGION: names that begin with FLY_ are reserved by Fly. Choose another.",
    ],
    [
      luggage({ env: { "1A": "x" } }),
      "luggage.blog.env.1A: a variable name may have letters, digits and _, and must not begin with a digit.",
    ],
    [luggage({ env: { A: ["hunter2"] } }), "luggage.blog.env.A is a list: expected a text, a number or a boolean."],
    [luggage({ env: { A: "hunter2\0" } }), "luggage.blog.env.A is a string: expected a text, a number or a boolean."],
    [
      luggage({ prot: 1 }),
      "luggage.blog.prot: unknown key; did you mean port? Allowed keys: files, image, command, env, secrets, port, dependsOn, health, user.",
    ],
  ],
  tailnet: [
    [
      { secretsFile, tailnet: { tags: ["pop"] } },
      "tailnet.domain is missing: expected a DNS name, as in tail1234.ts.net.",
    ],
    [tailnet({ domain: "tailnet" }), 'tailnet.domain is "tailnet": expected a full name, as in www.example.org.'],
    [tailnet({ tags: [] }), "tailnet.tags is an empty list: expected a list of at least one tag."],
    [tailnet({ tags: ["tag:pop"] }), 'tailnet.tags[0] is "tag:pop": expected the name only. Write pop.'],
    [
      tailnet({ tags: ["Pop"] }),
      'tailnet.tags[0] is "Pop": expected lower-case letters, digits and dashes, 50 at most, a letter first.',
    ],
    [
      tailnet({ hostPrefix: "--ssh" }),
      'tailnet.hostPrefix is "--ssh": expected lower-case letters, digits and dashes, 31 at most, no dash first.',
    ],
    [
      tailnet({ loginServer: "https://user:secret@login.example.org" }),
      'tailnet.loginServer is "https://***@login.example.org": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [
      { ...tailnet({}), ...forward({ zone: "Tail.example.", servers: ["100.100.100.100"] }) },
      `dns.forward[0].zone is "tail.example": tailnet.domain already covers this zone through Tailscale's resolver. Remove it here.`,
    ],
    [
      tailnet({ authKey: "x" }),
      "tailnet.authKey: unknown key. Allowed keys: domain, loginServer, ca, controlPlane, tags, hostPrefix, acceptRoutes, udpOffload.",
    ],
    [
      tailnet({ controlPlane: "headscal" }),
      'tailnet.controlPlane is "headscal": no such control plane; did you mean headscale? Expected tailscale or headscale.',
    ],
    [
      tailnet({ driver: "headscale", loginServer: "https://login.example.org" }),
      "tailnet.driver: renamed to controlPlane.",
    ],
    [{ tailnet: { domain: "tail.example", driver: "tailscale" } }, "tailnet.driver: renamed to controlPlane."],
    [
      tailnet({ controlPlane: "headscale" }),
      "tailnet.controlPlane is headscale, but tailnet.loginServer is missing. Set it to headscale's URL.",
    ],
    [
      tailnet({ controlPlane: "tailscale", loginServer: "https://login.example.org" }),
      "tailnet.controlPlane is tailscale, which cannot be combined with tailnet.loginServer: Tailscale's API creates keys for Tailscale's own control server only. Remove one of them.",
    ],
    [
      tailnet({ ca: "./ca.pem" }),
      "tailnet.ca needs tailnet.loginServer: Tailscale's own control server has a public certificate.",
    ],
    [
      tailnet({ loginServer: "https://login.example.org", ca: "/etc/ca.pem" }),
      'tailnet.ca is "/etc/ca.pem": expected a file relative to the project: an absolute path differs from machine to machine.',
    ],
    [
      { tailnet: { domain: "tail.example" } },
      "secretsFile is missing: tailnet needs tailscaleAuthKey (or controlPlane, which creates one for each PoP). Set it to a sops file, as in ./secrets.yaml.",
    ],
  ],
  certificates: [
    [
      vault({ address: "https://root:token@vault.test" }),
      'certificates.vault.address is "https://***@vault.test": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [
      vault({ path: "../{domain}" }),
      'certificates.vault.path is "../{domain}": expected letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ mount: "kv/" }),
      'certificates.vault.mount is "kv/": expected letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ token: "x" }),
      "certificates.vault.token: unknown key. Allowed keys: address, ca, serverName, namespace, authMount, mount, kvVersion, path, fields, secretId.",
    ],
    [
      vault({ token: "x" }),
      "certificates.vault.token: unknown key. Allowed keys: address, ca, serverName, namespace, authMount, mount, kvVersion, path, fields, secretId.",
    ],
    [
      vault({ namespace: "admin/" }),
      'certificates.vault.namespace is "admin/": expected letters, digits, dots, dashes and _ between slashes.',
    ],
    [
      vault({ authMount: "approle/{domain}" }),
      'certificates.vault.authMount is "approle/{domain}": expected letters, digits, dots, dashes and _ between slashes.',
    ],
    [vault({ kvVersion: 3 }), "certificates.vault.kvVersion is 3: expected 1 or 2."],
    [vault({ kvVersion: "2" }), 'certificates.vault.kvVersion is "2": expected 1 or 2.'],
    [
      vault({ fields: { key: "private key" } }),
      'certificates.vault.fields.key is "private key": expected letters, digits, dots, dashes and _, 64 at most.',
    ],
    [
      vault({ fields: { fullchain: "x" } }),
      "certificates.vault.fields.fullchain: unknown key. Allowed keys: key, chain, certificate, pem.",
    ],
    [
      vault({ fields: { pem: "pem", kee: "key" } }),
      "certificates.vault.fields.kee: unknown key; did you mean key? Allowed keys: key, chain, certificate, pem.",
    ],
    [
      vault({ fields: { pem: "pem", key: "key" } }),
      "certificates.vault.fields.pem cannot be combined with key: pem contains key and certificates. Remove one.",
    ],
    [
      vault({ secretId: { created: "2026-11-29" } }),
      "certificates.vault.secretId.ends is missing: expected a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.",
    ],
    [
      vault({ secretId: { created: "2026-11-29", ends: "90d" } }),
      'certificates.vault.secretId.ends is "90d": expected a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.',
    ],
    [
      vault({ secretId: { created: "2026-02-30", ends: "2027-01-01" } }),
      'certificates.vault.secretId.created is "2026-02-30": expected a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z.',
    ],
    [
      vault({ secretId: { created: "2026-11-29", ends: "2026-11-29T00:00:00Z" } }),
      'certificates.vault.secretId.ends is "2026-11-29T00:00:00Z": must be after created, 2026-11-29.',
    ],
    [
      site({ files: "a", certificate: "example.org" }),
      "sites[0].certificate names a certificate in the vault, but certificates.vault is not set.",
    ],
    [
      luggage({ secrets: ["a b"] }),
      'luggage.blog.secrets[0] is "a b": expected letters, digits, dashes and _, 64 at most, no digit or dash first.',
    ],
    [luggage({ secrets: ["a", "a"] }), 'luggage.blog.secrets[1] is "a": secrets[0] is the same.'],
    [
      { luggage: { blog: { ...blog, secrets: ["b", "a"] } }, certificates: { vault: { address: "https://v.test" } } },
      "secretsFile is missing: certificates needs vaultRoleId and vaultSecretId; luggage.blog needs b, a. Set it to a sops file, as in ./secrets.yaml.",
    ],
    [{ secretsFile: "./secrets.json" }, 'secretsFile is "./secrets.json": expected a YAML file, as in ./secrets.yaml.'],
    [{ secretsFile: "secrets/" }, 'secretsFile is "secrets/": expected a file, as in ./secrets.yaml.'],
    [
      { secretsFile: "~/secrets.yaml" },
      'secretsFile is "~/secrets.yaml": expected a file relative to the project, and no shell expands ~ here.',
    ],
  ],
  "luggage that waits": [
    [
      luggage({ dependsOn: ["unbuond"] }),
      'luggage.blog.dependsOn[0] is "unbuond": no such luggage or process; did you mean unbound? Expected certs, nginx, secrets, tailscale-up, tailscaled, unbound.',
    ],
    [
      { luggage: { blog: { ...blog, dependsOn: ["apu"] }, api } },
      'luggage.blog.dependsOn[0] is "apu": no such luggage or process; did you mean api? Expected api, certs, nginx, secrets, tailscale-up, tailscaled, unbound.',
    ],
    [
      luggage({ dependsOn: ["blog"] }),
      'luggage.blog.dependsOn[0] is "blog", so it would wait for itself and never start.',
    ],
    [luggage({ dependsOn: ["nginx", "nginx"] }), 'luggage.blog.dependsOn[1] is "nginx": dependsOn[0] is the same.'],
    [
      luggage({ dependsOn: ["tailscaled"] }),
      'luggage.blog.dependsOn[0] is "tailscaled": this process exists only in a stack with tailnet. Remove it.',
    ],
    [
      luggage({ dependsOn: ["certs"] }),
      'luggage.blog.dependsOn[0] is "certs": this process exists only in a stack with certificates. Remove it.',
    ],
    [
      luggage({ dependsOn: ["secrets"] }),
      'luggage.blog.dependsOn[0] is "secrets": nothing in this stack uses secrets, so this process does not exist. Remove it.',
    ],
    [
      { luggage: { blog: { ...blog, dependsOn: ["api"] }, api: { ...api, dependsOn: ["blog"] } } },
      "luggage.api.dependsOn: api waits for blog waits for api: none of these would start. Remove one of these dependencies.",
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
      "luggage.a1.dependsOn: a1 waits for a2 waits for a3 waits for blog: chains of more than 3 cannot stop in time. Remove one of these dependencies.",
    ],
  ],
  "luggage's health and user": [
    [luggage({ health: {} }), "luggage.blog.health has neither path nor command: use exactly one."],
    [luggage({ health: { path: "/", command: ["x"] } }), "luggage.blog.health has path and command: use exactly one."],
    [luggage({ health: { command: [""] } }), "luggage.blog.health.command[0] is empty: expected a program."],
    [luggage({ health: { path: "up" } }), 'luggage.blog.health.path is "up": expected a path, as in /healthz.'],
    [
      luggage({ health: { path: "/a b" } }),
      'luggage.blog.health.path is "/a b": expected a path of printable ASCII without spaces, 201 at most.',
    ],
    [
      { luggage: { cron: { files: "c", command: ["c"], health: { path: "/" } } } },
      "luggage.cron.health.path asks luggage.cron, which has no port. Set its port, or use command.",
    ],
    [
      luggage({ health: { path: "/", timeout: "20s" } }),
      "luggage.blog.health has timeout 20s and runs every 10s. The timeout must not be longer than the interval.",
    ],
    [
      luggage({ health: { path: "/", every: "1s" } }),
      'luggage.blog.health.every is "1s": expected a duration from 2s to 1h: a number with s, m, h or d, or plain seconds.',
    ],
    [
      luggage({ user: "Root" }),
      'luggage.blog.user is "Root": expected lower-case letters, digits and dashes, 2 to 24 of them, a letter first.',
    ],
  ],
  ssh: [
    [
      { ssh: { authorizedKeys: [aKey] } },
      "ssh needs tailnet: the SSH server listens on the PoP's tailnet address only. Add tailnet, or remove ssh.",
    ],
    [
      { ...tailnet({}), ssh: { authorizedKeys: [`command="sh" ${aKey}`] } },
      `ssh.authorizedKeys[0] is ${JSON.stringify(`command="sh" ${aKey}`).slice(0, 77)}...: expected a public key as in authorized_keys, without options, as in ssh-ed25519 AAAA... me.`,
    ],
    [{ debugTools: "yes" }, 'debugTools is "yes": expected true or false.'],
  ],
  "dns, cache, http3, rollout, addresses": [
    [
      { http3: true },
      "http3 is true: Fly delivers UDP on a dedicated IPv4 only, to sockets on an address of its own, and without a PROXY header, so the PoP would not know its visitors' addresses.",
    ],
    [
      forward({ zone: "home.internal", servers: ["ns.home"] }),
      'dns.forward[0].servers[0] is "ns.home": expected an IP address, as in 100.100.100.100 or fd7a:115c:a1e0::53@5353.',
    ],
    [
      forward({ zone: "home.internal", servers: ["10.0.0.1@70000"] }),
      'dns.forward[0].servers[0] is "10.0.0.1@70000": expected an IP address, as in 100.100.100.100 or fd7a:115c:a1e0::53@5353.',
    ],
    [
      forward({ zone: "home.internal", servers: [] }),
      "dns.forward[0].servers is an empty list: expected a list of at least one name server.",
    ],
    [
      forward({ zone: "home.internal", servers: ["10.0.0.1"] }, { zone: "HOME.internal.", servers: ["10.0.0.2"] }),
      'dns.forward[1].zone is "home.internal": dns.forward[0] has this zone already. Put all servers there.',
    ],
    [
      forward({ zone: "a b", servers: ["10.0.0.1"] }),
      'dns.forward[0].zone is "a b": expected a DNS name: letters, digits and dashes between dots, as in www.example.org.',
    ],
    [{ dns: { forwards: [] } }, "dns.forwards: unknown key; did you mean forward? Allowed keys: forward."],
    [
      { cache: { maxSizeMb: 2765 } },
      "cache.maxSizeMb is 2765, too large for the smallest volume of 3 GB. Write 2764 or less.",
    ],
    [
      { cache: { maxSizeMb: 2000 }, regions: { cdg: { volumeGb: 1 }, ewr: {} } },
      "cache.maxSizeMb is 2000, too large for the smallest volume of 1 GB. Write 921 or less.",
    ],
    [{ cache: { maxSizeMb: 1 } }, "cache.maxSizeMb is 1: expected a whole number of MB from 16 to 512000."],
    [
      { rollout: { canary: "cgd" } },
      'rollout.canary is "cgd": no such PoP; did you mean cdg? Expected cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [
      { rollout: { canary: "ewr-3" } },
      'rollout.canary is "ewr-3": no such PoP; did you mean ewr-1? Expected cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [
      { rollout: { canary: "toString" } },
      'rollout.canary is "toString": no such PoP. Expected cdg, ewr, cdg-1, ewr-1, ewr-2.',
    ],
    [
      { rollout: { maxUnavailable: 0 } },
      "rollout.maxUnavailable is 0: expected a whole number of PoPs from 1 to 10000.",
    ],
    [
      { rollout: { canery: "cdg" } },
      "rollout.canery: unknown key; did you mean canary? Allowed keys: canary, maxUnavailable, drain, timeout.",
    ],
    [
      { rollout: { drain: "6m" } },
      'rollout.drain is "6m": expected a duration from 0 to 5m: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { rollout: { timeout: "5s" } },
      'rollout.timeout is "5s": expected a duration from 10s to 1h: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { addresses: ["v6", "shared_v4"] },
      'addresses[1] is "shared_v4": raw TCP with a PROXY header needs a dedicated IPv4: Fly routes shared ones by TLS name or Host. Expected v4 or v6.',
    ],
    [{ addresses: ["ipv4"] }, 'addresses[0] is "ipv4": no such kind of address. Expected v4 or v6.'],
    [{ addresses: ["v4", "v4"] }, 'addresses[1] is "v4", which is listed already. List each kind once.'],
    [{ addresses: [] }, "addresses is an empty list: expected a list with v4, v6 or both."],
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
    `ap: unknown key; did you mean app? Allowed keys: ${keys}.`,
    `regions.cgd: no such region; did you mean cdg? Expected ${regions} (as of 2026-08-07).`,
    "regions.ewr.memoryMb is 300: shared-cpu-1x takes 256 to 2048 MB in steps of 256. Write 256 or 512.",
    "regions.ewr.volumeGb is 0: expected a whole number of GB from 1 to 500.",
    "rollout.maxUnavailable is 0: expected a whole number of PoPs from 1 to 10000.",
    'sites[1].host is "www.example.org": sites[0] has this host already. A host may appear in one site only.',
    'sites[1].origin is "ftp://web": expected http or https.',
    `sites[2] has none of ${kinds}: use exactly one.`,
  ]);
});

test("the message counts, and says how things stand", () => {
  expect(() => parseConfig({ ...file, protect: 1 })).toThrow(
    "1 error in the stack's configuration. Nothing was changed.\n  protect is 1: expected true or false.",
  );
  expect(() => parseConfig({})).toThrow(
    /^3 errors in the stack's configuration\. Nothing was changed\.\n {2}app is missing/,
  );
});

describe("one error is not reported twice", () => {
  test.each([
    ["a wrong size does not make its memory wrong", { regions: { cdg: { size: "shared-cpu-9x", memoryMb: 16_384 } } }],
    ["a misspelt size does not either", { regions: { cdg: { sise: "shared-cpu-8x", memoryMb: 16_384 } } }],
    ["a wrong default is reported once, however many inherit it", { defaults: { memoryMb: 300 } }],
    [
      "a site whose kind is misspelt has a kind",
      { sites: [{ host: "example.org", redirct: "https://www.example.org" }] },
    ],
    ["a site whose kind is wrong has a kind", { sites: [{ host: "example.org", files: 1 }] }],
    ["a canary in a region that is not a map", { regions: { cdg: 1, ewr: {} }, rollout: { canary: "cdg-2" } }],
    ["a canary while replicas are in doubt", { regions: { cdg: { replicas: "2" } }, rollout: { canary: "cdg-2" } }],
    ["a cache on a volume in doubt", { regions: { cdg: { volumeGb: "9" } }, cache: { maxSizeMb: 5000 } }],
    ["a site of luggage whose port is wrong", { ...luggage({ port: 80 }), ...site({ luggage: "blog" }) }],
    ["a site of luggage while luggage is not a map", { luggage: 1, ...site({ luggage: "blog" }) }],
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
    'sites[1].redirect is "https://c.example.org": is a redirect loop (sites[1] -> sites[2] -> sites[1]).',
    'sites[2].redirect is "http://b.example.org": is a redirect loop (sites[2] -> sites[1] -> sites[2]).',
  ]);
});

test("keys that every object has are not keys of ours", () => {
  const raw = JSON.parse('{"__proto__": {}, "constructor": 1}');
  const regionsRaw = JSON.parse('{"__proto__": {}, "toString": {}, "cdg": {}}');
  expect(mistakesOf({ ...file, ...JSON.parse('{"constructor": 1}'), regions: regionsRaw })).toEqual([
    `constructor: unknown key. Allowed keys: ${keys}.`,
    `regions.__proto__: no such region. Expected ${regions} (as of 2026-08-07).`,
    `regions.toString: no such region. Expected ${regions} (as of 2026-08-07).`,
  ]);
  expect(mistakesOf({ ...file, sites: [{ ...web, ...JSON.parse('{"constructor": 1}') }], defaults: raw })).toHaveLength(
    3,
  );
});
