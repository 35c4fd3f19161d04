/** Downloads that give up soon where the vendor is out of reach. */

import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Milliseconds until the vendor has to have answered; and the longest silence within the download. */
const ANSWER = 5000;
const SILENCE = 20_000;

/**
 * Fetches a file; neither a silent server nor a slow one holds it for long.
 * @throws when it cannot be had, with the reason
 */
export async function download(url, file, { answer = ANSWER, silence = SILENCE, onBytes = () => undefined } = {}) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(new Error(`no answer in ${answer} ms`)), answer);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error(`silent for ${silence} ms`)), silence);
  };
  try {
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    let bytes = 0;
    const counted = Readable.fromWeb(response.body).on("data", (chunk) => {
      alive();
      bytes += chunk.length;
      onBytes(bytes);
    });
    await pipeline(counted, createWriteStream(file), { signal: abort.signal });
  } catch (error) {
    if (abort.signal.aborted) throw abort.signal.reason;
    throw error.cause instanceof Error ? error.cause : error; // fetch wraps what happened into "fetch failed"
  } finally {
    clearTimeout(timer);
  }
}
