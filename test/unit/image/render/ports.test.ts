import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { machineConfig } from "../../../../components/machine-config.ts";
import { connectionLimit, maxTcpConnections } from "../../../../image/limits.ts";
import { dockerfile } from "../../../../image/render/dockerfile.ts";
import { manifest } from "../../../../image/render/manifest.ts";
import { nginxConf } from "../../../../image/render/nginx.ts";
import type { TcpPort } from "../../../../image/spec.ts";
import { portsUseProxyProtocol } from "../../../../policy/rules.ts";
import { attempt, hostile, shuffled, spec } from "./spec.ts";

const limit = { connections: 10, total: 100 };
const ssh: TcpPort = {
  port: 22,
  to: { kind: "host", address: "git.tail.example:2222" },
  proxyProtocol: "v2",
  limit,
  idleSeconds: 600,
};
const mail: TcpPort = { port: 25, to: { kind: "host", address: "[fd7a::7]:25" }, limit, idleSeconds: 60 };
const blog: TcpPort = { port: 9999, to: { kind: "luggage", luggage: "blog" }, limit, idleSeconds: 60 };
const conf = (...ports: TcpPort[]) => nginxConf({ ...spec, ports });
const streamOf = (text: string) => text.slice(text.indexOf("\nstream {"));

describe("nginx.conf", () => {
  test("does not change for a stack without ports", () => {
    expect(conf()).toBe(nginxConf(spec));
    expect(conf()).not.toMatch(/^stream|ngx_stream/m);
  });

  test("has one server per port, in any order", () => {
    const text = conf(ssh, mail, blog);
    expect(text.slice(0, 700)).toContain(
      [
        "load_module /usr/lib/nginx/modules/ngx_http_pop_cache_module.so;",
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;",
        "load_module /usr/lib/nginx/modules/ngx_stream_pop_module.so;",
      ].join("\n"),
    );
    expect(streamOf(text)).toContain("    1200 22;\n    1201 25;\n    1202 9999;\n");
    expect(streamOf(text)).toContain(`  upstream port_22 {
    zone port_22 64k;
    server git.tail.example:2222 resolve max_fails=3 fail_timeout=60s;
    server git.tail.example:2222 resolve max_fails=0 backup;
  }
  server {
    listen 1200 proxy_protocol backlog=1024;
    limit_conn port_visitors 10;
    limit_conn ports 100;
    proxy_timeout 600s;
    pop_proxy_protocol on;
    proxy_pass port_22;
  }
`);
    expect(streamOf(text)).toContain("    server [fd7a::7]:25 max_fails=0;\n");
    expect(streamOf(text)).toContain("    server 127.0.0.1:8080 max_fails=0;\n");
    expect(text.match(/pop_proxy_protocol/g)).toHaveLength(1);
    fc.assert(
      fc.property(shuffled([ssh, mail, blog]), (ports) => {
        expect(conf(...ports)).toBe(text);
      }),
    );
  });

  test("rejects invalid values", () => {
    const shape = (address: string) =>
      conf({ ...ssh, to: { kind: "host", address } })
        .replaceAll(/^ *server \S+:\d+ resolve max_fails=0 backup;\n/gm, "")
        .replaceAll(
          /^( *)server [a-z0-9_.:[\]-]+:\d+ (?:resolve )?max_fails=\d(?: fail_timeout=60s)?;$/gm,
          "$1server X;",
        );
    const wanted = shape("git.tail.example:22");
    fc.assert(
      fc.property(hostile, fc.constantFrom("", ":22"), (text, port) => {
        const rendered = attempt(() => shape(`${text}${port}`));
        if (rendered !== "refused") expect(rendered).toBe(wanted);
      }),
    );
  });

  test("denies visitors that a port does not admit, with the lists that sites use", () => {
    const networks = (...all: string[]) => ({ networks: all, files: [] });
    const access = { allow: networks("10.0.0.0/8"), deny: { networks: [], files: ["lists/bad.txt"] } };
    const text = streamOf(conf({ ...ssh, access }, { ...mail, access }));
    expect(text.match(/^ *geo \$listed_/gm)).toHaveLength(2);
    expect(text).toMatch(/^ {4}10\.0\.0\.0\/8 1;$/m);
    expect(text).toMatch(/^ {4}include \/etc\/nginx\/lists\/[0-9a-f]{16}\.conf;$/m);
    // In allow and not in deny.
    expect(text).toMatch(/^ {2}map "\$listed_\w+\$listed_\w+" (\$denied_\w+) \{ 10 ""; default 1; \}$/m);
    expect(text.match(/^ {4}pop_denied \$denied_[0-9a-f]{16};$/gm)).toHaveLength(2);
    // The sites do not change.
    const sitesOf = (text: string) => text.slice(0, text.indexOf("\nstream {"));
    expect(sitesOf(conf({ ...ssh, access }))).toBe(sitesOf(conf(ssh)));
    expect(streamOf(conf(ssh))).not.toMatch(/\$denied|\$listed/);
  });

  test.each<[Partial<TcpPort>]>([
    [{ access: { allow: { networks: ["10.0.0.1; }"], files: [] } } }],
    [{ to: { kind: "host", address: "git" } }],
    [{ to: { kind: "host", address: "git:0" } }],
    [{ to: { kind: "host", address: "git:22; }" } }],
    [{ to: { kind: "host", address: "unix:/run/x:22" } }],
    [{ to: { kind: "luggage", luggage: "collector" } }],
    [{ to: { kind: "luggage", luggage: "nobody" } }],
    [{ port: 0 }],
    [{ port: 70_000 }],
    [{ limit: { connections: 0, total: 1 } }],
    [{ idleSeconds: 0.5 }],
  ])("is not rendered from %j", (over) => {
    expect(attempt(() => conf({ ...ssh, ...over }))).toBe("refused");
  });
});

test("the modules are in images of stacks with ports only", () => {
  const lines = (ports?: TcpPort[]) =>
    dockerfile("#:optional\n#:debian\n#:sources\n#:layers", { ...spec, ...(ports && { ports }) });
  expect(lines()).not.toMatch(/stream/);
  expect(lines([])).toBe(lines());
  expect(lines([ssh])).toMatch(/install-extras \/out \/have stream &&/);
  expect(lines([ssh])).toMatch(/COPY --from=stream-module \/out\/ \//);
});

test("the manifest has the ports and their targets", () => {
  const content = JSON.parse(manifest({ ...spec, ports: [blog, mail, ssh] }));
  expect(content.tcpPorts).toEqual([22, 25, 9999]);
  expect(content.origins).toContain("tcp://git.tail.example:2222");
  expect(content.origins).toContain("tcp://[fd7a::7]:25");
  expect(manifest({ ...spec, ports: [] })).toBe(manifest(spec));
});

describe("the machine", () => {
  const pop = { name: "cdg-1", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 } as const;

  test("has one service per port, with a PROXY header and the port's limit", () => {
    const { services } = machineConfig({ ...pop, ports: [mail, ssh] }, "image");
    expect(services.slice(2)).toMatchObject([
      {
        protocol: "tcp",
        internal_port: 1200,
        ports: [{ port: 22, handlers: ["proxy_proto"], proxy_proto_options: { version: "v2" } }],
        concurrency: { type: "connections", soft_limit: 50, hard_limit: 100 },
        autostop: "off",
      },
      { internal_port: 1201, ports: [{ port: 25 }] },
    ]);
    // All of them share the memory.
    const sites = connectionLimit(pop, 200);
    expect(sites).toBeLessThan(connectionLimit(pop));
    expect(services.slice(0, 2).map(({ concurrency }) => concurrency?.hard_limit)).toEqual([sites, sites]);
    expect(services.every(({ checks }) => checks?.length === 1)).toBe(true);
  });

  test("does not change without ports", () => {
    expect(machineConfig({ ...pop, ports: [] }, "image")).toEqual(machineConfig(pop, "image"));
    expect(connectionLimit(pop, 0)).toBe(927);
  });

  test("reserves half of the memory for connections for the sites", () => {
    expect(maxTcpConnections(256)).toBe(1024);
    expect(connectionLimit(pop, maxTcpConnections(256))).toBe(463);
    expect(connectionLimit(pop, 100_000)).toBe(0);
  });

  test("keeps to the policies", () => {
    const config = machineConfig({ ...pop, ports: [mail, ssh] }, "image");
    const resource = (of: object) => ({
      type: "pulumi-nodejs:dynamic/fly:Machine",
      urn: "urn:pulumi:prod::fly-pops::x::y",
      props: { pop: "cdg-1", config: of },
      opts: {},
    });
    expect(portsUseProxyProtocol(resource(config))).toEqual([]);
    const [http, , other] = config.services;
    expect(portsUseProxyProtocol(resource({ services: [{ ...other, ports: http?.ports }] }))).toHaveLength(1);
    expect(portsUseProxyProtocol(resource({ services: [{ ...other, internal_port: 1232 }] }))).toHaveLength(1);
  });
});
