/** ssh's ProxyCommand into the local stack's tailnet: this machine is not a node of it, but the homelab is. Arguments: name of a node, port. */
import { consoleIn } from "../console.ts";
import { labels } from "../docker/engine.ts";
import { role } from "./homelab.ts";

const terminal = { input: process.stdin, output: process.stdout, errors: process.stderr };
const code = await consoleIn(
  `${labels.role}=${role}`,
  ["/usr/libexec/home/connect", ...process.argv.slice(2)],
  terminal,
);
if (code === undefined) process.stderr.write("The homelab is not running. Start it: npm run local\n");
process.exitCode = code ?? 1;
