/** A real tailscaled for one test, without a network device: a node of a headscale as a PoP is one. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openDocker } from "../../local/docker/engine.ts";
import { homelabImage } from "../../local/homelab/image.ts";
import { programOf } from "./program.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

export interface TailnetNode extends AsyncDisposable {
  /** Logs in by an auth key; `again` although it is a node already. */
  up(of: { server: string; key: string; hostname: string; again?: boolean }): Promise<void>;
  /** With their `tag:`. */
  tags(): Promise<string[]>;
}

export async function startTailnetNode(): Promise<TailnetNode> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-node-"));
  const image = await homelabImage({ docker: openDocker(), target: "tailscale", log: () => {} });
  const program = await programOf(image, "/out/usr/sbin/tailscaled", dir);
  const socket = join(dir, "socket");
  const options = ["--tun=userspace-networking", `--statedir=${join(dir, "state")}`, `--socket=${socket}`, "--port=0"];
  const child = spawn(program, options, {
    stdio: "ignore",
    env: { PATH: process.env.PATH, TS_NO_LOGS_NO_SUPPORT: "1" },
  });
  // One program, which is also the command line.
  const cli = async (...args: string[]) =>
    (await run(program, [`--socket=${socket}`, ...args], { env: { ...process.env, TS_BE_CLI: "1" } })).stdout;
  const isUp = () => {
    if (child.exitCode !== null) throw new Error(`tailscaled ended with ${child.exitCode}`);
    return cli("status", "--json").then(
      () => true,
      () => false,
    );
  };
  await until(isUp, (up) => up, { seconds: 120, what: "tailscaled answers its command line" });
  return {
    async up({ server, key, hostname, again = false }) {
      const file = join(dir, "key");
      writeFileSync(file, key, { mode: 0o600 });
      await cli(
        "up",
        "--reset",
        "--timeout=30s",
        `--login-server=${server}`,
        `--hostname=${hostname}`,
        "--accept-dns=false",
        `--auth-key=file:${file}`,
        ...(again ? ["--force-reauth"] : []),
      );
    },
    async tags() {
      const { Self } = JSON.parse(await cli("status", "--json", "--peers=false")) as { Self?: { Tags?: string[] } };
      return Self?.Tags ?? [];
    },
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGTERM")) await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
