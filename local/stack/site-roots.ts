/** The file of root certificates that the sites are verified by: those of the homelab's authority and of the Internet's, of every start so far. */
import type Docker from "dockerode";
import { keepWritten, readIfThere } from "../../lib/files.ts";
import { homelabRoots } from "../homelab/handover.ts";
import { internetRoot } from "../internet/internet.ts";
import { paths } from "../paths.ts";

/**
 * Brings it up to date with what runs: an authority creates a new key whenever it starts. The roots before stay in it, for their certificates may
 * still be in use.
 */
export async function refreshSiteRoots(docker: Docker, stack: string): Promise<void> {
  const running = await Promise.all([homelabRoots(docker, stack), internetRoot(docker, stack)]);
  keepWritten(paths.siteRoots, rootsWith(readIfThere(paths.siteRoots) ?? "", ...running));
}

/** Certificates of all these PEM texts, each once, the last text's first. Pure. */
export function rootsWith(...texts: (string | undefined)[]): string {
  const all = texts
    .toReversed()
    .flatMap((it) => (it ?? "").match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g) ?? []);
  return [...new Set(all)].map((pem) => `${pem}\n`).join("");
}
