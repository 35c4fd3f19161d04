/** The Docker Engine's HTTP API with built-ins only: setup runs before any npm package is there. */

import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { homedir } from "node:os";
import { join } from "node:path";
import { Failure } from "./failure.mjs";

/** Docker Desktop's and rootless sockets of the user, then the system's: the order dockerode looks in. */
const SOCKETS = [join(homedir(), ".docker", "run", "docker.sock"), "/var/run/docker.sock"];

/**
 * How to reach the engine, as options of http.request. DOCKER_HOST, else the first socket there is.
 * @param {NodeJS.ProcessEnv} env
 */
export function endpoint(env = process.env) {
  const host = env.DOCKER_HOST;
  if (!host) return { socketPath: SOCKETS.find((it) => existsSync(it)) ?? SOCKETS.at(-1) };
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
  if (host.startsWith("tcp://") || host.startsWith("http://")) {
    const { hostname, port } = new URL(host);
    if (!env.DOCKER_TLS_VERIFY) return { hostname, port: port || "2375" };
    const pem = (name) => readFileSync(join(env.DOCKER_CERT_PATH || join(homedir(), ".docker"), `${name}.pem`));
    return { tls: true, hostname, port: port || "2376", ca: pem("ca"), cert: pem("cert"), key: pem("key") };
  }
  throw new Failure(`DOCKER_HOST=${host}`, "only unix:// and tcp:// are understood here", "Set it so, or unset it.");
}

/**
 * How a person knows the endpoint.
 * @param {{ socketPath?: string, hostname?: string, port?: string }} endpoint
 */
export function endpointName({ socketPath, hostname, port }) {
  return socketPath ?? `${hostname}:${port}`;
}

/**
 * One call.
 * @param {string} method
 * @param {string} path with its query
 * @param {{ body?: import("node:stream").Readable, answer?: number, silence?: number, onRecord?: (record: any) => void }} [options]
 *   answer: milliseconds until the first byte of the answer has to be there. silence: the longest pause after it. Absent: no limit.
 *   onRecord: called with each JSON record of a streamed response.
 * @returns {Promise<{ status: number, headers: http.IncomingHttpHeaders, text: string }>}
 */
export function call(method, path, { body, answer, silence, onRecord } = {}) {
  const { tls, ...where } = endpoint();
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "Content-Type": "application/x-tar" };
    const request = (tls ? https : http).request({ ...where, method, path, headers });
    let timer;
    const limit = (ms, what) => {
      clearTimeout(timer);
      if (ms !== undefined) timer = setTimeout(() => request.destroy(new Error(`${what} in ${ms / 1000} s`)), ms);
    };
    limit(answer, "no answer");
    request.on("error", reject);
    request.on("close", () => clearTimeout(timer));
    request.on("response", (response) => {
      let text = "";
      let rest = "";
      const tell = (line) => line.trim() !== "" && onRecord?.(JSON.parse(line));
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        limit(silence, "nothing more");
        text += chunk;
        const lines = (rest + chunk).split("\n");
        rest = lines.pop();
        lines.forEach(tell);
      });
      response.on("error", reject);
      response.on("end", () => {
        tell(rest);
        resolve({ status: response.statusCode, headers: response.headers, text });
      });
    });
    if (body === undefined) request.end();
    else body.on("error", (error) => request.destroy(error)).pipe(request);
  });
}
