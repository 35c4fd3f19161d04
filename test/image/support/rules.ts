/** Random rules by path, of every kind, and paths with every character that they may have. */
import fc from "fast-check";
import { type PathPattern, pathPattern } from "../../../image/render/path-pattern.ts";
import type { PathRule, Site } from "../../../image/spec.ts";
import { stored } from "./spec.ts";

const path = fc
  .array(fc.constantFrom(..."/ab1._~!&'()+,=:@-*%", "/", "/x/"), { maxLength: 9 })
  .map((pieces) => `/${pieces.join("")}`)
  .filter((text) => pathPattern(text) !== undefined);

const origins = fc.constantFrom(
  ["http://a.homelab.test"],
  ["https://a.homelab.test"],
  ["https://a.homelab.test", "http://10.0.0.1:8080"],
);
const headers = fc.constantFrom({}, { headers: { "X-Own": 'a "b" \\ c' } });
const cache = fc.constantFrom(
  {},
  { cache: stored(60) },
  { cache: stored(0, 0, { cookies: ["a*", "b.c"] }) },
  { cache: stored(60, 0, { ignoreQuery: true, statuses: [{ status: 404, seconds: 60 }] }) },
  { cache: stored(60, 0, { ignoreQuery: ["_.~-1*", "utm_*"], ignoreOrigin: true, vary: ["accept-language", "x-a"] }) },
);

const answer: fc.Arbitrary<(pattern: PathPattern) => object> = fc.oneof(
  fc.record({ origins, headers, cache, strip: fc.boolean() }).map(
    ({ origins, headers, cache, strip }) =>
      ({ kind }: PathPattern) =>
        ({
          kind: "proxy",
          origins,
          ...headers,
          ...cache,
          ...(strip && kind === "prefix" && { stripPrefix: true }),
        }) as const,
  ),
  fc.boolean().map(
    (strip) =>
      ({ kind }: PathPattern) =>
        ({ kind: "files", dir: "site", ...(strip && kind === "prefix" && { stripPrefix: true }) }) as const,
  ),
  fc.boolean().map(
    (strip) =>
      ({ kind }: PathPattern) =>
        ({
          kind: "luggage",
          luggage: "blog",
          maxBodyMb: 1,
          ...(strip && kind === "prefix" && { stripPrefix: true }),
        }) as const,
  ),
  fc
    .record({
      status: fc.constantFrom(301, 302, 307, 308),
      to: fc.constantFrom("https://b.test", "/~!&'()+,=:@%2f", "https://b.test/a/*"),
    })
    .map(
      ({ status, to }) =>
        ({ kind }: PathPattern) =>
          ({ kind: "redirect", status, to: kind === "prefix" ? to : to.replace(/\*$/, "") }) as const,
    ),
  fc.record({ status: fc.constantFrom(403, 404, 410, 444), headers }).map(
    ({ status, headers }) =>
      () =>
        ({ kind: "deny", status, ...headers }) as const,
  ),
);

const rule = fc
  .tuple(path, answer)
  .map(([text, of]) => ({ path: text, ...of(pathPattern(text) as PathPattern) }) as PathRule);

/** nginx rejects duplicate paths, which config.ts does before. */
const rules = fc.uniqueArray(rule, { selector: (it) => it.path.replace(/^=/, ""), minLength: 1, maxLength: 8 });

export const anyRuledSites: fc.Arbitrary<Site[]> = fc.tuple(rules, rules, rules).map(([a, b, c]) => [
  { kind: "proxy", host: "a.example.test", origins: ["https://a.homelab.test"], cache: stored(60), paths: a },
  { kind: "files", host: "b.example.test", dir: "site", paths: b },
  { kind: "redirect", host: "c.example.test", to: "https://d.test", paths: c },
]);
