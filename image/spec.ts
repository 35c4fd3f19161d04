/** What the image is made from: plain, complete values. config.ts produces them, image/render turns them into text. The same for every PoP of a stack. */
export interface ImageSpec {
  sites: Site[];
  /** Sites whose TLS ends at home. No site of `sites`. Absent: none. */
  passThrough?: PassThroughSite[];
  /** Extra processes the user packs in, by name. */
  luggage: Record<string, Luggage>;
  dns: Dns;
  cache: CacheStore;
  /** Absent: the image holds no Tailscale. */
  tailnet?: Tailnet;
  /** Where certificates come from. Absent: each PoP signs its own. */
  certificates?: { acme?: Acme; vault?: Vault };
  /** An SSH server in the tailnet. Absent: none in the image. */
  ssh?: Ssh;
  /** curl, dig, strace and the like. Absent: none of them. */
  debugTools?: boolean;
  /** Public TCP ports that are passed on as they are, by number. Absent: none but those of the sites. */
  ports?: TcpPort[];
  /** What is logged, and where to. Absent: all requests, with the visitors' addresses, into the PoP's own log. */
  logs?: Logs;
  /** The user's own configuration of nginx. Absent: none. */
  nginx?: NginxFiles;
}

/** Raw TCP: whoever answers for a port sees what the visitor sent, byte for byte. */
export interface TcpPort {
  /** On the app's addresses. */
  port: number;
  /** A host name or address and its port, an IPv6 address in brackets; or a key of `luggage`. */
  to: { kind: "host"; address: string } | { kind: "luggage"; luggage: string };
  /** The visitor's address is sent first, as a header of the PROXY protocol. Absent: nothing is. */
  proxyProtocol?: "v2";
  /** Who may use it; all others are closed at once. Absent: everybody. */
  access?: Omit<Access, "agents">;
  limit: {
    /** Connections of one visitor (an IPv4 address, an IPv6 /64) at a time. */
    connections: number;
    /** Connections of all visitors at a time, on one PoP. */
    total: number;
  };
  /** Seconds without a byte in either direction after which a connection is closed. */
  idleSeconds: number;
}

/** A site that the PoP knows by the name in the visitor's ClientHello alone: bytes of TLS pass as they are, both ways. */
export interface PassThroughSite extends Pick<AnySite, "host" | "aliases"> {
  /** https URLs of scheme, name and optional port. At least one. The first is asked as long as it answers, the others stand in for it. */
  origins: string[];
  /** The visitor's address is sent first, as a header of the PROXY protocol. Absent: nothing is. */
  proxyProtocol?: "v2";
  /** Who may use it; all others are closed at once. Absent: everybody. */
  access?: Omit<Access, "agents">;
  /** Connections of one visitor (an IPv4 address, an IPv6 /64) at a time. Absent: no limit. */
  connections?: number;
  /** Seconds without a byte in either direction after which a connection is closed. */
  idleSeconds: number;
}

export interface Logs {
  /** Of visitors' addresses only the network is logged: three bytes of IPv4, the /48 of IPv6. Absent: all of them. */
  anonymize?: boolean;
  /** Who gets the access log, too, by UDP. Absent: nobody. */
  syslog?: { host: string; port: number };
  /** Percent of the requests answered from the cache that the access log has. Absent: all. */
  sampleCached?: number;
}

/** Files of the machine that builds, relative to the project. */
export interface NginxFiles {
  /** Included at the end of the block for all sites. Absent: none. */
  http?: string;
  /** Included at the end of a site's server, by its host. */
  sites: Record<string, string>;
}

export type Site = ProxySite | RedirectSite | FilesSite | LuggageSite;

interface AnySite {
  /** `*.` before a name stands for all names below it. */
  host: string;
  /** Further names it is asked for by. Absent: none. */
  aliases?: string[];
  /** It also answers names that are in no site. Absent: those are turned away. */
  default?: boolean;
  /** Headers every answer bears, by name; what the origin said under such a name is replaced. Absent: none. */
  headers?: Record<string, string>;
  /** What one visitor may ask for; no key of a redirect. Absent: no limit but image/limits.ts's. */
  limit?: Limit;
  /** Who has to log in at the PoP; no key of a redirect. Absent: nobody. */
  auth?: Auth;
  /** Who may use it. Absent: everybody. */
  access?: Access;
  /** Whether text is sent compressed. Absent: it is; of a rule: as its site's. */
  compress?: boolean;
  /** What answers under some paths instead of the site. The first that matches does. Absent: the site alone. */
  paths?: PathRule[];
  /** The PoPs order its certificate themselves, one for all of its names. Absent: it is the vault's, or each PoP's own. */
  certificateFrom?: "acme";
  /** Name in the vault of its certificate, for all of its names. Absent: each name has one of its own. */
  certificate?: string;
  /** Folder of pages for errors that the PoP itself makes, on the machine that builds, relative to the project. Absent: the project's own. */
  errorPages?: string;
  /** robots.txt as the PoP answers it: one that keeps robots out, or a file on the machine that builds, relative to the project. Absent: the site's own. */
  robots?: { kind: "deny" } | { kind: "file"; file: string };
  /** Strict-Transport-Security of a year, where the site sets none. Absent: no. */
  hsts?: boolean;
  /** A set of headers, each where the site sets none of that name. Absent: none. */
  securityHeaders?: "strict";
}

/** Of one visitor: an IPv4 address, or the /64 of an IPv6 address. Above it: 429. */
export interface Limit {
  /** Requests a second or a minute, and how many a visitor may be ahead of that. */
  requests: { count: number; per: "s" | "m"; burst: number };
  /** Requests in progress. Absent: image/limits.ts's, over all sites. */
  connections?: number;
}

/** How visitors log in. */
export type Auth = BasicAuth | ForwardAuth;

/** By name and password. */
export interface BasicAuth {
  /** Key of the user's sops file that holds lines of htpasswd. */
  basic: string;
}

/** At a service of the user's own, which is asked about each request. */
export interface ForwardAuth {
  /** http or https URL of scheme, name, optional port, path and perhaps a query. */
  forward: string;
  /** Headers of its response that the origin gets. Sorted, each once. Empty: none. */
  headers: string[];
}

/** Who gets an answer; all others get 403, or no connection where there is no HTTP. At least one of them. */
export interface Access {
  /** Absent: everybody who is not denied. */
  allow?: NetworkList;
  /** Counts more than `allow`. */
  deny?: NetworkList;
  /** Parts of a User-Agent, whatever its case. */
  agents?: string[];
}

/** Sorted, each once. */
export interface NetworkList {
  /** With their bits, as render/networks.ts spells them. */
  networks: string[];
  /** Files of networks on the machine that builds, relative to the project. */
  files: string[];
}

/** Complete: what the stack file leaves out of a rule is its site's. */
export type PathRule = { path: string } & (
  | Answer<ProxySite>
  | RedirectAnswer
  | Answer<FilesSite>
  | Answer<LuggageSite>
  | Denial
);

/** What holds for all paths of a site. */
type KeysOfSite = Exclude<keyof AnySite, "headers" | "limit" | "access" | "compress">;

type Answer<S extends Site> = Omit<S, KeysOfSite> & {
  /** The path's prefix is taken away before the origin or luggage gets it, or the file is looked for. Absent: it is not. */
  stripPrefix?: true;
  /** Nobody has to log in, though the site asks for it. Absent: as the site says. */
  open?: true;
};

/**
 * `to` is a URL or, for the same site, a path. Without a path in it the visitor's is kept, a path replaces it, and one that ends with `/*` is followed by what
 * comes after the rule's prefix. The query is kept.
 */
type RedirectAnswer = Omit<RedirectSite, KeysOfSite>;

/** Answered without content. 444: the connection is closed without a response. */
export interface Denial {
  kind: "deny";
  status: DenialStatus;
  headers?: Record<string, string>;
}

export type DenialStatus = 403 | 404 | 410 | 444;
export type RedirectStatus = 301 | 302 | 307 | 308;

/** Of requests that are passed on. What is absent is image/limits.ts's. */
export interface Passing {
  /** Name, and port if any, that the request is for, as whoever answers it knows it. Absent: the name the visitor asked for. */
  hostHeader?: string;
  /** Headers that each request gets, by name; what the visitor said under such a name is dropped. A secret is a key of the user's sops file. Absent: none. */
  requestHeaders?: Record<string, RequestHeaderValue>;
  maxBodyMb?: number;
  /** Collect up to 128 KB of a response before passing it on. Absent: each piece is passed on as it arrives. */
  buffering?: boolean;
  timeouts?: { connectSeconds?: number; readSeconds?: number; sendSeconds?: number };
}

export type RequestHeaderValue = string | { secret: string };

/** Passed on to an origin. */
export interface ProxySite extends AnySite, Passing {
  kind: "proxy";
  /**
   * http or https URLs of origins: scheme, name, optional port; no path. At least one. The first is asked as long as it answers, the others stand in for it.
   */
  origins: string[];
  /** How they are asked. Absent: by HTTP/1.1, as visitors ask. gRPC is HTTP/2, over TLS for https origins. */
  protocol?: "grpc";
  /** How https origins are known. Absent: by the public authorities, under the name in their URL. */
  tls?: {
    /** PEM file of the authorities that count instead of the public ones, on the machine that builds, relative to the project. */
    ca?: string;
    /** Name they must have a certificate for. */
    serverName?: string;
    /** Key of the user's sops file that holds the PoPs' own certificate and its key, both PEM. Absent: none is shown. */
    certificate?: string;
  };
  /** How responses are stored. Absent: none are. */
  cache?: SiteCache;
}

/** Answered with a redirect; path and query are kept. */
export interface RedirectSite extends AnySite {
  kind: "redirect";
  /** http or https URL without a path, e.g. https://www.example.org */
  to: string;
  /** Absent: 301. */
  status?: RedirectStatus;
}

/** A folder packed into the image. */
export interface FilesSite extends AnySite {
  kind: "files";
  /** Folder on the machine that builds, relative to the project. */
  dir: string;
  /** Paths that are no file's get index.html: an application in the browser makes its pages of them. Absent: they get 404. */
  spa?: boolean;
}

/** Served by an extra process of the image. */
export interface LuggageSite extends AnySite, Passing {
  kind: "luggage";
  /** Key of `luggage`. */
  luggage: string;
}

export interface SiteCache {
  /** Seconds a 200 is fresh if the origin does not say. 0: only responses that the origin allows to be stored are. */
  maxAgeSeconds: number;
  /** Seconds a stale response is served while the origin fails. */
  staleIfErrorSeconds: number;
  /** Seconds a stale response is served while a fresh one is fetched. */
  staleWhileRevalidateSeconds: number;
  /** MB of the largest response that is stored. */
  maxFileMb: number;
  /**
   * Names of cookies that make a response personal; `*` at the end of a name stands for anything. Requests with one of them bypass the cache,
   * all others share it. Absent: if the origin says nothing about caching, only requests without any cookie share stored responses.
   */
  cookies?: string[];
  /** Seconds a response of another status than 200 is fresh if the origin does not say; by status. Absent: none is. */
  statuses?: { status: number; seconds: number }[];
  /**
   * Parameters of the query that do not tell responses apart; `*` at the end of a name stands for anything. True: the whole query does not. The origin gets
   * it all the same. Absent: all of it does.
   */
  ignoreQuery?: true | string[];
  /** The origin's Cache-Control, Expires and Set-Cookie do not count. Absent: they do. */
  ignoreOrigin?: true;
  /** Request headers that tell responses apart beside those of the origin's Vary, in lower case. Absent: none do. */
  vary?: string[];
}

export interface Luggage {
  /** Where its files come from: a folder on the machine that builds, or an image reference; copied to /luggage/<name>. */
  source: { kind: "files"; dir: string } | { kind: "image"; ref: string };
  /** Program and arguments, absolute or relative to /luggage/<name>. */
  command: string[];
  env: Record<string, string>;
  /** Port on 127.0.0.1 it listens on; absent when it serves nothing. */
  port?: number;
  /** Keys of the user's sops file it may read, as /run/secrets/<name>/<key>; it is started once they are there. Absent: none. */
  secrets?: string[];
  /** What it is started after: other luggage by name, or processes of the PoP's own (render/dependencies.ts). Absent: nothing it could wait for. */
  dependsOn?: string[];
  /** How it shows that it works. Absent: by running. */
  health?: LuggageHealth;
  /** Its user is `luggage-<this>`: those that name the same one share its files. Absent: its own name. */
  user?: string;
}

export interface LuggageHealth {
  /** Path on its port, well when a GET is answered below 400; or a program and its arguments, well when it ends with 0. */
  ask: { kind: "http"; path: string } | { kind: "command"; command: string[] };
  /** Seconds between two times it is asked. */
  everySeconds: number;
  /** Seconds it has to answer. */
  timeoutSeconds: number;
}

export interface Dns {
  /** Zones answered by name servers of the user's own, unsigned, instead of the public tree. */
  forward: { zone: string; servers: string[] }[];
}

export type TailnetDriver = "tailscale" | "headscale";

/** The private network origins are reached over. Each PoP is a node of it. */
export interface Tailnet {
  /** MagicDNS domain of the tailnet, e.g. tail1234.ts.net: its names are asked of Tailscale's own resolver. */
  domain: string;
  /** Control server, an http or https URL without path. Absent: Tailscale's own. */
  loginServer?: string;
  /** PEM file of the authorities of the control server instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
  /** Who makes the PoPs' auth keys. Absent: the key stands among the user's secrets. */
  driver?: TailnetDriver;
  /** Tags a PoP asks for, without their `tag:`. A tagged node's key does not expire. */
  tags: string[];
  /** Put before the PoP's name: `edge-` makes edge-cdg-1 of cdg-1. */
  hostPrefix: string;
  /** Use the routes of subnet routers and Tailscale Services. Absent: no. */
  acceptRoutes?: boolean;
  /** False: each UDP packet of the tailnet is a call of its own. Absent: the kernel takes and gives many at once. */
  udpOffload?: boolean;
}

/** Authorities that PoPs order certificates from. Their terms are agreed to. */
export interface Acme {
  email: string;
  /** URLs: the first is asked, the others in their order while it fails. At least one. */
  directories: string[];
  /** Of the first. Absent: its own choice. */
  profile?: string;
  /** Key of the user's sops file that holds the external account at the first. Absent: none is needed. */
  eab?: string;
  /** Names are proved by TXT records, set by updates of DNS. `server` is a host and a port, `secret` a key of the user's sops file. Absent: by requests to port 80. */
  dns?: { server: string; key: string; algorithm?: string | undefined; secret: string };
  /** PEM file of the authorities of their own certificates instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
}

/** Vault or OpenBao, asked by AppRole for what is in a KV store. */
export interface Vault {
  /** http or https URL: scheme, name, optional port. */
  address: string;
  /** PEM file of the authorities of its certificate instead of the public ones, on the machine that builds, relative to the project. */
  ca?: string;
  /** Name in its certificate. Absent: the address's. */
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
  /** Names of its fields there; pem stands alone. Absent: key, and chain where there is no certificate. */
  fields?: {
    key?: string | undefined;
    chain?: string | undefined;
    certificate?: string | undefined;
    pem?: string | undefined;
  };
  /** What is said of the secret_id, RFC 3339. Absent: nothing. */
  secretId?: { createdAt: string; endsAt: string };
}

export interface Ssh {
  /** Public keys that may log in as root, as lines of authorized_keys without options. */
  authorizedKeys: string[];
}

export interface CacheStore {
  /** Upper bound of nginx's cache on the volume, MB. */
  maxSizeMb: number;
  /** Size of its index in MB; each MB holds some 8,000 responses. Memory is only taken as it is used. */
  indexMb: number;
}
