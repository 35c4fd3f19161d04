/** The map of the status page: the position of a place on it, and the land as dots. Miller's projection, which leaves room for Europe. */
import { isLand } from "./continents.ts";

/** Units of the drawing. The height follows from the latitudes shown. */
const width = 1000;
const north = 78;
const south = -56;
/** Between two dots. */
const step = 7;

export interface Point {
  x: number;
  y: number;
}

/** A place in degrees, as a point of the drawing. */
export const project = (longitude: number, latitude: number): Point => ({
  x: round(((longitude + 180) / 360) * width),
  y: round((stretch(north) - stretch(latitude)) * scale),
});

/** https://en.wikipedia.org/wiki/Miller_cylindrical_projection, and back. */
const stretch = (latitude: number): number => 1.25 * Math.log(Math.tan(Math.PI / 4 + (0.4 * latitude * Math.PI) / 180));
const shrink = (y: number): number => ((2.5 * Math.atan(Math.exp(0.8 * y)) - (5 / 8) * Math.PI) * 180) / Math.PI;
const scale = width / (2 * Math.PI);

const round = (value: number): number => Math.round(value * 10) / 10;

export const size = { width, height: Math.ceil((stretch(north) - stretch(south)) * scale) };

/** A path whose every stroke is a dot of land, for round line caps. */
export function landPath(): string {
  const dots: string[] = [];
  for (let y = step / 2, row = 0; y < size.height; y += step, row += 1) {
    const latitude = shrink(stretch(north) - y / scale);
    // Rows by turns half a step aside: no grid is seen.
    for (let x = (row % 2) * (step / 2); x < width; x += step)
      if (isLand((x / width) * 360 - 180, latitude)) dots.push(`M${round(x)} ${round(y)}h0`);
  }
  return dots.join("");
}
