/**
 * Three nginx.conf files as people run them, and a stack file for each: the same requests get the same responses, with at most a third of the lines. Both are
 * served: each nginx.conf by an nginx of its own, which defines what is expected.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../config/parse.ts";
import { until } from "../support/until.ts";
import { http, https } from "./support/client.ts";
import { originCertificate, originKey } from "./support/origin.ts";
import { docker, ImageHarness } from "./support/pop.ts";
import { StackLab } from "./support/stack-lab.ts";
import { type Case, translations } from "./translations/cases.ts";

const network = { name: "fly-pops-translations", subnet: "172.31.227.0/24", gateway: "172.31.227.1" };
const names = Object.keys(translations);
const read = (file: string): string => readFileSync(join(import.meta.dirname, "translations", file), "utf8");

const keysOf = (name: string) =>
  Object.fromEntries(
    Object.entries((parse(read(`${name}.yaml`)) as { config: Record<string, unknown> }).config).map(([key, value]) => [
      key.replace("fly-pops:", ""),
      value,
    ]),
  );

/** Each one passes validation by itself; one PoP serves all of them, as their hosts differ. */
const image = () => {
  const { image: first } = parseConfig({ app: "translations", regions: { cdg: {} }, sites: [], ...keysOf("shop") });
  return {
    ...first,
    sites: names.flatMap((name) => parseConfig(keysOf(name)).image.sites),
    dns: { forward: [{ zone: "tail.example", servers: ["127.0.0.11"] }] },
  };
};

const originals = new ImageHarness("translations-originals");
let lab: StackLab;

/** Address of each nginx. */
interface Served {
  https: number;
  http: number;
}
const conf = new Map<string, Served>();

beforeAll(async () => {
  await originals.sweep();
  lab = await StackLab.open("translations", image(), network);
  for (const name of names) conf.set(name, await serve(name));
});
afterAll(async () => {
  await originals.sweep();
  await lab?.close();
});

/** The unchanged nginx.conf, except for the PROXY header with the visitor's address. Its applications are on its own machine. */
async function serve(name: string): Promise<Served> {
  const text = read(`${name}.conf`)
    .replaceAll(/listen (\d+)( ssl)?/g, "listen $1$2 proxy_protocol")
    .replace("http {", "http {\n    set_real_ip_from 172.16.0.0/12;\n    real_ip_header proxy_protocol;");
  const files: Record<string, string> = {
    "/etc/nginx/original.conf": text,
    "/srv/manual/index.html": "<h1>packed</h1>\n",
    "/srv/errors/502.html": "<h1>our own: away</h1>\n",
    ...Object.fromEntries(
      [...text.matchAll(/ssl_certificate(_key)? (\S+);/g)].map(([, key, path = ""]) => [
        path,
        key ? originKey : originCertificate,
      ]),
    ),
  };
  const write = Object.entries(files).map(([path, content]) => {
    const encoded = Buffer.from(content).toString("base64");
    return `mkdir -p "$(dirname ${path})" && echo ${encoded} | base64 -d > ${path}`;
  });
  const ports = new Set([...text.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port));
  const listen = [...ports].map((port) => `nc -ll -p ${port} -e nc ${network.gateway} ${lab.origin.port} &`);
  const { Image } = await lab.pop.container.inspect();
  const container = await docker.createContainer({
    Image,
    Labels: originals.labels,
    Entrypoint: [
      "/bin/sh",
      "-c",
      [
        ...write,
        "mkdir -p /var/cache/nginx /var/log/nginx /var/lib/nginx /run",
        ...listen,
        "exec nginx -g 'daemon off;' -c /etc/nginx/original.conf",
      ].join("\n"),
    ],
    ExposedPorts: { "80/tcp": {}, "443/tcp": {} },
    HostConfig: {
      Init: true,
      NetworkMode: network.name,
      PortBindings: {
        "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }],
        "443/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }],
      },
    },
  });
  await container.start();
  const { NetworkSettings } = await container.inspect();
  const reached = (port: number): number => Number(NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort);
  const served = { https: reached(443), http: reached(80) };
  const [first] = translations[name] ?? [];
  await until(
    () => http({ port: served.http, host: first?.host ?? "", path: "/" }).then(({ status }) => status, String),
    (status) => status === 301,
  );
  return served;
}

const lines = (text: string): number => text.split("\n").filter((line) => !/^\s*(#|$)/.test(line)).length;

describe.each(names)("%s", (name) => {
  test("has a stack file at most a third as long", () => {
    const [ours, theirs] = [lines(read(`${name}.yaml`)), lines(read(`${name}.conf`))];
    console.log(`${name}: ${theirs} lines of nginx.conf, ${ours} of the stack file`);
    expect(ours).toBeLessThanOrEqual(theirs / 3);
  });

  describe.each([
    ["the nginx.conf", () => conf.get(name)],
    ["the stack file", () => lab.pop],
  ] as const)("%s", (_, served) => {
    test.each(translations[name] ?? [])("$does", (it) => check(it, served() as Served));
  });
});

async function check(it: Case, served: Served): Promise<void> {
  const [bare = ""] = it.path.split("?");
  lab.origin.answer(
    bare,
    it.application ?? ((request, response) => void response.end(`${request.method} ${request.url}`)),
  );
  const before = lab.origin.seen.length;
  const visit = {
    port: it.plain ? served.http : served.https,
    host: it.host,
    path: it.path,
    method: it.method ?? "GET",
    headers: it.headers ?? {},
    ...(it.body !== undefined && { body: it.body }),
    ...(it.client !== undefined && { client: it.client }),
  };
  const seen = [];
  for (let count = [it.status].flat().length; count > 0; count--)
    seen.push(await (it.plain ? http(visit) : https(visit)));
  const last = seen.at(-1);
  expect(seen.map(({ status }) => status)).toEqual([it.status].flat());
  if (it.location !== undefined) expect(last?.headers.location).toBe(it.location);
  if (it.responseBody !== undefined) expect(last?.body).toBe(it.responseBody);
  if (it.responseHeaders !== undefined) expect(last?.headers).toMatchObject(it.responseHeaders);
  if (it.originRequests !== undefined) expect(lab.origin.seen.length - before).toBe(it.originRequests);
  if (it.originHeaders !== undefined) expect(lab.origin.seen.at(-1)?.headers).toMatchObject(it.originHeaders);
}
