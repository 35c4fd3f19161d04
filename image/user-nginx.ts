/** Checks the files that a stack file's `nginx` names. Throws an error whose message is a complete sentence. Pure. */
import { findCredentialInFile } from "./credentials.ts";

const maxKb = 256;

export function checkNginxFile(text: string, what: string): void {
  if (text.includes("\0")) throw new Error(`${what} is not a text file.`);
  if (text.length > maxKb * 1024)
    throw new Error(`${what} has ${Math.ceil(text.length / 1024)} KB: takes ${maxKb} KB at most.`);
  const found = findCredentialInFile("nginx.conf", Buffer.from(text));
  if (found !== undefined)
    throw new Error(
      `${what} holds ${found}, which anybody could read in the image. Secrets belong in the secrets file: docs/secrets.md.`,
    );
}
