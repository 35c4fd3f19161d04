import type { Ssh } from "../spec.ts";
import { authorizedKey } from "./validators.ts";

/** Where sshd looks for who may come in. */
const keysFile = "/etc/ssh/authorized_keys";

/** /etc/ssh/sshd_config: root by key, from the tailnet alone (the process says on which address), with the PoP's identity as host key. */
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
