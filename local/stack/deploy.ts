/** `pulumi up` of the stack `local`, by Pulumi's own Automation API, so that its progress can be shown as it happens. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type EngineEvent, LocalWorkspace, PulumiCommand, type Stack } from "@pulumi/pulumi/automation/index.js";
import { isAlive } from "../../lib/process.ts";
import { nameOf, plainText } from "../../stack/engine-text.ts";
import { pulumiRoot } from "../../stack/pulumi-cli.ts";
import { paths, projectDir, stackName } from "../paths.ts";
import { localEnvironment } from "./environment.ts";

/** Resources changed, by operation: create, update, same, ... */
export type Changes = Record<string, number>;

/**
 * Deploys the stack. `progress` gets one line for each step and each message, `imageIsThere` is called when the PoPs' image is; rejects with what Pulumi's
 * diagnostics said.
 */
export async function deploy(
  progress: (line: string) => void,
  imageIsThere: () => void = () => undefined,
): Promise<Changes> {
  const errors: string[] = [];
  let changes: Changes = {};
  const onEvent = (event: EngineEvent) => {
    const line = describe(event);
    if (line !== undefined) progress(line);
    if (event.diagnosticEvent?.severity === "error") errors.push(plainText(event.diagnosticEvent.message));
    if (event.resOutputsEvent && isImage(event.resOutputsEvent.metadata.type)) imageIsThere();
    if (event.summaryEvent) changes = { ...event.summaryEvent.resourceChanges } as Changes;
  };
  // Ctrl-C reaches the CLI by itself, and it must end first: it has a state to save. A second one ends us as well.
  const wait = () => progress("interrupted: Pulumi ends what is under way and saves its state");
  process.once("SIGINT", wait);
  try {
    const stale = await staleLock();
    const stack = await openStack();
    if (stale) await stack.cancel();
    if (await wasCutOff()) {
      progress("the last run was cut off: reading what it left");
      // Safe, because a create finds what an earlier one made.
      await stack.refresh({ clearPendingCreates: true, onEvent, suppressOutputs: true, suppressProgress: true });
    }
    // The Automation API skips the preview: it would run the whole program once more, only to be thrown away.
    await stack.up({ onEvent, suppressOutputs: true, suppressProgress: true, color: "never" });
  } catch (error) {
    throw failure(errors, error);
  } finally {
    process.removeListener("SIGINT", wait);
  }
  return changes;
}

async function openStack(): Promise<Stack> {
  await mkdir(paths.backend, { recursive: true });
  const pulumiCommand = await PulumiCommand.get({ root: pulumiRoot(process.env) });
  return LocalWorkspace.createOrSelectStack(
    { stackName, workDir: projectDir },
    { pulumiCommand, envVars: await localEnvironment() },
  );
}

/** How long a CLI that was interrupted may take to save its state. */
const lastWordsMs = 20_000;

/** True when a CLI that was killed left its lock behind: every later one would refuse to start. One that still ends is waited for; who lives on keeps it. */
async function staleLock(): Promise<boolean> {
  const deadline = Date.now() + lastWordsMs;
  let holders = await lockHolders();
  while (holders.some(isAlive) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    holders = await lockHolders();
  }
  return holders.length > 0 && !holders.some(isAlive);
}

/** Processes that hold the stack's lock, dead or alive. */
async function lockHolders(): Promise<number[]> {
  const entries = await readdir(paths.locks, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".json"));
  const texts = await Promise.all(
    files.map((file) => readFile(join(file.parentPath, file.name), "utf8").catch(() => "{}")),
  );
  return texts.flatMap((text) => (JSON.parse(text || "{}") as { pid?: number }).pid ?? []);
}

/** True when the CLI was ended while something was being made: until a refresh every run would warn of it. */
async function wasCutOff(): Promise<boolean> {
  const text = await readFile(paths.state, "utf8").catch(() => "{}");
  const { checkpoint } = JSON.parse(text) as { checkpoint?: { latest?: { pending_operations?: unknown[] } } };
  return (checkpoint?.latest?.pending_operations ?? []).length > 0;
}

const shown = new Set<string>(["info", "info#err", "warning"]);

/** A step or message in a few words; undefined for what need not be shown. */
function describe(event: EngineEvent): string | undefined {
  if (event.resourcePreEvent) {
    const { op, urn } = event.resourcePreEvent.metadata;
    return op === "same" || op === "read" ? undefined : `${op} ${nameOf(urn)}`;
  }
  const { diagnosticEvent } = event;
  // Debug messages come too, whatever the type says; errors are reported at the end.
  if (!diagnosticEvent || !shown.has(diagnosticEvent.severity)) return undefined;
  return plainText(diagnosticEvent.message) || undefined;
}

const isImage = (type: string): boolean => type === "docker:index/image:Image";

/** What went wrong, each thing once. The last thing the engine says is only that something did. */
function failure(errors: string[], error: unknown): Error {
  const reasons = errors.filter((line) => line !== "" && !/^(update|preview) failed$/.test(line));
  // Without events the CLI itself refused: the Automation API wraps its words in exit code and empty streams.
  const words = error instanceof Error ? error.message : String(error);
  const refusals = [...words.matchAll(/^error: (.+)$/gm)].map(([, line]) => line ?? "");
  return new Error([...new Set(reasons.length > 0 ? reasons : refusals)].join("\n") || words, { cause: error });
}
