import type { Ssh } from "../spec.ts";
import { authorizedKey } from "./validators.ts";

/** Where sshd looks for authorized keys. */
const keysFile = "/etc/ssh/authorized_keys";

/** /etc/ssh/sshd_config: root logs in by key, from the tailnet only (the process sets the listen address). The host key is the PoP's identity. */
export const sshdConfig = [
  "HostKey /var/lib/pop/identity/ssh_host_ed25519_key",
  `AuthorizedKeysFile ${keysFile}`,
  "AllowUsers root",
  "PermitRootLogin prohibit-password",
  "PasswordAuthentication no",
  "KbdInteractiveAuthentication no",
  "UsePAM no",
  "X11Forwarding no",
  "AllowAgentForwarding no",
  "AllowTcpForwarding no",
  "GatewayPorts no",
  "PermitUserEnvironment no",
  "ClientAliveInterval 60",
  "Subsystem sftp internal-sftp",
  "PidFile none",
  "PrintMotd no",
]
  .map((line) => `${line}\n`)
  .join("");

/** /etc/ssh/authorized_keys. */
export const authorizedKeys = ({ authorizedKeys }: Ssh): string =>
  authorizedKeys
    .map(authorizedKey)
    .toSorted()
    .map((line) => `${line}\n`)
    .join("");
