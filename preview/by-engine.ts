/** The preview of the engine itself: against the state as it is. Needs the state's backend, neither Fly's token nor Docker. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { parseDocument } from "yaml";
import { pulumiProgram } from "../cli/pulumi.ts";
import { stackFileName, stackFilePath } from "../cli/stack-file.ts";
import { assumedContextKey } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { contextDigest } from "../image/context.ts";
import { assumedImage, withoutImageSteps } from "./assumed-image.ts";
import { type Digest, parseDigest } from "./digest.ts";

export interface Previewed {
  digest: Digest;
  notes: string[];
}

export interface Place {
  /** Folder of Pulumi.yaml. */
  dir: string;
  stack: string;
  /** Path of a file that stands for the stack's own. */
  file?: string;
  /** What the CLI runs in. Default: this process's. */
  env?: Env;
}

type Env = Readonly<Record<string, string | undefined>>;

/** `config`: undefined where the stack file has mistakes; the engine then tells them. */
export async function previewByEngine(place: Place, config: EdgeConfig | undefined): Promise<Previewed> {
  const { dir, stack, file: given } = place;
  const preview = ["preview", "--json", "--show-sames", "--stack", stack];
  if (config === undefined || config.imageRef !== undefined || (await dockerAnswers())) {
    const args = given === undefined ? preview : [...preview, "--config-file", given];
    return { digest: await digestOf(place, args), notes: [] };
  }

  const exported = await exportedOf(place);
  const context = contextDigest(config.image, dir);
  const { imageRef, note } = assumedImage(exported, context, config.app);
  const folder = mkdtempSync(join(tmpdir(), "fly-pops-preview-"));
  try {
    const file = join(folder, stackFileName(stack));
    writeFileSync(file, withImage(readFileSync(given ?? stackFilePath(dir, stack), "utf8"), imageRef, context));
    const digest = await digestOf(place, [...preview, "--config-file", file]);
    return { digest: { ...digest, steps: withoutImageSteps(digest.steps) }, notes: [note] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function exportedOf(place: Place): Promise<Parameters<typeof assumedImage>[0]> {
  const { stdout, stderr } = await pulumi(place, ["stack", "export", "--stack", place.stack]);
  try {
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(reason(stderr) ?? "pulumi stack export printed no state.", { cause: error });
  }
}

async function digestOf(place: Place, args: string[]): Promise<Digest> {
  const { stdout, stderr } = await pulumi(place, args);
  try {
    return parseDigest(stdout);
  } catch (error) {
    throw new Error(reason(stderr) ?? (error as Error).message, { cause: error });
  }
}

/** What the CLI says when it refuses to begin. */
const reason = (stderr: string): string | undefined => /^error: ([\s\S]+)/m.exec(stderr)?.[1]?.trim();

async function pulumi({ dir, env = process.env }: Place, args: string[]): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(pulumiProgram(env), ["--non-interactive", ...args], {
    cwd: dir,
    env: { ...env, PULUMI_SKIP_UPDATE_CHECK: "true", NO_COLOR: "1" } as NodeJS.ProcessEnv,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      said[stream] += text;
    });
  return new Promise((resolve, reject) => {
    child.once("error", (error) =>
      reject(new Error(`The Pulumi CLI could not be started (${error.message}). Run: npm run setup`)),
    );
    // A preview that fails says so in its result.
    child.once("close", () => resolve(said));
  });
}

async function dockerAnswers(): Promise<boolean> {
  try {
    await new Docker({ timeout: 5_000 }).ping();
    return true;
  } catch {
    return false;
  }
}

/** The stack file with that image, all else as it stands, secrets still encrypted. */
function withImage(text: string, imageRef: string, context: string): string {
  const document = parseDocument(text);
  document.setIn(["config", "fly-pops:imageRef"], imageRef);
  document.setIn(["config", assumedContextKey], context);
  return document.toString();
}
