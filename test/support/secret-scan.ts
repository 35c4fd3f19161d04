/** The hunt for secrets: every one the local stack has is looked for in every place that others may read. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { containersOf, labels } from "../../local/docker/engine.ts";
import type { Checkout } from "./checkout.ts";
import { docker, homelabContainer, popContainer, stackOf } from "./homelab.ts";

/** What must turn up nowhere, by name. A private key is known by a line of its middle. */
export async function secretsOf(it: Checkout): Promise<Record<string, string>> {
  const lab = await homelabContainer(it);
  const { machines } = await it.status();
  const found: Record<string, string> = {
    "token of the Machines API": it.read(".cache/local/token").trim(),
    "headscale's API key": await lab.exec(["cat", "/data/keys/headscale-api-key"]),
    "the PoPs' secret_id": await lab.exec(["cat", "/data/keys/pop-secret-id"]),
    "the feeder's secret_id": await lab.exec(["cat", "/data/keys/feeder-secret-id"]),
    "the operator's age key": /AGE-SECRET-KEY-\w+/.exec(it.read(".cache/local/home/operator.age"))?.[0] ?? "",
    "the home's authority's key": middle(await lab.exec(["cat", "/data/ca/ca.key"])),
    "the site's key": middle(await lab.exec(["cat", "/data/certbot/live/www.example.test/privkey.pem"])),
  };
  for (const { name } of machines) {
    const place = await popContainer(it, name);
    found[`${name}'s auth key`] = (await place.exec(["cat", "/run/secrets/tailscaleAuthKey"])).trim();
    found[`${name}'s identity`] = middle(await place.exec(["cat", "/var/lib/pop/identity/ssh_host_ed25519_key"]));
  }
  for (const [name, secret] of Object.entries(found))
    if (secret.length < 20) throw new Error(`${name} is ${secret.length} characters long: nothing to hunt for`);
  return found;
}

/** A line of a PEM below its middle: the lines above are the same in every key of a kind, or public. */
function middle(pem: string): string {
  const lines = pem.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));
  return lines[Math.floor(lines.length * 0.6)] ?? "";
}

/** Where one of them was found, "secret in place"; and how many places and bytes were looked through. */
export interface ScanResult {
  hits: string[];
  places: number;
  bytes: number;
}

/** Names of those that a text holds, as they are or in base64. */
export function hitsIn(content: Buffer | string, secrets: Record<string, string>): string[] {
  const bytes = Buffer.from(content);
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const encoded = Buffer.from(secret)
      .toString("base64")
      .replace(/.{2,4}$/, "");
    return [secret, encoded].some((form) => bytes.includes(form)) ? [name] : [];
  });
}

export async function hunt(
  it: Checkout,
  secrets: Record<string, string>,
  outputs: Record<string, string>,
): Promise<ScanResult> {
  const result: ScanResult = { hits: [], places: 0, bytes: 0 };
  const look = (place: string, content: Buffer | string, except: RegExp = /^$/): void => {
    result.places += 1;
    result.bytes += content.length;
    const sought = Object.entries(secrets).filter(([name]) => !except.test(name));
    result.hits.push(...hitsIn(content, Object.fromEntries(sought)).map((name) => `${name} in ${place}`));
  };
  for (const [place, text] of Object.entries(outputs)) look(place, text);
  for (const file of filesBelow(join(it.dir, ".cache/local/pulumi"))) look(file, readFileSync(file));
  look("daemon.log", it.read(".cache/local/daemon.log"));
  look("fly.json", it.read(".cache/local/fly.json"));
  look("secrets.yaml", it.read(".cache/local/home/secrets.yaml"));
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    look(`arguments of ${pid}`, readOr(`/proc/${pid}/cmdline`));
  const images = new Set<string>();
  for (const { Id, Image, Names, Labels } of await containersOf(docker, stackOf(it))) {
    const container = docker.getContainer(Id);
    look(`${Names[0]} as the engine knows it`, JSON.stringify(await container.inspect()));
    look(`what ${Names[0]} said`, (await container.logs({ stdout: true, stderr: true })) as Buffer);
    if (Labels[labels.machine] !== undefined) images.add(Image);
  }
  for (const { name } of (await it.status()).machines) {
    const { container } = await popContainer(it, name);
    // Its own identity, and the sites' keys it serves by while home is down, are there by design.
    look(
      `${name}'s volume`,
      await whole(await container.getArchive({ path: "/var" })),
      new RegExp(`^(the site's key|${name}'s identity)$`),
    );
    const environment = await (await popContainer(it, name)).exec([
      "sh",
      "-c",
      "cat /proc/[0-9]*/environ 2>/dev/null || true",
    ]);
    look(`environment in ${name}`, environment);
  }
  for (const image of images) look(`image ${image}`, await whole(await docker.getImage(image).get()));
  return result;
}

async function whole(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as Readable) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile());
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended in between
  }
}

/** What the CLI itself tells of the stack, secrets shown. */
export function outputsOf(it: Checkout): Record<string, string> {
  const pulumi = (...args: string[]) =>
    execFileSync("node", ["local/pulumi.ts", ...args, "--stack", "local"], {
      cwd: it.dir,
      encoding: "utf8",
      env: process.env,
    });
  return {
    "stack outputs": pulumi("stack", "output", "--json", "--show-secrets"),
    "a preview": pulumi("preview", "--diff", "--show-sames", "--non-interactive"),
  };
}
