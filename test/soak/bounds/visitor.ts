import { request } from "node:http";
import { enterTls } from "../../image/support/client.ts";

/** Address `at` of a network that documents are written with, https://www.rfc-editor.org/rfc/rfc2544 */
export const addressOf = (at: number): string => `198.18.${at >> 8}.${at & 255}`;

export interface Transferred {
  status: number | undefined;
  /** Of the answer's body. */
  bytes: number;
  /** The end of the body, 100 bytes at most. */
  end: string;
}

/** A body of so many bytes there, if any, and an answer of any size back, at the pace of either side. */
export async function transfer(port: number, host: string, path: string, upload?: number): Promise<Transferred> {
  const socket = await enterTls(port, { servername: host });
  const asking = request({
    createConnection: () => socket,
    method: upload === undefined ? "GET" : "POST",
    path,
    headers: { host, ...(upload !== undefined && { "content-length": upload }) },
  });
  const answered = new Promise<Transferred>((done, failed) => {
    asking.once("error", failed);
    asking.once("response", (response) => {
      let bytes = 0;
      let end = "";
      response.on("data", (piece: Buffer) => {
        bytes += piece.length;
        end = piece.subarray(-100).toString("latin1");
      });
      response.once("error", failed);
      response.once("end", () => done({ status: response.statusCode, bytes, end }));
    });
  });
  const piece = Buffer.alloc(1 << 18, "u");
  for (let left = upload ?? 0; left > 0; left -= piece.length) {
    if (!asking.write(piece.subarray(0, Math.min(left, piece.length))) && left > piece.length) {
      await new Promise((drained) => asking.once("drain", drained));
    }
  }
  asking.end();
  return answered.finally(() => socket.destroy());
}
