/** Writes docs/grafana.json, a dashboard for the metrics of `pop health`: `npm run docs`. Import it, choose the Prometheus (Fly's own: docs/metrics.md). */

export const dashboardPath = new URL("../../docs/grafana.json", import.meta.url);

interface Panel {
  title: string;
  /** Grafana's kind of panel. */
  type: "timeseries" | "stat";
  unit: string;
  /** PromQL, by legend. */
  queries: Record<string, string>;
  /** Of 24. */
  width: number;
  description?: string;
}

/** Fly's Prometheus adds app and region to every sample; `instance` is the machine. */
const here = `app=~"$app",region=~"$region"`;
const window = "[$__rate_interval]";
const spared = `cache=~"HIT|STALE|UPDATING|REVALIDATED"`;
const sparable = `cache!="BYPASS"`;

const hitRate = (by: string) => {
  const sum = (which: string) => `sum${by} (rate(pop_cache_requests_total{${here},${which}}${window}))`;
  return `${sum(spared)} / ${sum(sparable)}`;
};

const panels: Panel[] = [
  {
    title: "PoPs serving",
    type: "stat",
    unit: "none",
    width: 4,
    queries: { serving: `sum(pop_serving{${here}})` },
  },
  {
    title: "Unhealthy components",
    type: "stat",
    unit: "none",
    width: 4,
    queries: { components: `count(pop_component_up{${here}} == 0) or vector(0)` },
    description: "The reason is in each PoP's /healthz: npx fly-pops status",
  },
  { title: "Hit rate", type: "stat", unit: "percentunit", width: 4, queries: { "hit rate": hitRate("") } },
  {
    title: "First certificate ends in",
    type: "stat",
    unit: "s",
    width: 4,
    queries: { left: `min(pop_certificate_not_after_timestamp_seconds{${here}}) - time()` },
  },
  {
    title: "Self-signed certificates",
    type: "stat",
    unit: "none",
    width: 4,
    queries: { sites: `sum(pop_certificate_self_signed{${here}})` },
  },
  {
    title: "Killed for want of memory, a day",
    type: "stat",
    unit: "none",
    width: 4,
    queries: { kills: `sum(increase(pop_oom_kills_total{${here}}[1d]))` },
  },
  {
    title: "Requests by region",
    type: "timeseries",
    unit: "reqps",
    width: 12,
    queries: { "{{region}}": `sum by (region) (rate(pop_requests_total{${here}}${window}))` },
  },
  {
    title: "Requests by site",
    type: "timeseries",
    unit: "reqps",
    width: 12,
    queries: { "{{site}}": `sum by (site) (rate(pop_requests_total{${here}}${window}))` },
  },
  {
    title: "Errors",
    type: "timeseries",
    unit: "percentunit",
    width: 12,
    queries: {
      "{{site}} 5xx": `sum by (site) (rate(pop_requests_total{${here},status="5xx"}${window})) / sum by (site) (rate(pop_requests_total{${here}}${window}))`,
    },
  },
  {
    title: "Rejected requests",
    type: "timeseries",
    unit: "reqps",
    width: 12,
    queries: {
      "{{site}} {{reason}}": `sum by (site, reason) (rate(pop_requests_rejected_total{${here}}${window})) > 0`,
    },
  },
  {
    title: "Hit rate by site",
    type: "timeseries",
    unit: "percentunit",
    width: 12,
    queries: { "{{site}}": hitRate(" by (site)") },
  },
  {
    title: "Time to answer",
    type: "timeseries",
    unit: "s",
    width: 12,
    queries: Object.fromEntries(
      [0.5, 0.95, 0.99].map((share) => [
        `p${share * 100}`,
        `histogram_quantile(${share}, sum by (le) (rate(pop_request_duration_seconds_bucket{${here}}${window})))`,
      ]),
    ),
  },
  {
    title: "Traffic",
    type: "timeseries",
    unit: "Bps",
    width: 12,
    queries: {
      "sent, {{region}}": `sum by (region) (rate(pop_sent_bytes_total{${here}}${window}))`,
      "received, {{region}}": `sum by (region) (rate(pop_received_bytes_total{${here}}${window}))`,
    },
    description: "Before TLS: what Fly bills is a little more.",
  },
  {
    title: "Connections by port and by site whose TLS ends at home",
    type: "timeseries",
    unit: "cps",
    width: 12,
    queries: {
      "port {{port}} {{result}}": `sum by (port, result) (rate(pop_port_connections_total{${here}}${window})) > 0`,
      "{{site}} {{result}}": `sum by (site, result) (rate(pop_pass_through_connections_total{${here}}${window})) > 0`,
    },
    description: "Counted when they have ended. limited, blocked and failed ones reached nothing behind the PoP.",
  },
  {
    title: "Traffic of ports and of sites whose TLS ends at home",
    type: "timeseries",
    unit: "Bps",
    width: 12,
    queries: {
      "port {{port}}, sent": `sum by (port) (rate(pop_port_sent_bytes_total{${here}}${window}))`,
      "port {{port}}, received": `sum by (port) (rate(pop_port_received_bytes_total{${here}}${window}))`,
      "{{site}}, sent": `sum by (site) (rate(pop_pass_through_sent_bytes_total{${here}}${window}))`,
      "{{site}}, received": `sum by (site) (rate(pop_pass_through_received_bytes_total{${here}}${window}))`,
    },
  },
  {
    title: "Connections open, on average",
    type: "timeseries",
    unit: "none",
    width: 12,
    queries: {
      "port {{port}}": `sum by (port) (rate(pop_port_connection_seconds_total{${here}}${window}))`,
      "{{site}}": `sum by (site) (rate(pop_pass_through_connection_seconds_total{${here}}${window}))`,
    },
    description: "Of those that have ended: a long one shows when it ends.",
  },
  {
    title: "Memory",
    type: "timeseries",
    unit: "percentunit",
    width: 8,
    queries: { "{{region}} {{instance}}": `pop_memory_used_bytes{${here}} / pop_memory_limit_bytes{${here}}` },
  },
  {
    title: "Volume left",
    type: "timeseries",
    unit: "percentunit",
    width: 8,
    queries: { "{{region}} {{instance}}": `pop_volume_free_bytes{${here}} / pop_volume_size_bytes{${here}}` },
  },
  {
    title: "Connections",
    type: "timeseries",
    unit: "none",
    width: 8,
    queries: { "{{region}} {{state}}": `sum by (region, state) (pop_nginx_connections{${here}})` },
  },
];

/** Names of all metrics the dashboard asks for, sorted. */
export const queriedMetrics = (): string[] =>
  [
    ...new Set(
      panels.flatMap(({ queries }) => Object.values(queries).flatMap((query) => query.match(/pop_\w+/g) ?? [])),
    ),
  ].toSorted();

/** The file as it should be. https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ */
export function dashboard(): string {
  const datasource = { type: "prometheus", uid: "$datasource" };
  let [x, y, height] = [0, 0, 0];
  const placed = panels.map(({ title, type, unit, queries, width, description }, at) => {
    if (x + width > 24) [x, y] = [0, y + height];
    height = type === "stat" ? 4 : 8;
    const panel = {
      id: at + 1,
      title,
      type,
      ...(description === undefined ? {} : { description }),
      datasource,
      gridPos: { x, y, w: width, h: height },
      fieldConfig: {
        defaults: { unit, ...(unit === "percentunit" ? { min: 0, max: 1 } : { min: 0 }) },
        overrides: [],
      },
      targets: Object.entries(queries).map(([legendFormat, expr], target) => ({
        refId: String.fromCharCode(65 + target),
        datasource,
        expr,
        legendFormat,
      })),
    };
    x += width;
    return panel;
  });
  const choice = (name: string) => ({
    name,
    type: "query",
    datasource,
    query: { query: `label_values(pop_info, ${name})`, refId: name },
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
  });
  const whole = {
    title: "fly-pops",
    uid: "fly-pops",
    schemaVersion: 39,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    templating: {
      list: [{ name: "datasource", type: "datasource", query: "prometheus" }, choice("app"), choice("region")],
    },
    panels: placed,
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}
