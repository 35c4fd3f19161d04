/** Validators for names, URLs and paths. Each `…Problem` returns why a text is rejected, as a clause, or undefined. Valid texts are safe to render. */
import { BlockList, isIP, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import { parseNetwork } from "../image/render/networks.ts";
import { isClaim } from "../image/render/nginx-common.ts";
import {
  isAuthorizedKey,
  isDnsName,
  isHeaderName,
  isHeaderValue,
  isHealthPath,
  isHostLabelPart,
  isLuggageName,
  isOwnHeader,
  isOwnRequestHeader,
  isSecretKey,
  isServiceName,
  isTailnetTag,
  type Origin,
} from "../image/render/validators.ts";

type Problem = string | undefined;

/** Fly's rule for apps, and no dash at an end. https://docs.machines.dev/#tag/apps */
const slug = /^[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?$/;

/** Name of an app, slug of an organization. */
export function slugProblem(text: string): Problem {
  if (slug.test(text)) return undefined;
  const better = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  const takes = "expected lower-case letters, digits and dashes, 62 at most, no dash at an end";
  return `${takes}${hint(better, (it) => (slug.test(it) ? undefined : takes))}`;
}

/** The canonical form of a DNS name: lower case, no final dot. The root stays ".". */
export const normalizeName = (name: string): string => name.toLowerCase().replace(/(?<=.)\.$/, "");

/** The host name of a site. Browsers request it, so it has at least two labels. */
export function hostProblem(text: string): Problem {
  const problem = dnsNameProblem(text);
  if (problem !== undefined) return problem;
  return normalizeName(text).includes(".") ? undefined : "expected a full name, as in www.example.org";
}

/** A name of a site: a host name, or `*.` and a name for all names below it. */
export function siteHostProblem(text: string): Problem {
  const below = text.startsWith("*.") ? text.slice(2) : text;
  return below.includes("*") ? "* is allowed as the first label only, as in *.example.org" : hostProblem(below);
}

/** A zone of `dns.forward`; "." is the whole tree. */
export function zoneProblem(text: string): Problem {
  return text === "." ? undefined : dnsNameProblem(text);
}

export function tagProblem(text: string): Problem {
  if (text.startsWith("tag:")) return `expected the name only${hint(text.slice("tag:".length), tagProblem)}`;
  return isTailnetTag(text) ? undefined : "expected lower-case letters, digits and dashes, 50 at most, a letter first";
}

/** Prefix of a PoP's name in the tailnet, without a dot between them. */
export function hostPrefixProblem(text: string): Problem {
  return isHostLabelPart(text)
    ? undefined
    : "expected lower-case letters, digits and dashes, 31 at most, no dash first";
}

/** A DNS name without scheme, port or path. */
function dnsNameProblem(text: string): Problem {
  const name = normalizeName(text);
  if (/[:/]/.test(name)) return `expected a name only, without scheme, port or path${hint(hostOf(text))}`;
  if (name.includes("*")) return "wildcards are not supported. List each name";
  if (/\P{ASCII}/u.test(name)) return `expected the ASCII form${hint(domainToASCII(name))}`;
  if (isIP(name) || /(^|\.)\d+$/.test(name)) return "expected a name, not an address";
  return isDnsName(name)
    ? undefined
    : "expected a DNS name: letters, digits and dashes between dots, as in www.example.org";
}

/** http or https, a host, and optionally a port. */
const originShape = /^(https?):\/\/(\[[0-9a-f:.]+\]|[^/:?#@[\]\s]+)(?::(\d{1,5}))?\/?$/i;

export function originProblem(text: string): Problem {
  const [, , host, port] = originShape.exec(text) ?? [];
  if (host === undefined) return originShapeProblem(text);
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)) return "expected a port from 1 to 65535";
  if (/\P{ASCII}/u.test(host)) return `expected the ASCII form${hint(domainToASCII(host))}`;
  const address = host.startsWith("[") ? isIP(host.slice(1, -1)) === 6 : isIP(host) === 4;
  const name = normalizeName(host);
  const named = isServiceName(name) && !/(^|\.)\d+$/.test(name);
  return address || named ? undefined : "expected a DNS name or an address as host";
}

function originShapeProblem(text: string): string {
  if (text.includes("@")) return "must not contain credentials: they would be stored in plain text in the image";
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return `needs a scheme${hint(`https://${text}`, originProblem)}`;
  if (!/^https?$/i.test(scheme)) return "expected http or https";
  const end = rest.search(/[/?#]/);
  if (end > 0)
    return `must not have a path, query or fragment${hint(`${scheme}://${rest.slice(0, end)}`, originProblem)}`;
  return "expected a URL such as https://web.tail.example:8443";
}

/** `host` is in lower case. */
export type OriginParts = Pick<Origin, "scheme" | "host" | "port">;

/** The parts of a valid origin. */
export function originParts(text: string): OriginParts {
  const [, scheme = "", host = "", port] = originShape.exec(text) ?? [];
  const secure = scheme.toLowerCase() === "https";
  return {
    scheme: secure ? "https" : "http",
    host: normalizeName(host),
    port: port === undefined ? (secure ? 443 : 80) : Number(port),
  };
}

/** The canonical form of a valid origin: lower case, without the scheme's default port. */
export function normalizeOrigin(text: string): string {
  const { scheme, host, port } = originParts(text);
  const implied = port === (scheme === "https" ? 443 : 80);
  return `${scheme}://${host}${implied ? "" : `:${port}`}`;
}

/** The target of a TCP port: a host and an explicit port. */
export function endpointProblem(text: string): Problem {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(text) ?? [];
  if (scheme !== undefined) return "expected a host and a port, without scheme, as in git.tail.example:22";
  if (isIPv6(text)) return `expected an IPv6 address in brackets, and a port, as in [${text}]:22`;
  if (/[@/?#]/.test(text)) return "expected a host and a port, as in git.tail.example:22";
  if (!/^(?:\[.*\]|[^:]*):\d+$/.test(text)) return "needs a port, as in git.tail.example:22";
  const problem = originProblem(`http://${text}`);
  if (problem !== undefined)
    return problem.startsWith("expected a URL") ? "expected a host and a port, as in git.tail.example:22" : problem;
  const { host } = endpointParts(text);
  return isThisMachine(host) ? "leads to the PoP itself. To forward to luggage, use the luggage key" : undefined;
}

export type EndpointParts = Pick<OriginParts, "host" | "port">;

/** The parts of a valid endpoint. */
export const endpointParts = (text: string): EndpointParts => originParts(`http://${text}`);

/** The canonical form of a valid endpoint. */
export function normalizeEndpoint(text: string): string {
  const { host, port } = endpointParts(text);
  return `${host}:${port}`;
}

const thisMachine = new BlockList();
thisMachine.addSubnet("127.0.0.0", 8, "ipv4");
thisMachine.addAddress("0.0.0.0", "ipv4");
thisMachine.addAddress("::1", "ipv6");
thisMachine.addAddress("::", "ipv6");

function isThisMachine(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, "");
  if (isIP(address) !== 0) return thisMachine.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  return address === "localhost" || address.endsWith(".localhost");
}

/** A name server of `dns.forward`: an address, with @port where it is not 53. unbound's spelling. */
export function serverProblem(text: string): Problem {
  const [address = "", port, ...rest] = text.split("@");
  const portValid = port === undefined || (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535);
  return isIP(address) !== 0 && portValid && rest.length === 0 && !address.includes("%")
    ? undefined
    : "expected an IP address, as in 100.100.100.100 or fd7a:115c:a1e0::53@5353";
}

/** A directory on the machine that builds, relative to the project. config does no I/O: image/context.ts checks that it exists. */
export function dirProblem(text: string): Problem {
  if (text.trim() === "") return "expected a directory, as in ./site";
  if (/[\p{Cc}\\]/u.test(text)) return "must not contain control characters or backslashes";
  if (text.startsWith("/") || /^[A-Za-z]:/.test(text))
    return "expected a directory relative to the project: an absolute path differs from machine to machine";
  if (text.startsWith("~")) return "expected a directory relative to the project, and no shell expands ~ here";
  if (/^(\.\.\/)*\.{1,2}$/.test(normalizePath(text)))
    return "would pack the project itself, including keys and state. Use a separate directory";
  return undefined;
}

/** A file on the machine that builds, relative to the project. */
export function fileProblem(text: string): Problem {
  if (text.trim() === "" || text.endsWith("/")) return "expected a file, as in ./ca.pem";
  return dirProblem(text)?.replaceAll("directory", "file");
}

/** The operator's sops file. */
export function secretsFileProblem(text: string): Problem {
  if (text.trim() === "" || text.endsWith("/")) return "expected a file, as in ./secrets.yaml";
  return fileProblem(text) ?? (/\.ya?ml$/.test(text) ? undefined : "expected a YAML file, as in ./secrets.yaml");
}

/** In a list of networks, an entry that begins with a dot is a file with networks. */
export const isListFile = (text: string): boolean => /^\.{1,2}\//.test(text);

export function networkOrFileProblem(text: string): Problem {
  return isListFile(text) ? fileProblem(text) : networkProblem(text);
}

/** An address or a network of visitors. */
export function networkProblem(text: string): Problem {
  if (parseNetwork(text) !== undefined) return undefined;
  const file = /^[\w-]+(?:\/[\w.-]+)*\.\w+$/.test(text) && !/^[\d.]+$/.test(text);
  return `expected an address or a network, as in 203.0.113.7 or 2001:db8::/32${hint(file ? `./${text}` : "", fileProblem)}`;
}

/** The Host of a request: a name or an address, and perhaps a port. */
export function hostHeaderProblem(text: string): Problem {
  if (/[/@?#]/.test(text))
    return "expected a name and perhaps a port, without scheme or path, as in docs.home.internal:8080";
  return originProblem(`http://${text}`) === undefined
    ? undefined
    : "expected a name and perhaps a port, as in docs.home.internal:8080";
}

const headerShape = "a header name has letters, digits and dashes, 64 at most, a letter first";
const headerSetAlready = "this header is set by the PoP or belongs to a single connection";

/** Name of a header that tells an origin who a visitor is. */
export function identityHeaderProblem(name: string): Problem {
  if (!isHeaderName(name)) return headerShape;
  if (isOwnRequestHeader(name)) return headerSetAlready;
  return name.toLowerCase() === "cookie"
    ? "cookies belong to the visitor, who gets those that the service sets"
    : undefined;
}

/** Name of a header sent to an origin or luggage. */
export function requestHeaderNameProblem(name: string): Problem {
  if (!isHeaderName(name)) return headerShape;
  if (name.toLowerCase() === "host")
    return "this header is set by the PoP. To change the Host that the upstream gets, set hostHeader";
  return isOwnRequestHeader(name) ? headerSetAlready : undefined;
}

/** Name of a header sent to visitors. */
export function headerNameProblem(name: string): Problem {
  if (!isHeaderName(name)) return headerShape;
  return isOwnHeader(name) ? "this header is set by nginx or the PoP, or belongs to a single connection" : undefined;
}

/** A request header by which cached responses are told apart. */
export function varyProblem(text: string): Problem {
  const name = text.toLowerCase();
  if (!isHeaderName(text)) return "expected the name of a request header, as in Accept-Language";
  if (name === "cookie") return "list cookies that make responses personal under cookies instead";
  if (name === "authorization") return "requests with this header always go to the origin";
  if (name === "accept-encoding")
    return "responses are stored uncompressed, and compressed for each visitor who accepts it";
  if (name === "host") return "responses are stored separately for each name";
  if (isOwnRequestHeader(text) || isClaim(text))
    return "the PoP removes or replaces this header before the origin gets it";
  return undefined;
}

export function headerValueProblem(text: string): Problem {
  if (isHeaderValue(text)) return undefined;
  return text.includes("$")
    ? "must not contain $, which nginx would replace by a variable"
    : "expected printable ASCII, no space at an end";
}

/** A mount or a path in a vault's KV store. The PoP replaces {domain}. */
export function vaultPathProblem(text: string): Problem {
  const parts = text.replaceAll("{domain}", "domain").split("/");
  return text.length <= 200 && parts.every((part) => /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(part))
    ? undefined
    : "expected letters, digits, dots, dashes and _ between slashes";
}

/** A namespace, or where a method of logging in is mounted: one for all certificates. */
export const vaultNameProblem = (text: string): Problem =>
  /[{}]/.test(text) ? "expected letters, digits, dots, dashes and _ between slashes" : vaultPathProblem(text);

/** A field of a secret in a vault. */
export const vaultFieldProblem = (text: string): Problem =>
  /^[A-Za-z0-9_.-]{1,64}$/.test(text) ? undefined : "expected letters, digits, dots, dashes and _, 64 at most";

/** Key of the operator's sops file. */
export function secretKeyProblem(text: string): Problem {
  return isSecretKey(text) ? undefined : "expected letters, digits, dashes and _, 64 at most, no digit or dash first";
}

/** Name of a luggage entry, its process and its user. */
export function luggageNameProblem(text: string): Problem {
  return isLuggageName(text)
    ? undefined
    : "expected lower-case letters, digits and dashes, 2 to 24 of them, a letter first";
}

/** The path of an HTTP health check of luggage. */
export function healthPathProblem(text: string): Problem {
  if (isHealthPath(text)) return undefined;
  return text.startsWith("/")
    ? "expected a path of printable ASCII without spaces, 201 at most"
    : "expected a path, as in /healthz";
}

/** A line of authorized_keys. */
export function authorizedKeyProblem(text: string): Problem {
  if (isAuthorizedKey(text)) return undefined;
  return text.includes("PRIVATE KEY")
    ? "expected the public half, as in ~/.ssh/id_ed25519.pub"
    : "expected a public key as in authorized_keys, without options, as in ssh-ed25519 AAAA... me";
}

/** The canonical form of a relative path: no leading ./, no trailing slash, no .. in between. */
export function normalizePath(text: string): string {
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/") || ".";
}

/** Docker's grammar of image references, in lower case, with an optional registry. https://github.com/distribution/reference */
const repository =
  /(?:(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?)\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*/;
const tag = /:\w[\w.-]{0,127}/;
const digest = /@sha256:[0-9a-f]{64}/;
const reference = new RegExp(`^${repository.source}(?:${tag.source})?(?:${digest.source})?$`);
const pinned = new RegExp(`^${repository.source}(?:${tag.source})?${digest.source}$`);

export function imageProblem(text: string): Problem {
  return text.length <= 400 && reference.test(text)
    ? undefined
    : "expected an image reference, as in ghcr.io/me/blog:1.2";
}

export function pinnedImageProblem(text: string): Problem {
  if (text.length <= 400 && pinned.test(text)) return undefined;
  return imageProblem(text) === undefined
    ? "expected a reference pinned by digest (name@sha256:...), so that every PoP runs the same bytes. `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` shows it"
    : "expected an image reference pinned by digest: name, @sha256: and 64 hex digits";
}

const hostOf = (text: string): string =>
  normalizeName(
    text
      .replace(/^[a-z][a-z0-9+.-]*:\/\//i, "")
      .replace(/^.*@/, "")
      .replace(/[:/?#].*$/, ""),
  );

/** ". Write X" if X is valid. */
function hint(better: string, problem: (text: string) => Problem = dnsNameProblem): string {
  return better !== "" && problem(better) === undefined ? `. Write ${better}` : "";
}

const behindRouters = new BlockList();
for (const [network, bits] of [
  ["10.0.0.0", 8],
  ["192.168.0.0", 16],
] as const)
  behindRouters.addSubnet(network, bits);
behindRouters.addSubnet("fc00::", 7, "ipv6");
const notBehindRouters = new BlockList();
notBehindRouters.addSubnet("fd7a:115c:a1e0::", 48, "ipv6"); // the tailnet's own nodes
notBehindRouters.addSubnet("fdaa::", 16, "ipv6"); // Fly's private network

/** Whether a URL uses a private address that belongs neither to a tailnet node nor to Fly's network, so that only a subnet router reaches it. */
export function isBehindRouter(url: string): boolean {
  const address = URL.parse(url)?.hostname.replace(/^\[|\]$/g, "") ?? "";
  const family = isIPv6(address) ? "ipv6" : "ipv4";
  return isIP(address) !== 0 && behindRouters.check(address, family) && !notBehindRouters.check(address, family);
}
