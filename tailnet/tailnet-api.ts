/** The calls that fly-pops needs of a control server, Tailscale or headscale. */

export type ControlPlane = "tailscale" | "headscale";

export interface MintedKey {
  /** Id for revoking it. */
  id: string;
  /** The secret: shown only once, encrypted at once, stored nowhere in plain text. */
  key: string;
  /** When it expires if unused, RFC 3339. */
  expires: string;
}

export interface Device {
  id: string;
  /** The name it requested; its name in the tailnet may be `name-1`. */
  hostname: string;
  /** Without their `tag:`. */
  tags: string[];
  /** Whether it is connected to the control server. True if the server does not say. */
  online: boolean;
  /** When it was last connected, RFC 3339. Absent: unknown. */
  lastSeen?: string | undefined;
  /** When it joined, RFC 3339. */
  created?: string | undefined;
  /** Id of the auth key with which it joined. Absent: the server does not say. */
  keyId?: string | undefined;
}

export interface ControlServer {
  driver: ControlPlane;
  /** Base URL of its API. Absent: that of the settings, or the default. */
  server?: string | undefined;
  /** PEM of the CA certificates to trust for it instead of the public ones. */
  ca?: string | undefined;
}

export interface TailnetApi {
  /** Creates a key for one node: single-use, pre-authorized, not ephemeral, with these tags (without `tag:`). */
  mint(of: { tags: string[]; expirySeconds: number; description: string }): Promise<MintedKey>;
  /** Succeeds if it is already gone. */
  revoke(id: string): Promise<void>;
  /** Lists the nodes of the tailnet; undefined: the credentials may not list them. */
  devices(): Promise<Device[] | undefined>;
  /** Succeeds if it is already gone. */
  removeDevice(id: string): Promise<void>;
  /** Sets exactly these tags of a node (without `tag:`). Absent: a node takes the tags of the key with which it next logs in. */
  setTags?(id: string, tags: readonly string[]): Promise<void>;
}

/** A failed call to a control server. Contains no part of the request, which holds a credential. */
export class TailnetError extends Error {
  readonly status: number | undefined;
  /** Whether the call may have taken effect although there was no successful response. */
  readonly uncertain: boolean;
  constructor(message: string, status?: number, uncertain = false) {
    super(message);
    this.name = "TailnetError";
    this.status = status;
    this.uncertain = uncertain;
  }
}
