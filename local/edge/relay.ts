/** One dial to one machine, and the joining of two sockets into one connection. Bytes pass untouched, half-closes too. */
import { connect, type Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";

/** Bytes of a client that may be sent a second time, to another machine. A TLS ClientHello has its place in it. */
const replayLimit = 64 * 1024;

/** A machine that does not answer the dial within this is passed over. */
const dialTimeoutMs = 5_000;

/**
 * A machine that closes within this after the dial, without one byte, did not take the connection. Needed because a port published by
 * Docker is held by Docker's own proxy: it accepts first, dials the container then, and closes when nothing listens there. On Fly the dial
 * itself fails.
 */
const refusedWithinMs = 250;

export type Dialled = { upstream: Socket } | { refused: string };

/** "over": the machine had the connection and all is closed. Refused: the client is intact, `replay` is all it has sent so far. */
export type Joined = { refused: string; replay: Buffer[] } | "over";

/** Opens a TCP connection that may be half-closed. Never rejects. The signal gives up; a socket opened by then is destroyed. */
export function dial(to: { host: string; port: number }, clock: Clock, signal: AbortSignal): Promise<Dialled> {
  return new Promise((resolve) => {
    const upstream = connect({
      ...to,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
    upstream.on("error", () => {}); // for good: an error may come while there is no listener, between two steps
    const done = (result: Dialled) => {
      cancel();
      signal.removeEventListener("abort", giveUp);
      upstream.off("error", fail).off("connect", succeed);
      if ("refused" in result) upstream.destroy();
      resolve(result);
    };
    const fail = (error: NodeJS.ErrnoException) => done({ refused: error.code ?? error.message });
    const succeed = () => done({ upstream });
    const giveUp = () => done({ refused: "client gone" });
    const cancel = clock.after(dialTimeoutMs, () => done({ refused: `no answer in ${dialTimeoutMs / 1000} s` }));
    upstream.once("error", fail).once("connect", succeed);
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
  });
}

/**
 * Passes bytes both ways until both sides are closed. `replay` holds what the client sent to a machine that did not take it; it goes first.
 * Resolves at once when the machine did not take the connection either, else when all is over.
 */
export async function join(client: Socket, upstream: Socket, clock: Clock, replay: Buffer[]): Promise<Joined> {
  for (const chunk of replay) upstream.write(chunk);
  const settled = await untilTaken(client, upstream, clock, replay);
  if (settled !== "taken") return settled;
  await new Promise<void>((resolve) => {
    let open = 2;
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      const closed = () => {
        // Closed with both directions done: the other side may still flush. Else one side tore it down.
        if (!(one.readableEnded && one.writableFinished)) other.destroy();
        open -= 1;
        if (open === 0) resolve();
      };
      // A reset is passed on as a reset: an end would make a cut-off answer look whole.
      if (one.errored) other.resetAndDestroy();
      else one.on("error", () => other.resetAndDestroy());
      if (one.closed) closed();
      else one.once("close", closed);
      if (one.readableEnded) other.end();
      else one.pipe(other);
    }
  });
  return "over";
}

/** The first moments: bytes go on at once, but those of the client are kept until the machine has shown that it took the connection. */
function untilTaken(
  client: Socket,
  upstream: Socket,
  clock: Clock,
  replay: Buffer[],
): Promise<Exclude<Joined, "over"> | "taken"> {
  return new Promise((resolve) => {
    const kept = [...replay];
    let keptBytes = kept.reduce((sum, chunk) => sum + chunk.length, 0);
    const finish = (result: Exclude<Joined, "over"> | "taken") => {
      cancel();
      client.pause().off("data", forward).off("end", clientEnded).off("close", taken);
      upstream.off("readable", answered).off("error", failed).off("close", refused);
      resolve(result);
    };
    const taken = () => finish("taken");
    const forward = (chunk: Buffer) => {
      upstream.write(chunk);
      kept.push(chunk);
      keptBytes += chunk.length;
      if (keptBytes > replayLimit) taken();
    };
    // A client that has nothing more to say expects an end in return. That is not a refusal.
    const clientEnded = () => {
      upstream.end();
      taken();
    };
    const lost = (why: string) => {
      upstream.destroy();
      finish({ refused: why, replay: kept });
    };
    const failed = (error: NodeJS.ErrnoException) => lost(error.code ?? error.message);
    const refused = () => lost("closed at once");
    const answered = () => (upstream.readableLength > 0 ? taken() : lost("closed at once"));
    const cancel = clock.after(refusedWithinMs, taken);
    client.on("data", forward).once("end", clientEnded).once("close", taken);
    upstream.on("readable", answered).once("error", failed).once("close", refused);
    if (upstream.closed) refused();
    else if (keptBytes > replayLimit || client.closed) taken();
    else client.resume();
  });
}
