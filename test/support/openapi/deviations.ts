/** Where local Fly answers otherwise than Fly's OpenAPI document says, because Fly itself does. */
export interface Deviation {
  /** One finding of check.ts, or several alike. */
  finding: RegExp;
  /** How it is known. */
  reason: string;
}

const machine = String.raw`(GET|POST) \S*/machines\S* 200`;
const volume = String.raw`\S+ \S*/volumes\S* 200`;

export const deviations: Deviation[] = [
  {
    finding: new RegExp(`${volume} \\S*/attached_(machine|alloc)_id: must be string`),
    reason: "A volume that is not mounted has null there; the document, made from Swagger 2, knows no null.",
  },
  {
    finding: /events\S* 200 \S*\/request: must be object|\S+ 200 \S*\/events\/\*\/request: must be object/,
    reason: "An event that no request caused has null there, for the same reason.",
  },
  {
    finding: /\/force_instance_key: must be string/,
    reason: "Fly adds it to every service, null unless it was set (fly-go, MachineService).",
  },
  {
    finding: new RegExp(`${machine} \\S*/(version|cordoned): must NOT have additional properties`),
    reason: "fly-go's Machine has both, and reads from them whether a machine is in routing and which version runs.",
  },
  {
    finding: /\/lease 20[01] \/(status|data): must NOT have additional properties/,
    reason:
      "Leases come in an envelope {status, data}, as fly-go's MachineLease has it; the document shows what is in data.",
  },
  {
    finding: new RegExp(`${volume} \\S*/host_dedication_key: must NOT have additional properties`),
    reason: "fly-go's Volume has it, always present, empty for shared hosts.",
  },
  {
    finding: /\/ip_assignments 200 \S*\/(type|network|egress): must NOT have additional properties/,
    reason: "flyctl's list of addresses is made of them (fly-go, IPAssignment).",
  },
  {
    finding: /services\/\*\/autostop: must be (string|equal to one of the allowed values)/,
    reason: 'Fly renders "off" and "stop" as the booleans of old, so that drift has to know both.',
  },
  {
    finding: /\/platform\/(placements|regions) 200 \/(Regions|Nearest): must NOT have additional properties/,
    reason: "Answers come with capital letters, as fly-go reads them; the document has small ones.",
  },
  {
    finding:
      /GET \/apps(\/\{app_name\})? 200 (\/apps\/\*)?\/(created_at|cname_target|app_role): must NOT have additional properties/,
    reason: "fly-go's App of the Machines API has them; flyctl's app commands need them.",
  },
];
