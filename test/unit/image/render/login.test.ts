import fc from "fast-check";
import { expect, test } from "vitest";
import { nginxConf } from "../../../../image/render/nginx.ts";
import { secrets } from "../../../../image/render/secrets.ts";
import type { ImageSpec, PathRule, Site } from "../../../../image/spec.ts";
import { attempt, hostile } from "./spec.ts";

const of = (...sites: Site[]): ImageSpec => ({
  sites,
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
});
const forward = "http://auth.tail.example:9091/api/authz/auth-request";
const guarded = (host: string, auth = { forward, headers: ["Remote-User"] }, paths?: PathRule[]): Site => ({
  kind: "proxy",
  host,
  origins: ["http://web:8080"],
  auth,
  ...(paths && { paths }),
});
const server = (text: string, host: string): string => {
  const [, found = ""] = text.split(`server_name ${host};\n    ssl_certificate`);
  return found.split("\n  }\n")[0] ?? "";
};

test("a site without a login service has no login directives", () => {
  const text = nginxConf(
    of({ kind: "proxy", host: "a.example.org", origins: ["http://web"], auth: { basic: "passwords" } }),
  );
  expect(text).not.toMatch(/pop_login|\/\/login|path_detour/);
});

test("sites with the same service share its upstream and need no secrets", () => {
  const spec = of(
    guarded("a.example.org"),
    guarded("b.example.org"),
    guarded("c.example.org", { forward: "https://auth.example.net/verify?a=b", headers: [] }),
  );
  const text = nginxConf(spec);
  expect(text.match(/upstream login_/g)).toHaveLength(2);
  expect(text.match(/server auth\.tail\.example:9091 resolve max_conns/g)).toHaveLength(2);
  expect(text.match(/map "" \$login_path_[0-9a-f]+ \{ default "\/api\/authz\/auth-request"; \}/g)).toHaveLength(1);
  expect(text.match(/map \$request_uri \$is_no_challenge/g)).toHaveLength(1);
  expect(text).not.toContain("auth_realm");
  expect(text).toContain("proxy_ssl_name auth.example.net;");
  expect(text.match(/pop_login_fields Remote-User;/g)).toHaveLength(2);
  expect(secrets(spec)).toEqual([]);
});

test("the subrequest has no body and reports the whole URL", () => {
  const text = server(nginxConf(of(guarded("a.example.org"))), "a.example.org");
  const [, location = ""] = text.split("location = //login {");
  for (const line of [
    "internal;",
    "proxy_pass_request_body off;",
    'proxy_set_header Content-Length "";',
    "proxy_set_header X-Original-URL https://$host$pop_login_uri;",
    "proxy_set_header X-Original-Method $request_method;",
    "proxy_set_header X-Forwarded-Uri $pop_login_uri;",
  ])
    expect(location.split("\n    }\n")[0]).toContain(line);
});

test("rules require a login unless they are open, and error pages of open rules do not", () => {
  const paths: PathRule[] = [
    { path: "/hook", kind: "proxy", origins: ["http://web:8080"], open: true },
    { path: "/public/", kind: "files", dir: "./public", open: true },
    { path: "/x/", kind: "proxy", origins: ["http://web:8080"] },
  ];
  const lines = server(nginxConf(of(guarded("a.example.org", undefined, paths))), "a.example.org");
  const locations = lines.split("\n    location ").map((it) => [it.split(" {")[0], it.includes("pop_login off;")]);
  expect(Object.fromEntries(locations)).toMatchObject({
    '= "/hook"': true,
    '~ "(?s)^\\/public(?:\\/|\\z)"': true,
    '~ "(?s)^\\/x(?:\\/|\\z)"': false,
    "= //error/1": true,
    "= //error": true,
    "/": false,
  });
});

test("an open rule of a site with passwords needs none and passes on the visitor's own Authorization", () => {
  const site: Site = {
    ...guarded("a.example.org"),
    auth: { basic: "passwords" },
    paths: [{ path: "/hook", kind: "proxy", origins: ["http://web:8080"], open: true }],
  };
  const [, hook = ""] = nginxConf(of(site)).split('location = "/hook" {');
  const [location = ""] = hook.split("location /");
  expect(location).toContain("auth_basic off;");
  expect(location).not.toContain("Authorization");
});

test("no URL and no header name can inject into nginx's configuration", () => {
  fc.assert(
    fc.property(hostile, (text) => {
      if (!/^[A-Za-z0-9._~!&()+,=:@/%?-]*$/.test(text))
        expect(
          attempt(() => nginxConf(of(guarded("a.example.org", { forward: `http://auth/${text}`, headers: [] })))),
        ).toBe("refused");
      if (!/^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(text))
        expect(attempt(() => nginxConf(of(guarded("a.example.org", { forward, headers: [text] }))))).toBe("refused");
    }),
  );
});
