import { createHash, X509Certificate } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { byKey } from "../lib/order.ts";
import { findCredentialInFile } from "./credentials.ts";
import { acmeCaFile } from "./render/acme.ts";
import { certsConfig, vaultCaFile } from "./render/certs.ts";
import { dirs } from "./render/dirs.ts";
import { dockerfile, packedSites, withContextDigest } from "./render/dockerfile.ts";
import { errorPageFiles } from "./render/error-pages.ts";
import { homeNetworks } from "./render/home-networks.ts";
import { siteKey } from "./render/hosts.ts";
import { manifest } from "./render/manifest.ts";
import { parseNetworks } from "./render/networks.ts";
import { nginxConf } from "./render/nginx.ts";
import { networkListFile, networkLists, networkListText } from "./render/nginx-access.ts";
import { errorFilter, errorFilterFile } from "./render/nginx-logs.ts";
import { maintenanceFile, maintenanceText } from "./render/nginx-maintenance.ts";
import { originCaFile } from "./render/nginx-origins.ts";
import { errorPageFile, errorPageText } from "./render/nginx-pages.ts";
import { userFilePath, userFiles } from "./render/nginx-user-files.ts";
import { packedRules } from "./render/packed-rules.ts";
import { processCompose, tailnetCaFile } from "./render/process-compose.ts";
import { secrets, secretsManifest } from "./render/secrets.ts";
import { partsOf } from "./render/site-parts.ts";
import { authorizedKeys, sshdConfig } from "./render/sshd.ts";
import { unboundConf } from "./render/unbound.ts";
import { group, passwd, shadow, users } from "./render/users.ts";
import type { ImageSpec, Site } from "./spec.ts";
import { checkNginxFile } from "./user-nginx.ts";
import { checkErrorPages, checkRobots, checkSpa } from "./user-pages.ts";

/** Directories of image/ that are copied into the build context as they are, by their path in it. */
const sources = {
  build: "build",
  "programs/process-compose": "programs/process-compose",
  "programs/tailscale": "programs/tailscale",
  nginx: "nginx",
  pop: "pop",
  runas: "runas",
  sbom: "sbom",
  config: "rootfs",
};

/** A file of the build context: its content, and whether it is executable. The build sets owners, times and all other modes. */
interface Entry {
  content: Buffer;
  executable: boolean;
}

/**
 * Writes the build context of the image into `dir` and returns the absolute path of `dir`. Synchronous. Writes only files that changed and removes files that
 * are no longer part of the context, so `dir` must hold nothing but the context. Paths that sites and luggage name are relative to `projectDir`. Throws if one
 * of them cannot be packed; the message is a complete sentence.
 */
export function writeContext(spec: ImageSpec, dir: string, projectDir: string): string {
  const root = resolve(dir);
  const files = collectFiles(spec, projectDir);
  const dockerfileText = files.get("Dockerfile")?.content.toString() ?? "";
  files.set("Dockerfile", textEntry(withContextDigest(dockerfileText, digestOf(files))));
  prune(root, "", files);
  for (const [path, entry] of files) writeIfChanged(join(root, path), entry);
  return root;
}

/**
 * Digest of everything the image is made from, in hex. The same files give the same digest, wherever the checkout is. Writes nothing. The context that
 * `writeContext` writes sets this digest in the image's environment (image/identity.ts).
 */
export const contextDigest = (spec: ImageSpec, projectDir: string): string => digestOf(collectFiles(spec, projectDir));

function digestOf(context: Map<string, Entry>): string {
  const hash = createHash("sha256");
  const files = [...context].toSorted(byKey);
  for (const [path, { content, executable }] of files) {
    hash.update(JSON.stringify([path, executable, content.length]));
    hash.update(content);
  }
  return hash.digest("hex");
}

/** Configuration files, by their path in the image. */
export function renderedFiles(spec: ImageSpec): Record<string, string> {
  const certs = certsConfig(spec);
  const all = users(spec);
  return {
    "etc/passwd": passwd(all),
    "etc/group": group(all),
    "etc/shadow": shadow(all),
    "etc/nginx/nginx.conf": nginxConf(spec),
    [errorPageFile]: errorPageText,
    [maintenanceFile]: maintenanceText,
    "etc/unbound/unbound.conf": unboundConf(spec.dns, spec.tailnet),
    "etc/process-compose.yaml": processCompose(spec),
    "etc/pop/pop.json": manifest(spec),
    "etc/pop/directories": dirs(all, spec),
    ...(spec.tailnet && { "etc/pop/home-networks": homeNetworks(spec.tailnet) }),
    ...(secrets(spec).length > 0 && { "etc/pop/secrets.json": secretsManifest(spec) }),
    ...(spec.ssh && { "etc/ssh/sshd_config": sshdConfig, "etc/ssh/authorized_keys": authorizedKeys(spec.ssh) }),
    ...(certs !== undefined && { "etc/pop/certs.json": certs }),
    ...(spec.logs?.anonymize && { [errorFilterFile]: errorFilter }),
    ...errorPageFiles,
  };
}

/** All files of the context by path: the project's and the user's. */
function collectFiles(spec: ImageSpec, projectDir: string): Map<string, Entry> {
  const files = new Map<string, Entry>();
  const template = readFileSync(join(import.meta.dirname, "Dockerfile"), "utf8");
  files.set("Dockerfile", textEntry(dockerfile(template, spec)));
  for (const [place, source] of Object.entries(sources)) addDir(files, place, join(import.meta.dirname, source));
  for (const add of userParts(spec, projectDir)) add(files);
  return files;
}

/**
 * One message for each reason why the image could not be built: missing or unsuitable files and directories that the stack file names, credentials in files or
 * in what is rendered from the stack file.
 */
export const checkContext = (spec: ImageSpec, projectDir: string): string[] =>
  userParts(spec, projectDir).flatMap((add) => {
    try {
      add(new Map());
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });

/** What the stack file and the user's files add to the context, one function for each. */
function userParts(spec: ImageSpec, projectDir: string): ((files: Map<string, Entry>) => void)[] {
  const ca = (place: string, file: string, what: string) => (files: Map<string, Entry>) =>
    void files.set(join("config", place), textEntry(readCaBundle(projectDir, file, what)));
  const userDir = (place: string, dir: string, what: string) => (files: Map<string, Entry>) =>
    void addUserDir(files, place, projectDir, dir, what);
  const vaultCa = spec.certificates?.vault?.ca;
  const acmeCa = spec.certificates?.acme?.ca;
  const tailnetCa = spec.tailnet?.ca;
  return [
    (files) => addRendered(files, spec),
    ...packedSites(spec).map(({ host, dir, spa }) => (files: Map<string, Entry>) => {
      const names = addUserDir(files, join("sites", siteKey(host)), projectDir, dir, `site ${host}: files`);
      if (spa) checkSpa(names, host, dir);
    }),
    ...packedRules(spec).map(({ host, dir, root, subdir }) =>
      userDir(join("sites", root, subdir), dir, `site ${host}: files of a path`),
    ),
    ...spec.sites.flatMap((site) => sitePages(site, projectDir)),
    ...userFiles(spec.nginx).map(({ file, what }) => (files: Map<string, Entry>) => {
      const text = readText(projectDir, file, `${what}: ${file}`);
      checkNginxFile(text, `${what}: ${file}`);
      files.set(join("config", userFilePath(file)), textEntry(text));
    }),
    ...networkLists(spec).map(({ file, what }) => (files: Map<string, Entry>) => {
      files.set(
        join("config", networkListFile(file)),
        textEntry(networkListText(parseNetworks(readText(projectDir, file, what), what))),
      );
    }),
    ...originCaFiles(spec).map(([place, { host, file }]) => ca(place, file, `site ${host}: tls.ca`)),
    ...(vaultCa === undefined ? [] : [ca(vaultCaFile, vaultCa, "certificates.vault.ca")]),
    ...(acmeCa === undefined ? [] : [ca(acmeCaFile, acmeCa, "certificates.acme.trust")]),
    ...(tailnetCa === undefined ? [] : [ca(tailnetCaFile, tailnetCa, "tailnet.ca")]),
    ...Object.entries(spec.luggage).flatMap(([name, { source }]) =>
      source.kind === "files" ? [userDir(join("luggage", name), source.dir, `luggage.${name}.files`)] : [],
    ),
  ];
}

const readText = (projectDir: string, file: string, what: string): string =>
  readUserFile(projectDir, file, what).toString("utf8");

/** Reads a file of the user's. Throws if there is none. */
function readUserFile(projectDir: string, file: string, what: string): Buffer {
  const path = resolve(projectDir, file);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new Error(`${what} is not a file (looked at ${path}).`);
  return readFileSync(path);
}

/** CA files of origins by their path in the image, each once. */
function originCaFiles(spec: ImageSpec): [place: string, from: { host: string; file: string }][] {
  const all = spec.sites.flatMap(partsOf).flatMap((part) => {
    const file = part.kind === "proxy" ? part.tls?.ca : undefined;
    return part.kind !== "proxy" || file === undefined
      ? []
      : [[originCaFile(part.host, part.suffix), { host: part.host, file }] as const];
  });
  return [...new Map(all)];
}

/** Pages of a site that the PoP itself answers with. */
function sitePages({ host, errorPages, robots }: Site, projectDir: string): ((files: Map<string, Entry>) => void)[] {
  return [
    (files) => {
      if (errorPages === undefined) return;
      const what = `site ${host}: errorPages`;
      const names = addUserDir(files, join("error-pages", siteKey(host)), projectDir, errorPages, what);
      checkErrorPages(names, what, errorPages);
    },
    (files) => {
      if (robots?.kind !== "file") return;
      const what = `site ${host}: robots`;
      const content = readUserFile(projectDir, robots.file, `${what}: ${robots.file}`);
      checkRobots(content, what, robots.file);
      const found = findCredentialInFile(robots.file, content);
      if (found !== undefined) throw new Error(`${what}: ${robots.file} holds ${found}, which the image would expose.`);
      files.set(join("robots", `${siteKey(host)}.txt`), { content, executable: false });
    },
  ];
}

function addRendered(files: Map<string, Entry>, spec: ImageSpec): void {
  for (const [path, text] of Object.entries(renderedFiles(spec))) {
    const what = findCredentialInFile(path, Buffer.from(text));
    if (what !== undefined)
      throw new Error(
        `/${path} of the image would hold ${what}, which anybody could read there. Secrets belong in the secrets file: docs/secrets.md.`,
      );
    files.set(join("config", path), textEntry(text));
  }
}

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * Returns the certificates of a PEM file and nothing else that is in it. Throws if the file has no certificate or has a private key, which must not get into an
 * image.
 */
export function readCaBundle(projectDir: string, file: string, what: string): string {
  const text = readText(projectDir, file, `${what}: ${file}`);
  if (text.includes("PRIVATE KEY-----"))
    throw new Error(`${what}: ${file} holds a private key, which the image would expose.`);
  const found = text.match(certificate) ?? [];
  if (found.length === 0) throw new Error(`${what}: ${file} holds no PEM certificate.`);
  for (const [at, pem] of found.entries()) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw new Error(`${what}: certificate ${at + 1} of ${file} cannot be read.`, { cause: error });
    }
  }
  return `${found.join("\n")}\n`;
}

const textEntry = (text: string): Entry => ({ content: Buffer.from(text), executable: false });

/** Adds a directory of the user's. Returns the added paths, relative to the directory. */
function addUserDir(
  files: Map<string, Entry>,
  target: string,
  projectDir: string,
  dir: string,
  what: string,
): string[] {
  const sourceDir = resolve(projectDir, dir);
  if (!statSync(sourceDir, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${what}: ${dir} is not a directory (looked at ${sourceDir}).`);
  const before = files.size;
  addDir(files, target, sourceDir, what);
  for (const [path, { content }] of [...files].slice(before)) {
    const found = findCredentialInFile(path, content);
    if (found !== undefined)
      throw new Error(
        `${what}: ${relative(target, path)} holds ${found}, which the image would expose. Remove it from the directory (hidden files are left out). Luggage gets secrets through luggage.NAME.secrets: docs/secrets.md.`,
      );
  }
  if (files.size === before)
    throw new Error(`${what}: ${dir} holds no file to pack (hidden files are left out, except .well-known).`);
  return [...files.keys()].slice(before).map((path) => relative(target, path));
}

/** Hidden files stay out: .git, .env and editors' backup files are not part of a site. */
const isExcluded = (name: string): boolean => name.startsWith(".") && name !== ".well-known";

function addDir(files: Map<string, Entry>, target: string, sourceDir: string, what = target): void {
  const root = realpathSync(sourceDir);
  const add = (path: string, at: string): void => {
    const from = realpathSync(path);
    if (from !== root && !from.startsWith(root + sep))
      throw new Error(`${what}: ${path} leads out of the directory, to ${from}.`);
    const status = lstatSync(from);
    if (status.isDirectory()) {
      if (from !== path && path.startsWith(from + sep))
        throw new Error(`${what}: ${path} leads to a directory above itself.`);
      for (const name of readdirSync(from).toSorted()) if (!isExcluded(name)) add(join(path, name), join(at, name));
    } else if (status.isFile()) {
      files.set(at, { content: readFileSync(from), executable: (status.mode & 0o100) !== 0 });
    } else throw new Error(`${what}: ${path} is neither a file nor a directory.`);
  };
  for (const name of readdirSync(root).toSorted()) if (!isExcluded(name)) add(join(root, name), join(target, name));
}

/** Removes everything from `root` that is not in `files`, and directories left empty. */
function prune(root: string, dir: string, files: Map<string, Entry>): void {
  const path = join(root, dir);
  if (!statSync(path, { throwIfNoEntry: false })) return;
  const isParent = (entryPath: string): boolean => [...files.keys()].some((key) => key.startsWith(entryPath + sep));
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const place = join(dir, entry.name);
    if (entry.isDirectory() && isParent(place)) prune(root, place, files);
    else if (entry.isDirectory() || !files.has(place)) rmSync(join(root, place), { recursive: true, force: true });
  }
}

function writeIfChanged(path: string, { content, executable }: Entry): void {
  const mode = executable ? 0o755 : 0o644;
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile() || found.size !== content.length || !readFileSync(path).equals(content)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  } else if ((found.mode & 0o777) === mode) return;
  chmodSync(path, mode); // not writeFile's `mode`, which the umask would change
}
