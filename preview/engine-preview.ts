/** A preview by Pulumi's engine, against the state. Needs the state's backend, but neither Fly's token nor Docker. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { parseDocument } from "yaml";
import { keyPrefix } from "../config/keys.ts";
import { assumedContextKey } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { contextDigest } from "../image/context.ts";
import { stackFileName, stackFilePath } from "../lib/stack-file-path.ts";
import { type CommandResult, type Env, runPulumi } from "../stack/pulumi-cli.ts";
import { type PreviewDigest, parseDigest } from "./digest.ts";
import { fallbackImage, withoutImageSteps } from "./fallback-image.ts";

export interface EnginePreview {
  digest: PreviewDigest;
  notes: string[];
}

export interface StackLocation {
  /** Directory of Pulumi.yaml. */
  dir: string;
  stack: string;
  /** Path of a file to use instead of the stack's own. */
  file?: string;
  /** Environment of the CLI. Default: this process's. */
  env?: Env;
}

/** `config`: undefined if the stack file is invalid. The engine reports the errors. */
export async function previewByEngine(place: StackLocation, config: EdgeConfig | undefined): Promise<EnginePreview> {
  const { dir, stack, file: given, env = process.env } = place;
  const preview = ["preview", "--json", "--show-sames", "--stack", stack];
  if (config === undefined || config.imageRef !== undefined || (await isDockerRunning())) {
    const args = given === undefined ? preview : [...preview, "--config-file", given];
    return { digest: await runPreview(place, args), notes: [] };
  }

  const exported = await exportStack(place);
  const context = contextDigest(config.image, dir);
  const { imageRef, note } = fallbackImage(exported, context, config.app);
  const tempDir = mkdtempSync(join(tmpdir(), "fly-pops-preview-"));
  try {
    const file = join(tempDir, stackFileName(stack));
    writeFileSync(file, withImage(readFileSync(given ?? stackFilePath(dir, stack, env), "utf8"), imageRef, context));
    const digest = await runPreview(place, [...preview, "--config-file", file]);
    return { digest: { ...digest, steps: withoutImageSteps(digest.steps) }, notes: [note] };
  } finally {
    rmSync(tempDir, { recursive: true, force: true });
  }
}

async function exportStack(place: StackLocation): Promise<Parameters<typeof fallbackImage>[0]> {
  const { stdout, stderr } = await pulumi(place, ["stack", "export", "--stack", place.stack]);
  try {
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(errorText(stderr) ?? "pulumi stack export printed no state.", { cause: error });
  }
}

async function runPreview(place: StackLocation, args: string[]): Promise<PreviewDigest> {
  const { stdout, stderr } = await pulumi(place, args);
  try {
    return parseDigest(stdout);
  } catch (error) {
    throw new Error(errorText(stderr) ?? (error as Error).message, { cause: error });
  }
}

/** The CLI's error message. */
const errorText = (stderr: string): string | undefined => /^error: ([\s\S]+)/m.exec(stderr)?.[1]?.trim();

/** The result contains the errors of a failed preview. */
const pulumi = ({ dir, env = process.env }: StackLocation, args: string[]): Promise<CommandResult> =>
  runPulumi(args, { dir, env: { ...env, NO_COLOR: "1" } });

async function isDockerRunning(): Promise<boolean> {
  try {
    await new Docker({ timeout: 5_000 }).ping();
    return true;
  } catch {
    return false;
  }
}

/** The stack file with that image and everything else unchanged, secrets still encrypted. */
function withImage(text: string, imageRef: string, context: string): string {
  const document = parseDocument(text);
  document.setIn(["config", `${keyPrefix}imageRef`], imageRef);
  document.setIn(["config", assumedContextKey], context);
  return document.toString();
}
