/** The engine's own account of which containers ended. A stream that breaks is opened again; what was missed is the caller's to settle. */
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { type Clock, sleep } from "../../../../lib/clock.ts";
import { engineReason, labels } from "../../../docker/engine.ts";
import { textLines } from "../../../docker/output.ts";

export interface Watch {
  close(): void;
}

export interface Watcher {
  docker: Docker;
  stack: string;
  clock: Clock;
  /** A container of the stack ended, with this exit code. */
  died(containerId: string, exitCode: number): void;
  /** The kernel killed a process of it for want of memory; the container may live on. */
  outOfMemory(containerId: string): void;
  /** The stream is open again. Ends of containers in between were not reported. */
  reopened(): Promise<void>;
  log(line: string): void;
}

interface Event {
  Action: string;
  Actor: { ID: string; Attributes: { exitCode?: string } };
}

const retryMs = 500;

/** Resolves when the stream is open. Rejects with the engine's refusal when it does not open the first time. */
export async function watchContainers(watcher: Watcher): Promise<Watch> {
  const { docker, stack, clock, log } = watcher;
  const closing = new AbortController();
  const filters = { type: ["container" as const], event: ["die", "oom"], label: [`${labels.stack}=${stack}`] };
  async function open(): Promise<Readable> {
    const stream = (await docker.getEvents({ filters })) as Readable;
    if (closing.signal.aborted) stream.destroy();
    else closing.signal.addEventListener("abort", () => stream.destroy(), { once: true });
    return stream;
  }

  void keepReading(await open());
  return { close: () => closing.abort() };

  async function keepReading(stream: Readable | undefined): Promise<void> {
    for (let reported = false; !closing.signal.aborted; ) {
      try {
        if (stream) await read(stream);
        stream = await open();
        if (reported) log("docker: the engine answers again.");
        reported = false;
        await watcher.reopened();
      } catch (error) {
        stream = undefined;
        if (closing.signal.aborted) return;
        // A stream that ends without an error is an engine that went away, too: the next open tells.
        if (!reported) log(`docker: events are interrupted, ${engineReason(error)} Trying again.`);
        reported = true;
        await sleep(clock, retryMs, closing.signal).catch(() => {});
      }
    }
  }

  async function read(stream: Readable): Promise<void> {
    for await (const line of textLines(stream)) {
      const { Action, Actor } = JSON.parse(line) as Event;
      if (Action === "die") watcher.died(Actor.ID, Number(Actor.Attributes.exitCode));
      else watcher.outOfMemory(Actor.ID);
    }
  }
}
