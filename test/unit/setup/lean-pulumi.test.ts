/** @pulumi/pulumi without what it needs for serialized functions alone: absent at a start, there when it is needed. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const guard = join(root, "setup/node-version.cjs");

function said(program: string, args: string[] = ["--require", guard], env: Record<string, string> = {}): unknown {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, "-e", program], {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** Of all that is put off, what has run. */
const loaded = `["arborist/lib/index.js", "normalize-package-data/lib/normalize.js", "typescript/lib/typescript.js", "closure/v8Hooks.js"]
  .filter((end) => Object.entries(require.cache).some(([path, module]) => path.endsWith(end) && module.constructor.name === "Module"))`;

test("at a start nothing of it is loaded; without the guard all are", () => {
  const program = `require("@pulumi/pulumi"); console.log(JSON.stringify(${loaded}))`;
  expect(said(program)).toEqual([]);
  // The debugger is opened by the program's start, not by the package.
  expect(said(program, [])).toHaveLength(3);
});

test("Pulumi's start does not wait for V8's debugger", () => {
  const program = `
    require("@pulumi/pulumi/runtime/closure/v8Hooks").isInitializedAsync().then(() => console.log(JSON.stringify(${loaded})));
  `;
  expect(said(program)).toEqual([]);
});

test("a function is serialized, and the code it needs found, as without the guard", () => {
  const program = `
    const { runtime } = require("@pulumi/pulumi");
    const one = 1;
    class Base { two() { return 2; } }
    class Derived extends Base { two() { return super.two() + one; } }
    Promise.all([
      runtime.serializeFunction(() => new Derived().two() + one, { allowSecrets: false }),
      runtime.computeCodePaths({ extraExcludePackages: [] }),
    ]).then(([{ text }, paths]) => console.log(JSON.stringify({ text, paths: [...paths.keys()].sort(), loaded: ${loaded} })));
  `;
  const seen = said(program) as { text: string; paths: string[]; loaded: string[] };
  expect(seen).toEqual(said(program, []));
  expect(seen.loaded).toHaveLength(4);
  expect(seen.text).toContain("__super.prototype.two.call(this)");
  expect(seen.paths.length).toBeGreaterThan(10);
});

test("promises of resources have no stack trace, unless leaks are looked for; errors keep theirs", () => {
  const program = `
    const { debuggablePromise } = require("@pulumi/pulumi/runtime/debuggable");
    const promise = Promise.resolve(1);
    const frames = (stack) => stack.split("\\n").length - 1;
    debuggablePromise(promise, "mine").then((value) => console.log(JSON.stringify(
      { value, context: promise._debugCtx, traced: frames(promise._debugStackTrace) > 0, error: frames(new Error("x").stack) > 0 },
    )));
  `;
  const seen = { value: 1, context: "mine", traced: false, error: true };
  expect(said(program)).toEqual(seen);
  expect(said(program, [])).toEqual({ ...seen, traced: true });
  expect(said(program, undefined, { PULUMI_DEBUG_PROMISE_LEAKS: "1" })).toEqual({ ...seen, traced: true });
});
