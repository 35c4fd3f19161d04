/**
 * What the image is made from, as plain, complete values. config.ts produces them, image/render turns them into text. Every PoP of a stack has the same image.
 */
export interface ImageSpec {
  sites: Site[];
  /** Sites whose TLS ends at the origin. None of them is in `sites`. Absent: none. */
  passThrough?: PassThroughSite[];
  /** The user's extra processes, by name. */
  luggage: Record<string, Luggage>;
  dns: Dns;
  cache: CacheStore;
  /** Absent: the image does not contain Tailscale. */
  tailnet?: Tailnet;
  /** Where certificates come from. Absent: each PoP signs its own. */
  certificates?: { acme?: Acme; vault?: Vault };
  /** An SSH server that listens in the tailnet. Absent: the image has none. */
  ssh?: Ssh;
  /** curl, dig, strace and similar tools. Absent: the image has none of them. */
  debugTools?: boolean;
  /** Public TCP ports that are proxied byte for byte. Absent: no ports besides those of the sites. */
  ports?: TcpPort[];
  /** What is logged, and where. Absent: all requests with the visitors' addresses, in the PoP's own log. */
  logs?: Logs;
  /** The user's own nginx configuration. Absent: none. */
  nginx?: NginxFiles;
}

/** Raw TCP: the target of the port gets exactly the bytes that the visitor sent. */
export interface TcpPort {
  /** Port on the app's addresses. */
  port: number;
  /** A host name or address with a port (IPv6 addresses in brackets), or a key of `luggage`. */
  to: { kind: "host"; address: string } | { kind: "luggage"; luggage: string };
  /** Sends the visitor's address first, as a PROXY protocol header. Absent: no header. */
  proxyProtocol?: "v2";
  /** Who may connect; other connections are closed at once. Absent: everybody. */
  access?: Omit<Access, "agents">;
  limit: {
    /** Concurrent connections of one visitor (an IPv4 address or an IPv6 /64). */
    connections: number;
    /** Concurrent connections of all visitors, on one PoP. */
    total: number;
  };
  /** Seconds without a byte in either direction after which a connection is closed. */
  idleSeconds: number;
}

/** A site that the PoP identifies only by the name in the visitor's ClientHello: TLS is passed on byte for byte, in both directions. */
export interface PassThroughSite extends Pick<SiteBase, "host" | "aliases"> {
  /** https URLs of scheme, name and optional port. At least one. The first is used as long as it answers; the others are backups. */
  origins: string[];
  /** Sends the visitor's address first, as a PROXY protocol header. Absent: no header. */
  proxyProtocol?: "v2";
  /** Who may connect; other connections are closed at once. Absent: everybody. */
  access?: Omit<Access, "agents">;
  /** Concurrent connections of one visitor (an IPv4 address or an IPv6 /64). Absent: no limit. */
  connections?: number;
  /** Seconds without a byte in either direction after which a connection is closed. */
  idleSeconds: number;
}

export interface Logs {
  /** Logs only the network of visitors' addresses: three bytes of IPv4, the /48 of IPv6. Absent: logs full addresses. */
  anonymize?: boolean;
  /** Host that also gets the access log, over UDP. Absent: none. */
  syslog?: { host: string; port: number };
  /** Percentage of requests served from the cache that the access log records. Absent: all. */
  sampleCached?: number;
}

/** Files on the machine that builds, relative to the project. */
export interface NginxFiles {
  /** Included at the end of the `http` block. Absent: none. */
  http?: string;
  /** Included at the end of a site's `server` block, by host. */
  sites: Record<string, string>;
}

export type Site = ProxySite | RedirectSite | FilesSite | LuggageSite;

interface SiteBase {
  /** `*.` before a name matches all names below it. */
  host: string;
  /** Further names of the site. Absent: none. */
  aliases?: string[];
  /** Also answers names that no site has. Absent: requests for those are rejected. */
  default?: boolean;
  /** Headers added to every response, by name. They replace headers of the same name from the origin. Absent: none. */
  headers?: Record<string, string>;
  /** Limits for one visitor; not for redirects. Absent: only those of image/limits.ts. */
  limit?: Limit;
  /** Visitors have to log in at the PoP; not for redirects. Absent: they do not. */
  auth?: Auth;
  /** Who may use the site. Absent: everybody. */
  access?: Access;
  /** Whether text is compressed. Absent: it is; in a rule: as its site says. */
  compress?: boolean;
  /** Rules for paths that are answered differently from the rest of the site. The first match applies. Absent: none. */
  paths?: PathRule[];
  /** The PoPs order the certificate themselves, one for all names of the site. Absent: it comes from the vault, or each PoP signs its own. */
  certificateFrom?: "acme";
  /** Name of the certificate in the vault, for all names of the site. Absent: each name has its own certificate. */
  certificate?: string;
  /** Directory of pages for errors that the PoP itself reports, on the machine that builds, relative to the project. Absent: the default pages. */
  errorPages?: string;
  /** robots.txt as served by the PoP: one that keeps all robots out, or a file on the machine that builds, relative to the project. Absent: the site's own. */
  robots?: { kind: "deny" } | { kind: "file"; file: string };
  /** Adds Strict-Transport-Security for one year, unless the site sets one. Absent: no. */
  hsts?: boolean;
  /** A preset of headers, each added unless the site sets one of that name. Absent: none. */
  securityHeaders?: "strict";
}

/** Limits for one visitor: an IPv4 address or an IPv6 /64. Requests above it get 429. */
export interface Limit {
  /** Requests per second or minute, and how many requests a visitor may be ahead of that rate. */
  requests: { count: number; per: "s" | "m"; burst: number };
  /** Requests in progress. Absent: the limit of image/limits.ts, across all sites. */
  connections?: number;
}

/** How visitors log in. */
export type Auth = BasicAuth | ForwardAuth;

/** With a name and a password. */
export interface BasicAuth {
  /** Key of the user's sops file that holds lines in htpasswd format. */
  basic: string;
}

/** At a service of the user's, which is asked about every request. */
export interface ForwardAuth {
  /** http or https URL of scheme, name, optional port, path and optional query. */
  forward: string;
  /** Headers of its response that are passed to the origin. Sorted, without duplicates. Empty: none. */
  headers: string[];
}

/** The allowed visitors. All others get 403, or their connection is closed where there is no HTTP. At least one key is set. */
export interface Access {
  /** Absent: everybody who is not denied. */
  allow?: NetworkList;
  /** Takes precedence over `allow`. */
  deny?: NetworkList;
  /** Parts of a User-Agent, case-insensitive. */
  agents?: string[];
}

/** Sorted, without duplicates. */
export interface NetworkList {
  /** With prefix lengths, as render/networks.ts writes them. */
  networks: string[];
  /** Files of networks on the machine that builds, relative to the project. */
  files: string[];
}

/** Complete: keys that the stack file leaves out of a rule have the site's values. */
export type PathRule = { path: string } & (
  | RuleOf<ProxySite>
  | RedirectRule
  | RuleOf<FilesSite>
  | RuleOf<LuggageSite>
  | Denial
);

/** Keys that apply to all paths of a site. */
type SiteOnlyKey = Exclude<keyof SiteBase, "headers" | "limit" | "access" | "compress">;

type RuleOf<S extends Site> = Omit<S, SiteOnlyKey> & {
  /** Removes the path's prefix before the request is passed on or the file is looked up. Absent: the prefix stays. */
  stripPrefix?: true;
  /** No login is needed, although the site requires one. Absent: as the site says. */
  open?: true;
};

/**
 * `to` is a URL or, for the same site, a path. A target without a path keeps the visitor's path. A path replaces it, and a path that ends with `/*` is followed
 * by what comes after the rule's prefix. The query is kept.
 */
type RedirectRule = Omit<RedirectSite, SiteOnlyKey>;

/** Answered without content. 444: the connection is closed without a response. */
export interface Denial {
  kind: "deny";
  status: DenialStatus;
  headers?: Record<string, string>;
}

export type DenialStatus = 403 | 404 | 410 | 444;
export type RedirectStatus = 301 | 302 | 307 | 308;

/** How requests are passed on. Defaults are in image/limits.ts. */
export interface ProxyOptions {
  /** Host header that the target gets: a name, with a port if needed. Absent: the name that the visitor requested. */
  hostHeader?: string;
  /** Headers added to every request, by name. They replace the visitor's headers of the same name. A secret is a key of the user's sops file. Absent: none. */
  requestHeaders?: Record<string, RequestHeaderValue>;
  maxBodyMb?: number;
  /** Collects up to 128 KB of a response before passing it on. Absent: every piece is passed on as it arrives. */
  buffering?: boolean;
  timeouts?: { connectSeconds?: number; readSeconds?: number; sendSeconds?: number };
}

export type RequestHeaderValue = string | { secret: string };

/** Passed on to an origin. */
export interface ProxySite extends SiteBase, ProxyOptions {
  kind: "proxy";
  /** http or https URLs of origins: scheme, name, optional port; no path. At least one. The first is used as long as it answers; the others are backups. */
  origins: string[];
  /** Protocol for the origins. Absent: HTTP/1.1. gRPC is HTTP/2, with TLS for https origins. */
  protocol?: "grpc";
  /** How https origins are verified. Absent: with the public CA certificates, under the name in their URL. */
  tls?: {
    /** PEM file of CA certificates to use instead of the public ones, on the machine that builds, relative to the project. */
    ca?: string;
    /** Name that their certificate must be valid for. */
    serverName?: string;
    /** Key of the user's sops file that holds the PoPs' client certificate and its key, both PEM. Absent: no client certificate. */
    certificate?: string;
  };
  /** How responses are cached. Absent: they are not. */
  cache?: SiteCache;
}

/** Answered with a redirect; path and query are kept. */
export interface RedirectSite extends SiteBase {
  kind: "redirect";
  /** http or https URL without a path, e.g. https://www.example.org */
  to: string;
  /** Absent: 301. */
  status?: RedirectStatus;
}

/** A directory packed into the image. */
export interface FilesSite extends SiteBase {
  kind: "files";
  /** Directory on the machine that builds, relative to the project. */
  dir: string;
  /** Paths without a file get index.html, for single-page applications. Absent: they get 404. */
  spa?: boolean;
}

/** Served by an extra process of the image. */
export interface LuggageSite extends SiteBase, ProxyOptions {
  kind: "luggage";
  /** Key of `luggage`. */
  luggage: string;
}

export interface SiteCache {
  /** Seconds a 200 is fresh if the origin does not say. 0: stores only responses that the origin allows to be stored. */
  maxAgeSeconds: number;
  /** Seconds a stale response may be served while the origin fails. */
  staleIfErrorSeconds: number;
  /** Seconds a stale response may be served while a fresh one is fetched. */
  staleWhileRevalidateSeconds: number;
  /** Size of the largest response that is stored, in MB. */
  maxFileMb: number;
  /**
   * Names of cookies that make a response personal; `*` at the end of a name matches any text. Requests with one of them bypass the cache, all others share it.
   * Absent: if the origin says nothing about caching, only requests without any cookie share stored responses.
   */
  cookies?: string[];
  /** Seconds that responses with a status other than 200 are fresh if the origin does not say, by status. Absent: they are not stored. */
  statuses?: { status: number; seconds: number }[];
  /**
   * Query parameters that do not distinguish responses; `*` at the end of a name matches any text. True: the whole query. The origin still gets them. Absent:
   * the whole query distinguishes responses.
   */
  ignoreQuery?: true | string[];
  /** Ignores the origin's Cache-Control, Expires and Set-Cookie. Absent: respects them. */
  ignoreOrigin?: true;
  /** Request headers that distinguish responses in addition to the origin's Vary, in lower case. Absent: none. */
  vary?: string[];
}

export interface Luggage {
  /** Where its files come from: a directory on the machine that builds, or an image reference. They are copied to /luggage/<name>. */
  source: { kind: "files"; dir: string } | { kind: "image"; ref: string };
  /** Program and arguments. The program is an absolute path or relative to /luggage/<name>. */
  command: string[];
  env: Record<string, string>;
  /** Port on 127.0.0.1 that it listens on. Absent: none. */
  port?: number;
  /** Keys of the user's sops file that it may read, as /run/secrets/<name>/<key>. It starts once they are there. Absent: none. */
  secrets?: string[];
  /** Processes that it starts after: other luggage by name, or the PoP's own (render/dependencies.ts). Absent: none. */
  dependsOn?: string[];
  /** How its health is checked. Absent: it is healthy while it runs. */
  health?: LuggageHealth;
  /** It runs as user `luggage-<user>`; luggage with the same user shares files. Absent: its own name. */
  user?: string;
}

export interface LuggageHealth {
  /** Path on its port, healthy if a GET returns a status below 400; or a program and its arguments, healthy if it exits with 0. */
  probe: { kind: "http"; path: string } | { kind: "command"; command: string[] };
  /** Seconds between two checks. */
  everySeconds: number;
  /** Timeout of a check, in seconds. */
  timeoutSeconds: number;
}

export interface Dns {
  /** Zones that are resolved by the user's name servers, without DNSSEC, instead of the public tree. */
  forward: { zone: string; servers: string[] }[];
}

/** The API that creates auth keys. */
export type ControlPlane = "tailscale" | "headscale";

/** The private network over which origins are reached. Each PoP is a node of it. */
export interface Tailnet {
  /** MagicDNS domain of the tailnet, such as tail1234.ts.net. Its names are resolved by Tailscale's resolver. */
  domain: string;
  /** Control server: an http or https URL without a path. Absent: Tailscale's. */
  loginServer?: string;
  /** PEM file of CA certificates for the control server instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
  /** Control plane that creates the PoPs' auth keys. Absent: the key is one of the user's secrets. */
  controlPlane?: ControlPlane;
  /** Tags that a PoP requests, without their `tag:`. The key of a tagged node does not expire. */
  tags: string[];
  /** Prefix of the PoP's host name in the tailnet: with `edge-`, cdg-1 becomes edge-cdg-1. */
  hostPrefix: string;
  /** Use the routes of subnet routers and Tailscale Services. Absent: no. */
  acceptRoutes?: boolean;
  /** False: every UDP packet of the tailnet is a system call of its own. Absent: the kernel batches packets (GSO, GRO). */
  udpOffload?: boolean;
}

/** CAs that PoPs order certificates from. Using them means agreeing to their terms. */
export interface Acme {
  email: string;
  /** Directory URLs. The first is used; the others follow in order if it fails. At least one. */
  directories: string[];
  /** Certificate profile at the first CA. Absent: the CA's default. */
  profile?: string;
  /** Key of the user's sops file that holds the external account at the first CA. Absent: none is needed. */
  eab?: string;
  /** Key of the user's sops file that holds the secret by which PoPs share certificates. Absent: each PoP orders its own. */
  share?: string;
  /**
   * Names are proved by TXT records, set by updates of DNS. `server` is a host and a port, `secret` a key of the user's sops file. Absent: by requests to port
   * 80.
   */
  dns?: { server: string; key: string; algorithm?: string | undefined; secret: string };
  /** PEM file of CA certificates for the directories instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
}

/** Vault or OpenBao: PoPs log in with AppRole and read a KV store. */
export interface Vault {
  /** http or https URL: scheme, name, optional port. */
  address: string;
  /** PEM file of CA certificates for the vault instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
  /** Name in its certificate. Absent: the name in the address. */
  serverName?: string;
  /** Absent: the root namespace. */
  namespace?: string;
  /** Mount of AppRole, below `auth/`. Absent: approle. */
  authMount?: string;
  /** Mount of the store. */
  mount: string;
  /** Version of the store, 1 or 2. Absent: 2. */
  kvVersion?: number;
  /** Path of a certificate in it, `{domain}` for its name. */
  path: string;
  /** Names of the entry's fields. `pem` is used without the others. Absent: key, and chain if there is no `certificate`. */
  fields?: {
    key?: string | undefined;
    chain?: string | undefined;
    certificate?: string | undefined;
    pem?: string | undefined;
  };
  /** When the secret_id was created and when it expires, as RFC 3339 times. Absent: unknown. */
  secretId?: { createdAt: string; endsAt: string };
}

export interface Ssh {
  /** Public keys that may log in as root, as lines of authorized_keys without options. */
  authorizedKeys: string[];
}

export interface CacheStore {
  /** Maximum size of nginx's cache on the volume, in MB. */
  maxSizeMb: number;
  /** Size of the cache index in MB. Each MB holds about 8,000 responses. Memory is allocated only as it is used. */
  indexMb: number;
}
