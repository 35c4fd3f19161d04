/** What holds when the stack file says nothing. The reference and Pulumi.yaml quote it. */
export const defaults = {
  organization: "personal",
  size: "shared-cpu-1x",
  volumeGb: 3,
  replicas: 1,
  /** Only responses that the origin allows to be stored are. */
  maxAge: 0,
  staleIfError: "1d",
  staleWhileRevalidate: 0,
  /**
   * What one visitor may ask of a site. A photo gallery (Immich, Nextcloud) loads hundreds of thumbnails at once and thousands while somebody scrolls, a
   * sync client has a dozen requests in progress for hours, a family or an office shares one address: all of them stay below. A flood of 2,000 requests
   * a second is through with its burst in one second.
   */
  limitRequests: "200/s",
  limitBurst: 2000,
  /** Devices of one home share an address, and each keeps its connection (MQTT, IMAP). */
  portConnections: 64,
  portTotal: 256,
  /** An SSH session that somebody comes back to after lunch. */
  portIdle: "1h",
  maxUnavailable: 1,
  /** Fly staff and users wait about this long after a cordon. */
  drain: "10s",
  timeout: "5m",
  /** What is on a volume comes back by itself; a snapshot costs, and holds private keys for days. */
  snapshots: 0,
  addresses: ["v4", "v6"],
  protect: true,
  keepVolumes: true,
  imagePlatform: "linux/amd64",
  /** A month and a PoP, for the cost estimate. */
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

/** Part of the smallest volume the cache may fill when nothing is said; the rest is for identity, logs and state. */
export const cacheShare = 0.75;

/** Part of the smallest volume it may fill at most: ext4's own and reserved blocks take the rest. */
export const cacheShareLimit = 0.9;

/** Size of the cache in MB when nothing is said. */
export const cacheMb = (smallestVolumeGb: number): number => Math.floor(smallestVolumeGb * 1024 * cacheShare);

/** Size of the cache's index in MB: room for 128 responses per MB of cache, at most a sixteenth of the smallest machine's memory. */
export const indexMb = (maxSizeMb: number, memoryMb: number): number =>
  Math.max(1, Math.min(Math.ceil(maxSizeMb / 64), Math.floor(memoryMb / 16)));
