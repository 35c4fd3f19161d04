/** Defaults of the stack file. docs/config.md and Pulumi.yaml quote them. */
export const defaults = {
  organization: "personal",
  size: "shared-cpu-1x",
  volumeGb: 3,
  replicas: 1,
  /** 0: only responses that the origin allows to be stored are stored. */
  maxAge: 0,
  staleIfError: "1d",
  staleWhileRevalidate: 0,
  /**
   * Requests per visitor and site. Normal use stays below: a photo gallery (Immich, Nextcloud) loads hundreds of thumbnails at once and thousands while
   * a visitor scrolls, a sync client keeps a dozen requests in progress for hours, and a family or an office shares one address. A flood of 2,000
   * requests per second uses up its burst within a second.
   */
  limitRequests: "200/s",
  limitBurst: 2000,
  /** The devices of a household share one address, and each keeps a connection open (MQTT, IMAP). */
  portConnections: 64,
  portTotal: 256,
  /** Long enough to leave an SSH session open over lunch. */
  portIdle: "1h",
  maxUnavailable: 1,
  /** About what Fly's staff and users wait after a cordon. */
  drain: "10s",
  timeout: "5m",
  /** The contents of a volume are recreated automatically. A snapshot is billed and keeps private keys for days. */
  snapshots: 0,
  addresses: ["v4", "v6"],
  protect: true,
  keepVolumes: true,
  imagePlatform: "linux/amd64",
  /** Per PoP and month, for the cost estimate. */
  egressGb: 100,
  /** Percent. An assumption, not a measurement. */
  crawlers: 30,
  tailnetTags: ["pop"],
  hostPrefix: "pop-",
  healthEvery: "10s",
  healthTimeout: "3s",
  acmeDirectory: "letsencrypt",
  dnsAlgorithm: "hmac-sha256",
  vaultAuthMount: "approle",
  vaultMount: "kv",
  vaultKvVersion: 2,
  vaultFields: { key: "key", chain: "chain" },
  vaultPath: "certbot/domains/{domain}",
} as const;

/** The default share of the smallest volume that the cache may use. The rest is for identity, logs and state. */
export const cacheShare = 0.75;

/** The largest share of the smallest volume that the cache may use. ext4 needs the rest for its own and reserved blocks. */
export const cacheShareLimit = 0.9;

/** Default size of the cache in MB. */
export const cacheMb = (smallestVolumeGb: number): number => Math.floor(smallestVolumeGb * 1024 * cacheShare);

/** Size of the cache's index in MB: room for 128 responses per MB of cache, at most a sixteenth of the smallest machine's memory. */
export const indexMb = (maxSizeMb: number, memoryMb: number): number =>
  Math.max(1, Math.min(Math.ceil(maxSizeMb / 64), Math.floor(memoryMb / 16)));
