/** Where no Docker engine answers, each program that needs one says so in a sentence, and has done nothing. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

const run = (...args: string[]) =>
  new Promise<{ code: unknown; err: string }>((resolve) => {
    const env = { ...process.env, DOCKER_HOST: "unix:///nowhere.sock" };
    execFile(process.execPath, args, { cwd: root, env }, (error, _, err) => resolve({ code: error?.code ?? 0, err }));
  });

test.each([
  [
    ["setup/main.mjs", "--only", "docker"],
    "Docker engine: no engine answers at /nowhere.sock. Start it, or unset DOCKER_HOST for the engine of this machine.",
  ],
  [
    ["local/main.ts"],
    "Nothing more was done: the Docker engine does not answer (ENOENT). Start Docker, then run again.",
  ],
])("%j", async (args, sentence) => {
  const { code, err } = await run(...args);
  expect(err).toContain(sentence);
  expect(code).toBe(1);
});
