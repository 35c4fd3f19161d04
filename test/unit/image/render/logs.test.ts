import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkContext, renderedFiles, writeContext } from "../../../../image/context.ts";
import { nginxConf } from "../../../../image/render/nginx.ts";
import type { ImageSpec, Logs, TcpPort } from "../../../../image/spec.ts";
import { spec } from "./spec.ts";

const conf = (logs: Logs) => nginxConf({ ...spec, logs });

describe("logs", () => {
  test("empty settings change nothing", () => {
    expect(conf({})).toBe(nginxConf(spec));
    expect(Object.keys(renderedFiles({ ...spec, logs: {} }))).toEqual(Object.keys(renderedFiles(spec)));
    expect(renderedFiles({ ...spec, logs: {} })).toEqual(renderedFiles(spec));
  });

  test("with anonymize, no log has a full address", () => {
    const text = conf({ anonymize: true, syslog: { host: "loki.tail.example", port: 1514 } });
    expect(text).toContain('"client":"$logged_client"');
    expect(text).not.toContain('"client":"$remote_addr"');
    expect(renderedFiles({ ...spec, logs: { anonymize: true } })["etc/pop/error-log.awk"]).toContain("gensub");
    expect(renderedFiles(spec)).not.toHaveProperty("etc/pop/error-log.awk");
  });

  test("with anonymize, the log of ports has no full address either", () => {
    const git: TcpPort = {
      port: 22,
      to: { kind: "host", address: "git.tail.example:22" },
      limit: { connections: 10, total: 100 },
      idleSeconds: 60,
    };
    const text = (logs: Logs) => nginxConf({ ...spec, ports: [git], logs });
    expect(text({}).match(/"client":"\$remote_addr"/g)).toHaveLength(2);
    expect(text({ anonymize: true }).match(/"client":"\$logged_client"/g)).toHaveLength(2);
    expect(text({ anonymize: true }).match(/map \$remote_addr \$logged_client/g)).toHaveLength(2);
  });

  test.each([
    ["203.0.113.7", "203.0.113.0"],
    ["1.2.3.4", "1.2.3.0"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1::"],
    ["2001:db8:1:2::7", "2001:db8:1::"],
    ["2001:db8:1::7", "2001:db8:1::"],
    ["2001:db8::7", "2001:db8::"],
    ["2001::7", "2001::"],
    ["2001:db8:0:1::", "2001:db8:0::"],
    ["::1", "::"],
  ])("for %s, nginx's map keeps %s", (address, kept) => {
    const map = /map \$remote_addr \$logged_client \{(.*)\}/.exec(conf({ anonymize: true }))?.[1] ?? "";
    const rules = [...map.matchAll(/"~([^"]+)" ("[^"]+"|[^;]+);/g)];
    expect(rules).toHaveLength(2);
    const found = rules.flatMap(([, pattern = "", value = ""]) => {
      const groups = new RegExp(pattern).exec(address)?.groups;
      if (groups === undefined) return [];
      return value.replaceAll('"', "").replace(/\$\{?(\w+?_network)\}?/, (_, name) => groups[name] ?? "");
    });
    expect(found[0] ?? "::").toBe(kept);
  });

  test("the syslog collector's name is not in nginx.conf: nginx would not start if it did not resolve", () => {
    const files = renderedFiles({ ...spec, logs: { syslog: { host: "loki.tail.example", port: 1514 } } });
    expect(files["etc/nginx/nginx.conf"]).toContain(
      "access_log syslog:server=127.0.0.1:1106,nohostname,tag=nginx json;",
    );
    expect(files["etc/nginx/nginx.conf"]).not.toContain("loki");
    expect(JSON.parse(files["etc/pop/pop.json"] ?? "").syslog).toEqual({
      listen: 1106,
      host: "loki.tail.example",
      port: 1514,
    });
    expect(files["etc/process-compose.yaml"]).toContain("/usr/bin/pop");
    expect(files["etc/process-compose.yaml"]).toMatch(/^ {2}syslog:$/m);
    expect(renderedFiles(spec)["etc/process-compose.yaml"]).not.toMatch(/^ {2}syslog:$/m);
  });

  test("responses from the cache are sampled in both logs; counters count all", () => {
    const text = conf({ sampleCached: 2.5, syslog: { host: "10.0.0.1", port: 514 } });
    expect(text).toContain('split_clients $request_id $is_sampled { 2.5% 1; * ""; }');
    expect(text.match(/access_log .* if=\$is_logged;/g)).toHaveLength(2);
    expect(text).toMatch(/access_log \S+ counts buffer=32k flush=1s;/);
    // nginx rejects 0%.
    expect(conf({ sampleCached: 0 })).not.toContain("split_clients");
  });
});

describe("the user's own nginx configuration", () => {
  let project: string;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "fly-pops-own-"));
    mkdirSync(join(project, "nginx"));
  });
  afterEach(() => rmSync(project, { recursive: true }));

  const bare: ImageSpec = {
    sites: [{ kind: "redirect", host: "a.test", to: "https://b.test" }],
    luggage: {},
    dns: { forward: [] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  };
  const own = { ...bare, nginx: { http: "nginx/http.conf", sites: { "a.test": "nginx/a.conf" } } };

  test("is included at the end of http and of its site, and packed under its path in the project", () => {
    const text = nginxConf(own);
    expect(text).toMatch(
      / {4}include \/etc\/nginx\/own\/nginx\/a\.conf;\n {2}\}\n {2}include \/etc\/nginx\/own\/nginx\/http\.conf;\n\}\n$/,
    );
    writeFileSync(join(project, "nginx/http.conf"), "map $a $b { default c; }\n");
    writeFileSync(join(project, "nginx/a.conf"), "location = /own { return 204; }\n");
    const context = writeContext(own, join(project, "out"), project);
    expect(readFileSync(join(context, "config/etc/nginx/own/nginx/a.conf"), "utf8")).toContain("/own");
  });

  test("is not in other sites", () => {
    const two = nginxConf({
      ...own,
      sites: [...own.sites, { kind: "redirect", host: "c.test", to: "https://b.test" }],
    });
    expect(two.match(/own\/nginx\/a\.conf/g)).toHaveLength(1);
    expect(nginxConf({ ...own, nginx: { sites: {} } })).toBe(nginxConf(bare));
  });

  test("is rejected if it does not exist, contains a credential, or is not text", () => {
    const problems = () => checkContext(own, project);
    expect(problems()).toEqual([
      `nginx.http: nginx/http.conf is not a file (looked at ${project}/nginx/http.conf).`,
      `nginx.sites["a.test"]: nginx/a.conf is not a file (looked at ${project}/nginx/a.conf).`,
    ]);
    const key = `tskey-auth-${"k".repeat(20)}`;
    writeFileSync(join(project, "nginx/http.conf"), `proxy_set_header Authorization "Bearer ${key}";\n`);
    writeFileSync(join(project, "nginx/a.conf"), "a\0b");
    expect(problems()).toEqual([
      "nginx.http: nginx/http.conf holds a Tailscale key, which anybody could read in the image. Secrets belong in the secrets file: docs/secrets.md.",
      'nginx.sites["a.test"]: nginx/a.conf is not a text file.',
    ]);
    writeFileSync(join(project, "nginx/http.conf"), "#".repeat(300 * 1024));
    expect(problems()[0]).toBe("nginx.http: nginx/http.conf has 300 KB: takes 256 KB at most.");
  });

  test.each(["../x.conf", "/etc/x.conf", "a b.conf", "*.conf", "a;.conf", "x"])(
    "a path as %s is not rendered",
    (http) => {
      expect(() => nginxConf({ ...bare, nginx: { http, sites: {} } })).toThrow("is not the path of a .conf file");
    },
  );
});
