/**
 * Fly's regions. The config rejects unknown regions and warns of closed ones, local Fly's proxy computes distances, the cost estimate uses price groups.
 * Codes, cities and gateways: https://fly.io/docs/reference/regions/ (2026-08). The deprecated ones were listed there until 2025-10.
 * Coordinates and groups are not on that page: coordinates are those of the city, `geoRegion` and `egressGroup` follow from geography.
 */

/** The day on which this table was last compared with Fly's page, ISO 8601. With a token, Fly itself is asked. */
export const regionsAsOf = "2026-08-07";

/** The API's own names. */
export type GeoRegion = "africa" | "asia_pacific" | "europe" | "north_america" | "south_america";

/** Groups of equal egress price: https://fly.io/docs/about/pricing/#data-transfer-pricing */
export type EgressGroup = "na_eu" | "apac_oceania_sa" | "africa_india";

export interface Region {
  /** Three lower-case letters, mostly the code of the city's airport. */
  code: string;
  city: string;
  /** ISO 3166-1 alpha-2. */
  country: string;
  /** Degrees north, of the city. */
  latitude: number;
  /** Degrees east, of the city. */
  longitude: number;
  /** Has a WireGuard gateway. */
  gateway: boolean;
  /** Fly takes no new machines there. */
  deprecated: boolean;
  geoRegion: GeoRegion;
  egressGroup: EgressGroup;
}

// One region a line, read as a table.
// biome-ignore format: columns
const current: readonly Region[] = [
  region("ams", "Amsterdam", "NL", 52.37, 4.9, true, "europe", "na_eu"),
  region("arn", "Stockholm", "SE", 59.33, 18.07, true, "europe", "na_eu"),
  region("bom", "Mumbai", "IN", 19.08, 72.88, true, "asia_pacific", "africa_india"),
  region("cdg", "Paris", "FR", 48.86, 2.35, true, "europe", "na_eu"),
  region("dfw", "Dallas, Texas", "US", 32.78, -96.8, true, "north_america", "na_eu"),
  region("ewr", "Secaucus, New Jersey", "US", 40.79, -74.06, true, "north_america", "na_eu"),
  region("fra", "Frankfurt", "DE", 50.11, 8.68, true, "europe", "na_eu"),
  region("gru", "Sao Paulo", "BR", -23.55, -46.63, false, "south_america", "apac_oceania_sa"),
  region("iad", "Ashburn, Virginia", "US", 39.04, -77.49, true, "north_america", "na_eu"),
  region("jnb", "Johannesburg", "ZA", -26.2, 28.05, false, "africa", "africa_india"),
  region("lax", "Los Angeles, California", "US", 34.05, -118.24, true, "north_america", "na_eu"),
  region("lhr", "London", "GB", 51.51, -0.13, true, "europe", "na_eu"),
  region("nrt", "Tokyo", "JP", 35.68, 139.69, true, "asia_pacific", "apac_oceania_sa"),
  region("ord", "Chicago, Illinois", "US", 41.88, -87.63, true, "north_america", "na_eu"),
  region("sin", "Singapore", "SG", 1.35, 103.82, true, "asia_pacific", "apac_oceania_sa"),
  region("sjc", "San Jose, California", "US", 37.34, -121.89, true, "north_america", "na_eu"),
  region("syd", "Sydney", "AU", -33.87, 151.21, true, "asia_pacific", "apac_oceania_sa"),
  region("yyz", "Toronto", "CA", 43.65, -79.38, true, "north_america", "na_eu"),
];

// biome-ignore format: columns
const deprecated: readonly Region[] = [
  region("atl", "Atlanta, Georgia", "US", 33.75, -84.39, false, "north_america", "na_eu"),
  region("bog", "Bogota", "CO", 4.71, -74.07, false, "south_america", "apac_oceania_sa"),
  region("bos", "Boston, Massachusetts", "US", 42.36, -71.06, false, "north_america", "na_eu"),
  region("den", "Denver, Colorado", "US", 39.74, -104.99, false, "north_america", "na_eu"),
  region("eze", "Ezeiza", "AR", -34.85, -58.52, false, "south_america", "apac_oceania_sa"),
  region("gdl", "Guadalajara", "MX", 20.66, -103.35, true, "north_america", "na_eu"),
  region("gig", "Rio de Janeiro", "BR", -22.91, -43.17, false, "south_america", "apac_oceania_sa"),
  region("hkg", "Hong Kong", "HK", 22.32, 114.17, true, "asia_pacific", "apac_oceania_sa"),
  region("mad", "Madrid", "ES", 40.42, -3.7, false, "europe", "na_eu"),
  region("mia", "Miami, Florida", "US", 25.76, -80.19, false, "north_america", "na_eu"),
  region("otp", "Bucharest", "RO", 44.43, 26.1, false, "europe", "na_eu"),
  region("phx", "Phoenix, Arizona", "US", 33.45, -112.07, false, "north_america", "na_eu"),
  region("qro", "Queretaro", "MX", 20.59, -100.39, true, "north_america", "na_eu"),
  region("scl", "Santiago", "CL", -33.45, -70.67, true, "south_america", "apac_oceania_sa"),
  region("sea", "Seattle, Washington", "US", 47.61, -122.33, true, "north_america", "na_eu"),
  region("waw", "Warsaw", "PL", 52.23, 21.01, false, "europe", "na_eu"),
  region("yul", "Montreal", "CA", 45.5, -73.57, false, "north_america", "na_eu"),
].map((it) => ({ ...it, deprecated: true }));

/** All regions, current ones first, each part by code. */
export const regions: readonly Region[] = [...current, ...deprecated];

const byCode = new Map(regions.map((it) => [it.code, it]));

/** The region with this code, including deprecated ones; undefined if Fly never had it. */
export function regionByCode(code: string): Region | undefined {
  return byCode.get(code);
}

function region(
  code: string,
  city: string,
  country: string,
  latitude: number,
  longitude: number,
  gateway: boolean,
  geoRegion: GeoRegion,
  egressGroup: EgressGroup,
): Region {
  return { code, city, country, latitude, longitude, gateway, deprecated: false, geoRegion, egressGroup };
}

/** ` The nearest that does is arn (Stockholm, 810 km).`, to append to a sentence about a region that takes no new machines. */
export function nearestOpenText(code: string): string {
  const km = (to: Region) => distanceKm(code, to.code);
  const [close] = regions.filter((it) => !it.deprecated && it.code !== code).toSorted((a, b) => km(a) - km(b));
  return close && Number.isFinite(km(close))
    ? ` The nearest that does is ${close.code} (${close.city}, ${Math.round(km(close))} km).`
    : "";
}

const earthRadiusKm = 6371;

/** Great-circle distance between two regions in km. Infinity if one is unknown, so that it sorts last. */
export function distanceKm(from: string, to: string): number {
  if (from === to) return 0;
  const a = regionByCode(from);
  const b = regionByCode(to);
  if (!a || !b) return Number.POSITIVE_INFINITY;
  const haversine =
    sineSquared((b.latitude - a.latitude) / 2) +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * sineSquared((b.longitude - a.longitude) / 2);
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(haversine)));
}

const radians = (degrees: number): number => (degrees * Math.PI) / 180;
const sineSquared = (degrees: number): number => Math.sin(radians(degrees)) ** 2;
