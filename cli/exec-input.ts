/** Standard input for `exec`, which Fly accepts as a string in the request. Pure. */

/** Bytes. Input is sent in one request, whose limit Fly does not document. */
export const maxInputBytes = 1 << 20;

const mark = "fly-pops-input";
const notPassedOn = 125;
const complaint = "fly-pops: standard input did not arrive";

/**
 * Input is sent in base64, because JSON has no bytes, and begins with a mark: Fly sometimes drops the input, and a program that reads nothing would succeed.
 * The exit code of a pipe is that of its last program.
 */
const script = `read -r mark; if [ "$mark" != ${mark} ]; then echo "${complaint}" >&2; exit ${notPassedOn}; fi; base64 -d | exec "$@"`;

export const withInput = (command: readonly string[], input: Buffer): { command: string[]; stdin: string } => ({
  command: ["/bin/sh", "-c", script, "sh", ...command],
  stdin: `${mark}\n${input.toString("base64").replaceAll(/.{76}/g, "$&\n")}\n`,
});

export const wasInputDropped = ({ code, stderr }: { code: number; stderr: string }): boolean =>
  code === notPassedOn && stderr.trim() === complaint;
