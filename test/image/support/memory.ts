import type { Pop } from "./pop.ts";

export interface Memory {
  /** Held by processes; nothing takes it from them but their end. */
  anonymousBytes: number;
  /** The kernel's own for them: sockets, page tables, open files. */
  kernelBytes: number;
  /** Processes the kernel killed because there was no more. */
  oomKills: number;
}

/** What a PoP's cgroup holds, from the container's own view of it, version 2 or 1. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files */
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
