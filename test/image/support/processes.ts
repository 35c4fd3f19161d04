import type { Pop } from "./pop.ts";

export interface Running {
  /** Real, effective, saved and file system uid, without duplicates. */
  users: string[];
  noNewPrivs: string;
  /** The effective ones. */
  capabilities: string;
}

/** The user of each process: from /proc, by the name in the kernel. */
export async function processes(pop: Pop): Promise<Record<string, Running[]>> {
  const script = "for pid in /proc/[0-9]*; do echo; cat $pid/status; done 2>/dev/null";
  const { output } = await pop.exec(["/bin/sh", "-c", script]);
  const all: Record<string, Running[]> = {};
  for (const status of output.split("\n\n")) {
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
    const users = [...new Set(field("Uid").split(/\s+/))];
    const name = field("Name");
    all[name] = [...(all[name] ?? []), { users, noNewPrivs: field("NoNewPrivs"), capabilities: field("CapEff") }];
  }
  return all;
}
