/** What a stack file's `errorPages`, `robots` and `spa` expect of the files they name. Each throws a sentence. Pure. */
import { pageStatuses } from "./render/error-pages.ts";

/** Above this, robots are known to read no further. https://developers.google.com/crawling/docs/robots-txt/robots-txt-spec */
const robotsKb = 500;

/** @param names paths within the folder */
export function checkErrorPages(names: readonly string[], what: string, dir: string): void {
  const isPage = (name: string): boolean => pageStatuses.some((status) => name === `${status}.html`);
  const other = names.find((name) => !isPage(name));
  if (other !== undefined)
    throw new Error(
      `${what}: ${dir} holds ${other}. Allowed are ${pageStatuses.map((status) => `${status}.html`).join(", ")}. A page is shown when nothing else can be fetched: put styles and pictures into the page itself.`,
    );
}

export function checkRobots(content: Buffer, what: string, file: string): void {
  if (content.includes(0)) throw new Error(`${what}: ${file} is not a text file.`);
  if (content.length > robotsKb * 1024)
    throw new Error(
      `${what}: ${file} has ${Math.ceil(content.length / 1024)} KB, and robots read ${robotsKb} KB at most.`,
    );
}

/** @param names paths within the packed folder */
export function checkSpa(names: readonly string[], host: string, dir: string): void {
  if (!names.includes("index.html"))
    throw new Error(
      `site ${host}: spa: ${dir} holds no index.html, which every path of an application is answered with.`,
    );
}
