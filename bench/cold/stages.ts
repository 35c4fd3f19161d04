/** What a cold start printed, and what it had used by then, as stages. Pure. */

/** What a machine had used when it printed a line. */
export interface Sample {
  /** Seconds since the start. */
  wall: number;
  /** CPU seconds, user and system, of all its processes and containers. */
  cpu: number;
  /** Bytes it was sent from outside. */
  bytes: number;
  line: string;
}

export interface Stage {
  title: string;
  /** Seconds it took by its own word; undefined where it says nothing. */
  took: number | undefined;
  /** Seconds from the start until it was done. */
  until: number;
  /** What all that ran had used since the stage before it in this list was done: stages run side by side. */
  cpu: number;
  bytes: number;
}

/** "1 min 6 s", "12 s", "0.4 s" of setup and "[1m6s]", "[2.31s]" of local at the end of a line, in seconds; undefined for anything else. */
export function seconds(line: string): number | undefined {
  const found =
    /(?:^| )(?:(\d+) min )?(\d+(?:\.\d+)?) s$/.exec(line) ?? /\[(?:(\d+)m ?)?(\d+(?:\.\d+)?)s\]$/.exec(line);
  return found === null ? undefined : Number(found[1] ?? 0) * 60 + Number(found[2]);
}

/** A line that tells of a stage's end: setup's "ok   sops 3.13.2   made   34 s", local's "✔ Start local Fly: http://... [2.3s]". */
const end = /^(?:ok|FAIL|✔|✖|\[COMPLETED\]|\[FAILED\]) +(.+?)(?: {2,}.*|: .*| \[[\dms. ]+\])?$/u;

/** The stages in the order they were done in, with what was used in all at the end. */
export function stagesOf(samples: readonly Sample[]): Stage[] {
  let before = { cpu: 0, bytes: 0 };
  return samples.flatMap(({ wall, cpu, bytes, line }) => {
    const found = end.exec(line.trim());
    if (found === null) return [];
    const stage: Stage = {
      title: found[1] ?? "",
      took: seconds(line.trim()),
      until: wall,
      cpu: cpu - before.cpu,
      bytes: bytes - before.bytes,
    };
    before = { cpu, bytes };
    return [stage];
  });
}

const page = /HTTP 200 .* from \S+ in \d+ ms/;

/** The moment of the first page, which revisions with one page only do not have as a stage; undefined without any. */
export const firstPage = (samples: readonly Sample[]): Sample | undefined =>
  samples.find(({ line }) => /^(?:✔|\[COMPLETED\]) First page/u.test(line.trim())) ??
  samples.find(({ line }) => page.test(line));

/** The moment of the last page that came through edge, PoP and tailnet; undefined without one. */
export const lastPage = (samples: readonly Sample[]): Sample | undefined =>
  samples.findLast(({ line }) => page.test(line));
