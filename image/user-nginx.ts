/** What a stack file's `nginx` expects of the files it names. Throws a sentence. Pure. */
import { credentialInFile } from "./credentials.ts";

const mostKb = 256;

export function checkNginxFile(text: string, what: string): void {
  if (text.includes("\0")) throw new Error(`${what} is not a text file.`);
  if (text.length > mostKb * 1024)
    throw new Error(`${what} has ${Math.ceil(text.length / 1024)} KB, and ${mostKb} KB are the most that is taken.`);
  const found = credentialInFile("nginx.conf", Buffer.from(text));
  if (found !== undefined)
    throw new Error(
      `${what} holds ${found}, which would lie in the image for all to read. Secrets belong into the secrets file: docs/secrets.md.`,
    );
}
