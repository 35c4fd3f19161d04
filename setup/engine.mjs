/** A Docker engine with BuildKit: the one that answers, else dockerd started here, else Debian's installed and started. */

import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as apt from "./apt.mjs";
import { call, endpoint, endpointName } from "./engine-api.mjs";
import { Failure } from "./failure.mjs";
import { cache, root } from "./paths.mjs";
import { CommandError, find, run } from "./run.mjs";
import { isAtLeast, parseVersion } from "./version.mjs";

/** The first API with BuildKit out of the experiments, and an HTTP session for it (Docker 18.09). */
const LEAST_API = [1, 39];
/** Milliseconds a started dockerd has to answer, and between two looks. */
const START = 30_000;
const LOOK = 100;
/** Milliseconds within which a running engine answers a ping, busy or not. */
const PING = 5000;
const LOG = join(cache, "logs", "dockerd.log");
const NEXT =
  "Install Docker Engine 20.10 or newer (https://docs.docker.com/engine/install) or Docker Desktop and start it, or set DOCKER_HOST; then run again.";

/** Whether an engine answers; throws when one does that is of no use to us. */
async function answers() {
  let ping;
  try {
    ping = await call("GET", "/_ping", { answer: PING });
  } catch (error) {
    if (error.code !== "EACCES") return false;
    throw new Failure(
      `the Docker engine at ${endpointName(endpoint())}`,
      "this user may not use it",
      "Add the user to the group docker and log in again, or run as root.",
    );
  }
  const api = parseVersion(String(ping.headers["api-version"] ?? "0.0"));
  if (ping.status === 200 && isAtLeast(api, LEAST_API) && ping.headers.ostype !== "windows") return true;
  throw new Failure(
    `the Docker engine at ${endpointName(endpoint())}`,
    `it answers status ${ping.status}, API ${api.join(".")}, ${ping.headers.ostype ?? "no system named"}; it must have Linux containers and API ${LEAST_API.join(".")}`,
    NEXT,
  );
}

/** Waits for the engine; `died` says why it cannot come any more. */
async function untilAnswers(died) {
  for (const until = Date.now() + START; Date.now() < until; await sleep(LOOK)) {
    if (await answers()) return;
    const why = died();
    if (why !== undefined) throw new Failure("dockerd", `${why}, ${logTail()}`, NEXT);
  }
  throw new Failure("dockerd", `started, but answers nothing for ${START / 1000} s, ${logTail()}`, NEXT);
}

/** The last line of dockerd's log that tells of a failure, without its time and level. */
export function lastWords(log) {
  const lines = log.trim().split("\n");
  const line = lines.findLast((it) => /fail|error/i.test(it)) ?? lines.at(-1);
  return /msg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? line;
}

function logTail() {
  return existsSync(LOG)
    ? `it says "${lastWords(readFileSync(LOG, "utf8"))}" (${relative(root, LOG)})`
    : "it wrote no log";
}

/** Whether another program's dockerd is on its way up: a second one would only fail on its pid file. */
function isStarting() {
  try {
    process.kill(Number(readFileSync("/var/run/docker.pid", "utf8")), 0);
    return true;
  } catch {
    return false;
  }
}

async function start(say) {
  if (isStarting()) {
    say("waiting for dockerd");
    return untilAnswers(() => undefined);
  }
  say("starting dockerd");
  if (existsSync("/run/systemd/system")) {
    try {
      await run("systemctl", ["start", "docker"]);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      throw new Failure("docker.service", error.message, "See: journalctl -u docker");
    }
    return untilAnswers(() => undefined);
  }
  mkdirSync(dirname(LOG), { recursive: true });
  const log = openSync(LOG, "w");
  // Detached, in a session of its own: it outlives this setup and a Ctrl-C on the terminal, as a service would.
  const dockerd = spawn("dockerd", [], { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  let died;
  dockerd.on("error", (error) => {
    died = `does not start (${error.message})`;
  });
  dockerd.on("exit", (code, signal) => {
    died = `ended with ${signal ?? `code ${code}`}`;
  });
  await untilAnswers(() => died);
  dockerd.unref();
}

export const engine = {
  title: "Docker engine with BuildKit",
  ready: answers,
  async make(say) {
    const here = `no engine answers at ${endpointName(endpoint())}`;
    if (process.env.DOCKER_HOST)
      throw new Failure("Docker engine", here, "Start it, or unset DOCKER_HOST for the engine of this machine.");
    if (process.getuid?.() !== 0) throw new Failure("Docker engine", `${here}, and only root can start one`, NEXT);
    if (find("dockerd") === undefined) {
      const refusal = apt.refusal();
      if (refusal !== undefined) throw new Failure("Docker engine", `${here}, and ${refusal}`, NEXT);
      // Newer releases split the client and buildx off; both are for people, nothing of ours calls them.
      await apt.install(["docker.io", ["docker-cli", undefined], ["docker-buildx", undefined]], { say });
      if (await answers()) return;
    }
    await start(say);
  },
};
