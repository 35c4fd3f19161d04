/**
 * Validates values before they get into a rendered file. nginx has no way to quote `$`, and unbound no way to quote anything. So nothing is escaped here: input
 * is parsed and rebuilt from pieces that can have only one meaning. config.ts checks the same with better messages; these functions are the last line of
 * defence.
 */

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const hostPattern = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);
const servicePattern =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** A DNS name in lower case, without a final dot. */
export const isDnsName = (name: string): boolean => hostPattern.test(name);

/** The same with underscores, which Docker and others have in names of hosts. */
export const isServiceName = (name: string): boolean => servicePattern.test(name);

/** Name of an environment variable. */
export const isVariableName = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);

/** A site's public name: letters, digits, dashes and dots; at least two labels; lower case; not an address. */
export function hostName(host: string): string {
  if (!isDnsName(host) || !host.includes(".") || /\.\d+$/.test(host))
    throw new Error(`site ${quoted(host)}: not a host name.`);
  return host;
}

export const isWildcard = (host: string): boolean => host.startsWith("*.");

/** A name of a site: a host's, or a wildcard for all names below one with at least two labels. */
export function siteName(host: string): string {
  if (isWildcard(host)) hostName(host.slice(2));
  else hostName(host);
  return host;
}

export const isLuggageName = (name: string): boolean => /^[a-z][a-z0-9-]{0,22}[a-z0-9]$/.test(name);

/** Path and query of a URL on the luggage's own port. */
export const isHealthPath = (path: string): boolean => /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,200}$/.test(path);

export function healthPath(path: string): string {
  if (!isHealthPath(path)) throw new Error(`health path ${quoted(path)}: not a path.`);
  return path;
}

/** Key of the user's sops file. It becomes a file name. */
export const isSecretKey = (key: string): boolean => /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(key);

/** Path and optional query of a URL, without characters that have a meaning in nginx's language. */
export const isServicePath = (path: string): boolean => /^\/[A-Za-z0-9._~!&()+,=:@/%?-]{0,499}$/.test(path);

export interface Origin {
  scheme: "http" | "https";
  /** Name or address, IPv6 addresses in brackets. */
  host: string;
  port: number;
  isAddress: boolean;
}

/** Parses scheme, name and optional port; rejects URLs with anything else. */
export function parseOrigin(text: string): Origin {
  const invalid = new Error(`${quoted(text)}: not an http or https URL of scheme, name and optional port.`);
  if (!URL.canParse(text)) throw invalid;
  const url = new URL(text);
  const scheme = url.protocol === "http:" ? "http" : url.protocol === "https:" ? "https" : undefined;
  const bare = url.pathname === "/" && !url.search && !url.hash && !url.username && !url.password;
  const isAddress = /^\d+\.\d+\.\d+\.\d+$/.test(url.hostname) || /^\[[0-9a-f:.]+\]$/.test(url.hostname);
  if (!scheme || !bare || !(isAddress || isServiceName(url.hostname))) throw invalid;
  return { scheme, host: url.hostname, port: Number(url.port || (scheme === "http" ? 80 : 443)), isAddress };
}

export type Endpoint = Pick<Origin, "host" | "port" | "isAddress">;

/** Parses a name or address with a required port. */
export function parseEndpoint(text: string): Endpoint {
  const [, host, port] = /^([^/?#@\\\s]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) < 1)
    throw new Error(`${quoted(text)}: not a host name or address and a port, as in git.tail.example:22.`);
  const { isAddress, ...found } = parseOrigin(`http://${host}:${port}`);
  return { host: found.host, port: Number(port), isAddress };
}

/** The origin as a URL, without the scheme's default port. */
export const originUrl = (it: Origin): string =>
  `${it.scheme}://${it.host}${it.port === (it.scheme === "http" ? 80 : 443) ? "" : `:${it.port}`}`;

/** Headers that nginx or the PoP sets, that concern a single connection, or that distinguish stored responses. */
const ownHeaders = new Set(
  "accept-ranges age alt-svc connection content-encoding content-length content-range content-type date etag keep-alive last-modified"
    .split(" ")
    .concat(
      "location proxy-authenticate server set-cookie te trailer transfer-encoding upgrade vary x-cache x-pop".split(
        " ",
      ),
    ),
);

export const isHeaderName = (name: string): boolean => /^[A-Za-z][A-Za-z0-9-]{0,63}$/.test(name);
export const isOwnHeader = (name: string): boolean => ownHeaders.has(name.toLowerCase());
/** Printable ASCII without a space at either end. nginx would treat `$` as the start of a variable and has no way to quote it. */
export const isHeaderValue = (value: string): boolean =>
  /^[\x21-\x7e](?:[\x20-\x7e]{0,4000}[\x21-\x7e])?$/.test(value) && !value.includes("$");

/** Headers that the PoP sets for the origin, that concern a single connection, or that distinguish stored responses. */
const ownRequestHeaders = new Set(
  "accept-encoding connection content-encoding content-length expect front-end-https host keep-alive range te trailer transfer-encoding upgrade via"
    .split(" ")
    .concat(
      "x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-scheme x-forwarded-ssl x-real-ip".split(
        " ",
      ),
    ),
);

export const isOwnRequestHeader = (name: string): boolean =>
  ownRequestHeaders.has(name.toLowerCase()) || /^(?:if|proxy)-/i.test(name);

/** Name of a request header that a site may set. */
export function requestHeaderName(name: string): string {
  if (!isHeaderName(name) || isOwnRequestHeader(name))
    throw new Error(`request header ${quoted(name)}: a site cannot set it.`);
  return name;
}

/** A request header as two words of nginx's language. The value is a text or a variable. */
export function requestHeader(name: string, value: string | { variable: string }): string {
  requestHeaderName(name);
  if (typeof value !== "string") return `${name} ${value.variable}`;
  if (!isHeaderValue(value)) throw new Error(`request header ${name}: ${quoted(value)} is not a valid value.`);
  return `${name} "${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Name of a cookie, https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1; `*` at the end matches any text. */
export const isCookieName = (name: string): boolean => /^[A-Za-z0-9!#$%&'^_`|~.+-]{1,64}\*?$/.test(name);

/** A response header as two words of nginx's language. */
export function header(name: string, value: string): string {
  if (!isHeaderName(name) || isOwnHeader(name)) throw new Error(`header ${quoted(name)}: a site cannot set it.`);
  if (!isHeaderValue(value)) throw new Error(`header ${name}: ${quoted(value)} is not a valid value.`);
  return `${name} "${value.replace(/["\\]/g, "\\$&")}"`;
}

/** A DNS zone with its final dot; "." is the root. */
export function zoneName(zone: string): string {
  const name = zone.toLowerCase().replace(/\.$/, "");
  if (zone !== "." && !isServiceName(name)) throw new Error(`dns zone ${quoted(zone)}: not a domain name.`);
  return `${name}.`;
}

/** Name of a tag without its `tag:`, as Tailscale's policy accepts it. https://tailscale.com/kb/1068/tags */
export const isTailnetTag = (tag: string): boolean => /^[a-z][a-z0-9-]{0,49}$/.test(tag);

export function tailnetTag(tag: string): string {
  if (!isTailnetTag(tag)) throw new Error(`tailnet tag ${quoted(tag)}: not the name of a tag.`);
  return tag;
}

export const isAuthorizedKey = (line: string): boolean =>
  /^(?:ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) AAAA[A-Za-z0-9+/]{20,2000}={0,2}(?: [\x21-\x7e][\x20-\x7e]{0,200})?$/.test(
    line,
  );

/** A line of authorized_keys without options. */
export function authorizedKey(line: string): string {
  if (!isAuthorizedKey(line)) throw new Error(`ssh key ${quoted(line)}: not a public key without options.`);
  return line;
}

/** The start of a DNS label. May be empty. */
export const isHostLabelPart = (text: string): boolean => /^(?:[a-z0-9][a-z0-9-]{0,30})?$/.test(text);

export function hostLabelPart(text: string): string {
  if (!isHostLabelPart(text)) throw new Error(`host name ${quoted(text)}: not a valid prefix of a host name.`);
  return text;
}

/** Address of a name server in unbound's format: IPv4 or IPv6, optionally @port. */
export function serverAddress(server: string): string {
  const [, address = "", port] = /^([0-9a-fA-F:.]+)(?:@(\d{1,5}))?$/.exec(server) ?? [];
  const valid = address.includes(":")
    ? URL.canParse(`http://[${address}]`)
    : /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/.test(address);
  if (!valid || Number(port ?? 53) > 65535 || Number(port ?? 53) < 1)
    throw new Error(`dns server ${quoted(server)}: not an IP address, optionally with @port.`);
  return server.toLowerCase();
}

/** An integer within bounds. config.ts has already checked it. */
export function boundedInt(value: number, what: string, { min, max }: { min: number; max: number }): number {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Error(`${what} is ${value}: takes whole numbers from ${min} to ${max}.`);
  return value;
}

/** Escapes text for nginx's regular expressions (PCRE). */
export const escapeRegExp = (text: string): string => text.replace(/[^a-zA-Z0-9]/g, "\\$&");

const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
