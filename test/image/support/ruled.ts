/** Sites with rules by path, of every kind. */
import type { Site, SiteCache } from "../../../image/spec.ts";

/** Paths go to the origin on port 8080, unless a rule says otherwise; other origins are on 8081 and 8443. */
export function ruledSites(name: string, cache: SiteCache): Site[] {
  const first = [`http://${name}:8080`];
  const second = [`http://${name}:8081`];
  const secure = `https://${name}:8443`;
  return [
    {
      kind: "proxy",
      host: "paths.example.test",
      origins: first,
      headers: { "X-Own": "1" },
      paths: [
        { path: "/order/first", kind: "deny", status: 410 },
        { path: "/order/", kind: "deny", status: 403, headers: { "X-Own": "1" } },
        { path: "/private/", kind: "deny", status: 404 },
        { path: "/closed", kind: "deny", status: 444 },
        { path: "/user/*/keys", kind: "deny", status: 403 },
        { path: "/exact", kind: "deny", status: 403 },
        { path: "/own/", kind: "proxy", origins: second, stripPrefix: true },
        { path: "/kept/", kind: "proxy", origins: second },
        { path: "/mixed/", kind: "proxy", origins: [secure, ...first], tls: { ca: "origin.pem" }, stripPrefix: true },
        { path: "/safe/", kind: "proxy", origins: [secure], tls: { ca: "origin.pem" }, stripPrefix: true, cache },
        { path: "*.css", kind: "proxy", origins: first, cache },
        { path: "/small/", kind: "proxy", origins: first, maxBodyMb: 1 },
        { path: "/docs/", kind: "files", dir: "site", stripPrefix: true },
        { path: "/old/", kind: "redirect", to: "/new/*", status: 308 },
        { path: "/moved/", kind: "redirect", to: "https://elsewhere.example.test", status: 302 },
        { path: "=/", kind: "redirect", to: "/start", status: 307 },
        { path: "/blog/", kind: "luggage", luggage: "blog", stripPrefix: true, headers: { "X-Own": "2" } },
      ],
    },
    {
      kind: "proxy",
      host: "stored-paths.example.test",
      origins: first,
      cache,
      paths: [
        { path: "/live/", kind: "proxy", origins: first },
        { path: "/people/", kind: "proxy", origins: first, cache: { ...cache, cookies: ["session"] } },
      ],
    },
    {
      kind: "files",
      host: "ruled-files.example.test",
      dir: "site",
      paths: [
        { path: "/api/", kind: "proxy", origins: first },
        { path: "*.html", kind: "deny", status: 403 },
      ],
    },
    {
      kind: "redirect",
      host: "ruled-redirect.example.test",
      to: "https://www.example.test",
      status: 308,
      paths: [{ path: "/hook", kind: "proxy", origins: first }],
    },
  ];
}
