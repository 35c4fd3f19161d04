import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { certsConfig } from "../../../../image/render/certs.ts";
import { dockerfile } from "../../../../image/render/dockerfile.ts";
import { manifest } from "../../../../image/render/manifest.ts";
import { nginxConf } from "../../../../image/render/nginx.ts";
import type { PassThroughSite, TcpPort } from "../../../../image/spec.ts";
import { attempt, hostile, shuffled, spec } from "./spec.ts";

const git: PassThroughSite = {
  host: "git.example.org",
  aliases: ["code.example.org"],
  origins: ["https://git.tail.example:8443"],
  proxyProtocol: "v2",
  connections: 5,
  idleSeconds: 3600,
};
const apps: PassThroughSite = {
  host: "*.example.org",
  origins: ["https://[fd7a::7]", "https://b.tail.example"],
  idleSeconds: 60,
};
const ssh: TcpPort = {
  port: 22,
  to: { kind: "host", address: "git:22" },
  limit: { connections: 1, total: 1 },
  idleSeconds: 60,
};
const conf = (...passThrough: PassThroughSite[]) => nginxConf({ ...spec, passThrough });
const streamOf = (text: string) => text.slice(text.indexOf("\nstream {"));

describe("nginx.conf", () => {
  test("does not change for a stack that terminates all TLS", () => {
    expect(conf()).toBe(nginxConf(spec));
    expect(conf()).not.toMatch(/^stream|ssl_preread|tls\.sock/m);
    expect(nginxConf({ ...spec, ports: [ssh], passThrough: [] })).toBe(nginxConf({ ...spec, ports: [ssh] }));
    expect(nginxConf({ ...spec, ports: [ssh] })).not.toMatch(/ssl_preread|tls\.sock|\$site|counted/);
  });

  test("dispatches connections by name: one listener, and a server for each site", () => {
    const text = conf(git, apps);
    expect(text.match(/^ *listen 1102 .*$/gm)).toEqual(["    listen 1102 proxy_protocol backlog=4096;"]);
    // Each server that terminates TLS, and the one for unknown names.
    expect(text.match(/^ *listen unix:\/run\/nginx\/tls\.sock ssl.*$/gm)).toHaveLength(spec.sites.length + 1);
    const [, map = ""] = /map \$ssl_preread_server_name \$server_of_name \{\n([^}]*)\}/.exec(text) ?? [];
    expect(map).toContain("    hostnames;\n    default unix:/run/nginx/tls.sock;\n");
    // Matches a wildcard of apps, and TLS ends here.
    expect(map).toContain("    www.example.org unix:/run/nginx/tls.sock;\n");
    const socket = /git\.example\.org (unix:\S+);/.exec(map)?.[1];
    expect(map).toContain(`    code.example.org ${socket};\n`);
    expect(streamOf(text)).toContain(`  upstream through_git.example.org {
    zone through_git.example.org 64k;
    server git.tail.example:8443 resolve max_conns=512 max_fails=3 fail_timeout=60s;
    server git.tail.example:8443 resolve max_conns=512 max_fails=0 backup;
  }
  server {
    listen ${socket};
    set $site git.example.org;
    limit_conn site_visitors 5;
    proxy_timeout 3600s;
    pop_proxy_protocol on;
    proxy_pass through_git.example.org;
  }
`);
    expect(streamOf(text)).toContain(`    server [fd7a::7]:443 max_conns=512 max_fails=3 fail_timeout=10s;
    server b.tail.example:443 resolve max_conns=512 max_fails=0 backup;
`);
    // One sends no header, and limits no visitor.
    expect(text.match(/pop_proxy_protocol on/g)).toHaveLength(1);
    expect(text.match(/limit_conn site_visitors/g)).toHaveLength(1);
    fc.assert(
      fc.property(shuffled([git, apps]), (all) => {
        expect(conf(...all)).toBe(text);
      }),
    );
  });

  test("has neither a server nor a certificate that could terminate their TLS", () => {
    const [http = ""] = conf(git).split("\nstream {");
    const servers = http.split(/^ {2}server \{$/m).filter((it) => it.includes("server_name git.example.org;"));
    expect(servers).toHaveLength(1);
    expect(servers[0]).toMatch(/^ {4}listen 1101 proxy_protocol;$/m);
    expect(servers[0]).toMatch(/return 301 https:/);
    expect(http).not.toMatch(/ssl_certificate.*(?:git|code)\.example/);
    expect(certsConfig(spec)).toContain("certificates");
    expect(certsConfig({ ...spec, passThrough: [git] } as typeof spec)).toBe(certsConfig(spec));
  });

  test("can be combined with ports", () => {
    const text = streamOf(nginxConf({ ...spec, ports: [ssh], passThrough: [git] }));
    expect(text).toContain("    default 443;\n    1200 22;\n");
    expect(text).toContain('"port":$public_port,"site":"$site",');
    expect(text).toContain('map $site $counted { "" $public_port; default $site; }');
  });

  test("rejects invalid values", () => {
    const shape = (over: Partial<PassThroughSite>) =>
      conf({ ...git, ...over })
        .replaceAll(/^( *)server [a-z0-9_.:[\]-]+:\d+ .*;$/gm, "$1server X;")
        .replaceAll(/^ *server X;\n(?= *server X;)/gm, "");
    const wanted = shape({});
    fc.assert(
      fc.property(hostile, (text) => {
        const rendered = attempt(() => shape({ origins: [`https://${text}`] }));
        if (rendered !== "refused") expect(rendered).toBe(wanted);
      }),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        expect(attempt(() => conf({ ...git, host: `${text};` }))).toBe("refused");
      }),
    );
  });

  test.each<[Partial<PassThroughSite>]>([
    [{ origins: [] }],
    [{ origins: ["http://git.tail.example"] }],
    [{ origins: ["https://git.tail.example/path"] }],
    [{ host: "git" }],
    [{ host: "www.example.org" }],
    [{ aliases: ["git.example.org"] }],
    [{ connections: 0 }],
    [{ idleSeconds: 0.5 }],
    [{ access: { deny: { networks: ["10.0.0.1; }"], files: [] } } }],
  ])("is not rendered from %j", (over) => {
    expect(attempt(() => conf({ ...git, ...over }))).toBe("refused");
  });
});

test("the modules are in the image", () => {
  const template = "#:optional\n#:debian\n#:sources\n#:layers";
  expect(dockerfile(template, { ...spec, passThrough: [] })).toBe(dockerfile(template, spec));
  expect(dockerfile(template, { ...spec, passThrough: [git] })).toBe(dockerfile(template, { ...spec, ports: [ssh] }));
});

test("the manifest has the hosts and their origins, but not for certificates", () => {
  const content = JSON.parse(manifest({ ...spec, passThrough: [git, apps] }));
  expect(content.passThrough).toEqual(["*.example.org", "git.example.org"]);
  expect(content.origins).toContain("tcp://git.tail.example:8443");
  expect(content.origins).toContain("tcp://[fd7a::7]:443");
  expect([content.hosts, content.aliases]).toEqual([JSON.parse(manifest(spec)).hosts, undefined]);
  expect(manifest({ ...spec, passThrough: [] })).toBe(manifest(spec));
});
