import type { Pop } from "./pop.ts";

export interface Memory {
  /** Used by processes; it becomes free only when they end. */
  anonymousBytes: number;
  /** Used by the kernel for them: sockets, page tables, open files. */
  kernelBytes: number;
  /** Processes that the kernel killed because there was no memory left. */
  oomKills: number;
}

/** The memory of a PoP's cgroup, from inside the container, version 2 or 1. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files */
export async function memoryOf(pop: Pop): Promise<Memory> {
  const script =
    "cd /sys/fs/cgroup; if [ -e memory.stat ]; then cat memory.stat memory.events; else cd memory; cat memory.stat memory.oom_control; echo kernel $(cat memory.kmem.usage_in_bytes); fi";
  const { output } = await pop.exec(["/bin/sh", "-c", script]);
  const field = (...names: string[]): number => {
    for (const name of names) {
      const [, value] = new RegExp(`^${name} (\\d+)$`, "m").exec(output) ?? [];
      if (value !== undefined) return Number(value);
    }
    throw new Error(`this kernel does not say ${names.join(" or ")}:\n${output}`);
  };
  return {
    anonymousBytes: field("anon", "total_rss"),
    kernelBytes: field("kernel"),
    oomKills: field("oom_kill"),
  };
}
