/** Expands shorthand and applies defaults. Call it with valid files only. */

import { memoryRange, presets } from "../fly/guests.ts";
import { limits } from "../image/limits.ts";
import type {
  Acme,
  ControlPlane,
  ImageSpec,
  Luggage,
  LuggageHealth,
  ProxyOptions,
  ProxySite,
  RedirectStatus,
  Site,
  SiteCache,
  Tailnet,
  Vault,
} from "../image/spec.ts";
import { byKey } from "../lib/order.ts";
import { type CertificateKey, nameInVault, sourceOf } from "./certificate-source.ts";
import { cacheMb, defaults, indexMb } from "./defaults.ts";
import { directoryUrl } from "./directory.ts";
import { parseSeconds } from "./duration.ts";
import { auth } from "./normalize/auth.ts";
import { cachePolicy } from "./normalize/cache-policy.ts";
import { hosts } from "./normalize/hosts.ts";
import { logs } from "./normalize/logs.ts";
import { nginx } from "./normalize/nginx.ts";
import { pages } from "./normalize/pages.ts";
import { passedThrough } from "./normalize/pass-through.ts";
import { withRules } from "./normalize/paths.ts";
import { tcpPorts } from "./normalize/ports.ts";
import { requests } from "./normalize/requests.ts";
import { access, limit } from "./normalize/visitors.ts";
import { popNames } from "./rules/pops.ts";
import type { StackFile } from "./schema.ts";
import { serviceParts } from "./service-url.ts";
import { time } from "./time.ts";
import type { AddressType, EdgeConfig, ImagePlatform, PopConfig } from "./types.ts";
import { isBehindRouter, normalizeEndpoint, normalizeName, normalizeOrigin, normalizePath } from "./validators.ts";
import type { Visitors } from "./visitors.ts";

export function normalizeConfig(file: StackFile): EdgeConfig {
  const pops = Object.keys(file.regions)
    .toSorted()
    .flatMap((region) => popsOf(region, file));
  const smallest = {
    volumeGb: Math.min(...pops.map((it) => it.volumeGb)),
    memoryMb: Math.min(...pops.map((it) => it.memoryMb)),
  };
  const canary = file.rollout?.canary;
  return {
    app: file.app,
    organization: file.organization ?? defaults.organization,
    pops,
    image: imageSpec(file, smallest),
    ...(file.imageRef !== undefined && file.imageRef !== "" && { imageRef: file.imageRef }),
    ...(file.secretsFile !== undefined && file.secretsFile !== "" && { secretsFile: normalizePath(file.secretsFile) }),
    imagePlatform: (file.imagePlatform ?? defaults.imagePlatform) as ImagePlatform,
    addresses: [...(file.addresses ?? defaults.addresses)].toSorted() as AddressType[],
    snapshotDays: file.snapshots ?? defaults.snapshots,
    protect: file.protect ?? defaults.protect,
    keepVolumes: file.keepVolumes ?? defaults.keepVolumes,
    ...(file.production !== undefined && { production: file.production }),
    adopt: {
      ...(file.adopt?.from !== undefined && { from: file.adopt.from }),
      addresses: { ...file.adopt?.addresses },
      pops: mapByKey(file.adopt?.pops ?? {}, ({ volume, machine }) => ({
        volume,
        ...(machine !== undefined && { machine }),
      })),
    },
    egressGb: file.egressGb ?? defaults.egressGb,
    ...(file.egress && { egress: visitors(file.egress) }),
    crawlers: file.crawlers ?? defaults.crawlers,
    rollout: {
      // A region means its first PoP.
      ...(canary !== undefined && { canary: Object.hasOwn(file.regions, canary) ? `${canary}-1` : canary }),
      maxUnavailable: file.rollout?.maxUnavailable ?? defaults.maxUnavailable,
      drainSeconds: parseSeconds(file.rollout?.drain ?? defaults.drain) ?? 0,
      timeoutSeconds: parseSeconds(file.rollout?.timeout ?? defaults.timeout) ?? 0,
    },
  };
}

/** Without areas that have 0 percent. */
const visitors = (egress: NonNullable<StackFile["egress"]>): Visitors =>
  Object.fromEntries(Object.entries(mapByKey(egress, Number)).filter(([, percent]) => percent > 0));

function popsOf(region: string, file: StackFile): PopConfig[] {
  const own = { ...file.defaults, ...file.regions[region] };
  const size = own.size ?? defaults.size;
  const guest = presets[size];
  if (guest === undefined) throw new Error(`${size} passed the schema but is not a size`);
  return popNames(region, own.replicas ?? defaults.replicas).map((name) => ({
    name,
    region,
    size,
    ...guest,
    memoryMb: own.memoryMb ?? memoryRange(guest.cpuKind, guest.cpus).minMb,
    volumeGb: own.volumeGb ?? defaults.volumeGb,
  }));
}

function imageSpec(file: StackFile, smallest: { volumeGb: number; memoryMb: number }): ImageSpec {
  const maxSizeMb = file.cache?.maxSizeMb ?? cacheMb(smallest.volumeGb);
  const logged = logs(file.logs);
  const own = nginx(file.nginx);
  const through = passedThrough(file.sites);
  return {
    sites: file.sites
      .filter((it) => it.passThrough !== true)
      .map((it) => withRules(it, (keys) => site(keys, maxSizeMb, file.certificates))),
    ...(through.length > 0 && { passThrough: through }),
    luggage: mapByKey(file.luggage ?? {}, luggage),
    dns: {
      forward: (file.dns?.forward ?? [])
        .map(({ zone, servers }) => ({ zone: normalizeName(zone), servers: [...new Set(servers)] }))
        .toSorted((a, b) => (a.zone < b.zone ? -1 : 1)),
    },
    cache: { maxSizeMb, indexMb: indexMb(maxSizeMb, smallest.memoryMb) },
    ...(file.tailnet && { tailnet: tailnet(file.tailnet, addressesOf(file)) }),
    ...(file.ssh && { ssh: { authorizedKeys: [...new Set(file.ssh.authorizedKeys)].toSorted() } }),
    ...(file.debugTools === true && { debugTools: true }),
    ...(logged && { logs: logged }),
    ...(own && { nginx: own }),
    ...(file.certificates && { certificates: certificates(file.certificates) }),
    ...(file.ports && Object.keys(file.ports).length > 0 && { ports: tcpPorts(file.ports) }),
  };
}

function site(it: StackFile["sites"][number], maxSizeMb: number, sources: StackFile["certificates"]): Site {
  const host = normalizeName(it.host);
  const limited = limit(it.limit);
  const any = {
    ...(it.headers && { headers: mapByKey(it.headers, String) }),
    ...certificate(it.certificate, sources),
    ...(it.auth && { auth: auth(it.auth) }),
    ...(it.access && { access: access(it.access) }),
    ...(limited && it.redirect === undefined && { limit: limited }),
    ...(it.compress === false && { compress: false }),
    ...hosts(it),
    ...pages(it),
  };
  const passing = {
    ...requests(it),
    ...(it.maxBodyMb !== undefined && { maxBodyMb: it.maxBodyMb }),
    ...(it.buffering === true && { buffering: true }),
    ...(it.timeouts && { timeouts: timeouts(it.timeouts) }),
  };
  if (it.origin !== undefined) {
    const origins = [it.origin].flat().map(normalizeOrigin);
    const certificate = it.tls?.certificate !== undefined && { certificate: it.tls.certificate };
    const tls = it.tls && { tls: { ...originTls(it.tls), ...certificate } };
    const cache = it.cache && { cache: siteCache(it.cache, maxSizeMb) };
    const protocol = it.protocol === "grpc" && { protocol: "grpc" as const };
    return { kind: "proxy", host, origins, ...protocol, ...tls, ...passing, ...any, ...cache };
  }
  if (it.redirect !== undefined) {
    const status = it.status !== undefined && { status: it.status as RedirectStatus };
    return { kind: "redirect", host, to: normalizeOrigin(it.redirect), ...status, ...any };
  }
  if (it.files !== undefined)
    return { kind: "files", host, dir: normalizePath(it.files), ...(it.spa === true && { spa: true }), ...any };
  if (it.luggage !== undefined) return { kind: "luggage", host, luggage: it.luggage, ...passing, ...any };
  throw new Error(`${host} passed the rules but has no kind`);
}

/** By default a single response may take at most a quarter of the cache. */
const siteCache = (it: NonNullable<StackFile["sites"][number]["cache"]>, maxSizeMb: number): SiteCache => ({
  maxAgeSeconds: parseSeconds(it.maxAge ?? defaults.maxAge) ?? 0,
  staleIfErrorSeconds: parseSeconds(it.staleIfError ?? defaults.staleIfError) ?? 0,
  staleWhileRevalidateSeconds: parseSeconds(it.staleWhileRevalidate ?? defaults.staleWhileRevalidate) ?? 0,
  maxFileMb: it.maxFileMb ?? Math.max(1, Math.min(limits.maxFileMb, Math.floor(maxSizeMb / 4))),
  ...(it.cookies && { cookies: [...new Set(it.cookies)].toSorted() }),
  ...cachePolicy(it),
});

function originTls({
  ca,
  serverName,
}: Pick<NonNullable<StackFile["sites"][number]["tls"]>, "ca" | "serverName">): NonNullable<ProxySite["tls"]> {
  return {
    ...(ca !== undefined && { ca: normalizePath(ca) }),
    ...(serverName !== undefined && { serverName: normalizeName(serverName) }),
  };
}

function timeouts(it: NonNullable<StackFile["sites"][number]["timeouts"]>): NonNullable<ProxyOptions["timeouts"]> {
  const connect = parseSeconds(it.connect);
  const read = parseSeconds(it.read);
  const send = parseSeconds(it.send);
  return {
    ...(connect !== undefined && { connectSeconds: connect }),
    ...(read !== undefined && { readSeconds: read }),
    ...(send !== undefined && { sendSeconds: send }),
  };
}

function luggage(it: NonNullable<StackFile["luggage"]>[string]): Luggage {
  return {
    source:
      it.image === undefined ? { kind: "files", dir: normalizePath(it.files ?? "") } : { kind: "image", ref: it.image },
    command: it.command,
    env: mapByKey(it.env ?? {}, String),
    ...(it.port !== undefined && { port: it.port }),
    ...(it.secrets && it.secrets.length > 0 && { secrets: it.secrets.toSorted() }),
    ...(it.dependsOn && it.dependsOn.length > 0 && { dependsOn: it.dependsOn.toSorted() }),
    ...(it.health && { health: health(it.health) }),
    ...(it.user !== undefined && { user: it.user }),
  };
}

function health({
  path,
  command,
  every,
  timeout,
}: NonNullable<NonNullable<StackFile["luggage"]>[string]["health"]>): LuggageHealth {
  return {
    probe: path === undefined ? { kind: "command", command: command ?? [] } : { kind: "http", path },
    everySeconds: parseSeconds(every ?? defaults.healthEvery) ?? 0,
    timeoutSeconds: parseSeconds(timeout ?? defaults.healthTimeout) ?? 0,
  };
}

function certificate(said: CertificateKey | undefined, sources: StackFile["certificates"]) {
  if (sourceOf(said, sources) === "acme") return { certificateFrom: "acme" as const };
  const name = nameInVault(said);
  return name !== undefined && { certificate: normalizeName(name) };
}

const certificates = ({ acme: authority, vault: kept }: NonNullable<StackFile["certificates"]>) => ({
  ...(authority && { acme: acme(authority) }),
  ...(kept && { vault: vault(kept) }),
});

const acme = (it: NonNullable<NonNullable<StackFile["certificates"]>["acme"]>): Acme => ({
  email: it.email,
  directories: [it.directory ?? defaults.acmeDirectory, ...(it.fallback ?? [])].map(directoryUrl),
  ...(it.profile !== undefined && { profile: it.profile }),
  ...(it.eab !== undefined && { eab: it.eab }),
  ...(it.share !== undefined && { share: it.share }),
  ...(it.dns !== undefined && { dns: { ...it.dns, server: normalizeEndpoint(it.dns.server) } }),
  ...(it.trust !== undefined && { ca: normalizePath(it.trust) }),
});

function vault(it: NonNullable<NonNullable<StackFile["certificates"]>["vault"]>): Vault {
  return {
    address: normalizeOrigin(it.address),
    ...originTls(it),
    ...(it.namespace !== undefined && { namespace: it.namespace }),
    ...(it.authMount !== undefined && { authMount: it.authMount }),
    mount: it.mount ?? defaults.vaultMount,
    ...(it.kvVersion !== undefined && { kvVersion: it.kvVersion }),
    path: it.path ?? defaults.vaultPath,
    ...(it.fields !== undefined && { fields: { ...it.fields } }),
    ...(it.secretId !== undefined && {
      secretId: { createdAt: instant(it.secretId.created), endsAt: instant(it.secretId.ends) },
    }),
  };
}

const instant = (text: string): string => new Date(time(text) ?? Number.NaN).toISOString();

const addressesOf = ({ sites, ports = {}, certificates }: StackFile): string[] =>
  [
    Object.values(ports).flatMap(({ to }) => (to === undefined ? [] : `tcp://${to}`)),
    ...sites.flatMap((site) => [site, ...(site.paths ?? [])]).flatMap(({ origin = [] }) => origin),
    sites.flatMap(({ auth }) => (auth?.forward === undefined ? [] : serviceParts(auth.forward).origin)),
    certificates?.vault?.address ?? [],
  ].flat();

function tailnet(it: NonNullable<StackFile["tailnet"]>, addresses: string[]): Tailnet {
  const acceptRoutes = it.acceptRoutes ?? addresses.some(isBehindRouter);
  return {
    domain: normalizeName(it.domain),
    ...(it.loginServer !== undefined && { loginServer: normalizeOrigin(it.loginServer) }),
    ...(it.ca !== undefined && { ca: normalizePath(it.ca) }),
    ...(it.controlPlane !== undefined && { controlPlane: it.controlPlane as ControlPlane }),
    tags: [...new Set(it.tags ?? defaults.tailnetTags)].toSorted(),
    hostPrefix: it.hostPrefix ?? defaults.hostPrefix,
    ...(acceptRoutes && { acceptRoutes }),
    ...(it.udpOffload === false && { udpOffload: false }),
  };
}

/** The map with sorted keys, so that what is rendered or hashed from it does not depend on the order in the file. */
function mapByKey<A, B>(map: Readonly<Record<string, A>>, to: (value: A) => B): Record<string, B> {
  return Object.fromEntries(
    Object.entries(map)
      .toSorted(byKey)
      .map(([key, value]) => [key, to(value)]),
  );
}
