/** One PoP with its origins, for all tests of test/image/serving. */
import type { IncomingMessage } from "node:http";
import type { Container } from "dockerode";
import { enterTls, https, type Visit } from "../support/client.ts";
import { type NameServer, startNameServer } from "../support/dns.ts";
import { type Origin, startOrigin } from "../support/origin.ts";
import { build, ImageHarness, type Pop, reloadNginx, untilHealthy } from "../support/pop.ts";
import { deadAddresses, movingZone, namePort, network } from "../support/spec.ts";

const harness = new ImageHarness("serving");
export let origin: Origin;
export let second: Origin;
export let secure: Origin;
export let forwarder: Container;
export let pop: Pop;
let image: string;
export let nameServer: NameServer;

export async function open(): Promise<void> {
  await harness.sweep();
  image = await build("all");
  await harness.createNetwork();
  origin = await startOrigin();
  [second, secure] = await Promise.all([startOrigin(), startOrigin({ tls: true })]);
  nameServer = await startNameServer(network.gateway, namePort);
  for (const name of ["web", "pair"]) nameServer.say(`${name}.${movingZone}`, [network.origin]);
  // From the start: a request that nginx repeats while a name's addresses change is a 502.
  nameServer.say(`both.${movingZone}`, [network.origin, ...deadAddresses]);
  forwarder = await harness.startForwarder({ http: origin.port, second: second.port, https: secure.port });
  // Where the origin may move to: there the second origin answers.
  await harness.startForwarder(
    { http: second.port, second: second.port, https: secure.port },
    { address: network.moved, aliases: [] },
  );
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await untilHealthy(pop);
}

/** Another PoP with the same image but another nginx configuration. */
export async function openOther(nginxConf: string): Promise<Pop> {
  const other = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await untilHealthy(other);
  // In pieces: one argument holds at most 128 KB.
  const pieces =
    Buffer.from(nginxConf)
      .toString("base64")
      .match(/.{1,100000}/g) ?? [];
  for (const piece of pieces) await run(other, `printf %s ${piece} >> /tmp/nginx.conf`);
  await run(other, "base64 -d < /tmp/nginx.conf > /etc/nginx/nginx.conf");
  await reloadNginx(other);
  return other;
}

async function run(other: Pop, command: string): Promise<void> {
  const { code, output } = await other.exec(["/bin/sh", "-c", command]);
  if (code !== 0) throw new Error(`${command.slice(0, 40)}... ended with ${code}: ${output}`);
}

export async function close(): Promise<void> {
  await harness.sweep();
  await Promise.all([origin?.close(), second?.close(), secure?.close(), nameServer?.close()]);
}

export const get = (host: string, path: string, more: Partial<Visit> = {}) =>
  https({ port: pop.https, host, path, ...more });
export const www = (path: string, more: Partial<Visit> = {}) => get("www.example.test", path, more);

/** Everything that comes back on an echo connection after "ping" was sent. */
export async function echoed(host: string): Promise<string> {
  const socket = await enterTls(pop.https, { servername: host });
  socket.write(`GET /socket HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
  const seen = await new Promise<string>((answered) => {
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
      if (text.endsWith("\r\n\r\n")) socket.write("ping");
      if (text.endsWith("ping")) answered(text);
    });
  });
  socket.destroy();
  return seen;
}

export const last = (path: string): IncomingMessage => {
  const found = origin.seen.findLast((request) => request.url?.startsWith(path));
  if (!found) throw new Error(`the origin was never asked for ${path}`);
  return found;
};
