/** Local Fly in front of a client that is not ours: fly-go's flaps, which flyctl and Fly's own Terraform provider are made of. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localFly } from "../support/local-fly.ts";
import { clientProgram } from "./clients.ts";

const dir = mkdtempSync(join(tmpdir(), "fly-pops-flaps-"));
let program: string;

beforeAll(async () => {
  program = await clientProgram("flaps", dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("fly-go's flaps leads an app, a volume and a machine through all they can be, and away again", async () => {
  // Closing it fails when an answer was not as Fly's OpenAPI document has it.
  const exec = (command: string[]) => ({ exitCode: 0, stdout: `${command.slice(1).join(" ")}\n`, stderr: "" });
  await using it = await localFly({ behaviour: { exec } });
  const env = { FLY_FLAPS_BASE_URL: it.url, FLY_API_TOKEN: it.token };
  const { stdout } = await promisify(execFile)(program, { env });
  expect(stdout.trim().split("\n").at(-1)).toBe("it is gone");
  const { apps, machines, volumes } = it.flyState();
  expect({ apps, machines, volumes }).toEqual({ apps: {}, machines: {}, volumes: {} });
});

test("with a token that is not its own it is refused at once", async () => {
  await using it = await localFly();
  const env = { FLY_FLAPS_BASE_URL: it.url, FLY_API_TOKEN: "another-token" };
  await expect(promisify(execFile)(program, { env })).rejects.toThrow(/401|unauthorized/i);
});
