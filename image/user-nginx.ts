/** What a stack file's `nginx` expects of the files it names. Throws a sentence. Pure. */
import { findCredentialInFile } from "./credentials.ts";

const maxKb = 256;

export function checkNginxFile(text: string, what: string): void {
  if (text.includes("\0")) throw new Error(`${what} is not a text file.`);
  if (text.length > maxKb * 1024)
    throw new Error(`${what} has ${Math.ceil(text.length / 1024)} KB, and ${maxKb} KB are the most that is taken.`);
  const found = findCredentialInFile("nginx.conf", Buffer.from(text));
  if (found !== undefined)
    throw new Error(
      `${what} holds ${found}, which would lie in the image for all to read. Secrets belong into the secrets file: docs/secrets.md.`,
    );
}
