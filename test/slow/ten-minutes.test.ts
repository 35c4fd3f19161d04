/** README's ten minutes, step by step, on the local Fly of `npm run local -- --no-homelab`: they end in a page that the authority's root verifies. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { names } from "../../local/internet/internet.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import { pulumiPath } from "../../stack/pulumi-cli.ts";
import { type Checkout, checkout } from "../support/checkout.ts";
import { until } from "../support/until.ts";

const readme = readFileSync(join(import.meta.dirname, "..", "..", "README.md"), "utf8");
const host = "www.example.test";

let it: Checkout;
let roots: string;

beforeAll(async () => {
  it = await checkout();
  const { code, output } = await it.run("--no-homelab");
  expect(code, output).toBe(0);
  roots = it.read(".cache/local/site-roots.pem");
  // Its own stack makes room, as every name leads to the first app that there is.
  await inDir("node", ["local/pulumi.ts", "destroy", "--yes", "--skip-preview", "--stack", "local"]);
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

/** Where the edge serves https of the app that has this address. */
function edgeOf(address: string): string {
  const { host, port } = it.daemon().listeners.find((at) => at.ip === address && at.port === 443)?.local ?? {};
  return `${host}:${port}`;
}

/** Rejects with all it said when it fails. */
function inDir(program: string, args: string[], input = "", env: NodeJS.ProcessEnv = {}): Promise<string> {
  const bins = [join(it.dir, "node_modules", ".bin"), dirname(pulumiPath(process.env))];
  const path = [...bins, process.env.PATH].join(delimiter);
  return new Promise((resolve, reject) => {
    const options = { cwd: it.dir, env: { ...process.env, ...env, PATH: path }, maxBuffer: 2 ** 26 };
    const child = execFile(program, args, options, (error, out, err) =>
      error ? reject(new Error(`${program} ${args.join(" ")}: ${out}${err}`)) : resolve(out),
    );
    child.stdin?.end(input);
  });
}

const pulumi = (args: string[], input?: string): Promise<string> =>
  inDir("pulumi", args, input, {
    PULUMI_BACKEND_URL: `file://${join(it.dir, "pops")}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(it.dir, "passphrase"),
    FLY_API_HOSTNAME: it.daemon().api,
    FLY_REGISTRY_HOST: it.daemon().registry,
  });

/** Replaces text in the stack file. */
function edit(...replacements: [from: string | RegExp, to: string][]): void {
  const file = join(it.dir, "Pulumi.prod.yaml");
  const text = replacements.reduce(
    (before, [from, to]) => {
      const after = before.replaceAll(from, to);
      if (after === before) throw new Error(`not in ${file}: ${from}`);
      return after;
    },
    readFileSync(file, "utf8"),
  );
  writeFileSync(file, text);
}

test("steps 2 to 5: state, stack file, token, and what is there then", async () => {
  mkdirSync(join(it.dir, "pops"));
  writeFileSync(join(it.dir, "passphrase"), "of the test");
  await pulumi(["stack", "init", "prod"]);
  edit(
    [/https:\/\/origin\.example\.org/g, `http://${names.origin}:8080`],
    [/example\.org/g, "example.test"],
    [/^config:\n/gm, "config:\n  fly-pops:imagePlatform: host\n"],
    // This machine's only name server that knows these names.
    [/^config:\n/gm, "config:\n  fly-pops:dns: {forward: [{zone: example.test, servers: [127.0.0.11]}]}\n"],
    ["fly-pops:rollout: {", "fly-pops:rollout: {drain: 0, "],
  );
  await pulumi(["config", "set", "--secret", "fly:token", "--stack", "prod"], it.read(".cache/local/token"));
  expect(await pulumi(["preview", "--stack", "prod"])).toMatch(/\d+ to create/);
  await pulumi(["up", "--yes", "--stack", "prod"]);
});

const addresses = async () =>
  JSON.parse(await pulumi(["stack", "output", "addresses", "--json", "--stack", "prod"])) as { v4: string };

test("step 6: the page, with a certificate that the PoP signed itself", async () => {
  const edge = edgeOf((await addresses()).v4);
  expect(await fetchPage(edge, host)).toMatchObject({ status: 200 });
  await expect(fetchPage(edge, host, roots)).rejects.toThrow(/certificate/);
});

test("step 7: its lines, with this authority, and the page is verified by the authority's root", async () => {
  const [, lines = ""] = /```yaml\n( {2}fly-pops:certificates:\n {4}acme: .*\n)```/.exec(readme) ?? [];
  expect(lines).toContain("terms: agreed }");
  const authority = `terms: agreed, directory: "https://${names.authority}:14000/dir", trust: .cache/local/authority.pem }`;
  edit([/^config:\n/gm, `config:\n${lines.replace("terms: agreed }", authority)}`]);
  await pulumi(["up", "--yes", "--stack", "prod"]);
  const edge = edgeOf((await addresses()).v4);
  await until(
    () => fetchPage(edge, host, roots),
    ({ status }) => status === 200,
    { seconds: 120, everyMs: 250, retriesErrors: true },
  );
  expect(await fetchPage(edge, host, roots, "/new")).toMatchObject({ status: 200, cache: "MISS", pop: "cdg-1" });
  expect(await fetchPage(edge, host, roots, "/new")).toMatchObject({ status: 200, cache: "HIT", pop: "cdg-1" });
  expect(await fetchPage(edge, "example.test", roots)).toMatchObject({ status: 301 });
});
