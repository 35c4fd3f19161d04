/** The image in a machine of its own: Debian's kernel in a microVM of 256 MB, emulated where KVM is not to be had. `npm run image:vm`. */
import { build, ImageHarness } from "../test/image/support/pop.ts";
import { outward } from "../test/image/support/spec.ts";
import { bootVm, type Vm } from "../test/image/support/vm.ts";
import { until } from "../test/support/until.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title = "the PoP's image under a kernel of its own, in 256 MB: boot, memory, power-off";

const memoryMb = 256;

export const run: Benchmark["run"] = async (log) => {
  const harness = new ImageHarness("bench-vm");
  try {
    await harness.sweep();
    log("image: build");
    const image = await build("bench", outward());
    log("vm: boot");
    const vm = await bootVm(harness, image, { memoryMb });
    await until(
      () => vm.exec("pidof tailscaled unbound pop nginx >/dev/null && netstat -tln | grep -c ':110[1-5] '"),
      ({ output }) => Number(output) >= 5,
      { seconds: 60 },
    );
    const memory = await memoryOf(vm);
    log("vm: power-off");
    const began = performance.now();
    const exitCode = await vm.stop();
    const offSeconds = (performance.now() - began) / 1000;
    const result = {
      accelerator: vm.accelerator,
      readySeconds: round(vm.readySeconds),
      ...memory,
      exitCode,
      offSeconds: round(offSeconds),
    };
    const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    return {
      table: columns([
        ["", ""],
        [`power-on to the first passed check, by ${result.accelerator}`, `${result.readySeconds} s`],
        ["memory the kernel hands out", mb(memory.totalBytes)],
        ["of it available with all processes up", mb(memory.availableBytes)],
        ["anonymous memory of processes", mb(memory.anonymousBytes)],
        ["processes killed for want of memory", String(memory.oomKills)],
        ["power-off, drained", `${result.offSeconds} s`],
      ]),
      result,
    };
  } finally {
    await harness.sweep();
  }
};

/** https://docs.kernel.org/filesystems/proc.html#meminfo */
async function memoryOf(vm: Vm) {
  const { output } = await vm.exec("cat /proc/meminfo; grep oom_kill /proc/vmstat");
  const field = (name: string): number => {
    const [, value] = new RegExp(`^${name}:? +(\\d+)`, "m").exec(output) ?? [];
    if (value === undefined) throw new Error(`this kernel does not say ${name}:\n${output}`);
    return Number(value);
  };
  return {
    totalBytes: field("MemTotal") * 1024,
    availableBytes: field("MemAvailable") * 1024,
    anonymousBytes: field("AnonPages") * 1024,
    slabBytes: field("Slab") * 1024,
    oomKills: field("oom_kill"),
  };
}

const round = (value: number): number => Math.round(value * 10) / 10;
