import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/**
 * Ports of 127.0.0.1 where nothing listens, below those that the kernel gives to outgoing connections (32768 and up): one of these could be taken by any
 * connection of another test before it is used.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = randomInt(10_000, 20_000);
    if (await isFree(port)) found.add(port);
  }
  return [...found];
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
