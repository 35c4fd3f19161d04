/** Standard input for `exec`, which Fly takes as a text in the request. Pure. */

/** Bytes. It goes in one request, whose limit Fly does not tell. */
export const maxInputBytes = 1 << 20;

const mark = "fly-pops-input";
const notPassedOn = 125;
const complaint = "fly-pops: standard input did not arrive";

/**
 * In base64, as JSON has no bytes, and with a mark in front: Fly has been seen to leave the input out, and a program that reads nothing would succeed on it.
 * The last program of a pipe is whose exit code counts.
 */
const script = `read -r mark; if [ "$mark" != ${mark} ]; then echo "${complaint}" >&2; exit ${notPassedOn}; fi; base64 -d | exec "$@"`;

export const withInput = (command: readonly string[], input: Buffer): { command: string[]; stdin: string } => ({
  command: ["/bin/sh", "-c", script, "sh", ...command],
  stdin: `${mark}\n${input.toString("base64").replaceAll(/.{76}/g, "$&\n")}\n`,
});

export const wasInputDropped = ({ code, stderr }: { code: number; stderr: string }): boolean =>
  code === notPassedOn && stderr.trim() === complaint;
