import fc from "fast-check";
import { expect, test } from "vitest";
import { nginxConf } from "../../../../image/render/nginx.ts";
import { processCompose } from "../../../../image/render/process-compose.ts";
import { requiredKeys, secrets } from "../../../../image/render/secrets.ts";
import type { ImageSpec, Site } from "../../../../image/spec.ts";
import { attempt, hostile } from "./spec.ts";

const of = (...sites: Site[]): ImageSpec => ({
  sites,
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
});
const guarded = (host: string, basic = "passwords"): Site => ({
  kind: "proxy",
  host,
  origins: ["http://web:8080"],
  auth: { basic },
});

test("a site without auth has no auth directives", () => {
  expect(nginxConf(of({ kind: "files", host: "a.example.org", dir: "./a" }))).not.toMatch(/auth_|\$auth|Authorization/);
});

test("nginx reads the decrypted passwords, and only nginx may", () => {
  const spec = of(guarded("a.example.org"), guarded("b.example.org"));
  expect(secrets(spec)).toEqual([{ name: "nginx.auth/passwords", key: "passwords", owner: "nginx", from: "secrets" }]);
  expect(requiredKeys(spec)).toEqual(["passwords"]);
  const text = nginxConf(spec);
  expect(text.match(/auth_basic_user_file \/run\/secrets\/nginx\.auth\/passwords;/g)).toHaveLength(2);
  expect(text.match(/map \$is_no_challenge \$auth_realm \{ 1 "Restricted"; default off; \}/g)).toHaveLength(1);
  expect(text.match(/map \$request_uri \$is_no_challenge/g)).toHaveLength(1);
  expect(processCompose(spec)).toContain("pop-secrets");
});

test("the password is not passed to the origin, all other headers are", () => {
  const text = nginxConf(of(guarded("a.example.org")));
  const location = text.slice(text.lastIndexOf("location / {"));
  expect(location).toContain('proxy_set_header Authorization "";');
  expect(location).toContain("proxy_set_header X-Forwarded-For $remote_addr;");
});

test("access and auth share the exemption of ACME challenges", () => {
  const access = { deny: { networks: ["10.0.0.0/8"], files: [] } };
  const text = nginxConf(of({ ...guarded("a.example.org"), access }));
  expect(text.match(/map \$request_uri \$is_no_challenge/g)).toHaveLength(1);
});

test("no key can escape the directory of secrets or inject into nginx's configuration", () => {
  fc.assert(
    fc.property(hostile, (key) => {
      if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(key))
        expect(attempt(() => nginxConf(of(guarded("a.example.org", key))))).toBe("refused");
    }),
  );
});
