/** A real headscale for one test file: its API alone, in a directory of its own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { openDocker } from "../../local/docker/engine.ts";
import { homelabImage } from "../../local/homelab/image.ts";
import { freePorts } from "./free-ports.ts";
import { programOf } from "./program.ts";
import { until } from "./until.ts";

const run = promisify(execFile);

export interface Headscale extends AsyncDisposable {
  url: string;
  /** Planted by the server itself: in no error. */
  apiKey: string;
  /** Runs its command line. */
  cli(...args: string[]): Promise<string>;
}

export async function startHeadscale(): Promise<Headscale> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-headscale-"));
  // Of the version the local stack has, and built once for both.
  const image = await homelabImage({ docker: openDocker(), target: "headscale", log: () => {} });
  const program = await programOf(image, "/out/usr/bin/headscale", dir);
  const [port, metrics, grpc, stun] = await freePorts(4);
  const url = `http://127.0.0.1:${port}`;
  const config = join(dir, "config.yaml");
  writeFileSync(
    config,
    stringify({
      server_url: url,
      listen_addr: `127.0.0.1:${port}`,
      metrics_listen_addr: `127.0.0.1:${metrics}`,
      grpc_listen_addr: `127.0.0.1:${grpc}`,
      noise: { private_key_path: join(dir, "noise.key") },
      prefixes: { v4: "100.64.0.0/10", allocation: "sequential" },
      derp: {
        server: {
          enabled: true,
          region_id: 999,
          region_code: "home",
          region_name: "Home",
          stun_listen_addr: `127.0.0.1:${stun}`,
          private_key_path: join(dir, "derp.key"),
          automatically_add_embedded_derp_region: true,
        },
        urls: [],
        paths: [],
        auto_update_enabled: false,
      },
      database: { type: "sqlite", sqlite: { path: join(dir, "db.sqlite") } },
      dns: { magic_dns: true, base_domain: "tail.test", override_local_dns: false, nameservers: { global: [] } },
      policy: { mode: "database" },
      unix_socket: join(dir, "socket"),
      disable_check_updates: true,
      logtail: { enabled: false },
      log: { level: "warn" },
    }),
  );
  const child = spawn(program, ["serve", "-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  const said: string[] = [];
  child.stderr?.on("data", (text: Buffer) => said.push(text.toString()));
  const cli = async (...args: string[]) => (await run(program, ["-c", config, ...args])).stdout.trim();
  await untilUp(url, child, said);
  return {
    url,
    apiKey: (await cli("apikeys", "create")).split("\n").at(-1) ?? "",
    cli,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGTERM")) await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function untilUp(url: string, child: ChildProcess, said: string[]): Promise<void> {
  const isUp = () => {
    if (child.exitCode !== null) throw new Error(`headscale ended with ${child.exitCode}:\n${said.join("")}`);
    return fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  await until(isUp, (up) => up, { seconds: 120, what: `headscale answers at ${url}/health` });
}
