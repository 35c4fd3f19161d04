/**
 * Slips: what an operator does to a production stack by mistake, each tried by the real CLI on one fleet. What must hold after each: no PoP that
 * served is lost but those that the change itself takes out, no address and no app.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { CliContext } from "../../cli/context.ts";
import { run } from "../../cli/run.ts";
import { systemClock } from "../../lib/clock.ts";
import { cliContext } from "./cli-context.ts";
import { image } from "./context.ts";
import { type Engine, engine, token } from "./engine.ts";

export interface Slip {
  slip: string;
  /** Keys of the stack file over those of the production stack, undefined for one that is taken out. */
  edit?: Record<string, unknown>;
  /** Instead of a preview and an `up` of what was edited. */
  deed?: (fleet: Fleet) => Promise<Said>;
  /** What is read before anything is done, or of a deed in its answer. */
  output: string;
  /** PoPs that go, for that is what was written. Default none. */
  goes?: string[];
  /** Whether it is done after all. Default: refused. */
  isDone?: true;
  /** How to go on, in Markdown. */
  on: string;
}

export interface Said {
  code: number;
  text: string;
}

export interface Result {
  slip: Slip;
  /** What does not hold, as sentences. */
  broken: string[];
}

/** The production stack, and what may be done to it. */
export interface Fleet {
  it: Engine;
  /** The stack file's keys; undefined ones are left out. */
  write(over?: Record<string, unknown>): void;
  /** `npx fly-pops ...` */
  command(argv: string[], over?: Partial<CliContext>): Promise<Said>;
  pulumi(args: string[], stack?: string): Promise<Said>;
  /** Another stack of the project, with a file like this one's. */
  beside(name: string, over: Record<string, unknown>): Promise<void>;
}

const site = { host: "www.example.org", origin: "http://origin.example:8080" };
const base = {
  app: "my-edge",
  regions: { cdg: {}, ewr: { replicas: 2 } },
  defaults: { volumeGb: 3 },
  sites: [site],
  imageRef: image(1),
  rollout: { canary: "cdg", drain: 0, timeout: "10s" },
};
const withoutCanary = { drain: 0, timeout: "10s" };
const upArgs = ["up", "--yes", "--skip-preview"];

export async function fleet(): Promise<Fleet & AsyncDisposable> {
  // Commands of ours run in this process, so soon after a deployment's call that a lagging list would not have its machine yet.
  const it = await engine({ stack: "prod", quirks: { staleMs: 0 } });
  const write = (over: Record<string, unknown> = {}) => {
    const values = Object.entries({ ...base, ...over }).filter(([, value]) => value !== undefined);
    it.config(Object.fromEntries(values));
  };
  const pulumi = async (args: string[], stack = "prod") => {
    const { code, output } = await it.command("pulumi", ["--non-interactive", ...args, "--stack", stack]);
    return { code, text: output };
  };
  const made: Fleet = {
    it,
    write,
    pulumi,
    async command(argv, over) {
      const env = { ...it.env, PULUMI_STACK: "prod" };
      const { context, said } = cliContext({ env, dir: it.project, clock: systemClock, ...over });
      const code = await run(argv, context);
      const text = `${said.out}${said.err}`;
      if (text.includes(token)) throw new Error(`${argv.join(" ")} printed the token`);
      return { code, text };
    },
    async beside(name, over) {
      const made = await it.command("pulumi", ["--non-interactive", "stack", "init", name]);
      if (made.code !== 0) throw new Error(made.output);
      const file = join(it.project, `Pulumi.${name}.yaml`);
      const keys = Object.entries({ ...base, ...over }).map(([key, value]) => [`fly-pops:${key}`, value]);
      writeFileSync(file, `${readFileSync(file, "utf8")}${stringify({ config: Object.fromEntries(keys) })}`);
    },
  };
  write();
  const first = await it.up();
  if (first.code !== 0) throw new Error(first.output);
  return { ...made, [Symbol.asyncDispose]: () => it[Symbol.asyncDispose]() };
}

/** PoPs that serve, by id; what visitors find them by. */
function standing({ fly, machines }: Engine) {
  const { apps, addresses } = fly.snapshot();
  const serving = Object.entries(machines()).filter(([, { state, cordoned }]) => state === "started" && !cordoned);
  return {
    pops: new Map(serving.map(([name, { id }]) => [name, id])),
    edge: JSON.stringify([Object.keys(apps), addresses.map(({ ip }) => ip).toSorted()]),
  };
}

export async function trySlip(at: Fleet, slip: Slip): Promise<Result> {
  const { it } = at;
  const before = standing(it);
  it.mutations();
  at.write(slip.edit);
  const said = slip.deed ? await slip.deed(at) : await at.command(["preview"]);
  const broken = said.text.includes(slip.output) ? [] : [`it says:\n${said.text}`];
  const { code, text } = slip.deed ? said : await at.pulumi(upArgs);
  if ((code === 0) !== (slip.isDone ?? false)) broken.push(`it ends with ${code}:\n${text}`);
  const after = standing(it);
  const lost = [...before.pops].filter(([name, id]) => after.pops.get(name) !== id).map(([name]) => name);
  const unmeant = lost.filter((name) => !slip.goes?.includes(name));
  if (unmeant.length > 0) broken.push(`it takes ${unmeant.join(", ")} away`);
  if (after.edge !== before.edge) broken.push(`of ${before.edge} it leaves ${after.edge}`);
  at.write();
  if (slip.isDone || it.mutations().length > 0) await putBack(at, broken);
  return { slip, broken };
}

/** As it was, by nothing but an `up` of the file as it was. */
async function putBack(at: Fleet, broken: string[]): Promise<void> {
  const { code, text } = await at.pulumi([...upArgs, "--refresh"]);
  if (code !== 0) broken.push(`the file put back, up ends with ${code}:\n${text}`);
  const names = [...standing(at.it).pops.keys()].toSorted().join(", ");
  if (names !== "cdg-1, ewr-1, ewr-2") broken.push(`the file put back, ${names} serve`);
}

/** What a deed answers whose preparation failed: no slip of these ends with 0, so that the reason shows. */
const unprepared = (text: string): Said => ({ code: 0, text });

const other = async (at: Fleet, name: string, over: Record<string, unknown>): Promise<Said> => {
  await at.beside(name, over);
  const preview = await at.pulumi(["preview"], name);
  const up = await at.pulumi(upArgs, name);
  const destroyed = await at.pulumi(["destroy", "--yes", "--skip-preview"], name);
  if (destroyed.code !== 0) return unprepared(destroyed.text);
  return { code: up.code, text: preview.text };
};

/** What is done while a deployment waits for the checks of the first machine that it makes or changes: they pass once the deed is over. */
async function during(
  { it, write, pulumi }: Fleet,
  deployment: { over: Record<string, unknown>; image: string; asked: string },
  deed: () => Promise<Said>,
): Promise<Said> {
  const known = new Set(Object.values(it.machines()).map(({ id, version }) => `${id} ${version}`));
  let isOver = false;
  const check = (_: unknown, __: number, { machineId, version }: { machineId: string; version: string }) => ({
    passing: isOver || known.has(`${machineId} ${version}`),
    output: "",
  });
  it.runner.image(deployment.image, { check });
  write({ ...deployment.over, rollout: { ...base.rollout, timeout: "5m" } });
  const asked = it.asked(deployment.asked);
  const deploying = pulumi(upArgs);
  await asked;
  const said = await deed().finally(() => (isOver = true));
  const { code, text } = await deploying;
  return code === 0 ? said : unprepared(text);
}

export const slips: readonly Slip[] = [
  {
    slip: "A copy of the stack file for another stack, `app` not changed; its `up`, and its `destroy`",
    deed: (at) => other(at, "staging", { regions: { nrt: {} }, rollout: withoutCanary }),
    output: "my-edge: the app belongs to stack organization/fly-pops/prod",
    on: "choose another `fly-pops:app`",
  },
  {
    slip: "The same in a region that is in use",
    deed: (at) => other(at, "twin", { regions: { cdg: {} } }),
    output: "my-edge: the app belongs to stack organization/fly-pops/prod",
    on: "choose another `fly-pops:app`",
  },
  {
    slip: "`v4` removed from `addresses`",
    edit: { addresses: ["v6"] },
    output: "address v4: it is protected, so Pulumi does not delete it",
    on: "put it back; if intended, change DNS, then set `protect: false`",
  },
  {
    slip: "The app renamed",
    edit: { app: "our-edge" },
    output: "the app: it is protected, so Pulumi does not replace it",
    on: "put the name back; use another stack for another app",
  },
  {
    slip: "A region removed",
    edit: { regions: { ewr: { replicas: 2 } }, rollout: withoutCanary },
    output: "its volume of 3 GB is kept on Fly and still billed",
    goes: ["cdg-1"],
    isDone: true,
    on: "put it back: the PoP finds its volume",
  },
  {
    slip: "One replica fewer",
    edit: { regions: { cdg: {}, ewr: {} } },
    output: "ewr-2: its volume of 3 GB is kept on Fly and still billed",
    goes: ["ewr-2"],
    isDone: true,
    on: "put it back: the PoP finds its volume",
  },
  {
    slip: "A region out, and `keepVolumes: false`, in one change",
    edit: { regions: { cdg: {} }, keepVolumes: false },
    output: "is kept on Fly and still billed",
    goes: ["ewr-1", "ewr-2"],
    isDone: true,
    on: "put it back: volumes that were kept at the last `up` stay",
  },
  {
    slip: "The stack file of another branch: other regions, an older image",
    edit: { regions: { nrt: {} }, imageRef: image(4), rollout: withoutCanary },
    output: "1 PoP is new, 3 PoPs are removed",
    goes: ["cdg-1", "ewr-1", "ewr-2"],
    isDone: true,
    on: "put the file back; the new PoP serves before the others are removed",
  },
  {
    slip: "A smaller volume",
    edit: { defaults: { volumeGb: 2 } },
    output: "a volume cannot shrink",
    on: "put the size back",
  },
  {
    slip: "Another organization",
    edit: { organization: "acme" },
    output: "the app: it is protected, so Pulumi does not replace it",
    on: "put it back; `fly apps move` moves an app",
  },
  {
    slip: "A misspelled key",
    edit: { memoryMB: 512 },
    output: "memoryMB: unknown key",
    on: "use the key that the error names",
  },
  {
    slip: "A region that does not exist",
    edit: { regions: { ...base.regions, paris: {} } },
    output: "did you mean cdg",
    on: "use the region that the error names",
  },
  {
    slip: "All regions removed by a bad merge",
    edit: { regions: {} },
    output: "regions is empty",
    on: "put them back",
  },
  {
    slip: "An image by its tag",
    edit: { imageRef: "registry.fly.io/my-edge:latest" },
    output: "expected a reference pinned by digest",
    on: "pin it by its digest",
  },
  {
    slip: "An image that does not exist",
    async deed({ it, write, pulumi, command }) {
      it.runner.image(image(9), { pull: "fails" });
      write({ imageRef: image(9) });
      const { text } = await command(["preview"]);
      const { code } = await pulumi(upArgs);
      return { code, text };
    },
    output: "3 PoPs restart",
    on: "set another `imageRef`; the canary was rolled back",
  },
  {
    slip: "`protect: false`, left in the file",
    edit: { protect: false },
    output: "lose their protection",
    isDone: true,
    on: "put it back; nothing is lost",
  },
  {
    slip: "A site removed",
    edit: { sites: [{ ...site, host: "other.example.org" }] },
    output: "nothing changes",
    isDone: true,
    on: "put it back; with an image that you build, the sites count at the next build",
  },
  {
    slip: "`npx pulumi destroy` in the wrong terminal",
    deed: (at) => at.pulumi(["destroy", "--yes"]),
    output: "cannot be deleted",
    on: "nothing was touched; if intended, set `protect: false` first",
  },
  {
    slip: "`npx pulumi destroy --skip-preview --yes`",
    deed: (at) => at.pulumi(["destroy", "--yes", "--skip-preview"]),
    output: "edge-guard",
    on: "nothing was touched; if intended, set `protect: false` first",
  },
  {
    slip: "An `up` in the middle of an `up`",
    deed: (fleet) =>
      during(fleet, { over: { imageRef: image(2) }, image: image(2), asked: "POST machines/:id/lease" }, () =>
        fleet.pulumi(upArgs),
      ),
    output: "the stack is currently locked by 1 lock",
    on: "wait for the other one",
  },
  {
    slip: "`rollback` past a region that was added",
    async deed({ write, pulumi, command }) {
      write({ regions: { ...base.regions, nrt: {} }, imageRef: image(3) });
      const added = await pulumi(upArgs);
      if (added.code !== 0) return unprepared(added.text);
      return command(["rollback", "1", "--yes"]);
    },
    output: "--image-only",
    on: "pass `--image-only` or `--with-removals`",
  },
  {
    slip: "`orphans --delete` during a deployment",
    deed: (fleet) =>
      during(fleet, { over: { regions: { ...base.regions, lhr: {} } }, image: image(1), asked: "POST machines" }, () =>
        fleet.command(["orphans", "--delete", "--yes"]),
      ),
    output: "a deployment is creating it, or was interrupted while doing so: npx pulumi up continues it",
    on: "run it again when the deployment is over",
  },
  {
    slip: "A token of another organization",
    deed: async ({ it, write }) => {
      write({ imageRef: image(4) });
      const { code, output } = await it.run(upArgs, { FLY_API_TOKEN: "another-token" });
      return { code, text: output };
    },
    output: "Fly does not know the token",
    on: "set the right token: `FLY_API_TOKEN`, or `fly:token` in the stack file",
  },
  {
    slip: "A machine stopped by hand",
    async deed({ it, pulumi }) {
      const { id } = it.machines()["ewr-2"] ?? {};
      await fetch(`${it.env.FLY_API_HOSTNAME}/v1/apps/my-edge/machines/${id}/stop`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
      });
      const drift = await pulumi(["preview", "--refresh", "--diff", "--expect-no-changes"]);
      return { code: drift.code, text: drift.text };
    },
    goes: ["ewr-2"],
    output: '~ state: "stopped" => "started"',
    on: "run `npx fly-pops start ewr-2`, or `npx pulumi up --refresh`",
  },
  {
    slip: "A volume deleted from the stack's state",
    async deed({ pulumi }) {
      const urn =
        "urn:pulumi:prod::fly-pops::fly-pops:index:Edge$fly-pops:index:Pop$pulumi-nodejs:dynamic/fly:Volume::edge-cdg-1-volume";
      return pulumi(["state", "delete", urn, "--yes"]);
    },
    output: "can't be safely deleted because the following resources depend on it",
    on: "nothing was touched; use `npx fly-pops replace cdg-1` for unusable volumes",
  },
  {
    slip: "The stack removed by `pulumi stack rm`",
    deed: ({ pulumi }) => pulumi(["stack", "rm", "--yes"]),
    output: "still has resources",
    on: "nothing was touched",
  },
  {
    slip: "`replace` of a PoP that serves",
    deed: ({ command }) => command(["replace", "cdg-1"]),
    output: "Visitors go to nearby PoPs until the new PoP is healthy",
    on: "confirm it: the command first says what is lost",
  },
];
