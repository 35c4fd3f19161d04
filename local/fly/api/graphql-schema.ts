/**
 * The part of Fly's GraphQL that flyctl's machine, volume, address, app and deploy commands ask for, as far as local Fly has an answer. A query
 * for more is refused by field name. Names and types: fly-go's schema.graphql, https://github.com/superfly/fly-go.
 */
import { buildSchema } from "graphql";

export const schema = buildSchema(`
  scalar BigInt
  scalar JSON
  scalar ISO8601DateTime

  type Query {
    app(name: String!): App!
    apps(type: String, first: Int, after: String, organizationId: ID, role: String): AppConnection!
    appNameAvailable(name: String!): Boolean!
    canPerformBluegreenDeployment(name: String!): Boolean!
    machine(machineId: String!): Machine!
    organization(slug: String!): Organization!
    organizations(admin: Boolean, type: String): OrganizationConnection!
    platform: PlatformRegions!
    nearestRegion: Region!
    latestImageDetails(image: String!, flyVersion: String): ImageVersion!
  }

  type App {
    id: ID!
    internalNumericId: BigInt!
    name: String!
    hostname: String
    appUrl: String
    cnameTarget: String
    deployed: Boolean!
    network: String
    status: String!
    version: Int!
    platformVersion: String!
    organization: Organization!
    role: Role
    currentRelease: Release
    currentReleaseUnprocessed: Release
    releasesUnprocessed(first: Int): ReleaseConnection!
    ipAddresses: IPAddressConnection!
    sharedIpAddress: String
    egressIpAddresses: EgressIPAddressConnection!
    machines: MachineConnection!
    image(ref: String!): Image
    hostIssues: HostIssueConnection!
  }
  type AppConnection { nodes: [App!]! pageInfo: PageInfo! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Role { name: String! }
  type Release {
    id: ID!
    version: Int!
    status: String!
    inProgress: Boolean!
    imageRef: String
    createdAt: ISO8601DateTime!
    configDefinition: JSON
    evaluationId: String
    description: String!
    reason: String!
    stable: Boolean!
    user: User!
  }
  type ReleaseConnection { nodes: [Release!]! }
  type User { id: ID! email: String! name: String! }
  type Organization {
    id: ID!
    internalNumericId: String!
    slug: String!
    rawSlug: String!
    name: String!
    type: String!
    paidPlan: Boolean!
    billable: Boolean!
    viewerRole: String!
  }
  type OrganizationConnection { nodes: [Organization!]! }
  type IPAddress {
    id: ID!
    address: String!
    type: String!
    region: String
    serviceName: String
    createdAt: ISO8601DateTime!
    network: Network
  }
  type IPAddressConnection { nodes: [IPAddress!]! }
  type Network { name: String! organization: Organization! }
  type EgressIPAddress { id: ID! ip: String! version: Int! region: String! updatedAt: ISO8601DateTime! }
  type EgressIPAddressConnection { nodes: [EgressIPAddress!]! }
  type Machine {
    id: ID!
    name: String!
    state: String!
    region: String!
    createdAt: ISO8601DateTime!
    app: App!
    egressIpAddresses: EgressIPAddressConnection!
  }
  type MachineConnection { nodes: [Machine!]! }
  type Image { id: ID! digest: String! ref: String! compressedSizeFull: String manifest: JSON }
  type ImageVersion { registry: String! repository: String! tag: String! version: String digest: String! }
  type HostIssue { internalId: ID! message: String! createdAt: ISO8601DateTime! updatedAt: ISO8601DateTime! }
  type HostIssueConnection { nodes: [HostIssue!]! }
  type PlatformRegions { requestRegion: String regions: [Region!]! }
  type Region {
    code: String!
    name: String!
    latitude: Float
    longitude: Float
    gatewayAvailable: Boolean!
    requiresPaidPlan: Boolean!
    deprecated: Boolean!
  }
`);
