/** Builds the small images local Fly brings along (registry, origin), with BuildKit through the Engine API: no docker CLI is needed. */
import { globSync, statSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { systemClock } from "../../lib/clock.ts";
import { filesHash } from "../../lib/files-hash.ts";
import { withRetry } from "../../lib/retry.ts";
import { isSchedulerFault, maxBuilds } from "../../setup/pulumi/docker/build.cjs";
import { projectDir } from "../paths.ts";
import { readTrace, traceId } from "./buildkit-trace.ts";
import { engineReason, engineWords, labels, orMissing } from "./engine.ts";
import { followProgress } from "./progress.ts";

export interface ImageBuild {
  /** Repository and tag, e.g. "fly-pops-anycast:local". */
  tag: string;
  /** Directory the build sees. */
  context: string;
  /** Its files that count, relative to it; the Dockerfile among them. */
  files: string[];
  /** Which of them it is. Absent: "Dockerfile". */
  dockerfile?: string;
  /** Stage of the Dockerfile. Absent: the last one. */
  target?: string;
  /** Runs every step again, even if the same image exists. Absent: no. */
  noCache?: boolean;
  /** Called with each step when it begins. */
  log: (line: string) => void;
}

/** An image of files of the project, by local/<name>/Dockerfile. `sources`: what it copies, as globs. `target`: stage of it. Absent: the last one. */
export function projectBuild(name: string, sources: readonly string[], target?: string): Omit<ImageBuild, "log"> {
  const dockerfile = `local/${name}/Dockerfile`;
  const files = globSync([dockerfile, ...sources], { cwd: projectDir });
  return {
    tag: `fly-pops-${name}:${target ?? "local"}`,
    context: projectDir,
    files: files.filter((file) => statSync(join(projectDir, file)).isFile()),
    dockerfile,
    ...(target === undefined ? {} : { target }),
  };
}

/** Id of an image that was made of the same files; undefined when it has to be built. */
export async function builtImage(docker: Docker, build: Omit<ImageBuild, "log">): Promise<string | undefined> {
  const there = await orMissing(docker.getImage(build.tag).inspect());
  return there?.Config.Labels?.[labels.inputs] === (await hashOf(build)) ? there?.Id : undefined;
}

/** The image's id. An image with the hash of the same files is used as it is, so a second call costs milliseconds. */
export async function buildImage(docker: Docker, build: ImageBuild): Promise<string> {
  const there = build.noCache ? undefined : await builtImage(docker, build);
  if (there !== undefined) return there;
  const inputs = await hashOf(build);
  const once = async () => {
    const stream = await docker.buildImage(
      { context: build.context, src: build.files },
      {
        t: build.tag,
        version: "2",
        labels: { [labels.inputs]: inputs },
        ...(build.dockerfile === undefined ? {} : { dockerfile: build.dockerfile }),
        ...(build.target === undefined ? {} : { target: build.target }),
        ...(build.noCache ? { nocache: true } : {}),
      },
    );
    await follow(stream, build.log);
    return (await docker.getImage(build.tag).inspect()).Id;
  };
  try {
    const delayMs = (error: unknown) => (isSchedulerFault(error) ? 0 : undefined);
    return await withRetry({ clock: systemClock, maxAttempts: maxBuilds, delayMs }, once);
  } catch (error) {
    throw new Error(`image ${build.tag}: not built, ${engineReason(error)}`, { cause: error });
  }
}

const hashOf = ({ context, files, target }: Omit<ImageBuild, "log">): Promise<string> =>
  filesHash(context, files, target);

interface BuildEvent {
  id?: string;
  aux?: unknown;
}

const lastLinesOfFailure = 20;

/** BuildKit's own steps, which are as many as ours, are not reported. */
const internal = /^(\[internal\]|copy \/context|exporting)/;

async function follow(stream: NodeJS.ReadableStream, log: (line: string) => void): Promise<void> {
  let output = "";
  const progress = ({ id, aux }: BuildEvent) => {
    if (id !== traceId || typeof aux !== "string") return;
    const trace = readTrace(aux);
    output += trace.output;
    for (const step of trace.steps) if (!internal.test(step)) log(step);
  };
  try {
    await followProgress(stream, progress);
  } catch (error) {
    const last = output.trimEnd().split(/\r?\n/).slice(-lastLinesOfFailure);
    throw new Error([engineWords(error), ...last].join("\n  "), { cause: error });
  }
}
