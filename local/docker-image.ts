/** Builds the small images local Fly brings along (registry, origin), with BuildKit through the Engine API: no docker CLI is needed. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type Docker from "dockerode";
import { engineReason, labels, orMissing } from "./docker-engine.ts";

export interface ImageBuild {
  /** Repository and tag, e.g. "fly-pops-origin:local". */
  tag: string;
  /** Folder the build sees. */
  context: string;
  /** Its files that count, relative to it; "Dockerfile" among them. */
  files: string[];
  /** Stage of the Dockerfile. Absent: the last one. */
  target?: string;
  /** Told each step as it begins. */
  log: (line: string) => void;
}

/** The image's id. One that bears the hash of the same files is taken as it is, so a second call costs milliseconds. */
export async function buildImage(docker: Docker, build: ImageBuild): Promise<string> {
  const inputs = await hashOf(build);
  const there = await orMissing(docker.getImage(build.tag).inspect());
  if (there?.Config.Labels?.[labels.inputs] === inputs) return there.Id;
  try {
    const stream = await docker.buildImage(
      { context: build.context, src: build.files },
      {
        t: build.tag,
        version: "2",
        labels: { [labels.inputs]: inputs },
        ...(build.target === undefined ? {} : { target: build.target }),
      },
    );
    await follow(docker, stream, build.log);
    return (await docker.getImage(build.tag).inspect()).Id;
  } catch (error) {
    throw new Error(`image ${build.tag}: not built, ${engineReason(error)}`, { cause: error });
  }
}

async function hashOf({ context, files, target = "" }: ImageBuild): Promise<string> {
  const hash = createHash("sha256").update(`${target}\0`);
  for (const file of files.toSorted()) {
    const content = await readFile(join(context, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}

interface BuildEvent {
  stream?: string;
  error?: string;
}

/** dockerode 5 decodes BuildKit's protobuf trace in `followProgress`; its type package does not know the method yet. */
type Following = {
  followProgress(
    stream: NodeJS.ReadableStream,
    finished: (error: Error | null, events: BuildEvent[]) => void,
    progress: (event: BuildEvent) => void,
  ): void;
};

/** BuildKit's own lines between those of the commands it runs. */
const ofBuildKit = /^(\[sha256:|CACHED: |ERROR: |extracting )/;

const lastLinesOfFailure = 20;

function follow(docker: Docker, stream: NodeJS.ReadableStream, log: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const finished = (error: Error | null, events: BuildEvent[]) => {
      const failed = events.find((event) => event.error !== undefined);
      if (error) return reject(error);
      if (!failed) return resolve();
      const output = events.flatMap(({ stream }) => stream?.trimEnd() ?? []).filter((line) => !ofBuildKit.test(line));
      reject(new Error([failed.error, ...output.slice(-lastLinesOfFailure)].join("\n  ")));
    };
    const progress = ({ stream }: BuildEvent) => {
      const step = stream?.match(/^\[sha256:\w+\] (\[(?!internal).+)/)?.[1]; // "[sha256:1a2b3] [build 2/4] RUN ..."
      if (step) log(step.trimEnd());
    };
    (docker as unknown as Following).followProgress(stream, finished, progress);
  });
}
