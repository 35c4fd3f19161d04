/** `image/build/go-build-locked` on machines with other memory and cores: with its own /proc/meminfo, `nproc` and `go`. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { compilerMemory } from "../../../../setup/go.mjs";

const script = join(import.meta.dirname, "../../../../image/build/go-build-locked");

/** What `go build` was called with on a machine with so much free memory and so many cores. */
function compiled(gib: number, cores: number, args: string[]): { settings: object; args: string } {
  const dir = mkdtempSync(join(tmpdir(), "go-build-locked-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const program = (name: string, text: string) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
  };
  const meminfo = join(dir, "meminfo");
  writeFileSync(meminfo, `MemTotal: 99999999 kB\nMemAvailable: ${Math.round(gib * 2 ** 20)} kB\n`);
  writeFileSync(join(dir, "go-build-locked"), readFileSync(script, "utf8").replace("/proc/meminfo", meminfo));
  program("nproc", `echo ${cores}`);
  program("go", `[ "$1" = env ] && echo ${dir} || printf '%s\\n' "\${GOGC-}" "\${GOMEMLIMIT-}" "$*" >${dir}/called`);
  const { GOGC, GOMEMLIMIT, ...env } = process.env;
  execFileSync("sh", [join(dir, "go-build-locked"), ...args], { env: { ...env, PATH: `${dir}:${env.PATH}` } });
  const [gogc, limit, ...called] = readFileSync(join(dir, "called"), "utf8").trimEnd().split("\n");
  return { settings: gogc === "" ? {} : { GOGC: gogc, GOMEMLIMIT: limit }, args: called.join("\n") };
}

test.each([
  [24, 2],
  [6, 2],
  [5.9, 2],
  [64, 16],
  [1, 1],
])("the compiler has the memory it has in setup, with %d GiB and %d cores", (gib, cores) => {
  const { settings, args } = compiled(gib, cores, ["-o", "/out/x", "."]);
  expect(settings).toEqual(compilerMemory(gib * 2 ** 30, cores));
  expect(args).toBe("build -o /out/x .");
});
