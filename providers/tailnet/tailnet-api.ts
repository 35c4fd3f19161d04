/** What a control server of a tailnet must be able to do for us, whoever made it. */

export type ControlPlane = "tailscale" | "headscale";

export interface MintedKey {
  /** By which it is revoked. */
  id: string;
  /** The secret itself: shown once, sealed at once, kept nowhere. */
  key: string;
  /** When it ends if nobody used it, RFC 3339. */
  expires: string;
}

export interface Device {
  id: string;
  /** The name it asked for; in the tailnet it may be called `name-1`. */
  hostname: string;
  /** Without their `tag:`. */
  tags: string[];
  /** Connected to the control server. What a server does not say counts as online. */
  online: boolean;
  /** When it was, RFC 3339; absent where nobody knows. */
  lastSeen?: string | undefined;
  /** When it joined, RFC 3339. */
  created?: string | undefined;
  /** Id of the auth key by which it joined, from a server that tells. */
  keyId?: string | undefined;
}

export interface ControlServer {
  driver: ControlPlane;
  /** Base URL of its API. Absent: what the settings say, else the driver's own. */
  server?: string | undefined;
  /** PEM of the authorities of its certificate instead of the public ones. */
  ca?: string | undefined;
}

export interface TailnetApi {
  /** A key for one node: single-use, pre-authorized, not ephemeral, with these tags (without `tag:`). */
  mint(of: { tags: string[]; expirySeconds: number; description: string }): Promise<MintedKey>;
  /** Gone already is success. */
  revoke(id: string): Promise<void>;
  /** Nodes of the tailnet; undefined when the credentials may not see them. */
  devices(): Promise<Device[] | undefined>;
  /** Gone already is success. */
  removeDevice(id: string): Promise<void>;
  /** Gives a node exactly these tags (without `tag:`). Absent: it takes those of the next key it logs in by. */
  setTags?(id: string, tags: readonly string[]): Promise<void>;
}

/** An answer of a control server, or that there was none. Holds no request, and so no credential. */
export class TailnetError extends Error {
  readonly status: number | undefined;
  /** True when the call may have taken effect although no good answer came. */
  readonly uncertain: boolean;
  constructor(message: string, status?: number, uncertain = false) {
    super(message);
    this.name = "TailnetError";
    this.status = status;
    this.uncertain = uncertain;
  }
}
