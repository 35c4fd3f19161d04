/** What builds of this project leave in the engine's build cache: BuildKit's layers, and the mounts with Go's modules and compiled packages. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { projectDir } from "../paths.ts";

/** A record of BuildKit's cache, as the engine tells it. Older engines name one parent. */
export interface CacheRecord {
  ID: string;
  Parent?: string;
  Parents?: string[];
  Description?: string;
  /** Bytes. */
  Size?: number;
}

/**
 * Removes the records of this project's builds, also of other clones. Those that a build in progress uses stay. Returns the bytes that were freed.
 * @param say gets how far it is
 */
export async function removeBuildCache(
  docker: Docker,
  say: (line: string) => void = () => {},
  commands = buildCommands(),
): Promise<number> {
  const { BuildCache } = (await docker.df()) as { BuildCache?: CacheRecord[] };
  const records = childrenFirst(recordsOf(BuildCache ?? [], commands));
  let freed = 0;
  for (const [index, { ID }] of records.entries()) {
    say(`${index} of ${records.length} records of builds`);
    freed += await pruneRecord(docker, ID);
  }
  return freed;
}

/** By hand, because dockerode's pruneBuilder passes no filter on and would remove every record. The engine takes one id per call. */
function pruneRecord(docker: Docker, id: string): Promise<number> {
  const options = {
    path: "/build/prune?",
    method: "POST",
    options: { all: true, filters: { id: [id] } },
    statusCodes: { 200: true, 500: "server error" },
  };
  return new Promise((resolve, reject) =>
    docker.modem.dial(options, (error, answer) =>
      error ? reject(error) : resolve((answer as { SpaceReclaimed?: number } | null)?.SpaceReclaimed ?? 0),
    ),
  );
}

/** The engine keeps a record as long as another one is made of it. Pure. */
export function childrenFirst(records: readonly CacheRecord[]): CacheRecord[] {
  const byId = new Map(records.map((record) => [record.ID, record]));
  const depths = new Map<string, number>();
  const depth = (record: CacheRecord): number => {
    const known = depths.get(record.ID);
    if (known !== undefined) return known;
    const parents = parentsOf(record).flatMap((id) => byId.get(id) ?? []);
    const own = 1 + Math.max(0, ...parents.map(depth));
    depths.set(record.ID, own);
    return own;
  };
  return records.toSorted((a, b) => depth(b) - depth(a));
}

const parentsOf = ({ Parent, Parents }: CacheRecord): string[] => Parents ?? (Parent ? [Parent] : []);

/** Those that a build with one of these commands made, or that were made of such a one. Pure. */
export function recordsOf(records: readonly CacheRecord[], commands: readonly string[]): CacheRecord[] {
  const texts = new Set(commands.map(plain));
  const isOurs = ({ Description = "" }: CacheRecord): boolean => {
    if (/with id "\/?pops-/.test(Description)) return true;
    const command = / from exec \/bin\/sh -c (.*)$/s.exec(Description)?.[1];
    return command !== undefined && texts.has(plain(command));
  };
  const ours = new Set(records.filter(isOurs).map(({ ID }) => ID));
  for (let size = -1; size !== ours.size; ) {
    size = ours.size;
    for (const record of records) if (parentsOf(record).some((it) => ours.has(it))) ours.add(record.ID);
  }
  return records.filter(({ ID }) => ours.has(ID));
}

const plain = (command: string): string => command.replaceAll(/\s+/g, " ").trim();

/** Commands of all our Dockerfiles, as BuildKit describes what they made. */
const buildCommands = (): string[] =>
  globSync(["image/Dockerfile", "local/*/Dockerfile"], { cwd: projectDir }).flatMap((file) =>
    commandsOf(readFileSync(join(projectDir, file), "utf8")),
  );

/** The commands of a Dockerfile's RUN lines, without their mounts. Pure. */
export const commandsOf = (dockerfile: string): string[] =>
  dockerfile
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n")
    .replaceAll("\\\n", "")
    .split("\n")
    .filter((line) => line.startsWith("RUN "))
    .map((line) =>
      line
        .slice(4)
        .replace(/^(\s*--\w+=\S+)+/, "")
        .trim(),
    );
